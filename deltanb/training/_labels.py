"""What the classes of a model are called: remembered from its training for as long as the model lives."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

__all__ = ["label_names_of", "labels_kept", "remember_labels"]

_names: WeakKeyDictionary[nn.Module, list[str]] = WeakKeyDictionary()


def remember_labels(model: nn.Module, names: Sequence[str]) -> None:
    """Keep the names of the classes that a model was trained on."""
    _names[model] = list(names)


@contextmanager
def labels_kept(model: nn.Module) -> Iterator[None]:
    """What is remembered of a model's classes is afterwards as before."""
    before = _names.get(model)
    try:
        yield
    finally:
        if before is None:
            _names.pop(model, None)
        else:
            _names[model] = before


def label_names_of(model: nn.Module, classes: int, given: Sequence[str] | None = None) -> list[str]:
    """The names given, else those of the training, else those of the model's config, else numbers.

    Args:
        model: the module itself.
        classes: how many outputs its head has.
        given: by the caller; outputs beyond them keep the name that the config has.

    Raises:
        DeltaError: there are more names than outputs.

    Example:
        >>> from torch import nn
        >>> label_names_of(nn.Linear(1, 2), 2)
        ['0', '1']
    """
    if given is not None and (isinstance(given, str) or len(given) > classes):
        raise DeltaError(f"label_names={given!r} does not fit a head with {classes} outputs.", expected="One name a class is needed.")
    known = _names.get(model, []) if given is None else list(given)
    config: dict[int, Any] = getattr(getattr(model, "config", None), "id2label", None) or {}
    return [known[at] if at < len(known) else str(config.get(at, at)) for at in range(classes)]
