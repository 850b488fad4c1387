"""What the signs of a picture mean: only those that occur in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb.graph._labels import SIZE, SPACE
from deltanb.graph._rows import row_state, tied_to
from deltanb.graph._text_width import text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.graph._boxes import Box

__all__ = ["SAMPLE", "Entry", "legend", "wrapped"]

SAMPLE = 20.0  # width of a sample frame
APART = 16.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One sign and its meaning.

    Attributes:
        look: key of the colours; a frame of that look is drawn unless there is a ``sign``.
        words: the meaning.
        sign: text in the look's colour, in place of a frame.
    """

    look: str
    words: str
    sign: str = ""

    @property
    def sign_width(self) -> float:
        """Width of the frame or sign, in points."""
        return text_width(self.sign, SIZE, bold=True) if self.sign else SAMPLE

    @property
    def width(self) -> float:
        """Width of the whole entry with the distance to the next."""
        return self.sign_width + SPACE + text_width(self.words, SIZE) + APART


def legend(boxes: Sequence[Box], *, matched: bool) -> list[Entry]:
    """The entries that a picture of these boxes needs."""
    rows = [box.row for box in boxes]
    states = {row_state(row) for row in rows if row.first.delta is None}
    found = [
        ("trainable" in states, Entry("trainable", "trains")),
        ("frozen" in states, Entry("frozen", "frozen")),
        ("partly" in states, Entry("partly", "some of it trains")),
        (any(box.outermost for box in boxes), Entry("delta", "delta")),
        (any(piece.style == "delta" and piece.text[0] in "[+" for box in boxes for piece in box.rest), Entry("delta", "a delta's", "[ ]")),
        (any(piece.style == "folded" for box in boxes for piece in box.name), Entry("folded", "modules that are alike", "×n")),
        (any(tied_to(row) for row in rows), Entry("muted", "shared, counted once", "⇄")),
        (matched, Entry("matched", "matched")),
    ]
    return [entry for there, entry in found if there]


def wrapped(entries: Sequence[Entry], width: float) -> list[list[Entry]]:
    """The entries in lines no wider than ``width`` points."""
    lines: list[list[Entry]] = []
    for entry in entries:
        if lines and sum(other.width for other in lines[-1]) + entry.width - APART <= width:
            lines[-1].append(entry)
        else:
            lines.append([entry])
    return lines
