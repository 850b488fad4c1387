"""What an import costs, each in a fresh process: the bare package, and the package until LoRA can be used."""

from __future__ import annotations

from benchmarks._harness import Row, interleave_fresh, rows

NAME = "import, fresh process"
PEER = "PEFT"
# The bare import of deltanb loads nothing heavy; the second job is where both must.
_JOBS = {"import the package": "import {}", "import LoraModel": "from {} import LoraModel"}


def run(rounds: int) -> list[Row]:
    """Measure both libraries, job by job."""
    result: list[Row] = []
    for job, statement in _JOBS.items():
        sides = {"deltanb": statement.format("deltanb"), PEER: statement.format("peft")}
        result += rows(job, interleave_fresh(sides, rounds=rounds), PEER)
    return result
