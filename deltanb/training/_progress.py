"""Where a run is: what a display draws."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltanb.training._words import duration, held, memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from deltanb.training._display import Live

__all__ = ["Progress", "measured"]


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        preface: the line said before the start.
        phase: what is being done, if it is not a training step.
        steps: steps done, those of earlier runs included.
        end: the step at which it will be done.
        losses: one a step.
        learning_rates: one a step.
        accuracies: (step, accuracy) measured so far.
        levels: accuracies to compare with.
        share: of the present phase that is done, 0 to 1.
        rate: texts a second of training, measuring left out; 0 while unknown.
        left: seconds to go; negative while unknown.
        seconds: gone since the start, earlier runs included.
        memory: megabytes that the process holds.
        peak: the most that it has held since the start of this run.
        gpu: the most that it has held on a GPU; 0 without one.
        began: when the first step of this run began, on the monotonic clock.
        aside: seconds since then that were no training.
    """

    preface: str = ""
    phase: str = ""
    steps: int = 0
    end: int = 0
    losses: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    accuracies: list[tuple[int, float]] = field(default_factory=list)
    levels: Mapping[str, float] = field(default_factory=dict)
    share: float = 0.0
    rate: float = 0.0
    left: float = -1.0
    seconds: float = 0.0
    memory: float = 0.0
    peak: float = 0.0
    gpu: float = 0.0
    began: float = field(default_factory=time.monotonic)
    aside: float = 0.0

    @classmethod
    def after(cls, history: list[dict[str, float]]) -> Progress:
        """The start of a run that goes on from a history."""
        losses, rates = [row["loss"] for row in history], [row["lr"] for row in history]
        return cls(steps=len(history), losses=losses, learning_rates=rates, accuracies=measured(history))

    @property
    def status(self) -> str:
        """One line: steps, rate, time left, memory."""
        parts = [self.phase] if self.phase else [f"step {self.steps:,} of {self.end:,}"]
        if self.rate:
            parts.append(f"{self.rate:,.0f} texts/s")
        if self.left >= 0 and not self.phase:
            parts.append(f"{duration(self.left)} left")
        return " · ".join([*parts, memory()])

    def begin(self) -> None:
        """The first step begins now."""
        self.began, self.aside = time.monotonic(), 0.0

    def step(self, row: dict[str, float], *, texts: int, share: float, after: float) -> None:
        """A step is done.

        Args:
            row: of the history.
            texts: how many this run has seen.
            share: of its tokens that it has seen: long texts take longer.
            after: seconds that will pass when the last step is done.
        """
        passed = time.monotonic() - self.began
        self.steps += 1
        self.losses.append(row["loss"])
        self.learning_rates.append(row["lr"])
        self.accuracies += measured([row])
        self.rate = texts / max(1e-6, passed - self.aside)
        self.left = passed / min(1.0, share) - passed + after
        self.seconds = row["seconds"]
        self.weigh()

    def weigh(self) -> None:
        """Note the memory that is held now."""
        self.memory, self.gpu = held()
        self.peak = max(self.peak, self.memory)

    @contextmanager
    def during(self, name: str, count: int, live: Live) -> Iterator[Callable[[int], None]]:
        """A phase that is no training, shown with its own progress; gives a function that takes how much of ``count`` is done."""
        before, since = self.share, time.monotonic()

        def done(so_far: int) -> None:
            self.share = so_far / count
            self.weigh()
            live.update(self)

        self.phase = name
        try:
            yield done
        finally:
            self.phase, self.share = "", before
            self.aside += time.monotonic() - since


def measured(history: list[dict[str, float]]) -> list[tuple[int, float]]:
    """(step, accuracy) of the rows that have one.

    Example:
        >>> measured([{"step": 1, "accuracy": float("nan")}, {"step": 2, "accuracy": 0.5}])
        [(2, 0.5)]
    """
    return [(int(row["step"]), row["accuracy"]) for row in history if not math.isnan(row["accuracy"])]
