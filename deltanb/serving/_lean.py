"""A loaded delta in pieces that can be put into its backbone, and taken out, without copying a number.

An attached delta is part of a model's history: its declarations, the order of hooks, the originals of the tensors that it
owns. A pool changes nothing for longer than a call, so it only points: a child module under each host, the delta's own
parameters in the place of the backbone's, and the hooks.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn

from deltanb._quiet import quiet
from deltanb._walk import backbone_modules, module_at
from deltanb.checkpoints import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltanb.engine import DeltaModel
    from deltanb.engine._insertion import Hook

__all__ = ["Lean", "Own", "lean_from", "switched"]


@dataclass(frozen=True)
class Own:
    """A tensor that a delta has in the place of one of the backbone's.

    Attributes:
        name: of the module that holds it.
        module: that module.
        key: the parameter's name in it.
        value: the delta's.
        tied: whether other modules hold the same parameter.
    """

    name: str
    module: nn.Module
    key: str
    value: nn.Parameter
    tied: bool = False


@dataclass
class Lean:
    """A loaded delta.

    Attributes:
        name: in the pool.
        delta: itself, detached; its modules compute as in evaluation.
        children: hosts, with the attribute under which a child goes, and the child.
        hooks: names of modules, the modules, and what hooks into them, in order.
        own: the tensors that it has in the place of the backbone's.
        notes: what was worth saying while it was read.
        alone: why it cannot share a forward pass with other deltas; "" while it can.
    """

    name: str
    delta: DeltaModel
    children: list[tuple[nn.Module, str, nn.Module]]
    hooks: list[tuple[str, nn.Module, Hook]]
    own: list[Own]
    notes: list[str] = field(default_factory=list)
    alone: str = ""


def lean_from(folder: Path, backbone: nn.Module, name: str) -> Lean:
    """Read a delta; the backbone is afterwards as before.

    Raises:
        DeltaError: the folder holds no delta, a damaged one, or one of another backbone.
    """
    with quiet():
        delta = load(folder, backbone).detach()
    for child in delta.delta_modules:
        child.eval()
    children = [(module_at(backbone, host), delta.child_name(), child) for host, child in delta.modules.items()]
    hooks = [(place, module_at(backbone, place), hook) for place, hook in delta.make_hooks()]
    return Lean(name, delta, children, hooks, _owned(delta, backbone), list(delta.notes))


def _owned(delta: DeltaModel, backbone: nn.Module) -> list[Own]:
    """Every place of every tensor that the delta owns or created: a tied one has several."""
    places: dict[int, list[tuple[str, nn.Module, str]]] = {}
    for name, module in backbone_modules(backbone):
        for key, parameter in module._parameters.items():
            if parameter is not None:
                places.setdefault(id(parameter), []).append((name, module, key))
    found = []
    for full, entry in delta.owned.items():
        host, _, key = full.rpartition(".")
        here = places[id(module_at(backbone, host)._parameters[key])]
        value = nn.Parameter(entry.aside.detach(), requires_grad=False)
        found += [Own(*place, value, tied=len(here) > 1) for place in here]
    for full, parameter in delta.created.items():
        host, _, key = full.rpartition(".")
        found.append(Own(host, module_at(backbone, host), key, parameter))
    return found


@contextmanager
def switched(lean: Lean) -> Iterator[None]:
    """Have the backbone compute with a delta for the time of a block."""
    with ExitStack() as undo:
        for own in lean.own:
            undo.callback(own.module._parameters.__setitem__, own.key, own.module._parameters[own.key])
            own.module._parameters[own.key] = own.value
        for host, key, child in lean.children:
            host._modules[key] = child
            undo.callback(host._modules.pop, key)
        for _, module, hook in lean.hooks:
            handle: Any = hook.register(module)
            undo.callback(handle.remove)
        yield
