"""A model that the user made: taken as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb.backbones._backbone import Backbone
from deltanb.backbones._choices import minilm_folder
from deltanb.backbones._pretrained import folder_tokenizer
from deltanb.backbones._sizes import MINILM
from deltanb.backbones._tasks import task_of

if TYPE_CHECKING:
    from torch import nn

__all__ = ["given_backbone"]


def given_backbone(model: nn.Module, tokenizer: Any) -> Backbone:
    """The user's model as a backbone; nothing in it is changed.

    Args:
        model: what ``torch.compile`` returned is replaced by the model inside, which is the one that hooks can reach.
        tokenizer: if None, the one that lies in the folder that the model was loaded from.

    Example:
        >>> from torch import nn
        >>> given_backbone(nn.Sequential(nn.Linear(2, 3)), None)
        Backbone 'Sequential' (yours, unknown): Sequential, 9 parameters
        your own Sequential
    """
    inner = getattr(model, "_orig_mod", model)
    path = str(getattr(inner, "name_or_path", "") or "")
    found = tokenizer if tokenizer is not None else _tokenizer(path)
    kind = type(inner).__name__
    source = f"your own {kind}" + (f", loaded from {path}" if path else "")
    return Backbone(inner, found, path or kind, "yours", task_of(inner), source, "deltanb.load_backbone(model)")


def _tokenizer(path: str) -> Any:
    folder = minilm_folder() if path == MINILM else Path(path)
    return folder_tokenizer(folder) if path and folder is not None and folder.is_dir() else None
