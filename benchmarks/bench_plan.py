"""Which deltas fit a budget: all ten types on the structure of Llama 3.1 405B without its weights, and on BERT-base."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks._harness import Row, interleave, rows
from benchmarks.bench_attach import bert_base, llama_405b

if TYPE_CHECKING:
    from torch import nn

NAME = "plans within a budget"
MOST = 2.0  # seconds
BUDGETS: dict[str, dict[str, Any]] = {
    "budget 0.1%": {"budget": "0.1%"},
    "file 10 MB": {"file": "10MB"},
    "memory": {"memory": "1700GB"},
    "all three": {"budget": "0.01%", "file": "50MB", "memory": "1700GB"},
}


def run(rounds: int) -> list[Row]:
    """Measure each kind of limit."""
    found: list[Row] = []
    for name, model in (("Llama 405B skeleton", llama_405b()), ("BERT-base", bert_base())):
        jobs = {who: _job(model, limits) for who, limits in BUDGETS.items()}
        found += [replace(row, most=MOST) for row in rows(name, interleave(jobs, rounds))]
    return found


def _job(model: nn.Module, limits: dict[str, Any]) -> Any:
    from deltanb import plans

    return lambda: plans(model, **limits)
