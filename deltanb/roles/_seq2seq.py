"""Families that read and write: T5, BART and their kin; OPT has the decoder of the latter."""

from __future__ import annotations

from deltanb.roles._tables import Table, attention, layers

__all__ = ["BART", "OPT", "T5", "WHISPER"]


def _t5_stack(stack: str, ff: int) -> Table:
    """T5's blocks: numbered sub-layers, of which the last, number ``ff``, is the feed-forward."""
    parts: Table = {
        f"layer.{ff}": "ff@",
        f"layer.{ff}.layer_norm": "ff@.layer_norm@",
        f"layer.{ff}.DenseReluDense.wi": "ff@.w1@",
        f"layer.{ff}.DenseReluDense.wi_0": "ff@.w1@",
        f"layer.{ff}.DenseReluDense.wi_1": "ff@.w3@",
        f"layer.{ff}.DenseReluDense.wo": "ff@.w2@",
    }
    for at, (name, word) in enumerate([("SelfAttention", "attn@"), ("EncDecAttention", "crossattn@")][:ff]):
        parts |= attention(f"layer.{at}", " ".join(f"{name}.{short}" for short in "qkvo"), f"layer.{at}.layer_norm", word)
    return {stack: f"{stack}@", **layers(f"{stack}.block", f"{stack}@", parts), f"{stack}.final_layer_norm": f"{stack}@.layer_norm@"}


T5 = {"shared": "embeddings@", "lm_head": "lm_head@.proj@", **_t5_stack("encoder", 1), **_t5_stack("decoder", 2)}


def _fc_stack(stack: str, *, cross: bool = False) -> Table:
    """The layers that BART, OPT, Pegasus and Whisper share."""
    projections = "q_proj k_proj v_proj out_proj"
    parts = attention("self_attn", projections, "self_attn_layer_norm")
    if cross:
        parts |= attention("encoder_attn", projections, "encoder_attn_layer_norm", "crossattn@")
    ff = {"fc1": "ff@.w1@", "fc2": "ff@.w2@", "final_layer_norm": "ff@.layer_norm@"}
    norms = {f"{stack}.{name}": f"{stack}@.layer_norm@" for name in ("layernorm_embedding", "layer_norm", "final_layer_norm")}
    return {stack: f"{stack}@", **layers(f"{stack}.layers", f"{stack}@", parts, ff), **norms}


_STACKS = {**_fc_stack("encoder"), **_fc_stack("decoder", cross=True)}
BART = {"shared": "embeddings@", **_STACKS, "lm_head": "lm_head@.proj@"}
WHISPER = {"decoder.embed_tokens": "embeddings@", **_STACKS, "proj_out": "lm_head@.proj@"}
OPT = {"decoder.embed_tokens": "embeddings@", **_fc_stack("decoder"), "lm_head": "lm_head@.proj@"}
