"""How much memory a training step takes, estimated from a model's structure: nothing is run.

    peak = weights + gradients + AdamW's two states + 1.55 · what the forward pass leaves + what is passing through

The forward pass leaves nothing of the modules before the first one that trains. From there on, for each token of the batch,

* a linear layer that does not narrow keeps its output (what follows, an attention or an activation, needs it again);
* a norm keeps its input, one that is written out in several steps (RMSNorm) twice as much;
* activations that are written out in several steps keep more, a dropout its mask, a byte a number;
* an attention with dropout on its scores keeps three tables of them; without, torch works them out anew;
* a delta leaves what it makes of its host's output, and its own narrow results.

A process on a CPU takes 1.55 bytes for each: results that are freed leave gaps that later ones do not fit into. The input that a trained
weight keeps would have become such a gap. A layer that a model runs through several times (ALBERT) counts once.
On four models (8 x 64, 4 x 128, 16 x 128 tokens) predictions were 0.92 to 1.12 of a process, for a head alone from 0.80: bench_memory.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb.engine._facts import host_facts
from deltanb.engine._registry import deltas
from deltanb.structure import snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from torch import nn

    from deltanb.structure import ModuleNode, ParameterInfo

__all__ = ["PROCESS_BYTES", "Outlook", "Place", "Planned", "score_heads", "training_memory"]

PROCESS_BYTES = 450_000_000  # of a notebook's process with torch and transformers, before any model
_FLOAT = 4
_SPREAD = 1.55  # resident bytes that go with a byte that is kept
_SCORES = 3  # tables of attention scores that are kept where there is dropout on them
# Activations that are written out in several steps: how often they keep what they take, beside its first time.
_STEPS = {"NewGELUActivation": 3, "FastGELUActivation": 3, "QuickGELUActivation": 1, "SiLUActivation": 1, "SiLU": 1}
# What a delta of a type leaves of its host's output (LoRA: of its input), and of its own narrow results.
_TAKES = {"adapter": 2.0, "parallel_adapter": 2.0, "low_rank_adapter": 2.0, "compacter": 2.0, "ia3": 1.0, "lora": 2.0}
_INNER = {"adapter": 5, "parallel_adapter": 5, "lora": 1}
_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop", "dropout_rate")


@dataclass(frozen=True)
class Planned:
    """A delta that is not attached yet, with everything else frozen.

    Attributes:
        delta_type: which type.
        hosts: names of the modules that it would sit on.
        parameters: how many it would train.
        rows: rows that it puts before each text, which then go through the model like tokens: a soft prompt's.
        also: names of modules that stay trainable, with all below them.
    """

    delta_type: str
    hosts: Collection[str]
    parameters: int
    rows: int = 0
    also: Sequence[str] = ()


@dataclass(frozen=True)
class Place:
    """A module as the estimate sees it.

    Attributes:
        node: it, in the tree.
        kind: of its facts, see `deltanb.engine.host_facts`.
        sizes: likewise.
        last: what the last linear layer gave.
        wide: the widest that the linear layers beside it give.
    """

    node: ModuleNode
    kind: str
    sizes: list[int]
    last: int
    wide: int


def training_memory(model: nn.Module, batch: int = 8, length: int = 128, planned: Planned | None = None) -> dict[str, int]:
    """Bytes that training a model takes, beside the process itself.

    Args:
        model: a backbone with its deltas, or a skeleton.
        batch: texts a step.
        length: tokens a text.
        planned: with this delta, instead of as it is frozen now.

    Returns:
        ``weights``, ``gradients``, ``optimizer``, ``activations`` (what the forward pass leaves), ``passing`` (twice the widest
        result, on its way forth and back, or the largest trained tensor, in the optimizer's hands) and ``total``, the sum.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10))
        >>> found = training_memory(model, batch=2, length=3)
        >>> found["weights"], found["gradients"], found["optimizer"]
        (880, 880, 1760)
        >>> found["total"] == sum(value for part, value in found.items() if part != "total")
        True
        >>> training_memory(model, 2, 3, Planned("lora", ["1"], parameters=40))["gradients"]
        160
    """
    return Outlook(model).memory(batch, length, planned)


class Outlook:
    """A model, looked at once (``places``: its modules in order), to estimate the memory of many ways of training it.

    Example:
        >>> from torch import nn
        >>> look = Outlook(nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10)))
        >>> look.memory(2, 3, Planned("lora", ["1"], 40))["total"] < look.memory(2, 3, Planned("lora", ["0", "1"], 80))["total"]
        True
    """

    def __init__(self, model: nn.Module) -> None:
        self.tree = snapshot(model)
        self.places = _places(model, [node for node in self.tree if node.delta is None and node.same_as is None])
        self._keeps = [_keeps(place) for place in self.places]
        self._heads = score_heads(model)
        self._kinds = {name: delta.delta_type for name, delta in deltas(model).items()}
        self._weights = sum(info.numel * _itemsize(info.dtype) for node in self.tree for info in node.parameters if info.tied_to is None)

    def memory(self, batch: int, length: int, planned: Planned | None = None) -> dict[str, int]:
        """As `training_memory`."""
        sight = _Then(planned) if planned else _Now(self._kinds)
        first = next((at for at, place in enumerate(self.places) if sight.trains(place)), None)
        tokens = length + sight.rows
        kept, widest = (0.0, 0) if first is None else self._kept(first, tokens, sight)
        trainable = self.tree.counts.trainable if planned is None else planned.parameters + self._staying(planned)
        weights = self._weights + (_FLOAT * planned.parameters if planned else 0)
        passing = max(widest * batch * tokens, self._largest(sight) if planned is None or planned.also else 0)
        return summed(weights, trainable, kept * batch * tokens, passing)

    def _largest(self, sight: _Now | _Then) -> int:
        return max((info.numel for place in self.places for info in place.node.parameters if sight.stays(place, info)), default=0)

    def first(self, planned: Planned) -> int:
        """Where in ``places`` the first module is that would train; behind the last where none would."""
        sight = _Then(planned)
        return next((at for at, place in enumerate(self.places) if sight.trains(place)), len(self.places))

    def _staying(self, planned: Planned) -> int:
        below = [place.node.parameters for place in self.places if planned.also and _is_below(place.node.name, planned.also)]
        return sum(info.numel for parameters in below for info in parameters if info.tied_to is None)

    def _kept(self, first: int, length: int, sight: _Now | _Then) -> tuple[float, int]:
        """Numbers a token that are kept from a module on, and those of the widest result."""
        kept, widest, hosts = 0.0, 0, dict[str, list[Place]]()
        start = f"{self.places[first].node.name}."
        for at, place in enumerate(self.places):
            attention = place.kind == "a"
            if at < first and not (attention and start.startswith(f"{place.node.name}.")):
                continue
            kept += _SCORES * self._heads * length if attention else self._keeps[at]
            widest = max(widest, place.last if place.kind in ("l", "c") else 0)
            for delta_type in sight.types_on(place):
                hosts.setdefault(delta_type, []).append(place)
        return kept + sum(_taken(kind, on, sight.brought(kind)) for kind, on in sorted(hosts.items())), widest


class _Now:
    """What trains as the model is frozen now."""

    rows = 0

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._brought: Counter[str] = Counter()

    def trains(self, place: Place) -> bool:
        """Whether a module's own parameters train, or a delta's on it."""
        own = any(info.trainable for info in place.node.parameters)
        return own or any(child.delta is not None and child.counts.trainable for child in place.node.children)

    def stays(self, _place: Place, info: ParameterInfo) -> bool:
        """Whether a backbone's parameter trains."""
        return info.trainable

    def types_on(self, place: Place) -> list[str]:
        """The types of the deltas that sit on a module."""
        children = [child for child in place.node.children if child.delta is not None]
        for child in children:
            self._brought[self._kinds.get(child.delta or "", "")] += child.counts.total
        return sorted({self._kinds.get(child.delta or "", "") for child in children})

    def brought(self, delta_type: str) -> int:
        """Parameters that deltas of a type brought, on the modules that were asked about."""
        return self._brought[delta_type]


class _Then:
    """What would train."""

    def __init__(self, planned: Planned) -> None:
        self._planned = planned
        self._hosts = frozenset(planned.hosts)
        self.rows = planned.rows

    def trains(self, place: Place) -> bool:
        """As now."""
        return place.node.name in self._hosts or (bool(place.node.parameters) and _is_below(place.node.name, self._planned.also))

    def stays(self, place: Place, _info: ParameterInfo) -> bool:
        """As now."""
        return _is_below(place.node.name, self._planned.also)

    def types_on(self, place: Place) -> list[str]:
        """As now."""
        return [self._planned.delta_type] if place.node.name in self._hosts else []

    def brought(self, _delta_type: str) -> int:
        """As now."""
        return self._planned.parameters


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


def _places(model: nn.Module, nodes: Sequence[ModuleNode]) -> list[Place]:
    facts = [host_facts(model, node.name) or [""] for node in nodes]
    widest: dict[str, int] = {}  # by the module around them
    for node, (kind, *sizes) in zip(nodes, facts, strict=True):
        if kind in ("l", "c"):
            around = node.name.rpartition(".")[0]
            widest[around] = max(widest.get(around, 0), sizes[1])
    found, last = list[Place](), 0
    for node, (kind, *sizes) in zip(nodes, facts, strict=True):
        last = sizes[1] if kind in ("l", "c") else last
        found.append(Place(node, kind, sizes, last, widest.get(node.name.rpartition(".")[0], last)))
    return found


def _is_below(name: str, roots: Sequence[str]) -> bool:
    return any(f"{name}.".startswith(f"{root}.") for root in roots)


def _keeps(place: Place) -> float:
    """Numbers a token that one module keeps."""
    kind, sizes, type_name = place.kind, place.sizes, place.node.type
    if kind in ("l", "c"):
        return sizes[1] if sizes[1] >= sizes[0] else 0
    if kind == "n":
        return sizes[0] if "LayerNorm" in type_name and not type_name.startswith("T5") else 2 * sizes[0]
    return place.wide * _STEPS.get(type_name, 0) + (place.last / 4 if type_name == "Dropout" else 0)


def _taken(delta_type: str, hosts: Sequence[Place], parameters: int) -> float:
    """Numbers a token that the deltas of a type leave: of their hosts' results, and of their own narrow ones.

    A narrow result is as wide as the parameters tell, which lie between it and what the host takes and gives.
    """
    ends = [place.sizes if place.kind in ("l", "c", "n") else [place.last, place.last] for place in hosts]
    around = sum(map(sum, ends))
    wide = sum(sizes[0 if delta_type == "lora" else 1] for sizes in ends)
    return wide * _TAKES.get(delta_type, 0) + (_INNER.get(delta_type, 0) * len(hosts) * parameters / around if around else 0)


def _itemsize(dtype: str) -> int:
    bits = "".join(char for char in dtype.partition("_")[0] if char.isdigit())
    return max(1, math.ceil(int(bits or 8) / 8))
