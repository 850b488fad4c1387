"""What a delta costs on a known model, counted once for all pages."""

from __future__ import annotations

from functools import cache

from deltanb import Backbone, DeltaError, load_backbone, plan

__all__ = ["NO_COST", "costs", "skeleton"]

NO_COST = "–"


@cache
def skeleton(name: str) -> Backbone:
    """The structure of a model that is known by name."""
    return load_backbone(name, skeleton=True)


@cache
def costs(name: str, kind: str) -> tuple[str, str, str, str]:
    """Trained parameters, their share, the size of the file; and why not, where the type cannot sit there.

    Example:
        >>> costs("bert-base", "lora")
        ('294,912', '0.269%', '1.2 MB', '')
    """
    try:
        cost = plan(skeleton(name).model, kind)
    except DeltaError as error:
        return NO_COST, NO_COST, NO_COST, error.what
    return f"{cost.parameters:,}", f"{cost.share:.3%}", f"{cost.bytes / 1e6:,.1f} MB", ""
