"""What a delta has learned: how much it changes each module, and what that does to sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltanb.reports._base import Report
from deltanb.reports._text import columns, plural
from deltanb.reports.curve import sparkline

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["AnatomyReport", "AnatomyRow", "Comparison", "Group", "figure", "grouped", "shortened"]

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
_SHOWN_TEXT = 60  # characters of a sentence in plain text
_SHOWN_LABELS = 3
_TINY, _LARGE = 0.01, 1000
_TITLES = ["", "‖ΔW‖", "‖ΔW‖/‖W‖", "moved", "eff. rank", "first", "singular values"]


@dataclass(frozen=True)
class AnatomyRow:
    """One module.

    Attributes:
        name: of the module.
        type: its class.
        change: ‖ΔW‖, the Frobenius norm of the change of its weights; None where the delta changes no weights.
        relative: ‖ΔW‖ / ‖W‖; None where there was no weight before.
        singular_values: of LoRA's ΔW, largest first.
        moved: ‖Δh‖ / ‖h‖ of what comes out of it, mean over tokens; None where it was not measured.
        core: False for what a freeze declaration left trainable (a head).
    """

    name: str
    type: str
    change: float | None = None
    relative: float | None = None
    singular_values: tuple[float, ...] = ()
    moved: float | None = None
    core: bool = True

    @property
    def effective_rank(self) -> float | None:
        """Over how many directions the change spreads; None without singular values."""
        from deltanb.engine import effective_rank  # brings torch

        return effective_rank(self.singular_values) if self.singular_values else None

    @property
    def first_energy(self) -> float | None:
        """Share of ‖ΔW‖² in the strongest direction; None without singular values."""
        from deltanb.engine import first_energy

        return first_energy(self.singular_values) if self.singular_values else None


@dataclass(frozen=True)
class Comparison:
    """What the model makes of one sentence, with the delta and without it.

    Attributes:
        text: the sentence.
        labels: classes, or the likeliest next tokens.
        with_delta: the probability of each.
        without: the same without the delta.
    """

    text: str
    labels: tuple[str, ...]
    with_delta: tuple[float, ...]
    without: tuple[float, ...]

    @property
    def answers(self) -> tuple[str, str]:
        """The likeliest label with the delta, and without."""
        return tuple(self.labels[max(range(len(p)), key=p.__getitem__)] for p in (self.with_delta, self.without))  # type: ignore[return-value]


@dataclass(frozen=True)
class Group:
    """Modules whose names differ by numbers only: one in each layer.

    Attributes:
        pattern: their common name, ``$`` for the number: a pattern that hits them.
        rows: in model order.
        labels: the number of each, or its name where there is none.
    """

    pattern: str
    rows: tuple[AnatomyRow, ...]
    labels: tuple[str, ...]


def grouped(rows: Sequence[AnatomyRow]) -> list[Group]:
    """Rows by the pattern of their names, in the order in which the patterns first occur.

    Example:
        >>> rows = [AnatomyRow(name, "Linear") for name in ("layer.0.q", "layer.0.v", "layer.1.q", "layer.1.v", "head")]
        >>> [(group.pattern, group.labels) for group in grouped(rows)]
        [('layer.$.q', ('0', '1')), ('layer.$.v', ('0', '1')), ('head', ('head',))]
    """
    found: dict[tuple[bool, str], list[AnatomyRow]] = {}
    for row in rows:
        found.setdefault((not row.core, _NUMBER.sub("$", row.name)), []).append(row)
    return [Group(key[1], tuple(own), tuple(".".join(_NUMBER.findall(row.name)) or row.name for row in own)) for key, own in found.items()]


@dataclass(eq=False, repr=False)
class AnatomyReport(Report):
    """What a delta has learned.

    Attributes:
        name: the delta's.
        delta_type: its type.
        rows: a module each, in model order, what is no core of the delta last.
        comparisons: predictions on the example sentences.
        predicts: what is predicted: ``label``, ``next token``, or "" where nothing can be.
        texts: the example sentences.
        tokens: how many tokens they have together.
        untrained: whether it still has the values that it was made with; None where that cannot be told.
        notes: what a careful colleague would point out.

    Example:
        >>> rows = [AnatomyRow("layer.0.q", "Linear", 0.5, 0.1, (0.4, 0.3), 0.08)]
        >>> report = AnatomyReport("reviews", "lora", rows)
        >>> report.df[["module", "change", "rank"]].values.tolist()
        [['layer.0.q', 0.5, 2]]
        >>> print(report.title)
        reviews (lora): what it has learned, in 1 module
    """

    name: str
    delta_type: str
    rows: list[AnatomyRow]
    comparisons: list[Comparison] = field(default_factory=list)
    predicts: str = ""
    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    untrained: bool | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The report in one line."""
        where = plural(sum(row.core for row in self.rows), "layer" if self.delta_type == "soft_prompt" else "module")
        if not self.untrained:
            return f"{self.name} ({self.delta_type}): what it has learned, in {where}"
        nothing = not any(row.change or row.moved for row in self.rows if row.core)
        still = f"it changes nothing in {where}" if nothing else f"what it does in {where} comes from its first values"
        return f"{self.name} ({self.delta_type}) is not trained yet: {still}"

    @property
    def caption(self) -> str:
        """On what the movement of activations was measured; "" where it was not."""
        return f"mean over {plural(self.tokens, 'token')} of {plural(len(self.texts), 'sentence')}" if self.tokens else ""

    @property
    def groups(self) -> list[Group]:
        """The rows by the pattern of their names."""
        return grouped(self.rows)

    @property
    def df(self) -> pd.DataFrame:
        """A row a module: the attributes of `AnatomyRow`, and ``rank``, how many singular values are over a millionth of the largest."""
        import pandas as pd

        columns_of = ["module", "type", "change", "relative", "rank", "effective_rank", "first_energy", "moved", "core"]
        return pd.DataFrame(
            [
                [row.name, row.type, row.change, row.relative, _rank(row), row.effective_rank, row.first_energy, row.moved, row.core]
                for row in self.rows
            ],
            columns=columns_of,
        )

    @property
    def predictions(self) -> pd.DataFrame:
        """A row for each sentence and label: ``text``, ``label``, ``with_delta``, ``without``."""
        import pandas as pd

        found = [[one.text, *parts] for one in self.comparisons for parts in zip(one.labels, one.with_delta, one.without, strict=True)]
        return pd.DataFrame(found, columns=["text", "label", "with_delta", "without"])

    def text(self) -> str:
        """The title, a line a module, the predictions, notes."""
        return "\n".join([self.title, *self._row_lines(), *self._comparison_lines(), *(f"Note: {note}" for note in self.notes)])

    def _row_lines(self) -> list[str]:
        lines: list[str] = []
        for group in self.groups:
            cells = [[f"  {label}", *_cells(row), _spark(row)] for label, row in zip(group.labels, group.rows, strict=True)]
            kept = [at for at, title in enumerate(_TITLES) if not title or any(row[at] for row in cells)]
            table = [[row[at] for at in kept] for row in [_TITLES, *cells]]
            lines += ["", group.pattern + ("" if group.rows[0].core else "  (trained too)")]
            lines += columns(table, [0 < at < len(_TITLES) - 1 for at in kept])
        return lines

    def _comparison_lines(self) -> list[str]:
        if not self.comparisons:
            return []
        head = [self.predicts, "with", "without", "sentence"]
        rows = []
        for one in self.comparisons:
            for at, (label, after, before) in enumerate(_top(one)):
                rows.append([label, f"{after:.3f}", f"{before:.3f}", shortened(one.text, _SHOWN_TEXT) if not at else ""])
        return ["", "With the delta and without it", *columns([head, *rows], [False, True, True, False])]

    def html(self) -> str:
        """Bars for each layer, the singular values as a picture, the predictions side by side."""
        from deltanb.reports._anatomy_html import anatomy_html

        return anatomy_html(self)


def shortened(text: str, most: int) -> str:
    """At most ``most`` characters.

    Example:
        >>> shortened("a long sentence", 7)
        'a long…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def figure(value: float | None, *, share: bool = False) -> str:
    """A number in three digits, or as a percentage; "" for None, a plain 0 for exactly nothing.

    Example:
        >>> figure(0.01234), figure(0.1234, share=True), figure(0.0), figure(None), figure(0.000012, share=True)
        ('0.0123', '12.3 %', '0', '', '0.0012 %')
    """
    if value is None:
        return ""
    number = 100 * value if share else value
    digits = f"{number:.2g}" if number < _TINY else f"{number:,.0f}" if number >= _LARGE else f"{number:#.3g}".rstrip(".")
    return "0" if not value else digits + (" %" if share else "")


def _cells(row: AnatomyRow) -> list[str]:
    rank = "" if row.effective_rank is None else f"{row.effective_rank:.1f} of {len(row.singular_values)}"
    return [figure(row.change), figure(row.relative, share=True), figure(row.moved, share=True), rank, figure(row.first_energy, share=True)]


def _spark(row: AnatomyRow) -> str:
    return sparkline([*row.singular_values, 0.0])[:-1] if any(row.singular_values) else ""


def _rank(row: AnatomyRow) -> int | None:
    return sum(value > 1e-6 * row.singular_values[0] for value in row.singular_values) if row.singular_values else None


def _top(one: Comparison) -> list[tuple[str, float, float]]:
    """The labels that are likeliest with the delta, the first ones."""
    found = sorted(zip(one.labels, one.with_delta, one.without, strict=True), key=lambda parts: -parts[1])
    return found[:_SHOWN_LABELS]
