"""Writes files that are a person's from then on: never over something else without being asked to."""

from __future__ import annotations

import os
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["configs", "write"]


def configs() -> dict[str, str]:
    """The configurations of ``accelerate`` that travel with the package: file name to text.

    Example:
        >>> sorted(configs())
        ['ddp.yaml', 'deepspeed.yaml', 'fsdp.yaml']
    """
    folder = files("deltanb.cluster") / "configs"
    return {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".yaml")}


def write(texts: Mapping[Path, str], *, force: bool = False) -> list[Path]:
    """Write files: all, or none. One that holds just that text already is left alone.

    Args:
        texts: path to text.
        force: replace what is there.

    Returns:
        The files that changed.

    Raises:
        DeltaError: one holds something else, or cannot be written; nothing was changed then.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.txt"
        ...     first, again = write({path: "a"}), write({path: "a"})
        ...     print(len(first), len(again))
        1 0
    """
    changed = {path: text for path, text in texts.items() if not _holds(path, text)}
    for path in changed:
        if path.is_dir():
            raise DeltaError(f"{path} is a folder.", expected="A file's name is needed.", try_=f"{path / 'train.py'}")
        if path.exists() and not force:
            other = path.with_name(f"{path.stem}-2{path.suffix}")
            msg = f"{path} is there already and holds something else; it is left as it is."
            raise DeltaError(msg, expected="Take another name, or replace it with --force.", try_=f"--script {other}")
    made: dict[Path, Path] = {}
    try:
        for path, text in changed.items():
            made[path] = _beside(path, text)
        for path, fresh in made.items():
            fresh.replace(path)
    except OSError as error:
        msg = f"{next(path for path in changed if path not in made or made[path].exists())} cannot be written: {error.strerror or error}."
        raise DeltaError(msg, expected="A folder that is there, and that you may write to.", try_="%delta code --script train.py") from None
    finally:
        for fresh in made.values():
            fresh.unlink(missing_ok=True)
    return list(changed)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def _beside(path: Path, text: str) -> Path:
    """A new file with the text in the same folder, to be moved into place."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    mask = os.umask(0)
    os.umask(mask)
    Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask)
    return Path(name)
