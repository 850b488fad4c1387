"""Families that read: BERT and its kin, vision and speech encoders."""

from __future__ import annotations

from deltanb.roles._tables import Table, attention, below, layers

__all__ = ["ALBERT", "BERT", "CLIP", "CLIP_TEXT", "CLIP_VISION", "DEBERTA", "DISTILBERT", "MODERNBERT", "MPNET", "SPEECH", "VIT"]

_BERT_FF = {
    "intermediate": "ff@",
    "intermediate.dense": "ff@.w1@",
    "output": "ff@",
    "output.dense": "ff@.w2@",
    "output.LayerNorm": "ff@.layer_norm@",
}


def _bert(projections: str, norm: str) -> Table:
    stack = layers("encoder.layer", "encoder@", attention("attention", projections, norm), _BERT_FF)
    return {"embeddings": "embeddings@", "encoder": "encoder@", **stack}


BERT = _bert("self.query self.key self.value output.dense", "attention.output.LayerNorm")
DEBERTA = _bert("self.query_proj self.key_proj self.value_proj output.dense", "attention.output.LayerNorm")
MPNET = _bert("attn.q attn.k attn.v attn.o", "attention.LayerNorm")

ALBERT = {
    "embeddings": "embeddings@",
    "encoder": "encoder@",
    **layers("encoder.albert_layer_groups", "encoder@"),
    **{
        f"encoder.albert_layer_groups.$.albert_layers.$.{name}": f"encoder@.block@.$.{role}"
        for name, role in {
            **attention("attention", "query key value dense", "attention.LayerNorm"),
            "ffn": "ff@.w1@",
            "ffn_output": "ff@.w2@",
            "full_layer_layer_norm": "ff@.layer_norm@",
        }.items()
    },
}

DISTILBERT = {
    "embeddings": "embeddings@",
    "transformer": "encoder@",
    **layers(
        "transformer.layer",
        "encoder@",
        attention("attention", "q_lin k_lin v_lin out_lin", "sa_layer_norm"),
        {"ffn": "ff@", "ffn.lin1": "ff@.w1@", "ffn.lin2": "ff@.w2@", "output_layer_norm": "ff@.layer_norm@"},
    ),
}

MODERNBERT = {
    "embeddings": "embeddings@",
    **layers(
        "layers",
        "encoder@",
        attention("attn", "Wqkv Wo", "attn_norm"),
        {"mlp": "ff@", "mlp.Wi": "ff@.w1,w3@", "mlp.Wo": "ff@.w2@", "mlp_norm": "ff@.layer_norm@"},
    ),
    "final_norm": "encoder@.layer_norm@",
}

_MLP = {"mlp": "ff@", "mlp.fc1": "ff@.w1@", "mlp.fc2": "ff@.w2@"}

VIT = {
    "embeddings": "embeddings@",
    **layers(
        "layers",
        "encoder@",
        attention("attention", "q_proj k_proj v_proj o_proj", "layernorm_before"),
        {**_MLP, "layernorm_after": "ff@.layer_norm@"},
    ),
    "layernorm": "encoder@.layer_norm@",
}


def _tower(norms: tuple[str, ...]) -> Table:
    """One of CLIP's two towers, which differ in the norms around the stack."""
    attn = attention("self_attn", "q_proj k_proj v_proj out_proj", "layer_norm1")
    stack = layers("encoder.layers", "encoder@", attn, {**_MLP, "layer_norm2": "ff@.layer_norm@"})
    return {"embeddings": "embeddings@", "encoder": "encoder@", **stack, **dict.fromkeys(norms, "encoder@.layer_norm@")}


CLIP_TEXT = _tower(("final_layer_norm",))
CLIP_VISION = _tower(("pre_layrnorm", "post_layernorm"))
CLIP = {**below("text_model", "text@", CLIP_TEXT), **below("vision_model", "vision@", CLIP_VISION)}

SPEECH = {
    "feature_projection": "embeddings@",
    "encoder": "encoder@",
    **layers(
        "encoder.layers",
        "encoder@",
        attention("attention", "q_proj k_proj v_proj out_proj", "layer_norm"),
        {
            "feed_forward": "ff@",
            "feed_forward.intermediate_dense": "ff@.w1@",
            "feed_forward.output_dense": "ff@.w2@",
            "final_layer_norm": "ff@.layer_norm@",
        },
    ),
    "encoder.layer_norm": "encoder@.layer_norm@",
}
