"""The only doors from the engine to the floors above: saving, loading and drawing are asked for by name, when needed.

A delta offers ``save_finetuned`` and ``log`` because that is where people look for them; the work is done in
`deltanb.checkpoints` and `deltanb.reports`, which know the engine. Nothing here is imported before it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from deltanb.engine._base import DeltaModel
    from deltanb.engine._config import BaseDeltaConfig

__all__ = ["load", "read_config", "save", "show_log"]


def save(delta: DeltaModel, folder: str | Path, **options: Any) -> Path:
    """Write a delta to a folder; see `deltanb.checkpoints.save`."""
    from deltanb.checkpoints import save as write

    return write(delta, folder, **options)


def load(folder: str | Path, backbone: nn.Module, **options: Any) -> DeltaModel:
    """Read a delta from a folder and attach it; see `deltanb.checkpoints.load`."""
    from deltanb.checkpoints import load as read

    return read(folder, backbone, **options)


def read_config(folder: str | Path) -> BaseDeltaConfig:
    """The settings of a saved delta; see `deltanb.checkpoints.read_config`."""
    from deltanb.checkpoints import read_config as read

    return read(folder)


def show_log(delta: DeltaModel, **options: Any) -> dict[str, Any]:
    """Display structure and counts; see `deltanb.reports.show_log`."""
    from deltanb.reports import show_log as show

    return show(delta, **options)
