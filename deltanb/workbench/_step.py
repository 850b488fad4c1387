"""One thing that was done on a workbench, and the care with which it is done: an interrupt waits for a safe moment."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from deltanb.workbench._snapshot import Snapshot

__all__ = ["Shield", "Step"]


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
