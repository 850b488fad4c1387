"""Prefix tuning: trainable keys and values before those of the text, in each attention.

    K ← [P_k ; K],   V ← [P_v ; V]

with P_k, P_v in R^(n×d), seen from every position. Li and Liang, *Prefix-Tuning: Optimizing Continuous Prompts for
Generation*, ACL 2021, https://arxiv.org/abs/2101.00190. With ``reparameterize`` the rows of all attentions come from one
small network, Embedding, Linear, tanh, Linear, which trains more steadily; without it they are parameters of their own,
from N(0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Unpack

import torch
from torch import nn
from torch.nn import functional

from deltanb.engine._attention import attention_at, key_value_sizes
from deltanb.engine._base import CommonOptions, DeltaModel
from deltanb.engine._config import BaseDeltaConfig, option
from deltanb.engine._hosts import Host, Hosts
from deltanb.engine._positions import PlainCache, ShiftPositions, bias_owner, is_relative, position_modules

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from deltanb.engine._insertion import Hook

__all__ = ["PrefixConfig", "PrefixLayer", "PrefixModel", "PrefixNetwork"]


@dataclass(kw_only=True)
class PrefixConfig(BaseDeltaConfig):
    """Settings of prefix tuning.

    Example:
        >>> PrefixConfig(prefix_token_num=3).changed_options()
        {'prefix_token_num': 3}
    """

    delta_type: ClassVar[str] = "prefix"
    prefix_token_num: int = option(6, "length of the prefix; longer: more parameters", minimum=1, alias="n")
    reparameterize: bool = option(default=True, text="make the rows by a small network, instead of training them directly")
    embed_dim: int = option(512, "size of that network's embeddings", minimum=1, rare=True)
    mid_dim: int = option(512, "size of its middle layer", minimum=1, rare=True)
    shift_positions: bool = option(default=False, text="move the text's positions by the prefix's length, as PEFT does", rare=True)
    shared_position_bias: bool = option(default=True, text="T5: keep the position bias in all layers; false: in the first only", rare=True)


class PrefixLayer(nn.Module):
    """The rows of one attention.

    Args:
        prefix_token_num: n, how many.
        key_size: of a key, all heads together.
        value_size: of a value.

    Example:
        >>> keys, values = PrefixLayer(3, 8, 8)(0)
        >>> keys.shape, values.shape
        (torch.Size([3, 8]), torch.Size([3, 8]))
    """

    def __init__(self, prefix_token_num: int, key_size: int, value_size: int) -> None:
        super().__init__()
        self.past_key = nn.Parameter(torch.randn(prefix_token_num, key_size))
        self.past_value = nn.Parameter(torch.randn(prefix_token_num, value_size))

    def forward(self, at: int = 0) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ARG002 - a network has several places
        """Keys and values, [n, size] each."""
        return self.past_key, self.past_value


class PrefixNetwork(nn.Module):
    """The rows of several attentions from one network.

    Args:
        prefix_token_num: n, how many rows.
        sizes: of a key and of a value, for each attention in order.
        embed_dim: size of the embeddings.
        mid_dim: size of the middle layer.

    Example:
        >>> network = PrefixNetwork(3, [(8, 8), (8, 8)], embed_dim=4, mid_dim=5)
        >>> network(1)[0].shape, sum(p.numel() for p in network.parameters())
        (torch.Size([3, 8]), 229)
    """

    def __init__(self, prefix_token_num: int, sizes: Sequence[tuple[int, int]], embed_dim: int = 512, mid_dim: int = 512) -> None:
        super().__init__()
        self.sizes = list(sizes)
        width = sum(key + value for key, value in sizes)
        self.wte = nn.Embedding(prefix_token_num, embed_dim)
        self.control_trans = nn.Sequential(nn.Linear(embed_dim, mid_dim), nn.Tanh(), nn.Linear(mid_dim, width))

    def forward(self, at: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of one attention, [n, size] each: of the wide last layer only the part that belongs to it is computed."""
        embed, tanh, last = self.control_trans
        key, value = self.sizes[at]
        start = sum(one + other for one, other in self.sizes[:at])
        part = slice(start, start + key + value)
        rows = functional.linear(tanh(embed(self.wte.weight)), last.weight[part], last.bias[part])  # type: ignore[index]
        return rows[:, :key], rows[:, key:]


class PrefixModel(DeltaModel):
    """Prefixes in the matched attention modules.

    A model with a prefix takes sdpa or eager attention; its cache and its masks stay those of the text.

    Args:
        backbone_model: the model to modify, in place.
        prefix_token_num: how many rows come before the text's.
        reparameterize: make them by a small network; its parameters then sit under the first matched module.
        embed_dim: size of its embeddings.
        mid_dim: size of its middle layer.
        shift_positions: the text's positions begin after the prefix (PEFT's prefixes are trained so). By default
            the text is where it was.
        shared_position_bias: False only for what OpenDelta trained on T5, which drops the position bias of every
            prefixed layer but the first.
        **common: see `deltanb.engine.CommonOptions`. Default hosts: self-attention, by role.

    Raises:
        DeltaError: a pattern hits nothing or no attention; the family computes attention in its own way; the model is
            set to flash or flex attention.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> delta = PrefixModel(BertModel(config), prefix_token_num=3, reparameterize=False)
        >>> [name for name, _ in delta.named_parameters()][:2]
        ['encoder.layer.0.attention.prefix.past_key', 'encoder.layer.0.attention.prefix.past_value']
    """

    config: PrefixConfig
    config_class = PrefixConfig
    delta_type = "prefix"
    default_modified_modules = ("attn@",)
    stand_ins = MappingProxyType({})  # nothing else has keys and values

    def __init__(
        self,
        backbone_model: nn.Module,
        prefix_token_num: int = 6,
        reparameterize: bool = True,  # noqa: FBT001, FBT002
        embed_dim: int = 512,
        mid_dim: int = 512,
        shift_positions: bool = False,  # noqa: FBT001, FBT002
        shared_position_bias: bool = True,  # noqa: FBT001, FBT002
        **common: Unpack[CommonOptions],
    ) -> None:
        own = {
            "prefix_token_num": prefix_token_num,
            "reparameterize": reparameterize,
            "embed_dim": embed_dim,
            "mid_dim": mid_dim,
            "shift_positions": shift_positions,
            "shared_position_bias": shared_position_bias,
        }
        super().__init__(backbone_model, own, **common)

    @property
    def default_child(self) -> str:  # type: ignore[override]
        """What a child module is called where the delta has its default name: the network's name differs."""
        return "reparams" if self.config.reparameterize else "prefix"

    def find_hosts(self) -> Hosts:
        """The matched attention modules, each once, with their sizes."""
        found = super().find_hosts()
        self.sizes: dict[str, tuple[int, int]] = {}  # of each attention, by its name
        hosts = []
        for host in found.hosts:
            name, module = attention_at(host)
            if name not in self.sizes:
                self.sizes[name] = key_value_sizes(host, module)
                hosts.append(host if self.config.reparameterize or not _is_layer(host) else Host(name, module, found))
        absolute = [name for name in self.sizes if not is_relative(self.backbone_model, name)]
        self.moved = position_modules(self.backbone_model, absolute) if self.config.shift_positions else []
        found.hosts = hosts
        return found

    def _build(self, hosts: Sequence[Host]) -> None:
        """One child a host, or one network under the first."""
        super()._build(hosts[:1] if self.config.reparameterize else hosts)

    def make_child(self, host: Host) -> nn.Module:
        """A `PrefixLayer`, or the `PrefixNetwork` of all."""
        config, sizes = self.config, list(self.sizes.values())
        if config.reparameterize:
            return PrefixNetwork(config.prefix_token_num, sizes, config.embed_dim, config.mid_dim)
        return PrefixLayer(config.prefix_token_num, *sizes[self.hosts.index(host.name)])

    def alike(self, host: Host) -> Hashable | None:
        """Attentions with keys and values of the same sizes; one network stands for all."""
        return None if self.config.reparameterize else (host.kind, self.sizes.get(host.name, host.name))

    def make_hooks(self) -> list[tuple[str, Hook]]:
        """One place an attention module; and those that tell positions, where they are to move."""
        from deltanb.engine._prefix_attention import PrefixHook  # brings transformers

        config, children, backbone = self.config, self.delta_modules, self.backbone_model
        hooks: list[tuple[str, Hook]] = [(name, ShiftPositions(config.prefix_token_num)) for name in self.moved]
        for at, name in enumerate(self.sizes):
            owner = bias_owner(backbone, name) if config.shift_positions else None
            child = children[0 if config.reparameterize else at]
            hooks.append((name, PrefixHook(child, at, shared_bias=config.shared_position_bias, distances=owner)))
            hooks += [(name, PlainCache())] if owner else []
        return hooks


def _is_layer(host: Host) -> bool:
    """T5's ``layer.0`` is a layer around the attention: parameters of one attention belong to that itself."""
    return "Layer" in type(host.module).__name__
