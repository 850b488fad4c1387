"""``evaluate``: how good a model is on rows that it was not trained on, and where it is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._quiet import quiet
from deltanb._suggest import close
from deltanb.datasets import as_text_data
from deltanb.reports import Report
from deltanb.reports._html import note, table, tag
from deltanb.reports._text import columns, number, plural
from deltanb.training._encoding import encode
from deltanb.training._forward import logits_of
from deltanb.training._metrics import metrics_of, tally
from deltanb.training._settings import Settings
from deltanb.training._subject import check_head, subject_of

if TYPE_CHECKING:
    import pandas as pd

    from deltanb.datasets import TextData

__all__ = ["EvaluationResult", "evaluate"]

_SPLITS = ("test", "train")
_MOST_CLASSES = 8  # in the drawn table


@dataclass(eq=False, repr=False)
class EvaluationResult(Report):
    """How good a model is on some rows.

    Attributes:
        metrics: ``accuracy``, ``loss`` (cross-entropy), ``rows``, ``majority`` (always saying the commonest class), ``f1`` (mean over
            the classes) and ``f1_NAME`` for each.
        predictions: a DataFrame, a row a text: ``text``, ``label``, ``predicted``, ``probability`` (of what was predicted), ``right``.
        label_names: the classes.
        counts: how often each class (row) was taken for each (column).
        title: model, data, split.
    """

    metrics: dict[str, float]
    predictions: pd.DataFrame
    label_names: list[str]
    counts: list[list[int]]
    title: str

    @property
    def accuracy(self) -> float:
        """Share of the texts that were classified right."""
        return self.metrics["accuracy"]

    def wrong(self, n: int = 5) -> pd.DataFrame:
        """The texts that were classified wrong with the greatest confidence, worst first.

        Args:
            n: how many at most.
        """
        found = self.predictions[~self.predictions["right"]]
        ordered = found.sort_values("probability", ascending=False, kind="stable").head(n)
        return ordered.drop(columns="right").reset_index(drop=True)

    def text(self) -> str:
        """One line, the table of mistakes, F1 by class."""
        header, body = self._mistakes()
        right = [False, *[True] * (len(header) - 1)]
        return "\n".join([self._line(), *columns([header, *body], right)])

    def html(self) -> str:
        """The same as a table."""
        header, body = self._mistakes()
        head = tag("div", self._line(), style="font-weight:bold;margin:4px 0px")
        return tag("div", head, table(header, body, [False, *[True] * (len(header) - 1)]), note(self.title))

    def _line(self) -> str:
        found = self.metrics
        rows = plural(int(found["rows"]), "row")
        return f"Accuracy {found['accuracy']:.3f} on {rows}, loss {found['loss']:.3f}; always the commonest class: {found['majority']:.3f}."

    def _mistakes(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows: a class a row, what it was taken for a column."""
        names = self.label_names[:_MOST_CLASSES]
        header = ["class", *[f"taken for {name}" for name in names], "F1"]
        body = [
            [name, *[number(count) for count in self.counts[at][: len(names)]], f"{self.metrics[f'f1_{name}']:.3f}"]
            for at, name in enumerate(names)
        ]
        return header, body


def evaluate(  # noqa: PLR0913
    model: Any,
    data: object,
    *,
    tokenizer: Any = None,
    batch_size: int = 64,
    rows: int | None = None,
    split: str = "test",
    max_length: int = 128,
    text: str | None = None,
    label: str | None = None,
) -> EvaluationResult:
    """Measure a model on labelled texts. Nothing of the model changes, its train/eval mode included.

    Data without splits are split as `train` splits them, so that a model is not measured on what it was trained on.

    Args:
        model: a backbone, or a ``torch.nn.Module``.
        data: as in `train`.
        tokenizer: of transformers; a backbone brings its own.
        batch_size: texts at a time.
        rows: measure on so many rows, the classes in proportion.
        split: ``test`` or ``train``.
        max_length: in tokens; the rest of a longer text is cut.
        text: the column of texts.
        label: the column of labels.

    Raises:
        DeltaError: the labels do not fit the head, there is no tokenizer, …

    Example:
        >>> from deltanb import evaluate, load_backbone
        >>> backbone = load_backbone("bert-tiny", random=True)
        >>> result = evaluate(backbone, "movie_reviews", rows=20)
        >>> result.metrics["rows"], list(result.wrong(3).columns)
        (20, ['text', 'label', 'predicted', 'probability'])
    """
    Settings(batch_size=batch_size, max_length=max_length)
    if split not in _SPLITS:
        raise DeltaError(f"There is no split {split!r}.", expected=f"One of {', '.join(_SPLITS)} is needed.", nearest=close(split, _SPLITS))
    subject = subject_of(model, tokenizer)
    task = as_text_data(data, text=text, label=label)
    check_head(subject, task)
    texts, labels = _chosen(task, split, rows)
    with quiet():
        logits = logits_of(subject, encode(subject, texts, max_length=max_length), batch_size)
    metrics = metrics_of(logits, labels, task.label_names)
    probabilities, predicted = logits.softmax(-1).max(-1)
    guesses = predicted.tolist()
    title = f"{subject.name}, {task.name}, {split} rows"
    counts = tally(guesses, labels, len(task.label_names))
    return EvaluationResult(metrics, _table(texts, labels, guesses, probabilities.tolist(), task), task.label_names, counts, title)


def _chosen(task: TextData, split: str, rows: int | None) -> tuple[list[str], list[int]]:
    part = task.test if split == "test" else task.train
    if rows is not None:
        part = replace(task, train=part, scores={}).limit(rows).train
    columns = part[:]
    return columns["text"], columns["label"]


def _table(texts: list[str], labels: list[int], guesses: list[int], probabilities: list[float], task: TextData) -> pd.DataFrame:
    import pandas as pd

    names = dict(enumerate(task.label_names))
    return pd.DataFrame(
        {
            "text": texts,
            "label": [names[label] for label in labels],
            "predicted": [names.get(guess, str(guess)) for guess in guesses],  # the head may have more outputs than there are classes
            "probability": probabilities,
            "right": [label == guess for label, guess in zip(labels, guesses, strict=True)],
        }
    )
