"""Which rows of a folded tree a picture shows: what is open, folds opened to their members, and no more boxes than can be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltanb.folding import FoldedNode, join_labels
from deltanb.structure import Counts

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from deltanb.structure import ModuleNode

__all__ = ["Visible", "visible_rows"]

FEW = 30  # boxes: with less than that a picture shows the first of many neighbours, else nothing of them


@dataclass(frozen=True, slots=True)
class Visible:
    """The rows of a picture.

    Attributes:
        rows: the root, with what is shown below.
        home: for the address of each row that of the folded tree's own: another one where a fold was opened to its members.
        levels: how many levels are shown.
        cut: whether there would have been more boxes than allowed.
    """

    rows: FoldedNode
    home: dict[str, str]
    levels: int
    cut: bool


@dataclass(slots=True)
class _Shown:
    row: FoldedNode
    alike: Sequence[ModuleNode]  # the row's modules, or one of them
    above: str
    times: int
    children: list[_Shown] = field(default_factory=list)

    @property
    def address(self) -> str:
        label = self.row.label if len(self.alike) == len(self.row.members) else join_labels([self.alike[0].label])
        return f"{self.above}.{label}" if self.above else label


def visible_rows(
    rows: FoldedNode, *, opened: Collection[str] | None = None, unfolded: Collection[str] = (), empty: bool = False, most: int = 300
) -> Visible:
    """The rows that a picture shows.

    Args:
        rows: the whole tree, folded with every module in it.
        opened: addresses of the rows whose children are shown; None for all. The root's always are.
        unfolded: addresses, as shown, of the folded rows to be opened to their members.
        empty: keep modules without parameters and buffers.
        most: of boxes; where there would be more, the lowest levels stay closed.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> rows = fold(snapshot(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU())), empty=True)
        >>> [row.address for row in visible_rows(rows).rows.walk()]
        ['', '0-1']
        >>> visible_rows(rows, unfolded=["0-1"]).home
        {'': '', '0': '0-1', '1': '0-1'}
    """
    return _Chooser(opened, frozenset(unfolded), empty=empty).choose(rows, most)


class _Chooser:
    def __init__(self, opened: Collection[str] | None, unfolded: frozenset[str], *, empty: bool) -> None:
        self.opened = None if opened is None else frozenset(opened)
        self.unfolded = unfolded
        self.empty = empty
        self.inside: dict[int, int] = {}

    def choose(self, rows: FoldedNode, most: int) -> Visible:
        """Level by level, until there is nothing more or no room for it."""
        root = _Shown(rows, [rows.first], "", 1)
        level, total, levels, cut = [root], 0, 0, False
        while level:
            below = [self._below(shown) for shown in level]
            count = sum(map(len, below))
            if total + count > most:
                cut = True
                if total >= FEW:
                    break
                room = max(1, (most - total) // sum(map(bool, below)))
                below = [children[:room] for children in below]
                count = sum(map(len, below))
            for shown, children in zip(level, below, strict=True):
                shown.children = children
            level = [child for children in below for child in children]
            total, levels = total + count, levels + bool(count)
            if cut:
                break
        home: dict[str, str] = {}
        return Visible(self._frozen(root, home), home, levels, cut)

    def _below(self, shown: _Shown) -> list[_Shown]:
        row, address = shown.row, shown.address
        if row.address and self.opened is not None and row.address not in self.opened:
            return []
        nodes = {node.label: node for node in shown.alike[0].children} if row.children else {}
        found: list[_Shown] = []
        for child in filter(self._keeps, row.children):
            alike = [nodes[name.rpartition(".")[2]] for name in child.members]
            whole = _Shown(child, alike, address, shown.times * len(shown.alike))
            single = child.folded and whole.address in self.unfolded
            found += [_Shown(child, [node], address, whole.times) for node in alike] if single else [whole]
        return found

    def _keeps(self, row: FoldedNode) -> bool:
        return self.empty or self._inside(row) > 0 or _holds(row)

    def _inside(self, row: FoldedNode) -> int:
        """How many modules that a picture can show are below one member."""
        known = self.inside.get(id(row))
        if known is None:
            kept = [child for child in row.children if self._keeps(child)]
            known = self.inside[id(row)] = sum(len(child.members) * (1 + self._inside(child)) for child in kept)
        return known

    def _frozen(self, shown: _Shown, home: dict[str, str]) -> FoldedNode:
        row, alike, address = shown.row, shown.alike, shown.address
        home[address] = row.address
        children = tuple(self._frozen(child, home) for child in shown.children)
        seen = sum(len(child.members) * (1 + child.hidden + _shown_inside(child)) for child in children)
        each = sum((node.counts for node in alike), Counts())
        counts = Counts(*(value * shown.times for value in (each.total, each.trainable, each.delta, each.buffers)))
        label = address.rpartition(".")[2] if shown.above else address
        names = tuple(node.name for node in alike)
        return FoldedNode(label, address, alike[0], names, shown.times * len(alike), counts, children, self._inside(row) - seen)


def _shown_inside(row: FoldedNode) -> int:
    return sum(len(child.members) * (1 + child.hidden + _shown_inside(child)) for child in row.children)


def _holds(row: FoldedNode) -> bool:
    node = row.first
    return bool(node.parameters or node.buffers or node.same_as is not None)
