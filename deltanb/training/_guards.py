"""Leaves everything as it was found: modes, random numbers, other libraries' settings, tensors.

A training run touches a lot that is not its business. Trainer seeds every generator, sets ``config.use_cache`` and wraps
``forward`` for mixed precision; the models note a ``problem_type``. Each guard here puts one thing back, whether the run
ends, fails or is interrupted.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deltanb.probe import modes_kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

__all__ = ["Backup", "model_kept", "random_kept"]

_MISSING = object()


@contextmanager
def random_kept() -> Iterator[None]:
    """The generators of Python, numpy and torch are afterwards where they were.

    Example:
        >>> import random
        >>> random.seed(1)
        >>> with random_kept():
        ...     _ = random.random()
        >>> round(random.random(), 3)
        0.134
    """
    import numpy as np
    import torch

    python, numpy_state, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    cuda: Any = torch.cuda
    gpus = cuda.get_rng_state_all() if cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(cpu)
        if gpus is not None:
            cuda.set_rng_state_all(gpus)


@contextmanager
def model_kept(model: nn.Module) -> Iterator[None]:
    """Flags, config and ``forward`` are afterwards as before, and no gradients stay behind."""
    config = vars(model.config) if hasattr(model, "config") else {}
    own = ("forward", "_original_forward", "_is_accelerate_prepared")
    touched = [*((config, key) for key in ("use_cache", "problem_type")), *((model.__dict__, key) for key in own)]
    before = [table.get(key, _MISSING) for table, key in touched]
    with modes_kept(model):
        try:
            yield
        finally:
            model.zero_grad(set_to_none=True)
            for (table, key), value in zip(touched, before, strict=True):
                _put_back(table, key, value)


def _put_back(table: dict[str, Any], key: str, value: object) -> None:
    if value is _MISSING:
        table.pop(key, None)
    else:
        table[key] = value


class Backup:
    """Values of all that training may change: trainable parameters and buffers.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Linear(1, 1)
        >>> backup, before = Backup(model), model.weight.item()
        >>> _ = nn.init.constant_(model.weight, torch.nan)
        >>> backup.restore()
        >>> model.weight.item() == before
        True
    """

    def __init__(self, model: nn.Module) -> None:
        tensors = [*(p for p in model.parameters() if p.requires_grad), *model.buffers()]
        self._kept: list[tuple[torch.Tensor, torch.Tensor]] = [(t, t.detach().to("cpu", copy=True)) for t in tensors]

    def restore(self) -> None:
        """Put the values back, in place."""
        import torch

        with torch.no_grad():
            for tensor, value in self._kept:
                tensor.copy_(value)

    def finite(self) -> bool:
        """Whether no trainable parameter holds NaN or infinity now."""
        import torch

        return all(bool(torch.isfinite(tensor).all()) for tensor, _ in self._kept if tensor.requires_grad)
