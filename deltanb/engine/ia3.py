"""(IA)³: a learned vector scales keys, values and the inside of the feed-forward.

    k' = l_k ⊙ k,   v' = l_v ⊙ v,   y = W2 (l_ff ⊙ f(W1 x))

Liu et al., *Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning*, NeurIPS 2022,
https://arxiv.org/abs/2205.05638. Every vector starts from 1, so a new (IA)³ changes nothing. On a host of
``feedforward_modules`` the vector scales what goes in, on any other what comes out, bias included.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import torch
from torch import nn

from deltanb._errors import DeltaError
from deltanb.addressing import pattern_hits
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._config import BaseDeltaConfig, option
from deltanb.engine._hosts import is_conv1d
from deltanb.engine._insertion import After, Before
from deltanb.engine._per_host import value_per_host
from deltanb.roles import roles_of
from deltanb.structure import module_names

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from deltanb.engine._hosts import Host
    from deltanb.engine._insertion import Hook

__all__ = ["IA3Config", "IA3Layer", "IA3Model"]

_FEEDFORWARD = "ff@.w2@"


@dataclass(kw_only=True)
class IA3Config(BaseDeltaConfig):
    """Settings of (IA)³.

    Example:
        >>> IA3Config(feedforward_modules="fc2").options()
        {'feedforward_modules': ['fc2']}
    """

    delta_type: ClassVar[str] = "ia3"
    feedforward_modules: list[str] | None = option(  # noqa: RUF009
        None, "patterns among the hosts whose input is scaled; default: the feed-forward's second layer, by role", alias="ff"
    )


class IA3Layer(nn.Module):
    """One vector that scales.

    Args:
        shape: [out, 1] for what comes out of a host, [1, in] for what goes in.

    Example:
        >>> IA3Layer(2, 1)(torch.ones(1, 2)).tolist()
        [[1.0, 1.0]]
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.ia3_l = nn.Parameter(torch.ones(*shape))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``hidden`` [..., d], scaled, in its own dtype."""
        return (hidden * self.ia3_l.flatten()).to(hidden.dtype)


class IA3Model(DeltaModel):
    """(IA)³ on the matched modules.

    Args:
        backbone_model: the model to modify, in place.
        feedforward_modules: patterns among the hosts whose input is scaled instead of their output.
        **common: see `deltanb.engine.CommonOptions`. Default hosts: keys, values and the feed-forward's second layer, by role.

    Raises:
        DeltaError: a pattern hits nothing, or none of the hosts; a host whose input is to be scaled is no linear layer.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 4))
        >>> IA3Model(backbone_model=model, modified_modules=["0"]).modules["0"].ia3_l.shape
        torch.Size([4, 1])
    """

    config: IA3Config
    before: set[str]
    config_class = IA3Config
    delta_type = "ia3"
    merges = True
    default_modified_modules = ("k,v@", _FEEDFORWARD)
    stand_ins = MappingProxyType({})  # what it scales has a meaning of its own

    def __init__(
        self, backbone_model: nn.Module, feedforward_modules: str | Sequence[str] | None = None, **common: Unpack[CommonOptions]
    ) -> None:
        super().__init__(backbone_model, {"feedforward_modules": feedforward_modules}, **common)

    def _build(self, hosts: Sequence[Host]) -> None:
        names = [host.name for host in hosts]
        given = self.config.feedforward_modules
        if given is None:
            self.before = set(names).intersection(_second_layers(self.backbone_model))
        else:
            self.before = set(value_per_host(self.backbone_model, names, dict.fromkeys(given, True), "feedforward_modules"))
        super()._build(hosts)

    def make_child(self, host: Host) -> IA3Layer:
        """An `IA3Layer` of the host's output, or input, size."""
        if host.name not in self.before:
            return IA3Layer(host.output_size, 1)
        module: Any = host.module
        if isinstance(module, nn.Linear):
            return IA3Layer(1, module.in_features)
        if is_conv1d(module):
            return IA3Layer(1, module.weight.shape[0])
        msg = f"{host.name} ({type(module).__name__}) is to have its input scaled, and is no linear layer."
        raise DeltaError(msg, expected="A Linear or Conv1D among feedforward_modules.", try_="%delta help attach ia3")

    def alike(self, host: Host) -> Hashable | None:
        """Hosts that are scaled at the same end."""
        return (host.name in self.before, host.kind)

    def merged_tensors(self, host: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The scaled weight, and bias where it is the output that is scaled."""
        module = self.backbone_model.get_submodule(host)
        if not isinstance(module, nn.Linear) and not is_conv1d(module):
            msg = f"{self.name!r} cannot be merged: {host} ({type(module).__name__}) has no weight matrix that could be scaled instead."
            raise DeltaError(msg, expected="A Linear or Conv1D.", try_=f"%delta detach {self.name}")
        vector = self.modules[host].ia3_l.flatten()  # type: ignore[operator]
        columns = (host in self.before) is not is_conv1d(module)
        scaled = {"weight": tensors["weight"] * (vector if columns else vector[:, None])}
        return scaled if host in self.before or "bias" not in tensors else {**scaled, "bias": tensors["bias"] * vector}

    def make_hooks(self) -> list[tuple[str, Hook]]:
        """Before a host whose input is scaled, after any other."""
        return [(host, (Before if host in self.before else After)(self.child_name())) for host in self.modules]


def _second_layers(backbone: nn.Module) -> list[str]:
    """The modules whose input is scaled unless it is said otherwise."""
    roles = roles_of(backbone)
    return pattern_hits(_FEEDFORWARD, module_names(backbone), roles) if roles else []
