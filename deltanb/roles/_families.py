"""Which table belongs to which family (``config.model_type``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.roles import _decoders as decoders
from deltanb.roles import _encoders as encoders
from deltanb.roles import _seq2seq as seq2seq

if TYPE_CHECKING:
    from deltanb.roles._tables import Table

__all__ = ["FAMILIES", "known_families"]

_SAME: list[tuple[Table, str]] = [
    (encoders.BERT, "bert roberta electra xlm-roberta camembert ernie longformer"),
    (encoders.ALBERT, "albert"),
    (encoders.DEBERTA, "deberta-v2"),
    (encoders.DISTILBERT, "distilbert"),
    (encoders.MODERNBERT, "modernbert"),
    (encoders.MPNET, "mpnet"),
    (encoders.VIT, "vit deit"),
    (encoders.CLIP, "clip siglip"),
    (encoders.CLIP_TEXT, "clip_text_model siglip_text_model"),
    (encoders.CLIP_VISION, "clip_vision_model siglip_vision_model"),
    (encoders.SPEECH, "wav2vec2 hubert"),
    (seq2seq.T5, "t5 mt5"),
    (seq2seq.BART, "bart mbart pegasus marian m2m_100"),
    (seq2seq.WHISPER, "whisper"),
    (seq2seq.OPT, "opt"),
    (decoders.GPT2, "gpt2 gpt_bigcode"),
    (decoders.GPT_NEO, "gpt_neo"),
    (decoders.GPTJ, "gptj"),
    (decoders.GPT_NEOX, "gpt_neox"),
    (decoders.BLOOM, "bloom falcon"),
    (decoders.LLAMA, "llama mistral qwen2 qwen3 gemma smollm3 granite stablelm cohere"),
    (decoders.GEMMA, "gemma2 gemma3_text"),
    (decoders.GEMMA3, "gemma3"),
    (decoders.PHI3, "phi3"),
    (decoders.PHI, "phi"),
    (decoders.MIXTURE, "mixtral qwen2_moe qwen3_moe"),
    (decoders.MAMBA, "mamba mamba2"),
]
FAMILIES: dict[str, Table] = {family: table for table, names in _SAME for family in names.split()}


def known_families() -> list[str]:
    """The families (``config.model_type``) that have roles.

    Example:
        >>> "bart" in known_families()
        True
    """
    return sorted(FAMILIES)
