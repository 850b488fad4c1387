"""The parallel adapter: a bottleneck beside a pair of modules, from the input of the first to the output of the second.

    h₂ ← h₂ + s · (W_up · act(W_down · x₁ + b_down) + b_up)

with x₁ what the first module takes and h₂ what the second gives; the two may be one (an attention layer). He et al.,
*Towards a Unified View of Parameter-Efficient Transfer Learning*, ICLR 2022, https://arxiv.org/abs/2110.04366. Weights start
from N(0, 0.01²) and biases from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Unpack

from torch import nn

from deltanb._walk import module_at
from deltanb.engine._activations import activation_names
from deltanb.engine._aside import AddKept, Forget, Keep, Slot
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._bottleneck import bottleneck
from deltanb.engine._checks import check_container
from deltanb.engine._config import BaseDeltaConfig, option
from deltanb.engine._hosts import Host, Hosts
from deltanb.engine._insertion import AddParallel
from deltanb.engine._pairs import block_of, pairs_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import torch

    from deltanb.engine._insertion import Hook

__all__ = ["ParallelAdapterConfig", "ParallelAdapterLayer", "ParallelAdapterModel"]


@dataclass(kw_only=True)
class ParallelAdapterConfig(BaseDeltaConfig):
    """Settings of a parallel adapter.

    Example:
        >>> ParallelAdapterConfig(bottleneck_dim=12, scaled=4).options()
        {'bottleneck_dim': 12, 'non_linearity': 'gelu_new', 'scaled': 4.0}
    """

    delta_type: ClassVar[str] = "parallel_adapter"
    bottleneck_dim: int = option(24, "size of the bottleneck; larger: more parameters", minimum=1, alias="b")
    non_linearity: str = option("gelu_new", "activation between the two layers", choices=activation_names)
    scaled: float = option(1.0, "what the adapter's part is multiplied by", rare=True)


class ParallelAdapterLayer(nn.Module):
    """The adapter beside one pair.

    Args:
        size_in: size of the first module's input.
        size_out: size of the second module's output.
        bottleneck_dim: size between the two layers.
        non_linearity: name of the activation.
        scaled: s.

    Example:
        >>> import torch
        >>> ParallelAdapterLayer(8, 6, 2)(torch.zeros(3, 8)).shape
        torch.Size([3, 6])
    """

    def __init__(self, size_in: int, size_out: int, bottleneck_dim: int = 24, non_linearity: str = "gelu_new", scaled: float = 1.0) -> None:
        super().__init__()
        self.modulelist = bottleneck(size_in, bottleneck_dim, size_out, non_linearity)
        self.scaled = scaled

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """[..., in] to what is to be added to the second module's output, [..., out]."""
        wide = next(self.modulelist.parameters()).dtype
        added: torch.Tensor = self.modulelist(value.to(wide))
        return added * self.scaled


class ParallelAdapterModel(DeltaModel):
    """Parallel adapters beside pairs of modules.

    Patterns come two by two: the modules that the first hits are paired with those that the second hits, each with the one
    in its own block. A pattern given twice, or a single one, pairs each module with itself. The child module is under the
    first of a pair.

    Args:
        backbone_model: the model to modify, in place.
        bottleneck_dim: size of the bottleneck.
        non_linearity: activation between the two layers.
        scaled: what the adapter's part is multiplied by.
        **common: see `deltanb.engine.CommonOptions`. Default pairs, by role: the attention with itself, and the first
            feed-forward layer with the second.

    Attributes:
        pairs: the first modules' names to the second's.

    Raises:
        DeltaError: a pattern hits nothing, an option is out of its limits, a module stays without a partner in its block.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
        >>> delta = ParallelAdapterModel(backbone_model=model, modified_modules=["0", "2"], bottleneck_dim=2)
        >>> delta.pairs, sum(p.numel() for p in delta.parameters())
        ({'0': '2'}, 42)
    """

    config_class = ParallelAdapterConfig
    delta_type = "parallel_adapter"
    default_modified_modules = ("attn@", "attn@", "ff@.w1@", "ff@.w2@")

    pairs: dict[str, str]

    def __init__(
        self,
        backbone_model: nn.Module,
        bottleneck_dim: int = 24,
        non_linearity: str = "gelu_new",
        scaled: float = 1.0,
        **common: Unpack[CommonOptions],
    ) -> None:
        options = {"bottleneck_dim": bottleneck_dim, "non_linearity": non_linearity, "scaled": scaled}
        super().__init__(backbone_model, options, **common)

    def find_hosts(self) -> Hosts:
        """The first modules of the pairs.

        Raises:
            DeltaError: a pattern hits nothing, or a module stays without a partner in its block.
        """
        every = Hosts(self.backbone_model, self.modified_modules, self.config.exclude_modules)
        named = {name: Host(name, module_at(self.backbone_model, name), every) for name in every.result.names}
        every.hosts = list(named.values())  # those that were matched: a pair's members stand for no others
        self.pairs = pairs_of(self.modified_modules, every.result)
        self._seconds = {first: named[second] for first, second in self.pairs.items()}
        firsts = Hosts.named(self.backbone_model, list(self.pairs))
        firsts.hosts = [named[first] for first in self.pairs]
        firsts.result, firsts.notes = every.result, [*every.notes, *_single_note(self.modified_modules, self.pairs)]
        return firsts

    def _build(self, hosts: Sequence[Host]) -> None:
        super()._build(hosts)
        del self._seconds  # they hold the backbone's modules, which a delta that is set apart must let go of

    def make_child(self, host: Host) -> nn.Module:
        """A `ParallelAdapterLayer` of the pair's sizes."""
        second = self._seconds[host.name]
        check_container(second)
        return ParallelAdapterLayer(host.input_size, second.output_size, **self.config.options())

    def alike(self, host: Host) -> Hashable | None:
        """Hosts whose partners are alike too."""
        return (host.kind, self._seconds[host.name].kind)

    def make_hooks(self) -> list[tuple[str, Hook]]:
        """One hook for a module that is its own partner; else one before the first, one after the second, one around both."""
        child, found = self.child_name(), list[tuple[str, "Hook"]]()
        for first, second in self.pairs.items():
            if first == second:
                found.append((first, AddParallel(child)))
                continue
            slot = Slot(first, second)
            around = block_of(self.backbone_model, first, second)
            found += [(first, Keep(child, slot)), (second, AddKept(slot)), (around, Forget(slot))]
        return found


def _single_note(patterns: Sequence[str], pairs: Mapping[str, str]) -> list[str]:
    """Say it where one pattern hits unlike modules: a pair of two may have been meant."""
    ends = list(dict.fromkeys(name.rpartition(".")[2] for name in pairs))
    if len(patterns) > 1 or len(ends) < 2:  # noqa: PLR2004
        return []
    said = f"one pattern alone pairs each module with itself, here {', '.join(ends)}"
    return [f"{said}; for a pair of two give two patterns: {' '.join(ends[:2])}"]
