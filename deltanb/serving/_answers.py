"""What deltas say about texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._quiet import quiet
from deltanb.training._encoding import collator, encode
from deltanb.training._forward import device_of, scores
from deltanb.training._labels import label_names_of
from deltanb.training._predict import PredictionResult, checked_texts
from deltanb.training._subject import check_classifier, subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.serving._pool import DeltaPool

__all__ = ["answers"]


def answers(
    pool: DeltaPool, texts: Any, deltas: Any, *, label_names: Sequence[str] | None, max_length: int, batch_size: int
) -> PredictionResult:
    """See `deltanb.DeltaPool.predict`."""
    import pandas as pd
    import torch

    found = checked_texts(texts)
    names = pool.by_row(deltas, len(found))
    subject = subject_of(pool.given, pool.tokenizer)
    check_classifier(subject)
    with quiet():
        encoded, collate, device = encode(subject, found, max_length=max_length), collator(subject), device_of(pool.model)
        order, parts = encoded.by_length()[::-1], []
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            batch = {key: tensor.to(device) for key, tensor in collate([encoded.rows[at] for at in places]).items()}
            parts.append(scores(pool.forward(batch, [names[at] for at in places])).float().cpu())
    probabilities = torch.cat(parts)[torch.argsort(torch.tensor(order))].softmax(-1)
    labels = label_names_of(subject.bare, probabilities.shape[-1], label_names)
    highest, guesses = probabilities.max(-1)
    columns_ = {"text": found, "delta": pd.Series(names, dtype=object), "label": [labels[at] for at in guesses.tolist()]}
    return PredictionResult(pd.DataFrame({**columns_, "probability": highest.tolist()}), probabilities.tolist(), labels)
