"""Nearest names: what a person who typed X most likely meant.

Two sources: spelling (difflib) and the habit of another model family (``fc2`` in BART is ``output.dense`` in BERT).
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["close", "nearest_modules"]

# Suffixes that mean the same thing in different model families, most common first.
_SAME_THING: tuple[tuple[str, ...], ...] = (
    ("output.dense", "fc2", "wo", "DenseReluDense.wo", "down_proj", "mlp.c_proj", "lin2", "dense_4h_to_h", "w2", "linear2", "ff2"),
    ("intermediate.dense", "fc1", "wi", "wi_0", "up_proj", "gate_proj", "c_fc", "lin1", "dense_h_to_4h", "w1", "linear1", "ff1"),
    ("query", "q_proj", "q_lin", "query_proj", "SelfAttention.q", "c_attn", "query_key_value", "q", "Wqkv", "to_q", "wq"),
    ("key", "k_proj", "k_lin", "key_proj", "SelfAttention.k", "c_attn", "query_key_value", "k", "Wqkv", "to_k", "wk"),
    ("value", "v_proj", "v_lin", "value_proj", "SelfAttention.v", "c_attn", "query_key_value", "v", "Wqkv", "to_v", "wv"),
    ("attention.output.dense", "out_proj", "o_proj", "out_lin", "SelfAttention.o", "attn.c_proj", "to_out"),
    ("LayerNorm", "layer_norm", "final_layer_norm", "input_layernorm", "ln_1", "ln_2", "output_layer_norm", "norm", "layernorm"),
    ("classifier", "classification_head", "score", "lm_head", "head", "pre_classifier", "qa_outputs"),
    ("word_embeddings", "embed_tokens", "wte", "shared", "tok_embeddings", "embed_in"),
    ("attention", "self_attn", "attn", "SelfAttention", "self_attention"),
)


def close(word: str, options: Iterable[str], n: int = 3) -> list[str]:
    """The options spelled most like ``word``, best first; case is ignored.

    Example:
        >>> close("adaptor", ["lora", "adapter", "bitfit"])
        ['adapter']
    """
    table = {str(option).lower(): str(option) for option in options}
    hits = get_close_matches(word.lower(), table, n=n, cutoff=0.55)
    started = [low for low in table if word and low.startswith(word.lower())]
    return [table[low] for low in dict.fromkeys([*hits, *started])][:n]


def nearest_modules(pattern: str, names: Sequence[str], n: int = 4) -> list[str]:
    """Suffixes that exist among ``names`` and are close to ``pattern`` in meaning or spelling, best first.

    Example:
        >>> nearest_modules("fc2", ["encoder.layer.0.output.dense", "encoder.layer.0.intermediate.dense"])
        ['output.dense']
        >>> nearest_modules("dens", ["encoder.layer.0.output.dense"])
        ['dense']
    """
    ends = {name.rpartition(".")[2] for name in names}
    dotted = {"." + name for name in names}
    word = pattern.removeprefix("[r]").strip()
    last = word.rpartition(".")[2]
    found = [
        other
        for group in _SAME_THING
        if word in group or last in group
        for other in group
        if other not in (word, last) and any(name.endswith("." + other) for name in dotted)
    ]
    if last != word and last in ends:
        found.append(last)
    found += close(last, sorted(end for end in ends if not end.isdigit()), n)
    return list(dict.fromkeys(found))[:n]
