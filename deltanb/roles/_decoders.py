"""Families that write: GPT-2, Llama and their kin, mixtures of experts, Mamba."""

from __future__ import annotations

from deltanb.roles._encoders import CLIP_VISION
from deltanb.roles._tables import Table, attention, below, layers

__all__ = ["BLOOM", "GEMMA", "GEMMA3", "GPT2", "GPTJ", "GPT_NEO", "GPT_NEOX", "LLAMA", "MAMBA", "MIXTURE", "PHI", "PHI3"]

_HEAD = {"lm_head": "lm_head@.proj@"}
_LLAMA_ATTENTION = attention("self_attn", "q_proj k_proj v_proj o_proj", "input_layernorm")
_LLAMA_FF = {"mlp": "ff@", "mlp.gate_proj": "ff@.w1@", "mlp.up_proj": "ff@.w3@", "mlp.down_proj": "ff@.w2@"}
_LLAMA_NORM = {"post_attention_layernorm": "ff@.layer_norm@"}


def _llama(attn: Table, *parts: Table) -> Table:
    return {"embed_tokens": "embeddings@", **layers("layers", "decoder@", attn, *parts), "norm": "decoder@.layer_norm@", **_HEAD}


LLAMA = _llama(_LLAMA_ATTENTION, _LLAMA_FF, _LLAMA_NORM)
PHI3 = _llama(
    attention("self_attn", "qkv_proj o_proj", "input_layernorm"),
    {"mlp": "ff@", "mlp.gate_up_proj": "ff@.w1,w3@", "mlp.down_proj": "ff@.w2@"},
    _LLAMA_NORM,
)
# In Gemma 2 and 3 attention and feed-forward have a norm before and one after.
_AROUND = {
    "post_attention_layernorm": "attn@.layer_norm@",
    "pre_feedforward_layernorm": "ff@.layer_norm@",
    "post_feedforward_layernorm": "ff@.layer_norm@",
}
GEMMA = _llama(_LLAMA_ATTENTION, _LLAMA_FF, _AROUND)
GEMMA3 = {**below("vision_tower", "vision@", CLIP_VISION), **below("language_model", "text@", GEMMA), **_HEAD}
# Some layers of Qwen's mixtures are plain feed-forwards, and Qwen 2's have one expert that is always asked.
_SHARED = {name.replace("mlp", "mlp.shared_expert"): role for name, role in _LLAMA_FF.items()}
MIXTURE = _llama(_LLAMA_ATTENTION, _LLAMA_FF, _SHARED, _LLAMA_NORM, {"mlp.gate": "router@"})

PHI = {
    "embed_tokens": "embeddings@",
    **layers(
        "layers",
        "decoder@",
        attention("self_attn", "q_proj k_proj v_proj dense", "input_layernorm"),
        {"mlp": "ff@", "mlp.fc1": "ff@.w1@", "mlp.fc2": "ff@.w2@"},
    ),
    "final_layernorm": "decoder@.layer_norm@",
    **_HEAD,
}


def _gpt(attn: Table, w1: str, w2: str, norm: str = "ln_2") -> Table:
    ff = {"mlp": "ff@", f"mlp.{w1}": "ff@.w1@", f"mlp.{w2}": "ff@.w2@", norm: "ff@.layer_norm@"}
    return {"wte": "embeddings@", **layers("h", "decoder@", attn, ff), "ln_f": "decoder@.layer_norm@", **_HEAD}


GPT2 = _gpt(attention("attn", "c_attn c_proj", "ln_1"), "c_fc", "c_proj")
_NEO = "attention.q_proj attention.k_proj attention.v_proj attention.out_proj"
GPT_NEO = _gpt(attention("attn", _NEO, "ln_1"), "c_fc", "c_proj")
GPTJ = _gpt(attention("attn", "q_proj k_proj v_proj out_proj", "ln_1"), "fc_in", "fc_out")
_FUSED = {**attention("self_attention", "query_key_value dense", "input_layernorm")}
BLOOM = {**_gpt(_FUSED, "dense_h_to_4h", "dense_4h_to_h", "post_attention_layernorm"), "word_embeddings": "embeddings@"}

GPT_NEOX = {
    "embed_in": "embeddings@",
    **layers(
        "layers",
        "decoder@",
        attention("attention", "query_key_value dense", "input_layernorm"),
        {"mlp": "ff@", "mlp.dense_h_to_4h": "ff@.w1@", "mlp.dense_4h_to_h": "ff@.w2@", "post_attention_layernorm": "ff@.layer_norm@"},
    ),
    "final_layer_norm": "decoder@.layer_norm@",
    "embed_out": "lm_head@.proj@",
}

MAMBA = {
    "embeddings": "embeddings@",
    **layers(
        "layers",
        "decoder@",
        {
            "mixer": "mixer@",
            "mixer.in_proj": "mixer@.in@",
            "mixer.conv1d": "mixer@.conv@",
            "mixer.x_proj": "mixer@.x@",
            "mixer.dt_proj": "mixer@.dt@",
            "mixer.out_proj": "mixer@.proj@",
            "norm": "mixer@.layer_norm@",
        },
    ),
    "norm_f": "decoder@.layer_norm@",
    **_HEAD,
}
