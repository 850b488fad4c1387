"""A box for each row of the picture: how large it must be, and where it goes.

Sizes come from below (a box is at least as wide as its words and its children), places from above.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from deltanb.graph._labels import SIZE, Piece, count_text, pieces_width
from deltanb.graph._text_width import text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.folding import FoldedNode

__all__ = ["GAP", "LINE", "PAD", "Box", "Lines", "Placed", "fit", "lines_width", "place"]

LINE = 14.0
TOP = 3.0  # above and below a box's text
SECOND = 3.0  # what a second border takes of the text's place
PAD = 7.0
GAP = 5.0


@dataclass(frozen=True)
class Box:
    """One row of the folded tree, measured.

    Attributes:
        row: the row; of a chain of rows that share the box the innermost one.
        name: pieces of the name.
        rest: pieces after it.
        two_lines: whether ``rest`` stands below ``name``.
        outermost: whether a delta begins here.
        lines: the boxes inside, from top to bottom; those of one line are side by side.
        around: the rows that share the box with it, the outermost first.
    """

    row: FoldedNode
    name: tuple[Piece, ...]
    rest: tuple[Piece, ...]
    two_lines: bool = False
    outermost: bool = False
    lines: Lines = ()
    around: tuple[FoldedNode, ...] = ()

    @cached_property
    def count(self) -> str:
        """The number at the right of the first line."""
        return count_text(self.row)

    @property
    def head(self) -> tuple[tuple[Piece, ...], ...]:
        """The lines of text."""
        return (self.name, self.rest) if self.two_lines else ((*self.name, *self.rest),)

    @property
    def top(self) -> float:
        """Distance from the upper edge to the text, in points: a delta's second border takes room."""
        return TOP + (SECOND if self.outermost else 0)

    @property
    def head_height(self) -> float:
        """Height of the text, in points."""
        return self.top + LINE * len(self.head) + TOP

    @cached_property
    def width(self) -> float:
        """The least width, in points."""
        first, *second = (pieces_width(line) for line in self.head)
        if self.count:
            first += 2 * PAD + text_width(self.count, SIZE)
        return max(first, *second, lines_width(self.lines)) + 2 * PAD

    @cached_property
    def height(self) -> float:
        """The least height, in points."""
        inside = sum(max(box.height for box in line) + GAP for line in self.lines)
        return self.head_height + (inside - GAP + PAD if self.lines else self.top - TOP)

    def fitted(self, width: float) -> Box:
        """The box in its final width: two lines of text become one where there is room after all."""
        one = replace(self, two_lines=False)
        return replace(one if self.two_lines and one.width <= width else self, lines=fit(self.lines, width - 2 * PAD))


Lines = tuple[tuple[Box, ...], ...]


def lines_width(lines: Lines) -> float:
    """The least width of lines of boxes, in points."""
    return max((sum(box.width for box in line) + GAP * (len(line) - 1) for line in lines), default=0.0)


def widths(line: Sequence[Box], width: float) -> list[float]:
    """The final widths of the boxes in one line: equal where none is too wide for that."""
    equal = (width - GAP * (len(line) - 1)) / len(line)
    if all(box.width <= equal for box in line):
        return [equal] * len(line)
    spare = (width - lines_width((tuple(line),))) / len(line)
    return [box.width + spare for box in line]


def fit(lines: Lines, width: float) -> Lines:
    """Lines of boxes in their final width."""
    return tuple(tuple(box.fitted(wide) for box, wide in zip(line, widths(line, width), strict=True)) for line in lines)


@dataclass(frozen=True, slots=True)
class Placed:
    """A box with its upper left corner and final size, y downward, in points."""

    box: Box
    x: float
    y: float
    width: float
    height: float


def place(lines: Lines, x: float, y: float, width: float) -> list[Placed]:
    """Give every (fitted) box its place, parents first; a box fills its line's height."""
    placed: list[Placed] = []
    for line in lines:
        height = max(box.height for box in line)
        at = x
        for box, wide in zip(line, widths(line, width), strict=True):
            placed.append(Placed(box, at, y, wide, height))
            placed += place(box.lines, at + PAD, y + box.head_height, wide - 2 * PAD)
            at += wide + GAP
        y += height + GAP
    return placed
