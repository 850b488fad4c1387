"""Save a LoRA of BERT-base, and load it into a fresh BERT-base; making models is not timed."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._harness import Row, interleave, interleave_on, rows
from benchmarks.bench_attach import PEER, bert_base, ours, peer

if TYPE_CHECKING:
    from torch import nn

NAME = "LoRA of BERT-base, rank 8"
TARGETS, RANK = ["query", "value"], 8


def run(rounds: int) -> list[Row]:
    """Measure both sides; what each loads must compute what it saved."""
    import torch

    import deltanb

    bare = bert_base().eval()

    def make() -> nn.Module:
        return copy.deepcopy(bare)

    with tempfile.TemporaryDirectory() as name:
        mine, theirs = Path(name, "deltanb"), Path(name, "peft")
        own, other = ours(make(), TARGETS, RANK), peer(make(), TARGETS, RANK)
        delta = deltanb.deltas(own)["lora"]
        _stir(own), _stir(other)
        saving = {"deltanb": lambda: delta.save_finetuned(mine), PEER: lambda: other.save_pretrained(theirs)}  # type: ignore[operator]
        result = rows("save", interleave(saving, rounds), PEER)
        loading = {"deltanb": lambda model: _ours_loaded(model, mine), PEER: lambda model: _peer_loaded(model, theirs)}
        ids = torch.arange(5, 15)[None]
        for model, load in ((own, loading["deltanb"]), (other, loading[PEER])):
            with torch.no_grad():
                assert torch.equal(load(make()).eval()(ids)[0], model.eval()(ids)[0]), "what was loaded is not what was saved"
        return [*result, *rows("load", interleave_on(make, loading, rounds), PEER)]


def _stir(model: nn.Module) -> None:
    """A LoRA that has learned something: a new one's second matrix is zero."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01)


def _ours_loaded(model: nn.Module, folder: Path) -> nn.Module:
    from deltanb import LoraModel

    LoraModel.from_finetuned(folder, model)
    return model


def _peer_loaded(model: Any, folder: Path) -> nn.Module:
    from peft import PeftModel

    return PeftModel.from_pretrained(model, folder)
