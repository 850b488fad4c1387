"""Backbone tensors that a delta owns: a head, a layer norm, BitFit's biases.

When a delta takes a tensor it keeps the original value. Detach swaps the original back in and keeps the delta's value;
attach swaps them again. Values are copied in place, so parameters stay the same objects for optimizers and ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.engine._registry import registry_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch
    from torch import nn

    from deltanb.engine._base import DeltaModel

__all__ = ["Owned", "check_free", "check_unmerged", "own_tensors", "parameter_of", "swap", "take", "take_core", "trained_before"]


@dataclass
class Owned:
    """One backbone tensor in a delta's hands.

    Attributes:
        aside: the value that is not in the backbone now: the original while attached, the delta's while detached.
        trainable: ``requires_grad`` before the delta took it.
        core: whether the delta's type works on it (BitFit's biases); otherwise a freeze declaration took it.
    """

    aside: torch.Tensor
    trainable: bool
    core: bool


def parameter_of(backbone: nn.Module, name: str) -> nn.Parameter:
    """The parameter of that full name.

    Raises:
        DeltaError: there is none.
    """
    module, _, key = name.rpartition(".")
    try:
        return backbone.get_submodule(module)._parameters[key]  # type: ignore[return-value]
    except (AttributeError, KeyError):
        msg = f"{type(backbone).__name__} has no parameter {name!r}."
        raise DeltaError(msg, try_="%delta graph") from None


def take(backbone: nn.Module, name: str, *, core: bool) -> Owned:
    """Set the tensor's present value aside as the original."""
    return Owned(parameter_of(backbone, name).detach().clone(), trained_before(backbone, name), core)


def trained_before(backbone: nn.Module, name: str) -> bool:
    """``requires_grad`` of a tensor without any declaration."""
    baseline = registry_of(backbone).baseline or {}
    return baseline.get(name, parameter_of(backbone, name).requires_grad)


def take_core(delta: DeltaModel, names: Iterable[str]) -> None:
    """Have a delta own backbone tensors that its type works on; they train from now on."""
    for name in names:
        if name not in delta.owned:
            delta.owned[name] = take(delta.backbone_model, name, core=True)


def own_tensors(delta: DeltaModel, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Have an attached delta own backbone tensors, for a reader to fill; names that the backbone lacks are left out.

    Raises:
        DeltaError: another attached delta owns one of them.
    """
    backbone = delta.backbone_model
    present = [name for name in names if _has_parameter(backbone, name)]
    check_free(delta, present, registry_of(backbone).attached)
    check_unmerged(backbone, present)
    for name in present:
        if name not in delta.owned:
            delta.owned[name] = take(backbone, name, core=False)
    return {name: parameter_of(backbone, name) for name in [*present, *delta.owned]}


def _has_parameter(backbone: nn.Module, name: str) -> bool:
    try:
        parameter_of(backbone, name)
    except DeltaError:
        return False
    return True


def swap(backbone: nn.Module, owned: Mapping[str, Owned]) -> None:
    """Exchange each tensor's value with the one set aside. All memory is taken first: it happens whole or not at all.

    What was set aside on a skeleton is no value: where the backbone has got weights since, those stay.
    """
    import torch

    parameters = {name: parameter_of(backbone, name) for name in owned}
    present = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    with torch.no_grad():
        for name, entry in owned.items():
            if not entry.aside.is_meta:
                parameters[name].copy_(entry.aside)
            entry.aside = present[name]


def check_free(delta: DeltaModel, names: Iterable[str], attached: Mapping[str, DeltaModel]) -> None:
    """Refuse tensors that another attached delta owns.

    Raises:
        DeltaError: with both names and the way out.
    """
    for name in names:
        for other in attached.values():
            if other is not delta and (name in other.owned or name in other.created):
                msg = f"{name} belongs to the delta {other.name!r}; {delta.name!r} cannot train it too."
                raise DeltaError(
                    msg,
                    expected="Two attached deltas never own one tensor.",
                    try_=f"%delta detach {other.name}, or leave {name.rpartition('.')[0] or name} out of --exclude",
                )


def check_unmerged(backbone: nn.Module, names: Iterable[str]) -> None:
    """Refuse to train, or to own, tensors that a delta is merged into: their values are not their own.

    Raises:
        DeltaError: with the name of the delta.
    """
    registry = registry_of(backbone)
    held = next((name for name in names if name in registry.originals), None)
    if held is not None:
        inside = next(delta.name for delta in registry.attached.values() if delta.merged and held.rpartition(".")[0] in delta.modules)
        msg = f"{held} holds the merged delta {inside!r}, so it cannot train."
        raise DeltaError(msg, expected="The weight without it.", try_=f"%delta unmerge {inside}")
