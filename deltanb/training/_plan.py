"""What a run will do: how many steps and tokens, how long, and in which words that is announced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb.reports._text import number, plural
from deltanb.training._words import duration, memory, what_trains

if TYPE_CHECKING:
    from deltanb.training._encoding import Encoded
    from deltanb.training._settings import Settings
    from deltanb.training._speed import Speed
    from deltanb.training._what import Trainable

__all__ = ["Plan", "plan_for"]


@dataclass
class Plan:
    """The size of a run.

    Attributes:
        train: training rows, tokenised.
        test: held-out rows, tokenised.
        steps: optimizer steps.
        tokens: tokens that go forward and back in all steps together.
        measurements: how often the held-out rows are gone through.
        speed: seconds a token, once measured.
        short_speed: the same past the frozen part, where its outputs are kept.
    """

    train: Encoded
    test: Encoded
    steps: int
    tokens: int
    measurements: int
    speed: Speed | None = None
    short_speed: Speed | None = None

    def training_seconds(self, tokens: int) -> float:
        """Expected time of the steps up to so many tokens; 0 while nothing was timed."""
        if not self.speed:
            return 0.0
        if not self.short_speed:
            return tokens * self.speed.train
        once = min(tokens, self.train.tokens)
        return tokens * self.short_speed.train + once * max(0.0, self.speed.forward - self.short_speed.forward)

    def share(self, tokens: int) -> float:
        """Which part of the time of all steps has passed after so many tokens, as far as expected."""
        whole = self.training_seconds(self.tokens)
        return self.training_seconds(tokens) / whole if whole else tokens / self.tokens

    @property
    def measuring_seconds(self) -> float:
        """Expected time of going through the held-out rows once; 0 while nothing was timed."""
        return self.test.tokens * self.speed.forward if self.speed else 0.0

    def seconds(self, texts_before: int = 0) -> float:
        """Expected time of the whole run.

        Args:
            texts_before: how many texts go through the model before the first step.
        """
        if not self.speed:
            return 0.0
        before = texts_before * self.train.tokens / len(self.train.rows) * self.speed.forward
        return before + self.training_seconds(self.tokens) + self.measuring_seconds * self.measurements

    def preface(self, trainable: Trainable, settings: Settings, rate: float, *, texts_before: int, done: int) -> str:
        """What trains; how much, how fast and how long; what of the texts is lost.

        Args:
            trainable: what trains.
            settings: of the run.
            rate: the learning rate.
            texts_before: as in `seconds`.
            done: steps of earlier runs.
        """
        time = f", about {duration(self.seconds(texts_before))}" if self.speed else ""
        size = f"{plural(len(self.train.rows), 'text')} in {plural(self.steps, 'step')} of {settings.batch_size}"
        line = f"{what_trains(trainable)} {size}, learning rate {rate:g}{time}, memory {memory()}."
        if done:
            line += f" Goes on after step {number(done)}."
        if self.train.cut:
            verb = "is" if self.train.cut == 1 else "are"
            line += f" {plural(self.train.cut, 'text')} {verb} cut at {settings.max_length} tokens."
        return line


def plan_for(train: Encoded, test: Encoded, settings: Settings) -> Plan:
    """The size of a run over these rows.

    Example:
        >>> from deltanb.training._encoding import Encoded
        >>> from deltanb.training._settings import Settings
        >>> rows = [{"input_ids": [1, 2, 3]}] * 100
        >>> plan = plan_for(Encoded(rows, 0), Encoded(rows, 0), Settings(epochs=2, eval_every=3))
        >>> plan.steps, plan.tokens, plan.measurements
        (8, 600, 3)
    """
    accumulated = int(settings.trainer.get("gradient_accumulation_steps", 1))
    a_pass = math.ceil(math.ceil(len(train.rows) / settings.batch_size) / accumulated)
    steps = settings.max_steps or max(1, math.ceil(a_pass * settings.epochs))
    between = (steps - 1) // settings.eval_every if settings.eval_every else 0
    return Plan(train, test, steps, round(train.tokens * steps / a_pass), between + 1)
