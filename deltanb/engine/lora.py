"""LoRA: a low-rank update beside a linear layer or an embedding.

    h = W x + (alpha / r) · B · A · dropout(x)

with A in R^(r×in), B in R^(out×r). Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, ICLR 2022,
https://arxiv.org/abs/2106.09685. A starts Kaiming-uniform (a = √5) and B from 0, so a new LoRA changes nothing. On an
embedding A starts from 0 and B from N(0, 1), and A's columns are looked up by token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Unpack

import torch
from torch import nn
from torch.nn import functional

from deltanb._errors import DeltaError
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._config import BaseDeltaConfig, option
from deltanb.engine._hosts import is_conv1d
from deltanb.engine._insertion import AddParallel
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from deltanb.engine._hosts import Host

__all__ = ["LoraConfig", "LoraEmbeddingLayer", "LoraLayer", "LoraModel"]


@dataclass(kw_only=True)
class LoraConfig(BaseDeltaConfig):
    """Settings of LoRA.

    Example:
        >>> LoraConfig(lora_r=4).options()
        {'lora_r': 4, 'lora_alpha': 16.0, 'lora_dropout': 0.0}
    """

    delta_type: ClassVar[str] = "lora"
    lora_r: int = option(8, "rank of the update; larger: more parameters", minimum=1, alias="r")
    lora_alpha: float = option(16.0, "scale: the update is multiplied by lora_alpha / lora_r", minimum=0, alias="alpha")
    lora_dropout: float = option(0.0, "share of the input dropped while training", minimum=0, below=1, alias="dropout")


class LoraLayer(nn.Module):
    """The update of one linear layer.

    Args:
        size_in: size of the host's input.
        size_out: size of its output.
        lora_r: the rank.
        lora_alpha: the scale before division by the rank.
        lora_dropout: share of the input dropped in training mode.

    Example:
        >>> layer = LoraLayer(6, 4, lora_r=2)
        >>> layer.lora_A.shape, layer.lora_B.shape, layer(torch.ones(1, 6)).tolist()
        (torch.Size([2, 6]), torch.Size([4, 2]), [[0.0, 0.0, 0.0, 0.0]])
    """

    def __init__(self, size_in: int, size_out: int, lora_r: int = 8, lora_alpha: float = 16, lora_dropout: float = 0.0) -> None:
        super().__init__()
        self.lora_A = nn.Parameter(torch.empty(lora_r, size_in))
        self.lora_B = nn.Parameter(torch.zeros(size_out, lora_r))
        self.scaling = lora_alpha / lora_r
        self.dropout = nn.Dropout(lora_dropout) if lora_dropout else nn.Identity()
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """[..., in] to what is to be added to the host's output, [..., out]."""
        low = functional.linear(self.dropout(value.to(self.lora_A.dtype)), self.lora_A)
        return functional.linear(low, self.lora_B) * self.scaling


class LoraEmbeddingLayer(nn.Module):
    """The update of one embedding.

    Args:
        tokens: number of embeddings.
        size_out: their size.
        lora_r: the rank.
        lora_alpha: the scale before division by the rank.
        host_scale: what the host multiplies its embeddings by (BART, Gemma).

    Example:
        >>> layer = LoraEmbeddingLayer(10, 4, lora_r=2)
        >>> layer.lora_A.shape, layer(torch.tensor([[1, 2]])).shape
        (torch.Size([2, 10]), torch.Size([1, 2, 4]))
    """

    def __init__(self, tokens: int, size_out: int, lora_r: int = 8, lora_alpha: float = 16, host_scale: float = 1.0) -> None:
        super().__init__()
        self.lora_A = nn.Parameter(torch.zeros(lora_r, tokens))
        self.lora_B = nn.Parameter(torch.empty(size_out, lora_r))
        self.scaling = lora_alpha / lora_r * host_scale
        nn.init.normal_(self.lora_B)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids [...] to what is to be added to their embeddings, [..., out]."""
        return functional.linear(functional.embedding(tokens, self.lora_A.T), self.lora_B) * self.scaling


class LoraModel(DeltaModel):
    """LoRA on the matched linear layers, Conv1D layers and embeddings.

    Args:
        backbone_model: the model to modify, in place.
        lora_r: the rank.
        lora_alpha: the scale; the update is multiplied by ``lora_alpha / lora_r``.
        lora_dropout: share of the input dropped while training (not on embeddings).
        **common: see `deltanb.engine.CommonOptions`. Default hosts: attention queries and values, by role.

    Raises:
        DeltaError: a pattern hits nothing, an option is out of its limits, a host is no linear layer or embedding.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 8))
        >>> LoraModel(backbone_model=model, modified_modules=["0"], lora_r=2).name
        'lora'
    """

    config_class = LoraConfig
    delta_type = "lora"
    default_modified_modules = ("attn@.q@", "attn@.v@")

    def __init__(
        self,
        backbone_model: nn.Module,
        lora_r: int = 8,
        lora_alpha: float = 16,
        lora_dropout: float = 0.0,
        **common: Unpack[CommonOptions],
    ) -> None:
        super().__init__(backbone_model, {"lora_r": lora_r, "lora_alpha": lora_alpha, "lora_dropout": lora_dropout}, **common)

    def make_child(self, host: Host) -> nn.Module:
        """A `LoraLayer`, or a `LoraEmbeddingLayer` on an embedding."""
        module, options = host.module, self.config.options()
        if isinstance(module, nn.Embedding):
            return LoraEmbeddingLayer(
                module.num_embeddings, module.embedding_dim, options["lora_r"], options["lora_alpha"], _embedding_scale(module)
            )
        if isinstance(module, nn.Linear):
            return LoraLayer(module.in_features, module.out_features, **options)
        if is_conv1d(module):
            return LoraLayer(module.weight.shape[0], host.output_size, **options)  # type: ignore[index,arg-type]
        raise _no_host(host)

    def make_hook(self) -> AddParallel:
        """The update is added to the host's output."""
        return AddParallel(self.child_name())


def _embedding_scale(module: nn.Module) -> float:
    scale = getattr(module, "scalar_embed_scale", getattr(module, "embed_scale", 1.0))
    return float(scale)


def _no_host(host: Host) -> DeltaError:
    kind = type(host.module).__name__
    below = [name for name, module in backbone_modules(host.module) if isinstance(module, nn.Linear) or is_conv1d(module)]
    last = host.name.rpartition(".")[2]
    if below:
        near = list(dict.fromkeys(f"{last}.{name}" for name in below))[:4]
        return DeltaError(
            f"LoRA cannot sit on {host.name} ({kind}).",
            expected="A Linear, Conv1D or Embedding.",
            nearest=near,
            try_=f"%delta attach lora {near[0]}",
        )
    others = "bitfit trains its bias; an adapter can follow it"
    return DeltaError(
        f"LoRA cannot sit on {host.name} ({kind}): it has no weight matrix.",
        expected=f"A Linear, Conv1D or Embedding; here, {others}.",
        try_=f"%delta attach bitfit {last}",
    )
