"""Memory of training: what is predicted from the structure, beside what a process really takes for two steps.

Each measurement is a fresh process with one thread: the growth of its resident memory from before the model is made to
the peak. A ratio below 1: less is predicted than is taken.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._harness import Row, interleave_cases, is_quick, notes, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

NAME = "memory of training"
PREDICTED, TAKEN = "predicted", "taken"
OFF = 0.15  # how far off a prediction may be, either way
LABELS = 2
MODELS = ("tiny", "MiniLM-sized", "BERT-base", "DistilBERT", "GPT-2")
KINDS = ("adapter", "lora", "bitfit", "full", "head", "wide adapter", "wide lora")
SHAPES = ((8, 64), (4, 128), (16, 128))


def run(rounds: int) -> list[Row]:
    """Measure every model with everything that trains."""
    models = MODELS[:1] if is_quick() else MODELS
    jobs = [f"{model}/{kind}/{batch}x{length}" for model in models for kind in KINDS for batch, length in SHAPES]
    found = interleave_cases("bench_memory", jobs, min(rounds, 3))
    result: list[Row] = []
    for job, runs in found.items():
        values = {PREDICTED: [one["predicted"] for one in runs], TAKEN: [one["taken"] for one in runs]}
        result += [_judged(row) for row in rows(job, values, TAKEN, "MB")]
    ratios = [row.ratio for row in result if row.ratio is not None]
    process = max(one["process"] for runs in found.values() for one in runs)
    low = [f"{row.job} ({row.ratio:.2f})" for row in result if row.ratio is not None and row.ratio < 1 - OFF]
    notes.extend([f"memory: too little is predicted for {', '.join(low)}"] if low else [])
    notes.append(f"memory: predictions are {min(ratios):.2f} to {max(ratios):.2f} of what is taken; the process alone: {process:.0f} MB")
    return result


def _judged(row: Row) -> Row:
    return replace(row, most_ratio=1 + OFF) if row.ratio is not None else row


def measure(case: str) -> dict[str, float]:
    """MB that are predicted, that three steps take, and of the process before."""
    import psutil
    import torch

    import deltanb
    from deltanb.engine import training_memory

    name, kind, shape = case.split("/")
    batch, length = map(int, shape.split("x"))
    _warm(deltanb)
    before = psutil.Process().memory_info().rss
    torch.manual_seed(0)
    model = _TRAIN[kind](_made(name)).train()
    predicted = training_memory(model, batch, length)["total"]
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-4)
    ids = torch.randint(3, 90, (batch, length))
    for _ in range(2):  # the second one has the optimizer's states
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(input_ids=ids).logits.flatten(0, -2), _targets(model, ids)).backward()
        optimizer.step()
    return {"predicted": predicted / 1e6, "taken": (_peak() - before) / 1e6, "process": before / 1e6}


def _peak() -> int:
    """Bytes that this program had resident at most. What getrusage says may be the peak of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.findall(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="utf-8"), re.MULTILINE)[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _targets(model: Any, ids: Any) -> Any:
    """A class for each text."""
    return ids[:, 0] % model.config.num_labels


def _warm(deltanb: Any) -> None:
    """Import what a first step imports, with a model that takes nothing."""
    import torch

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    model = _bert(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=100)
    deltanb.AdapterModel(model, bottleneck_dim=2).freeze_module(exclude=["deltas"])
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-4)
    model(input_ids=torch.ones(1, 4, dtype=torch.long)).logits.sum().backward()
    optimizer.step()


def _bert(**sizes: Any) -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(num_labels=LABELS, **sizes))


def _made(name: str) -> nn.Module:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification, GPT2Config, GPT2ForSequenceClassification

    makers: dict[str, Callable[[], nn.Module]] = {
        "tiny": lambda: _bert(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512),
        "MiniLM-sized": lambda: _bert(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
        "BERT-base": _bert,
        "DistilBERT": lambda: DistilBertForSequenceClassification(DistilBertConfig(num_labels=LABELS)),
        "GPT-2": lambda: GPT2ForSequenceClassification(GPT2Config(num_labels=LABELS, pad_token_id=0)),
    }
    return makers[name]()


def _head(model: nn.Module) -> list[str]:
    return [name for name in ("classifier", "pre_classifier", "score") if hasattr(model, name)]


def _delta(kind: str, **options: int) -> Callable[[nn.Module], nn.Module]:
    def attached(model: nn.Module) -> nn.Module:
        from deltanb.engine import DELTA_TYPES

        DELTA_TYPES[kind](model, **options).freeze_module(exclude=["deltas", *_head(model)])  # type: ignore[arg-type]
        return model

    return attached


def _head_alone(model: nn.Module) -> nn.Module:
    model.requires_grad_(requires_grad=False)
    for name in _head(model):
        model.get_submodule(name).requires_grad_()
    return model


_TRAIN: dict[str, Callable[[nn.Module], nn.Module]] = {
    "adapter": _delta("adapter"),
    "lora": _delta("lora"),
    "bitfit": _delta("bitfit"),
    "full": lambda model: model,
    "head": _head_alone,
    "wide adapter": _delta("adapter", bottleneck_dim=256),
    "wide lora": _delta("lora", lora_r=64),
}
