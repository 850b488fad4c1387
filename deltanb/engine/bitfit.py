"""BitFit: train the biases, and nothing else.

    h = W x + b,   b trainable

Ben Zaken et al., *BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models*, ACL 2022,
https://arxiv.org/abs/2106.10199. Every bias in or below a matched module is taken. A bias-free Linear gets one, drawn
from U(-1/√in, 1/√in); a matched module without any bias of its own (T5's layer norm) gets one after it, from 0.

Biases that are there keep the backbone's dtype, and so are rounded to it while they train. A Linear of half precision can
hold no float32 bias (its product takes one dtype), so the one that it gets comes after it, in float32. Both forms are one
delta: what was saved from either loads into the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from deltanb._errors import DeltaError
from deltanb.engine._base import DeltaModel
from deltanb.engine._config import BaseDeltaConfig
from deltanb.engine._hosts import Host, match
from deltanb.engine._ownership import take_core
from deltanb.structure import DELTA_MARK, backbone_modules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from deltanb.engine._base import CommonOptions

__all__ = ["BiasLayer", "BitFitConfig", "BitFitModel"]


@dataclass(kw_only=True)
class BitFitConfig(BaseDeltaConfig):
    """BitFit has no options of its own.

    Example:
        >>> BitFitConfig().options()
        {}
    """

    delta_type: ClassVar[str] = "bitfit"


class BiasLayer(nn.Module):
    """A bias after a module that has none.

    Example:
        >>> BiasLayer(2)(torch.ones(1, 2)).tolist()
        [[1.0, 1.0]]
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``hidden`` [..., d] plus the bias, in the dtype of ``hidden``."""
        return (hidden + self.bias).to(hidden.dtype)


class BitFitModel(DeltaModel):
    """Trainable biases in the matched modules and below.

    Args:
        backbone_model: the model to modify, in place.
        **common: see `deltanb.engine.CommonOptions`. Default hosts: attention, feed-forward and layer norms, by role.

    Raises:
        DeltaError: a pattern hits nothing, or another attached delta owns one of the biases.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 8))
        >>> BitFitModel(backbone_model=model, modified_modules=["0"]).core_names()
        ['0.bias']
    """

    config_class = BitFitConfig
    delta_type = "bitfit"
    merges = True
    default_modified_modules = ("attn@", "ff@.*", "layer_norm@")

    def __init__(self, backbone_model: nn.Module, **common: Unpack[CommonOptions]) -> None:
        super().__init__(backbone_model, {}, **common)

    def make_child(self, host: Host) -> nn.Module:
        """A `BiasLayer` of the host's output size."""
        return BiasLayer(host.output_size)

    def merged_tensors(self, host: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The biases are in the backbone as it is; one after a host that has none has no place there."""
        del tensors
        kind = type(self.backbone_model.get_submodule(host)).__name__
        msg = f"{self.name!r} cannot be merged: {host} ({kind}) has no bias that its own could go into."
        raise DeltaError(msg, expected="Hosts with biases, or Linears in float32.", try_=f"%delta detach {self.name}")

    def _build(self, hosts: Sequence[Host]) -> None:
        """Take the biases that are there, create those of bias-free Linears; a child only where neither is possible."""
        taken: list[str] = []
        exclude = self.config.exclude_modules
        without = tuple(f"{name}." for name in match(self.backbone_model, exclude).names) if exclude else ()
        skipped = False
        for host in hosts:
            linears = 0
            for below, module in backbone_modules(host.module):
                name = f"{host.name}.{below}" if below else host.name
                if f"{name}.".startswith(without):
                    skipped = True
                    continue
                if isinstance(module._parameters.get("bias"), nn.Parameter):
                    taken.append(f"{name}.bias")
                elif isinstance(module, nn.Linear):
                    self._create(Host(name, module, host.hosts))
                else:
                    continue
                linears += 1
            if not linears:
                self._add_layer(host)
        take_core(self, dict.fromkeys(taken))
        if skipped:  # so the hint that nothing was excluded, which knows of hosts alone, is wrong
            self.notes = [note for note in self.notes if not note.startswith("exclude ")]

    def _create(self, host: Host) -> None:
        """A new bias for a bias-free Linear: its own, or after it where it is of half precision or quantised."""
        weight = host.module._parameters["weight"]
        if weight is not None and weight.dtype in (torch.float32, torch.float64):
            self.created.setdefault(f"{host.name}.bias", nn.Parameter(_drawn(host.module, weight.new_empty(host.output_size))))
        elif host.name not in self.modules:
            self._add_layer(host)
            _drawn(host.module, self.modules[host.name].bias)  # type: ignore[arg-type]

    def adopted(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A Linear's new bias under the name that it has here: its own, or that of the layer after it."""
        after = {f"{name}.bias": f"{name}.{self.delta_type}.bias" for name in self.modules}
        own = {f"{name.removesuffix('.bias')}.{self.delta_type}.bias": name for name in self.created}
        return {{**after, **own}.get(name, name): tensor for name, tensor in tensors.items()}

    def _add_layer(self, host: Host) -> None:
        if host.module._modules:
            kind = type(host.module).__name__
            msg = f"{host.name} ({kind}) holds no bias and no Linear that could get one."
            raise DeltaError(msg, expected="A module with a bias, a Linear, or a layer norm.", try_="%delta attach bitfit LayerNorm")
        child = host.placed(self.make_child(host))
        child.__dict__[DELTA_MARK] = self.name
        self.modules[host.name] = child


def _drawn(linear: nn.Module, bias: torch.Tensor) -> torch.Tensor:
    """``bias`` filled as torch fills a new Linear's; what has no memory stays as it is."""
    if bias.is_meta:
        return bias
    bound = 1 / math.sqrt(linear.in_features)  # type: ignore[arg-type]
    return nn.init.uniform_(bias, -bound, bound)
