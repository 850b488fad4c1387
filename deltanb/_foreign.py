"""Deltas that another library put into a model: those of PEFT and of adapters, so that they are shown as what they are.

Neither library is imported: their layers are known by where their classes come from, and by the few names that both keep
(``base_layer``, ``modules_to_save``, ``loras``). What such a layer holds beside the backbone's own module is the delta's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from deltanb.structure import ModuleTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from deltanb.structure import Counts, ModuleNode, ParameterInfo

__all__ = ["Foreign", "as_deltas", "foreign_deltas", "summary"]

# In PEFT's layers these are the backbone's.
_KEPT = frozenset({"base_layer", "original_module", "base_model", "model", "word_embeddings", "token_adapter"})
_SAVED = "modules_to_save"


@dataclass(frozen=True)
class Foreign:
    """What a module belongs to.

    Attributes:
        name: the delta's, as its library calls it; several are joined by commas.
        kind: such as ``lora``, ``ia3``, ``bottleneck``, ``modules_to_save``.
        origin: ``PEFT`` or ``adapters``.
        host: the module that the delta sits on, "" for the whole model.
    """

    name: str
    kind: str
    origin: str
    host: str


def foreign_deltas(model: nn.Module) -> dict[str, Foreign]:
    """The modules of a model that belong to a delta of another library, by name.

    Args:
        model: any module; for most models nothing is found.

    Example:
        >>> from torch import nn
        >>> foreign_deltas(nn.Linear(1, 1))
        {}
    """
    found: dict[str, Foreign] = {}
    for name, module in model.named_modules():
        home = _home(type(module).__mro__)
        if home and name not in found:
            found |= _layer(name, module, home)
    return found


@cache
def _home(classes: tuple[type, ...]) -> str:
    """The part of PEFT or adapters that one of a class and its bases comes from, as a dotted path, "" for all others."""
    homes = (base.__module__ for base in classes)
    return next((home for home in homes if home.startswith(("peft.", "adapters.methods."))), "")


def _parts(name: str, module: nn.Module, home: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules below (or the module itself) that are no backbone's."""
    prefix = f"{name}." if name else ""
    children = {prefix + key: child for key, child in module._modules.items() if child is not None and key not in _KEPT}
    if home.startswith("adapters."):
        own = {path: child for path, child in children.items() if path.endswith(".loras") or path == "loras"}
        yield from own.items() if own or module._parameters.get("weight") is not None else [(name, module)]
    elif home.startswith("peft.peft_model"):
        yield from ((path, child) for path, child in children.items() if path.endswith("prompt_encoder"))
    elif "base_layer" in module._modules or "original_module" in module._modules:
        yield from children.items()


def _layer(name: str, module: nn.Module, home: str) -> dict[str, Foreign]:
    """Everything in one layer that belongs to its deltas, each part as far as it can be told with the name of its own."""
    parts = dict(_parts(name, module, home))
    every = list(dict.fromkeys(key for part in parts.values() for key in _keys(part)))
    found: dict[str, Foreign] = {}
    for path, part in parts.items():
        keys = _keys(part) or every
        whole = Foreign(", ".join(keys), *_kind(path, part, home), name)
        for below, _ in part.named_modules():
            at = next((key for key in below.split(".")[:2] if key in keys), "")
            found[f"{path}.{below}" if below else path] = replace(whole, name=at) if at else whole
    return {path: replace(entry, name=entry.name or entry.origin) for path, entry in found.items()}


def _kind(path: str, part: nn.Module, home: str) -> tuple[str, str]:
    """The kind of delta, and the library."""
    words = home.split(".")
    if words[0] == "adapters":
        return words[2], words[0]
    if path.endswith("prompt_encoder"):  # what it holds tells
        words = _home(type(next(iter(part._modules.values()), None)).__mro__).split(".")
    return words[2] if words[1:2] == ["tuners"] else _SAVED, "PEFT"


def _keys(part: nn.Module) -> list[str]:
    """Names of deltas: the keys of the dictionary that a part is, or of the first one that it holds."""
    if type(part).__name__.endswith("Dict"):
        return [*part._modules, *part._parameters, *part._buffers]
    held = [child for child in part._modules.values() if child is not None and type(child).__name__ == "ModuleDict" and child._modules]
    return list(held[0]._modules) if held else []


def as_deltas(tree: ModuleTree, found: Mapping[str, Foreign]) -> ModuleTree:
    """The structure with those modules as deltas: marked, and counted as what deltas brought.

    Args:
        tree: a snapshot.
        found: by `foreign_deltas`, of the same model.

    Example:
        >>> from torch import nn
        >>> from deltanb.structure import snapshot
        >>> tree = snapshot(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)))
        >>> marked = as_deltas(tree, {"1": Foreign("mine", "lora", "PEFT", "")})
        >>> marked["1"].delta, marked.counts.delta
        ('mine', 3)
    """
    return ModuleTree(_marked(tree.root, found), tree.type) if found else tree


def _marked(node: ModuleNode, found: Mapping[str, Foreign]) -> ModuleNode:
    foreign = found.get(node.name)
    children = tuple(_marked(child, found) for child in node.children)
    own, parameters, delta = node.own, node.parameters, node.delta
    if foreign is not None and delta is None:
        own, delta = replace(own, delta=own.total), foreign.name
        parameters = tuple(_brought(info, foreign) for info in parameters)
    return node._replace(children=children, own=own, parameters=parameters, delta=delta, counts=_sum(own, children))


def _brought(info: ParameterInfo, foreign: Foreign) -> ParameterInfo:
    keys = foreign.name.split(", ")
    return replace(info, delta=info.name if info.name in keys else foreign.name, brought=True)


def _sum(own: Counts, children: tuple[ModuleNode, ...]) -> Counts:
    for child in children:
        own = own + child.counts
    return own


def summary(found: Mapping[str, Foreign]) -> list[dict[str, Any]]:
    """What was found, one entry a delta: ``origin``, ``kind``, ``name``, and ``hosts``, how many modules it sits on.

    Example:
        >>> summary({"a.lora_A": Foreign("default", "lora", "PEFT", "a"), "a.lora_B": Foreign("default", "lora", "PEFT", "a")})
        [{'origin': 'PEFT', 'kind': 'lora', 'name': 'default', 'hosts': 1}]
    """
    hosts: dict[tuple[str, str, str], set[str]] = {}
    for entry in found.values():
        for name in entry.name.split(", "):
            hosts.setdefault((entry.origin, entry.kind, name), set()).add(entry.host)
    return [{"origin": origin, "kind": kind, "name": name, "hosts": len(names)} for (origin, kind, name), names in hosts.items()]
