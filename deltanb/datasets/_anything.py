"""Makes ``TextData`` of whatever the user has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.datasets._files import read_frame
from deltanb.datasets._labels import Label, check_labels, check_texts, class_order, is_unlabelled
from deltanb.datasets._shipped import load, names
from deltanb.datasets._split import digest, fold, hold_out_per_class
from deltanb.datasets._table import Table, as_table, find_column
from deltanb.datasets._text_data import TextData, to_dataset

__all__ = ["as_text_data"]

_TEST_NAMES = ("test", "validation", "valid", "val", "dev", "eval")


@dataclass(frozen=True)
class _Rows:
    texts: list[str]
    labels: list[Label]
    declared: list[str]
    column: str
    what: str


def as_text_data(
    obj: object,
    *,
    text: str | None = None,
    label: str | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    name: str | None = None,
) -> TextData:
    """Whatever the user has, as a task with a training and a test split.

    Labels may be ints, words or bools; they are numbered in sorted order. Where there is no test split one is held out:
    the classes in proportion, chosen by the texts and ``seed`` alone, equal texts on one side.

    Args:
        obj: a ``TextData``, a shipped name, a path (.csv, .tsv, .json, .jsonl), a pandas DataFrame, a ``datasets.Dataset`` or
            ``DatasetDict`` (or a dict of splits), a list of (text, label) pairs or of dicts, a dict of columns.
        text: the column of texts; without it the usual names are tried.
        label: the column of labels; likewise.
        test_fraction: the share of rows to hold out, between 0 and 1.
        seed: another number, another choice of held-out rows.
        name: what to call it.

    Raises:
        DeltaError: it cannot be used, and why.

    Example:
        >>> pairs = [(f"good film {i}", "pos") for i in range(10)] + [(f"bad film {i}", "neg") for i in range(10)]
        >>> as_text_data(pairs, name="films")
        TextData 'films': 16 train, 4 test; neg 50 %, pos 50 %
        your list; 4 of 20 rows held out for testing (classes in proportion, seed 0)
    """
    _check_options(test_fraction, seed)
    if isinstance(obj, str) and obj in names():
        obj = load(obj)
    if isinstance(obj, TextData):
        return obj if name is None else replace(obj, name=name)
    if isinstance(obj, str | Path):
        path = Path(obj).expanduser()
        tables = {"train": as_table(read_frame(path, names()), f"file {path.name}")}
        name = name or path.name.split(".")[0]
    else:
        tables = _splits(obj)
    train, test = _rows(tables["train"], text, label), _test_rows(tables, text, label)
    return _held_out(train, test_fraction, seed, name) if test is None else _as_given(train, test, name)


def _check_options(test_fraction: object, seed: object) -> None:
    if not isinstance(test_fraction, int | float) or not 0 < test_fraction < 1:
        raise DeltaError(f"test_fraction={test_fraction!r} is not usable.", expected="A share between 0 and 1 is needed, such as 0.2.")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise DeltaError(f"seed={seed!r} is not usable.", expected="A whole number is needed, such as 0.")


def _splits(obj: object) -> dict[str, Table]:
    """Split name to table; what has no splits is all ``train``."""
    import datasets
    import pandas as pd

    if isinstance(obj, datasets.IterableDataset | datasets.IterableDatasetDict):
        raise DeltaError("A streaming data set has no known end.", try_="datasets.Dataset.from_list(list(stream.take(5000)))")
    if not (isinstance(obj, Mapping) and obj and all(isinstance(value, datasets.Dataset | pd.DataFrame) for value in obj.values())):
        return {"train": as_table(obj)}
    if "train" not in obj:
        raise DeltaError(
            f"There is no split 'train' among {', '.join(map(str, obj))}.",
            nearest=close("train", map(str, obj)),
            try_='give one split: as_text_data(data["…"])',
        )
    return {str(split): as_table(table, f"split {str(split)!r}") for split, table in obj.items()}


def _rows(table: Table, text: str | None, label: str | None) -> _Rows:
    texts, labels = find_column(table, text, "text"), find_column(table, label, "label")
    declared = table.class_names(labels)
    # A ClassLabel column marks a missing label by -1.
    values = [None if declared and value == -1 else value for value in table.values(labels)]
    found = check_texts(table.values(texts), texts, table.what)
    return _Rows(found, check_labels(values, labels, table.what), declared, labels, table.what)


def _test_rows(tables: dict[str, Table], text: str | None, label: str | None) -> _Rows | None:
    """The rows of the first split meant for testing that has labels."""
    column = find_column(tables["train"], label, "label")
    for split in _TEST_NAMES:
        table = tables.get(split)
        if table is not None and column in table.columns and not is_unlabelled(table.values(column), table.class_names(column)):
            return _rows(table, text, label)
    return None


def _held_out(rows: _Rows, fraction: float, seed: int, name: str | None) -> TextData:
    classes = class_order(rows.labels, rows.column, rows.what, rows.declared)
    # Equal texts get equal keys, whatever their order: the split does not change when rows are shuffled.
    keys = [digest(seed, fold(text), text, label) for text, label in zip(rows.texts, rows.labels, strict=True)]
    held = hold_out_per_class(keys, rows.texts, rows.labels, fraction)
    if not held:
        raise DeltaError(
            f"The {rows.what} has {len(rows.texts)} rows, too few to hold out {fraction:.0%} of each class for testing.",
            expected=f"Rows by class: {', '.join(f'{label} {count}' for label, count in Counter(rows.labels).most_common(6))}.",
            try_="test_fraction=0.5, or more rows",
        )
    order = sorted(range(len(keys)), key=lambda row: (keys[row], row))
    splits = [[row for row in order if (row in held) is side] for side in (False, True)]
    train, test = (_pick(rows, chosen) for chosen in splits)
    note = f"{len(held):,} of {len(keys):,} rows held out for testing (classes in proportion, seed {seed})"
    return _text_data(train, test, classes, name, f"your {rows.what}; {note}")


def _as_given(train: _Rows, test: _Rows, name: str | None) -> TextData:
    if train.declared != test.declared or type(train.labels[0]) is not type(test.labels[0]):
        raise DeltaError(
            f"The labels of {train.what} and {test.what} are of different kinds.",
            expected=f"Found {train.declared or train.labels[:3]} and {test.declared or test.labels[:3]}.",
        )
    class_order(train.labels, train.column, train.what)
    classes = class_order([*train.labels, *test.labels], train.column, train.what, train.declared)
    known = set(map(fold, train.texts))
    shared = sum(fold(text) in known for text in test.texts)
    note = f"; {shared:,} of {len(test.texts):,} test texts are also in the training split" if shared else ""
    return _text_data(train, test, classes, name, f"your data, {train.what} and {test.what}{note}")


def _pick(rows: _Rows, chosen: list[int]) -> _Rows:
    return replace(rows, texts=[rows.texts[row] for row in chosen], labels=[rows.labels[row] for row in chosen])


def _text_data(train: _Rows, test: _Rows, classes: list[Label], name: str | None, source: str) -> TextData:
    label_names = train.declared or [str(label) for label in classes]
    number: dict[Any, int] = {label: at for at, label in enumerate(classes)}
    first, second = (to_dataset(rows.texts, [number[label] for label in rows.labels], label_names) for rows in (train, test))
    return TextData(name or "your data", first, second, label_names, source)
