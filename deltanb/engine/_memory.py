"""How much memory a training step takes, estimated from a model's structure: nothing is run.

    peak = weights + gradients + AdamW's two states + 1.8 · what the forward pass keeps + what is passing through

All of it is counted though gradients come as activations go: freed pieces leave gaps that later ones do not fit into, and
the 1.8 is what a CPU's process was measured to take for a byte that is kept. The forward pass keeps nothing of the modules before the
first one that trains. From there on, for each token of the batch,

* a linear layer that does not narrow keeps its output (what follows, an attention or an activation, needs it again);
  one whose weight trains its input too, which layers beside it (queries, keys, values) share;
* a norm keeps its input, one that is written out in several steps (RMSNorm) twice as much;
* activations that are written out in several steps keep more, a dropout its mask, a byte a number;
* an attention with dropout on its scores keeps three tables of them; without, torch works them out anew;
* a delta's host keeps what the delta takes.

On BERT-base, a model of MiniLM's size and a tiny one (adapter, BitFit, LoRA, everything; 8 texts of 64 tokens, CPU) the
predictions were 0.84 to 1.06 of what a process took: ``python -m benchmarks memory``.
A layer that a model runs through several times (ALBERT) counts once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deltanb.engine._facts import host_facts
from deltanb.engine._registry import deltas
from deltanb.structure import snapshot

if TYPE_CHECKING:
    from torch import nn

    from deltanb.structure import ModuleNode

__all__ = ["PROCESS_BYTES", "score_heads", "training_memory"]

PROCESS_BYTES = 450_000_000  # of a notebook's process with torch and transformers, before any model
_FLOAT = 4
_SPREAD = 1.8  # resident bytes that go with a byte that is kept
_SCORES = 3  # tables of attention scores that are kept where there is dropout on them
# Activations that are written out in several steps: how often they keep what they take, beside its first time.
_STEPS = {"NewGELUActivation": 3, "FastGELUActivation": 3, "QuickGELUActivation": 1, "SiLUActivation": 1, "SiLU": 1}
# What a delta of a type keeps of its host's output (or, LoRA, of its input, which two hosts share).
_TAKES = {"adapter": 1.0, "parallel_adapter": 1.0, "low_rank_adapter": 1.0, "compacter": 1.0, "ia3": 1.0, "lora": 0.5}
_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop", "dropout_rate")


def training_memory(model: nn.Module, batch: int = 8, length: int = 128) -> dict[str, int]:
    """Bytes that training a model as it is frozen now takes, beside the process itself.

    Args:
        model: a backbone with its deltas, or a skeleton.
        batch: texts a step.
        length: tokens a text.

    Returns:
        ``weights``, ``gradients``, ``optimizer``, ``activations`` (what the forward pass keeps), ``passing`` (twice the widest
        result, on its way forth and back, or the largest trained tensor, in the optimizer's hands) and ``total``, the sum.

    Example:
        >>> from torch import nn
        >>> found = training_memory(nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10)), batch=2, length=3)
        >>> found["weights"], found["gradients"], found["optimizer"]
        (880, 880, 1760)
        >>> found["total"] == sum(value for part, value in found.items() if part != "total")
        True
    """
    tree = snapshot(model)
    kinds = {name: delta.delta_type for name, delta in deltas(model).items()}
    nodes = [node for node in tree if node.delta is None and node.same_as is None]
    places = [at for at, node in enumerate(nodes) if _trains(node)]
    kept, widest = _kept(model, nodes, places[0], length, kinds) if places else (0.0, 0)
    weights = sum(info.numel * _itemsize(info.dtype) for node in tree for info in node.parameters if info.tied_to is None)
    largest = max((info.numel for node in nodes for info in node.parameters if info.trainable), default=0)
    return summed(weights, tree.counts.trainable, kept * batch * length, max(widest * batch * length, largest))


def summed(weights: int, trainable: int, kept: float, passing: int) -> dict[str, int]:
    """The parts and the peak.

    Args:
        weights: their bytes.
        trainable: how many parameters train.
        kept: numbers that the forward pass keeps.
        passing: numbers of the largest thing that comes and goes.
    """
    parts = {
        "weights": weights,
        "gradients": _FLOAT * trainable,
        "optimizer": 2 * _FLOAT * trainable,
        "activations": math.floor(_SPREAD * _FLOAT * kept),
        "passing": 2 * _FLOAT * passing,
    }
    return {**parts, "total": sum(parts.values())}


def score_heads(model: nn.Module) -> int:
    """Heads of an attention whose scores are kept, 0 where torch works them out anew.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> score_heads(BertModel(config))
        2
    """
    config: Any = getattr(model, "config", None)
    keeps = any(getattr(config, key, 0) for key in _DROPOUTS) or getattr(config, "_attn_implementation", "") == "eager"
    return int(getattr(config, "num_attention_heads", 0) or 0) if keeps else 0


def _trains(node: ModuleNode) -> bool:
    """Whether a module's own parameters train, or a delta's on it."""
    own = any(info.trainable for info in node.parameters)
    return own or any(child.delta is not None and child.counts.trainable for child in node.children)


def _kept(model: nn.Module, nodes: list[ModuleNode], first: int, length: int, kinds: dict[str, str]) -> tuple[float, int]:
    """Numbers a token that are kept from a module on, and those of the widest result."""
    kept, widest, last = 0.0, 0, 0
    scores = _SCORES * score_heads(model) * length
    for at, node in enumerate(nodes):
        kind, *sizes = host_facts(model, node.name) or [""]
        if kind in ("l", "c"):
            last = sizes[1]
        if at < first and not (kind == "a" and f"{nodes[first].name}.".startswith(f"{node.name}.")):
            continue
        kept += scores if kind == "a" else keeps(node.type, kind, sizes, last, trains=_weight_trains(node))
        widest = max(widest, last if kind in ("l", "c") else 0)
        hosted = {kinds.get(child.delta, "") for child in node.children if child.delta is not None}
        kept += sum(taken(hosted_kind, kind, sizes, last) for hosted_kind in sorted(hosted))
    return kept, widest


def _weight_trains(node: ModuleNode) -> bool:
    return any(info.trainable for info in node.parameters if info.name == "weight")


def keeps(type_name: str, kind: str, sizes: list[int], last: int, *, trains: bool) -> float:
    """Numbers a token that one module keeps.

    Args:
        type_name: the module's type.
        kind: of its facts, see `deltanb.engine.host_facts`.
        sizes: likewise.
        last: what the last linear layer gave.
        trains: whether its weight does.

    Example:
        >>> keeps("Linear", "l", [768, 3072], 3072, trains=False), keeps("Linear", "l", [3072, 768], 768, trains=True)
        (3072.0, 3072.0)
    """
    if kind in ("l", "c"):
        taken_in = (sizes[0] / 4 if sizes[0] == sizes[1] else sizes[0]) if trains else 0
        return float((sizes[1] if sizes[1] >= sizes[0] else 0) + taken_in)
    if kind == "n":
        return float(sizes[0] if "LayerNorm" in type_name and not type_name.startswith("T5") else 2 * sizes[0])
    return last * (_STEPS.get(type_name, 0) + (0.25 if type_name == "Dropout" else 0))


def taken(delta_type: str, kind: str, sizes: list[int], last: int) -> float:
    """Numbers a token that a delta keeps of one host."""
    size = sizes[0 if delta_type == "lora" else 1] if kind in ("l", "c", "n") else last
    return size * _TAKES.get(delta_type, 0.0)


def _itemsize(dtype: str) -> int:
    bits = "".join(char for char in dtype.partition("_")[0] if char.isdigit())
    return max(1, math.ceil(int(bits or 8) / 8))
