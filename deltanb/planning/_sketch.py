"""A delta of any size from one look: which of its tensors grow with the option that decides its size, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb.engine import AutoDeltaConfig, delta_class
from deltanb.engine._ownership import parameter_of
from deltanb.structure import backbone_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import nn

    from deltanb.engine import BaseDeltaConfig

__all__ = ["KNOBS", "Sketch", "Tensor"]

# Type: the option that makes it larger, one parameter more in a dimension each.
KNOBS = {
    "adapter": "bottleneck_dim",
    "compacter": "phm_rank",
    "lora": "lora_r",
    "low_rank_adapter": "low_rank_rank",
    "parallel_adapter": "bottleneck_dim",
    "prefix": "prefix_token_num",
    "soft_prompt": "soft_token_num",
}
_ROWS = ("prefix", "soft_prompt")  # their option counts rows, which have no natural end
_MARKS = (10_007, 10_009, 10_037)  # primes: a dimension of this size is the option's


@dataclass(frozen=True)
class Tensor:
    """One tensor that a delta would save.

    Attributes:
        name: in the backbone, under the delta's usual name.
        shape: 0 stands for the option that decides the delta's size.
        dtype: torch's.
        counts: whether it counts as a parameter that trains: once, where it is tied.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    counts: bool

    def at(self, size: int) -> tuple[int, ...]:
        """Its shape for a value of the option."""
        return tuple(dim or size for dim in self.shape)


class Sketch:
    """A delta type on its usual hosts, for every value of the option that decides its size.

    Attributes:
        kind: the delta type.
        knob: that option; "" for a type without one.
        most: the largest value that makes sense: what is wider than its host adds nothing.
        default: the option's usual value.
        hosts: where it would sit.
        tensors: what it would save.
        delta: the plan that all was read from, with no weights.

    Raises:
        DeltaError: it cannot sit on this model.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> lora = Sketch(BertModel(config), "lora")
        >>> lora.knob, lora.most, lora.count(1), lora.count(3), lora.count(3, ("encoder.layer.0.",))
        ('lora_r', 8, 64, 192, 96)
    """

    def __init__(self, backbone: nn.Module, kind: str, options: Mapping[str, Any] | None = None, longest: int = 128) -> None:
        self.kind, self.knob, self.options = kind, KNOBS.get(kind, ""), dict(options or {})
        mark = _mark(backbone)
        self.delta: Any = delta_class(kind).planned(backbone, self.config(mark))
        self.hosts: list[str] = self.delta.hosts
        self.tensors = _tensors(self.delta, mark)
        self._left: dict[tuple[str, ...], list[Tensor]] = {}
        self.default = int(self.delta.config_class.default_of(self.knob)) if self.knob else 1
        wide = [max(tensor.shape) for tensor in self.tensors if 0 in tensor.shape and len(tensor.shape) > 1]
        self.most = longest if kind in _ROWS else min(wide, default=1)

    def config(self, size: int, exclude: list[str] | None = None) -> BaseDeltaConfig:
        """The delta's settings for a value of the option.

        Args:
            size: the value.
            exclude: patterns to leave out.
        """
        grown = {self.knob: size} if self.knob else {}
        return AutoDeltaConfig.from_dict({"delta_type": self.kind, "exclude_modules": exclude or None, **self.options, **grown})

    def kept(self, without: tuple[str, ...] = ()) -> list[Tensor]:
        """The tensors that are left.

        Args:
            without: beginnings of names that are not.
        """
        if without not in self._left:
            self._left[without] = [tensor for tensor in self.tensors if not (without and tensor.name.startswith(without))]
        return self._left[without]

    def hosts_kept(self, without: tuple[str, ...] = ()) -> list[str]:
        """The hosts that are left, likewise."""
        return [host for host in self.hosts if not f"{host}.".startswith(without)] if without else self.hosts

    def count(self, size: int, without: tuple[str, ...] = ()) -> int:
        """How many parameters would train."""
        return sum(math.prod(tensor.at(size)) for tensor in self.kept(without) if tensor.counts)


def _mark(backbone: nn.Module) -> int:
    """A number that is no dimension of the backbone's."""
    dims = {dim for _, parameter in backbone_parameters(backbone) for dim in parameter.shape}
    return next(mark for mark in _MARKS if mark not in dims)


def _tensors(delta: Any, mark: int) -> list[Tensor]:
    trains = {name for name, _ in delta.module_parameters(delta.delta_type).items()} | set(delta.created)
    first: dict[int, str] = {}
    for name in delta.owned:
        first.setdefault(id(parameter_of(delta.backbone_model, name)), name)
    trains |= set(first.values())
    return [
        Tensor(name, tuple(0 if dim == mark else dim for dim in tensor.shape), tensor.dtype, name in trains)
        for name, tensor in delta.tensors_if_attached(delta.delta_type).items()
    ]
