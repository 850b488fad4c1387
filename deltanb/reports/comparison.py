"""Several ways to train one backbone, side by side: a table, and accuracy against what it takes."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltanb.reports._base import DrawnLive
from deltanb.reports._html import badge, note, picture, table, tag
from deltanb.reports._pareto import Point, front, pareto_svg, said
from deltanb.reports._text import columns, megabytes, number, percent, plural

if TYPE_CHECKING:
    import pandas as pd

    from deltanb.reports._html import Html

__all__ = ["ComparisonReport", "Contender"]

_HEADER = ["", "trainable", "of all", "file", "a step", "peak memory", "accuracy", "spread", "runs", "front"]
_RIGHT = [False, True, True, True, True, True, True, True, True, False]
_MARK = "*"
_LEGEND = "* on the front: no other is at least as accurate with as few trainable parameters."


@dataclass
class Contender:
    """One way to train, with all its runs.

    Attributes:
        name: type, options, places: what it is called in the table.
        kind: a delta type, ``head`` or ``full``.
        planned: how many runs there are to be, one a seed.
        details: ``patterns``, ``layers``, ``options``, ``lr``.
        runs: what each finished run measured: ``seed``, ``trainable``, ``total``, ``file_bytes``, ``step_seconds``, ``peak_mb``,
            ``accuracy``, ``loss``, ``f1``, ``rows``, ``seconds``.
        failed: seed to the reason, of the runs that ended in an error.

    Example:
        >>> runs = [{"seed": seed, "accuracy": value, "trainable": 10} for seed, value in enumerate((0.70, 0.80))]
        >>> lora = Contender("lora r=4", "lora", 3, runs=runs)
        >>> round(lora.accuracy, 3), round(lora.spread, 3), lora.trainable
        (0.75, 0.071, 10)
    """

    name: str
    kind: str
    planned: int
    details: dict[str, Any] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """The mean over the runs; NaN without one."""
        return self.mean("accuracy")

    @property
    def spread(self) -> float:
        """Standard deviation of the accuracy over the seeds (with n − 1); NaN for fewer than two runs."""
        return statistics.stdev(run["accuracy"] for run in self.runs) if len(self.runs) > 1 else math.nan

    @property
    def trainable(self) -> int:
        """How many parameters train; 0 while no run has told."""
        return int(self.runs[0]["trainable"]) if self.runs else 0

    def mean(self, what: str) -> float:
        """The mean of a measure over the runs that have it; NaN without one."""
        found = [run[what] for run in self.runs if run.get(what) is not None and not math.isnan(run[what])]
        return statistics.fmean(found) if found else math.nan


@dataclass(eq=False, repr=False)
class ComparisonReport(DrawnLive):
    """The comparison. Draws itself as a line, a table and a picture.

    Attributes:
        backbone: its name.
        data: the name of the data.
        contenders: in the order asked for.
        preface: what was said before the first run.
        notes: what a careful colleague would point out.
        interrupted: whether it was stopped before its end.
        folder: where the runs are kept.
        drawn_in: the notebook cell whose live display has ended as this report.

    Example:
        >>> run = {"seed": 0, "trainable": 1000, "total": 50_000, "file_bytes": 4096, "step_seconds": 0.02, "peak_mb": 700.0}
        >>> both = [Contender(name, name, 1, runs=[{**run, "accuracy": value}]) for name, value in (("lora", 0.8), ("adapter", 0.7))]
        >>> ComparisonReport("tiny", "films", both)
        Best: lora, 0.800; 1,000 trainable parameters.
                 trainable  of all    file  a step  peak memory  accuracy  spread  runs  front
        lora         1,000  2.00 %  4.1 kB   20 ms       700 MB     0.800              1  *
        adapter      1,000  2.00 %  4.1 kB   20 ms       700 MB     0.700              1
        * on the front: no other is at least as accurate with as few trainable parameters.
    """

    backbone: str
    data: str
    contenders: list[Contender]
    preface: str = ""
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False
    folder: str = ""
    drawn_in: object = None

    @property
    def done(self) -> int:
        """How many runs are done."""
        return sum(len(one.runs) for one in self.contenders)

    @property
    def planned(self) -> int:
        """How many there are to be."""
        return sum(one.planned for one in self.contenders)

    @property
    def df(self) -> pd.DataFrame:
        """A row a contender.

        Its columns: ``name``, ``type``, ``patterns``, ``layers``, ``options``, ``lr``, ``trainable``, ``total``, ``file_bytes``,
        ``step_seconds``, ``peak_mb``, ``accuracy``, ``spread``, ``runs``, ``planned``, ``front``.
        """
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "name": one.name,
                    "type": one.kind,
                    **one.details,
                    "trainable": one.trainable,
                    "total": int(one.runs[0]["total"]) if one.runs else 0,
                    **{what: one.mean(what) for what in ("file_bytes", "step_seconds", "peak_mb")},
                    "accuracy": one.accuracy,
                    "spread": one.spread,
                    "runs": len(one.runs),
                    "planned": one.planned,
                    "front": best,
                }
                for one, best in zip(self.contenders, self.front(), strict=True)
            ]
        )

    @property
    def runs(self) -> pd.DataFrame:
        """A row a run: ``name``, ``seed`` and all that was measured."""
        import pandas as pd

        return pd.DataFrame([{"name": one.name, **run} for one in self.contenders for run in one.runs])

    def points(self) -> list[Point]:
        """What the picture shows: the contenders with a finished run."""
        return [
            Point(one.name, one.trainable, one.accuracy, 0.0 if math.isnan(one.spread) else one.spread)
            for one in self.contenders
            if one.runs
        ]

    def front(self) -> list[bool]:
        """For each contender whether it is on the front; False for one without a run."""
        found = iter(front(self.points()))
        return [bool(one.runs) and next(found) for one in self.contenders]

    def svg(self) -> str:
        """The picture: accuracy against trainable parameters."""
        return pareto_svg(self.points())

    @property
    def verdict(self) -> str:
        """The best, and how sure that is; or what is still to be done."""
        ranked = sorted((one for one in self.contenders if one.runs), key=lambda one: -one.accuracy)
        if not ranked:
            return f"Stopped before the first of {plural(self.planned, 'run')} was done."
        best = ranked[0]
        words = f"Best: {best.name}, {_mean(best)}; {plural(best.trainable, 'trainable parameter')}."
        close = [one for one in ranked[1:] if _not_apart(best, one)]
        if close:
            least = min(close, key=lambda one: one.trainable)
            words += f" Not clearly better than {', '.join(one.name for one in close[:3])}{', …' if len(close) > 3 else ''}"  # noqa: PLR2004
            words += f"; {least.name} trains only {number(least.trainable)}." if least.trainable < best.trainable else "."
        left = self.planned - self.done - sum(len(one.failed) for one in self.contenders)
        if self.interrupted or left:
            words += f" Stopped after {number(self.done)} of {plural(self.planned, 'run')}; the same line again goes on."
        return words

    def text(self) -> str:
        """Verdict, table, notes."""
        lines = [
            self.verdict,
            *columns([_HEADER, *self.rows()], _RIGHT),
            _LEGEND,
            *self._failures(),
            *(f"Note: {one}" for one in self.notes),
        ]
        return "\n".join([*lines, *([f"Runs are kept in {self.folder}."] if self.folder else [])])

    def html(self) -> str:
        """The same with the picture."""
        head = tag("div", self.verdict, style="font-weight:bold;margin:4px 0px")
        drawn = [picture(self.svg(), f"Accuracy against trainable parameters. {said(self.points())}")] if self.done else []
        notes = [tag("div", badge("note", "partly"), f" {one}", style="margin:4px 0px") for one in [*self._failures(), *self.notes]]
        kept = [note(f"Runs are kept in {self.folder}.")] if self.folder else []
        title = note(f"{self.backbone} on {self.data}. {self.preface}".rstrip())
        return tag("div", head, self.table(), note(_LEGEND), *drawn, *notes, title, *kept)

    def table(self) -> Html:
        """The table alone."""
        return table(_HEADER, self.rows(), _RIGHT)

    def rows(self) -> list[list[str]]:
        """The table's body."""
        return [_cells(one, best=best) for one, best in zip(self.contenders, self.front(), strict=True)]

    def _failures(self) -> list[str]:
        return [f"{one.name}, seed {seed}: {why}" for one in self.contenders for seed, why in one.failed.items()]


def _cells(one: Contender, *, best: bool) -> list[str]:
    runs = str(len(one.runs)) if len(one.runs) == one.planned else f"{len(one.runs)} of {one.planned}"
    if not one.runs:
        return [one.name, *[""] * 7, runs, ""]
    last = one.runs[0]
    share = percent(last["trainable"] / last["total"])
    size = megabytes(round(one.mean("file_bytes")), 2)
    spread = "" if math.isnan(one.spread) else f"±{one.spread:.3f}"
    memory = _or_blank(one.mean("peak_mb"), "{:,.0f} MB")
    step = _step(one.mean("step_seconds"))
    return [one.name, number(one.trainable), share, size, step, memory, f"{one.accuracy:.3f}", spread, runs, _MARK if best else ""]


def _step(seconds: float) -> str:
    return _or_blank(seconds * 1000, "{:,.0f} ms") if seconds < 10 else _or_blank(seconds, "{:,.1f} s")  # noqa: PLR2004


def _or_blank(value: float, form: str) -> str:
    return "" if math.isnan(value) else form.format(value)


def _mean(one: Contender) -> str:
    spread = "" if math.isnan(one.spread) else f" ± {one.spread:.3f} over {len(one.runs)} seeds"
    return f"{one.accuracy:.3f}{spread}"


def _not_apart(best: Contender, other: Contender) -> bool:
    """Whether two means differ by less than two standard errors, of the held-out rows and of the seeds."""
    return best.accuracy - other.accuracy <= 2 * math.hypot(_error(best), _error(other))


def _error(one: Contender) -> float:
    """The standard error of a mean accuracy: the rows are the same for every seed, so they count once."""
    rows = one.runs[0].get("rows", 0)
    chance = one.accuracy * (1 - one.accuracy) / rows if rows else 0.0
    seeds = 0.0 if math.isnan(one.spread) else one.spread**2 / len(one.runs)
    return math.sqrt(chance + seeds)
