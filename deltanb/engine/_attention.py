"""Attention modules: which of them a prefix can reach, and how long their keys and values are.

transformers lets most families look their attention function up by name (``ALL_ATTENTION_FUNCTIONS``), each module in its
own config. Such a module can be told to use another function; the others compute attention in code of their own.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from torch import nn

    from deltanb.engine._hosts import Host

__all__ = ["JUNCTION", "attention_at", "config_of", "key_value_sizes", "looks_up"]

JUNCTION = "_deltanb_prefixes"  # on an attention module: the prefixes that sit on it
_LOOKUP = "ALL_ATTENTION_FUNCTIONS"
_PAIRS = (("k_proj", "v_proj"), ("key", "value"), ("k", "v"), ("k_lin", "v_lin"))
_FUSED = ("c_attn", "Wqkv", "query_key_value", "qkv_proj", "qkv")
_FUNCTIONS = ("eager", "sdpa")


def attention_at(host: Host) -> tuple[str, nn.Module]:
    """The attention module that a matched module is, or the only one inside it where it is a shell around one.

    Raises:
        DeltaError: it is no attention, its family computes attention in its own way, or by a function that takes no prefix.
    """
    inside = [(name, module) for name, module in backbone_modules(host.module) if looks_up(module)]
    if not inside or not _is_shell(host.module, inside):
        raise _no_attention(host, [name for name, _ in inside])
    below, module = inside[0]
    name = f"{host.name}.{below}" if below else host.name
    function = config_of(module)._attn_implementation or "eager"  # noqa: SLF001 - transformers has no public name for it
    if function not in _FUNCTIONS:
        msg = f"{host.name} computes attention by {function!r}, which cannot take a prefix: it has no room for a mask over other keys."
        raise DeltaError(msg, expected="sdpa or eager attention.", try_="model.set_attn_implementation('sdpa')")
    if getattr(module, "reorder_and_upcast_attn", False):
        msg = f"{host.name} computes attention upcast and reordered, in code of its own, so no prefix can reach it."
        raise DeltaError(
            msg, expected="A GPT-2 without that setting.", try_="config.reorder_and_upcast_attn = False, before the model is built"
        )
    return name, module


def config_of(module: nn.Module) -> Any:
    """The config that an attention module had before any prefix."""
    junction = module.__dict__.get(JUNCTION)
    return junction.config if junction else module.config


def key_value_sizes(host: Host, attention: nn.Module) -> tuple[int, int]:
    """How many numbers a key and a value have, all heads together; heads that several queries share count once.

    Raises:
        DeltaError: keys and values are made in a way that is not known.
    """
    for key, value in _PAIRS:
        sizes = [getattr(attention._modules.get(part), "out_features", None) for part in (key, value)]
        if None not in sizes:
            return int(sizes[0]), int(sizes[1])  # type: ignore[arg-type]
    config: Any = config_of(attention)
    heads = getattr(config, "num_attention_heads", 0)
    if not heads or not any(name in attention._modules for name in _FUSED):
        msg = f"{host.name} ({type(attention).__name__}) makes its keys and values in a way that is not known here."
        raise DeltaError(
            msg, expected="Projections named like k_proj and v_proj, or one of " + ", ".join(_FUSED) + ".", try_="%delta graph"
        )
    dim = getattr(attention, "head_dim", None) or getattr(config, "head_dim", None) or config.hidden_size // heads
    size = int(dim) * int(getattr(config, "num_key_value_heads", None) or heads)
    return size, size


def looks_up(module: nn.Module) -> bool:
    """Whether a module looks its attention function up by the name in its config."""
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return hasattr(module, "config") and code is not None and _LOOKUP in code.co_names


def _is_shell(module: nn.Module, inside: list[tuple[str, nn.Module]]) -> bool:
    """``BertAttention`` around ``BertSelfAttention``, ``T5LayerSelfAttention`` around ``T5Attention``; or no shell at all."""
    return inside[0][0] == "" or (len(inside) == 1 and "Attention" in type(module).__name__)


def _no_attention(host: Host, inside: list[str]) -> DeltaError:
    kind = type(host.module).__name__
    last = host.name.rpartition(".")[2]
    if inside:
        near = list(dict.fromkeys(f"{last}.{name}" for name in inside))[:4]
        msg = f"A prefix cannot sit on {host.name} ({kind}): it is no attention module, it holds {len(inside)}."
        return DeltaError(msg, expected="An attention module.", nearest=near, try_=f"%delta attach prefix {near[0]}")
    if any(looks_up(module) for _, module in backbone_modules(host.hosts.backbone)):
        msg = f"A prefix cannot sit on {host.name} ({kind}): it is no attention module."
        near = list(dict.fromkeys(_shell_name(name) for name, m in backbone_modules(host.hosts.backbone) if name and looks_up(m)))[:4]
        return DeltaError(msg, expected="An attention module.", nearest=near, try_=f"%delta attach prefix {near[0]}" if near else "")
    msg = f"A prefix cannot sit on {host.name} ({kind}): {type(host.hosts.backbone).__name__} computes attention in code of its own."
    expected = "A family that takes its attention function from transformers (BERT, GPT-2, Llama, BART, T5, …); adapters work here too."
    return DeltaError(msg, expected=expected, try_=f"%delta attach adapter {last}")


def _shell_name(name: str) -> str:
    """The last segments of a name, after its layer's number: ``self_attn`` or ``attention.self``."""
    segments = name.split(".")
    numbers = [at for at, segment in enumerate(segments) if segment.isdigit()]
    return ".".join(segments[numbers[-1] + 1 :] if numbers else segments[-1:]) or name
