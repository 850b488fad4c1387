"""A comparison of four deltas beside the four runs by hand: MiniLM, the same rows, steps and seeds.

By hand means: attach, freeze, train, detach, one delta after the other on one backbone in memory, with nothing measured
but what `train` measures. The comparison also saves each delta for its size, keeps the runs on disk and draws itself; a second
call finds all of them there. Each measurement is a fresh process with one thread; loading the backbone is not timed.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from typing import Any

from benchmarks._harness import Row, interleave_cases, is_quick, rows

NAME = "compare four deltas"
COMPARED, BY_HAND, AGAIN = "compare", "four runs", "compare, again"
KINDS = ("adapter", "lora", "bitfit", "ia3")
TEXTS, STEPS, BATCH = 1200, 6, 16
NO_MORE = 1.0


def run(rounds: int) -> list[Row]:
    """Measure both ways; the rounds are few, as each is four trainings."""
    found = interleave_cases("bench_compare", [COMPARED, BY_HAND], min(rounds, 3))
    seconds = {who: [one["seconds"] for one in found[who]] for who in (COMPARED, BY_HAND)}
    seconds[AGAIN] = [one["again"] for one in found[COMPARED]]
    result = rows("adapter, LoRA, BitFit, IA3", seconds, BY_HAND)
    return [replace(row, most_ratio=NO_MORE) if row.who == COMPARED else row for row in result]


def measure(case: str) -> dict[str, float]:
    """Seconds of the four, and of the same comparison again."""
    from deltanb import load_backbone, train
    from deltanb.engine import DELTA_TYPES

    backbone = load_backbone("bert-tiny", random=True) if is_quick() else load_backbone("minilm")
    data = _texts(60 if is_quick() else TEXTS)
    options: dict[str, Any] = {"max_steps": STEPS, "batch_size": BATCH, "max_length": 64, "display": False}
    train(backbone, data[:20], max_steps=1, display=False, baseline=False, lr=1e-9)  # imports, first allocations
    if case == BY_HAND:
        start = time.perf_counter()
        for kind in KINDS:
            delta = DELTA_TYPES[kind](backbone.model)  # type: ignore[call-arg]
            delta.freeze_module(exclude=["deltas", "classifier"])
            train(backbone, data, baseline=False, **options)
            delta.detach()
        return {"seconds": time.perf_counter() - start}
    return _compared(backbone, data, options)


def _compared(backbone: Any, data: list[tuple[str, str]], options: dict[str, Any]) -> dict[str, float]:
    from deltanb import compare

    with tempfile.TemporaryDirectory() as folder:
        times = []
        for _ in range(2):
            start = time.perf_counter()
            compare(backbone, " ".join(KINDS), data, seeds=1, folder=folder, **options).html()
            times.append(time.perf_counter() - start)
    return {"seconds": times[0], "again": times[1]}


def _texts(count: int) -> list[tuple[str, str]]:
    """Texts of about 40 tokens, each different; a fifth of them is held out."""
    words = [f"word{at} good" for at in range(10)]
    return [(" ".join([f"text {at}", *words]), "ab"[at % 2]) for at in range(count)]
