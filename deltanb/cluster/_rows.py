"""What a run works on: rows, and how a step's rows are divided among processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from deltanb.backbones import Backbone

__all__ = ["accuracy", "rows_a_process", "rows_of"]


def rows_of(
    backbone: Backbone, data: object, *, max_length: int = 128, rows: int | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The training and the held-out rows, tokenised.

    Args:
        backbone: the model with its tokenizer.
        data: as for `deltanb.train`.
        max_length: in tokens; the rest of a longer text is cut.
        rows: train on so many, the classes in proportion.

    Raises:
        DeltaError: data and model do not fit each other.

    Example:
        >>> import deltanb
        >>> backbone = deltanb.load_backbone("bert-tiny", random=True)
        >>> train, test = rows_of(backbone, [(f"a {word} film {i}", word) for i in range(20) for word in ("good", "bad")])
        >>> len(train), len(test), sorted(train[0])
        (32, 8, ['attention_mask', 'input_ids', 'labels'])
    """
    from deltanb.datasets import as_text_data
    from deltanb.training._run import both_encoded
    from deltanb.training._settings import Settings
    from deltanb.training._subject import check_head, subject_of

    subject, task = subject_of(backbone), as_text_data(data)
    check_head(subject, task)
    settings = Settings(max_length=max_length, rows=rows)
    train, test = both_encoded(subject, task.limit(rows) if rows else task, settings)
    return train.rows, test.rows


def rows_a_process(batch: int, accumulate: int = 1) -> int:
    """How many of a step's rows each process takes at a time.

    Args:
        batch: rows of a step, over all processes together.
        accumulate: in so many parts, one after the other.

    Raises:
        DeltaError: they cannot be divided evenly, so the processes would not learn what one learns.

    Example:
        >>> rows_a_process(32, accumulate=4)
        8
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    share, rest = divmod(batch, processes * accumulate)
    if rest or share < 1:
        msg = f"--batch {batch} rows cannot be divided among {processes} processes" + (
            f" in {accumulate} parts." if accumulate > 1 else "."
        )
        near = max(1, round(batch / (processes * accumulate))) * processes * accumulate
        raise DeltaError(msg, expected="Each has to get as many as the others.", try_=f"--batch {near}")
    return share


def accuracy(prediction: Any) -> dict[str, float]:
    """Share of right answers, as ``compute_metrics`` of ``transformers.Trainer``.

    Example:
        >>> import numpy as np
        >>> from transformers import EvalPrediction
        >>> accuracy(EvalPrediction(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1])))
        {'accuracy': 0.5}
    """
    scores = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    return {"accuracy": float((scores.argmax(-1) == prediction.label_ids).mean())}
