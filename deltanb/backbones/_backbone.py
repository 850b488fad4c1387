"""What a notebook works on: a model, its tokenizer, and where both came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Backbone", "Kind", "Task"]

Kind = Literal["pretrained", "random", "skeleton", "yours"]
Task = Literal["classification", "base", "seq2seq", "causal-lm", "masked-lm", "image", "speech", "unknown"]


@dataclass(eq=False)
class Backbone:
    """A model that deltas can be attached to. The model is an ordinary module, never wrapped.

    Attributes:
        model: the ``torch.nn.Module``.
        tokenizer: turns text into its input; None where it takes none, or where none is known.
        name: what a person calls it.
        kind: ``pretrained``, ``random`` (freshly initialised), ``skeleton`` (no weights) or ``yours``.
        task: what its head is for.
        source: one line: where the weights came from, and what in them is new.
        code: the line of Python that rebuilds it.

    Example:
        >>> from deltanb.backbones import load_backbone
        >>> load_backbone("bart-tiny", random=True).code
        'deltanb.load_backbone("bart-tiny", random=True, num_labels=2)'
    """

    model: nn.Module
    tokenizer: Any
    name: str
    kind: Kind
    task: Task
    source: str
    code: str

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.model.parameters())
        head = f"Backbone {self.name!r} ({self.kind}, {self.task}): {type(self.model).__name__}, {count:,} parameters"
        return f"{head}\n{self.source}"
