"""Who is trained: a model and its tokenizer, checked before any time is spent."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.engine._registry import unwrapped
from deltanb.reports._text import plural

if TYPE_CHECKING:
    from torch import nn

    from deltanb.datasets import TextData

__all__ = ["Subject", "check_classifier", "check_head", "subject_of"]


@dataclass(frozen=True)
class Subject:
    """A model with its tokenizer.

    Attributes:
        model: the module as given, compiled or not.
        tokenizer: of transformers.
        name: what to call it.
    """

    model: nn.Module
    tokenizer: Any
    name: str

    @property
    def bare(self) -> nn.Module:
        """The module itself where ``torch.compile`` has wrapped it."""
        return unwrapped(self.model)

    @property
    def accepted(self) -> set[str]:
        """Names of the arguments of the model's ``forward``."""
        return set(inspect.signature(self.bare.forward).parameters)

    @property
    def classes(self) -> int | None:
        """Outputs of the head; None where the model does not say."""
        count = getattr(getattr(self.bare, "config", None), "num_labels", None)
        return count if isinstance(count, int) else None

    def longest(self, wanted: int) -> int:
        """``wanted`` tokens, or as many as model and tokenizer take."""
        config = getattr(self.bare, "config", None)
        positions = getattr(config, "max_position_embeddings", None) or wanted
        if "roberta" in getattr(config, "model_type", ""):  # counts positions from behind the pad id
            positions -= (getattr(config, "pad_token_id", None) or 0) + 1
        return min(wanted, positions, int(getattr(self.tokenizer, "model_max_length", wanted)))


def subject_of(model: object, tokenizer: Any = None) -> Subject:
    """The model and tokenizer of whatever the caller has.

    Args:
        model: a module, or a backbone (an object with ``model``, ``tokenizer`` and ``name``).
        tokenizer: used instead of the backbone's.

    Raises:
        DeltaError: it is no model, a skeleton, or there is no tokenizer.

    Example:
        >>> subject_of("minilm")
        Traceback (most recent call last):
        ...
        deltanb._errors.DeltaError: 'minilm' is no model. A backbone or a torch.nn.Module is needed. Try: deltanb.load_backbone("minilm")
    """
    from torch import nn

    name = type(model).__name__
    if not isinstance(model, nn.Module):
        inner = getattr(model, "model", None)
        if not isinstance(inner, nn.Module):
            raise _no_model(model)
        name, tokenizer, model = getattr(model, "name", name), tokenizer or getattr(model, "tokenizer", None), inner
    _check_weights(model, name)
    _check_tokenizer(tokenizer, name)
    return Subject(model, tokenizer, name)


def _no_model(given: object) -> DeltaError:
    from torch import nn

    if isinstance(getattr(given, "backbone_model", None), nn.Module):
        return DeltaError(f"{given!r} is a delta.", expected="The backbone that carries it is needed.", try_="delta.backbone_model")
    name = given if isinstance(given, str) else "minilm"
    return DeltaError(
        f"{given!r} is no model.", expected="A backbone or a torch.nn.Module is needed.", try_=f'deltanb.load_backbone("{name}")'
    )


def _check_weights(model: nn.Module, name: str) -> None:
    if any(tensor.is_meta for tensor in model.parameters()):
        raise DeltaError(
            f"{name} is a skeleton: it has a structure and no weights.",
            expected="Training and evaluation need weights.",
            try_=f'deltanb.load_backbone("{name}", random=True), or "minilm", which is pretrained',
        )


def _check_tokenizer(tokenizer: Any, name: str) -> None:
    if tokenizer is None:
        raise DeltaError(
            f"There is no tokenizer for {name}.",
            expected="It turns text into the model's input.",
            try_='tokenizer=AutoTokenizer.from_pretrained("…"), or deltanb.load_backbone("minilm"), which brings its own',
        )
    if not (callable(tokenizer) and hasattr(tokenizer, "pad")):
        raise DeltaError(f"{type(tokenizer).__name__} is no tokenizer.", expected="A tokenizer of transformers is needed.")
    if getattr(tokenizer, "pad_token", None) is None:
        raise DeltaError(
            "The tokenizer has no padding token, so texts of different lengths cannot share a batch.",
            try_="tokenizer.pad_token = tokenizer.eos_token; model.config.pad_token_id = tokenizer.pad_token_id",
        )


def check_head(subject: Subject, data: TextData) -> None:
    """Refuse a model that does not classify texts, and labels that its head has no output for.

    Raises:
        DeltaError: with what the head has and what the data need.
    """
    check_classifier(subject)
    _check_one_class_a_text(subject)
    needed = _needed(data)
    classes = subject.classes
    if classes is None or 1 < classes >= needed:
        return
    names = ", ".join(data.label_names[:6]) + (", …" if len(data.label_names) > 6 else "")  # noqa: PLR2004
    outputs = plural(classes, "output")
    has = f"{type(subject.bare).__name__} has {outputs}"
    raise DeltaError(
        f"The labels do not fit the head: {data.name!r} needs {max(needed, 2)} classes ({names}), {has}.",
        expected="The head needs one output a class.",
        try_=f'deltanb.load_backbone("{subject.name}", num_labels={max(needed, 2)})',
    )


def check_classifier(subject: Subject) -> None:
    """Refuse a model without a head that classifies texts.

    Raises:
        DeltaError: with what is needed.
    """
    from transformers import PreTrainedModel

    name = type(subject.bare).__name__
    if "labels" in subject.accepted and (not isinstance(subject.bare, PreTrainedModel) or "ForSequenceClassification" in name):
        return
    raise DeltaError(
        f"{name} has no head that classifies texts.",
        expected="A model whose forward takes labels and gives one score a class is needed, such as BertForSequenceClassification.",
        try_=f'deltanb.load_backbone("{subject.name}", task="classification")',
    )


def _check_one_class_a_text(subject: Subject) -> None:
    kind = getattr(getattr(subject.bare, "config", None), "problem_type", None)
    if kind not in (None, "single_label_classification"):
        raise DeltaError(
            f"The model's config says problem_type={kind!r}.",
            expected="Each text has one class here.",
            try_='model.config.problem_type = "single_label_classification"',
        )


def _needed(data: TextData) -> int:
    """How many outputs the labels need.

    Raises:
        DeltaError: there are no rows, or a label is no class.
    """
    labels: list[Any] = [*data.train[:]["label"], *data.test[:]["label"]]
    for split, rows in (("training", data.train), ("test", data.test)):
        if len(rows) == 0:
            raise DeltaError(f"{data.name!r} has no {split} rows.", expected="At least a few texts of each class are needed.")
    odd = next((label for label in labels if not isinstance(label, int) or label < 0), None)
    if odd is not None:
        raise DeltaError(f"{data.name!r} has the label {odd!r}.", expected="Labels are whole numbers from 0, one a class.")
    highest = int(max(labels))
    if highest >= len(data.label_names):
        raise DeltaError(
            f"{data.name!r} has the label {highest} and {plural(len(data.label_names), 'name')}.", expected="One name a class is needed."
        )
    return len(data.label_names)
