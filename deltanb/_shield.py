"""An interrupt waits for a safe moment: while a model is half changed, Ctrl-C and the kernel's stop button are held back."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Shield"]


class Shield:
    """Holds back the kernel's interrupt while a model is half changed: not a line of the engine is cut in two.

    Example:
        >>> with Shield() as shield:
        ...     signal.raise_signal(signal.SIGINT)
        ...     print("done all the same")
        ...     shield.hit
        done all the same
        True
    """

    def __init__(self) -> None:
        self.hit = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if _in_main_thread():
            self._before = signal.getsignal(signal.SIGINT)
        self._hold()
        return self

    def __exit__(self, *_: object) -> None:
        self._let()

    def _hold(self) -> None:
        if self._before is not None and _in_main_thread():
            signal.signal(signal.SIGINT, self._note)

    def _let(self) -> None:
        if self._before is not None and _in_main_thread():
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self.hit = True

    def check(self) -> None:
        """Raise the interrupt that was held back, if there was one.

        Raises:
            KeyboardInterrupt: there was.
        """
        if self.hit:
            self.hit = False
            raise KeyboardInterrupt

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let interrupts through for a while: for work that takes long and leaves the model whole."""
        self.check()
        self._let()
        try:
            yield
        finally:
            self._hold()

    def leave(self) -> None:
        """Hold nothing back any more: another thread goes on with the step."""
        self._let()
        self._before, self.hit = None, False


def _in_main_thread() -> bool:
    """Signals reach the main thread alone, and only there can they be handled."""
    return threading.current_thread() is threading.main_thread()
