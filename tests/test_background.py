"""Training in the background: the workbench while it runs, stopping, waiting, failing, undoing; the runs of a session."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb._errors import DeltaError
from deltanb._quiet import quiet
from deltanb.training import Live
from deltanb.workbench import BackgroundRun, Workbench
from tests.test_workbench import ROWS, fresh, logits
from tests.tiny_text import light_collections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deltanb.training import Progress

__all__ = ["light_collections"]
FAST: dict[str, Any] = {"batch_size": 8, "baseline": False, "display": False}
LONG = {**FAST, "max_steps": 5000}


class Gate(Live):
    """A display that holds the run at its first step until it is opened, and notes what it was shown."""

    def __init__(self) -> None:
        self.reached, self.released = threading.Event(), threading.Event()
        self.seen: list[str] = []

    def open(self) -> None:
        self.seen.append(f"open in {threading.current_thread() is threading.main_thread()}")

    def update(self, progress: Progress) -> None:
        if progress.steps:
            self.reached.set()
            self.released.wait(20)

    def finish(self, result: Any) -> None:
        self.seen.append(f"finish {result.steps}")

    def fail(self, error: BaseException) -> None:
        self.seen.append(f"fail {error}")


@pytest.fixture
def bench() -> Iterator[Workbench]:
    made = Workbench()
    fresh(made)
    made.attach("adapter", ["output.dense"], bottleneck_dim=2)
    made.freeze(["deltas", "classifier"])
    made.data(ROWS)
    yield made
    if made.training is not None:
        made.training.stop()
        assert made.training.ended_within(20)


def at_work(bench: Workbench, **options: Any) -> tuple[BackgroundRun, Gate]:
    """A run that has done its first step and stands still."""
    gate = Gate()
    run = bench.train(background=True, **{**FAST, "max_steps": 4, **options, "display": gate})
    assert isinstance(run, BackgroundRun)
    assert gate.reached.wait(20)
    return run, gate


def test_a_run_in_the_background_is_the_same_run(bench: Workbench) -> None:
    before, random = logits(bench), torch.get_rng_state()
    here = bench.train(max_steps=4, **FAST)
    learned, code = logits(bench), bench.code()
    bench.undo()
    run = bench.train(max_steps=4, background=True, **FAST)
    there = run.wait(60)
    assert there.history["loss"].tolist() == here.history["loss"].tolist()
    assert torch.equal(logits(bench), learned)
    assert (bench.result, run.result, run.error, run.done) == (there, there, None, True)
    assert bench.code() == code
    assert torch.equal(torch.get_rng_state(), random)
    for wanted in (before, learned):
        (bench.undo if wanted is before else bench.redo)()
        assert torch.equal(logits(bench), wanted)


def test_it_returns_at_once_and_says_where_it_is(bench: Workbench) -> None:
    run, gate = at_work(bench)
    assert not run.done
    assert run.result is None
    assert "step 1 of 4" in repr(run)
    assert "%delta stop" in repr(run)
    assert set(run._repr_mimebundle_()) == {"text/plain", "text/html"}
    with pytest.raises(DeltaError, match="not done yet") as caught:
        run.wait(0.01)
    assert "%delta stop" in caught.value.try_
    gate.released.set()
    result = run.wait(60)
    assert repr(run) == repr(result)
    assert gate.seen == ["open in True", "finish 4"]


CHANGING: dict[str, Callable[[Workbench], object]] = {
    "attach": lambda bench: bench.attach("lora", ["query"]),
    "detach": lambda bench: bench.detach("adapter"),
    "remove": lambda bench: bench.remove("adapter"),
    "freeze": lambda bench: bench.freeze(["deltas"]),
    "unfreeze": lambda bench: bench.unfreeze(),
    "data": lambda bench: bench.data(ROWS[:20]),
    "train": lambda bench: bench.train(max_steps=1, **FAST),
    "train aside": lambda bench: bench.train(max_steps=1, background=True, **FAST),
    "evaluate": lambda bench: bench.evaluate(),
    "predict": lambda bench: bench.predict("a film"),
    "save": lambda bench: bench.save("nowhere-at-all"),
    "undo": lambda bench: bench.undo(),
    "redo": lambda bench: bench.redo(),
    "backbone": fresh,
}


def test_what_changes_or_uses_the_model_has_to_wait_and_is_told_the_way_out(bench: Workbench) -> None:
    run, gate = at_work(bench)
    steps = list(bench.steps)
    for verb, act in CHANGING.items():
        with pytest.raises(DeltaError, match=r"has to wait: training goes on in the background \(step 1 of 4") as caught:
            act(bench)
        assert "%delta stop" in caught.value.try_, verb
        assert "%delta wait" in caught.value.try_
    assert bench.steps == steps
    gate.released.set()
    assert run.wait(60).steps == 4
    assert bench.undo().title == "Undone: train."


def test_looking_works_meanwhile_or_says_why_not(bench: Workbench) -> None:
    plain = bench.graph(picture=False).text()
    _, gate = at_work(bench)
    assert bench.graph(picture=False).text() == plain
    assert "has to wait" in bench.params().text()
    assert "output.dense" in bench.match(["output.dense"]).text()
    assert "goes on in the background" in bench.code()
    compile(bench.code(), "script", "exec")
    gate.released.set()
    bench.wait()
    assert "background" not in bench.code()


def test_stop_keeps_what_was_learned(bench: Workbench) -> None:
    before = logits(bench)
    run = bench.train(background=True, **LONG)
    while run.progress.steps < 3:
        time.sleep(0.005)
    started = time.monotonic()
    outcome = bench.stop()
    assert time.monotonic() - started < 2
    assert outcome.title.startswith("Stopped after")
    assert run.done
    assert run.result.interrupted
    assert 3 <= run.result.steps < 5000
    assert not torch.equal(logits(bench), before)
    assert bench.stop().title.startswith("Nothing is training")
    assert not bench.model.training
    bench.undo()
    assert torch.equal(logits(bench), before)


def test_stop_reaches_the_measuring_too(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute on held-out rows is no reason to wait for half a minute."""
    from deltanb.training import _run

    real, counted = _run.logits_of, []

    def slowly(subject: Any, encoded: Any, on_rows: Any) -> Any:
        def batch(done: int) -> None:
            counted.append(done)
            bench.training.stop()
            on_rows(done)

        return real(subject, encoded, 1, batch)

    monkeypatch.setattr(_run, "logits_of", slowly)
    result = bench.train(background=True, max_steps=2, **FAST).wait(60)
    assert counted == [1]
    assert result.verdict.startswith("All 2 steps are done and kept")


def test_stop_before_the_first_step_changes_nothing(bench: Workbench) -> None:
    before, stop = logits(bench), threading.Event()
    stop.set()
    result = bench.train(background=True, stop=stop, **LONG).wait(60)
    assert (result.steps, result.interrupted) == (0, True)
    assert torch.equal(logits(bench), before)


def test_what_can_be_known_beforehand_is_refused_in_the_cell(bench: Workbench) -> None:
    with pytest.raises(DeltaError, match="lr=-1"):
        bench.train(background=True, lr=-1.0)
    bench.freeze([])
    with pytest.raises(DeltaError, match=r"Nothing in .* trains"):
        bench.train(background=True)
    assert bench.training is None
    bench.freeze(["deltas"])


@pytest.mark.parametrize("error", [DeltaError("It went wrong."), RuntimeError("no space left"), KeyboardInterrupt()], ids=repr)
def test_an_error_in_the_thread_is_shown_raised_and_leaves_everything_as_it_was(bench: Workbench, error: BaseException) -> None:
    before, steps = logits(bench), len(bench.steps)
    gate = Gate()
    gate.released.set()

    def fail(row: dict[str, float]) -> None:
        if row["step"] == 2:
            raise error

    run = bench.train(background=True, on_step=fail, **{**FAST, "max_steps": 4, "display": gate})
    assert run.ended_within(60)
    if isinstance(error, KeyboardInterrupt):  # an interrupt is a stop, here as anywhere
        assert run.wait().steps == 2
        return
    with pytest.raises(DeltaError) as caught:
        run.wait()
    assert str(error) in str(caught.value)
    assert str(error) in repr(run)
    assert gate.seen[-1] == f"fail {run.error}"
    assert torch.equal(logits(bench), before)
    assert len(bench.steps) == steps
    assert len(bench.runs) == 0
    assert bench.train(max_steps=1, **FAST).steps == 1


def test_an_interrupt_while_waiting_leaves_the_run_going(bench: Workbench) -> None:
    run, gate = at_work(bench)
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
    timer.start()
    with pytest.raises(DeltaError, match="Waiting was interrupted; training goes on"):
        run.wait(20)
    assert not run.done
    gate.released.set()
    assert run.wait(60).steps == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_display_that_breaks_does_not_break_the_run(bench: Workbench) -> None:
    class Broken(Live):
        def update(self, progress: Progress) -> None:
            message = f"no front end at step {progress.steps}"
            raise ConnectionError(message)

    run = bench.train(background=True, **{**FAST, "max_steps": 3, "display": Broken()})
    assert run.wait(60).steps == 3
    assert "no front end" in run.notes[0]


def test_a_run_that_cannot_be_shown_does_not_start(bench: Workbench) -> None:
    class Broken(Live):
        def open(self) -> None:
            raise ConnectionError

    before, code = logits(bench), bench.code()
    with pytest.raises(ConnectionError):
        bench.train(background=True, **{**FAST, "display": Broken()})
    assert (bench.training, bench.code()) == (None, code)
    assert torch.equal(logits(bench), before)
    assert bench.train(max_steps=1, **FAST).steps == 1


def test_measuring_is_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    from deltanb.training import Progress, _progress

    clock = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: clock[0])
    progress = Progress(end=4)
    progress.begin()
    clock[0] = 2.0
    with progress.during("measuring", 10, Live()):
        clock[0] = 10.0
    progress.step({"step": 1, "loss": 1.0, "lr": 0.1, "accuracy": 0.5, "seconds": 10.0}, texts=8, share=0.25, after=0.0)
    assert (progress.rate, progress.left) == (4.0, 30.0)


def test_a_run_cannot_wait_for_itself(bench: Workbench) -> None:
    said: list[str] = []

    def waits(_: object) -> None:
        try:
            bench.wait()
        except DeltaError as error:
            said.append(error.what)

    bench.train(background=True, max_steps=1, on_step=waits, **FAST).wait(60)
    assert said == ["A run cannot wait for itself."]


def test_waiting_for_nothing_says_so() -> None:
    with pytest.raises(DeltaError, match="Nothing has been trained in the background"):
        Workbench().wait()


SCRIPT = """
from deltanb.workbench import Workbench
bench = Workbench()
bench.backbone("bert-tiny", random=True)
rows = [(f"a {w} film {i}", w) for i in range(40) for w in ("good", "bad")]
run = bench.train(rows, background=True, batch_size=4, max_steps=100000, baseline=False)
while run.progress.steps < 2:
    pass
print("the end of the script")
"""


@pytest.mark.slow
def test_a_script_that_ends_stops_its_run_and_says_so() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=False, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the end of the script\n"
    assert done.stderr.strip() == "Training in the background was stopped as the program ended; run.wait() waits for it."


def test_silence_in_one_thread_is_not_silence_in_another() -> None:
    inside, leave = threading.Event(), threading.Event()

    def hushed() -> None:
        with quiet():
            warnings.warn("from the thread", stacklevel=1)
            inside.set()
            leave.wait(20)

    from transformers.utils import logging

    level, filters = logging.get_verbosity(), list(warnings.filters)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        thread = threading.Thread(target=hushed)
        thread.start()
        inside.wait(20)
        with quiet():
            pass
        assert logging.get_verbosity() == logging.ERROR
        warnings.warn("from here", stacklevel=1)
        leave.set()
        thread.join()
    assert [str(warning.message) for warning in said] == ["from here"]
    assert (logging.get_verbosity(), list(warnings.filters)) == (level, filters)


# The runs of a session ---------------------------------------------------------------------------------------------------


def test_runs_are_kept_named_and_marked_when_undone(bench: Workbench) -> None:
    bench.train(max_steps=2, **FAST)
    bench.train(max_steps=1, **FAST)
    bench.train(max_steps=2, restart=True, background=True, **FAST).wait(60)
    first, second, third = bench.runs
    assert [run.number for run in bench.runs] == [1, 2, 3]
    assert [run.goes_on for run in bench.runs] == [0, 1, 0]
    assert [len(run.history) for run in bench.runs] == [2, 3, 2]
    assert first.label == f"run 1: adapter {first.metrics['accuracy']:.2f}"
    assert (second.data, second.settings["batch_size"]) == (bench.data().name, 8)
    assert not third.undone
    bench.undo()
    assert [run.undone for run in bench.runs] == [False, False, True]
    assert "(undone)" in bench.runs[2].label
    assert "undone" in repr(bench.runs)
    bench.redo()
    assert not bench.runs[2].undone


def test_a_run_is_not_compared_with_its_own_beginning(bench: Workbench) -> None:
    bench.train(max_steps=1, **FAST)
    bench.train(max_steps=1, restart=True, **FAST)
    bench.train(max_steps=1, **FAST)
    assert [run.number for run in bench.runs.beside(bench.result)] == [1]
    assert [run.number for run in bench.runs.beside(None)] == [1, 2, 3]


def test_only_the_latest_runs_are_kept(bench: Workbench) -> None:
    result = bench.train(max_steps=1, **FAST)
    for _ in range(30):
        bench._runs.add(result, bench.model, "films", goes_on=None)
    assert (len(bench.runs), bench.runs[-1].number) == (20, 31)


def test_a_run_without_a_delta_says_what_trained(bench: Workbench) -> None:
    bench.detach("adapter")
    bench.freeze(["classifier"])
    bench.train(max_steps=1, **FAST)
    bench.unfreeze()
    bench.train(max_steps=1, **FAST)
    assert [run.what for run in bench.runs] == ["head alone", "whole model"]


def test_views_of_the_workbench_follow_a_run_in_the_background(bench: Workbench, caplog: pytest.LogCaptureFixture) -> None:
    from deltanb.widgets import Explorer, ParameterView

    explorer, table = Explorer(bench, pattern="output.dense"), ParameterView(bench)
    run, gate = at_work(bench)
    assert explorer.answer("freeze", {"exclude": ["deltas"]})["error"]["what"]  # the run has the model
    gate.released.set()
    run.wait(60)
    assert "%delta train" in str(explorer.done)  # told from the run's own thread
    bench.freeze(["deltas"])
    assert table.rows["totals"][2] == sum(p.numel() for p in bench.model.parameters() if p.requires_grad)
    assert not caplog.records
