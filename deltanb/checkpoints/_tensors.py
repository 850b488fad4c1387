"""Tensors from files of other programs: safetensors, or a pickle of plain tensors. No pickled code is ever run."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

__all__ = ["read_tensors"]


def read_tensors(path: Path, expected: str) -> dict[str, torch.Tensor]:
    """Named tensors from a file, on the CPU: safetensors by the ending ``.safetensors``, anything else as torch wrote it.

    Args:
        path: of the file.
        expected: what should be there, for the error.

    Raises:
        DeltaError: the file is not there, is damaged, holds something else, or would run code.
    """
    if not path.is_file():
        msg = f"{path.parent} has no {path.name}."
        raise DeltaError(msg, expected=expected)
    return dict(sorted((_safe(path) if path.suffix == ".safetensors" else _pickled(path)).items()))


def _safe(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(path.read_bytes()))
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        msg = f"{path} is truncated or altered: {error}."
        raise DeltaError(msg, expected="It must be a whole safetensors file.", try_="copy or download the folder again") from None


def _pickled(path: Path) -> dict[str, torch.Tensor]:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a damaged pickle makes its reader fail in any way
        msg = f"{path} cannot be read as plain tensors: {_reason(error)}."
        raise DeltaError(
            msg, expected="It must be a whole file with a state dict in it; anything that would run code is refused."
        ) from None
    if isinstance(state, dict) and all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()):
        return dict(state)
    msg = f"{path} holds something else than named tensors."
    raise DeltaError(msg, expected="It must be a state dict of tensors.")


def _reason(error: Exception) -> str:
    """Why, without torch's advice on how to run the code after all."""
    text = str(error)
    wanted = re.search(r"GLOBAL ([\w.]+)", text)
    if wanted:
        return f"it wants {wanted.group(1)} to be called"
    broken = "zip" in text or isinstance(error, (EOFError, OSError))
    return "it is truncated or damaged" if broken else "it is no file of tensors, or damaged"
