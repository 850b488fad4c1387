"""The bottleneck adapter: a small two-layer network with a residual connection, after a host.

    h ← h + W_up · act(W_down · h + b_down) + b_up

with W_down in R^(b×d) and W_up in R^(d×b), b the bottleneck. Houlsby et al., *Parameter-Efficient Transfer Learning for
NLP*, ICML 2019, https://arxiv.org/abs/1902.00751. Weights start from N(0, 0.01²) and biases from 0, so that a new
adapter is close to the identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Unpack

import torch
from torch import nn

from deltanb.engine._activations import activation_names
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._bottleneck import bottleneck
from deltanb.engine._config import BaseDeltaConfig, option

if TYPE_CHECKING:
    from deltanb.engine._hosts import Host

__all__ = ["AdapterConfig", "AdapterLayer", "AdapterModel"]


@dataclass(kw_only=True)
class AdapterConfig(BaseDeltaConfig):
    """Settings of an adapter.

    Example:
        >>> AdapterConfig(bottleneck_dim=12).options()
        {'bottleneck_dim': 12, 'non_linearity': 'gelu_new'}
    """

    delta_type: ClassVar[str] = "adapter"
    bottleneck_dim: int = option(24, "size of the bottleneck; larger: more parameters", minimum=1, alias="b")
    non_linearity: str = option("gelu_new", "activation between the two layers", choices=activation_names)


class AdapterLayer(nn.Module):
    """One adapter.

    Args:
        size: d, the size of the host's output.
        bottleneck_dim: b.
        non_linearity: name of the activation.

    Example:
        >>> layer = AdapterLayer(8, 2)
        >>> layer(torch.zeros(1, 3, 8)).shape, sum(p.numel() for p in layer.parameters())
        (torch.Size([1, 3, 8]), 42)
    """

    def __init__(self, size: int, bottleneck_dim: int = 24, non_linearity: str = "gelu_new") -> None:
        super().__init__()
        self.modulelist = bottleneck(size, bottleneck_dim, size, non_linearity)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``hidden`` [..., d] plus the bottleneck's output, in the dtype of ``hidden``."""
        wide = next(self.modulelist.parameters()).dtype
        added: torch.Tensor = self.modulelist(hidden.to(wide))
        return hidden + added.to(hidden.dtype)


class AdapterModel(DeltaModel):
    """Adapters after the matched modules.

    Args:
        backbone_model: the model to modify, in place.
        bottleneck_dim: size of the bottleneck.
        non_linearity: activation between the two layers.
        **common: see `deltanb.engine.CommonOptions`. Default hosts: attention output and second feed-forward layer, by role.

    Raises:
        DeltaError: a pattern hits nothing, an option is out of its limits, a host gives no output.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 8))
        >>> AdapterModel(backbone_model=model, modified_modules=["0"], bottleneck_dim=2)
        <adapter 'adapter' on 1 modules, attached, bottleneck_dim=2, non_linearity=gelu_new>
    """

    config_class = AdapterConfig
    delta_type = "adapter"
    default_modified_modules = ("attn@.proj@", "ff@.w2@")

    def __init__(
        self, backbone_model: nn.Module, bottleneck_dim: int = 24, non_linearity: str = "gelu_new", **common: Unpack[CommonOptions]
    ) -> None:
        super().__init__(backbone_model, {"bottleneck_dim": bottleneck_dim, "non_linearity": non_linearity}, **common)

    def make_child(self, host: Host) -> nn.Module:
        """An `AdapterLayer` of the host's output size."""
        return AdapterLayer(host.output_size, **self.config.options())
