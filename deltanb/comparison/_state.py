"""The backbone by itself for a while, and dressed for one run: afterwards all is as it was."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from deltanb.engine import (
    AutoDeltaModel,
    apply_declarations,
    freeze,
    restore_declarations,
    snapshot_ownership,
    unfreeze,
    without_deltas,
)
from deltanb.probe import modes_kept
from deltanb.training._guards import Backup, random_kept
from deltanb.training._labels import labels_kept
from deltanb.training._what import head_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from deltanb.comparison._candidates import Candidate
    from deltanb.engine import DeltaModel

__all__ = ["bare", "dressed"]


@contextmanager
def bare(model: nn.Module) -> Iterator[None]:
    """The backbone without deltas and with every freeze taken back; afterwards both are as before, and so is all else.

    Args:
        model: the backbone.

    Example:
        >>> from torch import nn
        >>> from deltanb import LoraModel, deltas
        >>> model = nn.Sequential(nn.Linear(4, 4))
        >>> LoraModel(model, modified_modules=["0"]).freeze_module()
        >>> with bare(model):
        ...     list(deltas(model)), [p.requires_grad for p in model.parameters()]
        ([], [True, True])
        >>> list(deltas(model)), model[0].weight.requires_grad
        (['lora'], False)
    """
    declarations, ownership = snapshot_ownership(model)
    try:
        with ExitStack() as kept:
            for guard in (random_kept(), modes_kept(model), labels_kept(model), without_deltas(model)):
                kept.enter_context(guard)
            unfreeze(model)
            yield
    finally:
        restore_declarations(model, declarations, ownership)
        apply_declarations(model)


@contextmanager
def dressed(model: nn.Module, candidate: Candidate, seed: int, leave_out: Sequence[str]) -> Iterator[DeltaModel | None]:
    """Inside, what the candidate trains is trainable and nothing else; afterwards the bare backbone is as before.

    Args:
        model: bare.
        candidate: what to train.
        seed: of a delta's first values.
        leave_out: patterns to exclude, beside the candidate's own.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with ExitStack() as undone:
        delta = None
        if candidate.kind == "head":
            freeze(model, _head(model))
            undone.callback(unfreeze, model)
        elif candidate.kind == "full":
            _thaw(model)
            undone.callback(_put_flags, flags)
        else:
            delta = _attached(model, candidate, seed, leave_out)
            undone.callback(delta.detach)
            delta.freeze_module(exclude=["deltas", *_head(model)])
        undone.callback(Backup(model).restore)
        yield delta


def _head(model: nn.Module) -> list[str]:
    """The modules of the head, as a person would name them."""
    return sorted({name.partition(".")[0] for name in head_names(model)})


def _attached(model: nn.Module, candidate: Candidate, seed: int, leave_out: Sequence[str]) -> DeltaModel:
    import torch

    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AutoDeltaModel.from_config(candidate.config(leave_out), model, name=candidate.kind)


def _thaw(model: nn.Module) -> None:
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)  # noqa: FBT003


def _put_flags(flags: Sequence[tuple[nn.Parameter, bool]]) -> None:
    for parameter, flag in flags:
        parameter.requires_grad_(flag)
