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
    # The types below at their default hosts. Attention and feed-forward, bottleneck 24: 0.805 (0). 1.5e-3: 0.784 (0).
    "parallel_adapter": 3e-3,
    # Reduction factor 32: 0.778 (0). 1e-2: 0.776 (0).
    "low_rank_adapter": 5e-3,
    # Reduction factor 16: 0.772 (0). 5e-3: 0.762 (0).
    "compacter": 1e-2,
    # Keys, values and the second feed-forward layer: 0.812 (0). 1e-2: 0.750 (0).
    "ia3": 3e-2,
    # Every norm: 0.780 (0). 1e-2: 0.781 (0).
    "ln_tuning": 5e-3,
    # 6 rows from the network: 0.697 (0). 1.5e-4: 0.648 (0). 1e-3: 0.689 (0). 3e-3 stays at chance (0). Without the network
    # 1e-2 gives 0.693 (0), and this rate trains it too slowly.
    "prefix": 5e-4,
    # 20 rows: 0.636 (0), no more than the head alone at that rate: one pass over so few rows is little for a prompt.
    "soft_prompt": 1e-2,
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
