"""Tiny real models with deltas on them, and what tests ask of those. The models themselves are made in `tests.families`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from deltanb import AdapterModel, BitFitModel, LoraModel
from deltanb.engine import DELTA_TYPES
from tests.families import FAMILIES, batch_for, make

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from deltanb.engine import DeltaModel

__all__ = [
    "FAMILIES",
    "MAKERS",
    "SMALL",
    "assert_same",
    "bart",
    "batch_for",
    "bert",
    "learn",
    "make",
    "of_type",
    "output_of",
    "same_state",
    "stir",
    "three",
    "total",
    "trainable",
    "trains",
]


def bert(seed: int = 0, **changes: Any) -> Any:
    """A tiny BERT with a classifier."""
    return make("bert", seed, **changes)


def bart(seed: int = 0, **changes: Any) -> Any:
    """A tiny BART: 2 + 2 layers, feed-forward ``fc1`` and ``fc2``, tied embeddings."""
    return make("bart", seed, **changes)


def output_of(model: Callable[..., Any], **inputs: torch.Tensor) -> torch.Tensor:
    """The first tensor that a model gives, without gradients."""
    with torch.no_grad():
        output = model(**(inputs or batch_for(model)))  # type: ignore[arg-type]
    tensor: torch.Tensor = output[0]
    return tensor


def stir(tensors: Any, seed: int = 5, scale: float = 0.3) -> None:
    """Move tensors by fixed noise, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in tensors:
            tensor.add_(torch.randn(tensor.shape, generator=generator).to(tensor) * scale)


def total(model: nn.Module) -> int:
    """Elements of all parameters, each tensor once."""
    return sum(parameter.numel() for parameter in model.parameters())


def trainable(model: nn.Module) -> int:
    """Elements of the parameters that train, each tensor once: an independent count."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def trains(model: nn.Module) -> set[str]:
    """Names of the parameters that train."""
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def same_state(model: nn.Module) -> tuple[Any, ...]:
    """All that must be as before after a detach: tree, keys, flags, values."""
    flags = [(name, p.requires_grad) for name, p in model.named_parameters()]
    values = {name: p.detach().clone() for name, p in model.named_parameters()}
    return str(model), list(model.state_dict()), flags, values


# Type: options that make it small enough for a tiny model.
SMALL: dict[str, dict[str, Any]] = {
    "adapter": {"bottleneck_dim": 3},
    "compacter": {"reduction_factor": 4, "hypercomplex_division": 2},
    "lora": {"lora_r": 2},
    "low_rank_adapter": {"reduction_factor": 4},
    "parallel_adapter": {"bottleneck_dim": 3},
    "prefix": {"prefix_token_num": 3, "embed_dim": 8, "mid_dim": 8},
    "soft_prompt": {"soft_token_num": 3},
}


def of_type(kind: str, model: nn.Module, **options: Any) -> DeltaModel:
    """A small delta of a type, on its default hosts unless told otherwise."""
    return DELTA_TYPES[kind](model, **{**SMALL.get(kind, {}), **options})


# Name: how to attach one to a tiny BERT; the three own different tensors.
MAKERS: dict[str, Callable[[nn.Module], DeltaModel]] = {
    "adapter": lambda model: AdapterModel(model, bottleneck_dim=3, modified_modules=["output.dense"]),
    "lora": lambda model: LoraModel(model, lora_r=2, modified_modules=["query", "output.dense"]),
    "bitfit": lambda model: BitFitModel(model, modified_modules=["attention", "intermediate"]),
}


def assert_same(now: tuple[Any, ...], before: tuple[Any, ...]) -> None:
    assert now[0] == before[0]
    assert now[1] == before[1]
    assert now[2] == before[2]
    assert now[3].keys() == before[3].keys()
    assert all(torch.equal(value, before[3][name]) for name, value in now[3].items())


def learn(delta: DeltaModel, seed: int = 5) -> None:
    """As training would: everything that trains and that the delta owns moves."""
    model = delta.backbone_model
    names = set(delta.tensors())
    stir([p for name, p in model.named_parameters() if name in names and p.requires_grad], seed)


def three(model: nn.Module) -> dict[str, DeltaModel]:
    """Three deltas, two of them on one host, each with a declaration of its own."""
    found = {name: build(model) for name, build in MAKERS.items()}
    for seed, (delta, words) in enumerate(zip(found.values(), (["classifier"], ["pooler"], ["embeddings.LayerNorm"]), strict=True)):
        delta.freeze_module(exclude=["deltas", *words])
        learn(delta, seed)
    return found
