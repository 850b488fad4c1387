"""From one module to a later one: a value that is made before the first is called and added to what the second gives.

Between the two it lies in a `Slot`, one for each thread, which is empty again when their block is done, whether it ends
well or not. A slot is copied and pickled empty, so a model can be copied at any moment.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.engine._insertion import Hook, PreHook, change_first, plus
from deltanb.probe import first_input

if TYPE_CHECKING:
    from torch import nn

__all__ = ["AddKept", "Forget", "Keep", "Slot"]


class Slot:
    """Where a value waits.

    Attributes:
        first: name of the module before which it is made.
        second: name of the module whose output it is added to.

    Example:
        >>> import copy
        >>> slot = Slot("fc1", "fc2")
        >>> slot.put(3)
        >>> copy.deepcopy(slot).take(), slot.take(), slot.take()
        (None, 3, None)
    """

    def __init__(self, first: str, second: str) -> None:
        self.first = first
        self.second = second
        self._values: dict[int, Any] = {}

    def put(self, value: Any) -> None:
        """Keep a value for this thread."""
        self._values[_thread()] = value

    def take(self) -> Any:
        """The value that this thread kept, which is gone from here then; None without one."""
        return self._values.pop(_thread(), None)

    def __reduce__(self) -> tuple[Any, ...]:
        return Slot, (self.first, self.second)


def _thread() -> int:
    import torch

    return 0 if torch.compiler.is_compiling() else threading.get_ident()


class Keep(PreHook):
    """Before the first module: what the child makes of its input waits in the slot."""

    def __init__(self, child: str, slot: Slot) -> None:
        self.child = child
        self.slot = slot

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any = None) -> None:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_pre_hook``."""
        self.slot.put(getattr(host, self.child)(first_input(args, kwargs)))


class AddKept(Hook):
    """After the second module: what waited is added to its output, or to the first element of it."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_hook``.

        Raises:
            DeltaError: the first module was not called before; or the two work on inputs of different shapes.
        """
        added = self.slot.take()
        if added is None:
            msg = f"{self.slot.second} was called before {self.slot.first}, so nothing could run parallel to the two."
            raise DeltaError(msg, expected="A pair names the module that is called first, first.", try_="%delta graph")
        return change_first(output, lambda value: plus(value, added, self.slot.second))


class Forget(Hook):
    """After the block that holds both, even if it failed: nothing waits any longer."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot

    def register(self, module: nn.Module) -> Any:
        """Hook in; the handle that comes back has a ``remove()``."""
        return module.register_forward_hook(self, with_kwargs=True, always_call=True)

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_hook``."""
        self.slot.take()
