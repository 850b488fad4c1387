"""What a model makes of one sentence, as probabilities: the classes of a classifier, the next token of a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.reports import Comparison
from deltanb.training._encoding import encode
from deltanb.training._forward import device_of, scores
from deltanb.training._labels import label_names_of
from deltanb.training._subject import check_classifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from deltanb.engine import Passes
    from deltanb.training._subject import Subject

__all__ = ["Answers"]

_MOST = 5  # next tokens that are named, of each of the two


class Answers:
    """Reads what a model gives.

    Args:
        subject: the model and its tokenizer; None where there is no tokenizer.
        label_names: of a classifier.

    Attributes:
        kind: ``label``, ``next token``, or "" for a model whose output is neither.
    """

    def __init__(self, subject: Subject | None, label_names: Sequence[str] | None = None) -> None:
        self.subject = subject
        self.label_names = label_names
        self.kind = _kind(subject) if subject else ""

    def inputs(self, text: str, max_length: int) -> dict[str, Any]:
        """One sentence as the model takes it: a batch of one, without padding.

        Args:
            text: any.
            max_length: in tokens.
        """
        import torch

        assert self.subject is not None  # noqa: S101 - checked when the reader was made
        row = encode(self.subject, [text], max_length=max_length).rows[0]
        device = device_of(self.subject.model)
        inputs = {key: torch.tensor([value], device=device) for key, value in row.items()}
        start = getattr(getattr(self.subject.bare, "config", None), "decoder_start_token_id", None)
        if "decoder_input_ids" in self.subject.accepted and "Classification" not in type(self.subject.bare).__name__ and start is not None:
            inputs["decoder_input_ids"] = torch.tensor([[start]], device=device)
        return inputs

    def compare(self, text: str, passes: Passes) -> Comparison | None:
        """The likeliest answers with the delta and without; None where there are none.

        Args:
            text: that was read.
            passes: what the model gave.
        """
        if not self.kind:
            return None
        after, before = (self._probabilities(output) for output in (passes.with_delta, passes.without))
        if after.ndim != 1 or after.shape != before.shape or len(after) < 2:  # noqa: PLR2004 - a regression, say
            return None
        labels, chosen = self._labels(after, before)
        return Comparison(text, tuple(labels), tuple(after[chosen].tolist()), tuple(before[chosen].tolist()))

    def _probabilities(self, output: Any) -> torch.Tensor:
        """Of each label or token, [n], in float32 on the CPU."""
        found = scores(output)[0].float().cpu()
        return (found[-1] if self.kind == "next token" else found).softmax(-1)

    def _labels(self, after: torch.Tensor, before: torch.Tensor) -> tuple[list[str], list[int]]:
        """Names, and which of the probabilities they are."""
        assert self.subject is not None  # noqa: S101
        if self.kind == "label":
            return label_names_of(self.subject.bare, len(after), self.label_names), list(range(len(after)))
        most = min(_MOST, len(after))
        both = dict.fromkeys([*after.topk(most).indices.tolist(), *before.topk(most).indices.tolist()])
        return [self.subject.tokenizer.decode([token]) for token in both], list(both)


def _kind(subject: Subject) -> str:
    """What the model's scores are about."""
    name, config = type(subject.bare).__name__, getattr(subject.bare, "config", None)
    if name.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")):
        return "next token"
    try:
        check_classifier(subject)
    except DeltaError:
        return ""
    return "label" if getattr(config, "problem_type", None) in (None, "single_label_classification") else ""
