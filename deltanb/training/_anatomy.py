"""``anatomy``: what a delta has learned, in its weights, in the activations and in the answers."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._quiet import quiet
from deltanb.engine import Moved, deltas, places_of, side_by_side, weight_changes
from deltanb.engine._registry import unwrapped
from deltanb.engine._switch import found_delta
from deltanb.reports import AnatomyReport, AnatomyRow
from deltanb.structure import backbone_modules
from deltanb.training._answers import Answers
from deltanb.training._predict import checked_texts
from deltanb.training._subject import subject_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from deltanb.datasets import TextData
    from deltanb.engine import DeltaModel, WeightChange
    from deltanb.reports import Comparison

__all__ = ["SENTENCES", "Reader", "anatomy", "held_out"]

SENTENCES = (
    "A warm, funny film that I would gladly see again.",
    "The service was slow, and the food was cold when it came.",
    "The meeting has been moved to Thursday afternoon.",
)
_FEW = 4
_LONG = 300  # characters: a shorter held-out text is an easier example


def anatomy(
    model: object,
    delta: DeltaModel | str | None = None,
    texts: str | Sequence[str] | None = None,
    *,
    data: TextData | None = None,
    tokenizer: Any = None,
    label_names: Sequence[str] | None = None,
    max_length: int = 128,
    on_text: Callable[[int], None] | None = None,
) -> AnatomyReport:
    """What a delta has learned: how much it changes weights, moves activations, and turns answers.

    Sizes and singular values are of the change of the backbone's own weights. Movement and answers are measured on sentences, one
    at a time, with the delta and without it; other attached deltas are on in both passes. Without the delta, the tensors that it was
    allowed to train (a head) are the backbone's own again. Nothing of the model changes.

    Args:
        model: a backbone, or a ``torch.nn.Module``.
        delta: an attached one, or its name; default: the one attached last.
        texts: example sentences; default: a few held-out ones of ``data``, else three built-in ones.
        data: a data set, for sentences and the names of the classes.
        tokenizer: of transformers; a backbone brings its own. Without one, nothing is measured on sentences.
        label_names: the classes; default: as for `deltanb.predict`.
        max_length: in tokens; the rest of a longer text is cut.
        on_text: called before each text with its number, from 0; the model is whole then.

    Raises:
        DeltaError: the model is a skeleton, no such delta is attached, a text is none, or texts are given and there is no tokenizer.

    Example:
        >>> from deltanb import LoraModel, load_backbone
        >>> backbone = load_backbone("bert-tiny", random=True)
        >>> delta = LoraModel(backbone.model, modified_modules=["query"], lora_r=2)
        >>> report = anatomy(backbone, texts="What a film!")
        >>> report.untrained, report.df["moved"].tolist()
        (True, [0.0, 0.0])
    """
    names = data.label_names if data is not None and label_names is None else label_names
    reader = Reader(model, delta, tokenizer=tokenizer, label_names=names, max_length=max_length, required=texts is not None)
    changes = weight_changes(reader.delta)
    chosen = checked_texts(texts) if texts is not None else held_out(data) if data is not None else list(SENTENCES)
    comparisons: list[Comparison] = []
    moved: dict[str, Moved] = {}
    tokens = 0
    for at, text in enumerate(chosen if reader.reads else ()):
        if on_text:
            on_text(at)
        answer, states, length = reader.read(text)
        comparisons += [answer] if answer else []
        moved = {name: moved.get(name, Moved()) + state for name, state in states.items()}
        tokens += length
    core = [change for change in changes if change.core]
    return AnatomyReport(
        reader.delta.name,
        reader.delta.delta_type,
        _rows(reader.delta, changes, moved),
        comparisons,
        predicts=reader.answers.kind if comparisons else "",
        texts=chosen if reader.reads else [],
        tokens=tokens,
        untrained=not any(change.change for change in core) if core and not reader.delta.created else None,
        notes=_notes(reader),
    )


class Reader:
    """Reads one sentence at a time with a delta and without it.

    Args:
        model: a backbone, or a module.
        delta: an attached one, or its name; default: the one attached last.
        tokenizer: of transformers; a backbone brings its own.
        label_names: the classes.
        max_length: in tokens.
        required: whether it is an error that there is no tokenizer.
    """

    def __init__(
        self,
        model: Any,
        delta: DeltaModel | str | None = None,
        *,
        tokenizer: Any = None,
        label_names: Sequence[str] | None = None,
        max_length: int = 128,
        required: bool = True,
    ) -> None:
        from torch import nn

        tokenizer = tokenizer or (None if isinstance(model, nn.Module) else getattr(model, "tokenizer", None))
        self.reads = required or tokenizer is not None
        subject = subject_of(model, tokenizer) if self.reads else None
        bare = subject.bare if subject else unwrapped(model if isinstance(model, nn.Module) else model.model)
        self.delta = _chosen(bare, delta)
        self.answers = Answers(subject, label_names)
        self.places = places_of(self.delta)
        self.max_length = max_length

    def read(self, text: str) -> tuple[Comparison | None, dict[str, Moved], int]:
        """The answers to a sentence, how far each place moved, and how many tokens it has.

        Raises:
            DeltaError: there is no tokenizer.
        """
        with quiet():
            inputs = self.answers.inputs(text, self.max_length)
            passes = side_by_side(self.delta, inputs, self.places)
        return self.answers.compare(text, passes), passes.moved, int(inputs["input_ids"].numel())

    def compare(self, text: str) -> tuple[Comparison | None, dict[str, float]]:
        """The answers to a sentence, and ‖Δh‖ / ‖h‖ of each place where it was measured."""
        answer, moved, _ = self.read(text)
        return answer, {place: state.mean for place, state in moved.items() if state.mean is not None}


def held_out(data: TextData, count: int = _FEW) -> list[str]:
    """A few held-out texts of a data set, the classes in turn, none of them long if it can be helped.

    Example:
        >>> from deltanb.datasets import load
        >>> len(held_out(load("movie_reviews")))
        4
    """
    rows = data.test[:]
    by_class: dict[int, list[str]] = {}
    for text, label in sorted(zip(rows["text"], rows["label"], strict=True), key=lambda row: len(row[0]) > _LONG):
        by_class.setdefault(label, []).append(text)
    turns = [text for turn in zip_longest(*(texts[:count] for _, texts in sorted(by_class.items()))) for text in turn if text is not None]
    return turns[:count]


def _chosen(model: nn.Module, delta: DeltaModel | str | None) -> DeltaModel:
    attached = deltas(model)
    if delta is not None:
        return found_delta(model, delta)
    if not attached:
        raise DeltaError("No delta is attached.", expected="A delta, which can be looked into.", try_="%delta attach lora query")
    return list(attached.values())[-1]


def _rows(delta: DeltaModel, changes: Sequence[WeightChange], moved: dict[str, Moved]) -> list[AnatomyRow]:
    """A row for each module that is changed or watched, in model order; what is no core of the delta stands last."""
    kinds = {name: type(module).__name__ for name, module in backbone_modules(delta.backbone_model)}
    order = {name: at for at, name in enumerate(kinds)}
    known = {change.name for change in changes}
    made = [
        AnatomyRow(one.name, kinds[one.name], one.change, one.relative, one.singular_values, _mean(moved, one.name), one.core)
        for one in changes
    ]
    made += [AnatomyRow(name, kinds[name], moved=_mean(moved, name)) for name in places_of(delta) if name not in known]
    return sorted(made, key=lambda row: (not row.core, order[row.name]))


def _mean(moved: dict[str, Moved], name: str) -> float | None:
    return moved[name].mean if name in moved else None


def _notes(reader: Reader) -> list[str]:
    delta = reader.delta
    others = [name for name, other in deltas(delta.backbone_model).items() if other is not delta]
    heads = dict.fromkeys(name.rpartition(".")[0] for name, owned in delta.owned.items() if not owned.core)
    said = []
    if not delta.merges:
        said.append(f"a delta of type {delta.delta_type} adds a function of the text: its size is how far it moves activations")
    if any(name != place for name, place in reader.places.items()):
        said.append("a pair stands under its first module; how far it moves activations is measured behind its second")
    if getattr(delta.config, "use_dora", False):
        said.append("DoRA rescales each row as well: the singular values are those of its low-rank part, ‖ΔW‖ is of the whole change")
    if delta.created:
        said.append("biases that the backbone lacks began at random values, not at 0")
    if heads:
        said.append(f"without the delta, what it was allowed to train is the backbone's own again: {', '.join(heads)}")
    if others:
        said.append(f"also attached, and on in both passes: {', '.join(others)}")
    if not reader.reads:
        said.append("there is no tokenizer, so nothing was measured on sentences")
    elif not reader.answers.kind:
        said.append(f"{type(delta.backbone_model).__name__} has no head whose answers could be compared")
    return said
