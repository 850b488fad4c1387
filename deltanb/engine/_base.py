"""What every delta can do: attach, detach, freeze, log, save.

A `DeltaModel` is built in one go: the hosts are found, the child modules made for all of them, and only then is anything
attached; a failure leaves the backbone as it was.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from deltanb._errors import DeltaError
from deltanb.engine import _upward
from deltanb.engine._attachment import attach, detach
from deltanb.engine._checks import check_call, check_container, checked_backbone
from deltanb.engine._config import CommonOptions
from deltanb.engine._freezing import declare
from deltanb.engine._hosts import Host, Hosts
from deltanb.engine._insertion import After
from deltanb.engine._naming import check_name, free_name
from deltanb.engine._ownership import Owned, parameter_of
from deltanb.engine._registry import registry_of, unwrapped
from deltanb.structure import DELTA_MARK, backbone_modules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch
    from torch import nn

    from deltanb.engine._config import BaseDeltaConfig
    from deltanb.engine._freezing import Declaration

__all__ = ["CommonOptions", "DeltaModel"]

_births = count()
_SETTINGS = ("modified_modules", "exclude_modules", "unfrozen_modules", "common_structure")


class DeltaModel:
    """A delta on a backbone.

    Attributes:
        backbone_model: the backbone, modified in place.
        config: its settings.
        name: the name of its child module under each host.
        hosts: the hosts' names, in model order.
        modules: host to child module, for hosts that got one.
        owned: backbone tensors that it owns, by full name.
        created: parameters that it created in hosts (BitFit's new biases), by full name.
        attached: whether it is attached now.
        notes: what was worth saying while it was built.
        match_result: how the patterns matched.
    """

    config_class: ClassVar[type[BaseDeltaConfig]]
    delta_type: ClassVar[str] = ""
    default_modified_modules: ClassVar[tuple[str, ...]] = ()

    def __init__(self, backbone_model: nn.Module, options: BaseDeltaConfig | Mapping[str, Any], **common: Unpack[CommonOptions]) -> None:
        self._prepare(backbone_model, options, common)
        self.attach()
        for note in self.notes:
            warnings.warn(note, UserWarning, stacklevel=3)

    def _prepare(self, backbone_model: nn.Module, options: BaseDeltaConfig | Mapping[str, Any], common: CommonOptions) -> None:
        """Everything up to attaching: after this the backbone is still as it was."""
        check_call(type(self).__name__, common.get("interactive_modify", False), common.get("backend", "hf"))
        for key in common:
            if key not in CommonOptions.__annotations__:
                raise self.config_class.unknown(key)
        self.backbone_model = checked_backbone(backbone_model)
        self.config = self._config(options, common)
        found = Hosts(self.backbone_model, self.modified_modules, self.config.exclude_modules)
        self.match_result = found.result
        self.notes = list(found.notes)
        self.hosts = [host.name for host in found.hosts]
        self.name = self._chosen_name(common.get("name"))
        check_name(self.name, self.backbone_model, found.hosts)
        self.owned: dict[str, Owned] = {}
        self.created: dict[str, nn.Parameter] = {}
        self.modules: dict[str, nn.Module] = {}
        self.attached = False
        self.serial = next(_births)
        self.handles: dict[str, Any] = {}
        self.waiting: list[Declaration] = []
        self._build(found.hosts)

    @classmethod
    def planned(cls, backbone_model: nn.Module, config: BaseDeltaConfig, *, name: str | None = None) -> Self:
        """The delta as it would be, on the meta device and not attached: for counting before anything is touched."""
        import torch

        delta = cls.__new__(cls)
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
            with host.drawing_board():
                child = self.make_child(host)
            child = host.placed(child)
            child.__dict__[DELTA_MARK] = self.name
            child.train(host.module.training)
            self.modules[host.name] = child

    # What a type fills in -------------------------------------------------------------------------------------------

    def make_child(self, host: Host) -> nn.Module:
        """The module that goes under a host.

        Raises:
            DeltaError: this type cannot sit on such a host; says which can.
        """
        raise NotImplementedError

    def make_hook(self) -> Any:
        """What the child does to its host's output; see `deltanb.engine._insertion`."""
        return After(self.name)

    def core_names(self) -> list[str]:
        """Full names of backbone tensors and created parameters that this type itself works on."""
        return [*(name for name, owned in self.owned.items() if owned.core), *self.created]

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

    # Tensors --------------------------------------------------------------------------------------------------------

    def module_parameters(self, name: str | None = None) -> dict[str, nn.Parameter]:
        """Parameters of the delta's own modules, by the name they have in the backbone (under the delta's, or ``name``)."""
        return {
            f"{host}.{name or self.name}.{key}": parameter
            for host, child in self.modules.items()
            for key, parameter in child.named_parameters()
        }

    def tensors(self, name: str | None = None) -> dict[str, torch.Tensor]:
        """All that the delta owns, attached or not, by name in the backbone: what a checkpoint holds.

        Args:
            name: the name of the child modules in the keys; default: the delta's own.
        """
        owned = {
            key: parameter_of(self.backbone_model, key).detach() if self.attached else entry.aside for key, entry in self.owned.items()
        }
        here = {key: parameter_of(self.backbone_model, key) for key in self.created} if self.attached else self.created
        created = {key: parameter.detach() for key, parameter in here.items()}
        modules = {key: parameter.detach() for key, parameter in self.module_parameters(name).items()}
        return {**modules, **created, **owned}

    def tensors_if_attached(self) -> dict[str, torch.Tensor]:
        """What a delta that is only planned would own."""
        owned = {key: entry.aside for key, entry in self.owned.items()}
        return {**self.module_parameters(), **self.created, **owned}

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that the delta brought, with their names in the backbone."""
        return [*self.module_parameters().items(), *self.created.items()]

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the delta brought."""
        return [parameter for _, parameter in self.named_parameters()]

    @property
    def delta_modules(self) -> list[nn.Module]:
        """The delta's child modules, in model order."""
        return list(self.modules.values())

    @property
    def modified_modules(self) -> list[str]:
        """The patterns it was attached by."""
        own = self.config.modified_modules
        return list(self.default_modified_modules if own is None else own)

    # Show and save --------------------------------------------------------------------------------------------------

    def log(self, *, delta_ratio: bool = True, trainable_ratio: bool = True, visualization: bool = True, cuda_memory: bool = True) -> None:
        """Display the structure with the counts; print them in a script. The numbers stay in ``.stat``."""
        self.stat = _upward.show_log(
            self, delta_ratio=delta_ratio, trainable_ratio=trainable_ratio, visualization=visualization, cuda_memory=cuda_memory
        )

    def save_finetuned(self, finetuned_delta_path: str | Path = "./delta_checkpoints/", **options: Any) -> Path:
        """Write all that the delta owns to a folder; see `deltanb.checkpoints.save`."""
        return _upward.save(self, finetuned_delta_path, **options)

    @classmethod
    def from_finetuned(cls, finetuned_delta_path: str | Path, backbone_model: nn.Module, **options: Any) -> DeltaModel:
        """Read a delta from a folder and attach it; see `deltanb.checkpoints.load`."""
        return _upward.load(finetuned_delta_path, backbone_model, **options)

    @classmethod
    def from_config(cls, config: BaseDeltaConfig, backbone_model: nn.Module, **options: Any) -> Self:
        """A delta with the settings of a config."""
        delta = cls.__new__(cls)
        DeltaModel.__init__(delta, backbone_model, config, **options)  # past the type's own signature
        return delta

    def __repr__(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in self.config.options().items())
        state = "attached" if self.attached else "detached"
        return f"<{self.delta_type} {self.name!r} on {len(self.hosts)} modules, {state}{', ' if options else ''}{options}>"
