"""Folders that PEFT wrote (https://github.com/huggingface/peft): ``adapter_config.json`` and ``adapter_model.safetensors``.

PEFT itself is not needed. What it accepts in silence is named here: tensors for modules that ``target_modules`` does not
cover, modules without tensors, a rank that the tensors do not have, names without the prefix, settings that change what is
computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.checkpoints._files import ADAPTER_CONFIG, read_json
from deltanb.checkpoints._peft_common import Folder
from deltanb.checkpoints._peft_lora import read_lora
from deltanb.checkpoints._tensors import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deltanb.checkpoints._saved import Saved

__all__ = ["read"]

_SAFE, _PICKLED = "adapter_model.safetensors", "adapter_model.bin"
_READERS: dict[str, Callable[[Folder], Saved]] = {"LORA": read_lora}


def read(folder: Path) -> Saved:
    """Read a folder.

    Raises:
        DeltaError: a file is damaged, the type is none that has a form here, or a setting changes what is computed.

    Example:
        See `deltanb.AutoDeltaModel.from_finetuned`, which calls it where it finds such a folder.
    """
    settings = read_json(folder / ADAPTER_CONFIG)
    reader = _READERS.get(settings["peft_type"])
    if reader is None:
        msg = f"{folder} holds a PEFT adapter of type {settings['peft_type']!r}, which has no form here."
        raise DeltaError(msg, expected=f"One of PEFT's types: {', '.join(_READERS)}.")
    path = folder / (_PICKLED if not (folder / _SAFE).exists() and (folder / _PICKLED).exists() else _SAFE)
    return reader(Folder(folder, settings, read_tensors(path, f"PEFT writes {ADAPTER_CONFIG} and {_SAFE}.")))
