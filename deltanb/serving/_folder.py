"""Which folders in a folder are to be served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["candidates"]

_FILES = ("config.json", "model.safetensors", "adapter_config.json")


def candidates(folder: Path) -> list[str]:
    """Names of the folders in a folder that look like a delta, whole or damaged, sorted.

    Raises:
        DeltaError: the folder is not there, holds no delta, or is one itself.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise DeltaError(
            f"The folder {str(folder)!r} {what}.", expected="A folder that holds saved deltas.", try_="%delta save deltas/first"
        )
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _looks_like_one(entry))
    if found:
        return found
    if _looks_like_one(folder):
        msg = f"{folder} is itself a delta, not a folder of deltas."
        raise DeltaError(msg, expected="The folder that it lies in.", try_=f"{folder.resolve().parent}")
    raise DeltaError(f"{folder} holds no deltas.", expected="Folders that %delta save wrote.", try_=f"%delta save {folder}/first")


def _looks_like_one(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _FILES)
