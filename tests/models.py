"""Tiny real models, built from their configs, and inputs that fit them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import nn

from deltanb import AdapterModel, BitFitModel, LoraModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltanb.engine import DeltaModel

__all__ = [
    "FAMILIES",
    "MAKERS",
    "assert_same",
    "bart",
    "batch_for",
    "bert",
    "learn",
    "make",
    "output_of",
    "same_state",
    "stir",
    "three",
    "total",
    "trainable",
    "trains",
]

_SMALL = {"vocab_size": 64, "pad_token_id": 0}
_ENCODER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_BERT = {**_ENCODER, "max_position_embeddings": 32, **_SMALL}
_IDS = {"bos_token_id": 1, "eos_token_id": 2}
_BART = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 32,
    "decoder_start_token_id": 2,
    **_SMALL,
    **_IDS,
}
_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0, "eos_token_id": 2, **_SMALL}
_LLAMA = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    **_SMALL,
    **_IDS,
}
_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": 64}
_VIT = {**_ENCODER, "image_size": 8, "patch_size": 4}
_DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 32, **_SMALL}

# Name: class of the model, class of its config, settings.
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bart": ("BartForConditionalGeneration", "BartConfig", _BART),
    "bert": ("BertForSequenceClassification", "BertConfig", _BERT),
    "distilbert": ("DistilBertForSequenceClassification", "DistilBertConfig", _DISTILBERT),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", _GPT2),
    "llama": ("LlamaForCausalLM", "LlamaConfig", _LLAMA),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {**_LLAMA, "num_local_experts": 2, "num_experts_per_tok": 1}),
    "roberta": ("RobertaForSequenceClassification", "RobertaConfig", {**_BERT, "pad_token_id": 1}),
    "t5": ("T5ForConditionalGeneration", "T5Config", _T5),
    "vit": ("ViTForImageClassification", "ViTConfig", _VIT),
}


def make(family: str, seed: int = 0, device: str = "cpu", **changes: Any) -> Any:
    """A tiny model of a family in eval mode, with weights from ``seed``."""
    model, config, settings = FAMILIES[family]
    torch.manual_seed(seed)
    with torch.device(device):
        return getattr(transformers, model)(getattr(transformers, config)(**{**settings, **changes})).eval()


def bert(seed: int = 0, **changes: Any) -> Any:
    """A tiny BERT with a classifier."""
    return make("bert", seed, **changes)


def bart(seed: int = 0, **changes: Any) -> Any:
    """A tiny BART: 2 + 2 layers, feed-forward ``fc1`` and ``fc2``, tied embeddings."""
    return make("bart", seed, **changes)


def batch_for(model: nn.Module, seed: int = 1) -> dict[str, torch.Tensor]:
    """Inputs that fit a tiny model."""
    generator = torch.Generator().manual_seed(seed)
    if getattr(model, "main_input_name", "") == "pixel_values":
        return {"pixel_values": torch.randn(2, 3, 8, 8, generator=generator)}
    ids = torch.randint(3, 60, (2, 7), generator=generator)
    both = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
    return {"input_ids": ids, "decoder_input_ids": ids.flip(1)} if both else {"input_ids": ids}


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
