"""The HTML form of a delta's anatomy: a table of bars for each pattern of hosts, one row a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.reports._anatomy_svg import MOST_PANELS, spectra_svg
from deltanb.reports._html import Html, address, badge, bar, ink, join, note, picture, table, tag
from deltanb.reports._text import plural
from deltanb.reports.anatomy import figure, shortened

if TYPE_CHECKING:
    from deltanb.reports.anatomy import AnatomyReport, AnatomyRow, Comparison, Group

__all__ = ["anatomy_html"]

_OPEN_GROUPS, _OPEN_ROWS = 6, 40
_WIDTH = 110
_LONGEST = 160  # characters of a sentence
_MOST_LABELS = 6


def anatomy_html(report: AnatomyReport) -> Html:
    """The whole report.

    Args:
        report: from `deltanb.anatomy`.
    """
    scale = _Scale(report)
    groups = report.groups
    rows = 0
    parts: list[str] = [tag("div", report.title, style="font-weight:bold;margin:4px 0px")]
    for at, group in enumerate(groups):
        rows += len(group.rows)
        parts.append(_group(group, scale, is_open=at < _OPEN_GROUPS and rows <= _OPEN_ROWS))
    parts += [*_spectra(report), *_comparisons(report), *[note(text) for text in [*_words(report), *report.notes]]]
    return tag("div", *parts)


class _Scale:
    """The longest bars: one scale for all that is the delta's own; a trained head would dwarf it."""

    def __init__(self, report: AnatomyReport) -> None:
        own = [row for row in report.rows if row.core] or report.rows
        self.relative = max((row.relative or 0.0 for row in own), default=0.0)
        self.moved = max((row.moved or 0.0 for row in own), default=0.0)

    def columns(self, group: Group) -> list[tuple[str, bool, list[str]]]:
        """Title, whether numbers stand on the right, and cells; without the columns that nothing is in."""
        rows = group.rows
        ranks = ["" if row.effective_rank is None else f"{row.effective_rank:.1f} of {len(row.singular_values)}" for row in rows]
        found = [
            ("layer", False, list(group.labels)),
            ("‖ΔW‖", True, [figure(row.change) for row in rows]),
            ("‖ΔW‖ / ‖W‖", False, [_barred(row.relative, self.relative, "delta") for row in rows]),
            ("activations moved", False, [_barred(row.moved, self.moved, "trainable") for row in rows]),
            ("effective rank", True, ranks),
            ("first direction", True, [figure(row.first_energy, share=True) for row in rows]),
        ]
        return [column for column in found if any(column[2])]


def _barred(value: float | None, most: float, look: str) -> str:
    if value is None:
        return ""
    length = min(1.0, value / most) if most else 0.0
    return tag("span", bar([(look, length)], width=_WIDTH), " ", figure(value, share=True), style="white-space:nowrap")


def _group(group: Group, scale: _Scale, *, is_open: bool) -> Html:
    found = scale.columns(group)
    body = list(zip(*(cells for _, _, cells in found), strict=True))
    kind = [] if group.rows[0].core else [badge("trained too", "partly")]
    many = [tag("span", f"×{len(group.rows)}", style=ink("folded", bold=True))] if len(group.rows) > 1 else []
    head = [address(group.pattern), tag("span", group.rows[0].type, style=ink("type")), *many, *kind]
    words = tag("summary", join(head, " "), style="cursor:pointer")
    rows = table([title for title, _, _ in found], body, [right for _, right, _ in found])
    return tag("details", words, rows, style="margin:4px 0px", **({"open": ""} if is_open else {}))


def _spectra(report: AnatomyReport) -> list[str]:
    """The singular values as a picture; of very many modules those of evenly spaced ones."""
    rows = [row for row in report.rows if row.singular_values]
    if not any(any(row.singular_values) for row in rows):
        return []
    shown = rows[:: -(-len(rows) // MOST_PANELS)]
    labels = {id(row): label for group in report.groups for label, row in zip(group.labels, group.rows, strict=True)}
    panels = [(_title(row, labels[id(row)]), row.singular_values) for row in shown]
    alt = "Singular values of the update of each module, largest first: " + "; ".join(
        f"{title} {', '.join(figure(value) for value in values[:4])}" for title, values in panels[:4]
    )
    few = f", of {len(shown)} of {plural(len(rows), 'module')}" if len(shown) < len(rows) else ""
    return [note(f"Singular values of ΔW{few}, on one scale; the number is the largest."), picture(spectra_svg(panels), alt)]


def _title(row: AnatomyRow, label: str) -> str:
    last = [part for part in row.name.split(".") if not part.isdecimal()][-1:]
    return label if label == row.name else " ".join([label, *last])


def _comparisons(report: AnatomyReport) -> list[str]:
    if not report.comparisons:
        return []
    body = [row for one in report.comparisons for row in _comparison(one)]
    title = tag("div", "With the delta and without it", style="font-weight:bold;margin:8px 0px 0px")
    return [title, table(["sentence", report.predicts, "with", "without"], body, [False] * 4)]


def _comparison(one: Comparison) -> list[list[str]]:
    found = sorted(zip(one.labels, one.with_delta, one.without, strict=True), key=lambda parts: -parts[1])[:_MOST_LABELS]
    return [
        [
            tag("span", shortened(one.text, _LONGEST) if not at else ""),
            tag("span", label, style="font-weight:bold" if label in one.answers else ""),
            _probability(after, "delta", first=label == one.answers[0]),
            _probability(before, "frozen", first=label == one.answers[1]),
        ]
        for at, (label, after, before) in enumerate(found)
    ]


def _probability(value: float, look: str, *, first: bool) -> Html:
    number = tag("span", f"{value:.3f}" + (" ✓" if first else ""), style="font-weight:bold" if first else "")
    return tag("span", bar([(look, value)], width=70), " ", number, style="white-space:nowrap")


def _words(report: AnatomyReport) -> list[str]:
    """What the columns mean, and where the numbers come from."""
    said = []
    if any(row.change is not None for row in report.rows):
        said.append("‖ΔW‖: Frobenius norm of the change of the weights.")
    if report.caption:
        said.append(f"Activations moved: ‖Δh‖ / ‖h‖ of what comes out, {report.caption}.")
    if any(row.singular_values for row in report.rows):
        said.append("Effective rank: over how many directions ΔW spreads (Roy and Vetterli, 2007); first direction: its share of ‖ΔW‖².")
    return said
