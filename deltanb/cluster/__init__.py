"""From a notebook to many processes: what the script of ``%delta code --script`` uses beside transformers and accelerate.

>>> from deltanb.cluster import rows_a_process
>>> rows_a_process(32)
32
"""

from __future__ import annotations

from typing import Any

from deltanb.cluster._files import last_checkpoint, run_folder, save_deltas
from deltanb.cluster._lost import plain_errors
from deltanb.cluster._rows import accuracy, rows_a_process, rows_of
from deltanb.cluster._script import Recipe, double_quoted, script_of
from deltanb.cluster._write import configs, write

__all__ = [
    "DeltaTrainer",
    "Recipe",
    "accuracy",
    "configs",
    "double_quoted",
    "last_checkpoint",
    "plain_errors",
    "rows_a_process",
    "rows_of",
    "run_folder",
    "save_deltas",
    "script_of",
    "write",
]


def __getattr__(name: str) -> Any:
    if name == "DeltaTrainer":  # transformers' Trainer takes seconds to import
        from deltanb.cluster._trainer import DeltaTrainer

        return DeltaTrainer
    msg = f"module 'deltanb.cluster' has no attribute {name!r}"
    raise AttributeError(msg)
