"""The folder of a run: its checkpoints, which of them are whole, and the deltas at its end."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from deltanb.backbones import Backbone

__all__ = ["WEIGHTS", "last_checkpoint", "run_folder", "save_deltas"]

WEIGHTS = "model.safetensors"
_PICKLED = ("optimizer.pt", "scheduler.pt", "rng_state*.pth")


def last_checkpoint(folder: str | Path) -> str | None:
    """The newest whole checkpoint in a run's folder; one that a killed process left half written is passed over.

    Args:
        folder: holds ``checkpoint-100``, ``checkpoint-200``, …

    Returns:
        Its path, or None where there is none.

    Example:
        >>> last_checkpoint("nowhere") is None
        True
    """
    found = [path for path in Path(folder).glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdecimal()]
    newest_first = sorted(found, key=lambda path: -int(path.name.removeprefix("checkpoint-")))
    return next((str(path) for path in newest_first if _is_whole(path)), None)


def _is_whole(path: Path) -> bool:
    """Trainer writes its state last; what it writes before has to be readable, too."""
    from safetensors import SafetensorError, safe_open

    try:
        state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        if (path / WEIGHTS).exists():
            with safe_open(path / WEIGHTS, "pt"):
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    zipped = [file for pattern in _PICKLED for file in path.glob(pattern)]
    return f"checkpoint-{state.get('global_step')}" == path.name and all(map(zipfile.is_zipfile, zipped))


def run_folder(folder: str | Path, *, resume: bool) -> str | None:
    """The checkpoint that a run is to go on from, after a look at what its folder holds.

    Args:
        folder: of the run.
        resume: go on from what is there; without anything there, begin.

    Raises:
        DeltaError: it holds a run, and ``resume`` was not asked for; or it cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(run_folder(pathlib.Path(folder) / "run", resume=True))
        None
    """
    path = Path(folder)
    before = [*path.glob("checkpoint-*"), *path.glob(WEIGHTS)]
    if before and not resume:
        msg = f"{path} holds a run already ({before[0].name}); it is left as it is."
        raise DeltaError(msg, expected="Go on from there, or take another folder.", try_=f"--resume, or --output {path}-2")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}."
        raise DeltaError(msg, expected="A folder for the checkpoints is needed.", try_="--output FOLDER") from None
    return last_checkpoint(path) if resume else None


def save_deltas(backbone: Backbone, folder: str | Path) -> list[Path]:
    """Save the deltas of a run, each to a folder of its name.

    Args:
        backbone: built as for the run, and not trained: the values come from the run's ``model.safetensors``. Thus nothing has
            to be known of how many processes had shared the model.
        folder: of the run.

    Returns:
        The deltas' folders; `deltanb.load` reads them.

    Raises:
        DeltaError: the values are of other deltas.

    Example:
        >>> import tempfile, deltanb
        >>> from pathlib import Path
        >>> from safetensors.torch import save_file
        >>> backbone = deltanb.load_backbone("bert-tiny", random=True)
        >>> lora = deltanb.LoraModel(backbone.model, modified_modules=["query"])
        >>> lora.freeze_module(exclude=["deltas"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = save_file(backbone.model.state_dict(), Path(folder) / "model.safetensors")
        ...     [path.name for path in save_deltas(backbone, folder)]
        ['lora']
    """
    from safetensors.torch import load_file

    from deltanb.engine import deltas

    values = load_file(Path(folder) / WEIGHTS)
    trains = {name for name, parameter in backbone.model.named_parameters() if parameter.requires_grad}
    if trains != values.keys():
        odd = sorted(trains ^ values.keys())
        msg = f"{Path(folder) / WEIGHTS} is of other deltas: {', '.join(odd[:3])} is in one and not in the other."
        raise DeltaError(msg, expected="The deltas of the run are needed, attached and frozen in the same way.")
    backbone.model.load_state_dict(values, strict=False)
    return [delta.save_finetuned(Path(folder) / name) for name, delta in deltas(backbone.model).items()]
