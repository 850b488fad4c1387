"""Folders of saved deltas: which there are, and in which format each is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.checkpoints._files import ADAPTER_CONFIG, CONFIG, WEIGHTS, read_json

__all__ = ["Format", "checked_folder", "format_of", "saved_folders"]

Format = Literal["deltanb", "OpenDelta", "PEFT", "adapters", ""]


def format_of(folder: Path) -> Format:
    """Who wrote the delta in a folder; "" if there is none. Goes by the files' names and a few words in them.

    Raises:
        DeltaError: a settings file cannot be read, or there are two deltas in one folder.
    """
    settings = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    ours = settings.get("format") == "deltanb"
    if (folder / ADAPTER_CONFIG).is_file():
        if ours or "delta_type" in settings:
            msg = f"{folder} holds two deltas: one of deltanb or OpenDelta ({CONFIG}) and one of PEFT or adapters ({ADAPTER_CONFIG})."
            raise DeltaError(msg, expected="One delta a folder.", try_="move the files of one of them away")
        return _by_adapter_config(folder)
    if ours or (not settings and (folder / WEIGHTS).is_file()):
        return "deltanb"
    return "OpenDelta" if "delta_type" in settings and not (folder / WEIGHTS).is_file() else ""


def _by_adapter_config(folder: Path) -> Format:
    data = read_json(folder / ADAPTER_CONFIG)
    if "peft_type" in data:
        return "PEFT"
    if "config" in data:
        return "adapters"
    msg = f"{folder / ADAPTER_CONFIG} is neither PEFT's nor that of adapters: it has no peft_type and no config."
    raise DeltaError(msg, expected="PEFT writes peft_type, adapters writes config.", try_="copy or download the folder again")


def saved_folders(place: str | Path = ".") -> list[str]:
    """Names of the folders in ``place`` that hold a saved delta, of whatever format.

    Example:
        >>> saved_folders("/nowhere")
        []
    """
    try:
        folders = sorted(entry for entry in Path(place).iterdir() if entry.is_dir())
    except OSError:
        return []
    return [folder.name for folder in folders if _is_delta(folder)]


def _is_delta(folder: Path) -> bool:
    named = (folder / CONFIG).is_file() or (folder / ADAPTER_CONFIG).is_file()
    try:
        return named and format_of(folder) != ""
    except DeltaError:
        return False


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
    raise DeltaError(
        msg,
        expected="A delta is a folder that %delta save (or save_finetuned) wrote.",
        nearest=names,
        try_=f"%delta load {names[0]}" if names else "",
    )
