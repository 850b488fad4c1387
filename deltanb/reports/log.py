"""What ``delta.log()`` shows: the structure and the numbers that OpenDelta's log gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb.reports._base import show
from deltanb.reports.outcome import Outcome
from deltanb.reports.tree import StructureReport
from deltanb.structure import snapshot

if TYPE_CHECKING:
    from deltanb.engine import DeltaModel

__all__ = ["show_log"]


def show_log(
    delta: DeltaModel, *, delta_ratio: bool = True, trainable_ratio: bool = True, visualization: bool = True, cuda_memory: bool = True
) -> dict[str, Any]:
    """Display a delta's backbone and counts: drawn in a notebook, printed in a script.

    Args:
        delta: the delta whose backbone is shown.
        delta_ratio: with the share of parameters that deltas brought.
        trainable_ratio: with the share that trains.
        visualization: with the structure.
        cuda_memory: with the memory on the GPU, where there is one.

    Returns:
        The numbers, under OpenDelta's names.
    """
    tree = snapshot(delta.backbone_model)
    counts = tree.counts
    stat: dict[str, Any] = {
        "total_parameters": counts.total,
        "trainable_parameters": counts.trainable,
        "trainable_ratio": counts.trainable / max(1, counts.total),
        "delta_parameters": counts.delta,
        "delta_ratio": counts.delta / max(1, counts.total),
        **_cuda_memory(),
    }
    facts = {}
    if trainable_ratio:
        facts["trainable"] = f"{counts.trainable:,} of {counts.total:,} = {stat['trainable_ratio']:.4%}"
    if delta_ratio:
        facts["deltas"] = f"{counts.delta:,} of {counts.total:,} = {stat['delta_ratio']:.4%}"
    if cuda_memory and stat["maxcudamem"]:
        facts["GPU memory"] = f"{stat['cudamem']:.2f} GB, at most {stat['maxcudamem']:.2f} GB"
    if visualization:
        show(StructureReport(tree))
    show(Outcome(repr(delta).strip("<>"), facts))
    return stat


def _cuda_memory() -> dict[str, float]:
    import torch

    if not torch.cuda.is_available():
        return {"cudamem": 0.0, "maxcudamem": 0.0}
    return {"cudamem": torch.cuda.memory_allocated() / 1e9, "maxcudamem": torch.cuda.max_memory_allocated() / 1e9}
