"""The training runs of a session, kept to compare the next one with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

from deltanb.reports import Report
from deltanb.reports._html import table, tag
from deltanb.reports._text import columns, number

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from deltanb.training import TrainingResult

__all__ = ["PastRun", "Runs", "what_trains"]

_MOST = 20  # the oldest are forgotten
_HEADER = ["run", "trained", "data", "accuracy", "last loss", "steps", "rate", "time", ""]
_RIGHT = [True, False, False, True, True, True, True, True, False]


@dataclass(frozen=True)
class PastRun:
    """One run, without the model.

    Attributes:
        number: of the run in this session, from 1.
        what: what trained: the deltas' names, ``head alone`` or ``whole model``.
        data: the name of the data.
        settings: every setting.
        history: a row a step, those of the runs that it went on from included.
        metrics: on the held-out rows.
        seconds: how long it took.
        goes_on: the number of the run that it went on from; 0 for none.
        interrupted: whether it was stopped before its end.
        undone: whether it was taken back since.
    """

    number: int
    what: str
    data: str
    settings: dict[str, Any]
    history: pd.DataFrame
    metrics: dict[str, float]
    seconds: float
    goes_on: int = 0
    interrupted: bool = False
    undone: bool = False

    @property
    def label(self) -> str:
        """Number, what trained, how good it was: ``run 1: adapter 0.78``."""
        accuracy = self.accuracy
        shown = "" if math.isnan(accuracy) else f" {accuracy:.2f}"
        notes = [word for word, holds in (("stopped", self.interrupted), ("undone", self.undone)) if holds]
        return f"run {self.number}: {self.what}{shown}" + (f" ({', '.join(notes)})" if notes else "")

    @property
    def accuracy(self) -> float:
        """The last that was measured; NaN if none was."""
        found = self.history["accuracy"].dropna()
        return float(found.iloc[-1]) if len(found) else math.nan


class Runs(Report, Sequence[PastRun]):
    """The runs of a session, oldest first; draws itself as a table.

    Example:
        >>> from deltanb.workbench import Workbench
        >>> bench = Workbench()
        >>> _ = bench.backbone("bert-tiny", random=True)
        >>> rows = [(f"a {word} film {i}", word) for i in range(20) for word in ("good", "bad")]
        >>> _ = bench.train(rows, max_steps=1, batch_size=4, display=False)
        >>> [(run.number, run.what, run.undone) for run in bench.runs]
        [(1, 'whole model', False)]
    """

    def __init__(self, runs: Sequence[PastRun] = (), last: int = 0) -> None:
        self._runs = list(runs)
        self._last = last

    @overload
    def __getitem__(self, at: int) -> PastRun: ...
    @overload
    def __getitem__(self, at: slice) -> list[PastRun]: ...
    def __getitem__(self, at: int | slice) -> PastRun | list[PastRun]:
        return self._runs[at]

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, result: TrainingResult, model: nn.Module, data: str, goes_on: TrainingResult | None) -> int:
        """Keep a run.

        Args:
            result: what it gave.
            model: as it was trained.
            data: the data's name.
            goes_on: the result that it went on from.

        Returns:
            Its number.
        """
        self._last += 1
        before = 0 if goes_on is None else next((run.number for run in self._runs if run.history is goes_on.history), 0)
        found = {"settings": result.settings, "history": result.history, "metrics": result.metrics, "seconds": result.seconds}
        self._runs.append(
            PastRun(self._last, what_trains(model), data, goes_on=before, interrupted=result.interrupted, **found)  # type: ignore[arg-type]
        )
        del self._runs[:-_MOST]
        return self._last

    def marked(self, in_force: set[int]) -> Runs:
        """The same, with what is not in force marked as undone."""
        return Runs([replace(run, undone=run.number not in in_force) for run in self._runs], self._last)

    def beside(self, result: TrainingResult | None) -> list[PastRun]:
        """The runs that a new one can be compared with: all but those that it goes on from, whose curve is the start of its own.

        Args:
            result: what the new run goes on from, if anything.
        """
        own: set[int] = set()
        at = next((run for run in self._runs if result is not None and run.history is result.history), None)
        while at is not None and at.number not in own:
            own.add(at.number)
            at = next((run for run in self._runs if run.number == at.goes_on), None)
        return [run for run in self._runs if run.number not in own]

    def text(self) -> str:
        """The table."""
        return "\n".join(columns([_HEADER, *self._rows()], _RIGHT)).rstrip() if self._runs else "Nothing has been trained yet."

    def html(self) -> str:
        """The same as HTML."""
        return table(_HEADER, self._rows(), _RIGHT) if self._runs else tag("div", "Nothing has been trained yet.")

    def _rows(self) -> list[list[str]]:
        return [_row(run) for run in self._runs]


def _row(run: PastRun) -> list[str]:
    from deltanb.training._words import duration

    accuracy = "" if math.isnan(run.accuracy) else f"{run.accuracy:.3f}"
    loss = f"{run.history['loss'].iloc[-1]:.3f}" if len(run.history) else ""
    notes = [f"after run {run.goes_on}"] * bool(run.goes_on) + ["stopped"] * run.interrupted + ["undone"] * run.undone
    rate = f"{run.settings['lr']:g}"
    return [str(run.number), run.what, run.data, accuracy, loss, number(len(run.history)), rate, duration(run.seconds), ", ".join(notes)]


def what_trains(model: nn.Module) -> str:
    """What trains, in short: the deltas' names, ``head alone`` or ``whole model``."""
    from deltanb.training import trainable_of

    found = trainable_of(model)
    if found.kind == "full":
        return "whole model"
    return " + ".join(delta.name for delta in found.deltas) or "head alone"
