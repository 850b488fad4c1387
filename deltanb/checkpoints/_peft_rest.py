"""The backbone's own tensors in a PEFT folder: modules that are saved whole, biases, copies of what the backbone holds anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb.folding import join_labels
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch
    from torch import nn

    from deltanb.checkpoints._saved import Saved

__all__ = ["compact", "declared", "settle"]


def declared(rest: Iterable[str], words: Sequence[str]) -> dict[str, Any]:
    """PEFT's freezing as a declaration: the adapter trains, what is saved whole, and the biases that are in the file.

    Args:
        rest: names of the backbone's tensors in the file.
        words: ``modules_to_save``.

    Example:
        >>> declared(["classifier.dense.weight", "layer.0.q.bias", "layer.1.q.bias"], ["classifier"])["exclude"]
        ['deltas', 'classifier', 'layer.0-1.q.bias']
    """
    heads: list[str] = []
    for name in rest:
        whole = _whole(name, words)
        heads += [whole] if whole else [name] if name.endswith(".bias") else []
    return {"exclude": ["deltas", *compact(list(dict.fromkeys(heads)))], "scope": "", "set_state_dict": True}


def _whole(name: str, words: Sequence[str]) -> str:
    """The module saved whole that a tensor is part of, or "". PEFT goes by the ends of names: not by whole segments."""
    parts = name.split(".")[:-1]
    above = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((module for module in above if module.endswith(tuple(words))), "") if words else ""


def compact(names: Sequence[str]) -> list[str]:
    """Names that differ in their first number alone as one pattern.

    Example:
        >>> compact(["layer.0.bias", "layer.1.bias", "pooler.bias"])
        ['layer.0-1.bias', 'pooler.bias']
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        parts = name.split(".")
        at = next((i for i, part in enumerate(parts) if part.isdecimal()), len(parts))
        groups.setdefault((".".join(parts[:at]), ".".join(parts[at + 1 :])), []).append(".".join(parts[at : at + 1]))
    return [".".join(filter(None, [start, join_labels(numbers) if numbers[0] else "", end])) for (start, end), numbers in groups.items()]


def settle(saved: Saved, backbone: nn.Module, rest: Iterable[str], words: Sequence[str]) -> None:
    """Leave out what is only a copy, or cannot be what PEFT has; say what is taken without having been announced.

    Args:
        saved: changed in place.
        backbone: the model.
        rest: names of the backbone's tensors in the file.
        words: ``modules_to_save``.
    """
    known = _names_by_tensor(backbone)
    for name in [name for name in rest if name in known]:
        own, tensor = known[name][0], saved.tensors[name]
        if _equal(own, tensor):
            if not _whole(name, words) and not name.endswith(".bias"):
                del saved.tensors[name]
            continue
        twin = next((other for other in known[name][1] if not _equal(saved.tensors.get(other), tensor)), None)
        if twin is not None:
            saved.problems.append(f"{name} is one tensor with {twin} here, and PEFT trained a copy of it: it is left out")
            del saved.tensors[name]
        elif not _whole(name, words) and not name.endswith(".bias"):
            saved.notes.append(f"{name} of the backbone is in the file too, with other values: they are taken")


def _names_by_tensor(backbone: nn.Module) -> dict[str, tuple[torch.Tensor, list[str]]]:
    """Each parameter of the backbone by every name that it has, with all of its names."""
    names: dict[int, list[str]] = {}
    tensors: dict[str, torch.Tensor] = {}
    for module, holder in backbone_modules(backbone):
        for key, parameter in holder._parameters.items():
            if parameter is not None:
                full = f"{module}.{key}" if module else key
                names.setdefault(id(parameter), []).append(full)
                tensors[full] = parameter
    return {name: (tensor, names[id(tensor)]) for name, tensor in tensors.items()}


def _equal(one: torch.Tensor | None, other: torch.Tensor) -> bool:
    import torch

    if one is None or one.is_meta or one.shape != other.shape:
        return False
    return torch.equal(one.detach().cpu(), other.to(one.dtype))
