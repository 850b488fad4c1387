"""Merge and unmerge: a delta as a part of its hosts' weights, with what that does to the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.engine._attachment import hook_in_order, unhook
from deltanb.engine._freezing import apply_declarations
from deltanb.engine._insertion import reset_compiler
from deltanb.engine._merged import check_beside_merged, check_mergeable, put_in, take_out
from deltanb.probe import evaluating, trial_inputs

if TYPE_CHECKING:
    import torch
    from torch import nn

    from deltanb.engine._base import DeltaModel

__all__ = ["Effect", "largest_change", "logits_of", "merge", "set_merged", "unmerge"]


@dataclass(frozen=True)
class Effect:
    """What a step did to the outputs, measured on a small batch.

    Attributes:
        delta: the delta that was merged, unmerged or made.
        changes: largest absolute change of a logit, by what it is compared with.

    Example:
        >>> from torch import nn
        >>> from deltanb import LoraModel
        >>> delta = LoraModel(nn.Sequential(nn.Linear(4, 4)), modified_modules=["0"])
        >>> print(Effect(delta, {"before": 1.5e-7}))
        lora: the largest change of a logit is 1.5e-07 (before)
    """

    delta: DeltaModel
    changes: dict[str, float]

    @property
    def largest(self) -> float:
        """The first of the changes."""
        return next(iter(self.changes.values()))

    def __str__(self) -> str:
        said = ", ".join(f"{value:.2g} ({key})" for key, value in self.changes.items())
        return f"{self.delta.name}: the largest change of a logit is {said}"


def merge(delta: DeltaModel, batch: Any = None) -> Effect:
    """Put an attached delta into its hosts' weights; see `DeltaModel.merge`."""
    return _turned(delta, batch, wanted=True)


def unmerge(delta: DeltaModel, batch: Any = None) -> Effect:
    """Take a merged delta out of its hosts' weights; see `DeltaModel.unmerge`."""
    return _turned(delta, batch, wanted=False)


def _turned(delta: DeltaModel, batch: Any, *, wanted: bool) -> Effect:
    if not delta.attached:
        msg = f"{delta.name!r} is detached: it has no hosts to be merged into, or to be taken out of."
        raise DeltaError(msg, expected="An attached delta.", try_=f"%delta reattach {delta.name}")
    if delta.merged is wanted:
        return Effect(delta, {"before": 0.0})
    if wanted:
        check_type(delta)
        check_mergeable(delta)
    else:
        check_beside_merged(delta)
    batch = trial_batch(delta.backbone_model, batch)
    before = logits_of(delta.backbone_model, batch)
    set_merged(delta, wanted=wanted)
    try:
        return Effect(delta, {"before": largest_change(before, logits_of(delta.backbone_model, batch))})
    except BaseException:
        set_merged(delta, wanted=not wanted)
        raise


def set_merged(delta: DeltaModel, *, wanted: bool) -> None:
    """Merge or unmerge without a trial. Merged already, or not: nothing happens."""
    if delta.merged is wanted:
        return
    if wanted:
        put_in(delta)
        unhook(delta)
    else:
        take_out(delta)
        hook_in_order(delta)
    apply_declarations(delta.backbone_model)
    reset_compiler()


def check_type(delta: DeltaModel) -> None:
    """Refuse a type that no weights could take the place of.

    Raises:
        DeltaError: names the types that merge.
    """
    if not delta.merges:
        from deltanb.engine.auto import DELTA_TYPES

        able = ", ".join(name for name, kind in DELTA_TYPES.items() if kind.merges)
        msg = f"{delta.name!r} is of type {delta.delta_type}, which no weights of its hosts could take the place of."
        raise DeltaError(msg, expected=f"A delta of a type that merges: {able}.", try_="%delta help merge")


def trial_batch(model: nn.Module, batch: Any) -> Any:
    """The batch, or one that is made for the model.

    Raises:
        DeltaError: the model is a skeleton, or none is given and none can be made.
    """
    if any(p.is_meta for p in model.parameters()):
        msg = f"{type(model).__name__} is a skeleton: it has no weights to work a delta into."
        raise DeltaError(msg, expected="A backbone with weights.", try_="%delta backbone minilm")
    if batch is None and not hasattr(model, "config"):
        msg = f"{type(model).__name__} has no config, so no trial batch can be made for it."
        raise DeltaError(msg, expected="A batch: a tensor, or inputs by name.", try_="delta.merge(batch)")
    return trial_inputs(model) if batch is None else batch


def logits_of(model: nn.Module, batch: Any) -> torch.Tensor:
    """The logits, or the first tensor, that a model gives in eval mode, without gradients. Its modes are as before afterwards."""
    import torch

    with evaluating(model):
        output = model(**batch) if isinstance(batch, Mapping) else model(batch)
    output = getattr(output, "logits", output)
    while not isinstance(output, torch.Tensor):
        output = next(iter(output.values())) if isinstance(output, Mapping) else output[0]
    return output


def largest_change(before: torch.Tensor, after: torch.Tensor) -> float:
    """The largest absolute difference of two equal-sized tensors."""
    return float((after.float() - before.float()).abs().max())
