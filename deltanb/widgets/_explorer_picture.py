"""The Explorer's picture: drawn when the browser asks for it, so that it never weighs on a saved notebook."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from deltanb.folding import fold
from deltanb.graph import full_names, live_picture, visible_rows
from deltanb.widgets._base import DeltaWidget

if TYPE_CHECKING:
    from collections.abc import Collection

    from deltanb.folding import FoldedNode
    from deltanb.structure import ModuleTree

__all__ = ["MOST_BOXES", "PictureMixin"]

MOST_BOXES = 300  # about 2,000 elements in the browser
ROOMS = (260.0, 1100.0)
STEP = 40.0  # points: a pane that grows by less gets the same picture
KEPT = 24  # pictures, for whoever closes what was just opened
EMBEDDED_ROOM = 420.0  # an exported page may be opened on a phone


class PictureMixin(DeltaWidget):
    """Answers the question ``picture``; what it is mixed into says of which tree."""

    _folded: tuple[ModuleTree, FoldedNode] | None = None
    _pictures: dict[Any, dict[str, Any]]

    def picture_tree(self) -> ModuleTree:
        """The structure as it is now; the same object as long as nothing has changed."""
        raise NotImplementedError

    def on_picture(
        self, opened: Collection[str] | None = None, unfolded: Collection[str] = (), *, empty: bool = False, room: float = 740.0
    ) -> dict[str, Any]:
        """The folded structure as SVG.

        Args:
            opened: addresses of the rows whose children are shown; None for all.
            unfolded: addresses, as the picture shows them, of folded rows to be opened to their members.
            empty: also modules without parameters and buffers.
            room: points of width to fill.

        Returns:
            ``svg`` (None where nothing can draw it, and ``reason`` says why), ``cut``, whether the lowest levels were left out,
            and ``boxes``. The n-th one is the element ``deltanb_box<n>``: ``address`` as shown, ``row``, the address of its row
            in the whole tree, ``around``, those of rows that share the box, ``hidden``, how many modules of each member are
            not shown, and ``names``, where a fold was opened and the box stands for some of the row's modules only.
        """
        rows = self._rows()
        room = min(max(room // STEP * STEP, ROOMS[0]), ROOMS[1])
        key = (None if opened is None else frozenset(opened), frozenset(unfolded), empty, room)
        if key not in self._pictures:
            if len(self._pictures) >= KEPT:
                del self._pictures[next(iter(self._pictures))]
            self._pictures[key] = _picture(rows, opened=key[0], unfolded=key[1], empty=empty, room=room)
        return self._pictures[key]

    def export_state(self) -> dict[str, Any]:
        """The traits, and the picture that stands in for a kernel that would draw others."""
        return {**super().export_state(), "picture": self.on_picture(room=EMBEDDED_ROOM)}

    def _rows(self) -> FoldedNode:
        tree = self.picture_tree()
        if self._folded is None or self._folded[0] is not tree:
            self._folded, self._pictures = (tree, fold(tree, empty=True)), {}
        return self._folded[1]


def _picture(rows: FoldedNode, *, opened: Any, unfolded: Any, empty: bool, room: float) -> dict[str, Any]:
    chosen = visible_rows(rows, opened=opened, unfolded=unfolded, empty=empty, most=MOST_BOXES)
    made = live_picture(chosen.rows, room=room)
    if made.drawing.svg is None:
        return {"svg": None, "reason": made.drawing.reason, "boxes": [], "cut": False}
    names = full_names(chosen.rows) if unfolded else {}
    boxes = [_box(box, chosen.home, names) for box in made.boxes]
    return {"svg": _light(made.drawing.svg), "reason": "", "boxes": boxes, "cut": chosen.cut}


def _box(rows: tuple[FoldedNode, ...], home: dict[str, str], names: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    *around, row = rows
    found: dict[str, Any] = {"address": row.address, "row": home[row.address]}
    if around:
        found["around"] = [home[one.address] for one in around]
    if row.hidden:
        found["hidden"] = row.hidden
    if row.address != home[row.address]:
        found["names"] = list(names[row.address])
    return found


def _light(svg: str) -> str:
    """Without what the browser's own style says, and without titles: a third less."""
    return re.sub(r"<title>[^<]*</title>\n?| xml:space=\"preserve\"| font-family=\"[^\"]*\"", "", svg)
