"""What every delta can do: attach, detach, freeze, log, save.

A `DeltaModel` is built in one go: the hosts are found, the child modules made for all of them, and only then is anything
attached; a failure leaves the backbone as it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property, partial
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from deltanb._errors import DeltaError
from deltanb._warn import warn
from deltanb.engine import _upward
from deltanb.engine._attachment import attach, detach
from deltanb.engine._checks import check_call, check_container, checked_backbone
from deltanb.engine._config import CommonOptions
from deltanb.engine._defaults import Defaults, default_hosts
from deltanb.engine._freezing import declare
from deltanb.engine._holdings import Holdings
from deltanb.engine._hosts import Host, Hosts
from deltanb.engine._insertion import After, Hook
from deltanb.engine._mergeable import Mergeable
from deltanb.engine._naming import check_name, free_name
from deltanb.engine._registry import registry_of, unwrapped
from deltanb.structure import DELTA_MARK, backbone_modules

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from torch import nn

    from deltanb.engine._config import BaseDeltaConfig
    from deltanb.engine._freezing import Declaration
    from deltanb.engine._ownership import Owned

__all__ = ["CommonOptions", "DeltaModel"]

_births = count()
_SETTINGS = ("modified_modules", "exclude_modules", "unfrozen_modules", "common_structure")


class DeltaModel(Mergeable, Holdings):
    """A delta on a backbone. What it holds is described in `Holdings`.

    Attributes:
        config: its settings.
        hosts: the hosts' names, in model order.
        hooks: the places it hooks into while it is attached, with the hooks.
        notes: what was worth saying while it was built.
        match_result: how the patterns matched.
    """

    config_class: ClassVar[type[BaseDeltaConfig]]
    default_modified_modules: ClassVar[tuple[str, ...]] = ()
    twins: dict[Hashable, nn.Module] | None = None  # children by what their hosts have in common, where it is only planned
    stand_ins: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"attn@": "mixer@", "attn@.proj@": "mixer@", "ff@.w1@": "ff@", "ff@.w2@": "ff@"}
    )

    def __init__(self, backbone_model: nn.Module, options: BaseDeltaConfig | Mapping[str, Any], **common: Unpack[CommonOptions]) -> None:
        self._prepare(backbone_model, options, common)
        self.attach()
        for note in self.notes:
            warn(note)

    def _prepare(self, backbone_model: nn.Module, options: BaseDeltaConfig | Mapping[str, Any], common: CommonOptions) -> None:
        """Everything up to attaching: after this the backbone is still as it was."""
        opened = partial(_upward.explore, backbone_model, type(self).delta_type, common.get("modified_modules"))
        check_call(type(self).__name__, common.get("interactive_modify", False), common.get("backend", "hf"), opened)
        for key in common:
            if key not in CommonOptions.__annotations__:
                raise self.config_class.unknown(key)
        self.backbone_model = checked_backbone(backbone_model)
        self.config = self._config(options, common)
        found = self.find_hosts()
        self.match_result = found.result
        self.notes = [*self.defaults.notes, *found.notes]
        self.hosts = [host.name for host in found.hosts]
        self.name = self._chosen_name(common.get("name"))
        check_name(self.name, self.child_name(), self.backbone_model, found.hosts)
        self.owned: dict[str, Owned] = {}
        self.created: dict[str, nn.Parameter] = {}
        self.modules: dict[str, nn.Module] = {}
        self.attached = False
        self.merged = False
        self.serial = next(_births)
        self.hooks: list[tuple[str, Hook]] = []
        self.handles: dict[int, Any] = {}
        self.waiting: list[Declaration] = []
        self._build(found.hosts)

    @classmethod
    def planned(cls, backbone_model: nn.Module, config: BaseDeltaConfig, *, name: str | None = None) -> Self:
        """The delta as it would be, on the meta device and not attached: for counting before anything is touched.

        Hosts that are alike have one child together, so that a hundred layers cost no more than one.
        """
        import torch

        delta = cls.__new__(cls)
        delta.twins = {}
        with torch.device("meta"):
            DeltaModel._prepare(delta, backbone_model, config, {"name": name})
        return delta

    @classmethod
    def _config(cls, options: BaseDeltaConfig | Mapping[str, Any], common: CommonOptions) -> BaseDeltaConfig:
        given: dict[str, Any] = {key: common[key] for key in _SETTINGS if common.get(key) is not None}  # type: ignore[literal-required]
        if not isinstance(options, Mapping):
            return dataclasses.replace(options, **given)  # a copy: one config may serve several deltas
        return cls.config_class(**options, **given)

    def _chosen_name(self, name: str | None) -> str:
        taken = registry_of(self.backbone_model).attached
        if name is None:
            own = free_name(self.delta_type, taken)
            if own != self.delta_type:
                self.notes.append(f"{self.delta_type!r} is attached already, so this second one is called {own!r}; name=… chooses another")
            return own
        if name in taken:
            msg = f"A delta called {name!r} is attached already ({taken[name].delta_type} on {len(taken[name].hosts)} modules)."
            raise DeltaError(msg, expected="Another name, or detach that one first.", try_=f"deltanb.deltas(model)[{name!r}].detach()")
        return name

    def _build(self, hosts: Sequence[Host]) -> None:
        for host in hosts:
            check_container(host)
            key = None if self.twins is None else self.alike(host)
            child = self.twins.get(key) if self.twins else None
            self.modules[host.name] = child or self._made(host)
            if key is not None:
                self.twins[key] = self.modules[host.name]  # type: ignore[index]

    def _made(self, host: Host) -> nn.Module:
        with host.drawing_board():
            child = self.make_child(host)
        child = host.placed(child)
        child.__dict__[DELTA_MARK] = self.name
        child.train(host.module.training)
        return child

    # What a type fills in -------------------------------------------------------------------------------------------

    def find_hosts(self) -> Hosts:
        """The modules that the delta is to sit on, by its patterns.

        Raises:
            DeltaError: a pattern hits nothing.
        """
        return Hosts(self.backbone_model, self.modified_modules, self.config.exclude_modules)

    def make_child(self, host: Host) -> nn.Module:
        """The module that goes under a host.

        Raises:
            DeltaError: this type cannot sit on such a host; says which can.
        """
        raise NotImplementedError

    def alike(self, host: Host) -> Hashable | None:
        """What hosts have in common whose children would be the same but for their values; None: no child is like another."""
        return host.kind

    def make_hook(self) -> Hook:
        """What the child does to its host; see `deltanb.engine._insertion`."""
        return After(self.child_name())

    def make_hooks(self) -> list[tuple[str, Hook]]:
        """Every place in the backbone that the delta hooks into, with a new hook for it; one a host, unless a type differs."""
        return [(host, self.make_hook()) for host in self.modules]

    # Attach and detach ----------------------------------------------------------------------------------------------

    def attach(self) -> Self:
        """Put the delta's modules and values into the backbone. Nothing happens if they are there.

        Raises:
            DeltaError: the name, or a tensor that it owns, belongs to another attached delta.
        """
        if not self.attached:
            attach(self)
        return self

    def detach(self) -> Self:
        """Take the delta out: outputs, ``requires_grad`` and module tree are as before it came. It keeps its values."""
        if self.attached:
            detach(self)
        return self

    # Freezing -------------------------------------------------------------------------------------------------------

    def freeze_module(
        self,
        module: nn.Module | None = None,
        exclude: str | Sequence[str] | None = None,
        set_state_dict: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
        """Declare what trains: everything in ``module`` is frozen but what ``exclude`` names.

        Calling it again replaces the last declaration. What becomes trainable in the backbone belongs to this delta
        from then on: it is saved with it, and detach puts the original back.

        Args:
            module: the backbone (default) or one of its modules.
            exclude: patterns of the backbone's modules or parameters, the word ``deltas``, or a delta's name. Default:
                the config's ``unfrozen_modules``, which is ``["deltas"]``.
            set_state_dict: have ``state_dict()`` show the trainable tensors only.

        Raises:
            DeltaError: a pattern hits nothing; a tensor belongs to another delta; the delta is detached.

        Example:
            >>> from torch import nn
            >>> from deltanb import AdapterModel
            >>> model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
            >>> delta = AdapterModel(model, modified_modules=["0"], bottleneck_dim=2)
            >>> delta.freeze_module(exclude=["deltas", "1"])
            >>> sorted(model.state_dict())[:2]
            ['0.adapter.modulelist.down_proj.bias', '0.adapter.modulelist.down_proj.weight']
        """
        if not self.attached:
            msg = f"{self.name!r} is detached, so it cannot say what trains."
            raise DeltaError(msg, expected="An attached delta.", try_=f"%delta reattach {self.name}")
        words = self.config.unfrozen_modules if exclude is None else [exclude] if isinstance(exclude, str) else list(exclude)
        scope = self._scope(module)
        declare(self.backbone_model, self, words, scope=scope, filtered=set_state_dict)

    def _scope(self, module: nn.Module | None) -> str:
        if module is None or unwrapped(module) is self.backbone_model:
            return ""
        for name, other in backbone_modules(self.backbone_model):
            if other is module:
                return name
        msg = f"freeze_module was given a {type(module).__name__} that is no part of the backbone."
        raise DeltaError(msg, expected="The backbone or one of its modules.", try_="delta.freeze_module(exclude=['deltas'])")

    @property
    def declarations(self) -> list[Declaration]:
        """What this delta's ``freeze_module`` has declared, in force or waiting for attach."""
        return self.waiting or [entry for entry in registry_of(self.backbone_model).declarations if entry.delta == self.name]

    @property
    def modified_modules(self) -> list[str]:
        """The patterns it was attached by."""
        own = self.config.modified_modules
        return list(self.defaults.patterns if own is None else own)

    @property
    def default_roles(self) -> Sequence[str]:
        """The roles that it looks for where no module is named."""
        return self.default_modified_modules

    @cached_property
    def defaults(self) -> Defaults:
        """The patterns that stand for none in this backbone; none where modules are named."""
        if self.config.modified_modules is not None or not self.default_roles:
            return Defaults([], [])
        return default_hosts(self.backbone_model, self.delta_type, self.default_roles, self.stand_ins)

    # Show and save --------------------------------------------------------------------------------------------------

    def log(self, *, delta_ratio: bool = True, trainable_ratio: bool = True, visualization: bool = True, cuda_memory: bool = True) -> None:
        """Display the structure with the counts; print them in a script. The numbers stay in ``.stat``."""
        self.stat = _upward.show_log(
            self, delta_ratio=delta_ratio, trainable_ratio=trainable_ratio, visualization=visualization, cuda_memory=cuda_memory
        )

    def save_finetuned(self, finetuned_delta_path: str | Path = "./delta_checkpoints/", **options: Any) -> Path:
        """Write all that the delta owns to a folder; see `deltanb.checkpoints.save`.

        ``push_to_hub="user/name"`` (or True, for a repository of your own with the folder's name) uploads it too, with the
        options of `deltanb.push`.
        """
        return _upward.save(self, finetuned_delta_path, **options)

    @classmethod
    def from_finetuned(cls, finetuned_delta_path: str | Path, backbone_model: nn.Module, **options: Any) -> DeltaModel:
        """Read a delta from a folder, or from ``user/name`` on the hub, and attach it; see `deltanb.load`."""
        return _upward.load(finetuned_delta_path, backbone_model, **options)

    @classmethod
    def from_config(cls, config: BaseDeltaConfig, backbone_model: nn.Module, **options: Any) -> Self:
        """A delta with the settings of a config."""
        delta = cls.__new__(cls)
        DeltaModel.__init__(delta, backbone_model, config, **options)  # past the type's own signature
        return delta

    def __repr__(self) -> str:
        options = self.config.spoken()
        state = "attached" if self.attached else "detached"
        return f"<{self.delta_type} {self.name!r} on {len(self.hosts)} modules, {state}{', ' if options else ''}{options}>"
