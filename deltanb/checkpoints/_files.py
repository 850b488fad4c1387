"""Files of a checkpoint: written to a temporary name and moved into place, read with errors that say what is wrong."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ADAPTER_CONFIG", "ADAPTER_FACTS", "ADAPTER_WEIGHTS", "CONFIG", "WEIGHTS", "is_temporary", "read_json", "replace_files"]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_FACTS = "deltanb.json"  # beside PEFT's two files, which have no place for it
_TEMPORARY = ".deltanb-tmp"


def replace_files(files: Mapping[Path, bytes]) -> None:
    """Write files: all to temporary names first, then each moved into place in one step.

    A full disk, an interrupt or a crash while writing leaves every old file as it was, and never a part of a new one.

    Raises:
        DeltaError: the disk is full, read-only, or the place cannot be written; the old files are untouched.
    """
    made: list[Path] = []
    staged: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            made += _make_folder(path.parent)
            staged[path] = path.with_name(f".{path.name}.{os.getpid()}{_TEMPORARY}")
            _write(staged[path], content)
        for path, temporary in staged.items():
            temporary.replace(path)
    except BaseException as error:
        _tidy([*staged.values()], made)
        if isinstance(error, OSError):
            raise _cannot_write(next(iter(files)).parent, error) from None
        raise
    _tidy([old for path in files for old in path.parent.glob(f".{path.name}.*{_TEMPORARY}")], [])


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _tidy(files: list[Path], folders: list[Path]) -> None:
    """Take away what was made on the way, as far as the disk lets us."""
    for path in files:
        with suppress(OSError):
            path.unlink()
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder and its parents; the ones that are new, deepest first."""
    missing = [place for place in [folder, *folder.parents] if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _cannot_write(folder: Path, error: OSError) -> DeltaError:
    reason = (error.strerror or str(error)).lower()
    return DeltaError(
        f"{folder} cannot be written: {reason}.", expected="What was saved there before is unchanged.", try_="%delta save another-folder"
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        DeltaError: it is no JSON, or no object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} cannot be read: {error}."
        raise DeltaError(msg, expected="It must be a JSON file, as %delta save writes it.") from None
    if not isinstance(data, dict):
        msg = f"{path} holds a {type(data).__name__}, not settings."
        raise DeltaError(msg, expected="It must be a JSON object, as %delta save writes it.")
    return data


def is_temporary(path: Path) -> bool:
    """Whether a file is what a crash while saving left behind.

    Example:
        >>> from pathlib import Path
        >>> is_temporary(Path(".model.safetensors.7.deltanb-tmp")), is_temporary(Path("model.safetensors"))
        (True, False)
    """
    return path.name.startswith(".") and path.name.endswith(_TEMPORARY)
