"""The line before a run and the line after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb.reports._text import number, percent, plural
from deltanb.training._metrics import apart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltanb.training._baseline import Baseline
    from deltanb.training._what import Trainable

__all__ = ["HEAD_ALONE", "duration", "held", "memory", "stopped", "verdict", "what_trains"]

HEAD_ALONE = "head alone"
_MINUTE, _HOUR = 60, 3600
_FEW = 4


def what_trains(trainable: Trainable) -> str:
    """Which parameters train, and what of it a saved delta would not hold.

    Args:
        trainable: from `trainable_of`.
    """
    named = [f"{delta.name!r} ({delta.delta_type}, {number(size)})" for delta, size in trainable.deltas.items()]
    if trainable.head:
        named.append(f"the head ({trainable.head_module})")
    if trainable.body:
        named.append(f"{number(trainable.body)} more of the backbone" if named else "the backbone")
    if trainable.count == trainable.total:
        named = ["everything"]
    share = percent(trainable.count / trainable.total)
    line = f"Trains {number(trainable.count)} of {plural(trainable.total, 'parameter')} ({share}): {' and '.join(named)}."
    if trainable.deltas and trainable.loose:
        shown = ", ".join(trainable.loose[:_FEW]) + (", …" if len(trainable.loose) > _FEW else "")
        line += f" No delta owns {number(trainable.loose_count)} of them ({shown}): saving a delta would not hold these."
    if trainable.head_module and not trainable.head:
        line += f" The head ({trainable.head_module}) is frozen."
    return line


def duration(seconds: float) -> str:
    """A time as a person says it.

    Example:
        >>> duration(0.4), duration(31.2), duration(90), duration(5400)
        ('under a second', '31 s', '1 min 30 s', '1 h 30 min')
    """
    if seconds < 1:
        return "under a second"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min" + (f" {whole % _MINUTE} s" if whole % _MINUTE else "")
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def held() -> tuple[float, float]:
    """Megabytes that this process holds now, and the most that it has held on a GPU; 0 without one."""
    import psutil
    import torch

    cuda: Any = torch.cuda
    return psutil.Process().memory_info().rss / 1e6, cuda.max_memory_allocated() / 1e6 if cuda.is_initialized() else 0.0


def memory() -> str:
    """What this process holds now, and on a GPU the most that it has held there."""
    here, gpu = held()
    return f"{here / 1e3:.1f} GB" + (f", GPU {gpu / 1e3:.1f} GB" if gpu else "")


def verdict(metrics: Mapping[str, float], levels: Mapping[str, float], baseline: Baseline | None) -> str:
    """How good it is, and whether that is better than the head alone, or else than always saying the commonest class.

    Example:
        >>> from deltanb.training._baseline import Baseline
        >>> levels = {"head alone": 0.663, "always 'bad'": 0.507}
        >>> verdict({"accuracy": 0.806, "rows": 2605}, levels, Baseline(0.663, 2605, exact=True))
        "Accuracy 0.806 on 2,605 held-out rows: 14.3 points better than the head alone (0.663); always 'bad' gives 0.507."
    """
    accuracy, rows = metrics["accuracy"], int(metrics["rows"])
    line = f"Accuracy {accuracy:.3f} on {plural(rows, 'held-out row')}"
    common = next(name for name in levels if name != HEAD_ALONE)
    if baseline is None:
        return f"{line}: {_compared(accuracy, levels[common], rows)} {common} ({levels[common]:.3f})."
    head = f"{baseline.accuracy:.3f}" if baseline.exact else f"about {baseline.accuracy:.2f}, estimated on {number(baseline.rows)} rows"
    words = _compared(accuracy, baseline.accuracy, min(rows, baseline.rows))
    return f"{line}: {words} the {HEAD_ALONE} ({head}); {common} gives {levels[common]:.3f}."


def _compared(accuracy: float, other: float, rows: int) -> str:
    if not apart(accuracy, other, rows):
        return "not clearly better than" if accuracy > other else "no better than"
    return f"{100 * abs(accuracy - other):.1f} points {'better' if accuracy > other else 'worse'} than"


def stopped(done: int, planned: int, total: int, *, measured: Sequence[tuple[int, float]]) -> str:
    """What to say after an interrupt: what is kept, and how to go on.

    Example:
        >>> stopped(40, 94, 40, measured=[])
        'Stopped after 40 of 94 steps; what was learned is kept. Train again to go on (resume=result adds up the totals), or evaluate now.'
    """
    kept = "what was learned is kept" if done else "nothing was changed"
    if done == planned:
        return f"All {plural(planned, 'step')} are done and kept; measuring was interrupted. Evaluate to see how good it is."
    so_far = f", {number(total)} in all" if total > done else ""
    last = f" Accuracy at step {number(measured[-1][0])}: {measured[-1][1]:.3f}." if measured else ""
    how = "Train again to go on (resume=result adds up the totals), or evaluate now."
    return f"Stopped after {number(done)} of {plural(planned, 'step')}{so_far}; {kept}.{last} {how}"
