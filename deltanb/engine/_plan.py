"""What a delta would cost, counted on the meta device before the backbone is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb.engine.auto import AutoDeltaConfig, delta_class
from deltanb.structure import snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

__all__ = ["Plan", "plan"]

_FILE_OVERHEAD = 90  # bytes of safetensors' header for one tensor, about


@dataclass(frozen=True)
class Plan:
    """The cost of a delta.

    Attributes:
        delta_type: which type.
        hosts: how many modules it would sit on.
        parameters: how many it would train: those it adds, and for BitFit the biases it takes.
        share: of the backbone's parameters.
        bytes: of the saved tensors, about.
    """

    delta_type: str
    hosts: int
    parameters: int
    share: float
    bytes: int

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
    tensors = delta.tensors_if_attached()
    count = sum(tensor.numel() for tensor in tensors.values())
    size = sum(tensor.numel() * tensor.element_size() + _FILE_OVERHEAD for tensor in tensors.values())
    counts = snapshot(backbone).counts
    return Plan(delta_type, len(delta.hosts), count, count / max(1, counts.total - counts.delta), size)
