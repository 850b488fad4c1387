"""Timing that is fair to both sides: contenders take turns, so that a slow minute of the machine hits all of them.

Three ways to run a contender: as it is (`interleave`), on a fresh object whose making is not timed (`interleave_on`),
or as a statement in a fresh process (`interleave_fresh`). Each has one warm-up round that does not count.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Row", "interleave", "interleave_fresh", "interleave_on", "rows"]

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
    """One contender's timings for one job.

    Attributes:
        job: what was done.
        who: by which library.
        seconds: one timing a round.
        ratio: this median over the peer's median in the same run; None for the peer itself and where there is none.
    """

    job: str
    who: str
    seconds: tuple[float, ...]
    ratio: float | None = None

    @property
    def median(self) -> float:
        """The middle timing, in seconds."""
        return statistics.median(self.seconds)


def rows(job: str, timings: Mapping[str, list[float]], peer: str | None = None) -> list[Row]:
    """One row a contender, with ratios to the peer.

    Example:
        >>> [row.ratio for row in rows("add", {"ours": [1.0, 3.0, 2.0], "peer": [4.0, 4.0, 4.0]}, peer="peer")]
        [0.5, None]
    """
    base = statistics.median(timings[peer]) if peer else None
    return [
        Row(job, who, tuple(seconds), None if base is None or who == peer else statistics.median(seconds) / base)
        for who, seconds in timings.items()
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


def _take_turns(clocks: Mapping[str, Callable[[], float]], rounds: int) -> Timings:
    """Run every clock once to warm up, then once a round; every other round in reverse order."""
    order = list(clocks)
    for who in order:
        clocks[who]()
    timings: Timings = {who: [] for who in order}
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
