"""From texts to batches: tokenised once, padded to the longest text of each batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from deltanb.training._subject import Subject

__all__ = ["Encoded", "collator", "encode"]


@dataclass(frozen=True)
class Encoded:
    """Tokenised texts.

    Attributes:
        rows: the model's inputs for each text, as plain lists; ``labels`` among them if labels were given.
        cut: how many texts were too long and lost their end.
    """

    rows: list[dict[str, Any]]
    cut: int

    @property
    def tokens(self) -> int:
        """Tokens of all texts together."""
        return sum(len(row["input_ids"]) for row in self.rows)

    def by_length(self) -> list[int]:
        """Positions of the rows, shortest text first."""
        return sorted(range(len(self.rows)), key=lambda at: len(self.rows[at]["input_ids"]))


def encode(subject: Subject, texts: Sequence[str], labels: Sequence[int] | None = None, max_length: int = 128) -> Encoded:
    """Tokenise texts.

    Args:
        subject: the model whose input it becomes, and the tokenizer.
        texts: any number.
        labels: one a text.
        max_length: in tokens; the rest of a longer text is cut.

    Raises:
        DeltaError: the tokenizer belongs to another model.
    """
    found = subject.tokenizer(list(texts), truncation=True, max_length=subject.longest(max_length))
    columns = {key: values for key, values in found.items() if key in subject.accepted or key == "input_ids"}
    if labels is not None:
        columns["labels"] = list(labels)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    _check_vocabulary(subject, rows)
    cut = sum(bool(encoding.overflowing) for encoding in found.encodings or [])
    return Encoded(rows, cut)


def _check_vocabulary(subject: Subject, rows: list[dict[str, Any]]) -> None:
    embeddings = getattr(subject.bare, "get_input_embeddings", lambda: None)()
    size = getattr(embeddings, "num_embeddings", None)
    highest = max((max(row["input_ids"], default=0) for row in rows), default=0)
    if size is not None and highest >= size:
        raise DeltaError(
            f"The tokenizer gives token {highest}, but {type(subject.bare).__name__} knows {size} tokens.",
            expected="The tokenizer that belongs to the model is needed.",
        )


def collator(subject: Subject) -> Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]:
    """A function from rows to a batch of tensors, padded to its longest row."""
    from transformers import DataCollatorWithPadding

    pad: Any = DataCollatorWithPadding(subject.tokenizer)
    accepted = subject.accepted

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        return {key: tensor for key, tensor in pad(rows).items() if key in accepted}  # padding adds an attention mask

    return collate
