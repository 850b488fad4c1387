"""Lets Trainer train deltas on a quantised backbone: it knows PEFT's adapters only."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["check_gradients", "deltas_count"]

_FLAG = "_hf_peft_config_loaded"  # what transformers asks before it lets a quantised model be trained


@contextmanager
def deltas_count(model: nn.Module) -> Iterator[None]:
    """Inside, transformers takes the deltas of a quantised model for what is trained on it; afterwards the model is as before.

    Example:
        >>> from torch import nn
        >>> model = nn.Linear(1, 1)
        >>> with deltas_count(model):
        ...     hasattr(model, "_hf_peft_config_loaded")
        False
    """
    before = model.__dict__.get(_FLAG)
    if not getattr(model, "is_quantized", False):
        yield
        return
    model.__dict__[_FLAG] = True
    try:
        yield
    finally:
        model.__dict__.pop(_FLAG)
        if before is not None:
            model.__dict__[_FLAG] = before


def check_gradients(model: nn.Module) -> None:
    """Refuse to train through 4-bit weights on a CPU: bitsandbytes repacks them there for inference, and gives no gradient.

    Raises:
        DeltaError: the model has such weights.

    Example:
        >>> from torch import nn
        >>> check_gradients(nn.Linear(1, 1))
    """
    if any(hasattr(parameter, "quant_state") and parameter.device.type == "cpu" for parameter in model.parameters()):
        msg = "4-bit weights on a CPU can be used and not trained through: bitsandbytes gives no gradient there."
        raise DeltaError(msg, expected="8 bits train on a CPU, 4 bits on a GPU.", try_="%delta backbone NAME --bits 8")
