"""The bottleneck adapter: a small two-layer network with a residual connection, after a host.

    h ← h + s · f(h),   f(h) = W_up · act(W_down · h + b_down) + b_up

with W_down in R^(b×d) and W_up in R^(d×b), b the bottleneck. Houlsby et al., *Parameter-Efficient Transfer Learning for
NLP*, ICML 2019, https://arxiv.org/abs/1902.00751. Weights start from N(0, 0.01²) and biases from 0, so that a new
adapter is close to the identity.

With ``placement="at_norm"`` the hosts are layer norms, and what one gives is put into it anew with its input:

    LN(x) ← LN(x + s · f(LN(x)))

Pfeiffer et al., *AdapterFusion: Non-Destructive Task Composition for Transfer Learning*, EACL 2021,
https://arxiv.org/abs/2005.00247, place their adapters so: at the norm after the feed-forward, its input being the sum of
the feed-forward's output and the residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import torch
from torch import nn

from deltanb._errors import DeltaError
from deltanb.engine._activations import activation_names
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._bottleneck import bottleneck
from deltanb.engine._config import BaseDeltaConfig, option
from deltanb.engine._insertion import After, PreHook
from deltanb.probe import first_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.engine._hosts import Host
    from deltanb.engine._insertion import Hook

__all__ = ["AdapterConfig", "AdapterLayer", "AdapterModel", "AtNorm"]

PLACEMENTS = ("after", "at_norm")


@dataclass(kw_only=True)
class AdapterConfig(BaseDeltaConfig):
    """Settings of an adapter.

    Example:
        >>> AdapterConfig(bottleneck_dim=12).options()
        {'bottleneck_dim': 12, 'non_linearity': 'gelu_new', 'scaled': 1.0, 'placement': 'after'}
    """

    delta_type: ClassVar[str] = "adapter"
    bottleneck_dim: int = option(24, "size of the bottleneck; larger: more parameters", minimum=1, alias="b")
    non_linearity: str = option("gelu_new", "activation between the two layers", choices=activation_names)
    scaled: float = option(1.0, "what the adapter's part is multiplied by", rare=True)
    placement: str = option("after", "after its host; or at_norm, on layer norms, into the norm's input", choices=PLACEMENTS, rare=True)


class AdapterLayer(nn.Module):
    """One adapter.

    Args:
        size: d, the size of the host's output.
        bottleneck_dim: b.
        non_linearity: name of the activation.
        scaled: s.

    Example:
        >>> layer = AdapterLayer(8, 2)
        >>> layer(torch.zeros(1, 3, 8)).shape, sum(p.numel() for p in layer.parameters())
        (torch.Size([1, 3, 8]), 42)
    """

    def __init__(self, size: int, bottleneck_dim: int = 24, non_linearity: str = "gelu_new", scaled: float = 1.0) -> None:
        super().__init__()
        self.modulelist = bottleneck(size, bottleneck_dim, size, non_linearity)
        self.scaled = scaled

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``hidden`` [..., d] plus the adapter's part, in the dtype of ``hidden``."""
        return hidden + self.added(hidden)

    def added(self, hidden: torch.Tensor) -> torch.Tensor:
        """The adapter's part, s · f(h), in the dtype of ``hidden``."""
        wide = next(self.modulelist.parameters()).dtype
        found: torch.Tensor = self.modulelist(hidden.to(wide))
        return (found * self.scaled).to(hidden.dtype)


class AtNorm(PreHook):
    """``host(x)`` becomes ``host(x + child.added(host(x)))``. What other deltas do to the host is not seen inside."""

    def __init__(self, child: str) -> None:
        self.child = child

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any = None) -> Any:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_pre_hook``."""
        value = first_input(args, kwargs)
        changed = value + getattr(host, self.child).added(host.forward(value))
        return ((changed, *args[1:]), kwargs) if args else (args, {**kwargs, next(iter(kwargs)): changed})


class AdapterModel(DeltaModel):
    """Adapters after the matched modules, or at the matched layer norms.

    Args:
        backbone_model: the model to modify, in place.
        bottleneck_dim: size of the bottleneck.
        non_linearity: activation between the two layers.
        scaled: what the adapter's part is multiplied by.
        placement: ``after`` the hosts; or ``at_norm``: the hosts are layer norms, and the adapter's part is added to what they take.
        **common: see `deltanb.engine.CommonOptions`. Default hosts: attention output and second feed-forward layer, by role;
            with ``at_norm``, every layer norm.

    Raises:
        DeltaError: a pattern hits nothing, an option is out of its limits, a host gives no output, or is to be a norm and is none.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 8))
        >>> AdapterModel(backbone_model=model, modified_modules=["0"], bottleneck_dim=2)
        <adapter 'adapter' on 1 modules, attached, bottleneck_dim=2, non_linearity=gelu_new, scaled=1, placement=after>
    """

    config: AdapterConfig
    config_class = AdapterConfig
    delta_type = "adapter"
    default_modified_modules = ("attn@.proj@", "ff@.w2@")

    def __init__(
        self,
        backbone_model: nn.Module,
        bottleneck_dim: int = 24,
        non_linearity: str = "gelu_new",
        scaled: float = 1.0,
        placement: str = "after",
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {"bottleneck_dim": bottleneck_dim, "non_linearity": non_linearity, "scaled": scaled, "placement": placement}
        super().__init__(backbone_model, options, **common)

    @property
    def default_roles(self) -> Sequence[str]:
        """The roles that it looks for where no module is named."""
        return self.default_modified_modules if self.config.placement == "after" else ["layer_norm@"]

    def make_child(self, host: Host) -> nn.Module:
        """An `AdapterLayer` of the host's output size."""
        config = self.config
        if config.placement == "at_norm" and "norm" not in type(host.module).__name__.lower():
            msg = f"{host.name} ({type(host.module).__name__}) is no layer norm, and placement=at_norm needs one."
            raise DeltaError(msg, expected="Layer norms as hosts, or placement=after.", try_="%delta match layer_norm@")
        return AdapterLayer(host.output_size, config.bottleneck_dim, config.non_linearity, config.scaled)

    def make_hook(self) -> Hook:
        """After the host, or before it where that is a norm."""
        return (AtNorm if self.config.placement == "at_norm" else After)(self.child_name())
