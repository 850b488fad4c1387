"""Texts with labels, in two splits: what training and evaluation work on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.datasets._split import digest, proportional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from datasets import Dataset

__all__ = ["TextData", "to_dataset"]


@dataclass(frozen=True, eq=False)
class TextData:
    """A text classification task: a training and a test split.

    Attributes:
        name: short name, as in ``%delta train NAME``.
        train: ``datasets.Dataset`` with the columns ``text`` (str) and ``label`` (int, a ``ClassLabel``).
        test: the same, held out; no text of it occurs in a training split that deltanb made.
        label_names: the name of each class; a label is an index into it.
        source: one line: where the data are from, licence, citation.
        scores: split name to the rating behind each label, where known.

    Example:
        >>> from deltanb.datasets import load
        >>> data = load("movie_reviews")
        >>> data.label_names, data.train.column_names
        (['negative', 'positive'], ['text', 'label'])
        >>> data.limit(3000)
        TextData 'movie_reviews': 3,000 train, 2,605 test; negative 51 %, positive 49 %
        Hutto & Gilbert, VADER, ICWSM 2014 (cite it); from vaderSentiment 0.5, MIT licence, © 2014 C.J. Hutto
    """

    name: str
    train: Dataset
    test: Dataset
    label_names: list[str]
    source: str
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def df(self) -> pd.DataFrame:
        """All rows as a table: ``split``, ``text``, ``label`` and, where known, ``score``.

        Example:
            >>> from deltanb.datasets import load
            >>> load("product_reviews").df.groupby("split")["label"].agg(["size", "sum"]).to_dict("index")
            {'test': {'size': 927, 'sum': 521}, 'train': {'size': 2781, 'sum': 1607}}
        """
        import pandas as pd

        frames = []
        for split, rows in (("train", self.train), ("test", self.test)):
            columns: dict[str, object] = {"split": split, **rows[:]}
            if split in self.scores:
                columns["score"] = list(self.scores[split])
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def limit(self, rows: int, seed: int = 0) -> TextData:
        """The same task with at most ``rows`` training rows, the classes in proportion; the test split stays whole.

        The choice is fixed by ``seed`` and by the texts. The rows keep their order.

        Args:
            rows: how many; at least one for each class.
            seed: another number, another choice.

        Raises:
            DeltaError: ``rows`` is no whole number, or too few for one row of each class.

        Example:
            >>> from deltanb.datasets import load
            >>> len(load("movie_reviews").limit(100).train)
            100
        """
        columns = self.train[:]
        labels = columns["label"]
        sizes = Counter(labels)
        _check_rows(rows, len(sizes), len(labels), self.name)
        if rows >= len(labels):
            return self
        chosen = _choose(columns["text"], labels, proportional(sizes, rows), seed)
        scores = dict(self.scores)
        if "train" in scores:
            scores["train"] = [scores["train"][row] for row in chosen]
        return replace(self, train=self.train.select(chosen), scores=scores)

    def __repr__(self) -> str:
        sizes = Counter(self.train[:]["label"])
        total = max(1, len(self.train))
        shares = ", ".join(f"{name} {100 * sizes[label] / total:.0f} %" for label, name in enumerate(self.label_names[:6]))
        more = f", … ({len(self.label_names)} classes)" if len(self.label_names) > 6 else ""  # noqa: PLR2004
        return f"TextData {self.name!r}: {len(self.train):,} train, {len(self.test):,} test; {shares}{more}\n{self.source}"


def to_dataset(texts: Sequence[str], labels: Sequence[int], label_names: Sequence[str]) -> Dataset:
    """A ``datasets.Dataset`` in memory with the columns ``text`` and ``label``.

    Example:
        >>> to_dataset(["Good."], [1], ["negative", "positive"]).features["label"].int2str(1)
        'positive'
    """
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=list(label_names))})
    return Dataset.from_dict({"text": list(texts), "label": list(labels)}, features=features)


def _check_rows(rows: object, least: int, most: int, name: str) -> None:
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < least:
        raise DeltaError(
            f"{name!r} cannot be limited to {rows!r} training rows.",
            expected=f"A whole number from {least} (one row a class) to {most:,} is needed.",
        )


def _choose(texts: list[str], labels: list[int], shares: Mapping[int, int], seed: int) -> list[int]:
    ranked = sorted(range(len(texts)), key=lambda row: digest(seed, row, texts[row]))
    left = dict(shares)
    chosen = []
    for row in ranked:
        if left[labels[row]]:
            left[labels[row]] -= 1
            chosen.append(row)
    return sorted(chosen)
