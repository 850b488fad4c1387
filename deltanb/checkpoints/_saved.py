"""What every reader gives: settings, tensors, and facts about where they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from torch import nn

    from deltanb.engine import BaseDeltaConfig

__all__ = ["Saved"]


@dataclass
class Saved:
    """A delta as a folder holds it.

    Attributes:
        folder: where it was read from.
        format: which format that was.
        config: the settings, with patterns that hit the hosts.
        tensors: by name in the backbone, child modules under the type's default name.
        name: the delta's name when it was saved; "" if unknown.
        hosts: the modules it sat on.
        freeze: the freeze declarations, as plain data.
        implied: whether these are what the format implies, and nobody declared them.
        backbone: class, name, parameters, structure and weights fingerprints of its backbone, as far as known.
        notes: what is worth saying about the reading.
        problems: what is wrong in the folder itself, though it can be read: refused unless the caller takes it as it is.
        fit: of a format that leaves something to the backbone (which modules, in which order): what completes the reading.
    """

    folder: Path
    format: str
    config: BaseDeltaConfig
    tensors: dict[str, torch.Tensor]
    name: str = ""
    hosts: list[str] = field(default_factory=list)
    freeze: list[dict[str, Any]] = field(default_factory=list)
    backbone: dict[str, Any] = field(default_factory=dict)
    implied: bool = False
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    fit: Callable[[Saved, nn.Module], Saved] | None = None
