"""Folders that OpenDelta wrote (Ding et al. 2022): ``config.json`` and ``pytorch_model.bin``.

The weights are read with ``weights_only=True``: no pickled code runs. OpenDelta's patterns follow rules of their own (raw
prefixes for exclusion, role names chosen by a flag, LoRA that ignores exclusion), so the hosts are taken from the names of
the tensors: what was saved is where it sat.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints._files import CONFIG, read_json
from deltanb.checkpoints._saved import Saved
from deltanb.engine import DELTA_TYPES, AutoDeltaConfig

if TYPE_CHECKING:
    from pathlib import Path

    import torch

__all__ = ["BINARY", "read"]

BINARY = "pytorch_model.bin"
_KEPT = ("unfrozen_modules",)


def read(folder: Path) -> Saved:
    """Read a folder.

    Raises:
        DeltaError: the weights cannot be read, the type is not known, or a tensor has no place.

    Example:
        See `deltanb.AutoDeltaModel.from_finetuned`, which calls it where it finds such a folder.
    """
    data = read_json(folder / CONFIG)
    kind = data.get("delta_type")
    if kind not in DELTA_TYPES:
        msg = f"{folder} holds a delta of type {kind!r}, written by OpenDelta."
        raise DeltaError(msg, expected=f"One of the types that can be read: {', '.join(DELTA_TYPES)}.")
    tensors = _weights(folder / BINARY)
    hosts, tensors = _hosts(kind, tensors)
    if not hosts:
        msg = f"{folder / BINARY} holds no tensor of the type {kind!r}."
        raise DeltaError(msg, expected="Its names look like encoder.layers.0.fc2.adapter.modulelist.down_proj.weight.")
    own = DELTA_TYPES[kind].config_class.option_names()
    options = {key: value for key, value in data.items() if key in (*own, *_KEPT)}
    config = AutoDeltaConfig.from_dict({"delta_type": kind, **options, "modified_modules": hosts})
    backbone = {"class": data.get("backbone_class", ""), "name": data.get("backbone_checkpoint_name", "")}
    return Saved(folder, "OpenDelta", config, tensors, hosts=hosts, backbone=backbone)


def _weights(path: Path) -> dict[str, torch.Tensor]:
    import torch

    if not path.is_file():
        msg = f"{path.parent} has no {path.name}."
        raise DeltaError(msg, expected=f"OpenDelta's save_finetuned writes {CONFIG} and {BINARY}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a damaged pickle makes its reader fail in any way
        msg = f"{path} cannot be read as plain tensors: {_reason(error)}."
        raise DeltaError(
            msg, expected="It must be a whole file with a state dict in it; anything that would run code is refused."
        ) from None
    if isinstance(state, dict) and all(isinstance(value, torch.Tensor) for value in state.values()):
        return dict(state)
    msg = f"{path} holds something else than named tensors."
    raise DeltaError(msg, expected="It must be a state dict, as OpenDelta's save_finetuned writes it.")


def _reason(error: Exception) -> str:
    """Why, without torch's advice on how to run the code after all."""
    text = str(error)
    wanted = re.search(r"GLOBAL ([\w.]+)", text)
    if wanted:
        return f"it wants {wanted.group(1)} to be called"
    broken = "zip" in text or isinstance(error, (EOFError, OSError))
    return "it is truncated or damaged" if broken else "it is no file of tensors, or damaged"


def _hosts(kind: str, tensors: dict[str, torch.Tensor]) -> tuple[list[str], dict[str, torch.Tensor]]:
    """The hosts, and the tensors with the child modules under the type's default name."""
    if kind == "bitfit":
        names = [name.removesuffix(".bitfit.bias").removesuffix(".bias") for name in tensors if name.endswith(".bias")]
        return list(dict.fromkeys(names)), tensors
    child = re.compile(rf"(.+)\.{kind}(?:_\d+)?\.(?=modulelist\.|lora_)")
    found = {name: hit for name in tensors if (hit := child.match(name))}
    hosts = list(dict.fromkeys(hit.group(1) for hit in found.values()))
    named = {
        f"{found[name].group(1)}.{kind}.{name[found[name].end() :]}" if name in found else name: tensor for name, tensor in tensors.items()
    }
    return hosts, named
