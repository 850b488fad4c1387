"""Which learning rate to take when none is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltanb.training._what import Trainable

__all__ = ["RATES", "default_rate"]

# Measured on MiniLM (22.7 M parameters, 6 layers): 3,000 movie reviews, one pass, batches of 32, a trainable head; accuracy on
# 2,605 held-out rows with seeds 0, 1, 2. Beside it, what other rates gave with the seeds in brackets.
RATES = {
    # output.dense, bottleneck 24: 0.804 0.796 0.780. 1e-3: 0.783 (0). 2e-3: 0.796 0.777 0.787. 5e-3: 0.495 (1), 0.777 (2).
    "adapter": 3e-3,
    # query and value, rank 8: 0.813 0.792 0.808. 1e-3: 0.760 (0). 3e-3: 0.803 (0). 1e-2: 0.781 (0).
    "lora": 5e-3,
    # Every bias: 0.770 0.731 0.754. 3e-3: 0.735 (0). 1e-2: 0.765 (0). 2e-2 stays at chance (0).
    "bitfit": 5e-3,
    # The classifier alone: 0.666 0.646 0.670. 1e-2: 0.636 (0).
    "head": 3e-2,
    # All parameters: 0.814 0.792 0.818. 5e-5: 0.793 (0). 2e-4: 0.830 (0), but larger models want less, not more.
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
