"""What deltas say about texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._quiet import quiet
from deltanb.reports import Report
from deltanb.reports._html import bar, table, tag
from deltanb.reports._text import columns
from deltanb.training._encoding import collator, encode
from deltanb.training._forward import device_of, scores
from deltanb.training._labels import label_names_of
from deltanb.training._predict import checked_texts
from deltanb.training._subject import check_classifier, subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from deltanb.serving._pool import DeltaPool

__all__ = ["Answers", "answers"]

_SHOWN = 20  # rows that are drawn
_LONGEST = 100  # characters of a text that are drawn


@dataclass(eq=False, repr=False)
class Answers(Report):
    """What deltas say about texts.

    Attributes:
        df: a DataFrame, a row a text: ``text``, ``delta`` (None: the plain backbone), ``label``, ``probability`` of that label.
        probabilities: for each text, the probability of every class.
        label_names: the classes.
    """

    df: pd.DataFrame
    probabilities: list[list[float]]
    label_names: list[str]

    def text(self) -> str:
        """A line a text."""
        rows = [[delta, label, f"{probability:.3f}", shown] for shown, delta, label, probability in self._rows()]
        return "\n".join([*columns([["delta", "label", "probability", "text"], *rows], [False, False, True, False]), *self._more()])

    def html(self) -> str:
        """A table with a bar for each probability."""
        body = [
            [shown, delta, label, tag("span", bar([("trainable", probability)]), f" {probability:.3f}")]
            for shown, delta, label, probability in self._rows()
        ]
        return tag("div", table(["text", "delta", "label", "probability"], body, [False] * 4), *self._more())

    def _rows(self) -> list[tuple[str, str, str, float]]:
        top = self.df.head(_SHOWN)
        texts = [text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…" for text in top["text"]]
        deltas = [delta or "(none)" for delta in top["delta"]]
        return list(zip(texts, deltas, top["label"], top["probability"], strict=True))

    def _more(self) -> list[str]:
        return [f"… and {len(self.df) - _SHOWN:,} more in .df"] if len(self.df) > _SHOWN else []


def answers(pool: DeltaPool, texts: Any, deltas: Any, *, label_names: Sequence[str] | None, max_length: int, batch_size: int) -> Answers:
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
    return Answers(pd.DataFrame({**columns_, "probability": highest.tolist()}), probabilities.tolist(), labels)
