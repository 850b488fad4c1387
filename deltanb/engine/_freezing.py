"""Freezing: which parameters train, and which of them ``state_dict()`` shows.

A declaration says the final state of everything in its scope. Declarations stay with their delta: while it is detached
they are not in force. What is in force is worked out anew each time something changes, from the flags that the backbone
had before the first declaration.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from deltanb._walk import second_addresses
from deltanb._warn import warn
from deltanb.addressing import as_patterns, match_names, pattern_hits
from deltanb.engine._ownership import check_free, check_unmerged, parameter_of, swap, take
from deltanb.engine._registry import Registry, registry_of, unwrapped
from deltanb.engine._state_filter import sync_filters
from deltanb.roles import roles_of
from deltanb.structure import backbone_parameters, module_names, parameter_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from deltanb.engine._base import DeltaModel

__all__ = [
    "Declaration",
    "apply_declarations",
    "declare",
    "dump",
    "freeze",
    "remember_baseline",
    "restore_declarations",
    "snapshot_ownership",
    "unfreeze",
]


@dataclass(frozen=True)
class Declaration:
    """What one ``freeze_module`` said.

    Attributes:
        delta: the delta it was called on; None for the backbone alone.
        scope: name of the module it is about, "" for the whole backbone.
        exclude: as given: patterns, ``deltas``, names of deltas.
        trainable: the backbone's parameters that these patterns hit.
        known: the deltas that were attached then; one that comes later trains whatever this says.
        filtered: whether ``state_dict()`` of the scope shows trainable tensors only.
        at: its place among the backbone's declarations, which a detach and attach do not change.
    """

    delta: str | None
    scope: str
    exclude: tuple[str, ...]
    trainable: frozenset[str]
    known: frozenset[str]
    filtered: bool
    at: int = 0

    def lets_train(self, delta: str) -> bool:
        """Whether the modules of a delta train."""
        return delta not in self.known or delta in self.exclude or "deltas" in self.exclude


def declare(
    backbone: nn.Module, delta: DeltaModel | None, exclude: Sequence[str], *, scope: str = "", filtered: bool = True
) -> Declaration:
    """Freeze everything in scope but what ``exclude`` names. Replaces the delta's last declaration.

    Args:
        backbone: the model.
        delta: which takes into its ownership what becomes trainable; None: nobody does.
        exclude: patterns of the backbone's modules or parameters, ``deltas``, or names of attached deltas.
        scope: name of a sub-module to freeze alone.
        filtered: whether ``state_dict()`` is to show trainable tensors only.

    Raises:
        DeltaError: a pattern hits nothing, or a tensor belongs to another delta.
    """
    backbone = unwrapped(backbone)
    registry = registry_of(backbone)
    words = as_patterns(exclude, "exclude pattern") if exclude else []
    patterns = [word for word in words if word != "deltas" and word not in registry.attached]
    trainable = _resolve(backbone, patterns, scope)
    owner = delta.name if delta else None
    kept = [old for old in registry.declarations if old.delta != owner or (scope and old.scope != scope)]
    check_unmerged(backbone, trainable)
    if delta:
        check_free(delta, trainable, registry.attached)
        declared = trainable.union(*(old.trainable for old in kept if old.delta == owner))
        _update_ownership(backbone, delta, declared - set(delta.created))
    remember_baseline(backbone)
    registry.clock += 1
    entry = Declaration(owner, scope, tuple(words), frozenset(trainable), frozenset(registry.attached), filtered, registry.clock)
    registry.declarations = [*kept, entry]
    apply_declarations(backbone)
    return entry


def remember_baseline(backbone: nn.Module) -> None:
    """Note every ``requires_grad`` of the backbone as it was without any delta, unless that is noted already."""
    registry = registry_of(backbone)
    if registry.baseline is None:
        core = {name: owned.trainable for delta in registry.attached.values() for name, owned in delta.owned.items() if owned.core}
        created = {name for delta in registry.attached.values() for name in delta.created}
        core |= {name: original.trainable for name, original in registry.originals.items()}
        registry.baseline = {name: core.get(name, p.requires_grad) for name, p in backbone_parameters(backbone) if name not in created}


def _resolve(backbone: nn.Module, patterns: Sequence[str], scope: str) -> set[str]:
    """Full names (the first, of a tied tensor) of the backbone's parameters that the patterns hit."""
    if not patterns:
        return set()
    modules, parameters = module_names(backbone), parameter_names(backbone)
    roles, elsewhere = roles_of(backbone), partial(second_addresses, backbone)
    hit: set[str] = set()
    for pattern in patterns:
        direct = [] if "@" in pattern else pattern_hits(pattern, parameters)
        below: Sequence[str] = ()
        if not direct or pattern_hits(pattern, modules, roles):
            below = match_names(modules, pattern, roles=roles, elsewhere=elsewhere).names
        hit.update(direct)
        hit.update(name for name in parameters if any(name.startswith(f"{module}.") for module in below))
    first = {id(parameter): name for name, parameter in backbone_parameters(backbone)}
    found = {id(parameter_of(backbone, name)) for name in hit}
    _warn_of_ties(backbone, hit, found)
    return {first[tensor] for tensor in found if not scope or tensor in _tensors_in(backbone, scope)}


def _warn_of_ties(backbone: nn.Module, hit: set[str], found: set[int]) -> None:
    """Say it where a named tensor is another module's too, under a name that was not given: that one trains with it."""
    aliases: dict[int, list[str]] = {}
    for name in parameter_names(backbone):
        aliases.setdefault(id(parameter_of(backbone, name)), []).append(name)
    for names in (aliases[tensor] for tensor in found):
        others = [name for name in names if name not in hit]
        if others:
            named = next(name for name in names if name in hit)
            warn(f"{named} is one tensor with {', '.join(others)}: it trains there too")


def _update_ownership(backbone: nn.Module, delta: DeltaModel, trainable: set[str]) -> None:
    """Take what is new; let go of what is no longer declared and was never changed."""
    import torch

    for name in trainable - delta.owned.keys():
        delta.owned[name] = take(backbone, name, core=False)
    for name in [name for name, entry in delta.owned.items() if not entry.core and name not in trainable]:
        parameter = parameter_of(backbone, name)
        if parameter.is_meta or torch.equal(parameter, delta.owned[name].aside):
            del delta.owned[name]


def apply_declarations(backbone: nn.Module) -> None:
    """Set ``requires_grad`` everywhere to what the declarations in force say, and the state-dict filters with it."""
    registry = registry_of(backbone)
    active = registry.declarations
    if registry.baseline is not None:
        _apply_to_backbone(backbone, registry, active)
    for delta in registry.attached.values():
        _apply_to_delta(backbone, delta, active)
    if not registry.declarations:
        registry.baseline = None
    sync_filters(backbone, {entry.scope for entry in active if entry.filtered})


def _apply_to_backbone(backbone: nn.Module, registry: Registry, active: Sequence[Declaration]) -> None:
    scopes = {entry.scope: _tensors_in(backbone, entry.scope) for entry in active if entry.scope}
    for name, parameter in backbone_parameters(backbone):
        flag = (registry.baseline or {}).get(name, parameter.requires_grad)
        for entry in active:
            if not entry.scope or id(parameter) in scopes[entry.scope]:
                flag = name in entry.trainable
        flag = flag and name not in registry.originals  # what is merged does not train
        if parameter.is_floating_point() and parameter.requires_grad != flag:
            parameter.requires_grad_(flag)


def _apply_to_delta(backbone: nn.Module, delta: DeltaModel, active: Sequence[Declaration]) -> None:
    """The tensors that a delta's type works on follow the delta, not the backbone."""
    scopes = {entry.scope: _tensors_in(backbone, entry.scope) for entry in active if entry.scope}
    core = {name: parameter_of(backbone, name) for name in delta.core_names()}
    for name, parameter in [*core.items(), *delta.module_parameters().items()]:
        flag = not delta.merged
        for entry in active:
            if not entry.scope or id(parameter) in scopes[entry.scope]:
                flag = not delta.merged and (entry.lets_train(delta.name) or name in entry.trainable)
        parameter.requires_grad_(flag)


def _tensors_in(backbone: nn.Module, scope: str) -> set[int]:
    """The tensors of a module, those that it shares with others too."""
    return {id(parameter) for parameter in backbone.get_submodule(scope).parameters()}


def freeze(backbone: nn.Module, exclude: Sequence[str] | str = ()) -> None:
    """Freeze a backbone but for what ``exclude`` names, on no delta's account: to train a head alone, say.

    Nobody owns what trains then, so it is no part of any delta's save. ``delta.freeze_module`` is the other way.

    Raises:
        DeltaError: a pattern hits nothing.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        >>> freeze(model, "1")
        >>> [p.requires_grad for p in model.parameters()]
        [False, False, True, True]
    """
    declare(unwrapped(backbone), None, [exclude] if isinstance(exclude, str) else list(exclude), filtered=False)


def unfreeze(backbone: nn.Module) -> None:
    """Drop every declaration: ``requires_grad`` is as before the first, ``state_dict()`` shows all.

    Example:
        >>> from torch import nn
        >>> from deltanb import LoraModel
        >>> from deltanb.engine import unfreeze
        >>> model = nn.Sequential(nn.Linear(4, 4))
        >>> delta = LoraModel(model, modified_modules=["0"])
        >>> delta.freeze_module()
        >>> unfreeze(model)
        >>> model[0].weight.requires_grad
        True
    """
    backbone = unwrapped(backbone)
    registry_of(backbone).declarations = []
    apply_declarations(backbone)


def dump(declarations: Sequence[Declaration]) -> list[dict[str, Any]]:
    """Declarations as plain data for a checkpoint."""
    return [{"exclude": list(entry.exclude), "scope": entry.scope, "set_state_dict": entry.filtered} for entry in declarations]


def snapshot_ownership(backbone: nn.Module) -> tuple[list[Declaration], dict[int, dict[str, Any]]]:
    """The declarations in force, and for each attached delta the backbone tensors it owns."""
    registry = registry_of(backbone)
    return list(registry.declarations), {delta.serial: dict(delta.owned) for delta in registry.attached.values()}


def restore_declarations(backbone: nn.Module, declarations: Sequence[Declaration], ownership: dict[int, dict[str, Any]]) -> None:
    """Go back to declarations and ownership of an earlier moment.

    A tensor that a delta has taken since goes back to the backbone with the value it had before; one that it has let go
    of since is its own again, with its value. All of the first come before all of the second: a tensor may have changed hands.
    """
    registry = registry_of(backbone)
    attached = registry.attached.values()
    then = {delta.serial: ownership.get(delta.serial, delta.owned) for delta in attached}
    for delta in attached:
        swap(backbone, {name: entry for name, entry in delta.owned.items() if name not in then[delta.serial]})
    for delta in attached:
        swap(backbone, {name: entry for name, entry in then[delta.serial].items() if name not in delta.owned})
        delta.owned = {**then[delta.serial], **{name: entry for name, entry in delta.owned.items() if name in then[delta.serial]}}
        delta.waiting = []
    if declarations:
        remember_baseline(backbone)
    registry.declarations = list(declarations)
