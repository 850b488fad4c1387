"""``predict``: what a model makes of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._quiet import quiet
from deltanb.reports import Report
from deltanb.reports._html import bar, table, tag
from deltanb.reports._text import columns
from deltanb.training._encoding import encode
from deltanb.training._forward import logits_of
from deltanb.training._labels import label_names_of
from deltanb.training._subject import check_classifier, subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["PredictionResult", "checked_texts", "predict"]

_SHOWN = 20  # rows that are drawn
_LONGEST = 100  # characters of a text that are drawn


@dataclass(eq=False, repr=False)
class PredictionResult(Report):
    """What a model makes of some texts.

    Attributes:
        df: a DataFrame, a row a text: ``text``, ``label``, ``probability`` of that label; where texts were put to different deltas
            (`deltanb.DeltaPool`) also ``delta``, None for the plain backbone.
        probabilities: for each text, the probability of every class.
        label_names: the classes.
    """

    df: pd.DataFrame
    probabilities: list[list[float]]
    label_names: list[str]

    def text(self) -> str:
        """A line a text."""
        rows = [[*delta, label, f"{probability:.3f}", shown] for shown, delta, label, probability in self._rows()]
        header = [*self._extra, "label", "probability", "text"]
        return "\n".join([*columns([header, *rows], [*[False for _ in self._extra], False, True, False]), *self._more()])

    def html(self) -> str:
        """A table with a bar for each probability."""
        body = [
            [shown, *delta, label, tag("span", bar([("trainable", probability)]), f" {probability:.3f}")]
            for shown, delta, label, probability in self._rows()
        ]
        header = ["text", *self._extra, "label", "probability"]
        return tag("div", table(header, body, [False] * len(header)), *self._more())

    @property
    def _extra(self) -> list[str]:
        return ["delta"] if "delta" in self.df else []

    def _rows(self) -> list[tuple[str, list[str], str, float]]:
        top = self.df.head(_SHOWN)
        texts = [text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…" for text in top["text"]]
        deltas = [[delta or "(none)"] for delta in top["delta"]] if self._extra else [[] for _ in texts]
        return list(zip(texts, deltas, top["label"], top["probability"], strict=True))

    def _more(self) -> list[str]:
        return [f"… and {len(self.df) - _SHOWN:,} more in .df"] if len(self.df) > _SHOWN else []


def predict(
    model: Any, texts: str | Sequence[str], tokenizer: Any = None, label_names: Sequence[str] | None = None, max_length: int = 128
) -> PredictionResult:
    """Classify texts. Nothing of the model changes, its train/eval mode included.

    Args:
        model: a backbone, or a ``torch.nn.Module``.
        texts: one or several.
        tokenizer: of transformers; a backbone brings its own.
        label_names: the classes; default: those of the data that the model was trained on in this session, else its config's.
        max_length: in tokens; the rest of a longer text is cut.

    Raises:
        DeltaError: there is no text, no tokenizer, no head that classifies.

    Example:
        >>> from deltanb import load_backbone, predict
        >>> backbone = load_backbone("bert-tiny", random=True)
        >>> predict(backbone, "What a film!", label_names=["bad", "good"]).df.columns.tolist()
        ['text', 'label', 'probability']
    """
    import pandas as pd

    found = checked_texts(texts)
    subject = subject_of(model, tokenizer)
    check_classifier(subject)
    with quiet():
        probabilities = logits_of(subject, encode(subject, found, max_length=max_length)).softmax(-1)
    names = label_names_of(subject.bare, probabilities.shape[-1], label_names)
    highest, guesses = probabilities.max(-1)
    df = pd.DataFrame({"text": found, "label": [names[guess] for guess in guesses.tolist()], "probability": highest.tolist()})
    return PredictionResult(df, probabilities.tolist(), names)


def checked_texts(texts: Any) -> list[str]:
    """One text or several as a list.

    Raises:
        DeltaError: there is none, or something is no text.

    Example:
        >>> checked_texts("What a film!")
        ['What a film!']
    """
    try:
        found = [texts] if isinstance(texts, str) else list(texts)
    except TypeError:
        found = [texts]
    odd = [text for text in found if not isinstance(text, str)]
    if odd or not found:
        what = f"{odd[0]!r} is no text." if odd else "There is no text to classify."
        raise DeltaError(what, expected="A text or a list of texts is needed.", try_='predict(model, "A fine film.")')
    return found
