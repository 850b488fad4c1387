"""A folded structure as nested ``<details>``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.graph import row_state
from deltanb.reports._html import MONO, Html, badge, bar, ink, join, tag
from deltanb.reports._text import number, plural, shape_text, sign
from deltanb.reports._tree_text import remarks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltanb.folding import FoldedNode
    from deltanb.structure import ParameterInfo

__all__ = ["open_levels", "tree_html"]

MOST_SIBLINGS = 200  # a saved notebook must stay small
_LOOKS = {"T": "trainable", "F": "frozen", "P": "partly", "-": ""}
WHOLE = ";white-space:nowrap"
_ROW = "padding:2px 0px;border-bottom:1px solid rgba(128,128,128,0.15)"


def open_levels(rows: FoldedNode, most: int) -> int:
    """How many levels can be open before more than ``most`` rows show; at least one.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> open_levels(fold(snapshot(nn.Sequential(nn.Linear(1, 1)))), 10)
        2
    """
    level, shown, depth = [rows], 1, 0
    while level:
        level = [child for row in level for child in row.children]
        shown += len(level)
        if shown > most and depth:
            break
        depth += 1
    return depth


def tree_html(rows: FoldedNode, hits: Mapping[str, int], *, levels: int, root: str = "", expand: bool = False) -> Html:
    """The tree; the first ``levels`` levels are open, and every way down to a match."""
    drawer = _Drawer(rows, hits, root, expand=expand)
    return tag("div", drawer.node(rows, levels, None), style=f"{MONO};font-size:14px;line-height:1.5;margin:0px")


class _Drawer:
    def __init__(self, rows: FoldedNode, hits: Mapping[str, int], root: str, *, expand: bool) -> None:
        self.total = max(rows.counts.total, 1)
        self.hits = hits
        self.root = root
        self.expand = expand

    def node(self, row: FoldedNode, levels: int, above: str | None) -> Html:
        """A row and everything below it."""
        parameters = [self._parameter(row, parameter) for parameter in row.first.parameters] if self.expand else []
        style = _ROW
        if row.address in self.hits:
            style += ";border-left:4px solid #d97706;padding-left:4px;background:rgba(217,119,6,0.14)"
        if not row.children and not parameters:
            return tag("div", self._line(row, above), style=style + ";margin-left:16px")
        below = [*parameters, *[self.node(child, levels - 1, row.first.delta) for child in row.children[:MOST_SIBLINGS]]]
        if rest := row.children[MOST_SIBLINGS:]:
            below.append(_more(rest))
        shown = levels > 1 or any(child.address in self.hits for child in row.walk() if child is not row)
        inside = tag("div", *below, style="margin-left:6px;padding-left:12px;border-left:1px solid rgba(128,128,128,0.35)")
        attributes = {"open": ""} if shown else {}
        return tag(
            "details", tag("summary", self._line(row, above), style=style + ";cursor:pointer"), inside, style="margin:0px", **attributes
        )

    def _line(self, row: FoldedNode, above: str | None) -> Html:
        shapes = [] if self.expand else [_shape(row, parameter) for parameter in row.first.parameters]
        shapes += [_grey(f"buffer {buffer.name}:{list(buffer.shape)}") for buffer in row.first.buffers]
        said = [badge(text, _look_of(text)) for text in remarks(row, self.hits, above)]
        words = [_name(row, self.root), *shapes, *said]
        return join([self._numbers(row), *words], " ")

    def _numbers(self, row: FoldedNode) -> Html:
        letters = sign(row)
        counts, share = row.counts, 1 / self.total
        parts = [("delta", counts.delta * share), ("trainable", max(counts.trainable - counts.delta, 0) * share)]
        parts.append(("frozen", (counts.total - max(counts.trainable, counts.delta)) * share))
        look = "delta" if "D" in letters else _LOOKS[letters[0]]
        mark = badge(letters, look) if look else ""
        cell = tag("span", mark, style="display:inline-block;width:34px;text-align:center")
        return tag("span", number(counts.total), cell, bar(parts), style="float:right;padding-left:12px;white-space:nowrap")

    def _parameter(self, row: FoldedNode, parameter: ParameterInfo) -> Html:
        size = 0 if parameter.tied_to else parameter.numel * row.count
        letters = "T" if parameter.trainable else "F"
        look = "delta" if parameter.delta else _LOOKS[letters]
        cell = tag(
            "span", badge(letters + ("D" if parameter.delta else ""), look), style="display:inline-block;width:34px;text-align:center"
        )
        empty = bar([(look, size / self.total)])
        right = tag("span", number(size), cell, empty, style="float:right;padding-left:12px;white-space:nowrap")
        words = [_grey(f"{parameter.name}:{list(parameter.shape)} {parameter.dtype}")]
        if parameter.tied_to:
            words.append(badge(f"⇄ {parameter.tied_to}", ""))
        return tag("div", right, join(words, " "), style=_ROW + ";margin-left:16px")


def _more(rest: Sequence[FoldedNode]) -> Html:
    """One line for siblings beyond what a browser should carry."""
    size = sum(row.counts.total for row in rest)
    text = f"… {plural(len(rest), 'more row')} with {plural(size, 'parameter')}, all in the text form: print(report)"
    return tag("div", text, style=_ROW + ";margin-left:16px")


def _name(row: FoldedNode, root: str) -> Html:
    name = row.label or root
    kind = tag("span", row.first.type, style=ink("type"))
    if not name:
        return tag("b", row.first.type)
    if not row.folded:
        return join([tag("b", name), kind], " ")
    return join([tag("b", name, style=ink("folded")), tag("b", f"×{len(row.members)}", style=ink("folded")), kind], " ")


def _shape(row: FoldedNode, parameter: ParameterInfo) -> Html:
    mixed = row_state(row) == "partly"
    text = shape_text(parameter, mixed=mixed)
    if parameter.delta and not row.first.delta:
        return tag("span", text, style=ink("delta", bold=True) + WHOLE)
    return tag("span", text, style=ink("trainable", bold=True) + WHOLE) if mixed and parameter.trainable else _grey(text)


def _grey(text: str) -> Html:
    return tag("span", text, style="opacity:0.75" + WHOLE)


def _look_of(remark: str) -> str:
    return {"●": "matched", "d": "delta"}.get(remark[0], "")
