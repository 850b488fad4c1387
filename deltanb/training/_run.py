"""One training run from the first check to the result."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._quiet import quiet
from deltanb.training._compare import Comparison
from deltanb.training._encoding import Encoded, collator, encode
from deltanb.training._forward import device_of, logits_of
from deltanb.training._frozen import FrozenPart
from deltanb.training._gradients import checkpointing_kept, gradient_notes
from deltanb.training._guards import Backup, model_kept, random_kept
from deltanb.training._labels import remember_labels
from deltanb.training._metrics import metrics_of
from deltanb.training._plan import plan_for
from deltanb.training._progress import Progress, measured
from deltanb.training._rates import default_rate
from deltanb.training._result import COLUMNS, TrainingResult
from deltanb.training._speed import measure_speed
from deltanb.training._what import trainable_of
from deltanb.training._words import stopped, verdict

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from deltanb.datasets import TextData
    from deltanb.training._baseline import Baseline
    from deltanb.training._display import Live
    from deltanb.training._frozen import FrozenCache
    from deltanb.training._settings import Settings
    from deltanb.training._subject import Subject

__all__ = ["Run", "both_encoded"]

_FEW_STEPS = 5  # a run so short is not worth timing first


class Run:
    """The state of one run; `go` does it.

    Args:
        subject: model and tokenizer, checked.
        task: the rows, checked against the head.
        settings: checked.
        live: where to show it.
        resume: the result of the run before, to go on from.
        baseline: what the head alone reaches, if the caller says; False: do not ask; True: find out.
        on_step: the caller's, after each step.
        stop: set by the caller to stop after the present step.
        cache: of the caller, for what ``cache_frozen`` keeps.
        encoded: the training and the held-out rows, where the caller has tokenised them already.
    """

    def __init__(  # noqa: PLR0913
        self,
        subject: Subject,
        task: TextData,
        settings: Settings,
        live: Live,
        *,
        resume: TrainingResult | None = None,
        baseline: Baseline | bool = True,
        on_step: Callable[[dict[str, float]], object] | None = None,
        stop: threading.Event | None = None,
        cache: FrozenCache | None = None,
        encoded: tuple[Encoded, Encoded] | None = None,
    ) -> None:
        self.subject, self.task, self.settings, self.live = subject, task, settings, live
        self.on_step, self.stop = on_step, stop
        self.trainable = trainable_of(subject.bare)
        self.rate_by_default = default_rate(self.trainable)
        self.rate = settings.lr or self.rate_by_default
        self.history = resume.records() if resume else []
        self.steps_before = len(self.history)
        self.resume = resume
        self.is_head = self.trainable.kind == "head"
        known = (resume.baseline if resume else None) if isinstance(baseline, bool) else baseline
        self.compared = Comparison(subject, task, settings, known=known, search=baseline is True and not self.is_head)
        self.metrics: dict[str, float] = {"accuracy": math.nan}
        self.interrupted = False
        self.progress = Progress.after(self.history)
        self.plan = plan_for(*(encoded or both_encoded(subject, task, settings)), settings)
        self.cache = cache
        self.frozen: FrozenPart | None = None
        self.tokens_done = 0
        self.started = time.monotonic()

    def go(self) -> TrainingResult:
        """Train, measure, and say how it went. An error leaves the model as it was; an interrupt keeps what was learned."""
        backup = Backup(self.subject.bare)
        try:
            with quiet(), random_kept():
                self._train()
                self._check_finite(backup)
                self._measure()
            remember_labels(self.subject.bare, self.task.label_names)
        except BaseException as error:
            backup.restore()
            said = self._in_words(error)
            self.live.fail(said)
            if said is error:
                raise
            raise said from error
        result = self._result()
        self.live.finish(result)
        return result

    def _in_words(self, error: BaseException) -> BaseException:
        if type(error).__name__ != "OutOfMemoryError":
            return error
        smaller = f"batch_size={max(1, self.settings.batch_size // 2)}"
        return DeltaError("There is not enough memory for a step of this run.", try_=smaller)

    @property
    def steps(self) -> int:
        """Steps of this run so far."""
        return len(self.history) - self.steps_before

    def _train(self) -> None:
        with model_kept(self.subject.bare), checkpointing_kept(self.subject.bare), TemporaryDirectory() as folder:
            try:
                self._prepare(folder)
                self._heed()
                self._estimate()
                self._fit()
            except KeyboardInterrupt:
                self.interrupted = True

    def _check_finite(self, backup: Backup) -> None:
        """The last step has no loss after it that would show what it did."""
        from deltanb.training._trainer import diverged

        if not backup.finite():
            raise diverged(self.steps, self.rate, self.rate_by_default)

    # Before the first step --------------------------------------------------------------------------------------------

    def _prepare(self, folder: str) -> None:
        """Build the trainer, time one batch, say what will happen."""
        from deltanb.training._trainer import Watch, make_trainer

        plan, collate = self.plan, collator(self.subject)
        watch = Watch(self._after_step, self._asked_to_stop, self.rate_by_default)
        self.trainer = make_trainer(
            self.subject, plan.train, collate, self._seeded(), watch, rate=self.rate, steps=plan.steps, folder=folder
        )
        notes = self._cut(collate)
        if plan.steps > _FEW_STEPS:
            self._time(collate)
        self.compared.look_up()
        texts = self.compared.texts(plan)
        self.progress.preface = plan.preface(self.trainable, self.settings, self.rate, texts_before=texts, done=self.steps_before)
        self.progress.preface = " ".join([self.progress.preface, *notes])
        self.progress.end = self.steps_before + plan.steps
        self.progress.levels = self.compared.levels
        self.live.start(self.progress)

    def _cut(self, collate: Any) -> list[str]:
        """Find what need not be computed again and again; gives what is to be said about it."""
        plan, settings = self.plan, self.settings
        if not settings.cache_frozen:
            shortest = [plan.train.rows[plan.train.by_length()[0]]]
            batch = {key: tensor.to(device_of(self.subject.model)) for key, tensor in collate(shortest).items()}
            compiled = self.subject.model is not self.subject.bare
            return [] if compiled else gradient_notes(self.subject.bare, batch, settings.trainer)
        measured_again = self.cache is not None or plan.measurements > 1
        rows = Encoded([*plan.train.rows, *(plan.test.rows if measured_again else [])], cut=0)
        self.frozen = FrozenPart(self.subject, rows, settings, self.cache)
        few = plan.tokens <= plan.train.tokens and self.cache is None
        return [*self.frozen.notes, *(["That helps from the second pass on, and this run makes one."] if few else [])]

    def _time(self, collate: Any) -> None:
        """Time one batch, and again past the frozen part."""
        plan, size = self.plan, self.settings.batch_size
        plan.speed = measure_speed(self.subject, plan.train, collate, size)
        if self.frozen:
            with self.frozen.rehearsal():
                for _ in range(2):  # the first time keeps the texts
                    plan.short_speed = measure_speed(self.subject, plan.train, collate, size)

    def _short_way(self) -> AbstractContextManager[None]:
        return self.frozen.skipped() if self.frozen else nullcontext()

    def _seeded(self) -> Settings:
        """The settings, with another order of rows for each run that goes on."""
        return replace(self.settings, seed=(self.settings.seed + self.steps_before) % 2**32)

    def _estimate(self) -> None:
        """The head alone, to compare with."""
        texts = self.compared.texts(self.plan)
        if texts:
            with self.progress.during("first the head alone, to compare with", texts, self.live) as done:
                self.compared.estimate(self.plan, self._heeding(done))
            self.progress.levels = self.compared.levels

    # Training ---------------------------------------------------------------------------------------------------------

    def _fit(self) -> None:
        import transformers

        transformers.set_seed(self._seeded().seed)
        self.progress.begin()
        with self._short_way():
            self.trainer.train()
        self.interrupted = self.steps < self.plan.steps and self._asked_to_stop()

    def _asked_to_stop(self) -> bool:
        return self.stop is not None and self.stop.is_set()

    def _heed(self) -> None:
        """Stop here, as at an interrupt, if that was asked for."""
        if self._asked_to_stop():
            raise KeyboardInterrupt

    def _heeding(self, done: Callable[[int], None]) -> Callable[[int], None]:
        def counted(so_far: int) -> None:
            done(so_far)
            self._heed()

        return counted

    def _after_step(self, step: int, epoch: float, loss: float, rate: float, tokens: int) -> None:
        self.tokens_done += tokens
        epochs_before = self.history[self.steps_before - 1]["epoch"] if self.steps_before else 0.0
        row = {"step": self.steps_before + step, "epoch": epochs_before + epoch, "loss": loss, "lr": rate, "accuracy": math.nan}
        row["seconds"] = self._seconds()
        self.history.append(row)
        if self.settings.eval_every and step % self.settings.eval_every == 0 and step < self.plan.steps:
            row["accuracy"] = self._scored()["accuracy"]
        share, texts = self.plan.share(self.tokens_done), step * self.settings.batch_size
        self.progress.step(row, texts=texts, share=share, after=self.plan.measuring_seconds)
        self.progress.share = step / self.plan.steps
        self.live.update(self.progress)
        if self.on_step:
            self.on_step(dict(row))

    # After ------------------------------------------------------------------------------------------------------------

    def _scored(self) -> dict[str, float]:
        with self.progress.during("measuring on the held-out rows", len(self.plan.test.rows), self.live) as done:
            logits = logits_of(self.subject, self.plan.test, on_rows=self._heeding(done))
        return metrics_of(logits, [row["labels"] for row in self.plan.test.rows], self.task.label_names)

    def _measure(self) -> None:
        if self.interrupted:
            return
        try:
            with self._short_way():
                self.metrics = self._scored()
        except KeyboardInterrupt:
            self.interrupted = True
            return
        self.history[-1]["accuracy"] = self.metrics["accuracy"]
        if self.is_head and self.resume is None:
            self.compared.remember(self.metrics["accuracy"], len(self.plan.test.rows))

    def _seconds(self) -> float:
        return time.monotonic() - self.started + (self.resume.seconds if self.resume else 0.0)

    def _result(self) -> TrainingResult:
        import pandas as pd

        said = (
            stopped(self.steps, self.plan.steps, len(self.history), measured=measured(self.history[self.steps_before :]))
            if self.interrupted
            else verdict(self.metrics, self.compared.levels, self.compared.baseline)
        )
        return TrainingResult(
            metrics=self.metrics,
            history=pd.DataFrame(self.history, columns=COLUMNS).astype({"step": int}),
            settings=self.settings.shown(lr=self.rate, backbone=self.subject.name, data=self.task.name, rows=len(self.plan.train.rows)),
            seconds=self._seconds(),
            steps=self.steps,
            steps_total=len(self.history),
            planned=self.plan.steps,
            interrupted=self.interrupted,
            levels=self.compared.levels,
            preface=self.progress.preface,
            verdict=said,
            label_names=list(self.task.label_names),
            baseline=self.compared.baseline,
            kept=self.frozen.kept if self.frozen else None,
        )


def both_encoded(subject: Subject, task: TextData, settings: Settings) -> tuple[Encoded, Encoded]:
    """The training and the held-out rows, tokenised."""
    train, test = ([*split[:]["text"]] for split in (task.train, task.test))
    labels = task.train[:]["label"], task.test[:]["label"]
    return encode(subject, train, labels[0], settings.max_length), encode(subject, test, labels[1], settings.max_length)
