"""What a delta has learned, as a widget: bars for each layer, singular values, and a sentence with the delta and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from deltanb._errors import DeltaError
from deltanb.widgets._base import DeltaWidget
from deltanb.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.reports import AnatomyReport, Comparison
    from deltanb.reports.anatomy import Group

__all__ = ["DeltaAnatomy"]

_MOST_KEPT = 12  # typed sentences
_DIGITS = 4


class DeltaAnatomy(DeltaWidget):
    """Shows what a delta has learned.

    Args:
        source: a `deltanb.Workbench`, a backbone, or a ``torch.nn.Module``.
        name: of an attached delta; default: the one attached last.
        texts: example sentences; default: as for `deltanb.anatomy`.
        **traits: of the widget.

    Attributes:
        name: the delta's.
        title: what is shown, in one line.
        groups: ``pattern``, ``type``, ``core``, ``labels`` and ``rows`` of modules whose names differ by numbers only; a row has
            ``name``, ``change``, ``relative``, ``moved``, ``values`` (singular, largest first), ``rank`` (effective) and ``first``.
        comparisons: ``text``, ``labels``, ``with`` and ``without`` (probabilities) and ``typed`` of each sentence, typed ones first.
        predicts: ``label``, ``next token``, or "".
        here: how far each place moved on the sentence typed last, by its name.
        caption: on what movement was measured.
        notes: what a careful colleague would point out.
        selected: name of the module whose singular values are shown.
        measure: what the bars show: ``relative``, ``change``, ``moved`` or ``here``.
        order: of the layers: ``model`` or ``size``.
        sentence: in the text box.

    Example:
        >>> from deltanb import LoraModel, load_backbone
        >>> backbone = load_backbone("bert-tiny", random=True)
        >>> delta = LoraModel(backbone.model, modified_modules=["query"], lora_r=2)
        >>> widget = DeltaAnatomy(backbone)
        >>> widget.groups[0]["pattern"], widget.groups[0]["labels"], widget.selected
        ('bert.encoder.layer.$.attention.self.query', ['0', '1'], 'bert.encoder.layer.0.attention.self.query')
        >>> widget.answer("compare", {"sentence": "What a film!"})["value"]["labels"]
        ['LABEL_0', 'LABEL_1']
    """

    file_stem = "anatomy"

    name, title, predicts, caption, selected, sentence = (traitlets.Unicode().tag(sync=True) for _ in range(6))
    groups: Any = traitlets.List().tag(sync=True)
    comparisons: Any = traitlets.List().tag(sync=True)
    notes: Any = traitlets.List().tag(sync=True)
    measure = traitlets.Enum(["relative", "change", "moved", "here"], "relative").tag(sync=True)
    order = traitlets.Enum(["model", "size"], "model").tag(sync=True)
    here = traitlets.Dict().tag(sync=True)

    def __init__(self, source: Any, name: str | None = None, *, texts: str | Sequence[str] | None = None, **traits: Any) -> None:
        self._source = source
        self._report = _report(source, name, texts)
        super().__init__(**{**_state(self._report), **traits})

    def on_compare(self, sentence: str) -> dict[str, Any] | None:
        """The answers to a sentence with the delta and without it; the bars can then show how far it moved the activations.

        Args:
            sentence: what was typed.

        Raises:
            DeltaError: there is no text; the delta is no longer attached, or another step is at work on the model.
        """
        text = str(sentence).strip()
        if not text:
            raise DeltaError("There is no sentence yet.", expected="Type one, then compare.", try_="A warm, funny film.")
        answers, moved = self._compared(text)
        with self.hold_sync():
            self.here = {place: _short(value) for place, value in moved.items()}
            found = None if answers is None else {**_answer(answers), "typed": True}
            if found:
                kept = [one for one in self.comparisons if not (one.get("typed") and one["text"] == text)]
                typed = [one for one in kept if one.get("typed")][: _MOST_KEPT - 1]
                self.comparisons = [found, *typed, *(one for one in kept if not one.get("typed"))]
        return found

    def _compared(self, text: str) -> tuple[Comparison | None, dict[str, float]]:
        if isinstance(self._source, Workbench):
            return self._source.compare(text, self.name)
        from deltanb.training import Reader

        return Reader(self._source, self.name).compare(text)

    def static_form(self) -> AnatomyReport:
        """The same as a plain report, with the sentences that were typed."""
        from dataclasses import replace

        from deltanb.reports import Comparison

        typed = [
            Comparison(one["text"], tuple(one["labels"]), tuple(one["with"]), tuple(one["without"]))
            for one in self.comparisons
            if one.get("typed")
        ]
        return replace(self._report, comparisons=[*typed, *self._report.comparisons])


def _report(source: Any, name: str | None, texts: str | Sequence[str] | None) -> AnatomyReport:
    if isinstance(source, Workbench):
        return source.inspect(name, texts)
    from deltanb.training import anatomy

    return anatomy(source, name, texts)


def _state(report: AnatomyReport) -> dict[str, Any]:
    weighed = any(row.relative is not None for row in report.rows if row.core)
    return {
        "name": report.name,
        "title": report.title,
        "groups": [_group(group) for group in report.groups],
        "comparisons": [_answer(one) for one in report.comparisons],
        "predicts": report.predicts,
        "notes": list(report.notes),
        "caption": report.caption,
        "selected": report.rows[0].name if report.rows else "",
        "measure": "relative" if weighed else "moved",
    }


def _group(group: Group) -> dict[str, Any]:
    rows = [
        {
            "name": row.name,
            "change": _short(row.change),
            "relative": _short(row.relative),
            "moved": _short(row.moved),
            "values": [_short(value) for value in row.singular_values],
            "rank": _short(row.effective_rank),
            "first": _short(row.first_energy),
        }
        for row in group.rows
    ]
    return {"pattern": group.pattern, "type": group.rows[0].type, "core": group.rows[0].core, "labels": list(group.labels), "rows": rows}


def _answer(one: Comparison) -> dict[str, Any]:
    return {
        "text": one.text,
        "labels": list(one.labels),
        "with": [round(value, _DIGITS) for value in one.with_delta],
        "without": [round(value, _DIGITS) for value in one.without],
    }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
