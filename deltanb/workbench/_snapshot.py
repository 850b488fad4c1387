"""The state of a workbench at one moment, and the way back to it.

Modules are kept as they are, not copied: a delta that was taken out waits with its weights. Values are copied only
around training, and only those that train.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltanb.engine import apply_declarations, deltas, restore_declarations, set_merged, snapshot_ownership

if TYPE_CHECKING:
    import torch
    from torch import nn

    from deltanb.backbones import Backbone
    from deltanb.engine import Declaration, DeltaModel

__all__ = ["Snapshot", "trainable_values"]


@dataclass
class Snapshot:
    """A moment.

    Attributes:
        backbone: the backbone then, or None.
        attached: its deltas, in order of attachment.
        declarations: what was declared trainable.
        ownership: for each delta the backbone tensors it owned.
        fields: the workbench's plain fields.
        merged: those of them that were merged.
        values: of tensors, where a step changed them.
        elsewhere: the same moment of another backbone, which the step took over with the deltas that it carried.
    """

    backbone: Backbone | None
    attached: list[DeltaModel]
    declarations: list[Declaration]
    ownership: dict[int, dict[str, Any]]
    fields: dict[str, Any]
    merged: list[DeltaModel] = field(default_factory=list)
    values: dict[str, torch.Tensor] = field(default_factory=dict)
    elsewhere: Snapshot | None = None

    @classmethod
    def take(cls, backbone: Backbone | None, fields: dict[str, Any]) -> Snapshot:
        """The state now."""
        if backbone is None:
            return cls(None, [], [], {}, dict(fields))
        attached = list(deltas(backbone.model).values())
        merged = [delta for delta in attached if delta.merged]
        return cls(backbone, attached, *snapshot_ownership(backbone.model), dict(fields), merged)

    def restore(self) -> None:
        """Bring the backbone's deltas and declarations back to this moment."""
        if self.elsewhere is not None:
            self.elsewhere.restore()
        if self.backbone is None:
            return
        model = self.backbone.model
        if list(deltas(model).values()) != self.attached:
            for delta in reversed(list(deltas(model).values())):
                delta.detach()
            for delta in self.attached:
                delta.attach()
        for wanted in (False, True):
            for delta in self.attached:
                if (delta in self.merged) is wanted:
                    set_merged(delta, wanted=wanted)
        restore_declarations(model, self.declarations, self.ownership)
        apply_declarations(model)
        self._put_values(model)

    def _put_values(self, model: nn.Module) -> None:
        import torch

        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in self.values:
                    parameter.copy_(self.values[name])


def trainable_values(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copies of all tensors that train, by name."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
