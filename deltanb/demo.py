"""The main job from end to end, in a terminal: ``python -m deltanb.demo`` (or ``make demo``).

A real pretrained encoder learns the sentiment of film reviews by training one percent of its parameters; the delta is
saved, loaded into a fresh backbone, and gives the same answers. No network, no GPU, under three minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.training import EvaluationResult, TrainingResult
    from deltanb.workbench import Workbench

__all__ = ["main"]

PATTERN = "output.dense"
SENTENCES = ["A warm, funny film that stays with you.", "Two hours that I will never get back."]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    Args:
        arguments: of the command line; ``--rows 300`` makes it short, ``--folder`` keeps the delta there.

    Returns:
        0 if every claim held.
    """
    parser = argparse.ArgumentParser(prog="python -m deltanb.demo", description="deltanb's main job, from end to end")
    parser.add_argument("--rows", type=int, default=3000, help="reviews to train on (default: 3000)")
    parser.add_argument("--folder", default="", help="where to save the delta (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or str(Path(temporary) / "my-first-delta")
        held = _run(chosen.rows, folder)
    print(f"\nAll in {time.perf_counter() - started:.0f} s. Next: make lab")
    return 0 if held else 1


def _run(rows: int, folder: str) -> bool:
    from deltanb.workbench import Workbench

    bench = Workbench()
    _say("A pretrained backbone, from a package: no network", "backbone minilm")
    print(bench.backbone("minilm"))
    _say("Its structure, six alike layers folded into one", "graph")
    print(bench.graph(picture=False))
    _say("What would a pattern hit, and what would a delta there cost?", f"match {PATTERN}")
    print(bench.match([PATTERN]))

    _say("First the head alone, to have something to compare with", "freeze --exclude classifier")
    print(bench.freeze(["classifier"]))
    head = _trained(bench, rows)
    print(bench.undo())
    print(bench.undo())

    _say("Now an adapter after each of them", f"attach adapter {PATTERN} bottleneck_dim=24")
    print(bench.attach("adapter", [PATTERN], bottleneck_dim=24))
    _say("Freeze everything but the adapters and the head, and count", "freeze --exclude deltas classifier")
    print(bench.freeze(["deltas", "classifier"]))
    print(bench.params(by="delta"))
    _say(f"Train on {rows:,} film reviews", f"train movie_reviews --epochs 1 --rows {rows}")
    adapter = _trained(bench, rows)

    _say("Save the delta, and nothing else", "save my-first-delta")
    print(bench.save(folder))
    _say("Load it into a fresh backbone: the same accuracy", "backbone minilm, load my-first-delta, evaluate")
    bench.backbone("minilm")
    print(bench.load(folder))
    again = bench.evaluate("movie_reviews")
    print(again)
    print(bench.predict(SENTENCES))
    return _verdict(head, adapter, again)


def _trained(bench: Workbench, rows: int) -> TrainingResult:
    result = bench.train("movie_reviews", epochs=1, rows=rows)
    print(result)
    return result


def _verdict(*results: TrainingResult | EvaluationResult) -> bool:
    before, after, loaded = (result.metrics["accuracy"] for result in results)
    print(f"\nHead only {before:.3f}   with the adapter {after:.3f}   loaded into a fresh backbone {loaded:.3f}")
    if after != loaded:
        print("The last two differ: the delta did not come back the same.")
    return bool(after == loaded and after > before)


def _say(title: str, line: str) -> None:
    print(f"\n\N{BLACK RIGHT-POINTING TRIANGLE} {title}\n  %delta {line}\n")


if __name__ == "__main__":
    raise SystemExit(main())
