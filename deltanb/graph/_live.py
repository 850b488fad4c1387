"""The picture inside a widget: no title, room in every box for its hits, and which box is whose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb.graph._arrange import ROOM, Arranger
from deltanb.graph._dot import delta_starts, draw_page, outer_rows
from deltanb.graph._render import Drawing, draw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deltanb.folding import FoldedNode

__all__ = ["LivePicture", "live_picture"]


@dataclass(frozen=True, slots=True)
class LivePicture:
    """A picture whose signs are put in where it is shown.

    Attributes:
        drawing: as from `draw`; the words of class ``slot`` stand where hits are to be said.
        boxes: for each box (``deltanb_box0``, …) its rows; the last is the box's own, those before share it.
    """

    drawing: Drawing
    boxes: list[tuple[FoldedNode, ...]]


def live_picture(rows: FoldedNode, *, room: float = ROOM) -> LivePicture:
    """Draw a folded structure for a widget.

    Args:
        rows: from `deltanb.folding.fold` or `visible_rows`.
        room: points of width to fill, where that can be.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> made = live_picture(fold(snapshot(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))))
        >>> [[row.address for row in box] for box in made.boxes], "2 of 2" in made.drawing.svg
        ([['0-1']], True)
    """
    arranger = Arranger({}, delta_starts(rows), beside=True, slots=dict(_slots(rows)))
    dot, placed = draw_page(arranger.lines(outer_rows(rows), room), {})
    return LivePicture(draw(dot.source), [(*item.box.around, item.box.row) for item in placed])


def _slots(row: FoldedNode) -> Iterator[tuple[str, str]]:
    """For each row that patterns can hit the longest words about its hits."""
    if row.first.delta or row.first.same_as is not None:
        return
    hits = [f"● {row.count} of {row.count}", *([f"● {row.count * row.hidden} inside"] if row.hidden else [])]
    if row.address:
        yield row.address, max(hits, key=len)
    for child in row.children:
        yield from _slots(child)
