"""Deltas in the weights of their hosts: the originals are kept, so that what is taken out is bit for bit as it was.

Whatever is merged, a host's weights are always worked out anew from the originals and all merged deltas, in the order in
which the deltas would act; so they can come and go in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.engine._aside import AddKept
from deltanb.engine._insertion import AddParallel, Before, PreHook
from deltanb.engine._lora_layers import Reweigh
from deltanb.engine._ownership import parameter_of
from deltanb.engine._registry import registry_of
from deltanb.structure import parameter_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch
    from torch import nn

    from deltanb.engine._base import DeltaModel
    from deltanb.engine._insertion import Hook

__all__ = ["Original", "check_beside_merged", "check_mergeable", "merged_originals", "put_in", "take_out"]


@dataclass
class Original:
    """A backbone tensor as it was before a delta was merged into it.

    Attributes:
        value: its value.
        trainable: its ``requires_grad``.
    """

    value: torch.Tensor
    trainable: bool


def merged_originals(backbone: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that merged deltas have changed, by name, with the values from before."""
    return {name: original.value for name, original in registry_of(backbone).originals.items()}


def put_in(delta: DeltaModel) -> None:
    """Work a delta into its hosts' weights. All memory is taken first: it happens whole or not at all."""
    backbone, registry = delta.backbone_model, registry_of(delta.backbone_model)
    values = _values(backbone, delta.modules, [*_merged(backbone), delta])
    fresh = {}
    for name in values:
        if name not in registry.originals:
            parameter = parameter_of(backbone, name)
            fresh[name] = Original(parameter.detach().clone(), parameter.requires_grad)
    registry.originals |= fresh
    _write(backbone, values)
    delta.merged = True
    for name in fresh:
        parameter_of(backbone, name).requires_grad_(False)  # noqa: FBT003


def take_out(delta: DeltaModel) -> None:
    """Take a delta out of its hosts' weights; those that no other delta is merged into are as they were, bit for bit."""
    backbone, registry = delta.backbone_model, registry_of(delta.backbone_model)
    others = [other for other in _merged(backbone) if other is not delta]
    left = _values(backbone, delta.modules, others)
    mine = [name for name in registry.originals if name.rpartition(".")[0] in delta.modules]
    gone = {name: registry.originals[name] for name in mine if name not in left}
    _write(backbone, {**left, **{name: original.value for name, original in gone.items()}})
    for name, original in gone.items():
        parameter_of(backbone, name).requires_grad_(original.trainable)
        del registry.originals[name]
    delta.merged = False


def _merged(backbone: nn.Module) -> list[DeltaModel]:
    return [delta for delta in registry_of(backbone).attached.values() if delta.merged]


def _values(backbone: nn.Module, hosts: Iterable[str], merged: Sequence[DeltaModel]) -> dict[str, torch.Tensor]:
    """What the tensors of some hosts are with these deltas in them, for those that differ from the originals."""
    import torch

    originals = registry_of(backbone).originals
    values: dict[str, torch.Tensor] = {}
    hooks = {delta.serial: dict(delta.make_hooks()) for delta in merged}
    with torch.no_grad():
        for host in hosts:
            own = {key: p for key, p in backbone.get_submodule(host)._parameters.items() if p is not None}
            before = {key: originals[f"{host}.{key}"].value if f"{host}.{key}" in originals else p.detach() for key, p in own.items()}
            now: dict[str, torch.Tensor] = dict(before)
            here = [delta for delta in merged if host in delta.modules]
            # Older ones first, as their hooks would be called; what acts on the input is multiplied in last.
            for delta in sorted(here, key=lambda delta: (isinstance(hooks[delta.serial].get(host), Before), delta.serial)):
                now |= delta.merged_tensors(host, now)
            values |= {f"{host}.{key}": value.to(before[key].dtype) for key, value in now.items() if value is not before[key]}
    return values


def _write(backbone: nn.Module, values: dict[str, torch.Tensor]) -> None:
    import torch

    with torch.no_grad():
        for name, value in values.items():
            parameter_of(backbone, name).copy_(value)


# What stands in the way ----------------------------------------------------------------------------------------------


def check_mergeable(delta: DeltaModel) -> None:
    """Refuse what merged weights could not compute, or what would change more than the hosts.

    Raises:
        DeltaError: a host's weight is quantised, tied to another module's, or owned by a delta; or another delta on the
            host would compute something else.
    """
    backbone, registry = delta.backbone_model, registry_of(delta.backbone_model)
    aliases: dict[int, list[str]] = {}
    for name in parameter_names(backbone):
        aliases.setdefault(id(parameter_of(backbone, name)), []).append(name)
    owners = registry.owners()
    for host in delta.modules:
        module = backbone.get_submodule(host)
        for key, parameter in module._parameters.items():
            if parameter is not None:
                elsewhere = [name for name in aliases[id(parameter)] if not _within(backbone, name, module)]
                _check_tensor(delta, f"{host}.{key}", parameter, elsewhere, owners)
    for other in registry.attached.values():
        if other is not delta:
            _check_pair(delta, other)


def _within(backbone: nn.Module, name: str, module: nn.Module) -> bool:
    return backbone.get_submodule(name.rpartition(".")[0]) is module


def _check_tensor(
    delta: DeltaModel, name: str, parameter: nn.Parameter, elsewhere: Sequence[str], owners: dict[str, tuple[str, bool]]
) -> None:
    host, _, key = name.rpartition(".")
    if key == "weight" and elsewhere:
        msg = f"{delta.name!r} cannot be merged: {name} is one tensor with {', '.join(elsewhere)}, which would change too."
        untie = f"give {host} a weight of its own, model.get_submodule({host!r}).weight = torch.nn.Parameter(weight.detach().clone())"
        raise DeltaError(msg, expected=f"Hosts with weights of their own: leave {host} out, or untie it.", try_=untie)
    if not parameter.is_floating_point():
        msg = f"{delta.name!r} cannot be merged: {name} is quantised ({parameter.dtype})."
        raise DeltaError(msg, expected="Weights in float32, bfloat16 or float16.", try_="load the backbone without quantisation")
    if name in owners:
        other = owners[name][0]
        msg = f"{delta.name!r} cannot be merged: {name} belongs to the delta {other!r}, which would be saved with it in it."
        raise DeltaError(msg, expected="Hosts whose weights no delta trains.", try_=f"%delta detach {other}")


def _check_pair(delta: DeltaModel, other: DeltaModel) -> None:
    """Refuse a delta that is to go into its hosts' weights beside another one that stays outside, or is in them too."""
    mine, earlier = dict(delta.make_hooks()), other.serial < delta.serial
    hinder = _both_hinder if other.merged else _hinders
    for host, theirs in other.hooks or other.make_hooks():
        if host in mine and hinder(mine[host], theirs, earlier=earlier):
            order = "before" if earlier else "after"
            msg = f"{delta.name!r} cannot be merged into {host}: {other.name!r} acts there {order} it and would compute something else."
            raise DeltaError(msg, expected="A host to itself, or only what can as well come after.", try_=f"%delta detach {other.name}")


def _hinders(mine: Hook, theirs: Hook, *, earlier: bool) -> bool:
    """Whether a hook on the same module gives something else once mine is in the weights."""
    if isinstance(theirs, Reweigh):
        return True  # it reads the weight
    if isinstance(mine, Before):
        return isinstance(theirs, (AddParallel, PreHook)) and not isinstance(theirs, Before)  # what reads the input
    if not earlier or isinstance(theirs, PreHook):
        return False
    return not (type(mine) is AddParallel and isinstance(theirs, (AddParallel, AddKept)))  # sums can be taken in any order


def _both_hinder(mine: Hook, theirs: Hook, *, earlier: bool) -> bool:
    """The same with both in the weights: norms that are learned would be taken over the other's change too."""
    later, first = (mine, theirs) if earlier else (theirs, mine)
    return isinstance(later, Reweigh) and not isinstance(first, Before)


def check_beside_merged(delta: DeltaModel) -> None:
    """Refuse to have a delta act on a host where another is merged, if it would compute something else there.

    Raises:
        DeltaError: with both names.
    """
    for other in _merged(delta.backbone_model):
        if other is delta:
            continue
        inside = dict(other.make_hooks())
        for host, theirs in delta.make_hooks():
            if host in inside and _hinders(inside[host], theirs, earlier=delta.serial < other.serial):
                msg = f"{delta.name!r} cannot act on {host} while {other.name!r} is merged into it: it would compute something else."
                raise DeltaError(msg, expected=f"{other.name} beside the weights, not in them.", try_=f"%delta unmerge {other.name}")
