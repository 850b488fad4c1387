"""From the names in a model to roles."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from deltanb._walk import backbone_modules
from deltanb.roles._families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

__all__ = ["family_of", "role_names", "roles_of"]


def family_of(model: object) -> str | None:
    """The family of a model by its config, if its roles are known.

    Example:
        >>> family_of(object()) is None
        True
    """
    family = getattr(getattr(model, "config", None), "model_type", None)
    return family if isinstance(family, str) and family in FAMILIES else None


def roles_of(model: nn.Module) -> dict[str, str] | None:
    """The role path of each module that has one; None where no family is known.

    A model whose own family has no table may hold models whose families have one (an encoder and a decoder joined
    together, a module of your own around a BERT): their roles hold then. An ``Identity`` that fills the place of a module
    (the first norm of ModernBERT) has no role.

    Example:
        >>> from torch import nn
        >>> roles_of(nn.Linear(1, 1)) is None
        True
    """
    roles: dict[str, str] = {}
    inside: tuple[str, ...] = ()
    found = False
    for name, module in backbone_modules(model):
        family = None if name.startswith(inside) else family_of(module)
        if family:
            found, prefix = True, f"{name}." if name else ""
            inside = (*inside, prefix)
            real = [below for below, part in backbone_modules(module) if type(part).__name__ != "Identity"]
            roles |= {prefix + below: role for below, role in role_names(real, family).items()}
    return roles if found else None


def role_names(names: Iterable[str], family: str) -> dict[str, str]:
    """The role path of each module that has one.

    Args:
        names: dotted module names.
        family: one of `known_families`.

    Example:
        >>> role_names(["bert.encoder.layer.3.output.dense", "bert.pooler"], "bert")
        {'bert.encoder.layer.3.output.dense': 'encoder@.block@.3.ff@.w2@'}
    """
    return dict(_role_names(tuple(names), family))


@lru_cache(maxsize=4)
def _role_names(names: tuple[str, ...], family: str) -> dict[str, str]:
    """The same, remembered: one verb asks several times about one model."""
    search = _compiled(family)
    roles = {}
    for name in names:
        hit = search.fullmatch(name)
        if hit and hit.lastgroup:
            path = _paths(family)[hit.lastgroup]
            numbers = [group for key, group in zip(_group_names(search), hit.groups(), strict=True) if key is None and group is not None]
            roles[name] = path.replace("$", numbers[0], 1) if numbers else path
    return roles


@cache
def _paths(family: str) -> dict[str, str]:
    return {f"r{at}": role for at, role in enumerate(FAMILIES[family].values())}


@cache
def _compiled(family: str) -> re.Pattern[str]:
    """One expression for the whole family: named group = which entry, unnamed groups = its numbers."""
    entries = (re.escape(real).replace(r"\$", r"(\d+)") for real in FAMILIES[family])
    return re.compile(r"(?:[A-Za-z_]\w*\.)*?(?:" + "|".join(f"(?P<r{at}>{entry})" for at, entry in enumerate(entries)) + ")")


@cache
def _group_names(search: re.Pattern[str]) -> tuple[str | None, ...]:
    by_number = {number: name for name, number in search.groupindex.items()}
    return tuple(by_number.get(number) for number in range(1, search.groups + 1))
