"""Keys and values that come before those of the text: how they get into a model's attention.

A prefixed module gets a copy of its config that names the function below; the rest of the model, its masks among it, goes
on as before. The function puts the prefix rows in front at each call, lengthens the mask by columns that everybody sees,
and hands over to the attention function that the model itself asks for. So a cache holds the text's keys alone, sliding
windows never cut the prefix, and ``set_attn_implementation`` still works while a prefix is attached.

Importing this file registers the names, for the whole process; opening a pickle of a prefixed model imports it.
"""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

from deltanb._errors import DeltaError
from deltanb.engine._attention import JUNCTION
from deltanb.engine._insertion import Hook

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["NAME", "Junction", "PrefixHook"]

NAME = "deltanb_prefix"


class Junction:
    """What a prefixed attention module keeps beside its own: its real config, its eager function, and its prefixes.

    Attributes:
        config: the config object that it had, and gets back.
        eager: the function that its family uses where no other is asked for.
        hooks: the prefixes, oldest first; their rows stand in this order before the text's.
    """

    def __init__(self, module: nn.Module) -> None:
        self.config: Any = module.config
        self.eager = _eager_of(module)
        self.hooks: list[PrefixHook] = []

    def function(self) -> Callable[..., Any]:
        """The attention function that the model asks for now."""
        name = self.config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
        if name not in ("eager", "sdpa", None):
            msg = f"The model was switched to {name!r} attention while a prefix is attached; that cannot take a prefix."
            raise DeltaError(msg, expected="sdpa or eager attention.", try_="model.set_attn_implementation('sdpa')")
        found: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(name or "eager", self.eager)
        return found


class PrefixHook(Hook):
    """One prefix on one attention module.

    Args:
        rows: gives keys [n, size] and values [n, size] for a place.
        at: which place this module has among the delta's.
        shared_bias: whether a T5 layer without position bias of its own keeps the one it gets from the first.
        distances: the T5 attention whose position bias the prefix gets too, as rows right before the text; None: no bias.
    """

    def __init__(self, rows: nn.Module, at: int, *, shared_bias: bool = True, distances: nn.Module | None = None) -> None:
        self.rows = rows
        self.at = at
        self.shared_bias = shared_bias
        self.distances = distances

    def register(self, module: nn.Module) -> _PrefixHandle:
        """Have the module use prefix attention, behind the prefixes that are there already."""
        junction: Junction | None = module.__dict__.get(JUNCTION)
        if junction is None:
            junction = Junction(module)
            module.__dict__[JUNCTION] = junction
            config = copy.copy(junction.config)
            config._attn_implementation_internal = NAME  # noqa: SLF001 - the setter reaches into sub-configs
            module.config = config
        junction.hooks.append(self)
        return _PrefixHandle(module, self)


class _PrefixHandle:
    """Takes one prefix away again, and with the last one the function."""

    def __init__(self, module: nn.Module, hook: PrefixHook) -> None:
        self.module = module
        self.hook = hook

    def remove(self) -> None:
        junction: Junction = self.module.__dict__[JUNCTION]
        junction.hooks.remove(self.hook)
        if not junction.hooks:
            self.module.config = junction.config
            del self.module.__dict__[JUNCTION]


def _attend(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None, **kwargs: Any
) -> Any:
    """Attention over the prefixes and the text; as transformers calls it.

    Args:
        module: the attention module.
        query: [batch, heads, queries, size].
        key: [batch, key heads, keys, size], with what a cache holds.
        value: as ``key``.
        attention_mask: over the text's keys: bool (True: seen), or added to the scores; None: all, or as ``is_causal`` says.
        **kwargs: for the model's own attention function.
    """
    junction: Junction = module.__dict__[JUNCTION]
    mask = _explicit(module, query, key, attention_mask, kwargs.get("is_causal"))
    rows = [hook.rows(hook.at) for hook in junction.hooks]
    long_key = torch.cat([*(_by_head(keys, key) for keys, _ in rows), key], 2)
    long_value = torch.cat([*(_by_head(values, value) for _, values in rows), value], 2)
    if mask is not None:
        mask = functional.pad(mask, (long_key.shape[2] - key.shape[2], 0), value=mask.dtype == torch.bool)
    if kwargs.get("position_bias") is not None:
        kwargs["position_bias"] = _longer_bias(module, junction, kwargs["position_bias"], [len(keys) for keys, _ in rows])
    return junction.function()(module, query, long_key, long_value, mask, **kwargs)


def _explicit(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    causal: bool | None,  # noqa: FBT001
) -> torch.Tensor | None:
    """The mask that an absent one stands for: torch's own causal path counts keys from the first, and that is the prefix's now."""
    causal = getattr(module, "is_causal", True) if causal is None else causal
    queries, keys = query.shape[2], key.shape[2]
    if mask is not None or not causal or queries == 1:
        return mask
    return torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril()[None, None]


def _by_head(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """[n, heads · size] as [batch, heads, n, size], in the dtype and on the device of the text's keys."""
    batch, heads, _, size = like.shape
    return rows.to(like).view(-1, heads, size).transpose(0, 1).expand(batch, -1, -1, -1)


def _longer_bias(module: nn.Module, junction: Junction, bias: torch.Tensor, lengths: list[int]) -> torch.Tensor | None:
    """T5's position bias [1, heads, queries, keys], with none for the prefixes, or with that of the distance to them."""
    own = getattr(module, "has_relative_attention_bias", True)
    if not own and not all(hook.shared_bias for hook in junction.hooks):
        return None
    return torch.cat([*(_prefix_bias(hook, bias, length) for hook, length in zip(junction.hooks, lengths, strict=True)), bias], 3)


def _prefix_bias(hook: PrefixHook, bias: torch.Tensor, length: int) -> torch.Tensor:
    queries, keys = bias.shape[2:]
    if hook.distances is None:
        return bias.new_zeros(*bias.shape[:3], length)
    before = length + keys - queries  # rows before the first query, the prefix among them
    found: torch.Tensor = hook.distances.compute_bias(queries, length, bias.device, before)  # type: ignore[operator]
    return found.to(bias.dtype)


def _eager_of(module: nn.Module) -> Callable[..., Any]:
    """The plain attention function of a module's family, which each family defines beside its modules."""
    for kind in type(module).__mro__:
        found: Callable[..., Any] | None = getattr(sys.modules.get(kind.__module__), "eager_attention_forward", None)
        if found is not None:
            return found
    msg = f"{type(module).__name__} belongs to a family that defines no plain attention, so a prefix cannot hand over to it."
    raise DeltaError(msg, expected="A family of transformers that uses its attention registry.")


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, eager_mask)  # explicit whatever the padding, should a mask ever be asked for by this name
