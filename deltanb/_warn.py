"""Warnings that point at the caller's line, however deep in the package they arise."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["warn"]

_PACKAGE = __name__.partition(".")[0]


def warn(message: str) -> None:
    """Warn on behalf of the first line outside the package.

    Example:
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     warn("something to know")
        >>> str(said[0].message), said[0].category.__name__
        ('something to know', 'UserWarning')
    """
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_back is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == _PACKAGE
