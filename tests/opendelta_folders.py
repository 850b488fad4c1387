"""Folders as OpenDelta writes them, for BERT, RoBERTa and GPT-2, with the logits that belong to them.

An independent reference: plain tensors, plain formulas, hooks of its own. Nothing of the engine is used.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import torch

from tests.models import batch_for, make

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

__all__ = ["FAMILIES", "TYPES", "act", "folder_of", "reference", "tiny"]

# Family: the layers, and in each the attention, its output, queries and values, and the two feed-forward layers.
_ENCODER = (r"encoder\.layer\.\d+", "attention", "attention.output.dense", ["attention.self.query", "attention.self.value"])
_DECODER = (r"transformer\.h\.\d+", "attn", "attn.c_proj", ["attn.c_attn"])
_FF = {"bert": ("intermediate.dense", "output.dense"), "gpt2": ("mlp.c_fc", "mlp.c_proj")}
FAMILIES = {"bert": (*_ENCODER, *_FF["bert"]), "roberta": (*_ENCODER, *_FF["bert"]), "gpt2": (*_DECODER, *_FF["gpt2"])}
_ROLES = {
    "adapter": ["attn@.proj@", "ff@.w2@"],
    "lora": ["attn@.q@", "attn@.v@"],
    "bitfit": ["attn@", "ff@", "layer_norm@", "lm_head@.proj@"],
    "low_rank_adapter": ["attn@.proj@", "ff@.w2@"],
    "parallel_adapter": ["attn@", "attn@", "ff@.w1@", "ff@.w2@"],
    "compacter": ["attn@.proj@", "ff@.w2@"],
}
_OWN: dict[str, dict[str, Any]] = {
    "adapter": {"bottleneck_dim": 5, "non_linearity": "gelu_new"},
    "lora": {"lora_r": 3, "lora_alpha": 6, "lora_dropout": 0.0},
    "bitfit": {},
    "low_rank_adapter": {
        "reduction_factor": 4, "non_linearity": "gelu_new", "low_rank_rank": 1, "low_rank_w_init": "glorot-uniform",
    },
    "parallel_adapter": {"bottleneck_dim": 5, "non_linearity": "gelu_new", "scaled": None},
    "compacter": {
        "bottleneck_dim": None, "sequential": None, "reduction_factor": 2, "non_linearity": "relu", "phm_c_init": "normal",
        "hypercomplex_division": 4, "learn_phm": True, "hypercomplex_nonlinearity": "glorot-uniform", "shared_phm_rule": False,
        "factorized_phm": True, "shared_W_phm": False, "factorized_phm_rule": False, "phm_rank": 1, "phm_init_range": 0.0001,
        "kronecker_prod": None, "use_bias_up_sampler": True, "use_bias_down_sampler": True,
    },
}  # fmt: skip
TYPES = list(_ROLES)
Tensors = dict[str, torch.Tensor]


def act(name: str, value: torch.Tensor) -> torch.Tensor:
    """The two activations that are used, written out."""
    if name == "relu":
        return value.clamp(min=0)
    return 0.5 * value * (1 + torch.tanh(math.sqrt(2 / math.pi) * (value + 0.044715 * value**3)))


def layers(model: nn.Module, family: str) -> list[str]:
    """The names of the layers, in order."""
    found = re.compile(rf"(?:\w+\.)?{FAMILIES[family][0]}")
    return [name for name, _ in model.named_modules() if found.fullmatch(name)]


class Numbers:
    """Tensors of fixed noise under the names that OpenDelta gives them."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(3)
        self.tensors: Tensors = {}

    def __call__(self, name: str, *shape: int) -> torch.Tensor:
        self.tensors[name] = torch.randn(*shape, generator=self.generator) * 0.4
        return self.tensors[name]


def after(model: nn.Module, host: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change what a module gives, or the first part of it."""

    def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    model.get_submodule(host).register_forward_hook(hook)


def taken(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """The vectors that a module was called with."""
    value: torch.Tensor = args[0] if args else kwargs["hidden_states"]
    return value


def sizes(module: nn.Module) -> tuple[int, int]:
    """Input and output size of a Linear or of GPT-2's Conv1D."""
    out, into = tuple(module.weight.shape)
    return (into, out) if hasattr(module, "in_features") else (out, into)


def two_layers(draw: Numbers, prefix: str, size: int, options: dict[str, Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    """What adapter and parallel adapter compute."""
    small = options["bottleneck_dim"]
    down, down_b = draw(f"{prefix}.modulelist.down_proj.weight", small, size), draw(f"{prefix}.modulelist.down_proj.bias", small)
    up, up_b = draw(f"{prefix}.modulelist.up_proj.weight", size, small), draw(f"{prefix}.modulelist.up_proj.bias", size)
    return lambda value: act(options["non_linearity"], value @ down.T + down_b) @ up.T + up_b


def samplers(
    draw: Numbers, prefix: str, size: int, options: dict[str, Any], matrix: Callable[..., torch.Tensor]
) -> Callable[[torch.Tensor], torch.Tensor]:
    """What low-rank adapter and Compacter compute, given how their matrices come about."""
    small = size // options["reduction_factor"]
    down = matrix(draw, f"{prefix}.down_sampler", size, small)
    down_b = draw(f"{prefix}.down_sampler.b", small)
    up = matrix(draw, f"{prefix}.up_sampler", small, size)
    up_b = draw(f"{prefix}.up_sampler.b", size)
    return lambda hidden: hidden + act(options["non_linearity"], hidden @ down + down_b) @ up + up_b


def thin(draw: Numbers, prefix: str, size_in: int, size_out: int) -> torch.Tensor:
    """A matrix of rank one, as a product spread over rows and columns."""
    return draw(f"{prefix}.W_left", size_in, 1) * draw(f"{prefix}.W_right", 1, size_out)


def kronecker(draw: Numbers, prefix: str, size_in: int, size_out: int) -> torch.Tensor:
    """A sum of four Kronecker products."""
    rule = draw(f"{prefix}.phm_rule", 4, 4, 4)
    left, right = draw(f"{prefix}.W_left", 4, size_in // 4, 1), draw(f"{prefix}.W_right", 4, 1, size_out // 4)
    return sum((torch.kron(rule[at], left[at] @ right[at]) for at in range(4)), torch.zeros(size_in, size_out))


def adapter(model: nn.Module, family: str, draw: Numbers, options: dict[str, Any]) -> None:
    _, _, proj, _, _, second = FAMILIES[family]
    for layer in layers(model, family):
        for host in (f"{layer}.{proj}", f"{layer}.{second}"):
            part = two_layers(draw, f"{host}.adapter", 16, options)
            after(model, host, lambda hidden, part=part: hidden + part(hidden))


def lora(model: nn.Module, family: str, draw: Numbers, options: dict[str, Any]) -> None:
    rank = options["lora_r"]
    for layer in layers(model, family):
        for name in FAMILIES[family][3]:
            host = f"{layer}.{name}"
            size_in, size_out = sizes(model.get_submodule(host))
            down, up = draw(f"{host}.lora.lora_A", rank, size_in), draw(f"{host}.lora.lora_B", size_out, rank)

            def hook(_module: nn.Module, args: Any, output: torch.Tensor, down: Any = down, up: Any = up) -> torch.Tensor:
                return output + options["lora_alpha"] / rank * (args[0] @ down.T @ up.T)

            model.get_submodule(host).register_forward_hook(hook)


def bitfit(model: nn.Module, family: str, draw: Numbers, _options: dict[str, Any]) -> None:
    inside = layers(model, family)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias") and (any(name.startswith(f"{layer}.") for layer in inside) or name == "transformer.ln_f.bias"):
            parameter.data = draw(name, *parameter.shape)


def low_rank_adapter(model: nn.Module, family: str, draw: Numbers, options: dict[str, Any]) -> None:
    _, _, proj, _, _, second = FAMILIES[family]
    for layer in layers(model, family):
        for host in (f"{layer}.{proj}", f"{layer}.{second}"):
            after(model, host, samplers(draw, f"{host}.low_rank_adapter", 16, options, thin))


def compacter(model: nn.Module, family: str, draw: Numbers, options: dict[str, Any]) -> None:
    _, _, proj, _, _, second = FAMILIES[family]
    for layer in layers(model, family):
        for host in (f"{layer}.{proj}", f"{layer}.{second}"):
            after(model, host, samplers(draw, f"{host}.compactor", 16, options, kronecker))


def parallel_adapter(model: nn.Module, family: str, draw: Numbers, options: dict[str, Any]) -> None:
    _, attention, _, _, first, second = FAMILIES[family]
    for layer in layers(model, family):
        for one, other in ((attention, attention), (first, second)):
            part = two_layers(draw, f"{layer}.{one}.parallel_adapter", 16, options)
            seen: list[torch.Tensor] = []

            def before(_module: nn.Module, args: Any, kwargs: Any, seen: list[torch.Tensor] = seen) -> None:
                seen.append(taken(args, kwargs))

            model.get_submodule(f"{layer}.{one}").register_forward_pre_hook(before, with_kwargs=True)
            after(model, f"{layer}.{other}", lambda hidden, part=part, seen=seen: hidden + part(seen.pop()))


def tiny(family: str) -> Any:
    """The tiny model; its weights are so large that every change shows in the logits."""
    return make(family, initializer_range=0.3)


_WRITERS = {
    "adapter": adapter,
    "lora": lora,
    "bitfit": bitfit,
    "low_rank_adapter": low_rank_adapter,
    "parallel_adapter": parallel_adapter,
    "compacter": compacter,
}


def reference(family: str, kind: str, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], Tensors, torch.Tensor]:
    """Settings, tensors and logits of one case on the family's tiny model."""
    model, draw = tiny(family), Numbers()
    own = {**_OWN[kind], **(options or {})}
    _WRITERS[kind](model, family, draw, own)
    settings = {
        "backbone_checkpoint_name": "",
        "backbone_class": type(model).__name__,
        "backbone_hash": "0" * 32,
        "common_structure": True,
        "delta_type": kind,
        "exclude_modules": ["lm_head"],
        "modified_modules": _ROLES[kind],
        "opendelta_version": "0.3.0",
        "transformers_version": "4.30.2",
        **own,
    }
    with torch.no_grad():
        return settings, draw.tensors, model(**batch_for(model)).logits


def folder_of(place: Path, settings: dict[str, Any], tensors: Tensors) -> Path:
    """Write a folder."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True))
    torch.save(tensors, place / "pytorch_model.bin")
    return place
