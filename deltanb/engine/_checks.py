"""What is refused before anything is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.engine._registry import is_parallel, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from deltanb.engine._hosts import Host

__all__ = ["check_call", "check_container", "checked_backbone", "is_container"]


def check_call(caller: str, interactive_modify: object, backend: object, opened: Callable[[], bool]) -> None:
    """Refuse what old scripts may ask for and cannot be had.

    Args:
        caller: the class that was called.
        interactive_modify: whether modules are to be clicked.
        backend: only ``hf`` is there.
        opened: opens the Explorer where there is a notebook, and says whether there is one.
    """
    if interactive_modify and opened():
        msg = "interactive_modify opened the Explorer; nothing is attached yet."
        raise DeltaError(msg, expected="Choose modules there and press Attach; the delta is then in deltanb.deltas(model).")
    if interactive_modify:
        msg = "interactive_modify opens a picture to click in, and there is none to open here."
        raise DeltaError(msg, expected="Modules by name.", try_=f"{caller}(backbone_model=model, modified_modules=['output.dense'])")
    if backend != "hf":
        msg = f"backend={backend!r} is not supported."
        raise DeltaError(msg, expected="backend='hf': a transformers or torch model.", try_="leave backend out")


def checked_backbone(model: Any) -> nn.Module:
    """The module behind what was given as a backbone: a module, a compiled one, or an object that has one as ``.model``."""
    from torch import nn

    model = getattr(model, "model", model) if not isinstance(model, nn.Module) else model
    if isinstance(model, nn.Module) and is_parallel(model):
        msg = f"A delta cannot come after {type(model).__name__}: what it adds would not be kept equal among the processes."
        raise DeltaError(msg, expected="Attach and freeze first, wrap then.", try_="AdapterModel(model.module, …), and a new wrapper")
    if isinstance(model, nn.Module):
        return unwrapped(model)
    msg = f"backbone_model must be a torch module, not {type(model).__name__}."
    raise DeltaError(msg, expected="A transformers model, say.", try_="deltanb.load_backbone('minilm').model")


def check_container(host: Host) -> None:
    """Refuse torch's containers: a child would become one of their steps, or never be called."""
    if is_container(host.module):
        last = list(host.module._modules)[-1:]
        msg = f"{host.name} is a {type(host.module).__name__}: a container cannot carry a delta."
        raise DeltaError(msg, expected="A module inside it.", try_=f"%delta match {host.name}.{last[0]}" if last else "%delta graph")


def is_container(module: nn.Module) -> bool:
    """Whether a module is one of torch's containers, with their own way of being called.

    Example:
        >>> from torch import nn
        >>> is_container(nn.Sequential()), is_container(nn.ReLU())
        (True, False)
    """
    from torch import nn

    kinds = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    return isinstance(module, kinds) and type(module).forward in (nn.Sequential.forward, nn.Module.forward)
