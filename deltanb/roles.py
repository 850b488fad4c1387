"""Roles: one name for the same module in every model family (``attn@.q@``, ``ff@.w2@``).

A family is a table from module names (``$`` for a number) to role paths. A model of the family may be wrapped in any
head (``bert.``, ``model.``): what comes before the first known segment is dropped. Plain data and string work: no torch.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["family_of", "known_families", "role_names"]

_BERT = {
    "embeddings": "embeddings@",
    "encoder": "encoder@",
    "encoder.layer": "encoder@.block@",
    "encoder.layer.$": "encoder@.block@.$",
    "encoder.layer.$.attention": "encoder@.block@.$.attn@",
    "encoder.layer.$.attention.self.query": "encoder@.block@.$.attn@.q@",
    "encoder.layer.$.attention.self.key": "encoder@.block@.$.attn@.k@",
    "encoder.layer.$.attention.self.value": "encoder@.block@.$.attn@.v@",
    "encoder.layer.$.attention.output.dense": "encoder@.block@.$.attn@.proj@",
    "encoder.layer.$.attention.output.LayerNorm": "encoder@.block@.$.attn@.layer_norm@",
    "encoder.layer.$.intermediate": "encoder@.block@.$.ff@",
    "encoder.layer.$.intermediate.dense": "encoder@.block@.$.ff@.w1@",
    "encoder.layer.$.output": "encoder@.block@.$.ff@",
    "encoder.layer.$.output.dense": "encoder@.block@.$.ff@.w2@",
    "encoder.layer.$.output.LayerNorm": "encoder@.block@.$.ff@.layer_norm@",
}


def _t5_stack(stack: str, ff: int, *, cross: bool) -> dict[str, str]:
    """T5's blocks: numbered sub-layers, of which the last is the feed-forward."""
    real, role = f"{stack}.block.$.layer", f"{stack}@.block@.$"
    table = {
        stack: f"{stack}@",
        f"{stack}.block": f"{stack}@.block@",
        f"{stack}.block.$": role,
        f"{stack}.final_layer_norm": f"{stack}@.layer_norm@",
        f"{real}.{ff}": f"{role}.ff@",
        f"{real}.{ff}.layer_norm": f"{role}.ff@.layer_norm@",
        f"{real}.{ff}.DenseReluDense.wi": f"{role}.ff@.w1@",
        f"{real}.{ff}.DenseReluDense.wi_0": f"{role}.ff@.w1@",
        f"{real}.{ff}.DenseReluDense.wi_1": f"{role}.ff@.w3@",
        f"{real}.{ff}.DenseReluDense.wo": f"{role}.ff@.w2@",
    }
    for at, (name, word) in enumerate([("SelfAttention", "attn"), ("EncDecAttention", "crossattn")][: 2 if cross else 1]):
        table |= {f"{real}.{at}": f"{role}.{word}@", f"{real}.{at}.layer_norm": f"{role}.{word}@.layer_norm@"}
        parts = zip("qkvo", ["q", "k", "v", "proj"], strict=True)
        table |= {f"{real}.{at}.{name}.{short}": f"{role}.{word}@.{part}@" for short, part in parts}
    return table


_T5 = {"shared": "embeddings@", "lm_head": "lm_head@.proj@", **_t5_stack("encoder", 1, cross=False), **_t5_stack("decoder", 2, cross=True)}


def _fc_stack(stack: str, *, cross: bool) -> dict[str, str]:
    """The layers that BART, OPT and Pegasus share."""
    real, role = f"{stack}.layers.$", f"{stack}@.block@.$"
    table = {
        stack: f"{stack}@",
        f"{stack}.layers": f"{stack}@.block@",
        real: role,
        f"{real}.fc1": f"{role}.ff@.w1@",
        f"{real}.fc2": f"{role}.ff@.w2@",
        f"{real}.final_layer_norm": f"{role}.ff@.layer_norm@",
        f"{stack}.layernorm_embedding": f"{stack}@.layer_norm@",
    }
    for name, word in [("self_attn", "attn"), ("encoder_attn", "crossattn")][: 2 if cross else 1]:
        table |= {f"{real}.{name}": f"{role}.{word}@", f"{real}.{name}_layer_norm": f"{role}.{word}@.layer_norm@"}
        table |= {f"{real}.{name}.{part}_proj": f"{role}.{word}@.{part}@" for part in "qkv"}
        table[f"{real}.{name}.out_proj"] = f"{role}.{word}@.proj@"
    return table


_BART = {"shared": "embeddings@", **_fc_stack("encoder", cross=False), **_fc_stack("decoder", cross=True)}
_OPT = _fc_stack("decoder", cross=False)

_GPT2 = {
    "wte": "embeddings@",
    "h": "decoder@.block@",
    "h.$": "decoder@.block@.$",
    "h.$.ln_1": "decoder@.block@.$.attn@.layer_norm@",
    "h.$.attn": "decoder@.block@.$.attn@",
    "h.$.attn.c_attn": "decoder@.block@.$.attn@.q,k,v@",
    "h.$.attn.c_proj": "decoder@.block@.$.attn@.proj@",
    "h.$.ln_2": "decoder@.block@.$.ff@.layer_norm@",
    "h.$.mlp": "decoder@.block@.$.ff@",
    "h.$.mlp.c_fc": "decoder@.block@.$.ff@.w1@",
    "h.$.mlp.c_proj": "decoder@.block@.$.ff@.w2@",
    "ln_f": "decoder@.layer_norm@",
}

_DISTILBERT = {
    "embeddings": "embeddings@",
    "transformer.layer.$": "encoder@.block@.$",
    "transformer.layer.$.attention": "encoder@.block@.$.attn@",
    **{f"transformer.layer.$.attention.{part}_lin": f"encoder@.block@.$.attn@.{part}@" for part in "qkv"},
    "transformer.layer.$.attention.out_lin": "encoder@.block@.$.attn@.proj@",
    "transformer.layer.$.sa_layer_norm": "encoder@.block@.$.attn@.layer_norm@",
    "transformer.layer.$.ffn": "encoder@.block@.$.ff@",
    "transformer.layer.$.ffn.lin1": "encoder@.block@.$.ff@.w1@",
    "transformer.layer.$.ffn.lin2": "encoder@.block@.$.ff@.w2@",
    "transformer.layer.$.output_layer_norm": "encoder@.block@.$.ff@.layer_norm@",
}

_LLAMA = {
    "embed_tokens": "embeddings@",
    "layers": "decoder@.block@",
    "layers.$": "decoder@.block@.$",
    "layers.$.self_attn": "decoder@.block@.$.attn@",
    **{f"layers.$.self_attn.{part}_proj": f"decoder@.block@.$.attn@.{part}@" for part in "qkv"},
    "layers.$.self_attn.o_proj": "decoder@.block@.$.attn@.proj@",
    "layers.$.input_layernorm": "decoder@.block@.$.attn@.layer_norm@",
    "layers.$.mlp": "decoder@.block@.$.ff@",
    "layers.$.mlp.gate_proj": "decoder@.block@.$.ff@.w1@",
    "layers.$.mlp.up_proj": "decoder@.block@.$.ff@.w3@",
    "layers.$.mlp.down_proj": "decoder@.block@.$.ff@.w2@",
    "layers.$.post_attention_layernorm": "decoder@.block@.$.ff@.layer_norm@",
    "norm": "decoder@.layer_norm@",
}

_FAMILIES: dict[str, dict[str, str]] = {
    "bart": _BART,
    "bert": _BERT,
    "distilbert": _DISTILBERT,
    "electra": _BERT,
    "gpt2": _GPT2,
    "llama": _LLAMA,
    "mbart": _BART,
    "mistral": _LLAMA,
    "mt5": _T5,
    "opt": _OPT,
    "pegasus": _BART,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "roberta": _BERT,
    "t5": _T5,
    "xlm-roberta": _BERT,
}


def known_families() -> list[str]:
    """The families (``config.model_type``) that have roles.

    Example:
        >>> "bart" in known_families()
        True
    """
    return sorted(_FAMILIES)


def family_of(model: object) -> str | None:
    """The family of a model by its config, if its roles are known.

    Example:
        >>> family_of(object()) is None
        True
    """
    family = getattr(getattr(model, "config", None), "model_type", None)
    return family if family in _FAMILIES else None


def role_names(names: Iterable[str], family: str) -> dict[str, str]:
    """The role path of each module that has one.

    Args:
        names: dotted module names.
        family: one of `known_families`.

    Example:
        >>> role_names(["bert.encoder.layer.3.output.dense", "bert.pooler"], "bert")
        {'bert.encoder.layer.3.output.dense': 'encoder@.block@.3.ff@.w2@'}
    """
    search = _compiled(family)
    roles = {}
    for name in names:
        hit = search.fullmatch(name)
        if hit and hit.lastgroup:
            path = _paths(family)[hit.lastgroup]
            numbers = [group for key, group in zip(_group_names(search), hit.groups(), strict=True) if key is None and group is not None]
            roles[name] = path.replace("$", numbers[0], 1) if numbers else path
    return roles


@cache
def _paths(family: str) -> dict[str, str]:
    return {f"r{at}": role for at, role in enumerate(_FAMILIES[family].values())}


@cache
def _compiled(family: str) -> re.Pattern[str]:
    """One expression for the whole family: named group = which entry, unnamed groups = its numbers."""
    entries = (re.escape(real).replace(r"\$", r"(\d+)") for real in _FAMILIES[family])
    return re.compile(r"(?:[A-Za-z_]\w*\.)*?(?:" + "|".join(f"(?P<r{at}>{entry})" for at, entry in enumerate(entries)) + ")")


@cache
def _group_names(search: re.Pattern[str]) -> tuple[str | None, ...]:
    by_number = {number: name for name, number in search.groupindex.items()}
    return tuple(by_number.get(number) for number in range(1, search.groups + 1))
