"""The activation between the two halves of an adapter, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["activation", "activation_names"]

# OpenDelta's own spellings; every other name is transformers'.
_OWN = {"swish": "silu", "gelu_orig": "gelu", "leakyrelu": "leaky_relu"}


def activation_names() -> list[str]:
    """The names that an adapter's ``non_linearity`` may have.

    Example:
        >>> {"gelu_new", "relu", "tanh"} <= set(activation_names())
        True
    """
    from transformers.activations import ACT2FN

    return sorted({*(name for name in ACT2FN if name != "xielu"), *_OWN})


def activation(name: str) -> nn.Module:
    """The activation as a module.

    Example:
        >>> activation("relu")
        ReLU()
    """
    from transformers.activations import get_activation

    module: nn.Module = get_activation(_OWN.get(name, name))  # type: ignore[no-untyped-call]
    return module
