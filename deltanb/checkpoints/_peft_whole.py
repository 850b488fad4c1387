"""The backbone tensors that a delta owns, as PEFT keeps them: whole modules, and the biases of its targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.checkpoints._fingerprint import original_tensors
from deltanb.checkpoints._peft_form import OWN_FORMAT, Form
from deltanb.structure import backbone_modules, module_names

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import torch
    from torch import nn

    from deltanb.engine import DeltaModel

__all__ = ["Whole", "whole_modules"]


@dataclass
class Whole:
    """What PEFT is to save of the backbone.

    Attributes:
        words: ``modules_to_save``, by full names.
        biases: the targets' biases, by full name; empty unless one of them is owned.
        tensors: those of the modules, by full name: the delta's values, and the backbone's where the delta owns none.
    """

    words: list[str]
    biases: dict[str, torch.Tensor]
    tensors: dict[str, torch.Tensor]


def whole_modules(delta: DeltaModel, form: Form, heads: Sequence[str] = ()) -> Whole:
    """Sort what a delta owns of its backbone into whole modules and biases.

    Args:
        delta: attached or not.
        form: the adapter in PEFT's words.
        heads: modules that are to be in the file whether they are owned or not.

    Raises:
        DeltaError: PEFT could not keep one of the tensors; says why.
    """
    backbone = delta.backbone_model
    mine = delta.tensors()
    values = {**_buffers(backbone), **original_tensors(backbone), **{name: mine[name] for name in delta.owned}}
    targets, owned = form.hosts, [name for name in delta.owned if name not in form.own]
    biases = [name for name in (f"{host}.bias" for host in targets) if name in values and name not in form.own]
    _check_ties(backbone, delta.owned)
    words = list(dict.fromkeys([*heads, *(_topmost(backbone, name, owned, targets) for name in owned if name not in biases)]))
    words = [word for word in words if not any(word.startswith(f"{other}.") for other in words)]
    # PEFT compares the ends of names, not their last words: "classifier" saves DistilBERT's pre_classifier too.
    named = [name for name in module_names(backbone) if name.endswith(tuple(words))] if words else []
    for name in named:
        _check_free(name, targets)
    kept = {name: tensor for name, tensor in values.items() if any(name.startswith(f"{module}.") for module in named)}
    return Whole(words, {name: values[name] for name in biases} if set(owned) & set(biases) else {}, kept)


def _buffers(backbone: nn.Module) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": tensor
        for name, module in backbone_modules(backbone)
        for key, tensor in module._buffers.items()
        if tensor is not None and key not in module._non_persistent_buffers_set  # noqa: SLF001 - state_dict() may be filtered
    }


def _check_ties(backbone: nn.Module, owned: Collection[str]) -> None:
    names: dict[int, list[str]] = {}
    for name, module in backbone_modules(backbone):
        for key, parameter in module._parameters.items():
            if parameter is not None:
                names.setdefault(id(parameter), []).append(f"{name}.{key}" if name else key)
    for twins in names.values():
        if len(twins) > 1 and set(twins) & set(owned):
            msg = f"{twins[0]} is one tensor with {twins[1]}; PEFT would train a copy of it in one place only."
            raise DeltaError(msg, expected="Tied tensors have no PEFT form.", try_=OWN_FORMAT)


def _topmost(backbone: nn.Module, name: str, owned: Collection[str], targets: Sequence[str]) -> str:
    """The largest module around a tensor that is owned altogether; at least the one that holds it."""
    best, _, _ = name.rpartition(".")
    if not best:
        msg = f"{name} belongs to the model itself, and PEFT saves only whole modules."
        raise DeltaError(msg, expected="Tensors of a module that can be saved whole.", try_=OWN_FORMAT)
    _check_free(best, targets)
    above = best
    while above := above.rpartition(".")[0]:
        inside = [f"{sub}.{key}" for sub, module in backbone_modules(backbone.get_submodule(above)) for key in module._parameters]
        if not all(f"{above}.{key.removeprefix('.')}" in owned for key in inside):
            break
        best = above
    return best


def _check_free(module: str, targets: Sequence[str]) -> None:
    inside = next((host for host in targets if f"{host}.".startswith(f"{module}.") or f"{module}.".startswith(f"{host}.")), None)
    if inside is not None:
        msg = f"{module} would have to be saved whole, and the adapter sits on {inside}: PEFT cannot do both."
        raise DeltaError(msg, expected="Heads and norms apart from the adapter.", try_=OWN_FORMAT)
