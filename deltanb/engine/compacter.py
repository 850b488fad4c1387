"""Compacter: a bottleneck after a host whose two matrices are sums of Kronecker products.

    h ← h + U(act(D(h))),   D(x) = x · Σᵢ kron(Aᵢ, Bᵢ) + b   (U likewise)

with n rules Aᵢ in R^(n×n) and Bᵢ in R^(in/n × out/n), which is a product of two thin matrices of rank r where
``factorized_phm``. Karimi Mahabadi et al., *Compacter: Efficient Low-Rank Hypercomplex Adapter Layers*, NeurIPS 2021,
https://arxiv.org/abs/2106.04647. Rules start from N(0, 0.01²), the B from Glorot's values (gain √2), biases from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Unpack

from deltanb._errors import DeltaError
from deltanb.engine._activations import activation_names
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._bottleneck import W_INITS, SampledAdapter, reduced_size
from deltanb.engine._config import BaseDeltaConfig, option
from deltanb.engine._phm import PHMLinear

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from torch import nn

    from deltanb.engine._hosts import Host

__all__ = ["CompacterConfig", "CompacterModel"]


@dataclass(kw_only=True)
class CompacterConfig(BaseDeltaConfig):
    """Settings of Compacter.

    Example:
        >>> CompacterConfig(reduction_factor=8, learn_phm=False).changed_options()
        {'reduction_factor': 8, 'learn_phm': False}
    """

    delta_type: ClassVar[str] = "compacter"
    reduction_factor: int = option(16, "the bottleneck is the host's size divided by this; smaller: more parameters", minimum=1)
    non_linearity: str = option("gelu_new", "activation between the two layers", choices=activation_names)
    phm_c_init: str = option("normal", "first values of the rules", choices=("normal", "uniform"), rare=True)
    hypercomplex_division: int = option(4, "n, the number and size of the rules; divides host and bottleneck", minimum=1)
    learn_phm: bool = option(default=True, text="whether the rules train", rare=True)
    hypercomplex_nonlinearity: str = option("glorot-uniform", "first values of the other matrices", choices=(*W_INITS, "normal"), rare=True)
    shared_phm_rule: bool = option(default=False, text="one set of rules for all layers", rare=True)
    factorized_phm: bool = option(default=True, text="the other matrices as products of two thin ones", rare=True)
    shared_W_phm: bool = option(default=False, text="the other matrices one set for all hosts of a size", rare=True)  # noqa: N815 - its published name
    factorized_phm_rule: bool = option(default=False, text="the rules as products of two vectors", rare=True)
    phm_rank: int = option(1, "rank of the thin matrices; larger: more parameters", minimum=1)
    phm_init_range: float = option(0.0001, "spread of the other matrices' first values where they are normal", minimum=0, rare=True)
    kronecker_prod: bool | None = option(None, "multiply each Kronecker product out by itself; the result is the same", rare=True)
    use_bias_up_sampler: bool = option(default=True, text="a bias in the upper layer", rare=True)
    use_bias_down_sampler: bool = option(default=True, text="a bias in the lower layer", rare=True)


class CompacterModel(DeltaModel):
    """Compacter after the matched modules.

    Shared tensors belong to the first layer that uses them: they are counted, saved and trained once, under its name.

    Args:
        backbone_model: the model to modify, in place.
        reduction_factor: the bottleneck is the host's size divided by this.
        non_linearity: activation between the two layers.
        phm_c_init: first values of the rules: ``normal``, N(0, 0.01²), or ``uniform``, ±0.01.
        hypercomplex_division: n, which must divide the host's size and the bottleneck.
        learn_phm: whether the rules train. Rules that do not are saved all the same.
        hypercomplex_nonlinearity: first values of the B: ``glorot-uniform``, ``glorot-normal`` or ``normal``.
        shared_phm_rule: one set of rules for every layer of every host.
        factorized_phm: the B as products of two thin matrices.
        shared_W_phm: one set of B for the lower, one for the upper layers of all hosts of a size.
        factorized_phm_rule: the rules as products of two vectors.
        phm_rank: rank of the thin matrices.
        phm_init_range: standard deviation of the B's first values where they are ``normal``.
        kronecker_prod: multiply each Kronecker product out by itself; the result is the same.
        use_bias_up_sampler: a bias in the upper layer.
        use_bias_down_sampler: a bias in the lower layer.
        **common: see `deltanb.engine.CommonOptions`. Default hosts: attention output and second feed-forward layer, by role.

    Raises:
        DeltaError: a pattern hits nothing, an option is out of its limits, a host gives no output or n does not divide it.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(16, 16))
        >>> delta = CompacterModel(backbone_model=model, modified_modules=["0"], reduction_factor=2)
        >>> sum(p.numel() for p in delta.parameters()) == 2 * 4**3 + 3 * 16 + 3 * 8
        True
    """

    config_class = CompacterConfig
    delta_type = "compacter"
    default_child = "compactor"
    default_modified_modules = ("attn@.proj@", "ff@.w2@")

    def __init__(  # noqa: PLR0913 - the options are its arguments
        self,
        backbone_model: nn.Module,
        reduction_factor: int = 16,
        non_linearity: str = "gelu_new",
        phm_c_init: str = "normal",
        hypercomplex_division: int = 4,
        *,
        learn_phm: bool = True,
        hypercomplex_nonlinearity: str = "glorot-uniform",
        shared_phm_rule: bool = False,
        factorized_phm: bool = True,
        shared_W_phm: bool = False,  # noqa: N803 - its published name
        factorized_phm_rule: bool = False,
        phm_rank: int = 1,
        phm_init_range: float = 0.0001,
        kronecker_prod: bool | None = None,
        use_bias_up_sampler: bool = True,
        use_bias_down_sampler: bool = True,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {
            "reduction_factor": reduction_factor,
            "non_linearity": non_linearity,
            "phm_c_init": phm_c_init,
            "hypercomplex_division": hypercomplex_division,
            "learn_phm": learn_phm,
            "hypercomplex_nonlinearity": hypercomplex_nonlinearity,
            "shared_phm_rule": shared_phm_rule,
            "factorized_phm": factorized_phm,
            "shared_W_phm": shared_W_phm,
            "factorized_phm_rule": factorized_phm_rule,
            "phm_rank": phm_rank,
            "phm_init_range": phm_init_range,
            "kronecker_prod": kronecker_prod,
            "use_bias_up_sampler": use_bias_up_sampler,
            "use_bias_down_sampler": use_bias_down_sampler,
        }
        super().__init__(backbone_model, options, **common)

    def _build(self, hosts: Sequence[Host]) -> None:
        self._layers: list[PHMLinear] = []  # those made so far: where a shared tensor is borrowed from
        super()._build(hosts)
        del self._layers

    def make_child(self, host: Host) -> nn.Module:
        """A `SampledAdapter` of two `PHMLinear`."""
        size, small = host.output_size, reduced_size(host, self.config.options()["reduction_factor"])
        _check_division(host, small, self.config)  # type: ignore[arg-type]
        down = self._layer(size, small, "use_bias_down_sampler", at=0)
        up = self._layer(small, size, "use_bias_up_sampler", at=1)
        return SampledAdapter(down, up, self.config.options()["non_linearity"])

    def alike(self, host: Host) -> Hashable | None:
        """As ever, unless later layers borrow from the first."""
        options = self.config.options()
        return None if options["shared_phm_rule"] or options["shared_W_phm"] else host.kind

    def _layer(self, size_in: int, size_out: int, bias: str, *, at: int) -> PHMLinear:
        """One layer, which borrows from the first one that has what it shares: lower layers are even ones, upper odd."""
        options = self.config.options()
        rules = self._layers[:1] if options["shared_phm_rule"] else []
        alike = [layer for layer in self._layers[at::2] if (layer.size_in, layer.size_out) == (size_in, size_out)]
        weights = alike[:1] if options["shared_W_phm"] else []
        layer = PHMLinear(size_in, size_out, options, bias=options[bias], rules=next(iter(rules), None), weights=next(iter(weights), None))
        self._layers.append(layer)
        return layer


def _check_division(host: Host, small: int, config: CompacterConfig) -> None:
    size, parts = host.output_size, config.hypercomplex_division
    if not size % parts and not small % parts:
        return
    msg = f"hypercomplex_division={parts} must divide the size of {host.name} ({size}) and its bottleneck ({small})."
    if size % parts:
        good = [number for number in range(1, small + 1) if not size % number and not small % number]
        raise DeltaError(msg, expected=f"One of {', '.join(map(str, good))}.", try_=f"hypercomplex_division={good[-1]}")
    factors = [factor for factor in range(1, size // parts + 1) if not size // factor % parts]
    near = min(factors, key=lambda factor: abs(factor - config.reduction_factor))
    raise DeltaError(msg, expected="Another reduction_factor, or another division.", try_=f"reduction_factor={near}")
