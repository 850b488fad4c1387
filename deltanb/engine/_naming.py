"""Names of deltas: the name of the child module that a delta puts under each of its hosts."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import nn

    from deltanb.engine._hosts import Host

__all__ = ["check_name", "child_name", "free_name"]

_WORDS = ("deltas", "all", "none", "root")


def free_name(base: str, taken: Collection[str]) -> str:
    """``base``, or ``base_1``, ``base_2``, … if that is taken.

    Example:
        >>> free_name("adapter", []), free_name("adapter", ["adapter", "adapter_1"])
        ('adapter', 'adapter_2')
    """
    at = 0
    while (name := f"{base}_{at}" if at else base) in taken:
        at += 1
    return name


def child_name(name: str, delta_type: str, default_child: str) -> str:
    """The attribute that holds a delta's child modules: its name, but for a default name the word that the type uses.

    Example:
        >>> child_name("compacter_1", "compacter", "compactor"), child_name("reviews", "compacter", "compactor")
        ('compactor_1', 'reviews')
    """
    number = re.fullmatch(rf"{delta_type}((?:_\d+)?)", str(name))
    return f"{default_child}{number.group(1)}" if number and default_child else name


def check_name(name: str, child: str, backbone: nn.Module, hosts: Sequence[Host]) -> None:
    """Refuse a name that Python, the backbone or a host already uses.

    Args:
        name: of the delta.
        child: of its child modules.
        backbone: the model.
        hosts: the modules that get a child.

    Raises:
        DeltaError: with the reason and a name that would do.
    """
    reason = _reason(name, child, backbone, hosts)
    if reason:
        other = f"{name}_delta" if str(name).isidentifier() else "reviews"
        msg = f"A delta cannot be called {name!r}: {reason}."
        raise DeltaError(msg, expected="An identifier that the backbone does not use.", try_=f"name={other!r}, or --name {other}")


def _reason(name: Any, child: str, backbone: nn.Module, hosts: Sequence[Host]) -> str:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        return "it must be a Python identifier (letters, digits, _)"
    if name in _WORDS or name.startswith("_"):
        return "the word has a meaning of its own here"
    for host in hosts:
        if hasattr(host.module, child):
            return f"{host.name or 'the backbone'} ({type(host.module).__name__}) already has an attribute of that name"
    segments = {segment for _, module in backbone_modules(backbone) for segment in (*module._modules, *module._parameters)}
    return "a part of the backbone has that name, so patterns could not tell them apart" if name in segments else ""
