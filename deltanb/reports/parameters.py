"""Where the parameters are and which of them train: a table whose rows add up to the model."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from deltanb._errors import DeltaError
from deltanb.reports._base import Report
from deltanb.reports._count import Line, count_lines, gradient_notes, owned_bytes, shortened, tied_names
from deltanb.reports._html import HUES, Html, address, badge, bar, ink, join, note, table, tag
from deltanb.reports._text import columns, markdown, megabytes, number, percent

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd
    from pandas.io.formats.style import Styler

    from deltanb.structure import Counts, ModuleTree

__all__ = ["ParameterTable"]

By = Literal["module", "type", "delta"]
GROUPS = ("module", "type", "delta")
MOST_TIED = 4
MOST_LINES = 300  # in HTML and Markdown; a saved notebook must stay small


class ParameterTable(Report):
    """Parameters a row: total, trainable, frozen, brought by deltas; each tensor is in exactly one row.

    Args:
        after: the model as it is.
        before: the model as it was; adds what trained then.
        by: a row for each ``module`` (folded), each ``type`` of module, or each ``delta`` and the backbone.
        depth: levels below the root; what lies deeper is counted in the row above it.
        gradients: the parameters that train and receive no gradient, with the reasons, from `deltanb.dead_parameters`: adds a
            column for them. Or a text: why nobody looked.

    Raises:
        DeltaError: an unknown ``by``.

    Example:
        >>> from torch import nn
        >>> from deltanb.structure import snapshot
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        >>> before = snapshot(model)
        >>> _ = model[0].requires_grad_(False)
        >>> table = ParameterTable(snapshot(model), before)
        >>> print(table.summary)
        trainable 10 of 26 (38.4615 %) · before: 26
        >>> table.df[["module", "total", "trainable_before", "trainable"]].values.tolist()
        [['0', 16, 16, 0], ['1', 10, 10, 10]]
    """

    def __init__(
        self,
        after: ModuleTree,
        before: ModuleTree | None = None,
        *,
        by: By = "module",
        depth: int | None = None,
        gradients: Mapping[str, str] | str | None = None,
    ) -> None:
        if by not in GROUPS:
            raise DeltaError(f"A parameter table cannot be grouped by {by!r}.", expected=f"One of: {', '.join(GROUPS)}.")
        self.after = after
        self.before = before
        self.by = by
        self.depth = depth
        self.gradients = gradients

    @cached_property
    def lines(self) -> list[Line]:
        """The rows."""
        return count_lines(self.after, self.before, self.by, self.depth, self._dead or ())

    @property
    def totals(self) -> Counts:
        """Counts of the whole model."""
        return self.after.counts

    @property
    def _dead(self) -> Mapping[str, str] | None:
        """What receives no gradient; None where nobody looked."""
        return None if isinstance(self.gradients, str) else self.gradients

    @property
    def _header(self) -> list[str]:
        first = {"module": ["module", "type"], "type": ["type"], "delta": ["owner"]}[self.by]
        return [*first, "modules", "total", *(["trainable_before"] if self.before else []), *self._trainable, "frozen", "delta"]

    @property
    def _trainable(self) -> list[str]:
        return ["trainable"] if self._dead is None else ["trainable", "no_gradient"]

    def _values(self, line: Line) -> list[str | int]:
        first = [line.key, line.type] if self.by == "module" else [line.key]
        before = [line.before] if self.before else []
        dead = [] if self._dead is None else [line.dead]
        return [*first, line.modules, line.total, *before, line.trainable, *dead, line.total - line.trainable, line.delta]

    @cached_property
    def df(self) -> pd.DataFrame:
        """The rows as a DataFrame, without a totals row: every column of numbers sums to the model's total."""
        import pandas as pd

        return pd.DataFrame([self._values(line) for line in self.lines], columns=self._header)

    @property
    def style(self) -> Styler:
        """`df` as pandas shows it, styled: thousands separators, bars, names as plain text; `to_html` and `to_latex` write it.

        Its style sheet is a ``<style>`` element, which GitHub drops: there the table itself shows more than this view of it.

        Raises:
            DeltaError: Jinja2, which pandas draws this with, is not installed.
        """
        try:
            styler = self.df.style
        except ImportError:
            msg = "pandas styles tables with Jinja2, which is not installed."
            raise DeltaError(msg, expected="The table itself, and .df, need nothing more.", try_="pip install jinja2") from None
        names: list[Hashable] = [title for title in self._header if title not in ("module", "type", "owner", "modules")]
        most = max(self.totals.total, 1)
        styler = styler.format(thousands=",", escape="html", na_rep="").hide(axis="index").set_caption(self.summary)
        for look, titles in (("frozen", ("total", "frozen")), ("trainable", ("trainable_before", "trainable")), ("delta", ("delta",))):
            subset: list[Hashable] = [title for title in names if title in titles]
            # Half-transparent, so that the numbers can be read on them in a dark notebook too.
            styler = styler.bar(subset=subset, color=f"{HUES[look]}66", vmin=0, vmax=most, height=80)
        return styler.set_properties(subset=names, **{"text-align": "right", "font-variant-numeric": "tabular-nums"})

    @property
    def summary(self) -> str:
        """The table in one line."""
        counts = self.totals
        share = counts.trainable / counts.total if counts.total else 0.0
        said = [f"trainable {number(counts.trainable)} of {number(counts.total)} ({percent(share, 4)})"]
        if self.before:
            said.append(f"before: {number(self.before.counts.trainable)}")
        if counts.delta:
            said.append(f"delta {number(counts.delta)}")
        if size := owned_bytes(self.after):
            said.append(f"as a file {megabytes(size, 2)}")
        return " · ".join(said)

    def _totals_row(self) -> list[str | int]:
        counts = self.totals
        before = [self.before.counts.trainable] if self.before else []
        first = ["total", ""] if self.by == "module" else ["total"]
        modules = sum(line.modules for line in self.lines) if self.by == "module" else ""
        dead = [] if self._dead is None else [sum(line.dead for line in self.lines)]
        return [*first, modules, counts.total, *before, counts.trainable, *dead, counts.frozen, counts.delta]

    @property
    def _right(self) -> list[bool]:
        texts = 2 if self.by == "module" else 1
        return [at >= texts for at in range(len(self._header))]

    def text(self) -> str:
        """The table, its totals, and the summary."""
        body = [[_cell(value) for value in self._values(line)] for line in self.lines]
        foot = [_cell(value) for value in self._totals_row()]
        head, *rows = columns([[title.replace("_", " ") for title in self._header], *body, foot], self._right)
        rule = "─" * max(map(len, [head, *rows]))
        return "\n".join([head, rule, *rows[:-1], rule, rows[-1], "", self.summary, *self._notes()])

    def markdown(self) -> str:
        """The table in Markdown, for a model card; a very long one sums up its end."""
        body = [[_cell(value) for value in self._values(line)] for line in shortened(self.lines, MOST_LINES)]
        foot = [_cell(value) for value in self._totals_row()]
        return markdown([title.replace("_", " ") for title in self._header], [*body, foot], self._right)

    def html(self) -> str:
        """The summary, then the table with bars; a module's type stands behind its name."""
        lines = shortened(self.lines, MOST_LINES)
        most = max((line.total for line in lines), default=1) or 1
        # A notebook's output has no room for a column of types beside seven of numbers.
        skip = 2 if self.by == "module" else 1
        titles = [self._header[0], *self._header[skip:]]
        shown = [title.replace("trainable_before", "trained before") for title in titles]
        body = [[_name(line, self.by), *map(_value, titles[1:], self._values(line)[skip:]), _bars(line, most)] for line in lines]
        totals = self._totals_row()
        foot = [_cell(value) for value in (totals[0], *totals[skip:], "")]
        parts = [
            tag("div", self.summary, style="font-weight:bold;margin:4px 0px"),
            table([*shown, "share"], body, [False, *[True] * (len(titles) - 1), False], foot),
        ]
        return tag("div", *parts, *[note(text) for text in self._notes()])

    def _notes(self) -> list[str]:
        """Which tensors receive no gradient, and which stand in no row because they are counted elsewhere."""
        tied = tied_names(self.after)
        shown = "; ".join(f"{name} is {first}" for name, first in tied[:MOST_TIED])
        once = [f"Counted once: {shown}{' …' if len(tied) > MOST_TIED else ''}."] if tied else []
        return [*gradient_notes(self.gradients, trains=bool(self.totals.trainable)), *once]


def _cell(value: str | int) -> str:
    return value if isinstance(value, str) else number(value)


def _name(line: Line, by: str) -> Html:
    if by == "module":
        return join([address(line.key), tag("span", line.type, style=ink("type"))], " ")
    return tag("span", line.key, style=ink("type")) if by == "type" else tag("b", line.key)


def _value(title: str, value: str | int) -> Html:
    if title == "no_gradient" and value:
        return tag("b", f"⚠ {_cell(value)}")
    if title in ("trainable", "delta") and value:
        return badge(_cell(value), title)
    return tag("span", _cell(value), style="opacity:0.75" if value == 0 else "")


def _bars(line: Line, most: int) -> Html:
    own = line.trainable - line.trainable_delta
    parts = [("delta", line.delta), ("trainable", own), ("frozen", line.total - line.delta - own)]
    return bar([(look, size / most) for look, size in parts], width=80)
