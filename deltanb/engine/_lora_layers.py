"""The layers of LoRA and DoRA: one update each, of a linear layer or of an embedding."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from deltanb.engine._insertion import Hook

__all__ = ["DoraEmbeddingLayer", "DoraLayer", "LoraEmbeddingLayer", "LoraLayer", "Reweigh"]


class _Update(nn.Module):
    """What both kinds of hosts have in common: W + s·B·A, with W seen as [out, in]."""

    lora_A: nn.Parameter  # noqa: N815
    lora_B: nn.Parameter  # noqa: N815
    scaling: float

    def _scale(self, lora_r: int, lora_alpha: float, *, use_rslora: bool) -> None:
        self.scaling = lora_alpha / (math.sqrt(lora_r) if use_rslora else lora_r)

    def updated(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight [out, in] plus the product of the two matrices, in their dtype."""
        return weight.to(self.lora_A.dtype) + self.scaling * (self.lora_B @ self.lora_A)

    def merged(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with which the host alone computes what both compute now."""
        return self.updated(weight)


class _Directed(_Update):
    """An update in direction and in magnitude: m · V / ‖V‖ with V = W + s·B·A, row by row."""

    lora_magnitude_vector: nn.Parameter

    def _measure(self, weight: torch.Tensor) -> None:
        """The first magnitudes: the row norms of W, in float32 at least. On the meta device none are worked out."""
        self.lora_magnitude_vector = nn.Parameter(torch.empty(weight.shape[0]))
        if not self.lora_magnitude_vector.is_meta:
            wide = weight.detach() if weight.dtype in (torch.float32, torch.float64) else weight.detach().float()
            self.lora_magnitude_vector.data = torch.linalg.norm(wide, dim=1)

    def ratio(self, weight: torch.Tensor) -> torch.Tensor:
        """The factor m / ‖V‖, [out]. The norms are constants to the gradient, as section 4.3 of the paper has it."""
        with torch.no_grad():
            norms = torch.linalg.norm(self.updated(weight), dim=1)
        ratio: torch.Tensor = self.lora_magnitude_vector / norms.clamp_min(torch.finfo(norms.dtype).tiny)
        return ratio

    def merged(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight with which the host alone computes what both compute now."""
        return self.ratio(weight)[:, None] * self.updated(weight)


class LoraLayer(_Update):
    """The update of one linear layer.

    Args:
        size_in: size of the host's input.
        size_out: size of its output.
        lora_r: the rank.
        lora_alpha: the scale before division by the rank.
        lora_dropout: share of the input dropped in training mode.
        use_rslora: divide the scale by the square root of the rank instead.

    Example:
        >>> layer = LoraLayer(6, 4, lora_r=2)
        >>> layer.lora_A.shape, layer.lora_B.shape, layer(torch.ones(1, 6)).tolist()
        (torch.Size([2, 6]), torch.Size([4, 2]), [[0.0, 0.0, 0.0, 0.0]])
    """

    def __init__(
        self,
        size_in: int,
        size_out: int,
        lora_r: int = 8,
        lora_alpha: float = 16,
        lora_dropout: float = 0.0,
        *,
        use_rslora: bool = False,
    ) -> None:
        super().__init__()
        self.lora_A = nn.Parameter(torch.empty(lora_r, size_in))
        self.lora_B = nn.Parameter(torch.zeros(size_out, lora_r))
        self._scale(lora_r, lora_alpha, use_rslora=use_rslora)
        self.dropout = nn.Dropout(lora_dropout) if lora_dropout else nn.Identity()
        if not self.lora_A.is_meta:  # a skeleton has no values to draw
            nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """[..., in] to what is to be added to the host's output, [..., out]."""
        return self.product(value) * self.scaling

    def product(self, value: torch.Tensor) -> torch.Tensor:
        """B · A · x without the scale, [..., out]."""
        low = functional.linear(self.dropout(value.to(self.lora_A.dtype)), self.lora_A)
        return functional.linear(low, self.lora_B)


class LoraEmbeddingLayer(_Update):
    """The update of one embedding.

    Args:
        tokens: number of embeddings.
        size_out: their size.
        lora_r: the rank.
        lora_alpha: the scale before division by the rank.
        host_scale: what the host multiplies its embeddings by (BART, Gemma).
        use_rslora: divide the scale by the square root of the rank instead.

    Example:
        >>> layer = LoraEmbeddingLayer(10, 4, lora_r=2)
        >>> layer.lora_A.shape, layer(torch.tensor([[1, 2]])).shape
        (torch.Size([2, 10]), torch.Size([1, 2, 4]))
    """

    def __init__(
        self,
        tokens: int,
        size_out: int,
        lora_r: int = 8,
        lora_alpha: float = 16,
        host_scale: float = 1.0,
        *,
        use_rslora: bool = False,
    ) -> None:
        super().__init__()
        self.lora_A = nn.Parameter(torch.zeros(lora_r, tokens))
        self.lora_B = nn.Parameter(torch.empty(size_out, lora_r))
        self._scale(lora_r, lora_alpha, use_rslora=use_rslora)
        self.host_scale = host_scale
        nn.init.normal_(self.lora_B)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids [...] to what is to be added to their embeddings, [..., out]."""
        return self.product(tokens) * self.scaling * self.host_scale

    def product(self, tokens: torch.Tensor) -> torch.Tensor:
        """B · A without the scales, looked up by token, [..., out]."""
        return functional.linear(functional.embedding(tokens, self.lora_A.T), self.lora_B)


class DoraLayer(_Directed, LoraLayer):
    """The update of one linear layer in direction and in magnitude.

    Dropout is on the update alone.

    Args:
        weight: the host's weight, seen as [out, in]; its row norms are the first magnitudes.
        **options: as of `LoraLayer`.

    Example:
        >>> layer = DoraLayer(torch.eye(3) * 2, lora_r=1)
        >>> layer.lora_magnitude_vector.tolist()
        [2.0, 2.0, 2.0]
        >>> layer(torch.ones(1, 3), torch.ones(1, 3), torch.eye(3), None).tolist()
        [[2.0, 2.0, 2.0]]
    """

    def __init__(self, weight: torch.Tensor, **options: Any) -> None:
        super().__init__(weight.shape[1], weight.shape[0], **options)
        self._measure(weight)

    def forward(self, value: torch.Tensor, output: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:  # type: ignore[override]
        """The host's input [..., in] and output [..., out], its weight and bias, to the new output, [..., out]."""
        ratio = self.ratio(weight)
        straight = output if bias is None else output - bias
        # Rounded in the order in which PEFT does, so that both give the same to the last bit.
        return output + ((ratio - 1) * straight + ratio * self.product(value) * self.scaling)


class DoraEmbeddingLayer(_Directed, LoraEmbeddingLayer):
    """The update of one embedding in direction and in magnitude; a norm is taken over all tokens.

    Args:
        weight: the host's weight, seen as [out, tokens]; its row norms are the first magnitudes.
        **options: as of `LoraEmbeddingLayer`.

    Example:
        >>> layer = DoraEmbeddingLayer(torch.ones(2, 4), lora_r=1)
        >>> layer.lora_magnitude_vector.tolist()
        [2.0, 2.0]
    """

    def __init__(self, weight: torch.Tensor, **options: Any) -> None:
        super().__init__(weight.shape[1], weight.shape[0], **options)
        self._measure(weight)

    def forward(self, tokens: torch.Tensor, output: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:  # type: ignore[override]  # noqa: ARG002
        """Token ids [...] and their embeddings [..., out], the host's weight, to the new embeddings, [..., out]."""
        ratio = self.ratio(weight)
        return ratio * output + ratio * self.product(tokens) * self.scaling * self.host_scale


class Reweigh(Hook):
    """``host(x)`` becomes ``child(x, host(x), host.weight, host.bias)``; the weight is seen as [out, in].

    Args:
        child: name of the child module.
        transposed: whether the host keeps its weight as [in, out] (Conv1D, embeddings).
    """

    def __init__(self, child: str, *, transposed: bool) -> None:
        self.child = child
        self.transposed = transposed

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """The hook; see ``torch.nn.Module.register_forward_hook``."""
        value = args[0] if args else next(iter(kwargs.values()))
        weight: Any = host.weight.T if self.transposed else host.weight
        return getattr(host, self.child)(value, output, weight, getattr(host, "bias", None)).to(output.dtype)
