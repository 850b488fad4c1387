"""What a step of training costs in arithmetic, beside one that trains everything: an estimate.

Multiplications and additions for each token, a weight of a linear layer counting 2 forth, 2 back to what it takes, and 2 for its own
gradient (Kaplan et al., *Scaling Laws for Neural Language Models*, 2020, https://arxiv.org/abs/2001.08361, section 2.1); an attention
over L tokens with vectors of size d counts 4 · L · d forth and twice that back.

    everything = 3 · F
    with a delta = F + B + 3 · D, times (L + n) / L for a soft prompt of n rows

F: all linear layers and attentions forth; B: those from the first host on, the rest needs no way back; D: the delta's own matrices.
Embeddings, norms and activations are left out, an expert counts whether it is chosen or not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltanb.engine import Outlook, Place, Planned
    from deltanb.planning._sketch import Sketch

__all__ = ["StepCost", "own_operations"]


class StepCost:
    """Relative cost of training steps on one model.

    Args:
        outlook: the model.
        width: of its hidden states, 0 if that is not known.
        length: tokens a text.

    Example:
        >>> from torch import nn
        >>> from deltanb.engine import Outlook, Planned
        >>> cost = StepCost(Outlook(nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10))), width=10, length=8)
        >>> round(cost.of(Planned("lora", ["0"], 20), own=40), 3), round(cost.of(Planned("lora", ["1"], 20), own=40), 3)
        (0.767, 0.6)
    """

    def __init__(self, outlook: Outlook, width: int, length: int) -> None:
        self._outlook, self._length = outlook, length
        self._forth = [_operations(place, width, length) for place in outlook.places]
        self._all = sum(self._forth)

    def of(self, planned: Planned, own: int) -> float:
        """A step's cost; 1 is a step that trains everything.

        Args:
            planned: what trains.
            own: operations a token of the delta's own matrices, one way.
        """
        back = sum(self._forth[self._outlook.first(planned) :])
        longer = (self._length + planned.rows) / self._length
        return (self._all + back + 3 * own) * longer / (3 * self._all) if self._all else math.nan


def _operations(place: Place, width: int, length: int) -> int:
    """Of one module, a token."""
    if place.kind in ("l", "c"):
        return 2 * place.sizes[0] * place.sizes[1]
    return 4 * length * width if place.kind == "a" else 0


def own_operations(sketch: Sketch, size: int, without: tuple[str, ...] = ()) -> int:
    """Operations a token of a delta's own matrices, one way.

    Args:
        sketch: the delta.
        size: the value of the option that decides its size.
        without: beginnings of names of what is left out.
    """
    if sketch.kind in ("prefix", "soft_prompt"):
        return 0  # a network that makes rows runs once a step, not for each token
    if sketch.kind == "compacter":  # its matrices are multiplied out, and applied whole
        children: Any = sketch.delta.modules
        layers = [layer for host in sketch.hosts_kept(without) for layer in (children[host].down_sampler, children[host].up_sampler)]
        return sum(2 * layer.size_in * layer.size_out for layer in layers)
    return sum(2 * math.prod(tensor.at(size)) for tensor in sketch.kept(without) if len(tensor.shape) > 1)
