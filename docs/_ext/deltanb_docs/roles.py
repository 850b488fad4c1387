"""A model's roles and the names that its family has for them, counted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deltanb.roles import roles_of
from deltanb.structure import snapshot
from deltanb_docs.writing import table

if TYPE_CHECKING:
    from torch import nn

    from deltanb.structure import ModuleNode

__all__ = ["role_table"]


def role_table(model: nn.Module) -> str:
    """Roles in model order: the role, the modules, their type, how many, and their parameters together."""
    tree = snapshot(model)
    groups: dict[tuple[str, str], list[ModuleNode]] = {}
    for name, role in (roles_of(model) or {}).items():
        if name in tree and tree[name].same_as is None:
            groups.setdefault((_open(role), _open(name)), []).append(tree[name])
    rows = [
        [f"`{role}`", f"`{name}`", ", ".join(dict.fromkeys(node.type for node in nodes)), str(len(nodes)), f"{_parameters(nodes):,}"]
        for (role, name), nodes in groups.items()
    ]
    return table(["role", "modules", "type", "how many", "parameters"], rows)


def _open(name: str) -> str:
    """The first number as ``$``: of a layer. Others (T5's parts of one) say what a module is."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "$", name, count=1)


def _parameters(nodes: list[ModuleNode]) -> int:
    return sum(node.counts.total for node in nodes)
