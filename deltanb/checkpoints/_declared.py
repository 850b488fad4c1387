"""What a delta declared trainable, as a checkpoint keeps it, and declared anew on another backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb.engine import snapshot_declarations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.engine import DeltaModel

__all__ = ["declare_again", "declared"]


def declared(delta: DeltaModel) -> list[dict[str, Any]]:
    """A delta's freeze declarations as plain data; names of other deltas, which are saved elsewhere, are left out.

    Example:
        >>> from torch import nn
        >>> from deltanb import LoraModel
        >>> delta = LoraModel(nn.Sequential(nn.Linear(4, 4)), modified_modules=["0"])
        >>> delta.freeze_module(exclude=["deltas", "0.bias"])
        >>> declared(delta)
        [{'exclude': ['deltas', '0.bias'], 'scope': '', 'set_state_dict': True}]
    """
    entries = delta.declarations
    others = [entry.known - {delta.name} for entry in entries]
    plain = snapshot_declarations(entries)
    return [{**data, "exclude": [word for word in data["exclude"] if word not in gone]} for data, gone in zip(plain, others, strict=True)]


def declare_again(delta: DeltaModel, entries: Sequence[dict[str, Any]], was: str) -> list[dict[str, Any]]:
    """Make declarations of an earlier time with a delta, which may have another name now.

    Args:
        delta: attached.
        entries: from `declared`.
        was: the delta's name then.

    Returns:
        The entries as they are now.
    """
    renamed = [{**entry, "exclude": [delta.name if word == was else word for word in entry["exclude"]]} for entry in entries]
    for entry in renamed:
        module = delta.backbone_model.get_submodule(entry["scope"])
        delta.freeze_module(module, exclude=entry["exclude"], set_state_dict=entry["set_state_dict"])
    return renamed
