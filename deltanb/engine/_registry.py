"""Which deltas a backbone carries: one registry, kept in the backbone's own ``__dict__``.

It travels with ``copy.deepcopy`` and ``pickle`` of the model, and adds nothing to its modules or its state dict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.structure import REGISTRY

if TYPE_CHECKING:
    from torch import nn

    from deltanb.engine._base import DeltaModel
    from deltanb.engine._freezing import Declaration
    from deltanb.engine._merged import Original

__all__ = ["Registry", "deltas", "is_parallel", "registry_of", "unwrapped"]


class Registry:
    """The deltas attached to one backbone, and what is declared trainable.

    Attributes:
        attached: name to delta, in order of attachment.
        declarations: the freeze declarations in force, oldest first; a later one overrides.
        baseline: ``requires_grad`` of the backbone's parameters before the first declaration; None without one.
        clock: how many declarations there have been.
        originals: backbone tensors that merged deltas have changed, as they were before.
    """

    def __init__(self) -> None:
        self.attached: dict[str, DeltaModel] = {}
        self.declarations: list[Declaration] = []
        self.baseline: dict[str, bool] | None = None
        self.clock = 0
        self.originals: dict[str, Original] = {}

    def owners(self) -> dict[str, tuple[str, bool]]:
        """For each backbone tensor that an attached delta owns: the delta, and whether the delta created it."""
        return {name: (delta.name, name in delta.created) for delta in self.attached.values() for name in [*delta.owned, *delta.created]}


def registry_of(model: nn.Module) -> Registry:
    """The model's registry, made on first use."""
    registry: Registry | None = model.__dict__.get(REGISTRY)
    if registry is None:
        registry = Registry()
        model.__dict__[REGISTRY] = registry
    return registry


def deltas(model: nn.Module) -> dict[str, DeltaModel]:
    """The deltas attached to a backbone, by name, in order of attachment.

    Example:
        >>> from torch import nn
        >>> from deltanb import LoraModel, deltas
        >>> model = nn.Sequential(nn.Linear(4, 4))
        >>> delta = LoraModel(model, modified_modules=["0"])
        >>> list(deltas(model))
        ['lora']
    """
    registry: Registry | None = unwrapped(model).__dict__.get(REGISTRY)
    return dict(registry.attached) if registry else {}


def unwrapped(model: nn.Module) -> nn.Module:
    """The module itself where ``torch.compile`` or a parallel wrapper of torch's is around it.

    Example:
        >>> from torch import nn
        >>> unwrapped(nn.Linear(1, 1))
        Linear(in_features=1, out_features=1, bias=True)
    """
    inner = model._modules.get("module" if is_parallel(model) else "_orig_mod")
    return model if inner is None else unwrapped(inner)


def is_parallel(model: nn.Module) -> bool:
    """Whether a module is torch's ``DataParallel`` or ``DistributedDataParallel``.

    Example:
        >>> from torch import nn
        >>> is_parallel(nn.DataParallel(nn.Linear(1, 1))), is_parallel(nn.Linear(1, 1))
        (True, False)
    """
    from torch import nn

    return isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel))
