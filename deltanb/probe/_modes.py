"""A look at a model in eval mode that leaves every module's mode as it was."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["evaluating", "modes_kept"]


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Every module's train/eval flag is afterwards as before, also where parts of a model differ.

    Example:
        >>> from torch import nn
        >>> model = nn.Linear(1, 1).eval()
        >>> with modes_kept(model):
        ...     _ = model.train()
        >>> model.training
        False
    """
    before = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside; afterwards as before.

    Example:
        >>> from torch import nn
        >>> model = nn.Linear(1, 1)
        >>> with evaluating(model):
        ...     model.training
        False
        >>> model.training
        True
    """
    import torch

    with modes_kept(model), torch.no_grad():
        model.eval()
        yield
