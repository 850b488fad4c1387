"""What a run's accuracy is held against: the head alone, and always saying the commonest class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.training import _baseline
from deltanb.training._baseline import Baseline
from deltanb.training._metrics import majority
from deltanb.training._words import HEAD_ALONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltanb.datasets import TextData
    from deltanb.training._plan import Plan
    from deltanb.training._settings import Settings
    from deltanb.training._subject import Subject

__all__ = ["Comparison"]

_LONGEST = 60.0  # seconds that an estimate of the head alone may take,
_LARGEST_SHARE = 1.4  # and its tokens against those that train, which cost at least twice as much each


class Comparison:
    """Finds and keeps the accuracies to compare with.

    Args:
        subject: the model.
        task: the rows.
        settings: the budget.
        known: the head alone, if that is known already.
        search: whether to look for it otherwise.

    Attributes:
        baseline: the head alone, once known.
    """

    def __init__(self, subject: Subject, task: TextData, settings: Settings, *, known: Baseline | None, search: bool) -> None:
        self.baseline = known
        self._subject, self._task, self._settings = subject, task, settings
        self._search = search

    @property
    def levels(self) -> dict[str, float]:
        """Accuracy by what it is; the commonest class comes last."""
        common, share = majority(self._task.test[:]["label"])
        names = self._task.label_names
        found = {HEAD_ALONE: self.baseline.accuracy} if self.baseline else {}
        return {**found, f"always {names[common]!r}": share}

    def look_up(self) -> None:
        """Take a head-only run of this session, if there was one."""
        if self._search and self.baseline is None:
            self.baseline = _baseline.recall(self._key())

    def texts(self, plan: Plan) -> int:
        """How many texts an estimate would put through the model; 0 where there will be none."""
        if not self._search or self.baseline or not plan.speed:
            return 0
        texts = _baseline.estimate_rows(self._subject.bare, len(plan.train.rows), len(plan.test.rows))
        tokens = texts * plan.train.tokens / len(plan.train.rows)
        short = tokens * plan.speed.forward <= _LONGEST and tokens <= _LARGEST_SHARE * plan.tokens
        return texts if short else 0

    def estimate(self, plan: Plan, on_rows: Callable[[int], None]) -> None:
        """Estimate the head alone."""
        self.baseline = _baseline.estimate(self._subject, plan.train, plan.test, self._settings.seed, on_rows)
        if self.baseline:
            _baseline.remember(self._key(), self.baseline)

    def remember(self, accuracy: float, rows: int) -> None:
        """Keep what a head-only run has reached, for the runs that follow in this session."""
        _baseline.remember(self._key(), Baseline(accuracy, rows, exact=True))

    def _key(self) -> str:
        return _baseline.key_of(self._subject, self._task, self._settings)
