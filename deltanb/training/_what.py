"""What trains in a model: which deltas, how much of the head, how much of the rest of the backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb.engine import deltas
from deltanb.structure import backbone_parameters, snapshot

if TYPE_CHECKING:
    from torch import nn

    from deltanb.engine import DeltaModel

__all__ = ["Trainable", "head_names", "trainable_of"]


@dataclass(frozen=True)
class Trainable:
    """What trains.

    Attributes:
        total: all parameters of the model with its deltas.
        count: those that train.
        deltas: the attached deltas that train, with the number of their own parameters that do.
        head: names of the head's parameters that train.
        head_module: the names of the head's modules, joined; empty where there is no telling.
        body: elements of the backbone, head apart, that train though no delta's type asks for it.
        loose: names of backbone parameters that train and belong to no delta.
        loose_count: their elements.
    """

    total: int
    count: int
    deltas: dict[DeltaModel, int]
    head: tuple[str, ...]
    head_module: str
    body: int
    loose: tuple[str, ...]
    loose_count: int

    @property
    def kind(self) -> str:
        """A delta type, ``head`` or ``full``: what the learning rate goes by.

        Where several deltas train, the type of the first decides; where more of the backbone trains than of the deltas,
        the backbone does.
        """
        if self.body > sum(self.deltas.values()):
            return "full"
        return next((delta.delta_type for delta in self.deltas), "head")


def trainable_of(model: nn.Module) -> Trainable:
    """What trains in ``model`` now.

    Example:
        >>> from torch import nn
        >>> from deltanb import LoraModel
        >>> model = nn.Sequential(nn.Linear(4, 4))
        >>> delta = LoraModel(model, modified_modules=["0"], lora_r=1)
        >>> trainable_of(model).kind
        'full'
        >>> delta.freeze_module()
        >>> trainable_of(model).kind, trainable_of(model).count
        ('lora', 8)
    """
    counts = snapshot(model).counts
    attached = list(deltas(model).values())
    core = {name for delta in attached for name in delta.core_names()}
    owned = {name for delta in attached for name in [*delta.owned, *delta.created]}
    on = {name: p.numel() for name, p in backbone_parameters(model) if p.requires_grad}
    heads = head_names(model)
    sizes = {delta: _size(delta, on) for delta in attached}
    loose = tuple(name for name in on if name not in owned)
    return Trainable(
        total=counts.total,
        count=counts.trainable,
        deltas={delta: size for delta, size in sizes.items() if size},
        head=tuple(name for name in on if name in heads),
        head_module=", ".join(dict.fromkeys(name.partition(".")[0] for name in heads)),
        body=sum(size for name, size in on.items() if name not in core and name not in heads),
        loose=loose,
        loose_count=sum(on[name] for name in loose),
    )


def _size(delta: DeltaModel, on: dict[str, int]) -> int:
    """How many of a delta's own parameters train, BitFit's biases among them."""
    core = {name for name in delta.core_names() if name in on and name not in delta.created}
    return sum(on[name] for name in core) + sum(p.numel() for p in delta.parameters() if p.requires_grad)


def head_names(model: nn.Module) -> set[str]:
    """Names of the parameters outside the base model (``bert.``, ``model.``, …); none for a model that has no such part.

    Example:
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=16)
        >>> sorted(head_names(BertForSequenceClassification(config)))
        ['classifier.bias', 'classifier.weight']
    """
    prefix = getattr(model, "base_model_prefix", "")
    if not isinstance(prefix, str) or prefix not in model._modules:
        return set()
    return {name for name, _ in backbone_parameters(model) if not name.startswith(f"{prefix}.")}
