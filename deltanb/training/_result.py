"""What a training run gives back: numbers, history, and a picture that stays in the saved notebook."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb.reports._base import DrawnLive, cell_now
from deltanb.reports._html import note, picture, table, tag
from deltanb.reports._text import columns, number
from deltanb.reports.curve import Curve, curve_svg, sparkline
from deltanb.training._words import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from deltanb.training._baseline import Baseline
    from deltanb.training._frozen import Kept

__all__ = ["COLUMNS", "TrainingResult", "cell_now"]

COLUMNS = ["step", "epoch", "loss", "lr", "accuracy", "seconds"]


@dataclass(eq=False, repr=False)
class TrainingResult(DrawnLive):
    """One training run. Draws itself as a line, a picture and a small table.

    Attributes:
        metrics: ``accuracy``, ``loss``, ``rows``, ``majority``, ``f1``, ``f1_…`` on the held-out rows after the run; ``accuracy``
            is NaN if they were not measured.
        history: a DataFrame, a row a step: ``step``, ``epoch``, ``loss``, ``lr``, ``accuracy`` (NaN where not measured),
            ``seconds`` since the start; goes on where the result given as ``resume`` ended.
        settings: every setting, defaults resolved.
        seconds: how long it took, runs before included.
        steps: steps of this run.
        steps_total: with those of the runs before.
        planned: steps that this run was meant to have.
        interrupted: whether it was stopped before its end.
        levels: accuracies to compare with (the head alone, the commonest class).
        preface: what was said before it started.
        verdict: what there is to say after it.
        label_names: the classes.
        baseline: what the head alone reaches, if that is known.
        kept: what ``cache_frozen`` did; None without it.
        drawn_in: the notebook cell whose live display has ended as this result.
    """

    metrics: dict[str, float]
    history: pd.DataFrame
    settings: dict[str, Any]
    seconds: float
    steps: int
    steps_total: int
    planned: int
    interrupted: bool
    levels: Mapping[str, float]
    preface: str
    verdict: str
    label_names: list[str]
    baseline: Baseline | None = None
    kept: Kept | None = None
    drawn_in: object = None

    @property
    def accuracy(self) -> float:
        """Accuracy on the held-out rows; NaN if it was not measured."""
        return self.metrics["accuracy"]

    def records(self) -> list[dict[str, float]]:
        """The history as plain rows."""
        columns = {name: self.history[name].tolist() for name in COLUMNS}
        return [dict(zip(COLUMNS, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def svg(self) -> str:
        """The picture: loss by step, accuracy beside it."""
        measured = self.history.dropna(subset="accuracy")
        points = list(zip(measured["step"].tolist(), measured["accuracy"].tolist(), strict=True))
        ahead = self.planned - self.steps if self.interrupted else 0
        return curve_svg(Curve(self.history["loss"].tolist(), points, self.levels, self.steps_total + ahead))

    def text(self) -> str:
        """Preface, loss as a sparkline, the table, verdict."""
        losses = self.history["loss"].tolist()
        spark = [f"loss {losses[0]:.3f} {sparkline(losses)} {losses[-1]:.3f}"] if losses else []
        lines = [self.preface, *spark, *columns(self.rows(), [False, True]), self.verdict]
        return "\n".join(line for line in lines if line)

    def html(self) -> str:
        """The same with the picture."""
        head = tag("div", self.verdict, style="font-weight:bold;margin:4px 0px")
        drawn = [picture(self.svg(), f"Loss and accuracy by step. {self.verdict}")] if self.steps_total else []
        return tag("div", head, *drawn, table(["", "value"], self.rows(), [False, True]), note(self.preface))

    def rows(self) -> list[list[str]]:
        """Label and value, for a table."""
        found = [("accuracy", "not measured" if math.isnan(self.accuracy) else f"{self.accuracy:.3f}")]
        found += [(name, f"{value:.3f}") for name, value in self.levels.items()]
        found += [(f"{name}, held-out rows", f"{self.metrics[name]:.3f}") for name in ("loss", "f1") if name in self.metrics]
        before = f" (this run {number(self.steps)})" if self.steps_total > self.steps else ""
        found += [("steps", number(self.steps_total) + before), ("learning rate", f"{self.settings['lr']:g}")]
        found += [("frozen part", str(self.kept))] if self.kept else []
        return [list(row) for row in [*found, ("time", duration(self.seconds))]]
