"""``%delta compare`` in a real IPython."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from IPython.utils.capture import capture_output

from deltanb.training._run import Run
from deltanb.training._trainer import make_trainer
from tests.test_bad_input import fingerprint, ready, refused
from tests.test_magics import bench_of, model, one_shell, run, shell
from tests.test_magics_completion import offered
from tests.tiny_text import films, light_collections, tiny_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["light_collections", "make_trainer", "model", "one_shell", "ready", "shell"]

SMALL = "--max-steps 2 --batch-size 8 --seeds 1"


@pytest.fixture
def bench(ready: Any) -> Any:
    """The shell of the tests of bad input, with data and a tokenizer for the user's model."""
    ready.user_ns |= {"films": films(60), "words": tiny_tokenizer(), "ranks": [1, 3], "places": ["query", "value"]}
    run(ready, "%delta backbone net --tokenizer {words};")
    run(ready, "%delta attach adapter output.dense bottleneck_dim=2;")
    run(ready, "%delta freeze --exclude deltas classifier;")
    return ready


def compared(shell: Any, line: str) -> Any:
    """The report of a line; what is shown meanwhile is not looked at."""
    with capture_output():
        return run(shell, f"found = %delta compare {line}\nfound")


def test_a_line_compares_and_leaves_the_workbench_as_it_was(bench: Any) -> None:
    before = fingerprint(bench)
    report = compared(bench, f"adapter lora query r=1,2 head --on films {SMALL}")
    assert report.df["name"].tolist() == ["adapter", "lora query r=1", "lora query r=2", "head"]
    assert report.df["runs"].tolist() == [1] * 4
    after = fingerprint(bench)
    code = len(bench_of(bench).steps)
    assert [*after[:2], *after[3:5], *after[7:]] == [*before[:2], *before[3:5], *before[7:]]
    assert code == before[2] + 1  # said in the code, and nothing else
    assert Path(report.folder).parts[0] == "deltanb-runs"


def test_the_code_does_the_same(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    report = compared(bench, f"lora bitfit --r 1,2 --on films {SMALL} --layers 0 all --lr 1e-3 --folder runs")
    line = next(line for line in bench_of(bench).code().splitlines() if line.startswith("comparison = "))
    import deltanb

    monkeypatch.setattr(Run, "go", None)  # all is kept
    space = {"deltanb": deltanb, "backbone": bench_of(bench).backbone_in_use, "films": bench.user_ns["films"]}
    exec(line, space)  # noqa: S102
    again = space["comparison"]
    assert again.df["name"].tolist() == report.df["name"].tolist()  # type: ignore[attr-defined]
    assert again.runs["accuracy"].tolist() == report.runs["accuracy"].tolist()  # type: ignore[attr-defined]


def test_variables_stand_for_values_places_and_data(bench: Any) -> None:
    report = compared(bench, f"lora {{places}} r={{ranks}} --on {{films}} {SMALL}")
    assert report.df["name"].tolist() == ["lora query value r=1", "lora query value r=3"]


def test_without_on_the_data_in_use_are_taken(bench: Any) -> None:
    refused(bench, "%delta compare lora", "needs data", "--on")
    run(bench, "%delta data films;")
    assert compared(bench, f"head {SMALL}").done == 1
    assert "deltanb.compare(backbone, 'head', data, " in bench_of(bench).code()


def test_the_same_line_again_only_shows(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compared(bench, f"head --on films {SMALL}")
    monkeypatch.setattr(Run, "go", None)
    assert compared(bench, f"head --on films {SMALL}").text() == first.text()


def test_what_was_undone_can_still_be_done_again(bench: Any) -> None:
    run(bench, "%delta undo;")
    compared(bench, f"head --on films {SMALL}")
    assert run(bench, "%delta redo").title.startswith("Done again")


LINES: list[tuple[str, tuple[str, ...], str]] = [
    ("adaptor lora --on films", ("'adaptor'", "Nearest: adapter"), "%delta compare adapter"),
    ("adapter lorra --on films", ("'lorra'", "behind adapter", "Nearest: lora"), "%delta help compare"),
    ("adapter head lorra --on films", ("'lorra'", "Nearest: lora"), "%delta compare"),
    ("lora qery --on films", ("'qery'", "Nearest: query"), "%delta match query"),
    ("lora --on movie_reviewz", ("'movie_reviewz'", "movie_reviews"), ""),
    ("lora --on films --seeds 0", ("seeds=0", "from 1"), "--seeds 3"),
    ("lora --on films --seeds -2", ("seeds=-2",), "--seeds 3"),
    ("lora --on films --seeds many", ("--seeds", "whole number", "'many'"), "%delta help compare"),
    ("lora --on films --rang 3", ("'rang'", "lora_r"), "%delta help compare"),
    ("lora rang=3 --on films", ("'rang'", "lora_r"), "%delta help attach lora"),
    ("lora r=4,x --on films", ("lora_r", "'x'"), "%delta help attach lora"),
    ("lora --on films --max-steps 0", ("max_steps=0",), ""),
    ("lora --on films --layers 7", ("no layer 7", "0-1"), "--layers 0-1"),
    ("lora --on films --layers upper", ("'upper'",), "--layers 0-2"),
    ("lora --on films --lr fast", ("'fast'",), "lr=1e-3"),
    ("lora --on films --exclude fc9", ("'fc9'",), "%delta"),
    ("lora r={nothere} --on films", ("'nothere'",), ""),
    ("lora --on {nothere}", ("'nothere'",), ""),
    ("", ("needs a delta type",), "%delta compare adapter"),
    ("--on films", ("needs a delta type",), "%delta compare adapter"),
    ("lora --on films --folder mine", ("'mine'", "something else"), "--folder mine"),
]


@pytest.mark.parametrize(("line", "words", "try_"), LINES, ids=[line for line, _, _ in LINES])
def test_what_is_wrong_is_said_before_anything_runs(
    line: str, words: tuple[str, ...], try_: str, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "go", None)
    error = refused(bench, f"%delta compare {line}", *words)
    assert error.try_.startswith(try_)
    assert not Path("deltanb-runs").exists()


def test_a_run_folder_of_another_backbone_is_refused(bench: Any) -> None:
    compared(bench, f"head --on films --folder runs {SMALL}")
    with torch.no_grad():
        bench_of(bench).model.bert.pooler.dense.weight.add_(0.1)
    error = refused(bench, f"%delta compare head --on films --folder runs {SMALL}", "runs of another backbone", "other weights")
    assert error.try_.startswith("--folder runs-")


def test_without_a_backbone_it_says_what_comes_first(shell: Any) -> None:
    refused(shell, "%delta compare lora --on movie_reviews", "no backbone yet")


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("compare ", ["adapter", "lora", "head", "full"]),
        ("compare adapter lo", ["lora", "low_rank_adapter"]),
        ("compare adapter que", ["query"]),
        ("compare adapter lora lora", ["lora", "lora_r=", "lora_alpha="]),
        ("compare lora --on mov", ["movie_reviews"]),
        ("compare lora --on fil", ["films"]),
        ("compare adapter lora --", ["--bottleneck-dim", "--lora-r", "--on", "--seeds", "--layers", "--folder", "--as"]),
        ("compare lora --layers ", ["all"]),
    ],
)
def test_completion(line: str, some: list[str], bench: Any) -> None:
    found = offered(bench, f"%delta {line}")
    assert set(some) <= set(found)
    assert len(found) == len(set(found))


def test_help(shell: Any, golden: Callable[[str, str], None]) -> None:
    golden("help-compare.txt", run(shell, "%delta help compare").text() + "\n")


def test_a_notebook_ends_with_the_report_in_the_live_area(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from deltanb.training import _display

    shown: list[str] = []
    monkeypatch.setattr(_display, "in_notebook", lambda: True)
    monkeypatch.setattr(_display, "_INTERVAL", 0.0)  # however quick the machine is
    monkeypatch.setattr(_display.OutputArea, "_show", lambda _, bundle: shown.append(bundle["text/html"]))
    report = compared(bench, f"lora head --on films {SMALL}")
    assert "about to start" in shown[0]
    assert any("run 2 of 2: head, seed 0" in html and "lora" in html for html in shown)
    assert shown[-1] == report.html()


def test_the_stop_button_keeps_what_is_done_and_shows_it(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before, go, count = fingerprint(bench), Run.go, [0]

    def stopping(one: Run) -> Any:
        count[0] += 1
        if count[0] == 2:
            one.on_step = lambda _: signal.raise_signal(signal.SIGINT)
        return go(one)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "go", stopping)
        report = compared(bench, f"head lora full --on films {SMALL}")
    assert report.interrupted
    assert report.df["runs"].tolist() == [1, 0, 0]
    after = fingerprint(bench)
    assert [*after[:2], *after[7:]] == [*before[:2], *before[7:]]
    assert compared(bench, f"head lora full --on films {SMALL}").df["runs"].tolist() == [1, 1, 1]
    assert count[0] == 2
