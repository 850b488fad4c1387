"""``state_dict()`` that shows trainable tensors only, so that ``torch.save(model.state_dict())`` writes the delta alone.

The choice goes by tensor, not by name, so every name of a tied tensor is kept or dropped alike. ``save_pretrained`` is
left as it is: it writes the whole model, which would otherwise reload with re-initialised weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import nn

__all__ = ["sync_filters"]

_HANDLE = "_deltanb_state_filter"
_SAVE = "save_pretrained"
_CHANGED = "_deltanb_filtered"  # on a backbone: the modules that were given a filter, or another way to save


class _TrainableOnly:
    """A state-dict hook. ``paused`` is shared by all filters of one backbone."""

    def __init__(self, paused: list[bool]) -> None:
        self.paused = paused

    def __call__(self, module: nn.Module, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
        if self.paused[0]:
            return
        keep = {prefix + name for name, p in module.named_parameters(remove_duplicate=False) if p.requires_grad}
        for key in [key for key in state if key.startswith(prefix) and key not in keep]:
            del state[key]


class _WholeModelSave:
    """``save_pretrained`` with the filters paused; a state dict that the caller hands in (Trainer does) is written as it is."""

    def __init__(self, model: nn.Module, paused: list[bool]) -> None:
        self.model = model
        self.paused = paused

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before, self.paused[0] = self.paused[0], True
        try:
            return type(self.model).save_pretrained(self.model, *args, **kwargs)  # type: ignore[attr-defined]
        finally:
            self.paused[0] = before


def sync_filters(backbone: nn.Module, scopes: Collection[str]) -> None:
    """Have a filter on exactly the modules named in ``scopes``."""
    for module in backbone.__dict__.pop(_CHANGED, ()):
        if _HANDLE in module.__dict__:
            module.__dict__.pop(_HANDLE).remove()
        if isinstance(module.__dict__.get(_SAVE), _WholeModelSave):
            del module.__dict__[_SAVE]
    if not scopes:
        return
    paused = [False]
    modules = [backbone.get_submodule(scope) for scope in scopes]
    for module in modules:
        module.__dict__[_HANDLE] = module.register_state_dict_post_hook(_TrainableOnly(paused))  # type: ignore[no-untyped-call]
    backbone.__dict__[_CHANGED] = [backbone, *modules]
    for holder in backbone.__dict__[_CHANGED]:
        if hasattr(type(holder), _SAVE):
            holder.__dict__[_SAVE] = _WholeModelSave(holder, paused)
