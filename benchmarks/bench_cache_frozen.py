"""Passes over the same texts with and without `cache_frozen`: MiniLM, LoRA in its last layers alone.

Each measurement is a fresh process with one thread; the first pass, which fills the cache, counts apart.
"""

from __future__ import annotations

from typing import Any

from benchmarks._harness import Row, interleave_cases, is_quick, rows

NAME = "pass over 160 texts of 64 tokens"
LAYERS, TEXTS, PASSES, BATCH = 6, 160, 3, 16
WITH, WITHOUT = "cache_frozen", "without"
LAST = (1, 2)  # layers with LoRA


def run(rounds: int) -> list[Row]:
    """Measure both ways for each number of upper layers; the rounds are few, as each is three passes."""
    result: list[Row] = []
    for last in LAST:
        found = interleave_cases("bench_cache_frozen", [f"{WITH}/{last}", f"{WITHOUT}/{last}"], min(rounds, 3))
        for part in ("first pass", "later passes"):
            values = {who: [one[part] for one in found[f"{who}/{last}"]] for who in (WITH, WITHOUT)}
            result += rows(f"LoRA in {last} of {LAYERS} layers, {part}", values, WITHOUT)
    return result


def measure(case: str) -> dict[str, float]:
    """Seconds of the first pass, and of each later one."""
    from deltanb import LoraModel, load_backbone, train

    way, last = case.split("/")
    backbone = load_backbone("bert-tiny", random=True) if is_quick() else load_backbone("minilm")
    top = backbone.model.config.num_hidden_layers - 1
    places = [f"layer.{top - at}.attention.self.query,value" for at in range(min(int(last), top))]
    LoraModel(backbone.model, modified_modules=places).freeze_module(exclude=["deltas", "classifier"])
    texts = _texts(3 * BATCH if is_quick() else TEXTS)
    options: dict[str, Any] = {"epochs": PASSES, "batch_size": BATCH, "max_length": 64, "display": False, "baseline": False}
    history = train(backbone, texts, cache_frozen=way == WITH, **options).history
    times = [history["seconds"][history["epoch"] <= passes].iloc[-1] for passes in range(1, PASSES + 1)]
    # The first row's time holds what comes before the first step, and a step of its own.
    return {"first pass": times[0] - history["seconds"].iloc[0], "later passes": (times[-1] - times[0]) / (PASSES - 1)}


def _texts(count: int) -> list[tuple[str, str]]:
    """Texts of more than 64 tokens, each different; some more, of which a part is held out."""
    words = [f"word{at} good" for at in range(40)]
    return [(" ".join([f"text {at}", *words]), "ab"[at % 2]) for at in range(count * 5 // 4)]
