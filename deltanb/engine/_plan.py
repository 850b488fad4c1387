"""What a delta would cost, counted on the meta device before the backbone is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb.engine._ownership import parameter_of
from deltanb.engine.auto import AutoDeltaConfig, delta_class
from deltanb.structure import snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import nn

__all__ = ["FILE_BYTES", "HOST_BYTES", "TENSOR_BYTES", "Plan", "plan"]

# What a file holds beside the values, in bytes: the settings; for each host its name and this; for each tensor likewise.
FILE_BYTES, HOST_BYTES, TENSOR_BYTES = 1000, 6, 66


@dataclass(frozen=True)
class Plan:
    """The cost of a delta.

    Attributes:
        delta_type: which type.
        hosts: how many modules it would sit on.
        parameters: how many it would train: those it adds, and for BitFit the biases it takes; a tied tensor once.
        share: of the backbone's parameters.
        bytes: of the saved file, within two hundredths where it is larger than some kilobytes.
        tensors: how many would be saved.
    """

    delta_type: str
    hosts: int
    parameters: int
    share: float
    bytes: int
    tensors: int = 0

    def __str__(self) -> str:
        return f"{self.delta_type}: +{self.parameters:,} parameters ({self.share:.2%}), {self.bytes / 1e6:.1f} MB"


def plan(
    backbone: nn.Module,
    delta_type: str,
    patterns: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    **options: Any,
) -> Plan:
    """Count what a delta would cost; the backbone is not changed.

    Raises:
        DeltaError: as attaching would.

    Example:
        >>> from torch import nn
        >>> plan(nn.Sequential(nn.Linear(8, 8)), "lora", "0", lora_r=2).parameters
        32
    """
    settings = {"delta_type": delta_type, "modified_modules": patterns, "exclude_modules": exclude, **options}
    config = AutoDeltaConfig.from_dict(settings)
    delta = delta_class(delta_type).planned(backbone, config)
    tensors = delta.tensors_if_attached(delta_type)
    owned = {id(parameter_of(delta.backbone_model, name)): entry.aside for name, entry in delta.owned.items()}
    count = sum(tensor.numel() for tensor in [*delta.parameters(), *owned.values()])
    counts = snapshot(delta.backbone_model).counts
    return Plan(
        delta_type, len(delta.hosts), count, count / max(1, counts.total - counts.delta), _file_size(delta.hosts, tensors), len(tensors)
    )


def _file_size(hosts: Sequence[str], tensors: Mapping[str, torch.Tensor]) -> int:
    values = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    names = sum(len(name) + TENSOR_BYTES for name in tensors) + sum(len(name) + HOST_BYTES for name in hosts)
    return values + names + FILE_BYTES
