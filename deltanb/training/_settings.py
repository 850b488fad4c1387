"""How to train: every number checked before any time is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from deltanb._errors import DeltaError
from deltanb._suggest import close

__all__ = ["Settings"]

_LARGEST_SEED = 2**32 - 1  # numpy takes no larger one
# What `train` itself decides; the rest of TrainingArguments is the caller's.
_OURS = {
    "disable_tqdm": "display",
    "eval_steps": "eval_every",
    "eval_strategy": "eval_every",
    "learning_rate": "lr",
    "num_train_epochs": "epochs",
    "output_dir": "",
    "per_device_eval_batch_size": "batch_size",
    "per_device_train_batch_size": "batch_size",
    "remove_unused_columns": "",
    "report_to": "on_step",
    "save_strategy": "",
    "warmup_steps": "warmup",
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of one training run, checked.

    Attributes:
        epochs: passes over the training rows; 0.5 is half of one.
        lr: highest learning rate; None takes the measured default of what is attached.
        batch_size: rows a step, on each device.
        max_steps: stop after so many steps, whatever ``epochs`` says.
        eval_every: measure on the held-out rows every so many steps, not only at the end.
        rows: train on so many rows, the classes in proportion.
        seed: of the order of the rows and of dropout.
        max_length: longest text in tokens; the rest of a longer one is cut.
        weight_decay: of AdamW, on weight matrices.
        warmup: share of the steps in which the learning rate rises from 0; afterwards it falls to 0.
        cache_frozen: whether the outputs of the frozen lower part are kept from one pass to the next.
        cache_limit: megabytes that they may take in memory.
        cache_dtype: in which they are kept; ``half``: the model's own half precision, or float16.
        cache_on: ``memory``, or ``disk`` for a temporary file.
        trainer: further arguments of ``transformers.TrainingArguments``.

    Raises:
        DeltaError: a value is out of range or of the wrong kind.

    Example:
        >>> Settings(lr=-1.0)
        Traceback (most recent call last):
        ...
        deltanb._errors.DeltaError: lr=-1.0 is not usable. A number above 0 is needed. Try: lr=1e-3
    """

    epochs: float = 1
    lr: float | None = None
    batch_size: int = 32
    max_steps: int | None = None
    eval_every: int | None = None
    rows: int | None = None
    seed: int = 0
    max_length: int = 128
    weight_decay: float = 0.01
    warmup: float = 0.1
    cache_frozen: bool = False
    cache_limit: int = 500
    cache_dtype: str = "half"
    cache_on: str = "memory"
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _number("epochs", self.epochs, above=0, try_="epochs=1")
        if self.lr is not None:
            _number("lr", self.lr, above=0, try_="lr=1e-3")
        _number("weight_decay", self.weight_decay, least=0)
        _number("warmup", self.warmup, least=0, below=1)
        _whole("batch_size", self.batch_size, 1, try_="batch_size=32")
        _whole("max_length", self.max_length, 2)
        _whole("seed", self.seed, 0, _LARGEST_SEED)
        _whole("cache_limit", self.cache_limit, 1, try_="cache_limit=500")
        _one_of("cache_dtype", self.cache_dtype, ("half", "float16", "bfloat16", "float32"))
        _one_of("cache_on", self.cache_on, ("memory", "disk"))
        for name in ("max_steps", "eval_every"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 1)
        _check_trainer_options(self.trainer)

    def shown(self, **resolved: Any) -> dict[str, Any]:
        """All settings as a flat dict, with what was worked out for them in this run.

        Example:
            >>> Settings(rows=100).shown(lr=3e-3)["lr"]
            0.003
        """
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "trainer"}
        return {**own, **self.trainer, **resolved}


def _number(
    name: str, value: object, *, above: float = -math.inf, least: float = -math.inf, below: float = math.inf, try_: str = ""
) -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if fits and above < value and least <= value < below:  # type: ignore[operator]
        return
    low = f" above {above:g}" if above > -math.inf else f" from {least:g}"
    high = f" and below {below:g}" if below < math.inf else ""
    raise DeltaError(f"{name}={value!r} is not usable.", expected=f"A number{low}{high} is needed.", try_=try_)


def _whole(name: str, value: object, least: int, most: int | None = None, *, try_: str = "") -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least and (most is None or value <= most):
        return
    upto = "" if most is None else f" to {most}"
    raise DeltaError(f"{name}={value!r} is not usable.", expected=f"A whole number from {least}{upto} is needed.", try_=try_)


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        nearest = close(value, choices) if isinstance(value, str) else []
        raise DeltaError(f"{name}={value!r} is not usable.", expected=f"One of {', '.join(choices)} is needed.", nearest=nearest)


def _check_trainer_options(options: dict[str, Any]) -> None:
    if not options:
        return
    import transformers

    known = set(transformers.TrainingArguments.__dataclass_fields__)
    for name in options:
        if name in _OURS:
            instead = f"Use {_OURS[name]}." if _OURS[name] else "A run leaves no files behind; save the delta instead."
            raise DeltaError(f"train decides {name} itself.", expected=instead)
        if name not in known:
            own = [key for key in Settings.__dataclass_fields__ if key != "trainer"]
            raise DeltaError(
                f"train has no option {name!r}, and transformers' TrainingArguments has none either.", nearest=close(name, [*own, *known])
            )
