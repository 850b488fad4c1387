"""Every tensor of a model into exactly one line of a table."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltanb.folding import fold
from deltanb.graph import full_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from deltanb.structure import ModuleNode, ModuleTree, ParameterInfo

__all__ = [
    "GONE",
    "ROOT",
    "Line",
    "count_lines",
    "full_name",
    "gradient_notes",
    "owned_bytes",
    "shortened",
    "tensors_once",
    "tied_names",
]

ROOT = "(the model itself)"
GONE = "(no longer there)"
MOST_NAMED = 4
_BITS = re.compile(r"\d+")


@dataclass(slots=True)
class Line:
    """One line: what it is about, and its sums.

    Attributes:
        key: address, type, or owner.
        type: the class of the modules of an address.
        members: full names of the modules whose tensors are in the line.
        total: parameters.
        trainable: those that train.
        delta: those that a delta brought.
        trainable_delta: those that a delta brought and that train.
        before: parameters that trained before.
        dead: those that train and receive no gradient.
    """

    key: str
    type: str = ""
    members: set[str] = field(default_factory=set)
    total: int = 0
    trainable: int = 0
    delta: int = 0
    trainable_delta: int = 0
    before: int = 0
    dead: int = 0

    @property
    def modules(self) -> int:
        """How many modules the line is about."""
        return len(self.members)

    def add(self, parameter: ParameterInfo) -> None:
        """Count one tensor."""
        size = parameter.numel
        self.total += size
        self.trainable += size * parameter.trainable
        self.delta += size * parameter.brought
        self.trainable_delta += size * (parameter.brought and parameter.trainable)


def shortened(lines: list[Line], most: int) -> list[Line]:
    """At most ``most`` lines; the last one then sums up the rest, so that the columns still add up.

    Example:
        >>> [(line.key, line.total) for line in shortened([Line("a", total=1), Line("b", total=2), Line("c", total=3)], 2)]
        [('a', 1), ('(2 more rows)', 5)]
    """
    if len(lines) <= most:
        return lines
    rest = lines[most - 1 :]
    last = Line(f"({len(rest):,} more rows)", members=set().union(*(line.members for line in rest)))
    for title in ("total", "trainable", "delta", "trainable_delta", "before", "dead"):
        setattr(last, title, sum(getattr(line, title) for line in rest))
    return [*lines[: most - 1], last]


def tensors_once(tree: ModuleTree) -> Iterator[tuple[ModuleNode, ParameterInfo]]:
    """Every tensor once, with the module that it is counted in."""
    for node in tree.root.walk():
        for parameter in node.parameters:
            if parameter.tied_to is None:
                yield node, parameter


def count_lines(after: ModuleTree, before: ModuleTree | None, by: str, depth: int | None, dead: Collection[str] = ()) -> list[Line]:
    """The lines of a table by ``module``, ``type`` or ``delta``; see `ParameterTable`."""
    rows = fold(after, depth=depth)
    names = full_names(rows)
    home = {name: row for row in rows.walk() for name in names[row.address]}
    trained = (
        {full_name(node, parameter): parameter.numel for node, parameter in tensors_once(before) if parameter.trainable} if before else {}
    )
    lines: dict[str, Line] = {}
    for node, parameter in tensors_once(after):
        member = node.name
        while member not in home:
            member = member.rpartition(".")[0]
        row = home[member]
        key = {"module": row.address or ROOT, "type": row.first.type, "delta": parameter.delta or "backbone"}[by]
        line = lines.setdefault(key, Line(key, row.first.type))
        line.members.add(member)
        line.add(parameter)
        line.before += trained.pop(full_name(node, parameter), 0)
        line.dead += parameter.numel * (full_name(node, parameter) in dead)
    if trained:
        lines[GONE] = Line(GONE, before=sum(trained.values()))
    return list(lines.values())


def full_name(node: ModuleNode, parameter: ParameterInfo) -> str:
    """The dotted name of a tensor."""
    return f"{node.name}.{parameter.name}" if node.name else parameter.name


def owned_bytes(tree: ModuleTree) -> int:
    """Bytes of all tensors that deltas brought or took over: what they are as files, headers aside.

    Example:
        >>> from torch import nn
        >>> from deltanb.structure import snapshot
        >>> owned_bytes(snapshot(nn.Linear(2, 2)))
        0
    """
    return sum(parameter.numel * _bytes(parameter.dtype) for _, parameter in tensors_once(tree) if parameter.delta)


def _bytes(dtype: str) -> int:
    bits = _BITS.search(dtype)
    return max(int(bits.group()) // 8, 1) if bits else 1


def tied_names(tree: ModuleTree) -> list[tuple[str, str]]:
    """Full names of tied parameters, each with the name under which the tensor is counted.

    Example:
        >>> from torch import nn
        >>> from deltanb.structure import snapshot
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> model[1].weight = model[0].weight
        >>> tied_names(snapshot(model))
        [('1.weight', '0.weight')]
    """
    return [
        (full_name(node, parameter), parameter.tied_to) for node in tree.root.walk() for parameter in node.parameters if parameter.tied_to
    ]


def gradient_notes(found: Mapping[str, str] | str | None, *, trains: bool) -> list[str]:
    """What a trial pass showed, in a line for each reason.

    Args:
        found: names and reasons, or why nobody looked, or None.
        trains: whether anything trains at all.

    Example:
        >>> gradient_notes({"pooler.weight": "not reached", "pooler.bias": "not reached"}, trains=True)
        ['No gradient in a trial pass (not reached): pooler.weight, pooler.bias.']
        >>> gradient_notes({}, trains=True), gradient_notes("the model is large", trains=True)
        (['Every parameter that trains gets a gradient (in a trial pass).'], ['Gradients were not looked at: the model is large.'])
    """
    if not trains or found is None:
        return []
    if isinstance(found, str):
        return [f"Gradients were not looked at: {found.rstrip('.')}."]
    groups: dict[str, list[str]] = {}
    for name, reason in found.items():
        groups.setdefault(reason, []).append(name)
    lines = [f"No gradient in a trial pass ({reason}): {_some(names)}." for reason, names in groups.items()]
    return lines or ["Every parameter that trains gets a gradient (in a trial pass)."]


def _some(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f", and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else "")
