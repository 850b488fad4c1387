"""Attach LoRA to queries and values and freeze the rest; making the model is not timed.

On BERT-base, and on the structure of Llama 3.1 405B without its weights.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks._harness import Row, interleave_on, is_quick, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

NAME = "attach LoRA and freeze"
PEER = "PEFT"
MOST_RATIO = 0.2  # on the large one
_LARGE = {
    "hidden_size": 16384,
    "intermediate_size": 53248,
    "num_hidden_layers": 126,
    "num_attention_heads": 128,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}


def run(rounds: int) -> list[Row]:
    """Measure both sides on models of their own; both must leave the same number of trainable parameters first."""
    base, large = bert_base(), llama_405b()
    return [
        *_measured("BERT-base", lambda: copy.deepcopy(base), ["query", "value"], 8, rounds),
        *[
            replace(row, most_ratio=MOST_RATIO) if row.ratio is not None else row
            for row in _measured("Llama 405B skeleton", lambda: copy.deepcopy(large), ["q_proj", "v_proj"], 16, rounds)
        ],
    ]


def _measured(job: str, make: Callable[[], nn.Module], targets: list[str], rank: int, rounds: int) -> list[Row]:
    sides = {"deltanb": lambda model: ours(model, targets, rank), PEER: lambda model: peer(model, targets, rank)}
    counts = {who: trainable(attach(make())) for who, attach in sides.items()}
    assert len(set(counts.values())) == 1, f"{job}: the sides train different numbers of parameters: {counts}"
    return rows(job, interleave_on(make, sides, rounds), PEER)


def bert_base() -> nn.Module:
    """BERT-base with random weights."""
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(num_hidden_layers=2) if is_quick() else BertConfig())


def llama_405b() -> nn.Module:
    """The modules of Llama 3.1 405B on the meta device: no weights, no memory."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(**{**_LARGE, **({"num_hidden_layers": 4} if is_quick() else {})}))


def ours(model: nn.Module, targets: list[str], rank: int) -> nn.Module:
    """Attach and freeze with deltanb."""
    import deltanb

    delta = deltanb.LoraModel(backbone_model=model, modified_modules=targets, lora_r=rank)
    delta.freeze_module(exclude=["deltas"])
    return model


def peer(model: Any, targets: list[str], rank: int) -> nn.Module:
    """Attach and freeze with PEFT, on a model without weights in the way that is made for it."""
    from peft import LoraConfig, get_peft_model

    bare = next(model.parameters()).is_meta
    return get_peft_model(model, LoraConfig(r=rank, target_modules=targets), low_cpu_mem_usage=bare)


def trainable(model: nn.Module) -> int:
    """How many parameters train."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
