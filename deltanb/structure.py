"""What a model is made of: any ``nn.Module`` becomes an immutable `ModuleTree`.

The counts are exact: a tied parameter counts where it is first met and nowhere else, so the rows of a table add up to
the total; buffers are kept apart; parameters on the meta device count as they are; what the root itself owns is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from deltanb._walk import DELTA_MARK, REGISTRY, backbone_modules, backbone_parameters, module_names, parameter_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

__all__ = [
    "DELTA_MARK",
    "REGISTRY",
    "BufferInfo",
    "Counts",
    "ModuleNode",
    "ModuleTree",
    "ParameterInfo",
    "backbone_modules",
    "backbone_parameters",
    "module_names",
    "parameter_names",
    "snapshot",
]


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of elements, each tensor once.

    Attributes:
        total: all parameters, the deltas' own among them.
        trainable: those with ``requires_grad``.
        delta: those that a delta brought along.
        buffers: elements of buffers, which are no parameters.

    Example:
        >>> Counts(5, 3, 1, 0) + Counts(1, 1, 1, 2)
        Counts(total=6, trainable=4, delta=2, buffers=2)
    """

    total: int = 0
    trainable: int = 0
    delta: int = 0
    buffers: int = 0

    @property
    def frozen(self) -> int:
        """Parameters that do not train."""
        return self.total - self.trainable

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.total + other.total, self.trainable + other.trainable, self.delta + other.delta, self.buffers + other.buffers)


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """One parameter as its module holds it.

    Attributes:
        name: the last segment, such as ``weight``.
        shape: as in torch.
        dtype: such as ``float32``.
        trainable: its ``requires_grad``.
        tied_to: the full name under which the same tensor was met before, else None.
        delta: the delta that brought or owns it, else None.
        brought: whether the delta created it (otherwise it is the backbone's).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    tied_to: str | None = None
    delta: str | None = None
    brought: bool = False

    @property
    def numel(self) -> int:
        """Elements of the tensor, tied or not."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class BufferInfo:
    """One buffer: its name, shape and dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class ModuleNode(NamedTuple):  # made four times as fast as a frozen dataclass, and a model has thousands
    """One module and all below it.

    Attributes:
        name: the dotted name from the root, "" for the root.
        label: the last segment.
        type: the class's name.
        parameters: those that the module itself owns.
        buffers: likewise.
        children: sub-modules in order of registration (or of calls, see `ModuleTree.in_order`).
        delta: the delta that this module belongs to, else None.
        same_as: the name under which the same module object was met before, else None.
        own: counts of the module's own tensors.
        counts: counts of the whole sub-tree.
    """

    name: str
    label: str
    type: str
    parameters: tuple[ParameterInfo, ...]
    buffers: tuple[BufferInfo, ...]
    children: tuple[ModuleNode, ...]
    delta: str | None
    same_as: str | None
    own: Counts
    counts: Counts

    def walk(self) -> Iterator[ModuleNode]:
        """This node and all below, parents first."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack += reversed(node.children)


@dataclass(frozen=True)
class ModuleTree:
    """A model's structure at one moment.

    Attributes:
        root: the node of the model itself.
        type: the model's class name.

    Example:
        >>> from torch import nn
        >>> tree = snapshot(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
        >>> tree.counts.total, tree["0"].type, [node.name for node in tree]
        (16, 'Linear', ['', '0', '1'])
    """

    root: ModuleNode
    type: str

    @cached_property
    def _index(self) -> dict[str, ModuleNode]:
        return {node.name: node for node in self.root.walk()}

    def __getitem__(self, name: str) -> ModuleNode:
        return self._index[name]

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __iter__(self) -> Iterator[ModuleNode]:
        return iter(self._index.values())

    def __len__(self) -> int:
        return len(self._index)

    @property
    def counts(self) -> Counts:
        """Counts of the whole model."""
        return self.root.counts

    def in_order(self, order: Mapping[str, int]) -> ModuleTree:
        """The same tree with siblings sorted by ``order`` (name to position); those without one go last."""
        return ModuleTree(_sorted(self.root, order), self.type)


def _sorted(node: ModuleNode, order: Mapping[str, int]) -> ModuleNode:
    far = len(order) + 1
    children = sorted((_sorted(child, order) for child in node.children), key=lambda child: order.get(child.name, far))
    return node._replace(children=tuple(children))


def snapshot(model: nn.Module) -> ModuleTree:
    """The structure of ``model`` as it is now.

    Args:
        model: any module, on any device, meta too.

    Example:
        >>> from torch import nn
        >>> block = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
        >>> block["b"].weight = block["a"].weight
        >>> tree = snapshot(block)
        >>> tree.counts.total, tree["b"].parameters[0].tied_to
        (8, 'a.weight')
    """
    registry = model.__dict__.get(REGISTRY)
    return ModuleTree(_Reader(registry.owners() if registry else {}).node(model, "", "", None), type(model).__name__)


_NONE = Counts()


class _Reader:
    """One walk over a model; remembers the tensors and modules it has met.

    What modules have in common is made once: their parameters' descriptions and counts are equal in all layers of a model.
    """

    def __init__(self, owners: Mapping[str, tuple[str, bool]]) -> None:
        self.owners = owners
        self.tensors: dict[int, str] = {}
        self.modules: dict[int, str] = {}
        self.parameters: dict[Any, tuple[tuple[ParameterInfo, ...], Counts]] = {}
        self.counts: dict[tuple[int, ...], Counts] = {(0, 0, 0, 0): _NONE}

    def node(self, module: nn.Module, name: str, label: str, delta: str | None) -> ModuleNode:
        held = module.__dict__
        delta = delta or held.get(DELTA_MARK)
        kind = type(module).__name__
        known = self.modules.setdefault(id(module), name)
        if known != name:
            return ModuleNode(name, label, kind, (), (), (), delta, known, _NONE, _NONE)
        parameters, own = self._parameters(held["_parameters"], name, delta) if held["_parameters"] else ((), _NONE)
        buffers, own = self._buffers(held["_buffers"], own) if held["_buffers"] else ((), own)
        if not held["_modules"]:
            return ModuleNode(name, label, kind, parameters, buffers, (), delta, None, own, own)
        prefix = f"{name}." if name else ""
        children = [self.node(child, prefix + key, key, delta) for key, child in held["_modules"].items() if child is not None]
        return ModuleNode(name, label, kind, parameters, buffers, tuple(children), delta, None, own, self._sum(own, children))

    def _sum(self, own: Counts, children: list[ModuleNode]) -> Counts:
        total, trainable, delta, buffers = own.total, own.trainable, own.delta, own.buffers
        for child in children:
            counts = child.counts
            if counts is not _NONE:
                total += counts.total
                trainable += counts.trainable
                delta += counts.delta
                buffers += counts.buffers
        return self._counted(total, trainable, delta, buffers)

    def _counted(self, *numbers: int) -> Counts:
        found = self.counts.get(numbers)
        if found is None:
            found = self.counts[numbers] = Counts(*numbers)
        return found

    def _parameters(self, held: Mapping[str, Any], name: str, delta: str | None) -> tuple[tuple[ParameterInfo, ...], Counts]:
        prefix = f"{name}." if name else ""
        facts: list[Any] = []
        for key, tensor in held.items():
            if tensor is None:
                continue
            full = prefix + key
            first = self.tensors.setdefault(id(tensor), full)
            tied_to = None if first == full else first
            facts += (key, _shape(tensor), tensor.dtype, tensor.requires_grad, tied_to, (delta, True) if delta else self.owners.get(first))
        wanted = tuple(facts)
        found = self.parameters.get(wanted)
        if found is None:
            found = self.parameters[wanted] = self._described(wanted)
        return found

    def _described(self, facts: Any) -> tuple[tuple[ParameterInfo, ...], Counts]:
        infos = tuple(
            ParameterInfo(key, shape, _dtype(dtype), trainable, tied_to, *(owner or (None, False)))
            for key, shape, dtype, trainable, tied_to, owner in zip(*[iter(facts)] * 6, strict=True)
        )
        once = [info for info in infos if info.tied_to is None]
        trainable = sum(info.numel for info in once if info.trainable)
        return infos, self._counted(sum(info.numel for info in once), trainable, sum(info.numel for info in once if info.brought), 0)

    def _buffers(self, held: Mapping[str, Any], own: Counts) -> tuple[tuple[BufferInfo, ...], Counts]:
        infos = tuple(BufferInfo(key, tuple(t.shape), _dtype(t.dtype)) for key, t in held.items() if t is not None)
        return infos, replace(own, buffers=sum(math.prod(info.shape) for info in infos)) if infos else own


def _shape(tensor: Any) -> tuple[int, ...]:
    """The shape, of 4-bit weights the one before they were packed; (0,) for a parameter of a lazy module that has none yet."""
    try:
        return tuple(getattr(getattr(tensor, "quant_state", None), "shape", None) or tensor.shape)
    except RuntimeError:
        return (0,)


@cache
def _dtype(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")
