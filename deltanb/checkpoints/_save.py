"""From a delta to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.checkpoints import _peft_write, adapters, native, opendelta, peft
from deltanb.checkpoints._files import ADAPTER_CONFIG, ADAPTER_FACTS, ADAPTER_WEIGHTS, CONFIG, WEIGHTS, read_json
from deltanb.checkpoints._folders import Format, format_of

if TYPE_CHECKING:
    from deltanb.engine import DeltaModel

__all__ = ["save"]


_FORMATS: dict[str, Format] = {"deltanb": "deltanb", "peft": "PEFT"}
_WRITERS = {"deltanb": native.write, "PEFT": _peft_write.write}
_FILES = {
    "deltanb": (CONFIG, WEIGHTS),
    "OpenDelta": (CONFIG, opendelta.BINARY),
    "PEFT": (ADAPTER_CONFIG, ADAPTER_WEIGHTS, peft.PICKLED, ADAPTER_FACTS),
    "adapters": (ADAPTER_CONFIG, *adapters.FILES),
}


def save(delta: DeltaModel, folder: str | Path, *, force: bool = False, format: str = "deltanb") -> Path:  # noqa: A002 - as in other libraries
    """Write all that a delta owns, trainable at the moment or not, and nothing of another's.

    Args:
        delta: attached or not.
        folder: made if it is not there. A delta that is there already is replaced.
        force: replace even what is no delta: a whole model, say.
        format: ``deltanb``; or ``peft`` for a folder that `peft.PeftModel.from_pretrained` loads, for the types that PEFT has.

    Returns:
        The folder.

    Raises:
        DeltaError: the folder holds something else, or cannot be written, or PEFT would compute something else; what was
            there is unchanged then.

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
    if format not in _FORMATS:
        msg = f"There is no format {format!r}."
        raise DeltaError(msg, expected=f"One of: {', '.join(_FORMATS)}.", nearest=close(str(format), _FORMATS))
    kind, before = _FORMATS[format], _found(path)
    if not force:
        _check_ours(path, kind, before)
    _WRITERS[kind](delta, path)
    # Two deltas in one folder could not be told apart, so those that were to be replaced go when the new one is there.
    for name in {name for other in before for name in _FILES[other]} - set(_FILES[kind]):
        (path / name).unlink(missing_ok=True)
    return path


def _found(path: Path) -> list[str]:
    """Formats of what is in the folder already: none, one, or every format where that cannot be told."""
    try:
        found = format_of(path)
    except DeltaError:
        return list(_FILES)
    return [found] if found else []


def _check_ours(path: Path, kind: str, before: list[str]) -> None:
    settings = read_json(path / CONFIG) if (path / CONFIG).is_file() else {}
    ours = before in ([], [kind]) or (before, kind) == (["OpenDelta"], "deltanb")
    foreign = (settings and "delta_type" not in settings) or (not settings and (path / WEIGHTS).is_file() and not native.is_ours(path))
    if ours and not foreign:
        return
    what = "something else than a delta" if foreign or len(before) != 1 else f"a delta in {before[0]}'s format"
    msg = f"{path} holds {what} ({next(name for name in (ADAPTER_CONFIG, CONFIG, WEIGHTS) if (path / name).is_file())})."
    raise DeltaError(
        msg,
        expected="A delta is saved to a new folder, or over an earlier save in the same format.",
        try_=f"%delta save {path}-delta, or --force to replace it",
    )
