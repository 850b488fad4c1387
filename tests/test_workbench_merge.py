"""``%delta merge``, ``unmerge``, ``add``, ``interpolate``: run again, undone, as Python."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deltanb import deltas
from deltanb._errors import DeltaError
from deltanb.magics._complete import candidates
from deltanb.workbench import Workbench
from tests.models import assert_same, bert, output_of, same_state, stir
from tests.test_magics import bench_of, fails, model, one_shell, run, shell

__all__ = ["model", "one_shell", "shell"]  # fixtures


@pytest.fixture
def bench() -> Workbench:
    """A workbench on a tiny BERT of the user's own with two LoRAs that learned something."""
    net = bert()
    stir(net.parameters(), seed=3, scale=0.1)
    found = Workbench()
    found.backbone(net, variable="net")
    for seed, name in enumerate("ab"):
        found.attach("lora", ["query", "value"], name=name, lora_r=2)
        stir(found.delta(name).parameters(), seed)
    return found


def rerun(bench: Workbench) -> Any:
    """The model that the script of a workbench makes, and its variables."""
    net = bert()
    stir(net.parameters(), seed=3, scale=0.1)
    scope: dict[str, Any] = {"net": net}
    exec(bench.code(), scope)  # noqa: S102
    return scope


def test_merge_says_what_it_did_and_is_undone_and_done_again(bench: Workbench) -> None:
    before, output = same_state(bench.model), output_of(bench.model)
    outcome = bench.merge("b")
    assert outcome.title.startswith("Merged b")
    assert float(outcome.facts["largest change of a logit"].partition(",")[0]) < 1e-4
    assert outcome.notes == ["what is merged does not train"]
    assert [delta.merged for delta in bench.attached.values()] == [False, True]
    torch.testing.assert_close(output_of(bench.model), output, atol=1e-5, rtol=1e-5)
    merged = same_state(bench.model)
    count = len(bench.steps)
    assert bench.merge("b").title == "b is merged already."
    assert len(bench.steps) == count
    assert bench.undo().title == "Undone: merge."
    assert_same(same_state(bench.model), before)
    bench.redo()
    assert_same(same_state(bench.model), merged)
    assert bench.unmerge().title.startswith("Unmerged b")
    assert_same(same_state(bench.model), before)
    assert bench.unmerge("b").title == "b is not merged."
    bench.undo()
    assert_same(same_state(bench.model), merged)


def test_a_step_on_a_merged_model_is_undone_to_it(bench: Workbench) -> None:
    bench.merge("a")
    state = same_state(bench.model)
    bench.attach("adapter", ["output.dense"], bottleneck_dim=2)
    bench.undo()
    assert_same(same_state(bench.model), state)
    bench.detach("a")
    bench.undo()
    assert bench.delta("a").merged
    assert_same(same_state(bench.model), state)
    with pytest.raises(DeltaError, match="holds the merged delta"):
        bench.freeze(["query"])
    assert_same(same_state(bench.model), state)


def test_several_deltas_must_be_named(bench: Workbench) -> None:
    with pytest.raises(DeltaError, match="Several deltas are attached"):
        bench.merge()
    bench.attach("adapter", ["output.dense"])
    with pytest.raises(DeltaError, match="lora, bitfit, ia3, ln_tuning"):
        bench.merge("adapter")


def test_add_takes_the_place_of_its_sources(bench: Workbench) -> None:
    before = same_state(bench.model)
    bench.freeze(["deltas"])
    frozen = same_state(bench.model)
    outcome = bench.add({"a": 1, "b": "0.5"}, name="both")
    assert list(bench.attached) == ["both"]
    assert list(bench.parked) == ["a", "b"]
    assert outcome.facts["sum of"] == "1 · a, 0.5 · b"
    assert outcome.facts["delta"] == "rank 4 on 4 modules"
    assert "against the backbone alone" in outcome.facts["largest change of a logit"]
    assert "against a" in outcome.facts["largest change of a logit"]
    made, count = bench.delta("both"), len(bench.steps)
    assert not bench.model.classifier.weight.requires_grad
    stir(made.parameters())
    again = bench.add({"a": 1.0, "b": 0.5}, name="both")
    assert "kept as it is" in again.title
    assert (bench.delta("both"), len(bench.steps)) == (made, count)
    other = bench.add({"a": 1, "b": 2}, name="both")
    assert bench.delta("both") is not made
    assert bench.parked["both"] is made
    assert any("parked with its weights" in note for note in other.notes)
    bench.undo()
    assert bench.delta("both") is made
    bench.undo()
    assert_same(same_state(bench.model), frozen)
    bench.undo()
    assert_same(same_state(bench.model), before)


def test_interpolate_between_two(bench: Workbench) -> None:
    bench.interpolate("a", "b", 0.25, name="mid")
    assert list(bench.attached) == ["mid"]
    output = output_of(bench.model)
    bench.undo()
    bench.add({"a": 0.75, "b": 0.25}, name="other")
    torch.testing.assert_close(output_of(bench.model), output)


def test_the_script_does_the_same() -> None:
    """With no learning in between, so B is 0 until it is stirred in both."""
    net = bert()
    stir(net.parameters(), seed=3, scale=0.1)
    bench = Workbench()
    bench.backbone(net, variable="net")
    bench.attach("lora", ["query", "value"], name="a", lora_r=2)
    bench.attach("ia3", None)
    bench.merge("a")
    bench.attach("lora", ["query"], name="b")
    bench.detach("ia3")
    bench.add({"a": 1, "b": 0.5}, name="both")
    scope = rerun(bench)
    assert list(deltas(scope["net"])) == ["both"]
    own, theirs = bench.delta("both").tensors(), deltas(scope["net"])["both"].tensors()
    assert own.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[key]) for key, value in own.items())
    assert "a.merge()" in bench.code()
    assert "deltanb.add(model, {a: 1.0, b: 0.5}, name='both').delta" in bench.code()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("add a=1 c=2 --name both", "There is no delta 'c'"),
        ("add a=one b=2", "must be a number"),
        ("add", "nothing to add"),
        ("add a=1 --name classifier", "cannot be called"),
        ("interpolate a b", "two deltas and a number"),
        ("interpolate a b half", "t must be a number"),
        ("interpolate a a 0.5", "got a twice"),
        ("interpolate a b 0.5 0.6", "does not know what to do"),
        ("merge c", "No attached delta is called 'c'"),
        ("merge a b", "does not know what to do"),
    ],
)
def test_lines_that_are_wrong(shell: Any, model: Any, line: str, said: str) -> None:
    for name in "ab":
        run(shell, f"%delta attach lora query --name {name}")
    before = same_state(model)
    error, drawn = fails(shell, f"%delta {line}")
    assert said in str(error)
    assert "Traceback" not in drawn
    assert_same(same_state(model), before)


def test_the_lines(shell: Any, model: Any) -> None:
    for name in "ab":
        run(shell, f"%delta attach lora query --name {name}")
    assert run(shell, "%delta merge a").title.startswith("Merged a")
    assert run(shell, "%delta unmerge").title.startswith("Unmerged a")
    shell.user_ns["share"] = 0.5
    assert run(shell, "%delta add a b={share} --name both").facts["sum of"] == "1 · a, 0.5 · b"
    assert list(deltas(model)) == ["both"]
    assert run(shell, "%delta interpolate a b {share} --name mid").title.startswith("Made mid")
    assert list(deltas(model)) == ["both", "mid"]
    magics = shell.magics_manager.registry["DeltaMagics"]
    assert ("both=", "delta") in candidates("add ", magics)
    assert ("mid", "delta") in candidates("interpolate a ", magics)
    assert bench_of(shell).steps[-1].line == "%delta interpolate a b {share} --name mid"


def test_a_merged_delta_alone_cannot_be_trained() -> None:
    bench = Workbench()
    bench.backbone("bart-tiny", random=True)
    bench.attach("lora", ["q_proj"])
    bench.freeze(["deltas"])
    outcome = bench.merge()
    size = sum(bench.model.get_submodule(host).weight.numel() * 4 for host in bench.delta().hosts)  # type: ignore[operator,union-attr]
    assert outcome.facts["originals kept"] == f"6 tensors, {size / 1000:.1f} kB"
    assert outcome.facts["trainable now"].startswith("0 of")
    with pytest.raises(DeltaError, match="lora is merged") as caught:
        bench.train("movie_reviews", rows=8)
    assert "%delta unmerge lora" in str(caught.value)
