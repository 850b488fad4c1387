"""Checks the two columns that count, and turns labels of any kind into 0, 1, 2, ..."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Label", "check_labels", "check_texts", "class_order", "is_unlabelled"]

Label = int | str | bool


def check_texts(values: Sequence[Any], column: str, what: str) -> list[str]:
    """The texts, if every row has one.

    Raises:
        DeltaError: there are no rows, a row has no text, or something that is no text.

    Example:
        >>> check_texts(["Good.", None], "review", "DataFrame")
        Traceback (most recent call last):
        ...
        deltanb._errors.DeltaError: 1 of 2 rows of the DataFrame has no text in 'review' (the first is row 1, counting from 0)...
    """
    if not values:
        raise DeltaError(f"The {what} has no rows.", expected="At least a few texts of each class are needed.")
    _refuse_missing([_missing(value) or (isinstance(value, str) and not value.strip()) for value in values], "text", column, what)
    for at, value in enumerate(values):
        if not isinstance(value, str):
            raise DeltaError(
                f"Column {column!r} of the {what} holds {type(value).__name__} (row {at}: {str(value)[:40]!r}), not text.",
                try_='name the column of texts: text="…"',
            )
    return list(values)


def check_labels(values: Sequence[Any], column: str, what: str) -> list[Label]:
    """The labels as plain ints, strings or bools, if every row has one and all are of one kind.

    Raises:
        DeltaError: a label is missing, is a float, or of another kind than the rest.

    Example:
        >>> check_labels([0.5, 1.0], "score", "DataFrame")
        Traceback (most recent call last):
        ...
        deltanb._errors.DeltaError: Column 'score' of the DataFrame holds floats (row 0: 0.5), and a class is an int or a word...
    """
    _refuse_missing([_missing(value) for value in values], "label", column, what)
    labels = [_plain(value) for value in values]
    for at, label in enumerate(labels):
        if isinstance(label, float):
            raise DeltaError(
                f"Column {column!r} of the {what} holds floats (row {at}: {label}), and a class is an int or a word.",
                try_=f'df["label"] = (df["{column}"] > 0).astype(int), then label="label"',
            )
        if not isinstance(label, int | str):
            raise DeltaError(
                f"Column {column!r} of the {what} holds {type(label).__name__} (row {at}), and a class is an int or a word.",
                try_='name the column of labels: label="…"',
            )
        if type(label) is not type(labels[0]):
            raise DeltaError(
                f"Column {column!r} of the {what} mixes {type(labels[0]).__name__} (row 0) and {type(label).__name__} (row {at}).",
                expected="All labels must be of one kind.",
            )
    return labels


def class_order(labels: Iterable[Label], column: str, what: str, declared: Sequence[str] = ()) -> list[Label]:
    """The classes in sorted order; the place in it is the label's number.

    Args:
        labels: every label of every split.
        column: for the error.
        what: for the error.
        declared: the names of a ``ClassLabel`` column, whose ints are numbers already.

    Raises:
        DeltaError: there is one class only, or nearly every row has its own.

    Example:
        >>> class_order(["pos", "neg", "pos"], "label", "list")
        ['neg', 'pos']
    """
    seen = list(labels)
    classes = sorted(set(seen), key=lambda label: (isinstance(label, str), label))
    if len(classes) == 1:
        raise DeltaError(f"Column {column!r} of the {what} holds one class only: {classes[0]!r}.", expected="At least two are needed.")
    if len(classes) > 20 and len(classes) > len(seen) // 2:  # noqa: PLR2004
        raise DeltaError(
            f"Column {column!r} of the {what} holds {len(classes):,} different values in {len(seen):,} rows, which are no classes.",
            try_='name the column of labels: label="…"',
        )
    return list(range(len(declared))) if declared else classes


def is_unlabelled(values: Sequence[Any], declared: Sequence[str]) -> bool:
    """Whether a split has no labels, as the public test splits of many benchmarks (-1 everywhere in a ``ClassLabel`` column).

    Example:
        >>> is_unlabelled([-1, -1], ["neg", "pos"])
        True
    """
    return all(_missing(value) or (bool(declared) and value == -1) for value in values)


def _refuse_missing(missing: list[bool], kind: str, column: str, what: str) -> None:
    count = sum(missing)
    if count:
        raise DeltaError(
            f"{count:,} of {len(missing):,} rows of the {what} {'has' if count == 1 else 'have'} no {kind} in {column!r} "
            f"(the first is row {missing.index(True)}, counting from 0).",
            expected="Every row needs both.",
            try_=f'df = df.dropna(subset=["{column}"])',
        )


def _missing(value: object) -> bool:
    import pandas as pd

    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    """A NumPy or torch scalar as the Python object it stands for."""
    return value.item() if hasattr(value, "item") and not isinstance(value, str) and getattr(value, "ndim", 0) == 0 else value
