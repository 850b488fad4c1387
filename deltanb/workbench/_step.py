"""One thing that was done on a workbench."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltanb._shield import Shield

if TYPE_CHECKING:
    import torch

    from deltanb.workbench._snapshot import Snapshot

__all__ = ["Step"]


@dataclass
class Step:
    """One thing that was done.

    Attributes:
        verb: which.
        line: the ``%delta`` line, as far as known.
        shield: holds back interrupts while it is being done.
        python: the Python that does the same.
        then: the state before it.
        now: the state after it.
        undoable: whether it changed the workbench (saving does not).
        values_then: tensors that it changes in place, as they were.
        values_now: the same, as it left them.
        restarts: whether it took back all training before it.
        run: the number of the training run that it was; 0 for other steps.
        after: steps that cannot be undone by themselves (saves, say) and went with this one when it was undone.
    """

    verb: str
    line: str
    shield: Shield = field(default_factory=Shield)
    python: list[str] = field(default_factory=list)
    then: Snapshot | None = None
    now: Snapshot | None = None
    undoable: bool = True
    values_then: dict[str, torch.Tensor] = field(default_factory=dict)
    values_now: dict[str, torch.Tensor] = field(default_factory=dict)
    restarts: bool = False
    run: int = 0
    after: list[Step] = field(default_factory=list)
