"""Slices of a batch, and one output from those of several slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["joined", "rows_in", "rows_of"]


def rows_in(inputs: Mapping[str, Any]) -> int:
    """How many rows a batch has.

    Raises:
        DeltaError: there is no tensor, or two have different numbers of rows.

    Example:
        >>> rows_in({"input_ids": torch.zeros(2, 5)})
        2
    """
    counts = {key: len(value) for key, value in inputs.items() if isinstance(value, torch.Tensor) and value.dim()}
    if not counts:
        raise DeltaError(
            "There is no batch: no input is a tensor.", expected="Tensors by name, each with a row a text.", try_="pool.predict(texts)"
        )
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{key} has {count}" for key, count in counts.items())
        raise DeltaError(f"The inputs have different numbers of rows: {said}.", expected="One row a text in each.")
    return next(iter(counts.values()))


def rows_of(inputs: Mapping[str, Any], rows: torch.Tensor) -> dict[str, Any]:
    """Some rows of a batch.

    Example:
        >>> rows_of({"input_ids": torch.tensor([[1], [2], [3]])}, torch.tensor([2, 0]))["input_ids"].tolist()
        [[3], [1]]
    """
    return {
        key: value[rows.to(value.device)] if isinstance(value, torch.Tensor) and value.dim() else value for key, value in inputs.items()
    }


def joined(batch: int, parts: Sequence[tuple[torch.Tensor, Any]]) -> Any:
    """One output of the same kind, its rows in the order of the batch. What has no rows (a loss, a cache) is None.

    Args:
        batch: how many rows there are.
        parts: rows, with the output for these.

    Raises:
        DeltaError: outputs of different shapes, as of soft prompts that keep their rows.

    Example:
        >>> joined(2, [(torch.tensor([1]), torch.ones(1)), (torch.tensor([0]), torch.zeros(1))]).tolist()
        [0.0, 1.0]
    """
    outputs = [output for _, output in parts]
    first = outputs[0]
    if isinstance(first, dict):
        keys = [key for key in first if all(key in output for output in outputs)]
        found = {key: joined(batch, [(rows, output[key]) for rows, output in parts]) for key in keys}
        return type(first)(**{key: value for key, value in found.items() if value is not None})
    if isinstance(first, tuple | list):
        return type(first)(joined(batch, [(rows, output[at]) for rows, output in parts]) for at in range(len(first)))
    if any(not isinstance(output, torch.Tensor) or output.dim() == 0 or len(output) != len(rows) for rows, output in parts):
        return None
    if len({output.shape[1:] for output in outputs}) > 1:
        shapes = " and ".join(dict.fromkeys(str(list(output.shape[1:])) for output in outputs))
        msg = f"The deltas of this batch give outputs of different shapes: {shapes}."
        raise DeltaError(msg, expected="Rows of one shape, to go into one output.", try_="a call for each of them")
    whole = first.new_empty(batch, *first.shape[1:])
    for rows, output in parts:
        whole[rows] = output
    return whole
