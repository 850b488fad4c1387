"""No gradient goes below what trains: torch builds no graph there, so the layers below cost a forward pass and no memory.

Input gradients undo that. transformers switches them on together with activation checkpointing, though only its old,
reentrant form needs them, and a user may have done so (``enable_input_require_grads``).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deltanb.probe import modes_kept
from deltanb.training._cut import first_place, observed, tensors_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

__all__ = ["checkpointing_kept", "gradient_notes", "input_gradients_off"]

_CHECKPOINTING = ("gradient_checkpointing", "_gradient_checkpointing_func")
_HOOKS = ("_require_grads_hooks", "_require_grads_hook")


def gradient_notes(model: nn.Module, inputs: Mapping[str, Any], trainer: Mapping[str, Any]) -> list[str]:
    """What is to be said where layers without anything that trains cost as if they trained.

    Args:
        model: the model.
        inputs: a small batch.
        trainer: arguments of ``transformers.TrainingArguments``.

    Example:
        >>> import torch
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> from deltanb import LoraModel
        >>> small = {"hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 16}
        >>> model = BertForSequenceClassification(BertConfig(num_hidden_layers=2, **small))
        >>> LoraModel(model, modified_modules=["layer.1.attention.self.query"]).freeze_module()
        >>> inputs = {"input_ids": torch.ones(1, 4, dtype=torch.long)}
        >>> gradient_notes(model, inputs, {})
        []
        >>> model.enable_input_require_grads()
        >>> gradient_notes(model, inputs, {})[0][:75]
        'Gradients go below bert.encoder.layer.1.attention.self.query, where nothing'
    """
    seen = observed(model, inputs)
    first = first_place(model, seen)
    if first is None or not any(call.end < seen[first].start for call in seen.values()):
        return []
    cost = f"Gradients go below {first}, where nothing trains, so the layers there cost as if they did"
    if _gets_gradient(model, inputs, first):
        return [f"{cost}; model.disable_input_require_grads() ends that."]
    if not _checkpoints(trainer):
        return []
    if _reentrant(trainer):
        return [f"{cost}: activation checkpointing with use_reentrant=True needs that, and without it does not."]
    return [f"Activation checkpointing without gradients of the input, as nothing below {first} trains."]


def _gets_gradient(model: nn.Module, inputs: Mapping[str, Any], name: str) -> bool:
    """Whether a module is given a tensor that a gradient will come to."""
    import torch

    found: list[bool] = []

    def before(_module: nn.Module, args: Any, kwargs: Any) -> None:
        found.append(any(tensor.requires_grad for tensor in tensors_in((args, kwargs))))

    handle = model.get_submodule(name).register_forward_pre_hook(before, with_kwargs=True)
    try:
        with modes_kept(model), torch.enable_grad():
            model.eval()
            model(**inputs)
    finally:
        handle.remove()
    return any(found)


def _checkpoints(trainer: Mapping[str, Any]) -> bool:
    """Whether these arguments ask for activation checkpointing, under its new name or its old one."""
    return bool(trainer.get("activation_checkpointing") or trainer.get("gradient_checkpointing"))


def _reentrant(trainer: Mapping[str, Any]) -> bool:
    given = trainer.get("activation_checkpointing_kwargs") or trainer.get("gradient_checkpointing_kwargs") or {}
    return bool(given.get("use_reentrant"))


def input_gradients_off(model: nn.Module, trainer: Mapping[str, Any]) -> None:
    """Take back the input gradients that came with activation checkpointing, unless its form needs them."""
    if _checkpoints(trainer) and not _reentrant(trainer):
        model.disable_input_require_grads()  # type: ignore[operator]


@contextmanager
def checkpointing_kept(model: nn.Module) -> Iterator[None]:
    """Activation checkpointing and input gradients are afterwards on or off as before."""
    flags = [(module, key, module.__dict__[key]) for module in model.modules() for key in _CHECKPOINTING if key in module.__dict__]
    had = {key: model.__dict__[key] for key in _HOOKS if key in model.__dict__}
    try:
        yield
    finally:
        if model.__dict__.get(_HOOKS[0]) is not had.get(_HOOKS[0]):
            model.disable_input_require_grads()  # type: ignore[operator]
        for key in _HOOKS:
            model.__dict__.pop(key, None)
        model.__dict__.update(had)
        for module in model.modules():
            for key in _CHECKPOINTING:
                module.__dict__.pop(key, None)
        for module, key, value in flags:
            module.__dict__[key] = value
