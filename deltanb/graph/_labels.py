"""The words of one box: name, type, shape, and the signs that say what colour alone would not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb.graph._rows import row_state, tied_to
from deltanb.graph._text_width import elide, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.folding import FoldedNode

__all__ = ["SIZE", "SPACE", "Piece", "count_text", "delta_piece", "detail_pieces", "match_piece", "name_pieces", "pieces_width"]

SIZE = 11.0  # font, points: 15 px on a screen
SPACE = 5.0  # between two pieces
LONGEST_NAME = 44
LONGEST_WORD = 34
MOST_TENSORS = 3
BOLD = frozenset({"name", "folded", "delta", "matched", "slot"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text in one style; a ``glued`` piece follows the one before without a space."""

    text: str
    style: str
    glued: bool = False

    @property
    def bold(self) -> bool:
        """Whether the style is bold."""
        return self.style in BOLD


def pieces_width(pieces: Sequence[Piece], size: float = SIZE) -> float:
    """Width of pieces in a line, in points."""
    words = sum(text_width(piece.text, size, bold=piece.bold) for piece in pieces)
    return words + SPACE * sum(not piece.glued for piece in pieces[1:])


def name_pieces(chain: Sequence[FoldedNode]) -> tuple[Piece, ...]:
    """The name of a row, or of a chain of rows that share a box, then ``×6`` for every folded part."""
    pieces = []
    for at, row in enumerate(chain):
        dot = "." if row is not chain[-1] else ""
        pieces.append(Piece((elide(row.label, LONGEST_NAME) or "(root)") + dot, "folded" if row.folded else "name", glued=at > 0))
    times = " ".join(f"×{len(row.members)}" for row in chain if row.folded)
    return (*pieces, Piece(times, "folded")) if times else tuple(pieces)


def detail_pieces(row: FoldedNode) -> tuple[Piece, ...]:
    """Type, shapes, what it shares, what a depth limit hides."""
    pieces = [Piece(elide(row.first.type, LONGEST_WORD), "type"), *_tensors(row)]
    if tied := tied_to(row):
        other = tied[0] if row.first.same_as is not None else tied[0].rpartition(".")[0] or tied[0]
        pieces.append(Piece(f"⇄ {elide(other, LONGEST_WORD)}", "muted"))
    if row.hidden:
        pieces.append(Piece(f"+{row.hidden} inside", "muted"))
    return tuple(pieces)


def delta_piece(chain: Sequence[FoldedNode]) -> Piece:
    """The word "delta", with the delta's name unless the box is called so."""
    name = chain[-1].first.delta or ""
    return Piece("delta" if chain[0].label == name else f"delta {elide(name, LONGEST_WORD)}", "delta")


def match_piece(row: FoldedNode, hits: int) -> Piece:
    """How many of the row's modules are matched."""
    return Piece(f"● {hits} of {row.count}", "matched")


def count_text(row: FoldedNode) -> str:
    """The row's parameters; nothing where there are none to count, tied or not."""
    return f"{row.counts.total:,}" if row.counts.total or row.first.parameters or row.first.same_as is not None else ""


def _tensors(row: FoldedNode) -> list[Piece]:
    """The first tensor's shape and the others' names; what trains beside frozen ones, or is a delta's, stands out."""
    state = row_state(row)
    pieces: list[Piece] = []
    for parameter in row.first.parameters:
        style = "trainable" if parameter.trainable and state == "partly" else "muted"
        if parameter.delta and not row.first.delta:
            style = "delta"
        text = f"+{parameter.name}" if pieces else f"{list(parameter.shape)}"
        pieces.append(Piece(elide(text, LONGEST_WORD), style))
    if len(pieces) > MOST_TENSORS:
        pieces[MOST_TENSORS - 1 :] = [Piece(f"+{len(pieces) - MOST_TENSORS + 1} more", "muted")]
    return pieces
