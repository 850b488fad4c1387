"""The training monitor: where a run is, its curve beside those of earlier runs, and a button that stops it."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any

import traitlets

from deltanb._errors import DeltaError
from deltanb.reports import Outcome
from deltanb.reports.curve import running_mean, thinned
from deltanb.training import Live
from deltanb.training._result import cell_now
from deltanb.widgets._base import DeltaWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.reports import Report
    from deltanb.training import Progress, TrainingResult
    from deltanb.workbench import PastRun

__all__ = ["MonitorLive", "TrainingMonitor"]

_INTERVAL = 0.34  # seconds between two messages to the browser
_MOST_POINTS = 399  # of a curve, and the last
_MOST_EARLIER = 4  # runs to compare with: more lines than that nobody tells apart
_EARLIER_POINTS = 150


def _list() -> Any:
    return traitlets.List().tag(sync=True)


def _number(default: float = 0.0) -> Any:
    return traitlets.Float(default).tag(sync=True)


def _text() -> Any:
    return traitlets.Unicode().tag(sync=True)


class TrainingMonitor(DeltaWidget):
    """Shows one training run while it goes on, and how it ended.

    Args:
        earlier: runs to compare with, oldest first; the latest four are shown.
        title: what trains, on what.
        stoppable: whether its *Stop* can reach Python: while a cell runs, no button can.

    Attributes:
        status: ``waiting``, ``running``, ``stopping``, ``finished``, ``stopped`` or ``failed``.
        phase: what is being done, if it is not a training step.
        share: of the present phase that is done.
        steps: steps done.
        end: the step at which it will be done.
        losses: [step, loss, running mean] of at most 400 steps.
        rates: [step, learning rate], as many.
        accuracies: [step, accuracy on the held-out rows].
        levels: accuracies to compare with, by what they are.
        throughput: texts a second; 0 while unknown.
        memory: megabytes: ``now``, ``peak``, and ``gpu`` where there is one.
        left: seconds to go; negative while unknown.
        seconds: seconds gone.
        runs: earlier runs: ``label``, ``number``, ``losses``, ``accuracies``.
        preface: what was said before the start.
        verdict: what there is to say at the end.
        table: label and value, at the end.
        problem: the four parts of an error; empty without one.
        running: whether it goes on.
        finished: whether it has ended, in whatever way.
        stop: set when *Stop* was pressed.
        result: what the run gave.

    Example:
        >>> monitor = TrainingMonitor(title="adapter")
        >>> monitor.status, monitor.running, monitor.stop.is_set()
        ('waiting', False, False)
        >>> monitor.answer("stop", {})["ok"], monitor.stop.is_set()
        (True, True)
    """

    file_stem = "monitor"

    status = traitlets.Unicode("waiting").tag(sync=True)
    title, phase, preface, verdict = _text(), _text(), _text(), _text()
    steps, end = traitlets.Int(0).tag(sync=True), traitlets.Int(0).tag(sync=True)
    share, throughput, left, seconds = _number(), _number(), _number(-1.0), _number()
    losses, rates, accuracies, runs, table = _list(), _list(), _list(), _list(), _list()
    levels = traitlets.Dict().tag(sync=True)
    memory = traitlets.Dict().tag(sync=True)
    problem = traitlets.Dict().tag(sync=True)
    running = traitlets.Bool(default_value=False).tag(sync=True)
    finished = traitlets.Bool(default_value=False).tag(sync=True)
    stoppable = traitlets.Bool(default_value=True).tag(sync=True)

    def __init__(self, earlier: Sequence[PastRun] = (), **traits: Any) -> None:
        super().__init__(runs=[_drawn(run) for run in list(earlier)[-_MOST_EARLIER:]], **traits)
        self.stop = threading.Event()
        self.result: TrainingResult | None = None

    def on_stop(self) -> None:
        """End the run after the present step.

        Raises:
            DeltaError: it has ended already, or no button can reach it.
        """
        if self.finished:
            raise DeltaError("This run has ended already.")
        if not self.stoppable:
            raise DeltaError("This run holds the kernel.", expected="Interrupt the kernel: what was learned is kept.")
        self.stop.set()
        self.status = "stopping"

    def show(self, progress: Progress) -> None:
        """Take over where the run is."""
        steps = range(progress.steps - len(progress.losses) + 1, progress.steps + 1)
        means = running_mean(progress.losses)
        with self.hold_sync():
            self.status = "stopping" if self.stop.is_set() else "running"
            self.running = True
            self.preface, self.phase, self.share = progress.preface, progress.phase, round(progress.share, 4)
            self.steps, self.end = progress.steps, progress.end
            self.losses = [_rounded(row) for row in thinned(list(zip(steps, progress.losses, means, strict=True)), _MOST_POINTS)]
            self.rates = [_rounded(row) for row in thinned(list(zip(steps, progress.learning_rates, strict=True)), _MOST_POINTS)]
            self.accuracies = [_rounded(row) for row in progress.accuracies]
            self.levels = dict(progress.levels)
            self.throughput, self.left, self.seconds = (round(value, 1) for value in (progress.rate, progress.left, progress.seconds))
            self.memory = _memory(progress)

    def show_result(self, result: TrainingResult) -> None:
        """The run has ended: by itself, or stopped."""
        self.result = result
        records = result.records()
        measured = [(int(row["step"]), row["accuracy"]) for row in records if not math.isnan(row["accuracy"])]
        means = running_mean([row["loss"] for row in records])
        points = [(int(row["step"]), row["loss"], mean) for row, mean in zip(records, means, strict=True)]
        with self.hold_sync():
            self.status = "stopped" if result.interrupted else "finished"
            self.running, self.finished, self.phase = False, True, ""
            self.losses = [_rounded(row) for row in thinned(points, _MOST_POINTS)]
            self.rates = [_rounded((int(row["step"]), row["lr"])) for row in thinned(records, _MOST_POINTS)]
            self.accuracies = [_rounded(row) for row in measured]
            self.steps = result.steps_total
            self.end = result.steps_total + (result.planned - result.steps if result.interrupted else 0)
            self.levels, self.preface, self.verdict = dict(result.levels), result.preface, result.verdict
            self.table, self.seconds, self.left = result.rows(), round(result.seconds, 1), 0.0
            self.share = round(result.steps / max(1, result.planned), 4)

    def show_error(self, error: BaseException) -> None:
        """The run has ended in an error."""
        said = error if isinstance(error, DeltaError) else DeltaError(f"Training failed: {type(error).__name__}: {error}")
        with self.hold_sync():
            self.status, self.running, self.finished, self.phase, self.left = "failed", False, True, "", -1.0
            self.problem = {"what": said.what, "expected": said.expected, "nearest": said.nearest, "try_": said.try_}

    def static_form(self) -> Report:
        """The result, or while there is none, where the run is."""
        if self.result is not None:
            return self.result
        where = f"step {self.steps:,} of {self.end:,}" if self.end else "about to start"
        why = {"why": self.problem["what"]} if self.problem else {}
        return Outcome(f"Training: {self.status}.", {"at": where, **why})


class MonitorLive(Live):
    """Feeds a monitor, and leaves the plain result in an output of its own.

    Args:
        monitor: the widget.
    """

    def __init__(self, monitor: TrainingMonitor) -> None:
        self.monitor = monitor
        self._handle: Any = None
        self._cell: object = None
        self._sent = -_INTERVAL

    def open(self) -> None:
        """Display the widget, and under it a line that will be the result."""
        from IPython.display import display

        self._cell = cell_now()
        display(self.monitor)  # type: ignore[no-untyped-call]
        self._handle = display(_folded("The result stands here when the run has ended."), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def start(self, progress: Progress) -> None:
        """The preface is known."""
        if self._handle is None:
            self.open()
        self._show(progress)

    def update(self, progress: Progress) -> None:
        """A step is done."""
        if time.monotonic() - self._sent >= _INTERVAL:
            self._show(progress)

    def finish(self, result: TrainingResult) -> None:
        """The run has ended, by itself or stopped."""
        self.monitor.show_result(result)
        if self._handle is not None:
            self._handle.update(_folded(result.verdict, result), raw=True)
            result.drawn_in = self._cell

    def fail(self, error: BaseException) -> None:
        """The run has ended in an error."""
        self.monitor.show_error(error)
        if self._handle is not None:
            self._handle.update(_folded("Training did not finish."), raw=True)

    def _show(self, progress: Progress) -> None:
        self._sent = time.monotonic()
        self.monitor.show(progress)


def _folded(line: str, result: Report | None = None) -> dict[str, Any]:
    """One line, and behind it the result: the widget above shows the same as long as there is a kernel."""
    from deltanb.reports._html import Html, note, tag

    if result is None:
        return {"text/plain": line, "text/html": str(note(line))}
    head = tag("summary", f"{line} (table and picture)", style="cursor:pointer;font-size:13px")
    return {"text/plain": result.text(), "text/html": str(tag("details", head, Html(result.html())))}


def _drawn(run: PastRun) -> dict[str, Any]:
    rows = run.history
    steps = [int(step) for step in rows["step"]]
    means = running_mean(rows["loss"].tolist())
    measured = [[step, round(value, 4)] for step, value in zip(steps, rows["accuracy"].tolist(), strict=True) if not math.isnan(value)]
    losses = [_rounded(row) for row in thinned(list(zip(steps, means, strict=True)), _EARLIER_POINTS)]
    return {"number": run.number, "label": run.label, "losses": losses, "accuracies": measured}


def _rounded(row: Sequence[float]) -> list[float]:
    return [row[0], *(float(f"{value:.4g}") for value in row[1:])]


def _memory(progress: Progress) -> dict[str, float]:
    found = {"now": progress.memory, "peak": progress.peak, **({"gpu": progress.gpu} if progress.gpu else {})}
    return {name: round(value, 1) for name, value in found.items()}
