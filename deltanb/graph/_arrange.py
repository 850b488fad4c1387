"""Which boxes stand where: nested, one a row, with large neighbours side by side where the page has room.

A leaf is one line (name, type, shape, count), or two where one would be too wide; a container is a header above the boxes
of its children. A module that only wraps one other (``layers`` around ``0-5``) shares its box: ``layers.0-5``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deltanb.graph._boxes import GAP, PAD, Box, Lines, lines_width
from deltanb.graph._labels import Piece, delta_piece, detail_pieces, match_piece, name_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deltanb.folding import FoldedNode

__all__ = ["ROOM", "Arranger"]

ROOM = 740.0  # points: the output of a notebook cell is about 1000 px wide
WIDEST_LEAF = 300.0
COLUMNS = (3, 2)
ALIKE = 0.55  # boxes side by side have at least this much of each other's height


class Arranger:
    """Turns sibling rows into lines of boxes.

    Args:
        marks: for the address of a row how many of its modules are matched.
        outermost: addresses of the rows where a delta begins.
        beside: whether large neighbours may stand side by side.
        slots: for the address of a row the longest words that may come to stand after its own.
    """

    def __init__(self, marks: Mapping[str, int], outermost: Iterable[str], *, beside: bool, slots: Mapping[str, str] | None = None) -> None:
        self.marks = marks
        self.outermost = frozenset(outermost)
        self.beside = beside
        self.slots = slots or {}

    def lines(self, rows: Sequence[FoldedNode], room: float = ROOM) -> Lines:
        """The rows in lines, no wider than ``room`` points where that can be."""
        lines: list[tuple[Box, ...]] = []
        for run in _runs(rows):
            lines += self._side_by_side(run, room) or [(self._box(row, room),) for row in run]
        return tuple(lines)

    def _box(self, row: FoldedNode, room: float) -> Box:
        chain = self._chain(row)
        last = chain[-1]
        outermost = any(each.address in self.outermost for each in chain)
        rest = list(detail_pieces(last))
        if outermost:
            rest.append(delta_piece(chain))
        if last.address in self.marks:
            rest.append(match_piece(last, self.marks[last.address]))
        if last.address in self.slots:
            rest.append(Piece(self.slots[last.address], "slot"))
        lines = self.lines(last.children, room - 2 * PAD)
        box = Box(last, name_pieces(chain), tuple(rest), outermost=outermost, lines=lines, around=tuple(chain[:-1]))
        head = replace(box, lines=())
        return replace(box, two_lines=head.width > (room if last.children else min(room, WIDEST_LEAF)))

    def _chain(self, row: FoldedNode) -> list[FoldedNode]:
        """The row and, while it does nothing but wrap one other, that one too."""
        chain = [row]
        while len(chain[-1].children) == 1 and chain[-1].address not in self.marks:
            node, below = chain[-1].first, chain[-1].children[0]
            if node.parameters or node.buffers or node.delta != below.first.delta:
                break
            chain.append(below)
        return chain

    def _side_by_side(self, run: Sequence[FoldedNode], room: float) -> list[tuple[Box, ...]]:
        """The rows in lines of as many as fit and are about equally high; nothing if no two do."""
        for columns in COLUMNS if self.beside else ():
            share = (room - GAP * (columns - 1)) / columns
            boxes = [self._box(row, share) for row in run] if len(run) >= columns else []
            lines = _grouped(boxes, columns)
            if len(lines) < len(boxes) and all(lines_width((tuple(boxes[at] for at in line),)) <= room for line in lines):
                return [tuple(boxes[at] for at in line) if len(line) > 1 else (self._box(run[line[0]], room),) for line in lines]
        return []


def _runs(rows: Sequence[FoldedNode]) -> list[list[FoldedNode]]:
    """Neighbours that have rows below them, together; every other row alone."""
    runs: list[list[FoldedNode]] = []
    before = False
    for row in rows:
        if row.children and before:
            runs[-1].append(row)
        else:
            runs.append([row])
        before = bool(row.children)
    return runs


def _grouped(boxes: Sequence[Box], columns: int) -> list[list[int]]:
    """Positions of neighbours that may share a line."""
    lines: list[list[int]] = []
    for at, box in enumerate(boxes):
        if lines and len(lines[-1]) < columns and all(_alike(box, boxes[other]) for other in lines[-1]):
            lines[-1].append(at)
        else:
            lines.append([at])
    return lines


def _alike(one: Box, other: Box) -> bool:
    return min(one.height, other.height) >= ALIKE * max(one.height, other.height)
