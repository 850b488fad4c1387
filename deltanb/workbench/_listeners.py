"""Who wants to know when a workbench has changed: widgets, mostly. They are not kept alive, and cannot break a step."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from weakref import WeakMethod

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Listeners"]


class Listeners:
    """Methods that are called after each step, undo and redo.

    Example:
        >>> class View:
        ...     def refresh(self):
        ...         print("looks again")
        >>> listeners, view = Listeners(), View()
        >>> listeners.add(view.refresh)
        >>> listeners.tell()
        looks again
        >>> del view
        >>> listeners.tell()
    """

    def __init__(self) -> None:
        self._heard: list[WeakMethod[Callable[[], object]]] = []

    def add(self, method: Callable[[], object]) -> None:
        """Call a bound method from now on, as long as its object lives."""
        self._heard.append(WeakMethod(method))

    def remove(self, method: Callable[[], object]) -> None:
        """Call it no more."""
        self._heard = [known for known in self._heard if known() not in (None, method)]

    def tell(self) -> None:
        """Call all; what goes wrong in one is logged, for the step itself is done."""
        for known in list(self._heard):
            method = known()
            if method is None:
                self._heard.remove(known)
                continue
            try:
                method()
            except Exception:
                logging.getLogger("deltanb").exception("A view of the workbench could not follow.")
