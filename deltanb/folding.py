"""Folding: a run of siblings that are truly alike becomes one row, such as ``0-5`` or ``k_proj,v_proj``.

Alike means the same types, shapes, dtypes, order, trainable state, ties and deltas all the way down; only neighbours
fold, so the order of the model is kept. The label of a folded row is a valid segment of a pattern (`deltanb.addressing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from deltanb.structure import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deltanb.structure import ModuleNode, ModuleTree, ParameterInfo

__all__ = ["FoldedNode", "fold", "join_labels"]


@dataclass(frozen=True, slots=True)
class FoldedNode:
    """One row of a folded tree: a module, or several alike.

    Attributes:
        label: the last segment, a range or a list where several are folded.
        address: the labels from the root joined by dots: a pattern that hits exactly these modules.
        first: the first of the modules; the others are like it.
        members: the full names of the direct siblings in this row.
        count: how many modules of the model this row stands for (members × the folds above).
        counts: parameters of all of them.
        children: rows below.
        hidden: how many modules a depth limit has cut off below, per member.
    """

    label: str
    address: str
    first: ModuleNode
    members: tuple[str, ...]
    count: int
    counts: Counts
    children: tuple[FoldedNode, ...]
    hidden: int = 0

    @property
    def folded(self) -> bool:
        """Whether the row stands for more than one sibling."""
        return len(self.members) > 1

    def walk(self) -> Iterator[FoldedNode]:
        """This row and all below, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def fold(tree: ModuleTree, *, depth: int | None = None, empty: bool = False) -> FoldedNode:
    """Fold a tree.

    Args:
        tree: from `deltanb.structure.snapshot`.
        depth: how many levels below the root to keep; None for all.
        empty: keep modules without parameters and buffers (activations, dropout).

    Example:
        >>> from torch import nn
        >>> from deltanb.structure import snapshot
        >>> rows = fold(snapshot(nn.Sequential(*[nn.Linear(2, 2) for _ in range(3)])))
        >>> [(row.label, row.count, row.counts.total) for row in rows.walk()]
        [('', 1, 18), ('0-2', 3, 18)]
    """
    return _Folder(empty=empty).row([tree.root], "", 1, depth)


class _Folder:
    def __init__(self, *, empty: bool) -> None:
        self.empty = empty
        self.prints: dict[int, int] = {}
        self.numbers: dict[Any, int] = {}

    def row(self, alike: Sequence[ModuleNode], above: str, times: int, depth: int | None) -> FoldedNode:
        first = alike[0]
        label = join_labels([node.label for node in alike])
        address = f"{above}.{label}" if above else label
        count = times * len(alike)
        children: tuple[FoldedNode, ...] = ()
        hidden = 0
        if depth is not None and depth <= 0:
            hidden = sum(1 for node in first.walk() if self._keeps(node)) - 1
        else:
            left = None if depth is None else depth - 1
            children = tuple(self.row(run, address, count, left) for run in self._runs(first))
        counts = _times(sum((node.counts for node in alike), Counts()), times)
        return FoldedNode(label, address, first, tuple(node.name for node in alike), count, counts, children, max(hidden, 0))

    def _keeps(self, node: ModuleNode) -> bool:
        return self.empty or bool(node.parameters or node.buffers or node.same_as) or any(self._keeps(child) for child in node.children)

    def _runs(self, node: ModuleNode) -> list[list[ModuleNode]]:
        kept = [child for child in node.children if self._keeps(child)]
        return [list(run) for _, run in groupby(kept, key=lambda child: (child.label.isdecimal(), self.fingerprint(child)))]

    def fingerprint(self, node: ModuleNode) -> int:
        """A number that two nodes share exactly if they are alike."""
        known = self.prints.get(id(node))
        if known is None:
            below = tuple([(child.label, self.fingerprint(child)) for child in node.children])
            key = (node.type, node.delta, node.same_as is not None, self._tensors(node.parameters), node.buffers, below)
            known = self.prints[id(node)] = self.numbers.setdefault(key, len(self.numbers))
        return known

    def _tensors(self, parameters: tuple[ParameterInfo, ...]) -> int:
        """The same for parameters alone; layers alike share one tuple, so it is read once."""
        known = self.prints.get(id(parameters)) if parameters else -1
        if known is None:
            key = tuple((p.name, p.shape, p.dtype, p.trainable, p.tied_to is not None, p.delta, p.brought) for p in parameters)
            known = self.prints[id(parameters)] = self.numbers.setdefault(key, len(self.numbers))
        return known


def _times(counts: Counts, times: int) -> Counts:
    return Counts(counts.total * times, counts.trainable * times, counts.delta * times, counts.buffers * times)


def join_labels(labels: Sequence[str]) -> str:
    """Labels of one row as one segment: runs of integers as ranges, everything else joined by commas.

    Example:
        >>> join_labels(["0", "1", "2", "5"]), join_labels(["k_proj", "v_proj"]), join_labels(["7"])
        ('0-2,5', 'k_proj,v_proj', '7')
    """
    if not all(label.isdecimal() and str(int(label)) == label for label in labels):
        return ",".join(labels)
    numbers = [int(label) for label in labels]
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
