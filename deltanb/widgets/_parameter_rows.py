"""A parameter table as nested rows in JSON: numbers for each module of a row, so that the browser only adds up.

A row is ``{"l": labels, "t": type, "n": numbers, "own": numbers, "w": reasons, "s": counted under, "d": delta, "c": rows}``;
what is empty is left out. Numbers are ``[total, before, trainable, dead, delta]`` of ONE module's whole sub-tree (``own``:
of its own tensors, where it has children too); a number that differs between the modules of a row is a list of all of them.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from deltanb.folding import fold, join_labels
from deltanb.graph import full_names
from deltanb.reports._count import GONE, count_lines, full_name, gradient_notes, tensors_once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltanb.folding import FoldedNode
    from deltanb.reports import ParameterTable
    from deltanb.reports._count import Line
    from deltanb.structure import ModuleTree

__all__ = ["first_open", "parameter_rows"]

Numbers = list[Any]
MOST_OPEN = 24  # rows to begin with
MOST_REASONS = 3


def parameter_rows(table: ParameterTable) -> dict[str, Any]:
    """All that the view shows, however it is grouped.

    Args:
        table: of any group and depth; its trees and its look at the gradients are used.

    Returns:
        ``type`` of the model, ``modules`` in it, ``before`` and ``dead`` (whether these were looked at), ``totals``, ``module``
        (the first row), ``types`` and ``deltas`` (lines), ``notes``.

    Example:
        >>> from torch import nn
        >>> from deltanb.reports import ParameterTable
        >>> from deltanb.structure import snapshot
        >>> found = parameter_rows(ParameterTable(snapshot(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))))
        >>> found["totals"], found["module"]["c"][0]["l"], found["module"]["c"][0]["n"]
        ([12, 0, 12, 0, 0], ['0', '1'], [6, 0, 6, 0, 0])
    """
    dead = {} if table.gradients is None or isinstance(table.gradients, str) else dict(table.gradients)
    writer = _Writer(table.after, table.before, dead)
    root = fold(table.after)
    first = writer.row(root)[0]
    if writer.trained:  # what trained before and is no longer there
        first.setdefault("c", []).append({"l": [GONE], "t": "", "n": [0, sum(writer.trained.values()), 0, 0, 0]})
    counts = table.after.counts
    before = table.before.counts.trainable if table.before else 0
    return {
        "type": table.after.type,
        "modules": len(table.after) - 1,
        "before": table.before is not None,
        "beforeTotal": table.before.counts.total if table.before else 0,
        "dead": table.gradients is not None and not isinstance(table.gradients, str),
        "totals": [counts.total, before, counts.trainable, _dead_sum(table.after, dead), counts.delta],
        "module": first,
        "types": [_line(line) for line in count_lines(table.after, table.before, "type", None, dead)],
        "deltas": [_line(line) for line in count_lines(table.after, table.before, "delta", None, dead)],
        "notes": gradient_notes(table.gradients, trains=bool(counts.trainable)) if isinstance(table.gradients, str) else [],
    }


def _dead_sum(tree: ModuleTree, dead: Mapping[str, str]) -> int:
    return sum(parameter.numel for node, parameter in tensors_once(tree) if full_name(node, parameter) in dead)


def _line(line: Line) -> dict[str, Any]:
    return {"k": line.key, "m": line.modules, "n": [line.total, line.before, line.trainable, line.dead, line.delta]}


class _Writer:
    """Turns folded rows into JSON; what trained before is struck off as it is met."""

    def __init__(self, after: ModuleTree, before: ModuleTree | None, dead: Mapping[str, str]) -> None:
        self.after = after
        self.dead = dead
        self.names: dict[str, tuple[str, ...]] = full_names(fold(after))
        pairs = tensors_once(before) if before else ()
        self.trained = {full_name(node, parameter): parameter.numel for node, parameter in pairs if parameter.trainable}

    def row(self, row: FoldedNode) -> tuple[dict[str, Any], list[int], list[int]]:
        """One row with all below; and for each of its modules what trained before, and what is dead, in the whole sub-tree.

        Args:
            row: of the folded tree.
        """
        first = row.first
        own_before, own_dead = self._own(row)
        before, dead = own_before, own_dead
        children = []
        for child in row.children:
            made, below_before, below_dead = self.row(child)
            children.append(made)
            before = _added(before, below_before, len(child.members))
            dead = _added(dead, below_dead, len(child.members))
        found: dict[str, Any] = {"l": [name.rpartition(".")[2] for name in row.members], "t": first.type}
        found["n"] = [first.counts.total, _short(before), first.counts.trainable, _short(dead), first.counts.delta]
        if children:
            own = [first.own.total, _short(own_before), first.own.trainable, _short(own_dead), first.own.delta]
            found |= {"c": children} | ({"own": own} if any(own) else {})
        if reasons := self._reasons(row):
            found["w"] = reasons
        tied = first.same_as or next((info.tied_to for info in first.parameters if info.tied_to), None)
        if tied:
            found["s"] = tied
        owner = first.delta or next((info.delta for info in first.parameters if info.delta), None)
        if owner:
            found["d"] = owner
        return found, before, dead

    def _own(self, row: FoldedNode) -> tuple[list[int], list[int]]:
        """For each module of a row what trained before and what is dead, of its own tensors."""
        before, dead = [], []
        for name in self.names[row.address]:
            kept = [(f"{name}.{info.name}" if name else info.name, info.numel) for info in row.first.parameters if info.tied_to is None]
            before.append(sum(self.trained.pop(full, 0) for full, _ in kept))
            dead.append(sum(size for full, size in kept if full in self.dead))
        return before, dead

    def _reasons(self, row: FoldedNode) -> list[str]:
        """Why tensors of a row's modules get no gradient: the tensor's own name, and the reason."""
        if not self.dead or not row.first.parameters:
            return []
        names = [f"{name}.{info.name}" if name else info.name for name in self.names[row.address] for info in row.first.parameters]
        found = dict.fromkeys(self.dead[name] for name in names if name in self.dead)
        return list(itertools.islice(found, MOST_REASONS))


def _added(above: Sequence[int], below: Sequence[int], members: int) -> list[int]:
    """The numbers of modules, and those of their children, of which each has as many."""
    return [value + sum(below[at * members : (at + 1) * members]) for at, value in enumerate(above)]


def _short(values: Sequence[int]) -> int | list[int]:
    """One number where all are the same."""
    return values[0] if len(set(values)) == 1 else list(values)


def first_open(root: Mapping[str, Any], most: int = MOST_OPEN, depth: int | None = None) -> list[str]:
    """Addresses of the rows to open first: level by level, as long as the table stays short.

    Args:
        root: the first row.
        most: rows that may be shown, where no depth is given.
        depth: levels to show.

    Example:
        >>> leaf = {"l": ["fc1"], "t": "Linear", "n": [6, 0, 6, 0, 0]}
        >>> first_open({"l": [""], "t": "", "n": [], "c": [{"l": ["0", "1"], "t": "Layer", "n": [], "c": [leaf]}, leaf]})
        ['0-1']
    """
    level = [(join_labels(row["l"]), row) for row in root.get("c", ())]
    found: list[str] = []
    shown, levels = len(level), 1
    while level and (depth is None or levels < depth):
        closed = [(address, row) for address, row in level if row.get("c")]
        below = [(f"{address}.{join_labels(child['l'])}", child) for address, row in closed for child in row["c"]]
        shown += len(below)
        if depth is None and (not below or shown > most):
            break
        found += [address for address, _ in closed]
        level = below
        levels += 1
    return found
