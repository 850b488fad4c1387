"""Tiny real models of many families, built from their configs, and inputs that fit them."""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FAMILIES", "PlainModel", "batch_for", "fresh", "make"]

_TEXT = {"vocab_size": 64, "pad_token_id": 0}
_IDS = {"bos_token_id": 1, "eos_token_id": 2}
_ENCODER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_BERT = {**_ENCODER, "max_position_embeddings": 32, **_TEXT}
_BOTH = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "decoder_start_token_id": 2,
    **_TEXT,
    **_IDS,
}
_BART = {**_BOTH, "max_position_embeddings": 32}
_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0, "eos_token_id": 2, **_TEXT}
_LLAMA = {**_ENCODER, "num_key_value_heads": 2, "max_position_embeddings": 32, **_TEXT, **_IDS}
_QWEN3 = {**_LLAMA, "head_dim": 8}
_GEMMA = {**_QWEN3, "sliding_window": 8}
_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "vocab_size": 64, **_IDS}
_OPT = {
    "hidden_size": 16,
    "word_embed_proj_dim": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "ffn_dim": 32,
    "max_position_embeddings": 32,
    **_TEXT,
    **_IDS,
}
_DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 32, **_TEXT}
_DEBERTA = {**_BERT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 4, "norm_rel_ebd": "layer_norm"}
_MODERNBERT = {**_BERT, **_IDS, "local_attention": 8, "cls_token_id": 1, "sep_token_id": 2, "global_attn_every_n_layers": 2}
_QWEN3_MOE = {**_QWEN3, "moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}
_WHISPER = {**_BOTH, "num_mel_bins": 8, "max_source_positions": 8, "max_target_positions": 32, "suppress_tokens": None}
_VIT = {**_ENCODER, "image_size": 8, "patch_size": 4}
_CLIP = {"text_config": {**_BERT, **_IDS}, "vision_config": _VIT, "projection_dim": 8}
_SPEECH = {
    **_ENCODER,
    "conv_dim": [8, 8],
    "conv_stride": [8, 8],
    "conv_kernel": [8, 8],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
    "vocab_size": 32,
    "mask_time_prob": 0.0,
}
_MAMBA = {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, "conv_kernel": 4, "time_step_rank": 2, **_TEXT, **_IDS}

# Name: class of the model, class of its config, settings.
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "albert": ("AlbertForSequenceClassification", "AlbertConfig", {**_BERT, "embedding_size": 8}),
    "bart": ("BartForConditionalGeneration", "BartConfig", _BART),
    "bert": ("BertForSequenceClassification", "BertConfig", _BERT),
    "clip": ("CLIPModel", "CLIPConfig", _CLIP),
    "deberta-v2": ("DebertaV2ForSequenceClassification", "DebertaV2Config", _DEBERTA),
    "distilbert": ("DistilBertForSequenceClassification", "DistilBertConfig", _DISTILBERT),
    "electra": ("ElectraForSequenceClassification", "ElectraConfig", {**_BERT, "embedding_size": 8}),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", _GEMMA),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", _GPT2),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", {**_BERT, **_IDS}),
    "llama": ("LlamaForCausalLM", "LlamaConfig", _LLAMA),
    "mamba": ("MambaForCausalLM", "MambaConfig", _MAMBA),
    "mistral": ("MistralForCausalLM", "MistralConfig", _QWEN3),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {**_LLAMA, "num_local_experts": 2, "num_experts_per_tok": 1}),
    "modernbert": ("ModernBertForSequenceClassification", "ModernBertConfig", _MODERNBERT),
    "mt5": ("MT5ForConditionalGeneration", "MT5Config", _T5),
    "opt": ("OPTForCausalLM", "OPTConfig", _OPT),
    "pegasus": ("PegasusForConditionalGeneration", "PegasusConfig", _BART),
    "plain": ("", "", {}),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", _QWEN3),
    "qwen3_moe": ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", _QWEN3_MOE),
    "roberta": ("RobertaForSequenceClassification", "RobertaConfig", {**_BERT, "pad_token_id": 1}),
    "t5": ("T5ForConditionalGeneration", "T5Config", _T5),
    "t5-gated": ("T5ForConditionalGeneration", "T5Config", {**_T5, "feed_forward_proj": "gated-gelu"}),
    "vit": ("ViTForImageClassification", "ViTConfig", _VIT),
    "wav2vec2": ("Wav2Vec2ForSequenceClassification", "Wav2Vec2Config", _SPEECH),
    "whisper": ("WhisperForConditionalGeneration", "WhisperConfig", _WHISPER),
}


class PlainModel(nn.Module):
    """A module of torch alone: no config, no transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, 16)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16)) for _ in range(2))
        self.head = nn.Linear(16, 2)

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor]:
        hidden = self.embed(input_ids)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return (self.head(hidden.mean(1)),)


def make(family: str, seed: int = 0, device: str = "cpu", **changes: Any) -> Any:
    """A tiny model of a family in eval mode, with weights from ``seed``."""
    model, config, settings = FAMILIES[family]
    torch.manual_seed(seed)
    with torch.device(device):
        if not model:
            return PlainModel().eval()
        return getattr(transformers, model)(getattr(transformers, config)(**{**settings, **changes})).eval()


def fresh(family: str) -> Any:
    """A copy of the tiny model of a family, all of whose weights (biases and norms too) are random: faster than `make`."""
    return copy.deepcopy(_stirred(family))


@cache
def _stirred(family: str) -> Any:
    model = make(family)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def batch_for(model: nn.Module, seed: int = 1, length: int = 7) -> dict[str, torch.Tensor]:
    """Inputs that fit a tiny model: two rows of ``length`` tokens, two pictures, two sounds."""
    return dict(_inputs(model, torch.Generator().manual_seed(seed), length))


def _inputs(model: nn.Module, generator: torch.Generator, length: int) -> Iterator[tuple[str, torch.Tensor]]:
    main = getattr(model, "main_input_name", "input_ids")
    config = getattr(model, "config", None)
    ids = torch.randint(3, 60, (2, length), generator=generator)
    if main == "input_values":
        yield main, torch.randn(2, 1000 * length, generator=generator)
    elif main == "input_features":
        yield main, torch.randn(2, 8, 16, generator=generator)
    elif main != "pixel_values":
        yield "input_ids", ids
    if main == "pixel_values" or hasattr(config, "vision_config"):
        yield "pixel_values", torch.randn(2, 3, 8, 8, generator=generator)
    if getattr(config, "is_encoder_decoder", False):
        yield "decoder_input_ids", ids.flip(1)
