"""A delta in PEFT's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints._peft_common import PREFIX
from deltanb.structure import module_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import nn

    from deltanb.engine import DeltaModel

__all__ = ["OWN_FORMAT", "Form", "differs", "named"]

OWN_FORMAT = "save_finetuned(folder), in deltanb's own format"


@dataclass
class Form:
    """A delta as PEFT would write it.

    Attributes:
        settings: what belongs to its type in ``adapter_config.json``.
        tensors: the adapter's own, under PEFT's names.
        hosts: the modules that it sits on, for types that sit on modules.
        own: names of backbone tensors that are the adapter's own here.
        prefix: what PEFT puts before names of the backbone.
        takes_bias: PEFT's word for the type where it can train its targets' biases, else "".
        whole: whether the tensors are all that the delta has: a prefix is saved without the network that makes it.
    """

    settings: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    hosts: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    prefix: str = PREFIX
    takes_bias: str = ""
    whole: bool = True


def named(backbone: nn.Module, hosts: Sequence[str]) -> list[str]:
    """``target_modules``: the last words of the hosts where these hit the hosts alone, else their full names.

    Example:
        >>> from torch import nn
        >>> model = nn.ModuleDict({"a": nn.ModuleDict({"q": nn.Linear(1, 1)}), "b": nn.ModuleDict({"q": nn.Linear(1, 1)})})
        >>> named(model, ["a.q", "b.q"]), named(model, ["b.q"])
        (['q'], ['b.q'])
    """
    words = sorted({host.rpartition(".")[2] for host in hosts})
    hit = [name for name in module_names(backbone) if name.rpartition(".")[2] in words]
    return words if set(hit) == set(hosts) else sorted(hosts)


def differs(delta: DeltaModel, here: str, there: str) -> DeltaError:
    """The error for a delta whose type PEFT has, but not so."""
    msg = f"{delta.name!r} cannot be written in PEFT's format: {here}, and PEFT {there}."
    return DeltaError(msg, expected="What PEFT computes in the same way.", try_=OWN_FORMAT)
