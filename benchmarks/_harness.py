"""Timing that is fair to both sides: contenders take turns, so that a slow minute of the machine hits all of them.

Four ways to run a contender: as it is (`interleave`), on a fresh object whose making is not timed (`interleave_on`),
as a statement in a fresh process (`interleave_fresh`), or as a case that a benchmark measures by itself in a fresh
process (`interleave_cases`). But for the last, which warms up by itself, each has one round that does not count.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["QUICK", "Row", "interleave", "interleave_cases", "interleave_fresh", "interleave_on", "is_quick", "notes", "rows"]

QUICK = "DELTANB_BENCH_QUICK"  # in the environment: tiny models, to see that everything runs
notes: list[str] = []  # what a benchmark has to say below the table

T = TypeVar("T")
Timings = dict[str, list[float]]

_FRESH = """
import time
{setup}
start = time.perf_counter()
{statement}
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Row:
    """One contender's measurements of one job.

    Attributes:
        job: what was done.
        who: by which library.
        values: one a round.
        ratio: this median over the peer's median in the same run; None for the peer itself and where there is none.
        unit: of the values, ``s`` or ``MB``.
        most: the largest median that is wanted.
        most_ratio: the largest ratio that is wanted.
    """

    job: str
    who: str
    values: tuple[float, ...]
    ratio: float | None = None
    unit: str = "s"
    most: float | None = None
    most_ratio: float | None = None

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Whether it is as good as is wanted, where something is."""
        fast = self.most is None or self.median <= self.most
        return fast and (self.most_ratio is None or self.ratio is None or self.ratio <= self.most_ratio)


def is_quick() -> bool:
    """Whether only to see that everything runs."""
    return bool(os.environ.get(QUICK))


def rows(job: str, timings: Mapping[str, list[float]], peer: str | None = None, unit: str = "s") -> list[Row]:
    """One row a contender, with ratios to the peer.

    Example:
        >>> [row.ratio for row in rows("add", {"ours": [1.0, 3.0, 2.0], "peer": [4.0, 4.0, 4.0]}, peer="peer")]
        [0.5, None]
    """
    base = statistics.median(timings[peer]) if peer else None
    return [
        Row(job, who, tuple(values), None if base is None or who == peer else statistics.median(values) / base, unit)
        for who, values in timings.items()
    ]


def interleave(jobs: Mapping[str, Callable[[], object]], rounds: int = 7) -> Timings:
    """Time functions in turns."""
    return _take_turns({who: partial(_seconds, job) for who, job in jobs.items()}, rounds)


def interleave_on(make: Callable[[], T], jobs: Mapping[str, Callable[[T], object]], rounds: int = 7) -> Timings:
    """Time functions in turns, each on an object of its own that `make` returns outside the measured time."""

    def clock(job: Callable[[T], object]) -> float:
        made = make()
        return _seconds(partial(job, made))

    return _take_turns({who: partial(clock, job) for who, job in jobs.items()}, rounds)


def interleave_fresh(statements: Mapping[str, str], setup: str = "", rounds: int = 7) -> Timings:
    """Time statements in turns, each in a Python process of its own that first runs `setup` outside the measured time."""

    def clock(statement: str) -> float:
        code = _FRESH.format(setup=setup, statement=statement)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{statement!r} failed: {done.stderr.strip().splitlines()[-1]}")
        return float(done.stdout.split()[-1])

    return _take_turns({who: partial(clock, statement) for who, statement in statements.items()}, rounds)


def interleave_cases(
    benchmark: str, cases: Sequence[str], rounds: int = 7, pythons: Mapping[str, str] | None = None
) -> dict[str, list[dict[str, float]]]:
    """Let a benchmark's ``measure(case)`` run in turns, each in a single-threaded Python process of its own.

    Args:
        benchmark: the module's name.
        cases: what it is given.
        rounds: how often each is measured.
        pythons: another interpreter for some cases.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def measured(case: str) -> dict[str, float]:
        command = [(pythons or {}).get(case, sys.executable), "-m", "benchmarks._case", benchmark, case]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise RuntimeError(f"{benchmark} {case} failed: {done.stderr.strip().splitlines()[-1]}")
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    return _take_turns({case: partial(measured, case) for case in cases}, rounds, warm_up=False)


def _take_turns(clocks: Mapping[str, Callable[[], T]], rounds: int, *, warm_up: bool = True) -> dict[str, list[T]]:
    """Run every clock once to warm up, then once a round; every other round in reverse order."""
    order = list(clocks)
    for who in order if warm_up and not is_quick() else ():
        clocks[who]()
    timings: dict[str, list[T]] = {who: [] for who in order}
    for number in range(rounds):
        for who in order if number % 2 == 0 else reversed(order):
            timings[who].append(clocks[who]())
    return timings


def _seconds(job: Callable[[], object]) -> float:
    """One call's wall time, with no garbage of earlier calls to collect in it."""
    gc.collect()
    start = time.perf_counter()
    job()
    return time.perf_counter() - start
