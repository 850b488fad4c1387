"""Attach LoRA to the queries and values of BERT-base and freeze the rest; making the model is not timed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from benchmarks._harness import Row, interleave_on, rows

if TYPE_CHECKING:
    from torch import nn

NAME = "attach LoRA to BERT-base"
PEER = "PEFT"
TARGETS = ["query", "value"]
RANK = 8


def run(rounds: int) -> list[Row]:
    """Measure both sides on copies of one model; both must leave the same number of trainable parameters first."""
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig())

    def make() -> nn.Module:
        return copy.deepcopy(model)

    assert trainable(ours(make())) == trainable(peer(make()))
    return rows("attach and freeze", interleave_on(make, {"deltanb": ours, PEER: peer}, rounds), PEER)


def ours(model: nn.Module) -> nn.Module:
    """Attach and freeze with deltanb."""
    import deltanb

    delta = deltanb.LoraModel(backbone_model=model, modified_modules=TARGETS, lora_r=RANK)
    delta.freeze_module(exclude=["deltas"])
    return model


def peer(model: nn.Module) -> nn.Module:
    """Attach and freeze with PEFT."""
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=RANK, target_modules=TARGETS))


def trainable(model: nn.Module) -> int:
    """How many parameters train."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
