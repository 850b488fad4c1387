"""What an import costs, each in a fresh process: the bare package, until LoRA can be used, and beyond torch and transformers."""

from __future__ import annotations

from dataclasses import replace

from benchmarks._harness import Row, interleave_fresh, rows

NAME = "import, fresh process"
PEER = "PEFT"
HEAVY = "import torch, transformers"
# Job: setup, statement of ours and of the peer, the most seconds that ours may take.
# The bare import of deltanb loads nothing heavy; the second job is where both must.
_JOBS: dict[str, tuple[str, str, str, float | None]] = {
    "the package": ("", "import deltanb", "import peft", 0.15),
    "until LoraModel is there": ("", "from deltanb import LoraModel", "from peft import LoraModel", None),
    "after torch and transformers": (HEAVY, "import deltanb.engine", "import peft", 0.2),
}


def run(rounds: int) -> list[Row]:
    """Measure both libraries, job by job."""
    result: list[Row] = []
    for job, (setup, own, other, most) in _JOBS.items():
        found = rows(job, interleave_fresh({"deltanb": own, PEER: other}, setup, rounds), PEER)
        result += [replace(row, most=most) if row.who == "deltanb" else row for row in found]
    return result
