"""Verbs that use data: data, train, evaluate, predict."""

from __future__ import annotations

import sys
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from deltanb._errors import DeltaError
from deltanb.datasets import TextData, as_text_data
from deltanb.engine import without_deltas
from deltanb.reports import Outcome
from deltanb.workbench._core import Core
from deltanb.workbench._python import call
from deltanb.workbench._snapshot import trainable_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deltanb.training import EvaluationResult, GeneratedText, PredictionResult, TrainingResult
    from deltanb.workbench._background import BackgroundRun
    from deltanb.workbench._step import Step

__all__ = ["Learn"]

_UNSPOKEN = frozenset({"display", "on_step", "stop"})  # what a line of Python cannot say
_STOPPING = 10.0  # seconds that stop waits for the present step
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
            return self.data_in_use()
        with self.step("data", f"%delta data {variable or source}") as step:
            with step.shield.lifted():
                chosen = as_text_data(source, **options)
            self.data_set = chosen
            step.python.append(_data_code(source, variable, options))
        return self.data_set  # type: ignore[no-any-return]

    def _choose(self, source: Any, variable: str, columns: dict[str, Any], step: Step) -> TextData:
        if source is None:
            return self.data_in_use()
        with step.shield.lifted():
            chosen = as_text_data(source, **columns)
        line = _data_code(source, variable, columns)
        said = [known for entry in self.steps for known in entry.python if known.startswith("data = ")]
        if said[-1:] != [line]:
            step.python.append(line)
        self.data_set = chosen
        return chosen

    @overload
    def train(self, source: Any = None, *, background: Literal[False] = False, **options: Any) -> TrainingResult: ...

    @overload
    def train(self, source: Any = None, *, background: Literal[True], **options: Any) -> BackgroundRun: ...

    def train(
        self,
        source: Any = None,
        *,
        variable: str = "",
        restart: bool = False,
        background: bool = False,
        text: str | None = None,
        label: str | None = None,
        **options: Any,
    ) -> TrainingResult | BackgroundRun:
        """Train what is trainable. Again: goes on from where it is; ``restart`` begins anew.

        Args:
            source: data; default: the set in use.
            variable: what the user calls it, for the code.
            restart: put everything that trained back to its values before the first run.
            background: train in a thread and return at once. Until it is done, what would change or use the model has to wait;
                torch's random numbers are shared with what else runs meanwhile.
            text: name of the column with the text.
            label: name of the column with the label.
            **options: of `deltanb.training.train`; what ``cache_frozen`` keeps is there for the next run with it.

        Returns:
            The result; with ``background`` the run, which has ``stop()``, ``wait()``, ``done`` and ``result``.
        """
        columns = {key: value for key, value in {"text": text, "label": label}.items() if value is not None}
        with ExitStack() as held:
            step = held.enter_context(self.step("train", "%delta train"))
            data = self._choose(source, variable, columns, step)
            run = self._background_run(options) if background else None
            work = self._prepared(step, data, {**options, **(run.options if run else {})}, restart=restart)
            step.python += self._train_code(options)
            if run is None:
                return self._learned(step, data, work)
            self._hand_over(run, step, held.pop_all(), lambda: self._learned(step, data, work))
        return run

    def _background_run(self, options: dict[str, Any]) -> BackgroundRun:
        from deltanb.training import live_display
        from deltanb.workbench._background import BackgroundRun

        return BackgroundRun(live_display(options.get("display", "auto"), aside=True), options.get("stop"))

    def _prepared(self, step: Step, data: TextData, options: dict[str, Any], *, restart: bool) -> Callable[[], TrainingResult]:
        """Check what is asked for, and note what undo needs; gives what trains."""
        from deltanb.training import prepared

        model = self.backbone_in_use.model
        step.undoable = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad) < _UNDO_BYTES
        step.values_then = trainable_values(model) if step.undoable else {}
        if restart:
            self._put_first_values()
        self._remember_first_values()
        step.restarts = restart
        with step.shield.lifted():
            return prepared(self.backbone_in_use, data, resume=self.result, **{**options, **self._cache(options)})

    def _train_code(self, options: dict[str, Any]) -> list[str]:
        goes_on = [] if self.result is None else ["resume=result"]
        shown = {key: value for key, value in options.items() if key not in _UNSPOKEN}
        if isinstance(options.get("display"), str | bool):
            shown["display"] = options["display"]
        return [f"result = {call('deltanb.train', 'backbone', 'data', *goes_on, **shown)}", "print(result.metrics)"]

    def _learned(self, step: Step, data: TextData, work: Callable[[], TrainingResult]) -> TrainingResult:
        """Train, and note what came of it."""
        before = self.result
        with step.shield.lifted():
            result = work()
        step.values_now = trainable_values(self.model) if step.undoable else {}
        self.result = result
        step.run = self._runs.add(result, self.model, data.name, goes_on=before)
        return result

    def _hand_over(self, run: BackgroundRun, step: Step, held: ExitStack, work: Callable[[], TrainingResult]) -> None:
        """Let a thread go on with the step, and end it."""

        def whole() -> TrainingResult:
            with held:
                return work()
            raise AssertionError  # the step never swallows an error

        before, self.training = self.training, run
        try:
            run.start(whole)
        except BaseException:
            self.training = before
            held.__exit__(*sys.exc_info())
            raise
        step.shield.leave()

    def stop(self) -> Outcome:
        """End the training in the background after the present step; what was learned is kept."""
        run = self.training
        if run is None or run.done:
            return Outcome("Nothing is training in the background.", next="%delta train --background")
        run.stop()
        if not run.ended_within(_STOPPING):
            return Outcome("Training ends after the present step.", {"at": run.status}, next="%delta wait")
        result = run.wait()
        return Outcome(result.verdict, {"steps": f"{result.steps:,} of {result.planned:,}"}, next="%delta evaluate", value=result)

    def wait(self, seconds: float | None = None) -> TrainingResult:
        """Wait until the training in the background is done, and give its result.

        Args:
            seconds: at most so long.

        Raises:
            DeltaError: it failed, or is not done yet, or there was none.
        """
        if self.training is None:
            msg = "Nothing has been trained in the background."
            raise DeltaError(msg, expected="A run to wait for.", try_="%delta train --background")
        return self.training.wait(seconds)

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

    def generate(self, prompts: str | Sequence[str], **options: Any) -> GeneratedText:
        """How a language model goes on, with its deltas and without; options as for `deltanb.training.generate`."""
        from deltanb.training import generate

        with self.locked("generate"):
            return generate(self.backbone_in_use, prompts, **options)


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
