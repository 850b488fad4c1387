"""Where a model can be cut: the frozen part below the first module that trains.

Found by watching one forward pass, not by names of families, so it holds for every model whose blocks are called one
after the other and hand on nothing but hidden states.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.engine import deltas
from deltanb.probe import evaluating
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import nn

__all__ = ["Cut", "find_cut", "first_place", "observed", "tensors_in", "training_places"]


@dataclass
class Seen:
    """What one module did in a forward pass.

    Attributes:
        start: when it was first called, counted in calls and returns.
        end: when it last returned.
        calls: how often it was called.
        output: what it gave last: shapes in place of tensors.
    """

    start: int
    end: int = -1
    calls: int = 0
    output: tuple[torch.Size, ...] = ()


@dataclass(frozen=True)
class Cut:
    """What lies below the first module that trains.

    Attributes:
        first: the first module that trains, or on which a delta does.
        groups: names of frozen blocks, each group called in a row; the last one's output is all that the rest needs.
        above: names of the modules that are called from ``first`` on.
    """

    first: str
    groups: tuple[tuple[str, ...], ...]
    above: frozenset[str]

    def fingerprint(self, model: nn.Module) -> str:
        """The same as long as nothing below the cut has changed: blocks, values, frozen deltas.

        Args:
            model: the model that was cut.
        """
        import torch

        above = tuple(f"{name}." for name in self.above if name)
        digest = hashlib.blake2b(repr(self.groups).encode())
        for delta in deltas(model).values():
            if any(place not in self.above for place, _ in delta.hooks):
                digest.update(repr((delta, delta.hosts)).encode())
        for name, tensor in [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]:
            if not tensor.requires_grad and not f"{name}.".startswith(above):
                digest.update(f"{name} {tensor.dtype}".encode())
                values: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
                digest.update(values)
        return digest.hexdigest()

    def __str__(self) -> str:
        return ", ".join(group[0] if len(group) == 1 else f"{group[0]} to {group[-1].rpartition('.')[2]}" for group in self.groups)


def training_places(model: nn.Module) -> set[str]:
    """Names of the modules that hold what trains, or that a training delta works on; the model itself is "".

    Example:
        >>> from torch import nn
        >>> from deltanb import LoraModel
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        >>> LoraModel(model, modified_modules=["1"], lora_r=1).freeze_module()
        >>> training_places(model)
        {'1'}
    """
    own = {
        name
        for name, module in backbone_modules(model)
        if any(parameter is not None and parameter.requires_grad for parameter in module._parameters.values())
    }
    working = [delta for delta in deltas(model).values() if any(parameter.requires_grad for parameter in delta.parameters())]
    return own.union(*({*delta.modules, *(place for place, _ in delta.hooks)} for delta in working))


def observed(model: nn.Module, inputs: Mapping[str, Any]) -> dict[str, Seen]:
    """Which modules one forward pass calls, when, and what they give.

    Args:
        model: any module; it runs in eval mode and is left as it was.
        inputs: of its ``forward``.
    """
    seen: dict[str, Seen] = {}
    clock = iter(range(1_000_000_000))
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        def before(*_: object) -> None:
            seen.setdefault(name, Seen(next(clock))).calls += 1

        def after(_module: nn.Module, _args: object, output: Any) -> None:
            seen[name].end = next(clock)
            seen[name].output = tuple(tensor.shape for tensor in tensors_in(output))

        handles.extend([module.register_forward_pre_hook(before, prepend=True), module.register_forward_hook(after)])

    try:
        for name, module in backbone_modules(model):
            watch(name, module)
        with evaluating(model):
            model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def tensors_in(output: Any) -> list[torch.Tensor]:
    """The tensors of an output; an object of another kind in it (a cache of keys and values) stands as an empty one."""
    import torch

    if isinstance(output, torch.Tensor):
        return [output]
    if isinstance(output, dict):
        output = tuple(output.values())
    if isinstance(output, (tuple, list)):
        return [tensor for part in output for tensor in tensors_in(part)]
    return [] if output is None else [torch.empty(0)]


def first_place(model: nn.Module, seen: Mapping[str, Seen]) -> str | None:
    """The first module that trains, or on which a delta does, in a pass that was observed."""
    return min((place for place in training_places(model) if place in seen), key=lambda place: seen[place].start, default=None)


def find_cut(model: nn.Module, inputs: Mapping[str, Any]) -> Cut:
    """Where to cut a model.

    Args:
        model: the model.
        inputs: a batch of ``input_ids`` and whatever else it takes.

    Raises:
        DeltaError: something trains at its input, or there are no blocks below what trains; says how to change that.

    Example:
        >>> import torch
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> from deltanb import LoraModel
        >>> small = {"hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 16}
        >>> model = BertForSequenceClassification(BertConfig(num_hidden_layers=4, **small))
        >>> LoraModel(model, modified_modules=["layer.3.attention.self.query"]).freeze_module()
        >>> print(find_cut(model, {"input_ids": torch.ones(1, 4, dtype=torch.long)}))
        bert.encoder.layer.0 to 2
    """
    seen = observed(model, inputs)
    first = first_place(model, seen)
    if first is None:
        raise DeltaError("Nothing that trains is called by the model.", try_="%delta params")
    through = [name for name, call in seen.items() if call.end < seen[first].start]
    groups = _chosen(model, _largest(through), seen, inputs["input_ids"].shape)
    if not groups:
        raise _nothing_below(model, first, through, seen)
    above = frozenset(name for name, call in seen.items() if call.start >= seen[first].start)
    return Cut(first, tuple(groups), above)


def _largest(names: list[str]) -> list[str]:
    """Those that lie in none of the others."""
    return [name for name in names if not any(name.startswith(f"{other}.") for other in names)]


def _chosen(model: nn.Module, names: list[str], seen: Mapping[str, Seen], shape: torch.Size) -> list[tuple[str, ...]]:
    """Groups of blocks that can be left out; where a whole gives more than hidden states (a pooled one, say), its parts."""
    from torch import nn

    groups: dict[str, list[str]] = {}
    found: list[tuple[str, ...]] = []
    for name in names:
        parent = name.rpartition(".")[0]
        if isinstance(model.get_submodule(parent), (nn.ModuleList, nn.Sequential)):
            groups.setdefault(parent, []).append(name)
        elif any(isinstance(module, nn.ModuleList) and len(module) for module in model.get_submodule(name).modules()):
            if _gives_states(seen[name], shape):
                found.append((name,))
            else:
                found += _chosen(model, _largest([other for other in seen if other.startswith(f"{name}.")]), seen, shape)
    return [*found, *(tuple(group) for group in groups.values() if all(_gives_states(seen[name], shape) for name in group))]


def _gives_states(call: Seen, shape: torch.Size) -> bool:
    """Whether a module was called once and gave a hidden state for each token, and nothing else."""
    return call.calls == 1 and len(call.output) == 1 and len(call.output[0]) == len(shape) + 1 and call.output[0][:-1] == shape


def _nothing_below(model: nn.Module, first: str, through: list[str], seen: Mapping[str, Seen]) -> DeltaError:
    """There is nothing to keep: says why, and what would leave a frozen part that can be kept."""
    from torch import nn

    lists = {name: module for name, module in backbone_modules(model) if isinstance(module, nn.ModuleList) and f"{name}.0" in seen}
    if any(f"{name}.0" in through for name in lists):
        return DeltaError(
            f"cache_frozen cannot keep what lies below {first}: those blocks hand on more than one hidden state a token.",
            expected="Whole stacks (an encoder) can be kept in such a model, parts of them cannot.",
            try_="train without cache_frozen",
        )
    where = f"{first} trains" if first else f"a delta works on the input of {type(model).__name__}"
    longest = max(lists, key=lambda name: len(lists[name]), default="")
    last = len(lists[longest]) - 1 if longest else 0
    start = last * 2 // 3 + 1
    upper = f"{longest.rpartition('.')[2]}." + (f"{start}-{last}" if start < last else str(last))
    return DeltaError(
        f"cache_frozen has nothing to keep: {where}, and no block of the model lies below it.",
        expected="What trains has to sit in the upper blocks alone.",
        try_=f"patterns such as {upper}.…, or train without cache_frozen" if last else "train without cache_frozen",
    )
