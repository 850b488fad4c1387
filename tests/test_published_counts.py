"""Parameter counts that papers and other libraries print, found again on skeletons of the models they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers

from deltanb import AdapterModel, BitFitModel, CompacterModel, IA3Model, LoraModel, ParallelAdapterModel, PrefixModel, SoftPromptModel, plan
from tests.models import total, trainable

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
_T5_XXL = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "feed_forward_proj": "gated-gelu"}
_T5_XL = {"d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 24, "num_heads": 32, "feed_forward_proj": "gated-gelu"}
_MT0_LARGE = {"d_model": 1024, "d_kv": 64, "d_ff": 2816, "num_layers": 24, "num_heads": 16, "feed_forward_proj": "gated-gelu"}
# Name: class, settings. OPT-175B has GPT-3's shape.
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert-base": ("Bert", {}),
    "bert-large": ("Bert", _LARGE),
    "roberta-base": ("Roberta", _ROBERTA),
    "roberta-large": ("Roberta", {**_ROBERTA, **_LARGE}),
    "deberta-xxl": ("DebertaV2", {"hidden_size": 1536, "num_hidden_layers": 48, "num_attention_heads": 24, "intermediate_size": 6144}),
    "gpt2-medium": ("GPT2", {"n_embd": 1024, "n_layer": 24, "n_head": 16}),
    "gpt-3": (
        "OPT",
        {"hidden_size": 12288, "word_embed_proj_dim": 12288, "ffn_dim": 49152, "num_hidden_layers": 96, "num_attention_heads": 96},
    ),
    "t5-base": ("T5", {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12}),
    "t0-11b": ("T5", _T5_XXL),
    "t0-3b": ("T5", _T5_XL),
    "mt0-large": ("MT5", _MT0_LARGE),
    "qwen2.5-3b": (
        "Qwen2",
        {"hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2, "intermediate_size": 11008},
    ),
    "llama-7b": ("Llama", {}),
}


def skeleton(shape: str) -> Any:
    """A model of a published shape on the meta device."""
    kind, settings = SHAPES[shape]
    with torch.device("meta"):
        return getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**settings))


def lora(rank: int, *hosts: str) -> Callable[[Any], Any]:
    return lambda model: LoraModel(model, lora_r=rank, modified_modules=list(hosts) or None)


def adapter(size: int, *hosts: str) -> Callable[[Any], Any]:
    return lambda model: AdapterModel(model, bottleneck_dim=size, modified_modules=list(hosts) or None)


def biases(model: Any) -> Any:
    return BitFitModel(model, modified_modules=["encoder", "embeddings.LayerNorm", "pooler.dense"])


def compacter(model: Any, *hosts: str) -> Any:
    return CompacterModel(model, reduction_factor=32, hypercomplex_division=4, shared_phm_rule=True, modified_modules=list(hosts) or None)


COUNTS: list[tuple[str, str, Callable[[Any], Any], int]] = [
    # Hu et al. 2022, tables 2, 4 and 5
    ("LoRA table 2: 0.3M", "roberta-base", lora(8), 294_912),
    ("LoRA table 2: 0.8M", "roberta-large", lora(8), 786_432),
    ("LoRA table 2: 4.7M", "deberta-xxl", lora(16), 4_718_592),
    ("LoRA table 4: 4.7M", "gpt-3", lora(1), 4_718_592),
    ("LoRA table 4: 18M", "gpt-3", lora(4), 18_874_368),
    ("LoRA table 4: 37.7M", "gpt-3", lora(8), 37_748_736),
    ("LoRA table 4: AdapterH 7.1M", "gpt-3", adapter(1), 7_078_080),
    ("LoRA table 4: AdapterH 40.1M", "gpt-3", adapter(8), 40_109_568),
    ("LoRA table 4: PreEmbed 3.2M", "gpt-3", lambda model: SoftPromptModel(model, soft_token_num=256), 3_145_728),
    ("LoRA table 2: AdapterP 0.8M", "roberta-large", adapter(16, "ff@.w2@"), 811_392),
    ("LoRA table 2: AdapterH 0.8M", "roberta-large", adapter(8), 835_968),
    # Ben Zaken et al. 2022
    ("BitFit: 0.09%", "bert-base", biases, 102_912),
    ("BitFit: 0.08%", "bert-large", biases, 272_384),
    ("LoRA table 2: BitFit 0.1M", "roberta-base", biases, 102_912),
    # Adapters, as AdapterHub's library counts
    ("one adapter a layer, r16: 0.3M", "roberta-base", adapter(16, "ff@.w2@"), 304_320),
    ("one adapter a layer, r48: 0.9M", "roberta-base", adapter(48, "ff@.w2@"), 894_528),
    ("pfeiffer, reduction 16", "bert-base", adapter(48, "ff@.w2@"), 894_528),
    ("houlsby, reduction 16", "bert-base", adapter(48), 1_789_056),
    (
        "parallel, reduction 2",
        "bert-base",
        lambda model: ParallelAdapterModel(model, bottleneck_dim=384, modified_modules=["intermediate.dense", "ff@.w2@"]),
        7_091_712,
    ),
    (
        "prefix of 30 through 512",
        "bert-base",
        lambda model: PrefixModel(model, prefix_token_num=30, embed_dim=768, mid_dim=512),
        9_872_384,
    ),
    # Liu et al. 2022
    ("T-Few: 0.01% of T0-11B", "t0-11b", IA3Model, 1_081_344),
    ("T-Few: T0-3B", "t0-3b", IA3Model, 540_672),
    # PEFT's documentation
    ("LoRA r16 on q, v", "qwen2.5-3b", lora(16), 3_686_400),
    ("LoRA r8 on q, v", "mt0-large", lora(8, "q", "v"), 2_359_296),
    ("LoRA r16 on q, k, v, o", "llama-7b", lora(16, "q_proj", "k_proj", "v_proj", "o_proj"), 16_777_216),
    ("prefix of 10", "gpt2-medium", lambda model: PrefixModel(model, prefix_token_num=10, reparameterize=False), 491_520),
    ("prompt of 100", "t5-base", lambda model: SoftPromptModel(model, soft_token_num=100), 76_800),
]


@pytest.mark.parametrize(("shape", "build", "count"), [row[1:] for row in COUNTS], ids=[f"{row[1]}: {row[0]}" for row in COUNTS])
def test_a_published_count(shape: str, build: Callable[[Any], Any], count: int) -> None:
    model = skeleton(shape)
    delta = build(model)
    delta.freeze_module()
    assert trainable(model) == count
    assert sum(tensor.numel() for tensor in delta.tensors().values()) == count
    assert all(parameter.is_meta for parameter in model.parameters())


NORMS = ["deltas", "layer_norm", "final_layer_norm"]
SHARES: list[tuple[str, Callable[[Any], Any], int, str]] = [
    ("adapters", adapter(24), 1_807_488, "0.832"),
    ("pfeiffer adapters", adapter(24, "ff@.w2@"), 903_744, "0.427"),
    ("compacter", compacter, 114_112, "0.073"),
    ("compacter++", lambda model: compacter(model, "ff@.w2@"), 57_088, "0.047"),
]


@pytest.mark.parametrize(("build", "own", "share"), [row[1:] for row in SHARES], ids=[row[0] for row in SHARES])
def test_the_shares_of_t5_base_with_its_norms(build: Callable[[Any], Any], own: int, share: str) -> None:
    """Mahabadi et al. 2021 print per cents of T5-base with the 62 layer norms trained too."""
    model = skeleton("t5-base")
    size = total(model)
    delta = build(model)
    delta.freeze_module(exclude=NORMS)
    assert size == 222_903_552
    assert trainable(model) == own + 62 * 768
    assert f"{trainable(model) / size:.3%}" == f"{share}%"


def test_a_plan_counts_the_same() -> None:
    assert plan(skeleton("gpt-3"), "lora", lora_r=8).parameters == 37_748_736
    assert plan(skeleton("t0-11b"), "ia3").parameters == 1_081_344
