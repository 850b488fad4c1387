"""What deltas are called in the script of what was done, and which of them still are as they were attached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.engine import free_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from deltanb.engine import DeltaModel
    from deltanb.workbench._step import Step

__all__ = ["Names"]

_RESERVED = {"backbone", "data", "deltanb", "model", "result"}


class Names:
    """Variables and first values of deltas, by their serial numbers."""

    def __init__(self) -> None:
        self._variables: dict[int, str] = {}
        self._first: dict[int, dict[str, torch.Tensor]] = {}

    def of(self, delta: DeltaModel) -> str:
        """The variable that holds a delta in the script."""
        return self._variables.get(delta.serial, delta.name)

    def choose(self, delta: DeltaModel, steps: Iterable[Step]) -> str:
        """A variable for a new delta: its name, unless the script uses that already."""
        assigned = {line.partition(" = ")[0] for step in steps for line in step.python}
        self._variables[delta.serial] = free_name(delta.name, assigned | _RESERVED)
        return self.of(delta)

    def born(self, delta: DeltaModel) -> None:
        """Remember the first values of a delta that is nothing but new."""
        self._first[delta.serial] = {name: tensor.clone() for name, tensor in delta.tensors().items()}

    def is_new(self, delta: DeltaModel) -> bool:
        """Whether nothing was learned: each tensor is as it was when the delta was attached, or in the backbone."""
        import torch

        first = self._first.get(delta.serial)
        if first is None:
            return False
        heads = {name: entry.aside for name, entry in delta.owned.items()} if delta.attached else {}
        now = delta.tensors()
        return all(tensor.is_meta or torch.equal(tensor, first.get(name, heads.get(name, tensor))) for name, tensor in now.items())
