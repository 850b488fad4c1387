"""What a delta holds: its modules, the parameters it created, the backbone tensors it owns, all by name in the backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from deltanb.engine._naming import child_name
from deltanb.engine._ownership import parameter_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import nn

    from deltanb.engine._ownership import Owned

__all__ = ["Holdings"]


class Holdings:
    """The part of a `DeltaModel` that knows its tensors.

    Attributes:
        backbone_model: the backbone, modified in place.
        name: the delta's name.
        modules: host to child module, for hosts that got one; the backbone itself is the host "".
        owned: backbone tensors that it owns, by full name.
        created: parameters that it created in hosts (BitFit's new biases), by full name, as they were when it was last
            detached; see `created_parameters`.
        attached: whether it is attached now.
    """

    delta_type: ClassVar[str] = ""
    default_child: str = ""  # name of the child modules of a delta that has its default name, where that is not the type's

    backbone_model: nn.Module
    name: str
    modules: dict[str, nn.Module]
    owned: dict[str, Owned]
    created: dict[str, nn.Parameter]
    attached: bool

    def child_name(self, name: str | None = None) -> str:
        """The attribute under a host that holds the child module: the delta's name, or for default names OpenDelta's word.

        Args:
            name: of the delta; default: its own.
        """
        return child_name(name or self.name, self.delta_type, self.default_child)

    def module_parameters(self, name: str | None = None) -> dict[str, nn.Parameter]:
        """Parameters of the delta's own modules, by the name they have in the backbone (under the delta's name, or ``name``)."""
        return {prefix + key: value for prefix, child in self._children(name) for key, value in child.named_parameters()}

    def created_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that the delta created in hosts, by full name.

        While it is attached they are looked up in the backbone: ``to_empty()`` and ``load_state_dict(assign=True)`` put
        new objects there.
        """
        return {name: parameter_of(self.backbone_model, name) for name in self.created} if self.attached else dict(self.created)

    def module_buffers(self, name: str | None = None) -> dict[str, torch.Tensor]:
        """Saved tensors of the delta's own modules that never train, by the name they have in the backbone."""
        found: dict[str, torch.Tensor] = {}
        for prefix, child in self._children(name):
            if any(True for _ in child.buffers()):
                parameters = {key for key, _ in child.named_parameters(remove_duplicate=False)}
                found |= {prefix + key: value for key, value in child.state_dict().items() if key not in parameters}
        return found

    def _children(self, name: str | None) -> list[tuple[str, nn.Module]]:
        own = self.child_name(name)
        return [(f"{host}.{own}." if host else f"{own}.", child) for host, child in self.modules.items()]

    def tensors(self, name: str | None = None) -> dict[str, torch.Tensor]:
        """All that the delta owns, attached or not, by name in the backbone: what a checkpoint holds.

        Args:
            name: the delta's name in the keys; default: its own.
        """
        owned = {
            key: parameter_of(self.backbone_model, key).detach() if self.attached else entry.aside for key, entry in self.owned.items()
        }
        created = {key: parameter.detach() for key, parameter in self.created_parameters().items()}
        modules = {key: parameter.detach() for key, parameter in self.module_parameters(name).items()}
        return {**modules, **self.module_buffers(name), **created, **owned}

    def adopted(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Saved tensors by the names that they have here; a type that can hold one in two ways says how."""
        return dict(tensors)

    def tensors_if_attached(self, name: str | None = None) -> dict[str, torch.Tensor]:
        """What a delta that is only planned would own.

        Args:
            name: the delta's name in the keys; default: its own.
        """
        owned = {key: entry.aside for key, entry in self.owned.items()}
        return {**self.module_parameters(name), **self.module_buffers(name), **self.created, **owned}

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that the delta brought, with their names in the backbone."""
        return [*self.module_parameters().items(), *self.created_parameters().items()]

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the delta brought."""
        return [parameter for _, parameter in self.named_parameters()]

    @property
    def delta_modules(self) -> list[nn.Module]:
        """The delta's child modules, in model order."""
        return list(self.modules.values())

    def core_names(self) -> list[str]:
        """Full names of backbone tensors and created parameters that this type itself works on."""
        return [*(name for name, owned in self.owned.items() if owned.core), *self.created]
