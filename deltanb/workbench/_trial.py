"""When a look at the gradients is cheap enough to come with every table of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.engine import dead_parameters

if TYPE_CHECKING:
    from torch import nn

    from deltanb.structure import ModuleTree

__all__ = ["trial_kind", "trial_pass"]

# One core takes about 0.4 s for a pass at these sizes.
_TOTAL = 150_000_000  # parameters that a pass computes with
_TRAINABLE = 30_000_000  # of them, those that get a gradient of their size
_MODULES = 300  # that a pass through the shapes alone goes by


def trial_kind(tree: ModuleTree, *, skeleton: bool) -> str:
    """``values`` or ``shapes``, whichever trial pass is cheap, else ``""``.

    Args:
        tree: the model's structure.
        skeleton: whether it has no weights.

    Example:
        >>> from torch import nn
        >>> from deltanb.structure import snapshot
        >>> trial_kind(snapshot(nn.Linear(2, 2)), skeleton=False)
        'values'
    """
    counts = tree.counts
    if not skeleton and counts.total <= _TOTAL and counts.trainable <= _TRAINABLE:
        return "values"
    return "shapes" if len(tree) <= _MODULES else ""


def trial_pass(model: nn.Module, tree: ModuleTree, *, forced: bool) -> dict[str, str] | str:
    """What receives no gradient, or why nobody looked.

    Args:
        model: the backbone.
        tree: its structure.
        forced: look, whatever it takes.

    Raises:
        DeltaError: the model cannot be run on a trial batch.
    """
    if forced:
        return dead_parameters(model)
    kind = trial_kind(tree, skeleton=any(p.is_meta for p in model.parameters()))
    return dead_parameters(model, values=kind == "values") if kind else "the model is large (%delta params --gradients looks)"
