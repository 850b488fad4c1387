"""A model's roles and the names that its family has for them, counted."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from deltanb.roles import roles_of
from deltanb.structure import snapshot
from deltanb_docs.writing import table

if TYPE_CHECKING:
    from torch import nn

    from deltanb.structure import ModuleNode

__all__ = ["role_tables"]

_HEAD = ("role", "module", "how many", "parameters", "type")
_INSIDE = re.compile(r"(?P<stack>.*?block@)\.\d+\.(?P<rest>.+)")

Rows = dict[tuple[str, str], list["ModuleNode"]]


def role_tables(model: nn.Module) -> str:
    """A table for what is in each layer of a stack, and one for the rest: the role, the module, how many, their parameters."""
    tree = snapshot(model)
    stacks: dict[str, Rows] = defaultdict(lambda: defaultdict(list))
    rest: Rows = defaultdict(list)
    for name, role in (roles_of(model) or {}).items():
        if name not in tree or tree[name].same_as is not None:
            continue
        inside = _INSIDE.fullmatch(role)
        if inside:
            stack, inner = _split(name)
            stacks[stack][inside["rest"], inner].append(tree[name])
        elif not role[-1].isdigit():
            rest[role, name].append(tree[name])
    parts = [f"In each layer of `{stack}`:\n\n{_table(rows)}" for stack, rows in stacks.items()]
    return "\n\n".join([*parts, *([f"Around them:\n\n{_table(rest)}"] if rest else [])])


def _split(name: str) -> tuple[str, str]:
    """The stack's name, and the name in a layer: before and after the first number."""
    stack, inner = re.split(r"\.\d+\.", name, maxsplit=1)
    return stack, inner


def _table(rows: Rows) -> str:
    return table(_HEAD, [_row(role, name, nodes) for (role, name), nodes in rows.items()])


def _row(role: str, name: str, nodes: list[ModuleNode]) -> list[str]:
    kinds = ", ".join(dict.fromkeys(node.type for node in nodes))
    return [f"`{role}`", f"`{name}`", str(len(nodes)), f"{sum(node.counts.total for node in nodes):,}", kinds]
