"""Switching among deltas: exactly these attached, or none for a while."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.engine._merging import set_merged
from deltanb.engine._registry import deltas, registry_of, unwrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from deltanb.engine._base import DeltaModel

__all__ = ["found_delta", "put_back", "use", "without_deltas"]


def use(model: nn.Module, *wanted: DeltaModel | str) -> list[DeltaModel]:
    """Have exactly these deltas attached: the others are detached and keep their weights. Done already: nothing happens.

    Args:
        model: the backbone.
        *wanted: deltas, attached or not, or names of attached ones; none at all: every delta is detached.

    Returns:
        The deltas that were detached, in the order in which they had been attached.

    Raises:
        DeltaError: no attached delta has that name, a delta is another model's, or two of them own one tensor; nothing
            has changed then.

    Example:
        >>> from torch import nn
        >>> from deltanb import AdapterModel, LoraModel, deltas
        >>> model = nn.Sequential(nn.Linear(4, 4))
        >>> adapter = AdapterModel(model, modified_modules=["0"], bottleneck_dim=2)
        >>> lora = LoraModel(model, modified_modules=["0"])
        >>> [delta.name for delta in use(model, lora)], list(deltas(model))
        (['adapter'], ['lora'])
        >>> _ = use(model, adapter)
        >>> list(deltas(model))
        ['adapter']
    """
    backbone = unwrapped(model)
    before = list(deltas(backbone).values())
    chosen = [found_delta(backbone, one) for one in wanted]
    gone = [delta for delta in before if delta not in chosen]
    inside = [delta for delta in before if delta.merged]
    try:
        for delta in reversed(gone):
            delta.detach()
        for delta in chosen:
            delta.attach()
    except BaseException:
        put_back(backbone, before, inside)
        raise
    return gone


@contextmanager
def without_deltas(model: nn.Module, *chosen: DeltaModel | str) -> Iterator[None]:
    """The backbone without any delta, or without those chosen, for the time of a ``with`` block: heads and biases are its own.

    After the block, however it ends, the same deltas are attached with the same values and declarations; parameters
    stay the same objects, so an optimizer goes on. A delta that was attached inside is detached again.

    Args:
        model: the backbone.
        *chosen: deltas, or names of attached ones, that are to be off; default: all.

    Raises:
        DeltaError: no attached delta has that name, or a delta is another model's.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from deltanb import AdapterModel, deltas
        >>> model = nn.Sequential(nn.Linear(4, 4))
        >>> value = torch.ones(1, 4)
        >>> plain = model(value)
        >>> delta = AdapterModel(model, modified_modules=["0"], bottleneck_dim=2)
        >>> with without_deltas(model):
        ...     torch.equal(model(value), plain)
        True
        >>> list(deltas(model))
        ['adapter']
    """
    backbone = unwrapped(model)
    before = list(deltas(backbone).values())
    inside = [delta for delta in before if delta.merged]
    off = [found_delta(backbone, one) for one in chosen] or before
    staying = [delta for delta in before if delta not in off]
    try:
        use(backbone, *staying)
        yield
    finally:
        if inside:  # a merged delta can refuse another's return, so all of them come back in the order of then
            use(backbone)
        put_back(backbone, before, inside)


def put_back(backbone: nn.Module, before: Sequence[DeltaModel], inside: Sequence[DeltaModel]) -> None:
    """Exactly the deltas of an earlier moment, in the order of then, and those merged that were."""
    for delta in reversed(list(deltas(backbone).values())):
        if delta not in before:
            delta.detach()
    for delta in before:
        delta.attach()
    registry_of(backbone).attached = {delta.name: delta for delta in before}
    for delta in inside:
        set_merged(delta, wanted=True)


def found_delta(backbone: nn.Module, one: DeltaModel | str) -> DeltaModel:
    """The delta itself, or the attached one of that name.

    Raises:
        DeltaError: there is none, or it belongs to another model.
    """
    attached = deltas(backbone)
    if not isinstance(one, str):
        if one.backbone_model is backbone:
            return one
        msg = f"{one.name!r} belongs to another model."
        raise DeltaError(msg, expected="A delta that was made on this one.", try_="deltanb.checkpoints.transplant(delta, model)")
    if one in attached:
        return attached[one]
    msg = f"No attached delta is called {one!r}."
    expected = f"Attached: {', '.join(attached) or 'none'}. A detached delta is given as the object."
    raise DeltaError(msg, expected=expected, nearest=close(one, attached), try_="deltanb.use(model, delta)")
