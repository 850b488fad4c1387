"""A backbone's structure as compact JSON: what the browser needs to show it, match patterns and count, without the kernel.

The tree is folded with every module in it, so that its rows, opened depth first and member by member, give the names in
the order of ``named_modules()``. A row is ``{"l": labels, "t": type, "n": counts, "p": parameters, "d": delta, "k": kind
of delta, "s": same module as, "r": roles, "h": kind and sizes, "c": rows}``; what is empty is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from deltanb._foreign import as_deltas, foreign_deltas, summary
from deltanb.engine import deltas, host_facts, prompt_place, score_heads
from deltanb.folding import fold
from deltanb.roles import family_of, roles_of
from deltanb.structure import module_names, snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from deltanb._foreign import Foreign
    from deltanb.folding import FoldedNode
    from deltanb.structure import Counts, ModuleTree, ParameterInfo

__all__ = ["payload"]


def payload(model: nn.Module, tree: ModuleTree | None = None) -> dict[str, Any]:
    """The structure of a model as JSON.

    Args:
        model: any module, on any device.
        tree: its snapshot, if there is one already.

    Returns:
        ``type``, ``family`` (None if unknown), ``totals`` (total, trainable, delta, buffers: elements), ``modules`` (how many
        names patterns are matched against) and ``root``, the first row. Counts of a row are those of one member's whole sub-tree.
        ``foreign`` tells of deltas that another library put there, see `deltanb._foreign.summary`; it is left out without any.

    Example:
        >>> from torch import nn
        >>> found = payload(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
        >>> found["modules"], found["totals"], found["root"]["c"][0]["l"], found["root"]["c"][0]["n"]
        (2, [12, 12, 0, 0], ['0', '1'], [6, 6, 0, 0])
    """
    foreign = foreign_deltas(model)
    tree = as_deltas(tree or snapshot(model), foreign)
    names = [name for name in module_names(model) if name not in foreign]
    roles = roles_of(model)
    writer = _Writer(model, {name: delta.delta_type for name, delta in deltas(model).items()}, roles or {}, foreign)
    root = writer.row(fold(tree, empty=True), ("",))
    found: dict[str, Any] = {
        "type": tree.type,
        "family": family_of(model),
        "totals": _counts(tree.counts),
        "modules": len(names),
        "root": root,
    }
    if heads := score_heads(model):
        found["heads"] = heads
    if place := prompt_place(model):
        found["prompt"] = list(place)
    if foreign:
        found["foreign"] = summary(foreign)
    if roles is not None:
        found["roles"] = writer.others
    return found


class _Writer:
    """Turns rows into JSON."""

    def __init__(self, model: nn.Module, kinds: Mapping[str, str], roles: Mapping[str, str], foreign: Mapping[str, Foreign]) -> None:
        self.model = model
        self.kinds = kinds
        self.foreign = foreign
        self.roles = roles
        self.others: dict[str, str] = {}  # roles that no template of their row gives

    def row(self, row: FoldedNode, above: tuple[str, ...]) -> dict[str, Any]:
        """One row with all below.

        Args:
            row: of the folded tree.
            above: the full names of all modules that the row above stands for.
        """
        first = row.first
        labels = [member.rpartition(".")[2] for member in row.members]
        names = tuple(f"{name}.{label}" if name else label for name in above for label in labels)
        found: dict[str, Any] = {"l": labels, "t": first.type, "n": _counts(first.counts)}
        if first.parameters:
            found["p"] = [_parameter(info) for info in first.parameters]
        if first.delta:
            theirs = self.foreign.get(first.name)
            found |= {"d": first.delta, "k": theirs.kind if theirs else self.kinds.get(first.delta, "")}
        if first.same_as is not None:
            found["s"] = first.same_as
        elif not first.delta and (facts := host_facts(self.model, first.name)):
            found["h"] = facts
        if templates := self._roles(names, len(labels)):
            found["r"] = templates
        if row.children:
            found["c"] = [self.row(child, names) for child in row.children]
        return found

    def _roles(self, names: Sequence[str], members: int) -> list[str]:
        """One template of a role for each member (or for all of them): ``{3}`` stands for the fourth segment of the name."""
        if not any(name in self.roles for name in names):
            return []
        templates = [_template(name, self.roles.get(name, "")) for name in names[:members]]
        for at, name in enumerate(names):
            filled = _filled(templates[at % members], name)
            if filled != self.roles.get(name, ""):
                self.others[name] = self.roles.get(name, "")
        return templates[:1] if len(set(templates)) == 1 else templates


def _template(name: str, role: str) -> str:
    """A role with its numbers as places in the name; the outermost equal number is meant."""
    segments = name.split(".")
    return ".".join(f"{{{segments.index(part)}}}" if part.isdecimal() and part in segments else part for part in role.split("."))


def _filled(template: str, name: str) -> str:
    segments = name.split(".")
    return re.sub(r"\{(\d+)\}", lambda hit: segments[int(hit[1])], template)


def _counts(counts: Counts) -> list[int]:
    return [counts.total, counts.trainable, counts.delta, counts.buffers]


def _parameter(info: ParameterInfo) -> list[Any]:
    return [info.name, list(info.shape), int(info.trainable), info.tied_to, info.delta, info.dtype]
