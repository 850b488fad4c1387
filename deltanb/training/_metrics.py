"""How good predictions are, and against what to hold them."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

__all__ = ["apart", "f1", "majority", "metrics_of", "tally"]


def metrics_of(logits: torch.Tensor, labels: Sequence[int], label_names: Sequence[str]) -> dict[str, float]:
    """Accuracy, cross-entropy, F1 of each class and their mean, and what always saying the commonest class would give.

    Args:
        logits: scores [texts, classes].
        labels: the right class of each text.
        label_names: the classes' names; the keys ``f1_…`` have them.

    Example:
        >>> import torch
        >>> found = metrics_of(torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]]), [0, 1, 1], ["no", "yes"])
        >>> {key: round(value, 3) for key, value in found.items()}
        {'accuracy': 0.667, 'loss': 0.794, 'rows': 3, 'majority': 0.667, 'f1': 0.667, 'f1_no': 0.667, 'f1_yes': 0.667}
    """
    import torch
    from torch.nn.functional import cross_entropy

    predicted = logits.argmax(-1).tolist()
    right = sum(guess == label for guess, label in zip(predicted, labels, strict=True))
    each = {f"f1_{name}": f1(predicted, labels, at) for at, name in enumerate(label_names)}
    return {
        "accuracy": right / len(labels),
        "loss": cross_entropy(logits, torch.tensor(labels)).item(),
        "rows": len(labels),
        "majority": majority(labels)[1],
        "f1": sum(each.values()) / len(each),
        **each,
    }


def tally(predicted: Sequence[int], labels: Sequence[int], classes: int) -> list[list[int]]:
    """How often each class (row) was taken for each (column).

    Example:
        >>> tally([0, 1, 0], [0, 1, 1], 2)
        [[1, 0], [1, 1]]
    """
    counts = Counter(zip(labels, predicted, strict=True))
    return [[counts[row, column] for column in range(classes)] for row in range(classes)]


def f1(predicted: Sequence[int], labels: Sequence[int], of: int) -> float:
    """F1 of one class: 2 TP / (2 TP + FP + FN); 0 for a class that neither occurs nor is predicted.

    Example:
        >>> f1([0, 1, 0], [0, 1, 1], of=1)
        0.6666666666666666
    """
    hits = sum(guess == label == of for guess, label in zip(predicted, labels, strict=True))
    mentions = sum(guess == of for guess in predicted) + sum(label == of for label in labels)
    return 2 * hits / mentions if mentions else 0.0


def majority(labels: Sequence[int]) -> tuple[int, float]:
    """The commonest class and its share; of equally common ones the first.

    Example:
        >>> majority([1, 0, 1])
        (1, 0.6666666666666666)
    """
    counts = Counter(labels)
    top = min(counts, key=lambda label: (-counts[label], label))
    return top, counts[top] / len(labels)


def apart(first: float, second: float, rows: int) -> bool:
    """Whether two accuracies on ``rows`` rows differ by more than chance would (two standard errors).

    Example:
        >>> apart(0.80, 0.66, 2605), apart(0.66, 0.67, 2605)
        (True, False)
    """
    spread = math.sqrt((first * (1 - first) + second * (1 - second)) / rows)
    return abs(first - second) > 2 * spread
