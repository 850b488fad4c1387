"""Where a comparison is: what a display draws."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltanb.training import Live, Progress
from deltanb.training._words import duration, memory

if TYPE_CHECKING:
    from deltanb.reports import ComparisonReport
    from deltanb.training import TrainingResult

__all__ = ["ComparisonProgress", "Relay"]


@dataclass
class ComparisonProgress:
    """Where a comparison is. A display of `deltanb.training.Live`'s kind gets it in the place of a run's progress.

    Attributes:
        report: the comparison so far.
        preface: the line said before the start.
        steps: steps done, over all runs that this call makes.
        end: how many there are to be.
        name: of the contender that is being trained.
        seed: of that run.
        number: which of the runs it is, from 1, kept ones included.
        runs: how many there are in all.
        run: the progress of the run itself.
        share: of the whole that is done, 0 to 1.
        left: seconds to go; negative while unknown.
        seconds: gone since the start.
    """

    report: ComparisonReport
    preface: str = ""
    steps: int = 0
    end: int = 0
    name: str = ""
    seed: int = 0
    number: int = 0
    runs: int = 0
    run: Progress = field(default_factory=Progress)
    share: float = 0.0
    left: float = -1.0
    seconds: float = 0.0

    @property
    def phase(self) -> str:
        """What is being done."""
        return f"run {self.number} of {self.runs}: {self.name}, seed {self.seed}" if self.name else ""

    @property
    def losses(self) -> list[float]:
        """Of the present run, one a step."""
        return self.run.losses

    @property
    def accuracies(self) -> list[tuple[int, float]]:
        """Of the present run, as it was measured so far."""
        return self.run.accuracies

    @property
    def status(self) -> str:
        """One line: which run, where in it, time left for all, memory."""
        where = self.run.phase or f"step {self.run.steps:,} of {self.run.end:,}"
        left = [f"{duration(self.left)} left in all"] if self.left >= 0 else []
        return " · ".join([self.phase, where, *left, memory()])


class Relay(Live):
    """What a run shows, passed on as progress of the whole; keeps the time that each contender's runs take.

    Args:
        outer: where the comparison is shown.
        progress: of the comparison.
        known: seconds that a run of a contender takes, by name, as far as known from runs on disk.
    """

    def __init__(self, outer: Live, progress: ComparisonProgress, known: dict[str, float]) -> None:
        self._outer, self._progress, self._known = outer, progress, dict(known)
        self._began = self._run_began = time.monotonic()
        self._after: list[str] = []
        self._before = 0

    def begin(self, name: str, seed: int, number: int, after: list[str]) -> None:
        """A run begins.

        Args:
            name: of the contender.
            seed: of the run.
            number: which of all it is.
            after: names of the contenders whose runs come after it, one for each.
        """
        progress = self._progress
        progress.name, progress.seed, progress.number, progress.run = name, seed, number, Progress()
        self._after, self._before, self._run_began = after, progress.steps, time.monotonic()
        self._tell()

    def ended(self) -> None:
        """That run is done."""
        self._known[self._progress.name] = time.monotonic() - self._run_began

    def start(self, progress: Progress) -> None:
        """As for a run."""
        self._progress.run = progress
        self._tell()

    def update(self, progress: Progress) -> None:
        """As for a run."""
        self._progress.run = progress
        self._progress.steps = self._before + progress.steps
        self._tell()

    def finish(self, result: TrainingResult) -> None:
        """The run has no end of its own to show."""

    def _tell(self) -> None:
        progress = self._progress
        passed = time.monotonic() - self._run_began
        own = self._known.get(progress.name, passed + progress.run.left if progress.run.left >= 0 else -1.0)
        progress.seconds = time.monotonic() - self._began
        progress.left = self._left(own, passed)
        whole = progress.seconds + progress.left
        progress.share = progress.seconds / whole if progress.left >= 0 and whole else 0.0
        self._outer.update(progress)  # type: ignore[arg-type]

    def _left(self, own: float, passed: float) -> float:
        """Seconds to go: what is known of a contender, else the mean of what is known; negative while nothing is."""
        known = [*self._known.values(), *([own] if own >= 0 else [])]
        if not known:
            return -1.0
        mean = sum(known) / len(known)
        here = self._progress.run.left if self._progress.run.left >= 0 else max(0.0, (own if own >= 0 else mean) - passed)
        times = {**self._known, **({self._progress.name: own} if own >= 0 else {})}
        return here + sum(times.get(name, mean) for name in self._after)
