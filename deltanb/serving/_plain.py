"""Whether a model is a plain backbone, as a pool needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["check_plain", "checked_model"]


def checked_model(model: nn.Module) -> nn.Module:
    """The bare model, which must have weights and no delta.

    Raises:
        DeltaError: it has no weights, or a delta is attached.
    """
    from deltanb.engine._registry import unwrapped

    bare = unwrapped(model)
    check_plain(bare)
    if any(parameter.is_meta for parameter in bare.parameters()):
        raise DeltaError("The model is a skeleton: it has no weights to compute with.", try_='deltanb.load_backbone("minilm")')
    return bare


def check_plain(model: nn.Module) -> None:
    """Refuse a model that carries a delta.

    Raises:
        DeltaError: with its name.
    """
    from deltanb.engine import deltas

    for name in deltas(model):
        msg = f"The model carries the delta {name!r}, so there is no plain backbone to serve from."
        raise DeltaError(msg, expected="A model without deltas; those to serve come from folders.", try_="deltanb.use(model)")
