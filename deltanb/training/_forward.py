"""A model's scores for texts, without gradients and without a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb.probe import evaluating
from deltanb.training._encoding import collator

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

    from deltanb.training._encoding import Encoded
    from deltanb.training._subject import Subject

__all__ = ["device_of", "logits_of", "scores"]


def logits_of(subject: Subject, encoded: Encoded, batch_size: int = 64, on_rows: Callable[[int], None] | None = None) -> torch.Tensor:
    """Scores [texts, classes] in the order of the rows, as float32 on the CPU.

    Texts of like length share a batch, so that little is computed on padding.

    Args:
        subject: the model and its tokenizer.
        encoded: the texts.
        batch_size: texts at a time.
        on_rows: called after each batch with the number of texts done.
    """
    import torch

    collate, device = collator(subject), device_of(subject.model)
    order = encoded.by_length()[::-1]
    parts = []
    with evaluating(subject.model):
        for start in range(0, len(order), batch_size):
            rows = [_inputs(encoded.rows[at]) for at in order[start : start + batch_size]]
            batch = {key: tensor.to(device) for key, tensor in collate(rows).items()}
            parts.append(scores(subject.model(**batch)).float().cpu())
            if on_rows:
                on_rows(min(start + batch_size, len(order)))
    logits = torch.cat(parts)
    return logits[torch.argsort(torch.tensor(order))]


def _inputs(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "labels"}


def scores(output: Any) -> torch.Tensor:
    """The scores in what a model returned: an output of transformers, a dict, a tuple or a tensor."""
    found = output["logits"] if isinstance(output, dict) else output[0] if isinstance(output, tuple) else output
    tensor: torch.Tensor = found
    return tensor


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are; the CPU for a model without any."""
    import torch

    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
