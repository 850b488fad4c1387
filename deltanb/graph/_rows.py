"""Questions about one row of a folded tree that every drawing of it asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltanb.structure import Counts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deltanb.folding import FoldedNode

__all__ = ["Marks", "full_names", "mark_rows", "own_counts", "row_state", "tied_to"]


def row_state(row: FoldedNode) -> str:
    """Whether a row is ``trainable``, ``frozen`` or ``partly`` trainable; "" when it holds no parameters at all.

    A row of which every tensor is tied counts nothing and takes the state of its own parameters.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> row_state(fold(snapshot(nn.Linear(2, 2).requires_grad_(False))))
        'frozen'
    """
    if row.counts.total:
        return {0: "frozen", row.counts.total: "trainable"}.get(row.counts.trainable, "partly")
    states = {parameter.trainable for node in row.first.walk() for parameter in node.parameters}
    if not states:
        return ""
    return "partly" if len(states) > 1 else "trainable" if states.pop() else "frozen"


def own_counts(row: FoldedNode) -> Counts:
    """What a row counts without the rows drawn below it: the sum over all rows of a tree is the model's count.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> [own_counts(row).total for row in fold(snapshot(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))).walk()]
        [0, 12]
    """
    below = sum((child.counts for child in row.children), Counts())
    whole = row.counts
    return Counts(whole.total - below.total, whole.trainable - below.trainable, whole.delta - below.delta, whole.buffers - below.buffers)


def tied_to(row: FoldedNode) -> tuple[str, ...]:
    """The full names of the tensors (or the module) that the row's first module shares; each counts there, not here.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> layer = nn.Linear(2, 2)
        >>> rows = fold(snapshot(nn.ModuleDict({"a": layer, "b": layer})))
        >>> [tied_to(row) for row in rows.walk()]
        [(), (), ('a',)]
    """
    if row.first.same_as is not None:
        return (row.first.same_as,)
    return tuple(parameter.tied_to for parameter in row.first.parameters if parameter.tied_to)


def full_names(rows: FoldedNode) -> dict[str, tuple[str, ...]]:
    """For the address of every row the full names of all modules that it stands for.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> full_names(fold(snapshot(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))))
        {'': ('',), '0-1': ('0', '1')}
    """
    names: dict[str, tuple[str, ...]] = {}

    def visit(row: FoldedNode, above: tuple[str, ...]) -> None:
        labels = [member.rpartition(".")[2] for member in row.members]
        mine = tuple(f"{name}.{label}" if name else label for name in above for label in labels)
        names[row.address] = mine
        for child in row.children:
            visit(child, mine)

    visit(rows, ("",))
    return names


@dataclass(frozen=True, slots=True)
class Marks:
    """Which rows a pattern's hits fall on.

    Attributes:
        counts: for the address of a row how many of its modules are hit; rows without a hit are absent.
        hidden: hits on modules that no row shows (below the depth limit, or without parameters).
    """

    counts: dict[str, int] = field(default_factory=dict)
    hidden: int = 0


def mark_rows(rows: FoldedNode, names: Iterable[str]) -> Marks:
    """Find the rows of matched modules.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> mark_rows(fold(snapshot(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))), ["1", "gone"])
        Marks(counts={'0-1': 1}, hidden=1)
    """
    home = {name: address for address, members in full_names(rows).items() for name in members}
    counts: dict[str, int] = {}
    hidden = 0
    for name in names:
        if name in home:
            counts[home[name]] = counts.get(home[name], 0) + 1
        else:
            hidden += 1
    return Marks(counts, hidden)
