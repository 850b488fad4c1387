"""Files of a checkpoint: written to a temporary name and moved into place, read with errors that say what is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from deltanb._errors import DeltaError
from deltanb._suggest import close

__all__ = ["checked_folder", "read_json", "replace_file", "saved_folders"]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step: after a crash the old content is there, or the new, never a part.

    Raises:
        DeltaError: the disk is full, read-only, or the place cannot be written; the old file is untouched.
    """
    made = _make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        for folder in made:
            folder.rmdir()
        raise _cannot_write(path.parent, error) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder and its parents; the ones that are new, deepest first."""
    missing = [place for place in [folder, *folder.parents] if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from None
    return missing


def _cannot_write(folder: Path, error: OSError) -> DeltaError:
    reason = (error.strerror or str(error)).lower()
    return DeltaError(f"{folder} cannot be written: {reason}.", expected="What was saved there before is unchanged.", try_="%delta save another-folder")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        DeltaError: it is no JSON, or no object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}."
        raise DeltaError(msg, expected="A JSON file, as save_finetuned writes it.") from None
    if not isinstance(data, dict):
        msg = f"{path} holds a {type(data).__name__}, not settings."
        raise DeltaError(msg, expected="A JSON object.")
    return data


def checked_folder(folder: str | Path) -> Path:
    """The folder, if there is one.

    Raises:
        DeltaError: there is none, or it is a file; names the saved deltas nearby.
    """
    path = Path(folder).expanduser()
    if path.is_dir():
        return path
    near = saved_folders(path.parent)
    what = "is a file" if path.exists() else "is not there"
    msg = f"The folder {str(folder)!r} {what}."
    names = [str(path.parent / name) if str(path.parent) != "." else name for name in close(path.name, near) or near[:3]]
    raise DeltaError(msg, expected="A folder that save_finetuned or %delta save wrote.", nearest=names, try_=f"%delta load {names[0]}" if names else "")


def saved_folders(place: str | Path = ".") -> list[str]:
    """Names of the folders in ``place`` that hold a saved delta.

    Example:
        >>> saved_folders("/nowhere")
        []
    """
    root = Path(place)
    try:
        folders = sorted(entry for entry in root.iterdir() if entry.is_dir())
    except OSError:
        return []
    return [folder.name for folder in folders if (folder / CONFIG).is_file() and _is_delta(folder / CONFIG)]


def _is_delta(config: Path) -> bool:
    try:
        return "delta_type" in read_json(config)
    except DeltaError:
        return False
