"""The folder of a comparison: one JSON file that says which backbone it belongs to, and one for each finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deltanb._errors import DeltaError
from deltanb.checkpoints._files import read_json, replace_files

__all__ = ["RunFolder", "default_folder"]

_INDEX = "comparison.json"
_FORMAT = "deltanb comparison"
_ALIKE = ("structure", "weights")


def default_folder(backbone: dict[str, str]) -> Path:
    """Where runs are kept unless the user says: a folder for each backbone, so that two never meet.

    Example:
        >>> default_folder({"name": "user/mini lm", "structure": "0" * 16, "weights": "abcdef0123456789"}).as_posix()
        'deltanb-runs/user-mini-lm-abcdef01'
    """
    name = "".join(char if char.isalnum() or char in "._" else "-" for char in backbone["name"]).strip("-.") or "backbone"
    return Path("deltanb-runs", f"{name}-{(backbone['weights'] or backbone['structure'])[:8]}")


class RunFolder:
    """The runs of one backbone on disk. Made when it is opened, so that a place that cannot be written is known before any run.

    Args:
        path: of the folder.
        backbone: from `deltanb.comparison._key.backbone_facts`.

    Attributes:
        notes: what is to be said about what was found in it.

    Raises:
        DeltaError: it belongs to another backbone, holds something else, or cannot be written.

    Example:
        >>> import tempfile
        >>> facts = {"name": "net", "class": "Linear", "structure": "s", "weights": "w"}
        >>> with tempfile.TemporaryDirectory() as place:
        ...     RunFolder(Path(place), facts).keep("key", {"measured": {"accuracy": 0.5, "trainable": 2, "total": 9}})
        ...     RunFolder(Path(place), facts).find("key")["measured"]["accuracy"]
        0.5
    """

    def __init__(self, path: Path, backbone: dict[str, str]) -> None:
        self.path, self.notes = path, list[str]()
        index = path / _INDEX
        if path.exists() and not path.is_dir():
            raise DeltaError(f"{path} is a file, not a folder.", expected="Runs are kept in a folder.", try_=f"--folder {path}-runs")
        if index.exists():
            self._check(read_json(index), backbone)
        elif path.is_dir() and any(path.iterdir()):
            msg = f"The folder {str(path)!r} holds something else than runs of a comparison."
            raise DeltaError(msg, expected="A new or empty folder, or one of an earlier comparison.", try_=f"--folder {path / 'runs'}")
        else:
            self._write(index, {"format": _FORMAT, "backbone": backbone})

    def _check(self, data: dict[str, Any], backbone: dict[str, str]) -> None:
        found = data.get("backbone")
        if data.get("format") != _FORMAT or not isinstance(found, dict):
            msg = f"{self.path / _INDEX} is not of a comparison."
            raise DeltaError(msg, expected="A folder of an earlier comparison, or a new one.", try_=f"--folder {self.path}-2")
        if all(found.get(what) == backbone[what] for what in _ALIKE):
            return
        same_shape = found.get("structure") == backbone["structure"]
        how = "other weights" if same_shape else "another structure"
        raise DeltaError(
            f"The folder {str(self.path)!r} holds runs of another backbone: {found.get('name')!r} ({found.get('class')}), with {how}.",
            expected=f"Runs of {backbone['name']!r} ({backbone['class']}) are kept apart from those.",
            try_=f"--folder {self.path}-{default_folder(backbone).name}, or leave --folder out",
        )

    def _write(self, path: Path, data: dict[str, Any]) -> None:
        try:
            replace_files({path: json.dumps(data, indent=1, sort_keys=True).encode()})
        except DeltaError as error:
            raise DeltaError(error.what, expected="Runs are kept there.", try_="--folder another-folder") from None

    def find(self, key: str) -> dict[str, Any] | None:
        """A finished run, if it is there and whole; what is damaged is pointed out and done again.

        Args:
            key: from `deltanb.comparison._key.key_of`.
        """
        path = self._file(key)
        if not path.is_file():
            return None
        try:
            data = read_json(path)
        except DeltaError:
            data = {}
        measured = data.get("measured")
        if isinstance(measured, dict) and all(isinstance(measured.get(what), int | float) for what in ("accuracy", "trainable", "total")):
            return data
        self.notes.append(f"{path} is damaged, so that run is done again")
        return None

    def keep(self, key: str, data: dict[str, Any]) -> None:
        """Write a finished run: whole, or not at all."""
        self._write(self._file(key), data)

    def _file(self, key: str) -> Path:
        return self.path / f"run-{key}.json"
