"""A tiny BERT with a classifier, a tokenizer that fits it, and sentences that it can learn in a few steps."""

from __future__ import annotations

import gc
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.models import bert

__all__ = ["Tiny", "films", "light_collections", "tiny", "tiny_tokenizer", "values"]

_WORDS = ["good", "bad", "film", "plot", "cast", "a", "the", "was", "and", "story", "scene", "music", "very", "quite"]


if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def light_collections() -> Iterator[None]:
    """Accelerate collects garbage at the start of each run, which costs a tiny one most of its time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@dataclass
class Tiny:
    """What a backbone has: model, tokenizer, name."""

    model: Any
    tokenizer: Any
    name: str = "tiny"


def tiny_tokenizer(longest: int = 32) -> Any:
    """One token a word."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: at for at, word in enumerate([*specials, *_WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    words = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=longest, **words)


def tiny(seed: int = 0, **changes: Any) -> Tiny:
    """A fresh backbone in eval mode."""
    return Tiny(bert(seed, **changes), tiny_tokenizer())


def films(count: int = 120, seed: int = 0) -> list[tuple[str, str]]:
    """Sentences of different lengths; the label is the one of "good" and "bad" that occurs."""
    draw = random.Random(seed)  # noqa: S311
    rows = []
    for at in range(count):
        label = ("good", "bad")[at % 2]
        words = draw.choices(_WORDS[2:], k=draw.randint(1, 4))
        words.insert(draw.randint(0, len(words)), label)
        rows.append((" ".join(words), label))
    return rows


def values(model: Any) -> dict[str, Any]:
    """A copy of every tensor, by name."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in tensors}
