"""The ways into a host: what a delta's child module does to the host's output.

A delta's modules are children of their host; the work is done by forward hooks, objects of plain classes, so that a
model with deltas can be copied, pickled and compiled. Nothing replaces a ``forward``; no tensor outlives a call.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.probe import first_input

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

__all__ = ["AddParallel", "After", "Before", "Hook", "PreHook", "change_first", "plus", "reset_compiler"]


class Hook:
    """One way into one module. A plain class, so that a hooked model can be copied and pickled."""

    def register(self, module: nn.Module) -> Any:
        """Hook in; the handle that comes back has a ``remove()``."""
        return module.register_forward_hook(self, with_kwargs=True)

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """The hook; see ``torch.nn.Module.register_forward_hook``."""
        raise NotImplementedError


class PreHook(Hook):
    """A way in before the module is called: gives the arguments that it is called with."""

    def register(self, module: nn.Module) -> Any:
        """Hook in; the handle that comes back has a ``remove()``."""
        return module.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any = None) -> Any:
        """The hook; see ``torch.nn.Module.register_forward_pre_hook``."""
        raise NotImplementedError


class After(Hook):
    """``host(x)`` becomes ``child(host(x))``. Of a tuple or a model output the first element is changed."""

    def __init__(self, child: str) -> None:
        self.child = child

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_hook``."""
        return change_first(output, getattr(host, self.child))


class Before(PreHook):
    """``host(x)`` becomes ``host(child(x))``."""

    def __init__(self, child: str) -> None:
        self.child = child

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any = None) -> Any:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_pre_hook``."""
        child = getattr(host, self.child)
        if args:
            return (child(args[0]), *args[1:]), kwargs
        key = "hidden_states" if "hidden_states" in kwargs else next(iter(kwargs))
        return args, {**kwargs, key: child(kwargs[key])}


class AddParallel(Hook):
    """``host(x)`` becomes ``host(x) + child(x)``. Of a tuple or a model output the first element is changed."""

    def __init__(self, child: str) -> None:
        self.child = child

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """The hook; see ``torch.nn.Module.register_forward_hook``."""
        added = getattr(host, self.child)(first_input(args, kwargs))
        return change_first(output, lambda value: plus(value, added, type(host).__name__))


def plus(value: torch.Tensor, added: torch.Tensor, what: str) -> torch.Tensor:
    """``value + added`` in the dtype of ``value``.

    Args:
        value: what the backbone gives.
        added: what a delta gives.
        what: the name of the place, for the error.

    Raises:
        DeltaError: the shapes differ: nothing is spread over positions that it was not made for.
    """
    if added.shape == value.shape:
        return value + added.to(value.dtype)
    msg = f"The delta's part is {list(added.shape)} and the output of {what} {list(value.shape)}: they cannot be added."
    raise DeltaError(msg, expected="A module that gives one vector for each that it takes.", try_="%delta graph")


def change_first(output: Any, change: Callable[[Any], Any]) -> Any:
    """Apply ``change`` to an output, or to its first element.

    Example:
        >>> change_first((1, "rest"), lambda x: x + 1)
        (2, 'rest')
    """
    if isinstance(output, (tuple, list)):
        return type(output)([change(output[0]), *output[1:]])
    if isinstance(output, dict):
        key = next(iter(output))
        return type(output)(**{**output, key: change(output[key])})
    return change(output)


def reset_compiler() -> None:
    """Make compiled models see hooks that came or went: torch keeps no guard on them."""
    if "torch._dynamo" in sys.modules:
        import torch

        torch.compiler.reset()
