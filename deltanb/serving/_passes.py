"""The passes that a batch takes: one for all rows that can share it, one for each delta that cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb.serving._lean import switched
from deltanb.serving._mix import NotByRow, mixed
from deltanb.serving._outputs import joined, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import nn

    from deltanb.serving._lean import Lean
    from deltanb.serving._parts import Step

__all__ = ["run"]

Groups = dict[str | None, "torch.Tensor"]


def run(
    model: nn.Module, inputs: Mapping[str, Any], batch: int, groups: Groups, loaded: Mapping[str, Lean], steps: Mapping[str, list[Step]]
) -> Any:
    """The output for all rows.

    Args:
        model: the backbone, in the mode in which it is to compute.
        inputs: by name.
        batch: how many rows there are.
        groups: each delta's rows; None: those of the plain backbone.
        loaded: the deltas.
        steps: what those do that can share a pass.
    """
    while True:
        shared = {name: rows for name, rows in groups.items() if name is None or not loaded[name].alone}
        try:
            return _run(model, inputs, batch, groups, shared, loaded, steps)
        except NotByRow as found:
            for name in shared:
                if name is not None and any(step.place == found.place for step in steps[name]):
                    loaded[name].alone = f"{found.place} does not see the rows of a batch as such"


def _run(
    model: nn.Module,
    inputs: Mapping[str, Any],
    batch: int,
    groups: Groups,
    shared: Groups,
    loaded: Mapping[str, Lean],
    steps: Mapping[str, list[Step]],
) -> Any:
    if len(groups) == 1:
        return _one(model, inputs, next(iter(groups)), loaded)
    if len(shared) == len(groups):
        return _several(model, inputs, batch, shared, steps)
    parts = [(rows, _one(model, rows_of(inputs, rows), name, loaded)) for name, rows in groups.items() if name not in shared]
    if shared:
        import torch

        rows = torch.sort(torch.cat(list(shared.values()))).values
        inside = {name: torch.searchsorted(rows, own) for name, own in shared.items()}
        some = rows_of(inputs, rows)
        parts.append((rows, _run(model, some, len(rows), inside, inside, loaded, steps)))
    return joined(batch, parts)


def _one(model: nn.Module, inputs: Mapping[str, Any], name: str | None, loaded: Mapping[str, Lean]) -> Any:
    if name is None:
        return model(**inputs)
    with switched(loaded[name]):
        return model(**inputs)


def _several(model: nn.Module, inputs: Mapping[str, Any], batch: int, groups: Groups, steps: Mapping[str, list[Step]]) -> Any:
    with mixed(batch, [(steps[name], rows) for name, rows in groups.items() if name is not None]):
        return model(**inputs)
