"""Folders that adapters wrote (https://github.com/adapter-hub/adapters): not read yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from pathlib import Path

    from deltanb.checkpoints._saved import Saved

__all__ = ["FILES", "read"]

FILES = (
    "adapter.safetensors",
    "pytorch_adapter.bin",
    "head_config.json",
    "model_head.safetensors",
    "pytorch_model_head.bin",
)


def read(folder: Path) -> Saved:
    """Refuse a folder.

    Raises:
        DeltaError: always.
    """
    msg = f"{folder} was written by adapters; this version does not read those."
    raise DeltaError(msg, expected="What deltanb, OpenDelta or PEFT wrote can be read.")
