"""How much a delta changes its hosts' weights: ΔW = W' - W, with W' the weight that the host alone would need.

The size of a change is its Frobenius norm, ‖ΔW‖ = √Σ ΔW²; relative to the weight, ‖ΔW‖ / ‖W‖. Of a module with several
tensors in a delta's hands (weight and bias of a norm) they count together. For LoRA ΔW = s·B·A (Hu et al., *LoRA*, ICLR
2022, https://arxiv.org/abs/2106.09685), whose singular values come from the thin factors: with B = Q₁R₁ and Aᵀ = Q₂R₂ they
are those of the small matrix s·R₁R₂ᵀ, so the full matrix is never built.

An adapter, a prefix or a soft prompt adds a function of the text, not a matrix: the norms of its own weights are not a
change of the backbone's, and no size is given. `deltanb.engine._movement` measures what such a delta does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.engine._lora_layers import _Directed, _Update
from deltanb.engine._merged import merged_originals
from deltanb.engine._ownership import parameter_of
from deltanb.engine.bitfit import BiasLayer
from deltanb.engine.ia3 import IA3Layer
from deltanb.engine.lora import is_transposed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import torch

    from deltanb.engine._base import DeltaModel

__all__ = ["WeightChange", "effective_rank", "first_energy", "weight_changes"]


@dataclass(frozen=True)
class WeightChange:
    """What a delta changes in one module.

    Attributes:
        name: of the module.
        change: ‖ΔW‖, in the weight's own units.
        weight: ‖W‖ of what is changed; 0 where there was nothing (a bias that the backbone lacks).
        singular_values: of ΔW, largest first; empty where ΔW is no low-rank product.
        core: whether the delta's type works on the module; False: a freeze declaration left it trainable (a head, say).
    """

    name: str
    change: float
    weight: float
    singular_values: tuple[float, ...] = ()
    core: bool = True

    @property
    def relative(self) -> float | None:
        """‖ΔW‖ / ‖W‖; None where there was nothing."""
        return self.change / self.weight if self.weight else None


def effective_rank(singular_values: Sequence[float]) -> float:
    """How many directions a matrix spreads over: exp of the entropy of its singular values' shares.

    From 1 (one direction) to their number (all alike); 0 for a matrix of zeros. Roy and Vetterli, *The Effective Rank: A Measure
    of Effective Dimensionality*, EUSIPCO 2007.

    Example:
        >>> effective_rank([2.0, 2.0, 0.0]), effective_rank([5.0, 0.0]), effective_rank([0.0])
        (2.0, 1.0, 0.0)
    """
    total = sum(singular_values)
    if not total:
        return 0.0
    shares = [value / total for value in singular_values if value > 0]
    return math.exp(-sum(share * math.log(share) for share in shares))


def first_energy(singular_values: Sequence[float]) -> float:
    """The share σ₁² / Σσ² of ‖ΔW‖² that lies in the strongest direction; 0 for a matrix of zeros.

    Example:
        >>> first_energy([3.0, 4.0, 0.0]), first_energy([])
        (0.64, 0.0)
    """
    squares = [value * value for value in singular_values]
    return max(squares) / sum(squares) if any(squares) else 0.0


def weight_changes(delta: DeltaModel) -> list[WeightChange]:
    """What a delta changes in the backbone's weights, attached or not, merged or not.

    Each change is taken from the backbone's own weights, as if the delta were the only one. Nothing of the model changes.

    Args:
        delta: of any type. LoRA, (IA)³, BitFit and LayerNorm tuning change weights; of every type the backbone tensors that it
            was allowed to train (a head) are told, too.

    Raises:
        DeltaError: the backbone is a skeleton.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from deltanb import LoraModel
        >>> delta = LoraModel(nn.Sequential(nn.Linear(4, 4)), modified_modules=["0"], lora_r=2)
        >>> weight_changes(delta)[0].change
        0.0
        >>> with torch.no_grad():
        ...     _ = delta.modules["0"].lora_B.fill_(1.0)
        >>> [round(value, 6) > 0 for value in weight_changes(delta)[0].singular_values]
        [True, False]
    """
    import torch

    if any(p.is_meta for p in delta.backbone_model.parameters()):
        msg = f"{type(delta.backbone_model).__name__} is a skeleton: a delta on it has no values, so it has learned nothing."
        raise DeltaError(msg, expected="A backbone with weights.", try_="%delta backbone minilm")
    with torch.no_grad():
        return [*_by_modules(delta), *_by_tensors(delta)]


def _by_modules(delta: DeltaModel) -> Iterator[WeightChange]:
    """Changes by the delta's own modules."""
    originals = merged_originals(delta.backbone_model)
    for host, child in delta.modules.items():
        own = delta.backbone_model.get_submodule(host)._parameters.items() if host else ()
        tensors = {key: originals.get(f"{host}.{key}", p.detach()) for key, p in own if p is not None and p.is_floating_point()}
        found: WeightChange | None = None
        if isinstance(child, _Update):
            found = _of_update(delta, host, child, tensors)
        elif isinstance(child, IA3Layer) and "weight" in tensors:
            try:
                after = delta.merged_tensors(host, tensors)
            except DeltaError:  # what comes out of it is scaled, and it is no matrix
                continue
            found = _of_pairs(host, [(tensors[key], value) for key, value in after.items()])
        elif isinstance(child, BiasLayer):
            found = WeightChange(host, _norm(child.bias), 0.0)
        if found:
            yield found


def _of_update(delta: DeltaModel, host: str, layer: Any, tensors: dict[str, torch.Tensor]) -> WeightChange:
    """LoRA's; of DoRA, whose ΔW has full rank, the values are those of the low-rank part diag(m / ‖V‖)·s·B·A."""
    import torch

    weight = tensors.get("weight")
    up, down = layer.lora_B.detach(), layer.lora_A.detach()
    size = 0.0 if weight is None else _norm(weight)
    change: float | None = None
    if isinstance(layer, _Directed) and weight is not None:
        seen = weight.T if is_transposed(delta.backbone_model.get_submodule(host)) else weight
        up = layer.ratio(seen)[:, None] * up
        change = _norm(layer.merged(seen) - seen)
    small = _triangle(up) @ _triangle(down.T).T * layer.scaling
    values = tuple(torch.linalg.svdvals(small).tolist())
    return WeightChange(host, math.sqrt(sum(value * value for value in values)) if change is None else change, size, values)


def _triangle(tall: torch.Tensor) -> torch.Tensor:
    """R of the QR decomposition, in double precision: the factors are thin, and small singular values are asked for."""
    import torch

    small: torch.Tensor = torch.linalg.qr(tall.cpu().double(), mode="r").R
    return small


def _by_tensors(delta: DeltaModel) -> Iterator[WeightChange]:
    """Changes of backbone tensors in the delta's hands, those of one module together; created ones have no original."""
    for core in (True, False):
        pairs: dict[str, list[tuple[Any, torch.Tensor]]] = {}
        created = delta.created_parameters().items() if core else ()
        for name, owned in delta.owned.items():
            if owned.core is core and not owned.aside.is_meta:
                present = parameter_of(delta.backbone_model, name).detach()
                pair = (owned.aside, present) if delta.attached else (present, owned.aside)
                pairs.setdefault(name.rpartition(".")[0], []).append(pair)
        for name, bias in created:
            pairs.setdefault(name.rpartition(".")[0], []).append((None, bias.detach()))
        for module, found in pairs.items():
            yield _of_pairs(module, found, core=core)


def _of_pairs(name: str, pairs: Iterable[tuple[torch.Tensor | None, torch.Tensor]], *, core: bool = True) -> WeightChange:
    """The change from the first to the second of each pair, all tensors together."""
    change = weight = 0.0
    for before, after in pairs:
        change += _norm(after if before is None else after.to(before.device) - before) ** 2
        weight += 0.0 if before is None else _norm(before) ** 2
    return WeightChange(name, math.sqrt(change), math.sqrt(weight), core=core)


def _norm(tensor: torch.Tensor) -> float:
    """√Σx², added up in float32 at least."""
    import torch

    wide = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    return float(torch.linalg.vector_norm(tensor, dtype=wide))
