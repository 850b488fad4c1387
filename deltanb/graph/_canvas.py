"""A page that becomes DOT: every frame and every run of text is a node with a fixed place (layout engine ``nop``).

Graphviz labels hold one style each (HTML-like labels need a library that its WebAssembly build lacks), so the words of a
box are nodes of their own on top of the box's node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.graph._colours import BORDER, CARD, INK, TINT
from deltanb.graph._labels import SIZE, SPACE, Piece
from deltanb.graph._text_width import text_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import graphviz

__all__ = ["Canvas"]

FONT = "Helvetica,Arial,sans-serif"
BOLD_FONT = "Helvetica-Bold"
INCH = 72.0  # points; DOT measures nodes in inches
SECOND = 4.0  # how far outside the first border Graphviz draws a second one


class Canvas:
    """Draws on a page of a given size, in points, y downward.

    Args:
        width: of the page.
        height: of the page.
    """

    def __init__(self, width: float, height: float) -> None:
        import graphviz

        self.height = height
        self.texts = 0
        self.dot: graphviz.Digraph = graphviz.Digraph("structure", engine="neato")
        self.dot.attr("graph", id="deltanb", layout="nop", bgcolor=CARD, pad="0", fontname=FONT)
        self.dot.attr("node", shape="none", margin="0", fixedsize="true", fontname=FONT, fontsize=f"{SIZE:g}", fontcolor=INK["text"])
        # No address begins with a dot, so nothing here can be taken for a module of that name.
        self._node(".page", "", 0, 0, width, height, shape="box", style="filled", color=CARD, fillcolor=CARD)

    def frame(
        self, name: str, place: tuple[float, float, float, float], look: str, *, fill: str = "", dashed: bool = False,
        double: bool = False, pen: float = 1.0, svg: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """A rounded box: ``place`` is x, y, width, height; ``svg``: class and id of the SVG element."""
        x, y, width, height = place
        inset = SECOND / 2 if double else 0.0
        style = "rounded,filled,dashed" if dashed else "rounded,filled"
        attrs = {"shape": "box", "style": style, "color": BORDER[look], "fillcolor": fill or TINT[look], "penwidth": f"{pen:g}"}
        if double:
            attrs["peripheries"] = "2"
        attrs |= svg or {}
        self._node(name, "", x + inset, y + inset, width - 2 * inset, height - 2 * inset, **attrs)

    def line(self, pieces: Sequence[Piece], x: float, y: float, size: float = SIZE) -> None:
        """Pieces of text one after the other."""
        for at, piece in enumerate(pieces):
            x += SPACE if at and not piece.glued else 0
            self.text(piece, x, y, size)
            x += text_width(piece.text, size, bold=piece.bold)

    def text(self, piece: Piece, x: float, y: float, size: float = SIZE, *, right: bool = False) -> None:
        """One run of text that starts (or, with ``right``, ends) at x."""
        import graphviz

        self.texts += 1
        width = text_width(piece.text, size, bold=piece.bold) * 1.1 + 6  # Graphviz warns where it finds a text too wide
        label = graphviz.escape(piece.text) + ("\\r" if right else "\\l")
        attrs = {"fontcolor": INK.get(piece.style, INK["text"]), "class": f"words {piece.style}"}
        if size != SIZE:
            attrs["fontsize"] = f"{size:g}"
        if piece.bold:
            attrs["fontname"] = BOLD_FONT
        self._node(f".text {self.texts}", label, x - width if right else x, y, width, size * 1.27, **attrs)

    def _node(self, name: str, label: str, x: float, y: float, width: float, height: float, **attrs: str) -> None:
        pos = f"{x + width / 2:.1f},{self.height - y - height / 2:.1f}"
        self.dot.node(name, label, pos=pos, width=f"{width / INCH:.4f}", height=f"{height / INCH:.4f}", **attrs)
