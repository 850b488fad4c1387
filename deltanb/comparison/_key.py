"""What tells one run from another: a key of all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from deltanb.checkpoints._fingerprint import structure_fingerprint, weights_fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from deltanb.comparison._candidates import Candidate
    from deltanb.datasets import TextData
    from deltanb.training._settings import Settings
    from deltanb.training._subject import Subject

__all__ = ["backbone_facts", "data_digest", "key_of", "run_facts"]

_LENGTH = 24  # hex digits of a key
_APART = ("seed", "lr", "cache_limit", "cache_on")  # said elsewhere, or without effect on the result
_NEUTRAL = ("cache_dtype",)  # without effect unless frozen parts are kept


def backbone_facts(name: str, model: nn.Module) -> dict[str, str]:
    """Which backbone it is: its name and class to read, and two fingerprints to go by.

    Example:
        >>> from torch import nn
        >>> sorted(backbone_facts("net", nn.Linear(2, 2)))
        ['class', 'name', 'structure', 'weights']
    """
    prints = {"structure": structure_fingerprint(model), "weights": weights_fingerprint(model, ())}
    return {"name": name, "class": type(model).__name__, **prints}


def data_digest(subject: Subject, task: TextData) -> str:
    """A hash of the rows in their order, and of the tokenizer's words.

    Args:
        subject: whose tokenizer it is.
        task: the rows, limited already.
    """
    digest = hashlib.sha256()
    for split in (task.train, task.test):
        columns = split[:]
        digest.update(repr((columns["text"], columns["label"])).encode())
    words: dict[str, int] = getattr(subject.tokenizer, "get_vocab", dict)()
    digest.update(repr((task.label_names, sorted(words.items()))).encode())
    return digest.hexdigest()[:_LENGTH]


def run_facts(candidate: Candidate, hosts: Sequence[str], settings: Settings, seed: int, data: str) -> dict[str, Any]:
    """All that a run depends on but the backbone, as plain data.

    Args:
        candidate: what trains.
        hosts: full names of the modules that a delta sits on.
        settings: how; the seed in it does not count.
        seed: of the first values, the order of rows and dropout.
        data: from `data_digest`.
    """
    training = {name: value for name, value in settings.shown().items() if name not in _APART}
    if not settings.cache_frozen:
        training = {name: value for name, value in training.items() if name not in _NEUTRAL}
    options = candidate.config().options() if candidate.kind not in ("head", "full") else {}
    facts = {"type": candidate.kind, "options": options, "hosts": list(hosts), "layers": candidate.layers, "lr": candidate.lr}
    plain: dict[str, Any] = json.loads(json.dumps({**facts, "seed": seed, "data": data, "training": training}, default=str))
    return plain


def key_of(backbone: dict[str, str], facts: dict[str, Any]) -> str:
    """The key of a run.

    Example:
        >>> one, other = ({"structure": "a", "weights": weights, "name": "n"} for weights in "bc")
        >>> key_of(one, {"seed": 0}) == key_of({**one, "name": "m"}, {"seed": 0}), key_of(one, {"seed": 0}) == key_of(other, {"seed": 0})
        (True, False)
    """
    text = json.dumps([backbone["structure"], backbone["weights"], facts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
