"""What the head alone reaches on the frozen backbone: the number that a delta has to beat.

A run that trains the head alone is remembered for the session. Where there was none, it is estimated: the backbone's
features of a sample of the texts are computed once, and a copy of the head is trained on them, which costs two thousand
forward passes and hardly anything else.
"""

from __future__ import annotations

import copy
import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb.engine import deltas
from deltanb.structure import backbone_parameters
from deltanb.training._encoding import Encoded
from deltanb.training._forward import logits_of
from deltanb.training._rates import RATES
from deltanb.training._subject import Subject
from deltanb.training._what import head_names

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

    from deltanb.datasets import TextData
    from deltanb.training._settings import Settings

__all__ = ["Baseline", "estimate", "estimate_rows", "key_of", "recall", "remember"]

# A head learns 0.67 from 3,000 reviews and 0.60 from 1,000, so the estimate sees as many; measuring needs fewer.
_LEARNED, _MEASURED = 3000, 1000
_LARGEST = 60_000_000  # parameters; beyond that a copy of the model is too much for a small machine
_VALUES = 64  # of each matrix, for the fingerprint

_seen: dict[str, Baseline] = {}


@dataclass(frozen=True)
class Baseline:
    """The head alone.

    Attributes:
        accuracy: on held-out rows.
        rows: how many of them.
        exact: whether it was trained as such, on the same rows; otherwise it is an estimate.
    """

    accuracy: float
    rows: int
    exact: bool


def remember(key: str, baseline: Baseline) -> None:
    """Keep a measured head-only accuracy for the session."""
    _seen[key] = baseline


def recall(key: str) -> Baseline | None:
    """What is known for this backbone, data and budget."""
    return _seen.get(key)


def key_of(subject: Subject, task: TextData, settings: Settings) -> str:
    """The same for the same frozen backbone, rows and budget, whatever is attached and whatever the head holds.

    Args:
        subject: the model.
        task: the rows.
        settings: the budget.
    """
    digest = hashlib.blake2b(repr((settings.epochs, settings.max_steps, settings.max_length)).encode())
    for split in (task.train, task.test):
        columns = split[:]
        digest.update(repr((columns["text"], columns["label"])).encode())
    for name, values in _weights(subject.bare):
        digest.update(name.encode())
        digest.update(values.cpu().numpy().tobytes())
    return digest.hexdigest()


def _weights(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """A few values of every matrix below the head, as they are without deltas."""
    import torch

    aside = {name: entry.aside for delta in deltas(model).values() for name, entry in delta.owned.items()}
    heads = head_names(model)
    found = []
    for name, parameter in backbone_parameters(model):
        if parameter.ndim > 1 and name not in heads:
            values = aside.get(name, parameter).detach().flatten()
            found.append((name, values[:: max(1, len(values) // _VALUES)][:_VALUES].to(torch.float32)))
    return found


def estimate_rows(model: nn.Module, train: int, test: int) -> int:
    """How many texts an estimate would put through the model; 0 where there can be none."""
    if _linear_head(model) is None or sum(p.numel() for p in model.parameters()) > _LARGEST:
        return 0
    return min(_LEARNED, train) + min(_MEASURED, test)


def estimate(subject: Subject, train: Encoded, test: Encoded, seed: int, on_rows: Callable[[int], None]) -> Baseline | None:
    """Train a copy of the head on features of a sample of the texts. The model itself is not touched.

    Args:
        subject: the model, with whatever is attached.
        train: training rows with labels.
        test: held-out rows with labels.
        seed: of the sample and of the order of rows.
        on_rows: told how many texts have gone through the model.
    """
    bare = copy.deepcopy(subject.bare)
    for delta in reversed(list(deltas(bare).values())):
        delta.detach()
    head = _linear_head(bare)
    if head is None:
        return None
    plain = Subject(bare, subject.tokenizer, subject.name)
    chosen = [_sample(rows, most, seed) for rows, most in ((train, _LEARNED), (test, _MEASURED))]
    features = _features(plain, head, chosen[0], on_rows)
    if features is None:
        return None
    held_out = _features(plain, head, chosen[1], lambda done: on_rows(done + len(chosen[0].rows)))
    if held_out is None:
        return None
    trained = _fitted(head, features, _labels(chosen[0]), seed)
    predicted = trained(held_out).argmax(-1)
    right: float = (predicted == _labels(chosen[1])).float().mean().item()
    return Baseline(right, len(chosen[1].rows), exact=False)


def _linear_head(model: nn.Module) -> nn.Linear | None:
    """The head, where it is one linear layer with an output a class."""
    from torch import nn

    names = {name.rpartition(".")[0] for name in head_names(model)}
    if len(names) != 1:
        return None
    head = model.get_submodule(names.pop())
    return head if isinstance(head, nn.Linear) else None


def _sample(encoded: Encoded, most: int, seed: int) -> Encoded:
    count = min(most, len(encoded.rows))
    return Encoded(random.Random(seed).sample(encoded.rows, count), cut=0)  # noqa: S311


def _labels(encoded: Encoded) -> torch.Tensor:
    import torch

    return torch.tensor([row["labels"] for row in encoded.rows])


def _features(subject: Subject, head: nn.Linear, encoded: Encoded, on_rows: Callable[[int], None]) -> torch.Tensor | None:
    """What reaches the head, a row a text; None where that is not one vector a text."""
    import torch

    parts: list[torch.Tensor] = []
    handle = head.register_forward_pre_hook(lambda _module, args: parts.append(args[0].detach().float().cpu()))
    logits_of(subject, Encoded(encoded.rows[:1], cut=0))
    if [part.ndim for part in parts] != [2]:  # decoders score every token
        return None
    parts.clear()
    logits_of(subject, encoded, on_rows=on_rows)
    handle.remove()
    return torch.cat(parts)[torch.argsort(torch.tensor(encoded.by_length()[::-1]))]


def _fitted(head: nn.Linear, features: torch.Tensor, labels: torch.Tensor, seed: int, batch_size: int = 32) -> nn.Linear:
    """A copy of the head, trained like a head-only run: AdamW, warm-up, linear decay."""
    import torch
    from torch.nn.functional import cross_entropy

    layer = copy.deepcopy(head).float().cpu().requires_grad_()
    generator = torch.Generator().manual_seed(seed)
    passes = max(1, round(_LEARNED / len(labels)))  # few rows are seen more often, so that there are steps enough
    orders = [torch.randperm(len(labels), generator=generator) for _ in range(passes)]
    batches = [batch for order in orders for batch in torch.split(order, batch_size)]
    optimizer = torch.optim.AdamW(layer.parameters(), lr=RATES["head"])
    rise, end = max(1, len(batches) // 10), len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / rise, (end - step) / max(1, end - rise)))
    for batch in batches:
        optimizer.zero_grad()
        loss: Any = cross_entropy(layer(features[batch]), labels[batch])
        loss.backward()
        optimizer.step()
        schedule.step()
    return layer.requires_grad_(requires_grad=False)
