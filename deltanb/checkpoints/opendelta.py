"""Folders that OpenDelta wrote (Ding et al. 2022): ``config.json`` and ``pytorch_model.bin``.

The weights are read with ``weights_only=True``: no pickled code runs. OpenDelta's patterns follow rules of their own (raw
prefixes for exclusion, role names chosen by a flag, LoRA that ignores exclusion), so the hosts are taken from the names of
the tensors: what was saved is where it sat.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.checkpoints._files import CONFIG, read_json
from deltanb.checkpoints._saved import Saved
from deltanb.checkpoints._tensors import read_tensors
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
    tensors = read_tensors(folder / BINARY, f"OpenDelta's save_finetuned writes {CONFIG} and {BINARY}.")
    hosts, tensors = _hosts(kind, tensors)
    if not hosts:
        msg = f"{folder / BINARY} holds no tensor of the type {kind!r}."
        raise DeltaError(msg, expected="Its names look like encoder.layers.0.fc2.adapter.modulelist.down_proj.weight.")
    own = DELTA_TYPES[kind].config_class.option_names()
    options = {key: value for key, value in data.items() if key in (*own, *_KEPT)}
    config = AutoDeltaConfig.from_dict({"delta_type": kind, **options, "modified_modules": hosts})
    backbone = {"class": data.get("backbone_class", ""), "name": data.get("backbone_checkpoint_name", "")}
    return Saved(folder, "OpenDelta", config, tensors, hosts=hosts, backbone=backbone)


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
