"""Comparing deltas: the same for each, nothing left behind, nothing done twice."""

from __future__ import annotations

import json
import math
import random
import signal
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import LoraModel, compare, freeze, train
from deltanb._errors import DeltaError
from deltanb.checkpoints import save
from deltanb.comparison import ComparisonProgress, _compare
from deltanb.comparison._key import backbone_facts
from deltanb.datasets import as_text_data
from deltanb.engine import DELTA_TYPES, deltas, set_merged
from deltanb.training import Live
from deltanb.training._labels import label_names_of
from deltanb.training._run import Run
from deltanb.training._trainer import make_trainer
from tests.models import assert_same, bart, same_state, three
from tests.tiny_text import Tiny, films, light_collections, tiny, tiny_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from deltanb.reports import ComparisonReport

__all__ = ["light_collections", "make_trainer"]  # the latter: what it imports is there before collections are made light

DATA = as_text_data(films(80), name="films")
FAST: dict[str, Any] = {"display": False, "batch_size": 8, "max_steps": 3}
FOUR = "adapter output.dense bottleneck_dim=3 lora query r=2 head full"


class Counted:
    """Counts the runs that are really trained."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        go = Run.go

        def counting(run: Run) -> Any:
            self.count += 1
            return go(run)

        patch.setattr(Run, "go", counting)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> tuple[ComparisonReport, list[list[list[int]]], Path]:
    """A report, the rows that each run was shown, step by step, and its folder."""
    backbone, folder = tiny(), tmp_path_factory.mktemp("runs")
    seen: list[list[list[int]]] = []

    def note(module: Any, args: Any, kwargs: Any) -> None:
        del args
        if module.training and kwargs["input_ids"].requires_grad is False:
            seen.append(kwargs["input_ids"].tolist())

    handle = backbone.model.bert.embeddings.register_forward_pre_hook(note, with_kwargs=True)
    report = compare(backbone, FOUR, DATA, seeds=2, folder=folder, **FAST)
    handle.remove()
    return report, seen, folder


# The same for each --------------------------------------------------------------------------------------------------------


def test_every_contender_sees_the_same_rows_in_the_same_order(four: Any) -> None:
    _, seen, _ = four
    assert len(seen) == 2 * 4 * 3
    by_run = [seen[at : at + 3] for at in range(0, len(seen), 3)]
    first, second = by_run[:4], by_run[4:]
    assert all(run == first[0] for run in first)
    assert all(run == second[0] for run in second)
    assert first[0] != second[0]


def test_a_run_is_what_training_by_hand_gives(four: Any, tmp_path: Path) -> None:
    report, _, _ = four
    by_hand = tiny()
    torch.manual_seed(1)
    delta = LoraModel(by_hand.model, modified_modules=["query"], lora_r=2)
    delta.freeze_module(exclude=["deltas", "classifier"])
    result = train(by_hand, DATA, seed=1, baseline=False, **FAST)
    run = report.runs.query("name == 'lora query r=2' and seed == 1").iloc[0]
    assert (run["accuracy"], run["loss"], run["lr"]) == (result.metrics["accuracy"], result.metrics["loss"], result.settings["lr"])
    assert run["trainable"] == sum(p.numel() for p in by_hand.model.parameters() if p.requires_grad)
    assert run["file_bytes"] == sum(path.stat().st_size for path in save(delta, tmp_path / "mine").iterdir())


def test_the_losses_of_a_run_are_kept(four: Any) -> None:
    _, _, folder = four
    by_hand = tiny()
    freeze(by_hand.model, ["classifier"])
    result = train(by_hand, DATA, seed=0, baseline=False, **FAST)
    kept = [json.loads(path.read_text()) for path in folder.glob("run-*.json")]
    head = next(one for one in kept if one["name"] == "head" and one["measured"]["seed"] == 0)
    assert head["measured"]["losses"] == pytest.approx(result.history["loss"].tolist(), abs=1e-5)


def test_the_baselines_train_the_head_and_everything(four: Any) -> None:
    report, _, _ = four
    found = report.df.set_index("name")
    model = tiny().model
    assert found.loc["head", "trainable"] == sum(p.numel() for p in model.classifier.parameters())
    assert found.loc["full", "trainable"] == sum(p.numel() for p in model.parameters())
    assert found.loc["full", "file_bytes"] == 4 * found.loc["full", "trainable"]
    assert (found["runs"] == 2).all()
    assert (found["peak_mb"] > 50).all()
    assert (found["step_seconds"] > 0).all()


# Nothing left behind ------------------------------------------------------------------------------------------------------


def test_the_backbone_its_deltas_and_all_else_are_as_before(tmp_path: Path) -> None:
    backbone = tiny()
    model = backbone.model
    three(model)
    inside = LoraModel(model, modified_modules=["key"], name="inside")
    set_merged(inside, wanted=True)
    model.bert.pooler.train()
    before, modes = same_state(model), [module.training for module in model.modules()]
    numbers, config = (torch.get_rng_state(), random.getstate()), model.config.to_dict()
    attached, names = list(deltas(model).items()), label_names_of(model, 2)
    compare(backbone, "adapter prefix prefix_token_num=2 bitfit full head", DATA, seeds=1, folder=tmp_path, **FAST)
    assert_same(same_state(model), before)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), numbers[0])
    assert random.getstate() == numbers[1]
    assert (model.config.to_dict(), list(deltas(model).items()), label_names_of(model, 2)) == (config, attached, names)


def test_flags_and_freezes_of_a_backbone_without_deltas_come_back(tmp_path: Path) -> None:
    backbone = tiny()
    backbone.model.bert.embeddings.requires_grad_(requires_grad=False)
    freeze(backbone.model, ["pooler"])
    before = same_state(backbone.model)
    compare(backbone, "lora r=2 full head", DATA, seeds=1, folder=tmp_path, **FAST)
    assert_same(same_state(backbone.model), before)


def test_what_is_on_the_backbone_does_not_count(tmp_path: Path, counted: Counted) -> None:
    backbone = tiny()
    plain = compare(backbone, "lora r=2", DATA, seeds=1, folder=tmp_path, **FAST)
    three(backbone.model)
    again = compare(backbone, "lora r=2", DATA, seeds=1, folder=tmp_path, **FAST)
    assert counted.count == 1
    anew = compare(backbone, "lora r=2", DATA, seeds=1, folder=tmp_path, restart=True, **FAST)
    assert counted.count == 2
    exact = ["accuracy", "loss", "trainable", "total", "file_bytes"]
    assert plain.runs[exact].equals(again.runs[exact])
    assert plain.runs[exact].equals(anew.runs[exact])


# Nothing done twice -------------------------------------------------------------------------------------------------------


def test_only_what_is_new_is_run(tmp_path: Path, counted: Counted) -> None:
    def runs(candidates: str, **changes: Any) -> int:
        before = counted.count
        compare(tiny(), candidates, DATA, **{**FAST, "folder": tmp_path, "seeds": 1, **changes})
        return counted.count - before

    assert runs("lora r=1,2") == 2
    assert runs("lora r=1,2") == 0
    assert runs("lora r=2,4 bitfit") == 2
    assert runs("lora r=1,2", seeds=[0, 5]) == 2
    assert runs("lora r=1", max_steps=2) == 1
    assert runs("lora r=1", lr=1e-3) == 1
    assert runs("lora r=1", layers="0") == 1
    assert runs("lora r=1", layers="all") == 0
    assert runs("lora r=1", rows=20) == 1
    assert runs("lora r=1", display="terminal") == 0
    assert runs("lora query,value r=1") == 0  # the type's own places, said in words


def test_other_weights_are_another_backbone(tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = compare(tiny(), "lora r=1", DATA, seeds=1, **FAST)
    other = compare(tiny(seed=1), "lora r=1", DATA, seeds=1, **FAST)
    assert counted.count == 2
    assert first.folder != other.folder
    assert {first.folder, other.folder} == {path.as_posix() for path in (tmp_path / "deltanb-runs").relative_to(tmp_path).iterdir()}


class Stopping(Live):
    """Does something at a step of a run."""

    def __init__(self, number: int, act: Any) -> None:
        self.number, self.act, self.seen = number, act, list[ComparisonProgress]()

    def update(self, progress: Any) -> None:
        if progress.number == self.number and progress.run.steps == 2:
            self.number = 0
            self.act()


@pytest.mark.parametrize("how", ["interrupt", "event", "between"])
def test_an_interrupt_keeps_what_is_done_and_the_next_call_goes_on(how: str, tmp_path: Path, counted: Counted) -> None:
    import threading

    backbone, stop = tiny(), threading.Event()
    three(backbone.model)
    before = same_state(backbone.model)
    live = Stopping(2, stop.set if how == "event" else lambda: signal.raise_signal(signal.SIGINT))
    if how == "between":

        def begin(progress: Any) -> None:
            if progress.number == 2:
                signal.raise_signal(signal.SIGINT)

        live.update = begin  # type: ignore[method-assign]
    options = {**FAST, "seeds": 1, "folder": tmp_path}
    report = compare(backbone, "lora r=1 bitfit head", DATA, **{**options, "display": live, "stop": stop})
    assert report.interrupted
    assert [len(one.runs) for one in report.contenders] == [1, 0, 0]
    assert "Stopped after 1 of 3 runs" in report.text()
    assert_same(same_state(backbone.model), before)
    done = counted.count
    whole = compare(backbone, "lora r=1 bitfit head", DATA, **options)
    assert counted.count - done == 2
    assert not whole.interrupted
    assert whole.df["runs"].tolist() == [1, 1, 1]


def test_an_interrupt_before_the_first_run_is_done_says_so(tmp_path: Path) -> None:
    live = Stopping(1, lambda: signal.raise_signal(signal.SIGINT))
    report = compare(tiny(), "lora head", DATA, folder=tmp_path, **{**FAST, "display": live})
    assert report.verdict == "Stopped before the first of 6 runs was done."
    assert report.runs.empty
    assert report.html()


def test_an_error_in_the_middle_leaves_the_backbone_as_it_was(tmp_path: Path) -> None:
    backbone = tiny()
    before = same_state(backbone.model)

    def fail() -> None:
        raise RuntimeError("the display broke")

    with pytest.raises(RuntimeError, match="the display broke"):
        compare(backbone, "lora full", DATA, folder=tmp_path, **{**FAST, "display": Stopping(2, fail)})
    assert_same(same_state(backbone.model), before)


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path: Path, counted: Counted) -> None:
    backbone = tiny()
    before = same_state(backbone.model)
    entries = [{"delta_type": "full", "lr": 1e30}, "head"]
    report = compare(backbone, entries, DATA, seeds=1, folder=tmp_path, **FAST)
    assert [len(one.runs) for one in report.contenders] == [0, 1]
    assert "full lr=1e+30, seed 0: " in report.text()
    assert_same(same_state(backbone.model), before)
    compare(backbone, entries, DATA, seeds=1, folder=tmp_path, **FAST)
    assert counted.count == 3  # what failed is tried again


# The folder ---------------------------------------------------------------------------------------------------------------


def test_a_folder_of_another_backbone_is_refused_before_anything_runs(tmp_path: Path, counted: Counted) -> None:
    compare(tiny(), "head", DATA, seeds=1, folder=tmp_path, **FAST)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = tiny(seed=1)
    before = same_state(other.model)
    with pytest.raises(DeltaError, match=r"another backbone: 'tiny'.*other weights"):
        compare(other, "head", DATA, seeds=1, folder=tmp_path, **FAST)
    with pytest.raises(DeltaError, match=r"another backbone.*another structure"):
        compare(tiny(hidden_size=32), "head", DATA, seeds=1, folder=tmp_path, **FAST)
    assert counted.count == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
    assert_same(same_state(other.model), before)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(DeltaError, match="something else than runs"):
        compare(tiny(), "head", DATA, folder=tmp_path, **FAST)
    with pytest.raises(DeltaError, match="is a file"):
        compare(tiny(), "head", DATA, folder=tmp_path / "thesis.tex", **FAST)
    with pytest.raises(DeltaError, match="cannot be written"):
        compare(tiny(), "head", DATA, folder=tmp_path / "thesis.tex" / "runs", **FAST)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"measured": {"accuracy": "high"}}'])
def test_a_damaged_run_is_done_again_and_that_is_said(content: str, tmp_path: Path, counted: Counted) -> None:
    compare(tiny(), "head", DATA, seeds=1, folder=tmp_path, **FAST)
    path = next(tmp_path.glob("run-*.json"))
    path.write_text(content)
    report = compare(tiny(), "head", DATA, seeds=1, folder=tmp_path, **FAST)
    assert counted.count == 2
    assert any(str(path) in note and "damaged" in note for note in report.notes)
    assert json.loads(path.read_text())["measured"]["seed"] == 0


def test_the_fingerprint_is_of_the_bare_backbone() -> None:
    model, other = tiny().model, tiny(seed=1).model
    before = backbone_facts("x", model)
    three(model)
    assert backbone_facts("x", model) == before
    assert backbone_facts("x", other)["weights"] != before["weights"]
    assert backbone_facts("x", bart())["structure"] != before["structure"]


# Places and options -------------------------------------------------------------------------------------------------------


def test_layers_hold_a_delta_to_some(tmp_path: Path) -> None:
    report = compare(tiny(), "lora r=2 bitfit", DATA, layers=["0", "all"], seeds=1, folder=tmp_path, **FAST)
    found = report.df.set_index("name")
    assert list(found.index) == ["lora r=2 layers 0", "lora r=2", "bitfit layers 0", "bitfit"]
    head = sum(p.numel() for p in tiny().model.classifier.parameters())
    layers = tiny().model.config.num_hidden_layers
    assert (found.loc["lora r=2", "trainable"] - head) == layers * (found.loc["lora r=2 layers 0", "trainable"] - head)
    facts = [json.loads(path.read_text()) for path in tmp_path.glob("run-*.json")]
    hosts = next(one["facts"]["hosts"] for one in facts if one["name"] == "lora r=2 layers 0")
    assert hosts
    assert all(".layer.0." in host for host in hosts)


@pytest.mark.parametrize("kind", sorted(DELTA_TYPES))
def test_every_type_can_be_compared(kind: str, tmp_path: Path) -> None:
    small = {
        "prefix": "embed_dim=8 mid_dim=8",
        "compacter": "reduction_factor=4 hypercomplex_division=2",
        "low_rank_adapter": "reduction_factor=4",
    }.get(kind, "")
    backbone = tiny()
    before = same_state(backbone.model)
    report = compare(backbone, f"{kind} {small}", DATA, seeds=1, folder=tmp_path, **{**FAST, "max_steps": 1})
    assert report.done == 1
    assert not math.isnan(report.contenders[0].accuracy)
    assert_same(same_state(backbone.model), before)


def test_frozen_parts_are_computed_once_for_all_that_share_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    go = Run.go

    def noting(run: Run) -> Any:
        result = go(run)
        kept.append(result.kept)
        return result

    monkeypatch.setattr(Run, "go", noting)
    last = tiny().model.config.num_hidden_layers - 1
    words = f"lora layer.{last}.attention.self.query r=1,2 soft_prompt"
    report = compare(tiny(), words, DATA, seeds=1, folder=tmp_path, cache_frozen=True, **FAST)
    assert kept[0].computed > 0
    assert kept[1].computed == 0
    assert kept[2] is None
    assert any("soft_prompt" in note and "without cache_frozen" in note for note in report.notes)


# How it goes --------------------------------------------------------------------------------------------------------------


class Watching(Live):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, float, float, str]] = []
        self.ended: Any = None

    def update(self, progress: Any) -> None:
        self.seen.append((progress.number, progress.steps, progress.share, progress.left, progress.status))

    def finish(self, result: Any) -> None:
        self.ended = result


def test_progress_covers_the_whole_plan_with_the_time_left(tmp_path: Path) -> None:
    live = Watching()
    compare(tiny(), "head", DATA, seeds=[0], folder=tmp_path, **FAST)
    report = compare(tiny(), "head lora r=1", DATA, seeds=2, folder=tmp_path, **{**FAST, "display": live})
    assert live.ended is report
    assert report.preface == "4 runs, 3 steps each; 1 kept from before."
    numbers, steps = [one[0] for one in live.seen], [one[1] for one in live.seen]
    assert numbers == sorted(numbers)
    assert set(numbers) == {2, 3, 4}
    assert steps == sorted(steps)
    assert steps[-1] == 9
    assert all(0 <= one[2] <= 1 for one in live.seen)
    assert all(one[3] >= 0 for one in live.seen[2:])
    assert "left in all" in live.seen[-1][4]
    assert live.seen[-1][3] < 5


def test_nothing_is_tokenised_where_nothing_runs(tmp_path: Path) -> None:
    compare(tiny(), "head", DATA, seeds=1, folder=tmp_path, **FAST)
    backbone = tiny()
    asked: list[int] = []
    inner = tiny_tokenizer()

    class Tokenizer:
        """Counts."""

        pad_token, pad, get_vocab = inner.pad_token, inner.pad, inner.get_vocab

        def __call__(self, *args: Any, **more: Any) -> Any:
            asked.append(1)
            return inner(*args, **more)

    compare(Tiny(backbone.model, Tokenizer()), "head", DATA, seeds=1, folder=tmp_path, **FAST)
    assert not asked
    compare(Tiny(backbone.model, Tokenizer()), "head lora r=1,2", DATA, seeds=2, folder=tmp_path, **FAST)
    assert len(asked) == 2  # training and held-out rows, once for all runs


def test_the_wrong_is_found_before_anything_runs(tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compare, "Laboratory", None)
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        ("adaptor", {}, "There is no delta type 'adaptor'"),
        ("adapter lorra", {}, "'lorra', behind adapter, is neither a delta type nor"),
        ([{"delta_type": "x"}], {}, "There is no delta type 'x'"),
        ([], {}, "nothing to compare"),
        ([3], {}, "3 cannot be compared"),
        ("lora rank=3", {}, "lora has no option 'rank'"),
        ("lora", {"options": {"bottleneck_dim": 3}}, "No type in this comparison has an option 'bottleneck_dim'"),
        ("lora r=1,0", {}, "lora_r must be"),
        ("lora r=", {}, "lora_r must be"),
        ("lora lr=-1", {}, "lr='-1' is not usable"),
        ("head r=1", {}, "'head' takes no places and no options"),
        ("lora", {"seeds": 0}, "seeds=0"),
        ("lora", {"seeds": []}, r"seeds=\[\]"),
        ("lora", {"seeds": [-1]}, "seed=-1"),
        ("lora", {"seed": 3}, "several seeds"),
        ("lora", {"max_steps": 0}, "max_steps=0"),
        ("lora", {"epoch": 1}, "compare has no option 'epoch'"),
        ("lora", {"layers": "9"}, "no layer 9"),
        ("lora", {"layers": "2-1"}, "says no layers"),
        ("lora", {"layers": "first"}, "'first' says no layers"),
        ("soft_prompt", {"layers": "0"}, "sits in none of the numbered layers"),
        ("lora", {"display": "loud"}, "display='loud'"),
    ]
    backbone = tiny()
    before = same_state(backbone.model)
    for candidates, options, words in wrong:
        with pytest.raises(DeltaError, match=words):
            compare(backbone, candidates, DATA, **{**FAST, "folder": tmp_path / "runs", **options})
    with pytest.raises(DeltaError, match="movie_reviewz"):
        compare(backbone, "lora", "movie_reviewz", folder=tmp_path / "runs", **FAST)
    assert_same(same_state(backbone.model), before)
    assert not (tmp_path / "runs").exists()
    assert counted.count == 0
