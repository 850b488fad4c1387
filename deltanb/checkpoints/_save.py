"""From a delta to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.checkpoints import native
from deltanb.checkpoints._files import CONFIG, WEIGHTS, read_json

if TYPE_CHECKING:
    from deltanb.engine import DeltaModel

__all__ = ["save"]


def save(delta: DeltaModel, folder: str | Path, *, force: bool = False) -> Path:
    """Write all that a delta owns, trainable at the moment or not, and nothing of another's.

    Args:
        delta: attached or not.
        folder: made if it is not there. A delta that is there already is replaced.
        force: replace even what is no delta: a whole model, say.

    Returns:
        The folder.

    Raises:
        DeltaError: the folder holds something else, or cannot be written; what was there is unchanged then.

    Example:
        >>> import tempfile
        >>> from torch import nn
        >>> from deltanb import LoraModel
        >>> delta = LoraModel(nn.Sequential(nn.Linear(4, 4)), modified_modules=["0"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sorted(path.name for path in save(delta, folder).iterdir())
        ['config.json', 'model.safetensors']
    """
    path = Path(folder).expanduser()
    if path.exists() and not path.is_dir():
        msg = f"{path} is a file, not a folder."
        raise DeltaError(msg, expected="A delta is saved to a folder, new or of an earlier save.", try_=f"%delta save {path}-delta")
    if not force:
        _check_ours(path)
    native.write(delta, path)
    return path


def _check_ours(path: Path) -> None:
    settings = read_json(path / CONFIG) if (path / CONFIG).is_file() else {}
    if (settings and "delta_type" not in settings) or (not settings and (path / WEIGHTS).is_file() and not native.is_ours(path)):
        msg = f"{path} holds something else than a delta ({CONFIG if settings else WEIGHTS})."
        raise DeltaError(
            msg,
            expected="A delta is saved to a new folder, or over an earlier save.",
            try_=f"%delta save {path}-delta, or --force to replace it",
        )
