"""Walking over a model without what deltas added: which modules and parameters are the backbone's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = [
    "DELTA_MARK",
    "REGISTRY",
    "backbone_modules",
    "backbone_parameters",
    "layer_stacks",
    "module_at",
    "module_names",
    "parameter_names",
    "second_addresses",
]

DELTA_MARK = "_deltanb_delta"  # on a module that belongs to a delta: the delta's name
REGISTRY = "_deltanb_registry"  # on a backbone: the registry of its deltas


def module_names(model: nn.Module) -> list[str]:
    """The names that patterns are matched against: no root, shared modules once, nothing that belongs to a delta.

    Example:
        >>> from torch import nn
        >>> module_names(nn.Sequential(nn.Linear(1, 1)))
        ['0']
    """
    return [name for name, _ in backbone_modules(model) if name]


def backbone_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Like ``named_modules`` but without the modules of deltas; the root, named "", comes first."""
    seen: set[int] = set()
    stack: list[tuple[str, nn.Module]] = [("", model)]
    while stack:
        name, module = stack.pop()
        if id(module) in seen or DELTA_MARK in module.__dict__:
            continue
        seen.add(id(module))
        yield name, module
        children = module._modules
        if children:  # most modules of a model have none
            prefix = f"{name}." if name else ""
            stack += [(prefix + key, child) for key, child in reversed(children.items()) if child is not None]


def module_at(model: nn.Module, name: str) -> nn.Module:
    """The module of that name, which must be there: ten times quicker than ``get_submodule``, for models of a thousand modules.

    Example:
        >>> from torch import nn
        >>> module_at(nn.Sequential(nn.ReLU()), "0")
        ReLU()
    """
    module = model
    for key in name.split(".") if name else ():
        module = module._modules[key]  # type: ignore[assignment]
    return module


def second_addresses(model: nn.Module) -> dict[str, str]:
    """Further names of modules that a model holds in several places, each with the first name of the same module.

    Example:
        >>> from torch import nn
        >>> layer = nn.Sequential(nn.Linear(1, 1))
        >>> second_addresses(nn.Sequential(layer, layer))
        {'1': '0', '1.0': '0.0'}
    """
    first = {id(module): name for name, module in backbone_modules(model)}
    found: dict[str, str] = {}
    for name, module in backbone_modules(model):
        for key, child in module._modules.items():
            own = f"{name}.{key}" if name else key
            if child is not None and first.get(id(child), own) != own:
                found |= {f"{own}.{below}" if below else own: first[id(part)] for below, part in backbone_modules(child)}
    return found


def backbone_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The backbone's parameters by full name, a tied tensor once under its first, those in modules of deltas left out."""
    seen: set[int] = set()
    for name, module in backbone_modules(model):
        for key, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in seen:
                seen.add(id(parameter))
                yield (f"{name}.{key}" if name else key), parameter


def parameter_names(model: nn.Module) -> list[str]:
    """Full names of the backbone's parameters, each tensor's every name, those of deltas left out.

    Example:
        >>> from torch import nn
        >>> parameter_names(nn.Linear(1, 1))
        ['weight', 'bias']
    """
    return [
        f"{name}.{key}" if name else key
        for name, module in backbone_modules(model)
        for key, p in module._parameters.items()
        if p is not None
    ]


def layer_stacks(backbone: nn.Module) -> dict[str, int]:
    """Full names of the lists of layers and their lengths; a list inside a layer does not count.

    Example:
        >>> from torch import nn
        >>> layer_stacks(nn.Sequential(nn.ModuleList([nn.ModuleList([nn.Linear(1, 1)])])))
        {'0': 1}
    """
    from torch import nn

    found: dict[str, int] = {}
    for name, module in backbone_modules(backbone):
        if isinstance(module, nn.ModuleList) and name and not any(name.startswith(f"{stack}.") for stack in found):
            found[name] = len(module)
    return found
