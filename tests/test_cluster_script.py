"""``%delta code --script``: what the script says, what it needs, and what cannot be written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from deltanb import cluster
from deltanb._errors import DeltaError
from deltanb.cluster import Recipe, last_checkpoint, rows_a_process, script_of
from deltanb.cluster._script import double_quoted
from deltanb.structure import snapshot
from deltanb.workbench import Workbench
from tests.models import bert
from tests.test_magics import bench_of, fails, one_shell, run, shell
from tests.tiny_text import films, light_collections, tiny_tokenizer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["light_collections", "one_shell", "shell"]

RUFF = [
    sys.executable,
    "-m",
    "ruff",
    "check",
    "--isolated",
    "--select",
    "E,F,W,I,UP,B,D,ANN,N,PL,SIM,RUF,C4,PTH,RET",
    "--line-length",
    "160",
]


def local_backbone(folder: Path, **changes: Any) -> Path:
    """A tiny BERT and its tokenizer, saved; without dropout, so that one process and two can agree."""
    model = bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **changes)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a backbone and a data file in it, where the notebook is."""
    monkeypatch.chdir(tmp_path)
    local_backbone(tmp_path / "tiny")
    pd.DataFrame(films(100), columns=["text", "label"]).to_csv("films.csv", index=False)
    return tmp_path


@pytest.fixture
def ready(place: Path, shell: Any) -> Any:
    """An adapter on the tiny backbone."""
    assert place
    run(shell, "%delta backbone ./tiny;")
    run(shell, "%delta attach adapter output.dense bottleneck_dim=2;")
    run(shell, "%delta freeze --exclude deltas classifier;")
    return shell


def train(shell: Any, **options: Any) -> None:
    bench_of(shell).train("films.csv", **{"max_steps": 2, "batch_size": 8, "baseline": False, "display": False, **options})


def loaded(path: Path) -> dict[str, Any]:
    """The names that a script defines."""
    found: dict[str, Any] = {"__name__": "script"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), found)  # noqa: S102 - what the test wrote
    return found


def arguments(path: Path, monkeypatch: pytest.MonkeyPatch, *given: str) -> argparse.Namespace:
    monkeypatch.setattr(sys, "argv", [str(path), *given])
    return loaded(path)["arguments"]()  # type: ignore[no-any-return]


def test_the_script_has_the_settings_of_the_notebook(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    train(ready, lr=3e-3, seed=7, max_length=16, rows=64)
    run(ready, "%delta code --script train.py;")
    found = arguments(Path("train.py"), monkeypatch)
    assert (found.max_steps, found.batch, found.learning_rate, found.seed, found.max_length, found.rows) == (2, 8, 3e-3, 7, 16, 64)
    assert (found.output, found.resume, found.epochs) == ("run", False, 1)
    assert Path(found.backbone) == Path("tiny").resolve()
    assert Path(found.data) == Path("films.csv").resolve()
    assert arguments(Path("train.py"), monkeypatch, "--learning-rate", "0.1").learning_rate == 0.1


def test_the_script_builds_the_same_model(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run(ready, "%delta attach lora query lora_r=2 --name extra;")
    run(ready, "%delta freeze --exclude deltas;")
    bench = bench_of(ready)
    first = {name: value.clone() for name, value in bench.model.named_parameters()}
    train(ready)
    run(ready, "%delta code --script train.py;")
    path = Path("train.py").resolve()
    monkeypatch.chdir("/")
    backbone = loaded(path)["build"](arguments(path, monkeypatch))
    again = dict(backbone.model.named_parameters())
    assert snapshot(backbone.model).counts == snapshot(bench.model).counts
    assert again.keys() == first.keys()
    assert all(torch.equal(again[name], value) for name, value in first.items())
    assert {name for name, p in again.items() if p.requires_grad} == {name for name, p in bench.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("build", ["adapter", "two", "head", "nothing trained"])
def test_the_script_is_clean(ready: Any, build: str) -> None:
    if build == "two":
        run(ready, "%delta attach lora query,value exclude=[r]0\\.attention --name extra;")
    if build == "head":
        run(ready, "%delta detach;")
        run(ready, "%delta freeze --exclude classifier;")
    if build != "nothing trained":
        train(ready)
    run(ready, "%delta code --script train.py;")
    done = subprocess.run([*RUFF, "train.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_several_runs_become_one(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    train(ready)
    train(ready, max_steps=3)
    outcome = run(ready, "%delta code --script train.py")
    assert arguments(Path("train.py"), monkeypatch).max_steps == 5
    assert "several runs" in " ".join(outcome.notes)


def test_what_was_given_to_trainer_stands_once(ready: Any) -> None:
    train(ready, lr_scheduler_type="cosine", gradient_accumulation_steps=2)
    run(ready, "%delta code --script train.py;")
    text = Path("train.py").read_text(encoding="utf-8")
    assert text.count("lr_scheduler_type=") == 1
    assert 'lr_scheduler_type="cosine"' in text
    assert '"--batch", type=int, default=16' in text
    assert '"--accumulate", type=int, default=2' in text


def test_without_data_they_have_to_be_given(ready: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    outcome = run(ready, "%delta code --script train.py")
    assert "--data has to be given" in " ".join(outcome.notes)
    with pytest.raises(SystemExit):
        arguments(Path("train.py"), monkeypatch)
    assert "--data" in capsys.readouterr().err


def test_writing_again_changes_nothing_and_nothing_else_is_replaced(ready: Any) -> None:
    run(ready, "%delta code --script train.py --configs;")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path().iterdir() if path.is_file()}
    assert {"train.py", "ddp.yaml", "fsdp.yaml", "deepspeed.yaml"} <= before.keys()
    assert "left as it is" in run(ready, "%delta code --script train.py --configs").title
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path().iterdir() if path.is_file()} == before
    Path("train.py").write_text("print('mine')\n", encoding="utf-8")
    error, _ = fails(ready, "%delta code --script train.py")
    assert "--force" in str(error)
    assert Path("train.py").read_text(encoding="utf-8") == "print('mine')\n"
    run(ready, "%delta code --script train.py --force;")
    assert Path("train.py").read_bytes() == before["train.py"][0]


def test_all_files_are_written_or_none(ready: Any) -> None:
    Path("fsdp.yaml").write_text("mine: true\n", encoding="utf-8")
    fails(ready, "%delta code --script train.py --configs")
    assert not Path("train.py").exists()
    assert not list(Path().glob(".train*"))


def _own_model(shell: Any) -> None:
    shell.user_ns["net"] = bert()
    run(shell, "%delta backbone net;")


def _own_tokenizer(shell: Any) -> None:
    shell.user_ns["words"] = tiny_tokenizer()
    run(shell, "%delta backbone ./tiny --tokenizer {words};")


def _own_data(shell: Any) -> None:
    shell.user_ns["table"] = films(40)
    run(shell, "%delta data table;")


def _everything_trains(shell: Any) -> None:
    run(shell, "%delta unfreeze;")


def _merged(shell: Any) -> None:
    run(shell, "%delta remove adapter;")
    run(shell, "%delta attach lora query;")
    run(shell, "%delta freeze --exclude deltas classifier;")
    train(shell)
    run(shell, "%delta merge;")


def _carried_over(shell: Any) -> None:
    run(shell, "%delta backbone ./tiny;")
    run(shell, "%delta reattach adapter;")
    run(shell, "%delta freeze --exclude deltas classifier;")


@pytest.mark.parametrize(
    ("before", "line", "says"),
    [
        (None, "code --configs", "--script"),
        (None, "code --force", "--script"),
        (None, "code --script no/such/folder/train.py", "No such file or directory"),
        (None, "code --script tiny", "is a folder"),
        (_own_model, "code --script train.py", "save_pretrained"),
        (_own_tokenizer, "code --script train.py", "tokenizer"),
        (_own_data, "code --script train.py", "to_csv"),
        (_everything_trains, "code --script train.py", "%delta freeze"),
        (_merged, "code --script train.py", "merge"),
        (_carried_over, "code --script train.py", "adapter"),
        (lambda shell: run(shell, "%delta backbone bert-base --skeleton;"), "code --script train.py", "skeleton"),
    ],
)
def test_what_cannot_be_written(ready: Any, before: Callable[[Any], None] | None, line: str, says: str) -> None:
    if before:
        before(ready)
    bench = bench_of(ready)
    steps, files = list(bench.steps), sorted(Path().iterdir())
    error, drawn = fails(ready, f"%delta {line}")
    assert says in str(error)
    assert "Traceback" not in drawn
    assert (bench.steps, sorted(Path().iterdir())) == (steps, files)


def test_there_is_nothing_to_write_without_a_backbone(place: Path, shell: Any) -> None:
    error, _ = fails(shell, "%delta code --script train.py")
    assert "no backbone" in str(error)
    assert not (place / "train.py").exists()


def test_a_folder_that_may_not_be_written(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("deltanb.cluster._write.tempfile.mkstemp", refuse)
    error, _ = fails(ready, "%delta code --script train.py")
    assert "train.py cannot be written: Permission denied" in str(error)


# The parts ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("processes", "batch", "parts"), [("2", 7, 1), ("3", 8, 1), ("2", 6, 2), ("4", 2, 1)])
def test_rows_that_cannot_be_divided(processes: str, batch: int, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(DeltaError, match="cannot be divided") as caught:
        rows_a_process(batch, parts)
    rows_a_process(int(caught.value.try_.removeprefix("--batch ")), parts)


@given(some.text(alphabet="ab'\"\\ {}%", max_size=8))
def test_quotes_are_changed_and_nothing_else(text: str) -> None:
    line = f"x = [{text!r}, f({text!r})]"
    assert compile(double_quoted(line), "", "exec").co_consts == compile(line, "", "exec").co_consts


_NAMES = some.text(some.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@given(_NAMES, _NAMES)
def test_any_name_gives_a_script_that_compiles(name: str, file: str) -> None:
    text = script_of(Recipe(what=f"lora on {name}", backbone=name, data=name, notes=(name,)), file)
    compile(text, "train.py", "exec")


def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    def checkpoint(step: int) -> Path:
        path = tmp_path / f"checkpoint-{step}"
        path.mkdir()
        torch.save({"a": torch.ones(3)}, path / "optimizer.pt")
        (path / "trainer_state.json").write_text(f'{{"global_step": {step}}}', encoding="utf-8")
        cluster_weights(path)
        return path

    def cluster_weights(path: Path) -> None:
        from safetensors.torch import save_file

        save_file({"a": torch.ones(99)}, path / "model.safetensors")

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-20])

    assert last_checkpoint(tmp_path) is None
    whole = checkpoint(9)
    for at, name in enumerate(["optimizer.pt", "trainer_state.json", "model.safetensors"]):
        cut(checkpoint(10 + at) / name)
    (checkpoint(20) / "trainer_state.json").unlink()
    shutil.copytree(whole, tmp_path / "checkpoint-30")  # of another step
    (tmp_path / "checkpoint-old").mkdir()
    assert last_checkpoint(tmp_path) == str(whole)


def test_a_folder_with_a_run_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1").mkdir()
    with pytest.raises(DeltaError, match="--resume"):
        cluster.run_folder(tmp_path, resume=False)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DeltaError, match="cannot be written"):
        cluster.run_folder(tmp_path / "file" / "run", resume=False)


def test_where_the_model_goes_is_not_written(place: Path) -> None:
    bench = Workbench()
    bench.backbone("./tiny", device_map="cpu", task="classification")
    bench.attach("lora", ["query"])
    bench.freeze(["deltas", "classifier"])
    bench.script(place / "train.py")
    text = (place / "train.py").read_text(encoding="utf-8")
    assert "device_map" not in text
    assert 'load_backbone(args.backbone, task="classification", num_labels=2)' in text


def test_a_workbench_writes_without_a_notebook(place: Path) -> None:
    bench = Workbench()
    bench.backbone("bert-tiny", random=True)
    bench.attach("lora", ["query"])
    bench.freeze(["deltas", "classifier"])
    assert bench.script(place / "train.py").title.startswith("Wrote")
    assert 'default="bert-tiny"' in (place / "train.py").read_text(encoding="utf-8")
