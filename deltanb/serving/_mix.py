"""One forward pass of the backbone in which rows have different deltas.

While it lasts, one hook before and one after each module that a delta works on takes the rows of each family of parts,
changes them together, and puts them back.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from deltanb.engine._insertion import change_first
from deltanb.probe import first_input
from deltanb.serving._rows import Member, Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from deltanb.serving._parts import Step

__all__ = ["NotByRow", "mixed"]

_WHEN = ("before", "keep", "after", "kept")


class NotByRow(Exception):  # noqa: N818 - no error: the rows are run apart
    """A module did not work on the rows of the batch as such.

    Attributes:
        place: its name.
    """

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place


@dataclass
class _Family:
    """Parts of several deltas that are computed together at one place.

    Attributes:
        when: as of the steps.
        slot: as of the steps.
        parts: with the rows of the batch.
    """

    when: str
    slot: str
    parts: list[tuple[Part | None, torch.Tensor]] = field(default_factory=list)
    rows: torch.Tensor | None = None
    members: list[Member] = field(default_factory=list)

    def settle(self, batch: int) -> None:
        """Find the rows of all, in order, and the places of each part's among them. ``rows`` None: every row."""
        together = torch.cat([rows for _, rows in self.parts])
        covered = torch.sort(together).values
        places = torch.argsort(torch.argsort(together))
        counts = [len(rows) for _, rows in self.parts]
        self.members = [Member(part, at) for (part, _), at in zip(self.parts, torch.split(places, counts), strict=True)]
        self.rows = None if len(covered) == batch else covered

    def taken_from(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor if self.rows is None else tensor[self.rows]

    def put_into(self, tensor: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
        return changed if self.rows is None else tensor.index_copy(0, self.rows, changed)

    def computed(self, taken: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        return self.members[0].part.together(self.members, taken, given)  # type: ignore[no-any-return]


class _Place:
    """The hooks of one module."""

    def __init__(self, name: str, batch: int, kept: dict[Any, torch.Tensor]) -> None:
        self.name, self.batch, self.kept = name, batch, kept
        self.families: dict[tuple[Any, ...], _Family] = {}
        self.reached = False

    def add(self, order: int, step: Step, rows: torch.Tensor) -> None:
        key = (_WHEN.index(step.when), order if step.part else 0, step.slot, step.part.family if step.part else ())
        self.families.setdefault(key, _Family(step.when, step.slot)).parts.append((step.part, rows))

    def settle(self) -> None:
        ordered = [self.families[key] for key in sorted(self.families, key=lambda key: key[:2])]
        for family in ordered:
            family.settle(self.batch)
        self.early = [family for family in ordered if family.when in ("before", "keep")]
        self.late = [family for family in ordered if family.when in ("after", "kept")]

    def before(self, module: nn.Module, args: Any, kwargs: Any) -> Any:  # noqa: ARG002
        """The hook before the module."""
        self.reached = True
        value = self._checked(first_input(args, kwargs))
        for family in self.early:
            taken = family.taken_from(value)
            if family.when == "keep":
                self._keep(family, family.computed(taken, taken))
            else:
                value = family.put_into(value, family.computed(taken, taken))
        return _replaced(args, kwargs, value)

    def after(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:  # noqa: ARG002
        """The hook after the module."""
        self.reached = True
        return change_first(output, lambda given: self._changed(first_input(args, kwargs), given))

    def _changed(self, taken: Any, given: Any) -> torch.Tensor:
        value = self._checked(given)
        for family in self.late:
            if family.when == "kept":
                value = self._added(family, value)
                continue
            rows = family.taken_from(value)
            source = rows if _looks_back(family) else family.taken_from(self._checked(taken))
            value = family.put_into(value, family.computed(source, rows))
        return value

    def _keep(self, family: _Family, product: torch.Tensor) -> None:
        """Spread over the whole batch: other families may cover the rows between."""
        whole = product
        if family.rows is not None:
            whole = product.new_zeros(self.batch, *product.shape[1:]).index_copy(0, family.rows, product)
        self.kept[family.slot] = self.kept[family.slot] + whole if family.slot in self.kept else whole

    def _added(self, family: _Family, value: torch.Tensor) -> torch.Tensor:
        waiting = self.kept.pop(family.slot, None)
        if waiting is None or waiting.shape != value.shape:
            raise NotByRow(self.name)
        return value + waiting.to(value.dtype)

    def _checked(self, value: Any) -> torch.Tensor:
        if not isinstance(value, torch.Tensor) or value.dim() == 0 or len(value) != self.batch:
            raise NotByRow(self.name)
        return value


def _looks_back(family: _Family) -> bool:
    """Whether what the module takes plays no part."""
    return bool(getattr(family.members[0].part, "after", False)) or family.members[0].part.family[0] in ("Scale", "Shift")


def _replaced(args: Any, kwargs: Any, value: torch.Tensor) -> Any:
    if args:
        return (value, *args[1:]), kwargs
    return args, {**kwargs, "hidden_states" if "hidden_states" in kwargs else next(iter(kwargs)): value}


@contextmanager
def mixed(batch: int, chosen: Sequence[tuple[Sequence[Step], torch.Tensor]]) -> Iterator[None]:
    """Have the backbone compute each row with its delta for the time of a block; rows that are not named with none.

    Args:
        batch: how many rows there are.
        chosen: what a delta does, and its rows.

    Raises:
        NotByRow: at the latest at the end: a module did not see the rows, so the outcome is not that of each alone.
    """
    places: dict[int, tuple[nn.Module, _Place]] = {}
    kept: dict[Any, torch.Tensor] = {}
    for steps, rows in chosen:
        counts: dict[int, int] = {}
        for step in steps:
            key = id(step.module)
            order = counts[key] = counts.get(key, -1) + 1
            if key not in places:
                places[key] = (step.module, _Place(step.place, batch, kept))
            places[key][1].add(order, step, rows)
    with ExitStack() as undo:
        for module, place in places.values():
            place.settle()
            if place.early:
                undo.callback(module.register_forward_pre_hook(place.before, with_kwargs=True).remove)
            if place.late:
                undo.callback(module.register_forward_hook(place.after, with_kwargs=True).remove)
        yield
    missed = next((place for _, place in places.values() if not place.reached), None)
    if missed is not None:
        raise NotByRow(missed.name)
