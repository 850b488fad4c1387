"""A card's two parts: the metadata that the hub reads, and the text. What a person wrote on the hub is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._quiet import quiet
from deltanb.sharing._card import Subject, base_model, body

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["card_text", "license_of", "pipeline_tag"]

_START = "<!-- deltanb writes this part, down to the line that says so, anew with every push. Text of your own is kept above and below. -->"
_END = "<!-- end of the part that deltanb writes -->"


def card_text(subject: Subject, datasets: Sequence[str], old: str | None) -> tuple[str, list[str]]:
    """The whole ``README.md``.

    Args:
        subject: what it is about.
        datasets: ids of data sets on the hub.
        old: the one that is there now; its own text and metadata are kept.

    Returns:
        The text, and what is worth saying.

    Raises:
        DeltaError: the metadata of the old one cannot be read.
    """
    from huggingface_hub import ModelCardData

    written = f"{_START}\n\n{body(subject)}\n\n{_END}"
    known = _metadata_of(old, subject.repo)
    found = {key: value for key, value in _metadata(subject, datasets).items() if value}
    found["tags"] = list(dict.fromkeys([*_listed(known.get("tags")), *found["tags"]]))
    data = ModelCardData(ignore_metadata_errors=True, **{**known, **found})
    text, notes = written, []
    if old is not None:
        before = _without_metadata(old)
        start, middle, rest = before.partition(_START)
        end = rest.partition(_END)
        if middle and end[1]:
            text = f"{start}{written}{end[2]}"
        elif before.strip():
            text = before
            notes.append("the card there is a text of your own: only its metadata was brought up to date")
    return f"---\n{data.to_yaml()}\n---\n\n{text.strip()}\n", notes


def license_of(card: str | None, repo: str) -> str:
    """The licence that a card names; "" if it names none.

    Raises:
        DeltaError: its metadata cannot be read.
    """
    return str(_metadata_of(card, repo).get("license") or "")


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _metadata(subject: Subject, datasets: Sequence[str]) -> dict[str, Any]:
    config = getattr(subject.delta.backbone_model, "config", None)
    kind = subject.delta.delta_type
    return {
        "base_model": base_model(subject.facts),
        "library_name": "deltanb",
        "license": subject.license,
        "pipeline_tag": pipeline_tag(subject.facts["backbone"]["class"]),
        "datasets": list(datasets),
        "tags": [
            *("delta-tuning", "parameter-efficient-fine-tuning"),
            *(dict.fromkeys([kind, getattr(config, "model_type", "")]) if config is not None else [kind]),
        ],
    }


def pipeline_tag(model_class: str) -> str:
    """The hub's word for what a model of transformers does; "" where it has none.

    Example:
        >>> pipeline_tag("BertForSequenceClassification"), pipeline_tag("WhisperForConditionalGeneration"), pipeline_tag("MyModel")
        ('text-classification', 'automatic-speech-recognition', '')
    """
    from transformers import modelcard

    tasks: dict[str, Any] = dict(modelcard.TASK_MAPPING)
    for task, mapping in tasks.items():
        if model_class in _classes(mapping):
            return task
    return ""


def _classes(mapping: dict[str, Any]) -> list[str]:
    return [name for value in mapping.values() for name in (value if isinstance(value, (list, tuple)) else [value])]


def _metadata_of(card: str | None, repo: str) -> dict[str, Any]:
    from huggingface_hub import ModelCard

    if card is None:
        return {}
    try:
        with quiet():
            data: Any = ModelCard(card, ignore_metadata_errors=True).data
            return dict(data.to_dict())
    except Exception as error:  # noqa: BLE001 (YAML by hand fails in every way that there is)
        reason = str(error).strip().split("\n")[0]
        msg = f"The metadata of the card of {repo!r} cannot be read: {reason}."
        raise DeltaError(msg, expected="YAML between two lines of three dashes; mend it on the repository's page.") from None


def _without_metadata(card: str) -> str:
    parts = card.replace("\r\n", "\n").split("---\n", 2)
    return parts[2] if card.startswith("---") and len(parts) == 3 else card  # noqa: PLR2004 (before, metadata, text)
