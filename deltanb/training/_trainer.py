"""transformers' Trainer without its printing, its files and its second thoughts about the loss.

Imported only when something is trained: it needs transformers.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from deltanb._errors import DeltaError
from deltanb.training._gradients import input_gradients_off
from deltanb.training._quantised import deltas_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltanb.training._encoding import Encoded
    from deltanb.training._settings import Settings
    from deltanb.training._subject import Subject

__all__ = ["SilentTrainer", "Watch", "make_trainer"]


class Watch(transformers.TrainerCallback):
    """Sees every step: its loss, its learning rate, its size; may stop the run.

    Args:
        on_step: called after each step with the step's number, epoch, loss, learning rate and tokens.
        stop: asked after each step; True ends the run.
        usual: the learning rate to offer when another one was too high.

    Attributes:
        steps: steps done.
    """

    def __init__(self, on_step: Callable[[int, float, float, float, int], None], stop: Callable[[], bool], usual: float) -> None:
        self.steps = 0
        self._on_step = on_step
        self._stop = stop
        self._usual = usual
        self._loss = self._rate = 0.0
        self._tokens = 0

    def saw(self, loss: torch.Tensor, inputs: dict[str, Any]) -> None:
        """One batch has gone forward and back.

        Raises:
            DeltaError: its loss is no number any more.
        """
        value = loss.mean().item()
        if not math.isfinite(value):
            raise diverged(self.steps + 1, self._rate, self._usual)
        self._loss += value
        self._tokens += inputs["input_ids"].numel()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Note the learning rate before the scheduler moves it."""
        self._rate = kwargs["lr_scheduler"].get_last_lr()[0]

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Hand the step on."""
        self.steps = state.global_step
        loss, tokens, self._loss, self._tokens = self._loss, self._tokens, 0.0, 0
        self._on_step(self.steps, state.epoch, loss, self._rate, tokens)
        if self._stop():
            control.should_training_stop = True


def diverged(step: int, rate: float, usual: float) -> DeltaError:
    """What to say when numbers leave the range of floats."""
    end = "Nothing was changed: what trains has the values it had before the run."
    if rate == 0:
        return DeltaError(
            f"The model's loss is not a number at step {step}, before anything was learned.", expected=f"Its weights do not work. {end}"
        )
    return DeltaError(
        f"The loss is not a number any more at step {step}: the learning rate is too high (it was {rate:g} there).",
        expected=end,
        try_=f"lr={usual if rate > usual else rate / 10:g}",
    )


class _NoInputGradients(transformers.TrainerCallback):
    """Nothing below what trains gets a gradient, with activation checkpointing neither."""

    def __init__(self, trainer: dict[str, Any]) -> None:
        self._given = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Checkpointing has just been switched on."""
        input_gradients_off(kwargs["model"], self._given)


class SilentTrainer(transformers.Trainer):
    """A Trainer that reports to a `Watch` alone."""

    def __init__(self, watch: Watch, given: dict[str, Any], **options: Any) -> None:
        super().__init__(callbacks=[watch, _NoInputGradients(given)], **options)
        self.watch = watch
        # These models average the loss over the batch; Trainer would take any **kwargs for a promise to do otherwise.
        self.model_accepts_loss_kwargs = False
        for noisy in (PrinterCallback, ProgressCallback, DEFAULT_PROGRESS_CALLBACK):
            self.remove_callback(noisy)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """A step as Trainer does it, seen by the watch before the weights change."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self.watch.saw(loss, inputs)
        return loss


def make_trainer(
    subject: Subject, encoded: Encoded, collate: Any, settings: Settings, watch: Watch, *, rate: float, steps: int, folder: str
) -> SilentTrainer:
    """A trainer, and with it the model on the device where it will train.

    Raises:
        DeltaError: transformers refuses the settings.
    """
    given: dict[str, Any] = {
        "output_dir": folder,
        "per_device_train_batch_size": settings.batch_size,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "learning_rate": rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": int(settings.warmup * steps),
        "weight_decay": settings.weight_decay,
        "seed": settings.seed,
        # Texts of like length in one batch: a third of the time on short sentences, at the same accuracy.
        "train_sampling_strategy": "group_by_length",
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "use_cpu": not torch.accelerator.is_available(),
    }
    try:
        args = transformers.TrainingArguments(**{**given, **settings.trainer})
        with deltas_count(subject.bare):
            return SilentTrainer(watch, settings.trainer, model=subject.model, args=args, train_dataset=encoded.rows, data_collator=collate)
    except (TypeError, ValueError) as error:
        raise DeltaError(f"transformers' Trainer refuses these settings: {error}", expected=f"Given: {settings.trainer}.") from error


def timed(work: Callable[[], Any]) -> float:
    """Seconds that something takes, a GPU's queue included."""
    cuda: Any = torch.cuda
    synchronize = cuda.synchronize if cuda.is_initialized() else lambda: None
    synchronize()
    start = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - start
