"""The published sizes of well-known models: what it takes to build one without downloading anything.

Facts from the ``config.json`` that each model was published with; only what shapes the model is kept. Where a setting is
absent the default of the family's configuration class is the published value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["MINILM", "SIZES", "Size", "find_size"]

# The name of the encoder that comes as a Python package.
MINILM = "minilm"


@dataclass(frozen=True)
class Size:
    """One published model.

    Attributes:
        family: the ``model_type`` of its configuration class.
        hub: where its weights are, empty for a model made up for teaching.
        settings: the arguments of the configuration class.
        aliases: other names that people use for it.

    Example:
        >>> SIZES["bert-base"].family, SIZES["bert-base"].settings["num_hidden_layers"]
        ('bert', 12)
    """

    family: str
    hub: str
    settings: dict[str, Any]
    aliases: tuple[str, ...] = ()


def find_size(name: str) -> tuple[str, Size] | None:
    """The entry for a short name, a hub id or another usual name, case ignored.

    Example:
        >>> find_size("facebook/bart-base")[0], find_size("bert-base-uncased")[0], find_size("bort")
        ('bart-base', 'bert-base', None)
    """
    folded = name.strip().lower()
    for short, size in SIZES.items():
        if folded in {short, size.hub.lower(), *(alias.lower() for alias in size.aliases)} - {""}:
            return short, size
    return None


def _bart(width: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    sides = {f"{side}_{key}": value for side in ("encoder", "decoder") for key, value in (("layers", layers), ("attention_heads", heads))}
    ffn = {"encoder_ffn_dim": 4 * width, "decoder_ffn_dim": 4 * width}
    return {"d_model": width, **sides, **ffn, "vocab_size": 50265, "max_position_embeddings": 1024, **more}


def _encoder(width: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": 4 * width}
    return {**shape, "max_position_embeddings": 512, **more}


def _bert(width: int, layers: int, heads: int) -> dict[str, Any]:
    return _encoder(width, layers, heads, vocab_size=30522, type_vocab_size=2)


def _roberta(width: int, layers: int, heads: int) -> dict[str, Any]:
    return _encoder(width, layers, heads, vocab_size=50265, type_vocab_size=1) | {"max_position_embeddings": 514, "layer_norm_eps": 1e-5}


def _t5(width: int, layers: int, heads: int) -> dict[str, Any]:
    shape = {"d_model": width, "d_kv": 64, "d_ff": 4 * width, "num_layers": layers, "num_heads": heads}
    return {**shape, "vocab_size": 32128, "decoder_start_token_id": 0}


def _gpt2(width: int, layers: int, heads: int) -> dict[str, Any]:
    return {"n_embd": width, "n_layer": layers, "n_head": heads, "n_positions": 1024, "vocab_size": 50257}


def _opt(width: int, layers: int, heads: int) -> dict[str, Any]:
    shape = {"hidden_size": width, "word_embed_proj_dim": width, "ffn_dim": 4 * width}
    return {**shape, "num_hidden_layers": layers, "num_attention_heads": heads, "vocab_size": 50272, "dtype": "float16"}


def _llama(width: int, inner: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    """A decoder with 8 key-value heads, as Llama 3.1, Mistral, Mixtral and Qwen 3 share it."""
    shape = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads}
    return {**shape, "num_key_value_heads": 8, "head_dim": 128, "dtype": "bfloat16", "tie_word_embeddings": False, **more}


_ROPE_3_1 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_LLAMA_3_1: dict[str, Any] = {
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rope_parameters": _ROPE_3_1,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 128000,
    "eos_token_id": 128001,
}
_MISTRAL: dict[str, Any] = {"vocab_size": 32000, "max_position_embeddings": 32768, "rms_norm_eps": 1e-5}
_QWEN_3: dict[str, Any] = {
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    "max_window_layers": 28,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
}
_DEBERTA_V3: dict[str, Any] = {
    "vocab_size": 128100,
    "type_vocab_size": 0,
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "pooler_hidden_size": 768,
}
_NEOX: dict[str, Any] = {"vocab_size": 50432, "max_position_embeddings": 2048, "eos_token_id": 0, "dtype": "float16"}
_GEMMA_3: dict[str, Any] = {
    "vocab_size": 262144,
    "max_position_embeddings": 32768,
    "hidden_size": 1152,
    "intermediate_size": 6912,
    "num_hidden_layers": 26,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "sliding_window": 512,
    "dtype": "bfloat16",
}
_GEMMA_2: dict[str, Any] = {
    "vocab_size": 256000,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "dtype": "float32",
}
_LLAMA_2: dict[str, Any] = {"vocab_size": 32000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "dtype": "float16"}
_SMOLLM_2: dict[str, Any] = {
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e5},
    "rms_norm_eps": 1e-5,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
_QWEN_2_5: dict[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    "tie_word_embeddings": True,
    "dtype": "bfloat16",
}
_PHI_3: dict[str, Any] = {
    "vocab_size": 32064,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "dtype": "bfloat16",
}
_BLOOM: dict[str, Any] = {"vocab_size": 250880, "hidden_size": 1024, "n_layer": 24, "n_head": 16, "dtype": "float16"}
_FALCON: dict[str, Any] = {
    "vocab_size": 65024,
    "hidden_size": 4544,
    "num_hidden_layers": 32,
    "num_attention_heads": 71,
    "multi_query": True,
    "parallel_attn": True,
    "bias": False,
    "dtype": "bfloat16",
}
_WHISPER: dict[str, Any] = {
    "d_model": 384,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "encoder_attention_heads": 6,
    "decoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "decoder_ffn_dim": 1536,
    "vocab_size": 51865,
    "pad_token_id": 50257,
    "bos_token_id": 50257,
    "eos_token_id": 50257,
    "decoder_start_token_id": 50258,
}
_ELECTRA = {**_bert(768, 12, 12), "embedding_size": 768}
_ALBERT: dict[str, Any] = {**_encoder(768, 12, 12), "vocab_size": 30000, "embedding_size": 128}
_PEGASUS = _bart(1024, 16, 16, vocab_size=96103, activation_function="relu", scale_embedding=True)

# Smallest first within a family, families in the order in which a course meets them.
SIZES: dict[str, Size] = {
    # Vocabulary: 4 special tokens and 256 bytes, rounded up.
    "bart-tiny": Size("bart", "", _bart(32, 2, 2, vocab_size=264, max_position_embeddings=512)),
    "bart-base": Size("bart", "facebook/bart-base", _bart(768, 6, 12)),
    "bart-large": Size("bart", "facebook/bart-large", _bart(1024, 12, 16)),
    "bert-tiny": Size("bert", "google/bert_uncased_L-2_H-128_A-2", _bert(128, 2, 2), ("prajjwal1/bert-tiny",)),
    "bert-base": Size("bert", "google-bert/bert-base-uncased", _bert(768, 12, 12), ("bert-base-uncased",)),
    "bert-large": Size("bert", "google-bert/bert-large-uncased", _bert(1024, 24, 16), ("bert-large-uncased",)),
    "roberta-base": Size("roberta", "FacebookAI/roberta-base", _roberta(768, 12, 12)),
    "roberta-large": Size("roberta", "FacebookAI/roberta-large", _roberta(1024, 24, 16)),
    "xlm-roberta-base": Size("xlm-roberta", "FacebookAI/xlm-roberta-base", _roberta(768, 12, 12) | {"vocab_size": 250002}),
    "distilbert": Size(
        "distilbert", "distilbert/distilbert-base-uncased", {"vocab_size": 30522}, ("distilbert-base-uncased", "distilbert-base")
    ),
    "electra-base": Size("electra", "google/electra-base-discriminator", _ELECTRA),
    "albert-base": Size("albert", "albert/albert-base-v2", _ALBERT, ("albert-base-v2",)),
    "deberta-v3-base": Size("deberta-v2", "microsoft/deberta-v3-base", {**_encoder(768, 12, 12), **_DEBERTA_V3}),
    "modernbert-base": Size("modernbert", "answerdotai/ModernBERT-base", {"vocab_size": 50368}),
    "t5-small": Size("t5", "google-t5/t5-small", _t5(512, 6, 8)),
    "t5-base": Size("t5", "google-t5/t5-base", _t5(768, 12, 12)),
    "pegasus-large": Size("pegasus", "google/pegasus-large", _PEGASUS),
    "gpt2-tiny": Size("gpt2", "", {**_gpt2(32, 2, 2), "n_positions": 512, "vocab_size": 264}),
    "gpt2": Size("gpt2", "openai-community/gpt2", _gpt2(768, 12, 12)),
    "gpt2-medium": Size("gpt2", "openai-community/gpt2-medium", _gpt2(1024, 24, 16)),
    "opt-125m": Size("opt", "facebook/opt-125m", _opt(768, 12, 12)),
    "opt-1.3b": Size("opt", "facebook/opt-1.3b", _opt(2048, 24, 32)),
    "bloom-560m": Size("bloom", "bigscience/bloom-560m", _BLOOM),
    "falcon-7b": Size("falcon", "tiiuae/falcon-7b", _FALCON),
    "phi-3-mini": Size("phi3", "microsoft/Phi-3-mini-4k-instruct", _PHI_3),
    "gpt-neox-20b": Size("gpt_neox", "EleutherAI/gpt-neox-20b", {**_encoder(6144, 44, 64), **_NEOX}),
    "qwen2.5-0.5b": Size("qwen2", "Qwen/Qwen2.5-0.5B", _QWEN_2_5),
    "qwen3-0.6b": Size("qwen3", "Qwen/Qwen3-0.6B", _llama(1024, 3072, 28, 16, **_QWEN_3) | {"tie_word_embeddings": True}),
    "qwen3-8b": Size("qwen3", "Qwen/Qwen3-8B", _llama(4096, 12288, 36, 32, **_QWEN_3)),
    "gemma-2-2b": Size("gemma2", "google/gemma-2-2b", _GEMMA_2),
    "gemma-3-1b": Size("gemma3_text", "google/gemma-3-1b-pt", _GEMMA_3),
    "mistral-7b": Size("mistral", "mistralai/Mistral-7B-v0.1", _llama(4096, 14336, 32, 32, **_MISTRAL)),
    "mixtral-8x7b": Size("mixtral", "mistralai/Mixtral-8x7B-v0.1", _llama(4096, 14336, 32, 32, **_MISTRAL)),
    "smollm2-135m": Size("llama", "HuggingFaceTB/SmolLM2-135M", _llama(576, 1536, 30, 9, **_SMOLLM_2)),
    "llama-2-7b": Size("llama", "meta-llama/Llama-2-7b-hf", _llama(4096, 11008, 32, 32, **_LLAMA_2) | {"num_key_value_heads": 32}),
    "llama-3.1-8b": Size("llama", "meta-llama/Llama-3.1-8B", _llama(4096, 14336, 32, 32, **_LLAMA_3_1)),
    "llama-3.1-70b": Size("llama", "meta-llama/Llama-3.1-70B", _llama(8192, 28672, 80, 64, **_LLAMA_3_1)),
    "llama-3.1-405b": Size("llama", "meta-llama/Llama-3.1-405B", _llama(16384, 53248, 126, 128, **_LLAMA_3_1)),
    "mamba-130m": Size("mamba", "state-spaces/mamba-130m-hf", {"hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50280}),
    "vit-base": Size("vit", "google/vit-base-patch16-224", {"hidden_size": 768, "num_hidden_layers": 12}, ("vit-base-patch16-224",)),
    "clip-vit-base": Size("clip", "openai/clip-vit-base-patch32", {"projection_dim": 512}, ("clip-vit-base-patch32",)),
    "whisper-tiny": Size("whisper", "openai/whisper-tiny", _WHISPER),
    "wav2vec2-base": Size("wav2vec2", "facebook/wav2vec2-base", {"hidden_size": 768, "num_hidden_layers": 12}),
}
