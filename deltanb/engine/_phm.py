"""The layer that Compacter is made of: a linear layer whose matrix is a sum of Kronecker products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from deltanb.engine._bottleneck import glorot_

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PHMLinear"]

_SPREAD = 0.01


class PHMLinear(nn.Module):
    """``x · Σᵢ kron(Aᵢ, Bᵢ) + b``, a parametrised hypercomplex multiplication.

    A layer that borrows its rules A or its matrices B from another one has none of its own: they stay the lender's alone.

    Args:
        size_in: size of the input, a multiple of n.
        size_out: size of the output, a multiple of n.
        options: Compacter's, see `CompacterConfig`.
        bias: whether it has a bias.
        rules: the layer to borrow the rules from.
        weights: the layer to borrow the other matrices from.

    Example:
        >>> from deltanb.engine.compacter import CompacterConfig
        >>> layer = PHMLinear(8, 4, CompacterConfig().options())
        >>> {name: list(p.shape) for name, p in layer.named_parameters()}
        {'phm_rule': [4, 4, 4], 'W_left': [4, 2, 1], 'W_right': [4, 1, 1], 'b': [4]}
        >>> layer(torch.ones(3, 8)).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        size_in: int,
        size_out: int,
        options: Mapping[str, Any],
        *,
        bias: bool = True,
        rules: PHMLinear | None = None,
        weights: PHMLinear | None = None,
    ) -> None:
        super().__init__()
        self.size_in, self.size_out = size_in, size_out
        self.options = dict(options)
        self._lenders = {"rules": rules, "weights": weights}  # in a dictionary, so that they are no sub-modules
        if rules is None:
            self._make_rules()
        if weights is None:
            self._make_weights()
        self.b = nn.Parameter(torch.zeros(size_out)) if bias else None

    def _make_rules(self) -> None:
        parts = self.options["hypercomplex_division"]
        shapes = {"phm_rule": (parts, parts, parts)}
        if self.options["factorized_phm_rule"]:
            shapes = {"phm_rule_left": (parts, parts, 1), "phm_rule_right": (parts, 1, parts)}
        for name, shape in shapes.items():
            rule = torch.empty(shape)
            nn.init.normal_(rule, std=_SPREAD) if self.options["phm_c_init"] == "normal" else nn.init.uniform_(rule, -_SPREAD, _SPREAD)
            if self.options["learn_phm"]:
                self.register_parameter(name, nn.Parameter(rule))
            else:
                self.register_buffer(name, rule)

    def _make_weights(self) -> None:
        parts, rank = self.options["hypercomplex_division"], self.options["phm_rank"]
        rows, columns = self.size_in // parts, self.size_out // parts
        shapes = {"W_left": (parts, rows, rank), "W_right": (parts, rank, columns)}
        for name, shape in shapes.items() if self.options["factorized_phm"] else [("W", (parts, rows, columns))]:
            weight = nn.Parameter(torch.empty(shape))
            with torch.no_grad():
                for part in weight:
                    self._draw(part)
            self.register_parameter(name, weight)

    def _draw(self, matrix: torch.Tensor) -> None:
        how = self.options["hypercomplex_nonlinearity"]
        nn.init.normal_(matrix, std=self.options["phm_init_range"]) if how == "normal" else glorot_(matrix, how)

    def rules(self) -> torch.Tensor:
        """The rules A, [n, n, n]."""
        layer = self._lenders["rules"] or self
        return layer.phm_rule_left @ layer.phm_rule_right if self.options["factorized_phm_rule"] else layer.phm_rule  # type: ignore[operator,return-value]

    def weights(self) -> torch.Tensor:
        """The other matrices B, [n, in/n, out/n]."""
        layer = self._lenders["weights"] or self
        return layer.W_left @ layer.W_right if self.options["factorized_phm"] else layer.W  # type: ignore[operator,return-value]

    def matrix(self) -> torch.Tensor:
        """The whole matrix, [in, out]."""
        weights = self.weights()
        rules = self.rules().to(weights)
        if self.options["kronecker_prod"]:
            return torch.stack([torch.kron(rule, weight) for rule, weight in zip(rules, weights, strict=True)]).sum(0)
        return torch.einsum("iab,ipq->apbq", rules, weights).reshape(self.size_in, self.size_out)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """[..., in] to [..., out], in the layer's own dtype."""
        matrix = self.matrix().to(value.device)
        output = value.to(matrix.dtype) @ matrix
        return output if self.b is None else output + self.b
