"""The numbered layers of a model, and how a delta is kept to the last of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Layers"]


class Layers:
    """The stacks of layers that a delta's hosts are in.

    Attributes:
        most: how many layers the highest stack has; 0 where the hosts cannot be limited to some.

    Example:
        >>> from torch import nn
        >>> from deltanb._walk import layer_stacks
        >>> model = nn.Module()
        >>> model.layers = nn.ModuleList(nn.Sequential(nn.Linear(2, 2)) for _ in range(3))
        >>> model.out = nn.Linear(2, 2)
        >>> hosts = [*(f"layers.{i}.0" for i in range(3)), "out"]
        >>> layers = Layers(layer_stacks(model), hosts)
        >>> layers.most, layers.exclude(2), layers.exclude(1), layers.exclude(3)
        (3, ['layers.0', 'out'], ['layers.0-1', 'out'], [])
    """

    def __init__(self, stacks: dict[str, int], hosts: Sequence[str]) -> None:
        self._stacks = {stack: count for stack, count in stacks.items() if any(host.startswith(f"{stack}.") for host in hosts)}
        inside = tuple(f"{stack}." for stack in self._stacks)
        self._outside = [host for host in hosts if not inside or not host.startswith(inside)]
        above = any(stack.startswith(f"{host}." if host else "") for host in self._outside for stack in self._stacks)
        self.most = 0 if above else max(self._stacks.values(), default=0)

    def exclude(self, kept: int) -> list[str]:
        """Patterns to leave out so that the last layers of each stack, and nothing else, carry the delta; none for all.

        Args:
            kept: how many.
        """
        if kept >= self.most:
            return []
        first = {stack: count - kept for stack, count in self._stacks.items() if count > kept}
        layers = [f"{stack}.0-{number - 1}" if number > 1 else f"{stack}.0" for stack, number in first.items()]
        return [*layers, *self._outside]

    def roots(self, kept: int) -> tuple[str, ...]:
        """The beginnings of the names of all that is left out."""
        if kept >= self.most:
            return ()
        layers = [f"{stack}.{at}." for stack, count in self._stacks.items() for at in range(count - kept)]
        return (*layers, *(f"{name}." for name in self._outside))

    def spoken(self, kept: int) -> str:
        """Which layers, in a word or two."""
        if not self.most:
            return ""
        if kept >= self.most:
            return f"all {self.most}" if len(self._stacks) == 1 else "all"
        return f"last {kept} of {self.most}"
