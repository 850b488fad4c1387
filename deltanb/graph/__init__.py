"""Pictures of a model's structure: folded rows become DOT, and DOT becomes SVG without a system package.

``structure_dot`` places every box itself (nested boxes, wide ones side by side, so that a whole encoder-decoder model
fits on one projector screen) and writes the result as DOT; ``draw`` turns any DOT into SVG, or says why it cannot.
"""

from deltanb.graph._colours import CARD, INK, TINT
from deltanb.graph._dot import structure_dot
from deltanb.graph._live import LivePicture, live_picture
from deltanb.graph._render import Drawing, draw, render_svg
from deltanb.graph._rows import Marks, full_names, mark_rows, own_counts, row_state, tied_to
from deltanb.graph._visible import Visible, visible_rows

__all__ = [
    "CARD",
    "INK",
    "TINT",
    "Drawing",
    "LivePicture",
    "Marks",
    "Visible",
    "draw",
    "full_names",
    "live_picture",
    "mark_rows",
    "own_counts",
    "render_svg",
    "row_state",
    "structure_dot",
    "tied_to",
    "visible_rows",
]
