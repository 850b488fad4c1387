"""A folded structure as a picture in DOT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deltanb._errors import DeltaError
from deltanb.graph._arrange import Arranger
from deltanb.graph._boxes import LINE, PAD, Lines, Placed, fit, lines_width, place
from deltanb.graph._canvas import Canvas
from deltanb.graph._colours import CARD, TINT
from deltanb.graph._labels import SPACE, Piece, pieces_width
from deltanb.graph._legend import SAMPLE, Entry, legend, wrapped
from deltanb.graph._rows import row_state

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import graphviz

    from deltanb.folding import FoldedNode
    from deltanb.structure import Counts

__all__ = ["delta_starts", "draw_page", "outer_rows", "structure_dot"]

MARGIN = 10.0
TITLE_SIZE = 14.0
TITLE_LINE = 24.0
LEGEND_LINE = LINE + 5
NARROWEST = 260.0
Direction = Literal["LR", "TB"]


def structure_dot(
    rows: FoldedNode, *, title: str, matched: Mapping[str, int] | None = None, direction: Direction = "LR"
) -> graphviz.Digraph:
    """The picture of a folded structure: nested boxes with names, types, shapes and exact parameter counts.

    Args:
        rows: from `deltanb.folding.fold`.
        title: shown above, usually the model's class.
        matched: for the address of a row how many of its modules a pattern hits (see `mark_rows`).
        direction: ``LR`` puts large neighbours (an encoder and a decoder) side by side; ``TB`` all in one column.

    Returns:
        A graph in which everything has a fixed place, the same for the same rows; `draw` turns its source into SVG.

    Raises:
        DeltaError: an unknown direction.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> dot = structure_dot(fold(snapshot(nn.Sequential(nn.Linear(3, 4)))), title="Tiny")
        >>> "[4, 3]" in dot.source
        True
    """
    if direction not in ("LR", "TB"):
        raise DeltaError(f"Unknown direction {direction!r}.", expected="One of: LR, TB.")
    marks = dict(matched or {})
    beside = direction == "LR"
    lines = Arranger(marks, delta_starts(rows), beside=beside).lines(outer_rows(rows, marks))
    return draw_page(lines, marks, (Piece(title, "name"), Piece(_total(rows.counts), "muted")))[0]


def outer_rows(rows: FoldedNode, marks: Collection[str] = ()) -> Sequence[FoldedNode]:
    """The rows of the outermost boxes: those below the root, unless there is something to say about the root itself."""
    return [rows] if rows.first.parameters or not rows.children or rows.address in marks else rows.children


def delta_starts(row: FoldedNode, above: str | None = None) -> Iterator[str]:
    """Addresses of the rows where a delta begins."""
    if row.first.delta and row.first.delta != above:
        yield row.address
    for child in row.children:
        yield from delta_starts(child, row.first.delta)


def draw_page(lines: Lines, marks: Mapping[str, int], title: tuple[Piece, Piece] | None = None) -> tuple[graphviz.Digraph, list[Placed]]:
    """Boxes, a title at the left and at the right above them, and the signs' meaning below.

    Returns:
        The graph, and the boxes with their places; the n-th one's element has the id ``deltanb_box<n>``.
    """
    above = pieces_width(title[:1], TITLE_SIZE) + pieces_width(title[1:]) + 4 * PAD if title else 0.0
    width = max(lines_width(lines), above, NARROWEST)
    placed = place(fit(lines, width), MARGIN, MARGIN + (TITLE_LINE if title else 0), width)
    bottom = max(item.y + item.height for item in placed) + MARGIN
    signs = wrapped(legend([item.box for item in placed], matched=bool(marks)), width)
    canvas = Canvas(width + 2 * MARGIN, bottom + LEGEND_LINE * len(signs))
    if title:
        canvas.text(title[0], MARGIN, MARGIN - 3, TITLE_SIZE)
        canvas.text(title[1], MARGIN + width, MARGIN, right=True)
    for at, item in enumerate(placed):
        _box(canvas, item, marks, f"deltanb_box{at}")
    for at, line in enumerate(signs):
        _signs(canvas, line, bottom + LEGEND_LINE * at)
    return canvas.dot, placed


def _total(counts: Counts) -> str:
    if counts.trainable in (0, counts.total):
        return f"{counts.total:,} parameters, {'all trainable' if counts.trainable else 'all frozen'}"
    return f"{counts.total:,} parameters, {counts.trainable:,} trainable ({100 * counts.trainable / counts.total:.2g} %)"


def _box(canvas: Canvas, item: Placed, marks: Mapping[str, int], ident: str) -> None:
    box = item.box
    state = row_state(box.row)
    look = "delta" if box.row.first.delta else state
    matched = box.row.address in marks
    name = box.row.address or ".root"
    if matched:
        canvas.frame(
            f".matched {name}", (item.x - 2, item.y - 2, item.width + 4, item.height + 4), "matched", pen=3, svg={"class": "matched"}
        )
    canvas.frame(
        name,
        (item.x, item.y, item.width, item.height),
        look,
        fill=TINT["matched"] if matched else CARD if box.lines and look != "delta" else "",
        dashed=state == "frozen",
        double=box.outermost,
        pen=1.5 if state == "trainable" and not box.lines else 1,
        svg={"class": f"row {look or 'empty'}", "id": ident},
    )
    for at, line in enumerate(box.head):
        canvas.line(line, item.x + PAD, item.y + box.top + LINE * at)
    if box.count:
        canvas.text(Piece(box.count, "text"), item.x + item.width - PAD, item.y + box.top, right=True)


def _signs(canvas: Canvas, entries: Sequence[Entry], y: float) -> None:
    x = MARGIN
    for entry in entries:
        if entry.sign:
            canvas.text(Piece(entry.sign, entry.look), x, y)
        else:
            place_ = (x, y + 1, SAMPLE, LINE - 2)
            canvas.frame(f".sign {entry.look}", place_, entry.look, dashed=entry.look == "frozen", double=entry.look == "delta",
                         pen=3 if entry.look == "matched" else 1, svg={"class": f"sign {entry.look}"})  # fmt: skip
        canvas.text(Piece(entry.words, "muted"), x + entry.sign_width + SPACE, y)
        x += entry.width
