"""Attach and detach: exact inverses, in any order, any number of times."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._walk import module_at
from deltanb._warn import warn
from deltanb.engine._freezing import apply_declarations, remember_baseline
from deltanb.engine._insertion import reset_compiler
from deltanb.engine._merged import check_beside_merged, take_out
from deltanb.engine._ownership import check_free, check_unmerged, parameter_of, swap, trained_before
from deltanb.engine._registry import registry_of
from deltanb.structure import backbone_parameters

if TYPE_CHECKING:
    from torch import nn

    from deltanb.engine._base import DeltaModel

__all__ = ["attach", "detach", "hook_in_order", "set_apart", "unhook"]


def attach(delta: DeltaModel) -> None:
    """Put a delta's modules, parameters and values into its backbone.

    Raises:
        DeltaError: its name, or a tensor that it owns, belongs to another attached delta, or it has no weights and the
            backbone has; nothing has changed then.
    """
    backbone, registry = delta.backbone_model, registry_of(delta.backbone_model)
    if delta.name in registry.attached:
        msg = f"Another delta called {delta.name!r} is attached."
        raise DeltaError(msg, expected="One delta of a name at a time.", try_=f"deltanb.deltas(model)[{delta.name!r}].detach()")
    check_free(delta, [*delta.owned, *delta.created], registry.attached)
    check_unmerged(backbone, delta.owned)
    check_beside_merged(delta)
    _check_weights(delta)
    # Whatever takes memory comes before whatever changes the backbone.
    hosts = {host: module_at(backbone, host) for host in delta.modules}
    children = {host: _moved(child, hosts[host], backbone) for host, child in delta.modules.items()}
    created = {name: _fitted(parameter, backbone.get_submodule(name.rpartition(".")[0])) for name, parameter in delta.created.items()}
    for name, owned in delta.owned.items():
        owned.trainable = trained_before(backbone, name)
    swap(backbone, delta.owned)
    for host, child in children.items():
        hosts[host].add_module(delta.child_name(), child)
    for name, parameter in created.items():
        _place(backbone, name, parameter)
    if delta.waiting:
        remember_baseline(backbone)
        registry.declarations = sorted([*registry.declarations, *delta.waiting], key=lambda entry: entry.at)
        delta.waiting = []
    registry.attached[delta.name] = delta
    delta.attached = True
    hook_in_order(delta)
    apply_declarations(backbone)
    reset_compiler()


def detach(delta: DeltaModel) -> None:
    """Take a delta out of its backbone; it keeps its values and its declarations."""
    backbone, registry = delta.backbone_model, registry_of(delta.backbone_model)
    _warn_of_no_originals(delta)
    swap(backbone, delta.owned)  # takes memory, so it comes first
    if delta.merged:
        take_out(delta)
    unhook(delta)
    for host in delta.modules:
        delattr(backbone.get_submodule(host), delta.child_name())
    for name in delta.created:
        delta.created[name] = parameter_of(backbone, name)
        _place(backbone, name, None)
    del registry.attached[delta.name]
    delta.attached = False
    delta.waiting = [entry for entry in registry.declarations if entry.delta == delta.name]
    registry.declarations = [entry for entry in registry.declarations if entry.delta != delta.name]
    for name, owned in delta.owned.items():
        if owned.core:
            parameter_of(backbone, name).requires_grad_(owned.trainable)
    apply_declarations(backbone)
    reset_compiler()


def unhook(delta: DeltaModel) -> None:
    """Take a delta's hooks away; its modules stay where they are."""
    for handle in delta.handles.values():
        handle.remove()
    delta.handles, delta.hooks = {}, []


def set_apart(delta: DeltaModel) -> None:
    """Let go of a delta's backbone, which is a whole model in memory: a skeleton of the same structure takes its place.

    The delta is detached and keeps its weights; it can be transplanted or saved, but not be attached there again.
    """
    from torch import nn

    if delta.attached:
        detach(delta)
    tensors = [*delta.backbone_model.parameters(), *delta.backbone_model.buffers()]
    memo: dict[int, Any] = {}
    for tensor in tensors:
        bare = tensor.detach().to("meta")
        memo[id(tensor)] = nn.Parameter(bare, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare
    delta.backbone_model = copy.deepcopy(delta.backbone_model, memo)


def _check_weights(delta: DeltaModel) -> None:
    """Refuse a delta without values where the backbone has got some since."""
    brought = [*delta.module_parameters().values(), *delta.created.values()]
    weights = (p for name, p in backbone_parameters(delta.backbone_model) if name not in delta.created)
    if any(p.is_meta for p in brought) and not next((p.is_meta for p in weights), True):
        msg = f"{delta.name!r} was made on a skeleton and has no weights; its backbone has some now."
        raise DeltaError(msg, expected="A delta that is made, or loaded, after the backbone got its weights.", try_="%delta attach again")


def _warn_of_no_originals(delta: DeltaModel) -> None:
    """Say which tensors cannot go back to what they were: the delta took them from a skeleton, which got weights since."""
    names = [n for n, entry in delta.owned.items() if entry.aside.is_meta and not parameter_of(delta.backbone_model, n).is_meta]
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        warn(f"{names[0]}{more} stay as they are: {delta.name!r} took them from a skeleton, so there is no original to put back")


def _place(backbone: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
    """Set a parameter that a delta created in a host, or take it out."""
    module, _, key = name.rpartition(".")
    backbone.get_submodule(module)._parameters[key] = parameter


def hook_in_order(delta: DeltaModel) -> None:
    """Hook in, older deltas of a place first whatever the order of attachment: outputs and tree are then the same again."""
    backbone = delta.backbone_model
    attached = sorted(registry_of(backbone).attached.values(), key=lambda other: other.serial)
    delta.hooks = delta.make_hooks()
    places = {place: module_at(backbone, place) for place, _ in delta.hooks}
    for other in attached:
        for host in delta.modules.keys() & other.modules.keys():
            children = (places[host] if host in places else backbone.get_submodule(host))._modules
            children[other.child_name()] = children.pop(other.child_name())
        for at, (place, hook) in enumerate(other.hooks):
            if place in places:
                if at in other.handles:
                    other.handles[at].remove()
                other.handles[at] = hook.register(places[place])


def _fitted(parameter: nn.Parameter, host: nn.Module) -> nn.Parameter:
    """A created bias as its host's weight is now, in case the backbone was converted while the delta was detached."""
    weight = host._parameters.get("weight")
    if weight is not None and weight.is_floating_point() and not weight.is_meta:
        parameter.data = parameter.data.to(weight.device, weight.dtype)
    return parameter


def _moved(child: nn.Module, host: nn.Module, backbone: nn.Module) -> nn.Module:
    """The child on its host's device, in case the backbone moved while the delta was detached."""
    own = next((p for p in host._parameters.values() if p is not None), None)
    place = own.device if own is not None else next((p.device for module in (host, backbone) for p in module.parameters()), None)
    return child if place is None or all(p.device == place for p in child.parameters()) else child.to(place)
