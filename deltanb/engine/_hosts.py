"""Hosts: from patterns to modules that a delta can sit on, with their sizes, dtype and device."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._walk import module_at, second_addresses
from deltanb.addressing import MatchResult, as_patterns, match_names
from deltanb.probe import probe
from deltanb.roles import roles_of
from deltanb.structure import backbone_modules, module_names, parameter_names

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from contextlib import AbstractContextManager

    import torch
    from torch import nn

    from deltanb.probe import Trace

__all__ = ["Host", "Hosts", "is_channels_first", "is_conv1d", "match", "size_by_type"]


def match(model: nn.Module, patterns: str | Sequence[str], exclude: str | Sequence[str] | None = None) -> MatchResult:
    r"""Which modules of a model some patterns hit.

    Args:
        model: any module; what belongs to a delta is never matched.
        patterns: see `deltanb.addressing`.
        exclude: the same grammar.

    Raises:
        DeltaError: a pattern hits nothing or is malformed.

    Example:
        >>> from torch import nn
        >>> match(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), r"[r]\d").names
        ['0', '1']
    """
    from deltanb.engine._registry import unwrapped

    model = unwrapped(model)
    names = module_names(model)
    words = [*as_patterns(patterns), *(as_patterns(exclude, "exclude pattern") if exclude else ())]
    wants_roles = any("@" in word for word in words)
    roles = roles_of(model) if wants_roles else None
    search = partial(match_names, names, patterns, exclude, roles=roles, elsewhere=partial(second_addresses, model))
    try:
        return search()
    except DeltaError:  # the parameters' names serve the message alone, and a large model has many
        return search(parameters=parameter_names(model))


def is_conv1d(module: nn.Module) -> bool:
    """Whether a module is GPT-2's Conv1D: a linear layer whose weight is [in, out]."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


@dataclass(frozen=True)
class Host:
    """One module that a delta is to sit on.

    Attributes:
        name: its dotted name.
        module: the module.
        hosts: the others, and the backbone.
    """

    name: str
    module: nn.Module
    hosts: Hosts

    @cached_property
    def tensor(self) -> torch.Tensor | None:
        """A floating-point parameter of the host or its surroundings: tells dtype and device."""
        around = [self.module, self.hosts.backbone]
        return next((p for module in around for p in module.parameters() if p.is_floating_point()), None)

    @cached_property
    def kind(self) -> Hashable:
        """What tells its output size: its type and the shapes below it; its name, where it has no parameter."""
        below = backbone_modules(self.module)
        shapes = [(name, key, tuple(p.shape)) for name, module in below for key, p in module._parameters.items() if p is not None]
        return (type(self.module), *shapes) if shapes else self.name

    def drawing_board(self) -> AbstractContextManager[Any]:
        """Where to build a child: on the meta device for a skeleton's, so that no memory is taken and nothing drawn."""
        import torch

        tensor = self.tensor
        return torch.device("meta") if tensor is not None and tensor.is_meta else nullcontext()

    def placed(self, child: nn.Module) -> nn.Module:
        """``child`` on the host's device, in its dtype, or float32 where the host is half precision or quantised."""
        import torch

        tensor = self.tensor
        if tensor is None:
            return child
        if any(p.is_meta for p in child.parameters()):
            return child  # only planned
        wide = tensor.dtype if tensor.dtype in (torch.float32, torch.float64) else torch.float32
        return child.to(device=tensor.device, dtype=wide)

    @cached_property
    def output_size(self) -> int:
        """The size of the last dimension of what the host gives: from its type, else from a trial pass.

        Raises:
            DeltaError: neither tells; says why.
        """
        if is_channels_first(self.module):
            kind = type(self.module).__name__
            msg = f"{self.name} ({kind}) gives channels first, so its output ends in positions, not in features."
            raise DeltaError(msg, expected="A Linear, Conv1D, Embedding, LayerNorm, or a module made of them.", try_="%delta graph")
        size = size_by_type(self.module)
        return self._size_by_trial() if size is None else size

    @property
    def input_size(self) -> int:
        """The size of the last dimension of what the host takes first: from its type, else from a trial pass.

        Raises:
            DeltaError: neither tells, or it takes token ids; says why.
        """
        from torch import nn

        if isinstance(self.module, nn.Embedding):
            msg = f"{self.name} (Embedding) takes token ids, and this type needs a host that takes vectors."
            raise DeltaError(msg, expected="A Linear, Conv1D, LayerNorm, or a module made of them.", try_="%delta graph")
        if isinstance(self.module, nn.Linear):
            return self.module.in_features
        if is_conv1d(self.module):
            return int(self.module.weight.shape[0])  # type: ignore[index]
        size = self.output_size  # refuses what a trial cannot tell either
        if size_by_type(self.module):
            return size  # a norm
        call = self.hosts.trace.calls[self.hosts.twins[self.name]]
        if call.taken is None:
            return size
        if call.shape and call.taken[:-1] == call.shape[:-1]:
            return call.taken[-1]
        msg = f"{self.name} ({type(self.module).__name__}) takes {list(call.taken)} and gives {list(call.shape or ())}."
        raise DeltaError(msg, expected="A host that gives one vector for each that it takes.", try_="%delta graph")

    def _size_by_trial(self) -> int:
        trace = self.hosts.trace
        call = trace.calls.get(self.hosts.twins[self.name])
        if call and call.shape:
            return call.shape[-1]
        kind = type(self.module).__name__
        why = "a pass through the model never calls it" if call is None else "what it gives is no tensor"
        if trace.failure and (call is None or call.shape is None):
            why = f"the trial pass ended early: {trace.failure}"
        msg = f"{self.name} ({kind}) gives no output to change: {why}."
        below = [name for name, module in backbone_modules(self.module) if name and size_by_type(module)]
        msg_try = f"%delta match {self.name.rpartition('.')[2]}.{below[0]}" if below else "%delta graph"
        raise DeltaError(msg, expected="A module that the model calls.", try_=msg_try)


class Hosts:
    """The hosts of one delta in model order.

    Raises:
        DeltaError: a pattern hits nothing, or a host cannot carry a child.
    """

    def __init__(self, backbone: nn.Module, patterns: Sequence[str], exclude: Sequence[str] | None) -> None:
        self.backbone = backbone
        self.result = match(backbone, patterns, exclude)
        self.notes = list(self.result.hints)
        self.hosts = [Host(name, module_at(backbone, name), self) for name in self._redirected(self.result.names)]

    @classmethod
    def named(cls, backbone: nn.Module, names: Sequence[str]) -> Hosts:
        """Hosts that no pattern chose: the backbone itself, "", or its encoder."""
        hosts = cls.__new__(cls)
        hosts.backbone = backbone
        hosts.result = MatchResult(list(names), dict.fromkeys(names, 1))
        hosts.notes = []
        hosts.hosts = [Host(name, backbone.get_submodule(name), hosts) for name in names]
        return hosts

    @cached_property
    def twins(self) -> dict[str, str]:
        """For each host the first one of its type and shapes: 126 equal layers need one trial."""
        first: dict[Hashable, str] = {}
        return {host.name: first.setdefault(host.kind, host.name) for host in self.hosts if not is_channels_first(host.module)}

    @cached_property
    def trace(self) -> Trace:
        """One trial pass, made only when a size is not known otherwise, and no longer than it takes."""
        return probe(self.backbone, until=set(self.twins.values()))

    def _redirected(self, names: Sequence[str]) -> list[str]:
        """Exchange an embedding that is never called (BART's and T5's ``shared``) for those that hold its tensor."""
        from torch import nn

        modules = {name: module for name, module in backbone_modules(self.backbone) if isinstance(module, nn.Embedding)}
        found: list[str] = []
        for name in names:
            weight = modules[name].weight if name in modules else None
            twins = [other for other, module in modules.items() if other != name and module.weight is weight]
            if twins and name.rpartition(".")[2] == "shared":
                self.notes.append(f"{name} is never called in this model; {', '.join(twins)} hold the same tensor and are taken instead")
                found += twins
            else:
                found.append(name)
        return list(dict.fromkeys(found))


def is_channels_first(module: nn.Module) -> bool:
    """Whether the last dimension of a module's output is a position in time or space."""
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase
    from torch.nn.modules.conv import _ConvNd

    return isinstance(module, (_ConvNd, _NormBase, nn.GroupNorm))


def size_by_type(module: nn.Module) -> int | None:
    """The size of the last dimension of what a module gives, where its type tells it."""
    from torch import nn

    size: Any = None
    if isinstance(module, nn.Linear):
        size = module.out_features
    elif isinstance(module, nn.Embedding):
        size = module.embedding_dim
    elif is_conv1d(module):
        size = module.nf
    elif isinstance(module, nn.LayerNorm):
        size = module.normalized_shape[-1]
    elif "Norm" in type(module).__name__ and not module._modules and getattr(getattr(module, "weight", None), "ndim", 0) == 1:
        size = len(module.weight)  # type: ignore[arg-type]
    return int(size) if size else None
