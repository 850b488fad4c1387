"""Which learning rate to take when none is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltanb.training._what import Trainable

__all__ = ["RATES", "default_rate"]

RATES = {
    "adapter": 3e-3,
    "lora": 5e-3,
    "bitfit": 5e-3,
    "head": 3e-2,
    "full": 1e-4,
}
_OTHER = 1e-3  # a type that was not measured


def default_rate(trainable: Trainable) -> float:
    """The measured rate of what trains; of several deltas, the lowest.

    Args:
        trainable: what trains.
    """
    if trainable.kind in ("head", "full"):
        return RATES[trainable.kind]
    return min(RATES.get(delta.delta_type, _OTHER) for delta in trainable.deltas)
