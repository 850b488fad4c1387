"""The low-rank adapter: a bottleneck after a host whose two matrices are products of thin ones.

    h ← h + U(act(D(h))),   D(x) = x · W_left · W_right + b   (U likewise)

with W_left in R^(in×r) and W_right in R^(r×out), r the rank; a baseline in Karimi Mahabadi et al., *Compacter: Efficient
Low-Rank Hypercomplex Adapter Layers*, NeurIPS 2021, https://arxiv.org/abs/2106.04647. The thin matrices start from Glorot's
values (gain √2) and the biases from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Unpack

import torch
from torch import nn

from deltanb.engine._activations import activation_names
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._bottleneck import W_INITS, SampledAdapter, glorot_, reduced_size
from deltanb.engine._config import BaseDeltaConfig, option

if TYPE_CHECKING:
    from deltanb.engine._hosts import Host

__all__ = ["LowRankAdapterConfig", "LowRankAdapterModel", "LowRankLinear"]


@dataclass(kw_only=True)
class LowRankAdapterConfig(BaseDeltaConfig):
    """Settings of a low-rank adapter.

    Example:
        >>> LowRankAdapterConfig(low_rank_rank=2).changed_options()
        {'low_rank_rank': 2}
    """

    delta_type: ClassVar[str] = "low_rank_adapter"
    reduction_factor: int = option(32, "the bottleneck is the host's size divided by this; smaller: more parameters", minimum=1)
    non_linearity: str = option("gelu_new", "activation between the two layers", choices=activation_names)
    low_rank_w_init: str = option("glorot-uniform", "first values of the thin matrices", choices=W_INITS, rare=True)
    low_rank_rank: int = option(1, "rank of the two matrices; larger: more parameters", minimum=1)


class LowRankLinear(nn.Module):
    """A linear layer whose matrix is a product of two thin ones.

    Args:
        size_in: size of the input.
        size_out: size of the output.
        rank: r.
        w_init: first values of the thin matrices, see `LowRankAdapterConfig`.

    Example:
        >>> layer = LowRankLinear(6, 4, rank=2)
        >>> layer.W_left.shape, layer.W_right.shape, layer(torch.ones(3, 6)).shape
        (torch.Size([6, 2]), torch.Size([2, 4]), torch.Size([3, 4]))
    """

    def __init__(self, size_in: int, size_out: int, rank: int = 1, w_init: str = "glorot-uniform") -> None:
        super().__init__()
        self.W_left = nn.Parameter(torch.empty(size_in, rank))
        self.W_right = nn.Parameter(torch.empty(rank, size_out))
        self.b = nn.Parameter(torch.zeros(size_out))
        for weight in (self.W_left, self.W_right):
            glorot_(weight, w_init)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """[..., in] to [..., out], in the layer's own dtype."""
        return value.to(self.b.dtype) @ self.W_left @ self.W_right + self.b


class LowRankAdapterModel(DeltaModel):
    """Low-rank adapters after the matched modules.

    Args:
        backbone_model: the model to modify, in place.
        reduction_factor: the bottleneck is the host's size divided by this.
        non_linearity: activation between the two layers.
        low_rank_w_init: first values of the thin matrices, ``glorot-uniform`` or ``glorot-normal``.
        low_rank_rank: rank of the two matrices.
        **common: see `deltanb.engine.CommonOptions`. Default hosts: attention output and second feed-forward layer, by role.

    Raises:
        DeltaError: a pattern hits nothing, an option is out of its limits, a host gives no output or is too small.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 8))
        >>> delta = LowRankAdapterModel(backbone_model=model, modified_modules=["0"], reduction_factor=4)
        >>> sum(p.numel() for p in delta.parameters()) == 3 * 8 + 3 * 2
        True
    """

    config_class = LowRankAdapterConfig
    delta_type = "low_rank_adapter"
    default_modified_modules = ("attn@.proj@", "ff@.w2@")

    def __init__(
        self,
        backbone_model: nn.Module,
        reduction_factor: int = 32,
        non_linearity: str = "gelu_new",
        low_rank_w_init: str = "glorot-uniform",
        low_rank_rank: int = 1,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "reduction_factor": reduction_factor,
            "non_linearity": non_linearity,
            "low_rank_w_init": low_rank_w_init,
            "low_rank_rank": low_rank_rank,
        }
        super().__init__(backbone_model, options, **common)

    def make_child(self, host: Host) -> nn.Module:
        """A `SampledAdapter` of two `LowRankLinear`."""
        options = self.config.options()
        size, small = host.output_size, reduced_size(host, options["reduction_factor"])
        rank, w_init = options["low_rank_rank"], options["low_rank_w_init"]
        return SampledAdapter(LowRankLinear(size, small, rank, w_init), LowRankLinear(small, size, rank, w_init), options["non_linearity"])
