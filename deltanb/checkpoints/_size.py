"""The size of a delta's file before there is one, to the byte."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from deltanb.checkpoints.native import METADATA, backbone_facts, sealed, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import nn

    from deltanb.engine import BaseDeltaConfig

__all__ = ["FileSize"]

_ALIGNED = 8  # the header of a safetensors file is filled up to a multiple of this
_HASH, _FINGERPRINT = "0" * 64, "0" * 16


class FileSize:
    """Sizes of ``model.safetensors`` for deltas of one backbone, frozen but for the delta.

    Args:
        backbone: the model; a skeleton stands for itself with weights.

    Example:
        >>> import tempfile, torch
        >>> from torch import nn
        >>> from deltanb import LoraModel, save
        >>> model = nn.Sequential(nn.Linear(4, 4))
        >>> sizes = FileSize(model)
        >>> delta = LoraModel(model, modified_modules=["0"], lora_r=2)
        >>> delta.freeze_module(exclude=["deltas"])
        >>> tensors = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in delta.tensors().items()}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (save(delta, folder) / "model.safetensors").stat().st_size == sizes.of(delta.config, "lora", ["0"], tensors)
        True
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = {**backbone_facts(backbone, ()), "weights": _FINGERPRINT}

    def of(
        self,
        config: BaseDeltaConfig,
        name: str,
        hosts: Sequence[str],
        tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
        exclude: Sequence[str] = ("deltas",),
    ) -> int:
        """Bytes of one delta's file.

        Args:
            config: its settings.
            name: the delta's.
            hosts: where it sits.
            tensors: dtype and shape of each, by name.
            exclude: what is left trainable.
        """
        count = {"count": len(tensors), "parameters": sum(math.prod(shape) for _, shape in tensors.values()), "sha256": _HASH}
        freeze = [{"exclude": list(exclude), "scope": "", "set_state_dict": True}]
        text = sealed(told(config, name, hosts, freeze, self._backbone, count)).rstrip()
        header, values = _header(text, tensors)
        return 8 + math.ceil(header / _ALIGNED) * _ALIGNED + values


def _header(text: str, tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> tuple[int, int]:
    """Bytes of the header, before it is filled up, and of the values behind it.

    Wider dtypes come first, then names in order: https://github.com/huggingface/safetensors#format
    """
    entries: dict[str, Any] = {"__metadata__": {METADATA: text}}
    end = 0
    for name, (dtype, shape) in sorted(tensors.items(), key=lambda item: (-item[1][0].itemsize, item[0])):
        start, end = end, end + math.prod(shape) * dtype.itemsize
        entries[name] = {"dtype": _SHORT.get(str(dtype).rpartition(".")[2], "F32"), "shape": shape, "data_offsets": [start, end]}
    return len(json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()), end


_SHORT = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
