"""The structure of a model as a report: text, an HTML tree, a picture."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from deltanb.folding import fold
from deltanb.graph import Drawing, draw, mark_rows, structure_dot
from deltanb.reports._base import Report
from deltanb.reports._html import note, picture, tag
from deltanb.reports._text import number, plural, totals_line
from deltanb.reports._tree_html import open_levels, tree_html
from deltanb.reports._tree_text import signs_line, tree_lines

if TYPE_CHECKING:
    from deltanb.addressing import MatchResult
    from deltanb.folding import FoldedNode
    from deltanb.graph import Marks
    from deltanb.structure import Counts, ModuleTree

__all__ = ["StructureReport"]

MOST_BOXES = 120  # more rows than that and the picture shows fewer levels
TOO_MANY_BOXES = 400  # where fewer levels do not help
OPEN_ALONE = 40  # rows of the tree that are open at first, without a picture above
OPEN_BELOW = 14  # and with one
BESIDE = "flex:1 1 520px;max-width:1100px"  # the tree stands beside a narrow picture, below a wide one


class StructureReport(Report):
    """What a model is made of, folded, with exact parameter counts.

    Args:
        tree: from `deltanb.snapshot`.
        depth: levels below the root to show; None for all.
        empty: also modules without parameters and buffers, such as activations and dropout.
        picture: whether the HTML form starts with the graph.
        matched: hits of a pattern, to be marked.
        root: a name for the root; its class stands there in any case.
        expand_parameters: every parameter on a line of its own.
        said: a sentence to put before the totals.

    Example:
        >>> from torch import nn
        >>> from deltanb.structure import snapshot
        >>> print(StructureReport(snapshot(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)))))
                                                    parameters
        Sequential                                          26  T
        ├── 0 (Linear) weight:[4, 3] bias:[4]               16  T
        └── 1 (Linear) weight:[2, 4] bias:[2]               10  T
        <BLANKLINE>
        26 parameters, 26 trainable (100 %)
        T trains
    """

    def __init__(
        self,
        tree: ModuleTree,
        *,
        depth: int | None = None,
        empty: bool = False,
        picture: bool = True,
        matched: MatchResult | None = None,
        root: str = "",
        expand_parameters: bool = False,
        said: str = "",
    ) -> None:
        self.tree = tree
        self.picture = picture
        self.matched = matched
        self._depth, self._empty, self._root, self._expand = depth, empty, root, expand_parameters
        self._said = said

    @cached_property
    def rows(self) -> FoldedNode:
        """The folded rows, as `deltanb.folding.fold` gives them."""
        return fold(self.tree, depth=self._depth, empty=self._empty)

    @property
    def counts(self) -> Counts:
        """Counts of the whole model."""
        return self.tree.counts

    @property
    def svg(self) -> str | None:
        """The picture as an ``<svg>`` element; None where nothing can draw it (`drawing` says why)."""
        return self.drawing.svg

    @cached_property
    def drawing(self) -> Drawing:
        """The picture, what drew it, or why there is none."""
        rows = self._picture_rows
        boxes = sum(1 for _ in rows.walk())
        if boxes > TOO_MANY_BOXES:
            return Drawing(None, reason=f"{number(boxes)} boxes are too many for one")
        return draw(structure_dot(rows, title=self.tree.type, matched=self._marks(rows).counts).source)

    @cached_property
    def _picture_rows(self) -> FoldedNode:
        rows, depth = self.rows, self._levels
        while depth > 1 and sum(1 for _ in rows.walk()) > MOST_BOXES:
            depth -= 1
            rows = fold(self.tree, depth=depth, empty=self._empty)
        return rows

    @property
    def _levels(self) -> int:
        return open_levels(self.rows, len(self.tree) + 1)

    def _marks(self, rows: FoldedNode) -> Marks:
        return mark_rows(rows, self.matched or ())

    def text(self) -> str:
        """The tree, the totals and what the signs mean."""
        hits = self._marks(self.rows).counts
        lines = tree_lines(self.rows, hits, root=self._root, expand=self._expand)
        return "\n".join([*lines, "", *self._summary(), signs_line(self.rows, hits)]).rstrip()

    def _summary(self) -> list[str]:
        lines = [*filter(None, [self._said]), totals_line(self.counts)]
        own = self.tree.root.own.total
        if own and self.tree.root.children:
            lines.append(f"{number(own)} of them in the model itself, outside its modules")
        if self.matched is not None:
            said = f"{number(len(self.matched))} of {plural(self.matched.total, 'module')} matched"
            hidden = self._marks(self.rows).hidden
            lines.append(said + (f", {number(hidden)} of them not shown here" if hidden else ""))
        return lines

    def html(self) -> str:
        """The picture, then the tree; without a picture the reason why."""
        hits = self._marks(self.rows).counts
        drawn = self.picture and self.svg is not None
        levels = open_levels(self.rows, OPEN_BELOW if drawn else OPEN_ALONE)
        tree = tree_html(self.rows, hits, levels=levels, root=self._root, expand=self._expand)
        words = tag("div", tree, *[note(line) for line in (" · ".join(self._summary()), signs_line(self.rows, hits))], style=BESIDE)
        return tag("div", *self._picture_parts(), words, style="display:flex;flex-wrap:wrap;gap:6px 18px;margin:4px 0px")

    def _picture_parts(self) -> list[str]:
        if not self.picture:
            return []
        if self.svg is None:
            return [note(f"No picture: {self.drawing.reason}.")]
        parts: list[str] = [
            picture(self.svg, f"Structure of {self.tree.type}: {totals_line(self.counts)}. The tree below says the same in words.")
        ]
        if self._picture_rows is not self.rows:
            parts.append(note("The picture leaves out the lowest levels; the tree has them all."))
        return parts
