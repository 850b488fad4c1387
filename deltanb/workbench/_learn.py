"""Verbs that use data: data, train, evaluate, predict."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.datasets import TextData, as_text_data
from deltanb.engine import without_deltas
from deltanb.reports import Outcome
from deltanb.workbench._core import Core
from deltanb.workbench._python import call
from deltanb.workbench._snapshot import trainable_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.training import EvaluationResult, PredictionResult, TrainingResult
    from deltanb.workbench._step import Step

__all__ = ["Learn"]

_UNDO_BYTES = 300_000_000  # more than this is not copied to make a training step undoable


class Learn(Core):
    """The verbs of `Core` that use data."""

    def data(self, source: Any = None, *, variable: str = "", **options: Any) -> TextData:
        """Choose the data set; without ``source``, the one in use.

        Args:
            source: a shipped name, a file, a DataFrame, a ``datasets.Dataset``, a list of (text, label).
            variable: what the user calls it, for the code.
            **options: of `deltanb.datasets.as_text_data`.
        """
        if source is None:
            return self._data_in_use()
        with self.step("data", f"%delta data {variable or source}") as step:
            with step.shield.lifted():
                chosen = as_text_data(source, **options)
            self.data_set = chosen
            step.python.append(_data_code(source, variable, options))
        return self.data_set  # type: ignore[no-any-return]

    def _data_in_use(self) -> TextData:
        if self.data_set is None:
            from deltanb.datasets import names

            msg = "There is no data yet."
            raise DeltaError(msg, expected=f"One of {', '.join(names())}, or data of your own.", try_="%delta train movie_reviews")
        return self.data_set  # type: ignore[no-any-return]

    def _choose(self, source: Any, variable: str, columns: dict[str, Any], step: Step) -> TextData:
        if source is None:
            return self._data_in_use()
        with step.shield.lifted():
            chosen = as_text_data(source, **columns)
        line = _data_code(source, variable, columns)
        said = [known for entry in self.steps for known in entry.python if known.startswith("data = ")]
        if said[-1:] != [line]:
            step.python.append(line)
        self.data_set = chosen
        return chosen

    def train(
        self,
        source: Any = None,
        *,
        variable: str = "",
        restart: bool = False,
        text: str | None = None,
        label: str | None = None,
        **options: Any,
    ) -> TrainingResult:
        """Train what is trainable. Again: goes on from where it is; ``restart`` begins anew.

        Args:
            source: data; default: the set in use.
            variable: what the user calls it, for the code.
            restart: put everything that trained back to its values before the first run.
            text: name of the column with the text.
            label: name of the column with the label.
            **options: of `deltanb.training.train`; what ``cache_frozen`` keeps is there for the next run with it.
        """
        from deltanb.training import train

        backbone = self.backbone_in_use
        columns = {key: value for key, value in {"text": text, "label": label}.items() if value is not None}
        with self.step("train", "%delta train") as step:
            data = self._choose(source, variable, columns, step)
            size = sum(p.numel() * p.element_size() for p in backbone.model.parameters() if p.requires_grad)
            undoable = size < _UNDO_BYTES
            step.values_then = trainable_values(backbone.model) if undoable else {}
            if restart:
                self._put_first_values()
            self._remember_first_values()
            resume = None if restart else self.result
            with step.shield.lifted():
                result = train(backbone, data, resume=resume, **{**options, **self._cache(options)})
            step.values_now = trainable_values(backbone.model) if undoable else {}
            step.undoable = undoable
            self.result = result
            goes_on = [] if resume is None else ["resume=result"]
            step.restarts = restart
            step.python += [f"result = {call('deltanb.train', 'backbone', 'data', *goes_on, **options)}", "print(result.metrics)"]
        return result

    def _cache(self, options: dict[str, Any]) -> dict[str, Any]:
        """What ``cache_frozen`` keeps stays for the next run; a run without it frees the memory."""
        from deltanb.training import FrozenCache

        if not options.get("cache_frozen"):
            self.frozen = None
            return {}
        self.frozen = self.frozen or FrozenCache()
        return {"cache_frozen": self.frozen}

    def _remember_first_values(self) -> None:
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and self.first_values.get(name, (0, None))[0] != id(parameter):
                self.first_values[name] = (id(parameter), parameter.detach().clone())

    def _put_first_values(self) -> None:
        import torch

        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                known, value = self.first_values.get(name, (0, None))
                if known == id(parameter) and value is not None and parameter.requires_grad:
                    parameter.copy_(value)
        self.result = None

    def evaluate(
        self,
        source: Any = None,
        *,
        variable: str = "",
        text: str | None = None,
        label: str | None = None,
        without: bool = False,
        **options: Any,
    ) -> EvaluationResult:
        """Accuracy and loss on held-out rows.

        Args:
            source: data; default: the set in use.
            variable: what the user calls it, for the code.
            text: name of the column with the text.
            label: name of the column with the label.
            without: turn every delta off for it: how good is the backbone by itself?
            **options: of `deltanb.training.evaluate`.
        """
        from deltanb.training import evaluate

        columns = {key: value for key, value in {"text": text, "label": label}.items() if value is not None}
        with self.step("evaluate", "%delta evaluate") as step:
            step.undoable = False
            data = self._choose(source, variable, columns, step)
            with without_deltas(self.model) if without else nullcontext(), step.shield.lifted():
                result = evaluate(self.backbone_in_use, data, **options)
            line = f"print({call('deltanb.evaluate', 'backbone', 'data', **options)}.metrics)"
            step.python.append(f"with deltanb.without_deltas(model):\n    {line}" if without else line)
        return result

    def predict(self, texts: str | Sequence[str]) -> PredictionResult:
        """What the model says about texts."""
        from deltanb.training import predict

        names = self.data_set.label_names if self.data_set is not None else None
        with self.locked("predict"):
            return predict(self.backbone_in_use, texts, label_names=names)


def _data_code(source: Any, variable: str, options: dict[str, Any]) -> str:
    name = variable or ("" if isinstance(source, (str, Path)) else "your_data")
    note = f"  # {name}: your own" if name else ""
    shown = name or repr(str(source))
    return f"data = {call('as_text_data', shown, **options)}{note}"


def data_outcome(data: TextData) -> Outcome:
    """A data set in words, for display."""
    facts = {
        "training rows": f"{len(data.train):,}",
        "held-out rows": f"{len(data.test):,}",
        "labels": ", ".join(data.label_names),
        "source": data.source,
    }
    return Outcome(f"Data {data.name}.", facts, next="%delta train", value=data)
