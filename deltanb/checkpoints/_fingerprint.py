"""Fingerprints of a backbone: one of its structure, a cheap one of its weights, one of a set of tensors."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from deltanb.engine import deltas, merged_originals
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import torch
    from torch import nn

__all__ = ["original_tensors", "structure_fingerprint", "tensors_digest", "weights_fingerprint"]

_SAMPLES = 16  # values of each tensor
_LENGTH = 16  # hex digits kept


def structure_fingerprint(backbone: nn.Module) -> str:
    """A hash of the names and shapes of the backbone's parameters; what deltas brought does not count.

    Example:
        >>> from torch import nn
        >>> structure_fingerprint(nn.Linear(2, 2)) == structure_fingerprint(nn.Linear(2, 2))
        True
    """
    digest = hashlib.sha256()
    for name, tensor in original_tensors(backbone).items():
        digest.update(f"{name}:{tuple(tensor.shape)};".encode())
    return digest.hexdigest()[:_LENGTH]


def weights_fingerprint(backbone: nn.Module, without: Collection[str]) -> str:
    """A hash of some values of each backbone tensor, as it was before any delta; "" for a skeleton.

    Args:
        backbone: the model, with or without deltas.
        without: names of tensors that do not count: those that the delta in question owns.
    """
    digest = hashlib.sha256()
    for name, tensor in original_tensors(backbone).items():
        if name in without:
            continue
        if tensor.is_meta:
            return ""
        flat = tensor.detach().reshape(-1)
        picked = flat[:: max(1, len(flat) // _SAMPLES)][:_SAMPLES]
        digest.update(f"{name}:".encode() + picked.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:_LENGTH]


def original_tensors(backbone: nn.Module) -> dict[str, torch.Tensor]:
    """The backbone's parameters with the values they had before any delta took them."""
    attached = deltas(backbone).values()
    created = {name for delta in attached for name in delta.created}
    originals = {name: entry.aside for delta in attached for name, entry in delta.owned.items()} | merged_originals(backbone)
    seen: dict[str, torch.Tensor] = {}
    for name, module in backbone_modules(backbone):
        for key, parameter in module._parameters.items():
            full = f"{name}.{key}" if name else key
            if parameter is not None and full not in created:
                seen[full] = originals.get(full, parameter)
    return seen


def tensors_digest(tensors: Mapping[str, Any]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in the order of names.

    Example:
        >>> import torch
        >>> len(tensors_digest({"a": torch.zeros(2)}))
        64
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
