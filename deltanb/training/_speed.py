"""How long a run will take, from one batch of ordinary length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb.probe import modes_kept
from deltanb.training._forward import device_of

if TYPE_CHECKING:
    from deltanb.training._encoding import Encoded
    from deltanb.training._subject import Subject

__all__ = ["Speed", "measure_speed"]

_WARM_UP = 4  # texts in a first, untimed batch


@dataclass(frozen=True)
class Speed:
    """Seconds a token.

    Attributes:
        train: forward and backward.
        forward: forward alone.
    """

    train: float
    forward: float


def measure_speed(subject: Subject, encoded: Encoded, collate: Any, batch_size: int) -> Speed:
    """Time one forward and backward pass over texts of ordinary length; no weight changes.

    Args:
        subject: the model, on the device where it will train.
        encoded: the training rows, with labels.
        collate: from rows to a batch.
        batch_size: as in training.
    """
    from deltanb.training._trainer import timed

    order = encoded.by_length()
    mean = encoded.tokens / len(order)
    at = sum(len(row["input_ids"]) < mean for row in encoded.rows)
    start = max(0, min(at - batch_size // 2, len(order) - batch_size))
    rows = [encoded.rows[position] for position in order[start : start + batch_size]]
    with modes_kept(subject.model):
        subject.model.eval()  # leaves running statistics and random numbers alone
        for chosen in (rows[:_WARM_UP], rows):
            batch = {key: tensor.to(device_of(subject.model)) for key, tensor in collate(chosen).items()}
            losses: list[Any] = []
            forward = timed(lambda batch=batch, losses=losses: losses.append(_loss(subject.model(**batch))))  # type: ignore[misc]
            backward = timed(losses[0].backward)
            subject.model.zero_grad(set_to_none=True)
    tokens = batch["input_ids"].numel()
    return Speed((forward + backward) / tokens, forward / tokens)


def _loss(output: Any) -> Any:
    return output["loss"] if isinstance(output, dict) else output[0]
