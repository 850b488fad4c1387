"""One view of every kind of table: column names, and the values of one column as plain Python objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

__all__ = ["Table", "as_table", "find_column", "kinds"]

_TEXT = ("text", "sentence", "review", "content", "comment", "document", "utterance", "tweet", "message", "question", "body", "phrase")
_LABEL = ("label", "labels", "sentiment", "class", "category", "target", "polarity", "stars", "rating", "y")


@dataclass(frozen=True)
class Table:
    """Rows and columns, wherever they are kept.

    Attributes:
        what: what a person would call it: ``DataFrame``, ``reviews.csv``.
        columns: the names of the columns.
        values: name to the values of that column.
        class_names: name to the classes that the column declares, else nothing.

    Example:
        >>> table = as_table([("A fine film.", 1), ("Dull.", 0)])
        >>> table.columns, table.values("label")
        (['text', 'label'], [1, 0])
    """

    what: str
    columns: list[str]
    values: Callable[[str], list[Any]]
    class_names: Callable[[str], list[str]]


def as_table(obj: object, what: str = "") -> Table:
    """A DataFrame, a ``datasets.Dataset``, a dict of columns, or a list of pairs or of dicts as a ``Table``.

    Raises:
        DeltaError: it is none of these, or its columns differ in length.

    Example:
        >>> as_table({"text": ["Good."], "label": [1]}).columns
        ['text', 'label']
    """
    import datasets
    import pandas as pd

    if isinstance(obj, datasets.Dataset):
        return _from_dataset(obj, what or "Dataset")
    if isinstance(obj, pd.DataFrame):
        return _from_frame(obj, what or "DataFrame")
    if isinstance(obj, Mapping):
        return _from_frame(_frame(dict(obj)), what or "dict of columns")
    if isinstance(obj, Sequence) and not isinstance(obj, str | bytes):
        return _from_frame(_frame(_records(obj)), what or "list")
    raise DeltaError(f"{type(obj).__name__} is not a kind of data that can be trained on.", expected=kinds())


def find_column(table: Table, asked: str | None, role: str) -> str:
    """The column that holds the texts (``role="text"``) or the labels (``role="label"``).

    Raises:
        DeltaError: the column asked for is not there, or none has a usual name.

    Example:
        >>> find_column(as_table({"Review": ["Good."], "stars": [5]}), None, "text")
        'Review'
    """
    found = f"Columns found: {', '.join(table.columns) or 'none'}."
    if asked is not None:
        if asked not in table.columns:
            raise DeltaError(f"The {table.what} has no column {asked!r}.", expected=found, nearest=close(str(asked), table.columns))
        return asked
    folded = {name.strip().lower(): name for name in reversed(table.columns)}
    usual = _TEXT if role == "text" else _LABEL
    for name in usual:
        if name in folded:
            return folded[name]
    raise DeltaError(
        f"Which column of the {table.what} holds the {role}s is not clear.",
        expected=f"{found} Usual names: {', '.join(usual[:5])}, …",
        try_='say which: text="…", label="…"',
    )


def kinds() -> str:
    """What is accepted, in one sentence.

    Example:
        >>> kinds()[:10]
        'A shipped '
    """
    return (
        "A shipped name, a path to a .csv, .tsv, .json or .jsonl file, a pandas DataFrame, a datasets.Dataset or DatasetDict, "
        "a list of (text, label) pairs or a dict of columns is needed."
    )


def _from_frame(frame: pd.DataFrame, what: str) -> Table:
    columns = [str(name) for name in frame.columns]

    def values(name: str) -> list[Any]:
        return list(frame.iloc[:, columns.index(name)].astype(object))

    return Table(what, columns, values, lambda _: [])


def _from_dataset(rows: Dataset, what: str) -> Table:
    from datasets import ClassLabel

    def class_names(name: str) -> list[str]:
        feature = rows.features[name]
        return list(feature.names) if isinstance(feature, ClassLabel) else []

    # A format such as "torch" would give tensors.
    plain = rows.with_format(None)
    return Table(what, list(rows.column_names), lambda name: plain.select_columns([name])[:][name], class_names)


def _frame(content: Any) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.DataFrame(content, dtype=object)
    except ValueError as error:
        raise DeltaError("The columns do not fit together: each must be a list, all of one length.", expected=kinds()) from error


def _records(rows: Sequence[Any]) -> Any:
    """Pairs as two columns; dicts stay as they are."""
    if rows and all(isinstance(row, Mapping) for row in rows):
        return [dict(row) for row in rows]
    for at, row in enumerate(rows):
        if not isinstance(row, tuple | list) or len(row) != 2:  # noqa: PLR2004
            raise DeltaError(f"Row {at} of the list is {_short(row)}, not a (text, label) pair.", expected='Such as ("A fine film.", 1).')
    if rows and all(isinstance(label, str) and not isinstance(text, str) for text, label in rows):
        raise DeltaError("The pairs are (label, text).", expected="They must be (text, label).", try_="[(t, l) for l, t in pairs]")
    return {"text": [row[0] for row in rows], "label": [row[1] for row in rows]}


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."  # noqa: PLR2004
