"""``train``: from a model and rows to a `TrainingResult`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.datasets import as_text_data
from deltanb.engine import deltas
from deltanb.training._baseline import Baseline
from deltanb.training._display import Live, live_display
from deltanb.training._frozen import FrozenCache, check_cacheable
from deltanb.training._quantised import check_gradients
from deltanb.training._result import TrainingResult
from deltanb.training._run import Run
from deltanb.training._settings import Settings
from deltanb.training._subject import check_head, subject_of
from deltanb.training._what import head_names, trainable_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from deltanb.training._subject import Subject

__all__ = ["prepared", "train"]


def train(  # noqa: PLR0913
    model: Any,
    data: object,
    *,
    tokenizer: Any = None,
    epochs: float = 1,
    lr: float | None = None,
    batch_size: int = 32,
    max_steps: int | None = None,
    eval_every: int | None = None,
    rows: int | None = None,
    seed: int = 0,
    max_length: int = 128,
    weight_decay: float = 0.01,
    warmup: float = 0.1,
    text: str | None = None,
    label: str | None = None,
    display: str | bool | Live = "auto",
    resume: TrainingResult | None = None,
    baseline: TrainingResult | float | bool = True,
    on_step: Callable[[dict[str, float]], object] | None = None,
    stop: threading.Event | None = None,
    cache_frozen: FrozenCache | bool = False,
    cache_limit: int = 500,
    cache_dtype: str = "half",
    cache_on: str = "memory",
    **trainer: Any,
) -> TrainingResult:
    """Train whatever is trainable in a model to classify texts.

    Works through ``transformers.Trainer`` (AdamW, linear warm-up and decay), so a GPU is used where there is one. Afterwards
    modes, random numbers and settings of other libraries are as before, and no file is left behind. An interrupt (the
    kernel's stop button, Ctrl-C) keeps what was learned and returns a result that says so; after an error every tensor has
    the value it had before.

    Args:
        model: a backbone, or a ``torch.nn.Module`` whose ``forward`` takes ``labels``.
        data: a shipped name, a DataFrame, a ``datasets.Dataset``, a file, …: see `deltanb.datasets.as_text_data`.
        tokenizer: of transformers; a backbone brings its own.
        epochs: passes over the training rows.
        lr: highest learning rate; default: what was measured for the delta that is attached.
        batch_size: rows a step.
        max_steps: stop after so many steps, whatever ``epochs`` says.
        eval_every: measure on the held-out rows every so many steps, not only at the end.
        rows: train on so many rows, the classes in proportion.
        seed: of the order of rows and of dropout; the same seed gives the same result on the same machine.
        max_length: in tokens; the rest of a longer text is cut.
        weight_decay: of AdamW, on weight matrices.
        warmup: share of the steps in which the learning rate rises.
        text: the column of texts.
        label: the column of labels.
        display: ``"auto"``: a live picture in a notebook, a bar elsewhere; False: nothing; or a `Live` of your own.
        resume: the result of the run before: steps, history and seconds go on from there. The optimizer starts afresh.
        baseline: what the head alone reaches: a number, a result, True (remembered in this session, else estimated where that is
            cheap) or False.
        on_step: called after each step with its row of the history.
        stop: set it (from another thread) to stop after the present step, like an interrupt.
        cache_frozen: keep what the frozen blocks below the first one that trains give, so that each text passes them once: later
            passes then cost k/L of one where k of L blocks are left. These blocks run without dropout. A `FrozenCache` keeps
            it for the next run too.
        cache_limit: megabytes that this may take in memory.
        cache_dtype: ``half`` (the model's own, or float16), ``float16``, ``bfloat16``, or ``float32``, which rounds nothing.
        cache_on: ``memory``, or ``disk``: a temporary file without a limit.
        trainer: further arguments of ``transformers.TrainingArguments``, such as ``bf16=True``.

    Returns:
        The result: ``.metrics``, ``.history``, ``.verdict``; draws itself.

    Raises:
        DeltaError: nothing trains, the labels do not fit the head, a setting is out of range, the loss is no number any more, …

    Example:
        >>> from deltanb import load_backbone, train
        >>> backbone = load_backbone("bert-tiny", random=True)
        >>> films = [(f"{word} film {i}", word) for i in range(20) for word in ("good", "bad")]
        >>> result = train(backbone, films, max_steps=2, batch_size=4, display=False)
        >>> result.steps, result.history.columns.tolist()
        (2, ['step', 'epoch', 'loss', 'lr', 'accuracy', 'seconds'])
    """
    run = prepared(
        model,
        data,
        tokenizer=tokenizer,
        epochs=epochs,
        lr=lr,
        batch_size=batch_size,
        max_steps=max_steps,
        eval_every=eval_every,
        rows=rows,
        seed=seed,
        max_length=max_length,
        weight_decay=weight_decay,
        warmup=warmup,
        text=text,
        label=label,
        display=display,
        resume=resume,
        baseline=baseline,
        on_step=on_step,
        stop=stop,
        cache_frozen=cache_frozen,
        cache_limit=cache_limit,
        cache_dtype=cache_dtype,
        cache_on=cache_on,
        **trainer,
    )
    return run()


def prepared(  # noqa: PLR0913
    model: Any,
    data: object,
    *,
    tokenizer: Any = None,
    text: str | None = None,
    label: str | None = None,
    display: str | bool | Live = "auto",
    resume: TrainingResult | None = None,
    baseline: TrainingResult | float | bool = True,
    on_step: Callable[[dict[str, float]], object] | None = None,
    stop: threading.Event | None = None,
    cache_frozen: FrozenCache | bool = False,
    **options: Any,
) -> Callable[[], TrainingResult]:
    """Check all that `train` is given, and give what then trains: in this thread or in another.

    Args:
        model: as for `train`, like all that follows.
        data: the rows.
        tokenizer: of transformers.
        text: the column of texts.
        label: the column of labels.
        display: where the run is shown.
        resume: the result of the run before.
        baseline: what the head alone reaches.
        on_step: called after each step, in the thread that trains.
        stop: set it to stop.
        cache_frozen: keep what the frozen blocks give.
        options: the rest of what `train` takes.

    Raises:
        DeltaError: as `train`, for what can be known beforehand.

    Example:
        >>> from deltanb import load_backbone
        >>> backbone = load_backbone("bert-tiny", random=True)
        >>> run = prepared(backbone, [(f"a film {i}", i % 2) for i in range(20)], max_steps=1, display=False)
        >>> run().steps
        1
    """
    ours = {name: options.pop(name) for name in [*options] if name in Settings.__dataclass_fields__ and name != "trainer"}
    settings = Settings(**ours, cache_frozen=_caches(cache_frozen), trainer=options)
    subject = subject_of(model, tokenizer)
    _check_trainable(subject)
    check_gradients(subject.bare)
    _check_resume(resume)
    task = as_text_data(data, text=text, label=label)
    check_head(subject, task)
    if settings.cache_frozen:
        check_cacheable(subject)
    if settings.rows is not None:
        task = task.limit(settings.rows)
    live, known = live_display(display), _baseline(baseline, len(task.test))
    cache = cache_frozen if isinstance(cache_frozen, FrozenCache) else None

    def run() -> TrainingResult:
        return Run(subject, task, settings, live, resume=resume, baseline=known, on_step=on_step, stop=stop, cache=cache).go()

    return run


def _check_trainable(subject: Subject) -> None:
    if trainable_of(subject.bare).count:
        return
    merged = [delta.name for delta in deltas(subject.bare).values() if delta.merged]
    if merged:
        raise DeltaError(
            f"Nothing in {subject.name} trains: {', '.join(merged)} is merged, and what is merged does not train.",
            expected="The delta beside its hosts' weights, or something else that trains.",
            try_=f"%delta unmerge {merged[0]}",
        )
    head = next(iter(sorted(name.partition(".")[0] for name in head_names(subject.bare))), "classifier")
    raise DeltaError(
        f"Nothing in {subject.name} trains: all parameters are frozen.",
        expected="The deltas, the head, or part of the backbone have to be left out of the freezing.",
        try_=f'%delta freeze --exclude deltas {head}, or delta.freeze_module(exclude=["deltas", "{head}"])',
    )


def _check_resume(resume: object) -> None:
    if resume is not None and not isinstance(resume, TrainingResult):
        raise DeltaError(f"resume={resume!r} is not the result of a run.", expected="What train returned is needed.", try_="resume=result")


def _caches(given: object) -> bool:
    if not isinstance(given, FrozenCache | bool):
        raise DeltaError(f"cache_frozen={given!r} is not usable.", expected="True, False or a FrozenCache is needed.")
    return given is not False


def _baseline(given: object, rows: int) -> Baseline | bool:
    if isinstance(given, bool):
        return given
    if isinstance(given, TrainingResult) and not math.isnan(given.accuracy):
        return Baseline(given.accuracy, int(given.metrics.get("rows", rows)), exact=True)
    if isinstance(given, float) and 0 <= given <= 1:
        return Baseline(given, rows, exact=True)
    raise DeltaError(
        f"baseline={given!r} is not usable.", expected="An accuracy from 0 to 1, a measured result of train, True or False is needed."
    )
