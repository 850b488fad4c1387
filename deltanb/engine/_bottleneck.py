"""What the bottleneck types are made of: two layers with an activation between them, and their first values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn

from deltanb._errors import DeltaError
from deltanb.engine._activations import activation

if TYPE_CHECKING:
    import torch

    from deltanb.engine._hosts import Host

__all__ = ["W_INITS", "SampledAdapter", "bottleneck", "glorot_", "reduced_size"]

_STD = 0.01
W_INITS = ("glorot-uniform", "glorot-normal")


def bottleneck(size_in: int, bottleneck_dim: int, size_out: int, non_linearity: str) -> nn.Sequential:
    """Down, activation, up; weights from N(0, 0.01²), biases 0.

    Example:
        >>> list(bottleneck(8, 2, 6, "relu").state_dict())
        ['down_proj.weight', 'down_proj.bias', 'up_proj.weight', 'up_proj.bias']
    """
    layers = {
        "down_proj": nn.Linear(size_in, bottleneck_dim),
        "non_linear": activation(non_linearity),
        "up_proj": nn.Linear(bottleneck_dim, size_out),
    }
    found = nn.Sequential()
    for name, layer in layers.items():
        found.add_module(name, layer)
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=_STD)
            nn.init.zeros_(layer.bias)
    return found


class SampledAdapter(nn.Module):
    """``h + U(act(D(h)))`` with two layers of any kind, which bring their input into their own dtype.

    Args:
        down: D, from the host's size d to the bottleneck.
        up: U, back.
        non_linearity: name of the activation.

    Example:
        >>> import torch
        >>> SampledAdapter(nn.Linear(4, 1), nn.Linear(1, 4), "relu")(torch.zeros(2, 4)).shape
        torch.Size([2, 4])
    """

    def __init__(self, down: nn.Module, up: nn.Module, non_linearity: str) -> None:
        super().__init__()
        self.down_sampler = down
        self.activation = activation(non_linearity)
        self.up_sampler = up

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``hidden`` [..., d] plus the bottleneck's output, in the dtype of ``hidden``."""
        added: torch.Tensor = self.up_sampler(self.activation(self.down_sampler(hidden)))
        return hidden + added.to(hidden.dtype)


def glorot_(weight: torch.Tensor, how: str) -> None:
    """Fill a matrix [in, out] with Glorot's values, gain √2.

    Args:
        weight: the matrix.
        how: one of ``W_INITS``.
    """
    draw = {"glorot-uniform": nn.init.xavier_uniform_, "glorot-normal": nn.init.xavier_normal_}[how]
    draw(weight, gain=math.sqrt(2))


def reduced_size(host: Host, reduction_factor: int) -> int:
    """The bottleneck: the host's output size divided by ``reduction_factor``, rounded down.

    Raises:
        DeltaError: nothing is left, or the host gives no output.
    """
    size = host.output_size
    if size // reduction_factor:
        return size // reduction_factor
    msg = f"reduction_factor={reduction_factor} leaves nothing of {host.name}, whose output has size {size}."
    raise DeltaError(msg, expected=f"A whole number from 1 to {size}.", try_=f"reduction_factor={max(1, size // 4)}")
