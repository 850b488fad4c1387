"""The largest delta of a type that stays within limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb._walk import layer_stacks
from deltanb.checkpoints import FileSize
from deltanb.engine import PROCESS_BYTES, Outlook, Planned
from deltanb.planning._cost import StepCost, own_operations
from deltanb.planning._layers import Layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from deltanb.planning._limits import Limits
    from deltanb.planning._sketch import Sketch

__all__ = ["Fit", "Scales"]


@dataclass(frozen=True)
class Fit:
    """One delta, weighed.

    Attributes:
        sketch: what it is.
        size: the value of the option that decides its size.
        exclude: patterns that keep it to some layers.
        layers: those, in words.
        hosts: how many modules it sits on.
        parameters: how many it trains.
        file: bytes of its file.
        memory: bytes of training, by part, the process beside them.
        cost: of a step, where 1 is training everything.
        within: whether it stays within all limits.
    """

    sketch: Sketch
    size: int
    exclude: list[str]
    layers: str
    hosts: int
    parameters: int
    file: int
    memory: dict[str, int]
    cost: float
    within: bool


class Scales:
    """What weighs deltas of one model.

    Args:
        backbone: the model.
        batch: texts a step.
        length: tokens a text.
        limits: what a delta may cost.
    """

    def __init__(self, backbone: nn.Module, batch: int, length: int, limits: Limits) -> None:
        self.outlook = Outlook(backbone)
        self.files = FileSize(backbone)
        self.stacks = layer_stacks(backbone)
        self.batch, self.length, self.limits = batch, length, limits
        width = getattr(getattr(backbone, "config", None), "hidden_size", 0)
        self.cost = StepCost(self.outlook, width if isinstance(width, int) else 0, length)

    def fitted(self, sketch: Sketch, *, fewer: bool) -> Fit:
        """The largest of a kind that stays within the limits; the smallest, where not even that does.

        Args:
            sketch: the kind.
            fewer: whether it may sit in fewer layers than usual.
        """
        layers = Layers(self.stacks, sketch.hosts)
        kept = layers.most
        if fewer and kept and not self._within(sketch, 1, layers, kept):
            kept = _largest(lambda number: self._within(sketch, 1, layers, number), kept - 1) or 1
        free = self.limits.parameters is self.limits.file is self.limits.memory is None
        size = sketch.default if free else 1
        if sketch.knob and not free:
            size = _largest(lambda number: self._within(sketch, number, layers, kept), self._most(sketch, layers.roots(kept))) or 1
        return self._weighed(sketch, size, layers, kept)

    def _most(self, sketch: Sketch, without: tuple[str, ...]) -> int:
        """The largest value that is worth a try: values alone must not be too many."""
        one = sketch.count(1, without)
        step = sketch.count(2, without) - one
        memory = self.limits.memory and self.limits.memory - PROCESS_BYTES - self._memory(sketch, 1, without)["total"]
        limits = (
            None if self.limits.parameters is None else self.limits.parameters - one,
            None if self.limits.file is None else self.limits.file // 4 - one,
            None if memory is None else memory // 16,  # weights, gradients and two states
        )
        room = [1 + max(0, limit) // step for limit in limits if limit is not None and step]
        return max(1, min([sketch.most, *room]))

    def _within(self, sketch: Sketch, size: int, layers: Layers, kept: int) -> bool:
        """Whether a delta stays within all limits, the cheapest question first."""
        limits, without = self.limits, layers.roots(kept)
        count = sketch.count(size, without)
        if limits.parameters is not None and count > limits.parameters:
            return False
        if limits.memory is not None and self._memory(sketch, size, without)["total"] + PROCESS_BYTES > limits.memory:
            return False
        return limits.file is None or self._file(sketch, size, layers.exclude(kept), without) <= limits.file

    def planned(self, sketch: Sketch, size: int, without: tuple[str, ...]) -> Planned:
        """A delta as the estimates see it."""
        rows = size if sketch.kind == "soft_prompt" else 0
        return Planned(sketch.kind, frozenset(sketch.hosts_kept(without)), sketch.count(size, without), rows)

    def _memory(self, sketch: Sketch, size: int, without: tuple[str, ...]) -> dict[str, int]:
        return self.outlook.memory(self.batch, self.length, self.planned(sketch, size, without))

    def _file(self, sketch: Sketch, size: int, exclude: list[str], without: tuple[str, ...]) -> int:
        tensors = {tensor.name: (tensor.dtype, tensor.at(size)) for tensor in sketch.kept(without)}
        return self.files.of(sketch.config(size, exclude), sketch.kind, sketch.hosts_kept(without), tensors)

    def _weighed(self, sketch: Sketch, size: int, layers: Layers, kept: int) -> Fit:
        without, exclude = layers.roots(kept), layers.exclude(kept)
        return Fit(
            sketch,
            size,
            exclude,
            layers.spoken(kept),
            len(sketch.hosts_kept(without)),
            sketch.count(size, without),
            self._file(sketch, size, exclude, without),
            self._memory(sketch, size, without),
            self.cost.of(self.planned(sketch, size, without), own_operations(sketch, size, without)),
            self._within(sketch, size, layers, kept),
        )


def _largest(good: Callable[[int], bool], most: int) -> int:
    """The largest number up to ``most`` that is good, where all below a good one are; 0 where none is.

    Example:
        >>> _largest(lambda number: number <= 5, 9), _largest(lambda number: number <= 0, 9)
        (5, 0)
    """
    low, bad, step = most, most + 1, 1
    while low > 0 and not good(low):  # the highest is often nearly right
        low, bad, step = low - step, low, 2 * step
    low, high = max(low, 0), bad - 1
    while low < high:
        tried = (low + high + 1) // 2
        low, high = (tried, high) if good(tried) else (low, tried - 1)
    return low
