"""``%delta use``: among deltas that are attached, parked or saved; and a look at the backbone without any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import checkpoints, deltas
from deltanb._errors import DeltaError
from deltanb.workbench import Workbench, _files
from tests.models import stir
from tests.test_magics import model, one_shell, run, shell
from tests.test_workbench import ROWS, fresh, learn, logits, notes
from tests.test_workbench_steps import assert_same, state

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["model", "one_shell", "shell"]


@pytest.fixture
def bench() -> Workbench:
    """Two trained deltas that own the same head, so one is always parked."""
    made = Workbench()
    fresh(made)
    for kind, pattern in (("adapter", "output.dense"), ("lora", "query")):
        made.attach(kind, [pattern])
        made.freeze(["deltas", "classifier"])
        learn(made)
        made.detach()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A saved delta that another workbench trained."""
    other = Workbench()
    fresh(other)
    other.attach("adapter", ["key"], bottleneck_dim=2)
    other.freeze(["deltas", "pooler"])
    learn(other)
    return str(other.save(str(tmp_path / "saved")).value)


def test_use_attaches_one_and_parks_the_other(bench: Workbench) -> None:
    plain = logits(bench)
    assert bench.use(["adapter"]).title == "In use: adapter."
    one = logits(bench)
    outcome = bench.use(["lora"])
    assert list(bench.attached) == ["lora"]
    assert list(bench.parked) == ["adapter"]
    assert outcome.facts["parked"] == "adapter"
    assert outcome.next == "%delta use adapter"
    assert not torch.equal(logits(bench), one)
    bench.use(["adapter"])
    assert torch.equal(logits(bench), one)
    bench.use(["none"])
    assert torch.equal(logits(bench), plain)
    assert not bench.attached


@pytest.mark.parametrize("words", [["adapter"], ["none"], ["FOLDER"], ["adapter", "FOLDER"]])
def test_the_same_again_does_nothing(bench: Workbench, folder: str, words: list[str]) -> None:
    named = [folder if word == "FOLDER" else word for word in words]
    bench.use(named)
    learn(bench)
    before, steps = state(bench), len(bench.steps)
    assert "just so" in bench.use(named).title
    assert_same(state(bench), before)
    assert len(bench.steps) == steps


def test_two_that_own_one_head_are_refused_and_nothing_changes(bench: Workbench) -> None:
    bench.use(["adapter"])
    before = state(bench)
    with pytest.raises(DeltaError, match="classifier"):
        bench.use(["lora", "adapter"])
    assert_same(state(bench), before)


def test_a_folder_is_loaded_once_frozen_as_saved_under_a_free_name(bench: Workbench, folder: str) -> None:
    bench.use(["adapter", folder])
    assert list(bench.attached) == ["adapter", "adapter_1"]
    loaded = bench.attached["adapter_1"]
    assert [list(entry.exclude) for entry in loaded.declarations] == [["deltas", "pooler"]]
    saved = checkpoints.read(folder).tensors
    assert all(torch.equal(value, saved[name]) for name, value in loaded.tensors("adapter").items())
    bench.use(["none"])
    bench.use([folder])
    assert bench.attached == {"adapter_1": loaded}
    assert notes(bench.use([folder])) == ""
    stir(loaded.parameters())
    assert "%delta load" in notes(bench.use([folder]))


def test_what_came_to_another_backbone_is_carried_over(bench: Workbench) -> None:
    bench.use(["adapter"])
    output, old = logits(bench), bench.attached["adapter"]
    folder_of_old = {"/somewhere"}
    bench.saved_to[old.serial] = set(folder_of_old)
    fresh(bench)
    bench.use(["adapter"])
    assert torch.equal(logits(bench), output)
    assert bench.attached["adapter"] is not old
    assert bench.saved_to[bench.attached["adapter"].serial] == folder_of_old


def test_a_freeze_that_goes_with_its_delta_is_said(bench: Workbench) -> None:
    bench.attach("bitfit", ["intermediate"])
    bench.detach()
    bench.use(["adapter"])
    assert "frozen went with adapter" in notes(bench.use(["bitfit"]))
    assert "frozen" not in notes(bench.use(["adapter"]))


@pytest.mark.parametrize("words", [["lora"], ["none"], ["FOLDER", "lora"]])
def test_undo_and_redo_are_exact(bench: Workbench, folder: str, words: list[str]) -> None:
    bench.use(["adapter"])
    before = state(bench)
    bench.use([folder if word == "FOLDER" else word for word in words])
    after = state(bench)
    for _ in range(2):
        bench.undo()
        assert_same(state(bench), before)
        bench.redo()
        assert_same(state(bench), after)


def test_a_failure_in_the_middle_takes_all_back(bench: Workbench, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.use(["adapter"])
    before = state(bench)
    monkeypatch.setattr(_files, "freeze_call", None)
    with pytest.raises(TypeError):
        bench.use(["lora", folder])
    assert_same(state(bench), before)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["loar"], "%delta use lora"), (["none", "lora"], "%delta use lora"), (["elsewhere"], "Attached: none; parked: adapter, lora")],
)
def test_a_name_that_nothing_has_is_an_error(bench: Workbench, words: list[str], said: str) -> None:
    before = state(bench)
    with pytest.raises(DeltaError) as caught:
        bench.use(words)
    assert said in str(caught.value)
    assert_same(state(bench), before)


def test_the_script_switches_too(bench: Workbench, folder: str) -> None:
    bench.use(["adapter"])
    bench.use([folder, "lora"])
    lines = bench.code().splitlines()
    assert "deltanb.use(model, adapter)" in lines
    assert "deltanb.use(model, lora)" in lines
    assert f"adapter_1 = deltanb.load({folder!r}, model, name='adapter_1')" in lines
    assert "adapter_1.freeze_module(exclude=['deltas', 'pooler'])" in lines


def test_the_backbone_alone_is_evaluated_and_all_is_back(bench: Workbench) -> None:
    plain = bench.evaluate(ROWS, batch_size=8).metrics
    bench.use(["adapter"])
    before = state(bench)
    assert bench.evaluate(batch_size=8).metrics != plain
    assert bench.evaluate(batch_size=8, without=True).metrics == plain
    assert_same(state(bench), before)
    compile(bench.code(), "script", "exec")
    assert "with deltanb.without_deltas(model):\n    print(deltanb.evaluate(" in bench.code()


def test_the_magic_switches(shell: Any, model: Any) -> None:
    run(shell, "%delta attach adapter output.dense;")
    run(shell, "%delta attach lora query;")
    outcome = run(shell, "%delta use lora")
    assert list(deltas(model)) == ["lora"]
    assert "In use: lora." in repr(outcome)
    run(shell, "which = 'adapter'\n%delta use {which} lora")
    assert list(deltas(model)) == ["lora", "adapter"]
    run(shell, "%delta use none")
    assert not deltas(model)
