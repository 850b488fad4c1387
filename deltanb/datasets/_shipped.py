"""The data sets that travel with the package, with splits that never change."""

from __future__ import annotations

import csv
import gzip
import io
import math
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.datasets._split import digest, hold_out
from deltanb.datasets._text_data import TextData, to_dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset

__all__ = ["load", "names"]

_SOURCE = "Hutto & Gilbert, VADER, ICWSM 2014 (cite it); from vaderSentiment 0.5, MIT licence, © 2014 C.J. Hutto"
_LABELS = ["negative", "positive"]
# How many rows are held out; None: a quarter.
_TEST_ROWS: dict[str, int | None] = {"movie_reviews": 2605, "product_reviews": None, "news_editorials": None}


@dataclass(frozen=True)
class _Row:
    key: str
    score: float
    text: str


def names() -> list[str]:
    """The names that ``load`` knows.

    Example:
        >>> names()
        ['movie_reviews', 'product_reviews', 'news_editorials']
    """
    return list(_TEST_ROWS)


def load(name: str, threshold: float = 0.0) -> TextData:
    """A shipped data set: short English texts, ``positive`` (1) where people rated them above 0, else ``negative`` (0).

    Train and test are fixed for good: a row's place depends on nothing but its id and text.

    Args:
        name: one of ``names()``.
        threshold: rows whose rating (-4 to 4) is nearer to 0 than this are left out; no row changes sides.

    Raises:
        DeltaError: there is no such set, or the threshold leaves fewer than two classes.

    References:
        Hutto & Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text, ICWSM 2014.

    Example:
        >>> data = load("movie_reviews")
        >>> len(data.train), len(data.test)
        (8000, 2605)
        >>> len(load("news_editorials", threshold=0.5).df)
        2970
    """
    if name not in names():
        raise DeltaError(
            f"No data set {name!r} travels with deltanb.",
            expected=f"Known: {', '.join(names())}.",
            nearest=close(str(name), names()),
            try_="%delta data movie_reviews",
        )
    _check_threshold(threshold)
    rows = _read(name)
    wanted = _TEST_ROWS[name]
    held = hold_out([row.key for row in rows], [row.text for row in rows], len(rows) // 4 if wanted is None else wanted)
    order = sorted(range(len(rows)), key=lambda at: rows[at].key)
    kept = [at for at in order if abs(rows[at].score) >= threshold]
    train = [rows[at] for at in kept if at not in held]
    test = [rows[at] for at in kept if at in held]
    _check_classes(name, threshold, train, test)
    return TextData(name, _dataset(train), _dataset(test), list(_LABELS), _SOURCE, {"train": _scores(train), "test": _scores(test)})


def _read(name: str) -> list[_Row]:
    packed = files("deltanb.datasets").joinpath(f"{name}.csv.gz").read_bytes()
    lines = io.StringIO(gzip.decompress(packed).decode("utf-8"), newline="")
    return [_Row(digest(row["id"], row["text"]), float(row["score"]), row["text"]) for row in csv.DictReader(lines)]


def _dataset(rows: Sequence[_Row]) -> Dataset:
    return to_dataset([row.text for row in rows], [int(row.score > 0) for row in rows], _LABELS)


def _scores(rows: Sequence[_Row]) -> list[float]:
    return [row.score for row in rows]


def _check_threshold(threshold: object) -> None:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold < math.inf:
        raise DeltaError(f"The threshold {threshold!r} is not usable.", expected="A number from 0 (keep every row) to about 2 is needed.")


def _check_classes(name: str, threshold: float, *splits: Sequence[_Row]) -> None:
    for rows in splits:
        if len({row.score > 0 for row in rows}) < len(_LABELS):
            raise DeltaError(
                f"A threshold of {threshold} leaves {len(rows)} rows of {name!r} in a split, too few for two classes.",
                expected="Ratings run from -4 to 4, and most lie between -2 and 2.",
                try_=f'deltanb.datasets.load("{name}", threshold=0.5)',
            )
