"""Saving and loading on the workbench, and the script of what was done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from deltanb._errors import DeltaError
from deltanb.checkpoints import saved_folders
from deltanb.workbench import Workbench
from tests.models import trainable
from tests.test_workbench import ROWS, bench, fresh, learn, logits, notes

__all__ = ["bench"]


def test_saving_again_replaces_its_own_folder_and_no_other(bench: Workbench, tmp_path: Path) -> None:
    own = tmp_path / "own"
    bench.save(str(own))
    learn(bench)
    assert not bench.save(str(own)).notes
    assert torch.equal(load_file(own / "model.safetensors")["classifier.weight"], bench.model.classifier.weight)
    bench.attach("lora", ["query"])
    for place, words in ((own, "another delta"), (tmp_path, "no delta")):
        with pytest.raises(DeltaError, match=words) as caught:
            bench.save(str(place), "lora")
        assert "--force" in str(caught.value)
    assert "lora" in bench.save(str(own), "lora", force=True).title


def test_names_in_the_wrong_order_are_named_in_the_right_one(bench: Workbench) -> None:
    with pytest.raises(DeltaError, match="The folder comes first") as caught:
        bench.save("adapter", "my-delta")
    assert caught.value.try_ == "%delta save my-delta adapter"
    bench.attach("lora", ["query"])
    with pytest.raises(DeltaError, match="a repository is needed first") as caught:
        bench.push("lora")
    assert caught.value.try_ == "%delta push my-lora lora"


def test_a_save_of_an_earlier_session_is_kept_beside_the_new_one(bench: Workbench, tmp_path: Path) -> None:
    bench.save(str(tmp_path / "d"))
    bench.saved_to.clear()
    (tmp_path / "d.previous").mkdir()
    (tmp_path / "d.previous" / "thesis.tex").write_text("mine")
    for _ in range(2):
        assert "d.previous-2" in notes(bench.save(str(tmp_path / "d")))
        bench.saved_to.clear()
    assert saved_folders(tmp_path) == ["d", "d.previous-2"]
    assert (tmp_path / "d.previous" / "thesis.tex").read_text() == "mine"


def test_load_freezes_as_it_was_and_again_has_no_effect(bench: Workbench, tmp_path: Path) -> None:
    before, count = logits(bench), trainable(bench.model)
    bench.save(str(tmp_path / "d"))
    fresh(bench)
    assert bench.load(str(tmp_path / "d")).facts["frozen"] == "as it was saved: all but deltas, classifier"
    assert torch.equal(logits(bench), before)
    assert trainable(bench.model) == count
    assert "kept as it is" in bench.load(str(tmp_path / "d")).title
    learn(bench)
    assert "parked" in notes(bench.load(str(tmp_path / "d")))
    assert torch.equal(logits(bench), before)


def test_the_script_runs_as_it_is_and_saves_the_same_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in ROWS))
    bench = Workbench()
    bench.backbone("bert-tiny", random=True)
    bench.freeze(["classifier"])
    bench.attach("lora", ["query", "value"], r=2)
    bench.attach("adapter", ["output.dense"], name="reviews", exclude=["attention"], bottleneck_dim=2)
    bench.detach("lora")
    bench.freeze(["deltas", "classifier"])
    bench.train("rows.csv", max_steps=2, batch_size=8, display=False)
    bench.train(max_steps=1, batch_size=8, display=False)
    bench.save("mine")
    bench.attach("adapter", ["output.dense"], name="reviews", bottleneck_dim=3)
    bench.reattach("lora")
    bench.save("other", "lora")
    bench.backbone("bert-tiny", random=True)
    bench.load("mine", name="again")
    bench.save("again")
    wanted = {name: load_file(Path(name, "model.safetensors")) for name in ("mine", "other", "again")}
    Path("script.py").write_text(f"{bench.code()}\nprint(sum(p.numel() for p in model.parameters() if p.requires_grad))\n")
    found = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout.split()[-1]) == trainable(bench.model)
    for name, tensors in wanted.items():
        again = load_file(Path(name, "model.safetensors"))
        assert again.keys() == tensors.keys()
        assert all(torch.equal(again[key], tensor) for key, tensor in tensors.items())
