"""Prefixes in every family that can have them, against attention computed another way."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deltanb import PrefixModel
from deltanb._errors import DeltaError
from tests.attention import by_definition
from tests.families import batch_for, fresh, make
from tests.models import assert_same, output_of, same_state, stir

PATTERNS: dict[str, list[str]] = {
    "albert": ["attention"],
    "bart": ["self_attn", "encoder_attn"],
    "bert": ["attention"],
    "clip": ["self_attn"],
    "distilbert": ["attention"],
    "electra": ["attention"],
    "gemma3": ["self_attn"],
    "gpt2": ["attn"],
    "gpt_neox": ["attention"],
    "llama": ["self_attn"],
    "mistral": ["self_attn"],
    "mixtral": ["self_attn"],
    "modernbert": ["attn"],
    "mt5": ["SelfAttention", "EncDecAttention"],
    "opt": ["self_attn"],
    "pegasus": ["self_attn", "encoder_attn"],
    "qwen3": ["self_attn"],
    "qwen3_moe": ["self_attn"],
    "roberta": ["attention"],
    "t5": ["SelfAttention", "EncDecAttention"],
    "t5-gated": ["SelfAttention", "EncDecAttention"],
    "vit": ["attention"],
    "wav2vec2": ["attention"],
    "whisper": ["self_attn", "encoder_attn"],
}


def inputs_of(model: Any, *, padded: bool) -> dict[str, torch.Tensor]:
    inputs = batch_for(model)
    if padded and "input_ids" in inputs:
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        inputs["attention_mask"][0, -2:] = 0
    return inputs


def rows_of(delta: PrefixModel) -> dict[str, Any]:
    names = list(delta.sizes)
    return {name: [row.detach() for row in child(at)] for at, (name, child) in enumerate(zip(names, delta.delta_modules, strict=True))}


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("family", PATTERNS)
def test_a_prefix_is_rows_that_everybody_sees(family: str, padded: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    model = fresh(family)
    inputs = inputs_of(model, padded=padded)
    before = output_of(model, **inputs)
    state = same_state(model)
    configs = {name: module.config for name, module in model.named_modules() if hasattr(module, "config")}
    delta = PrefixModel(model, prefix_token_num=3, reparameterize=False, modified_modules=PATTERNS[family])
    stir(delta.parameters(), scale=1.0)
    assert len(delta.delta_modules) == len(delta.sizes) == len(delta.hosts)
    with_sdpa = output_of(model, **inputs)
    model.set_attn_implementation("eager")
    torch.testing.assert_close(output_of(model, **inputs), with_sdpa, atol=2e-5, rtol=1e-4)
    model.set_attn_implementation("sdpa")
    rows = rows_of(delta)
    delta.detach()
    with by_definition(model, rows, monkeypatch):
        wanted = output_of(model, **inputs)
    assert (wanted - before).abs().max() > 1e-4
    torch.testing.assert_close(with_sdpa, wanted, atol=2e-5, rtol=1e-4)
    assert torch.equal(output_of(model, **inputs), before)
    assert_same(same_state(model), state)
    assert all(model.get_submodule(name).config is config for name, config in configs.items())


@pytest.mark.parametrize(
    ("family", "changes", "length"),
    [
        ("gemma3", {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}, 11),
        ("mistral", {"sliding_window": 4}, 11),
        ("modernbert", {"local_attention": 4}, 11),
        ("llama", {"num_attention_heads": 4, "num_key_value_heads": 2}, 7),
        ("qwen3", {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 16}, 7),
    ],
)
def test_windows_never_cut_it_and_shared_heads_share_it(
    family: str, changes: dict[str, Any], length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(family, **changes)
    stir(model.parameters(), scale=0.2)
    inputs = batch_for(model, length=length)
    delta = PrefixModel(model, prefix_token_num=3, reparameterize=False, modified_modules=PATTERNS[family])
    found, rows = output_of(model, **inputs), rows_of(delta)
    heads = getattr(model.config, "num_key_value_heads", model.config.num_attention_heads)
    size = getattr(model.config, "head_dim", None) or model.config.hidden_size // model.config.num_attention_heads
    assert {tuple(row.shape) for pair in rows.values() for row in pair} == {(3, heads * size)}
    delta.detach()
    with by_definition(model, rows, monkeypatch):
        torch.testing.assert_close(found, output_of(model, **inputs), atol=2e-5, rtol=1e-4)


GENERATES = ["bart", "gemma3", "gpt2", "gpt_neox", "llama", "mistral", "opt", "t5"]


@pytest.mark.parametrize("family", GENERATES)
def test_generation_with_a_cache_gives_what_it_gives_without(family: str) -> None:
    model = make(family, **({"sliding_window": 5} if family in ("gemma3", "mistral") else {}))
    stir(model.parameters(), scale=0.3)
    delta = PrefixModel(model, prefix_token_num=3, embed_dim=8, mid_dim=8, modified_modules=PATTERNS[family])
    ids = batch_for(model)["input_ids"]
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    common = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    kinds: list[dict[str, Any]] = [{}, {"attention_mask": mask}, {"attention_mask": mask, "num_beams": 3}]
    pairs = [[model.generate(ids, **common, **kind, use_cache=cached) for cached in (True, False)] for kind in kinds]
    pairs.append([model.generate(ids, **common, attention_mask=mask, cache_implementation="static"), pairs[1][1]])
    assert all(torch.equal(cached, uncached) for cached, uncached in pairs)
    delta.detach()
    assert any(not torch.equal(model.generate(ids, **common, attention_mask=mask), found) for found, _ in pairs[1:2])


@pytest.mark.parametrize(("family", "host", "said"), [
    ("deberta-v2", "attention", "DebertaV2ForSequenceClassification computes attention in code of its own"),
    ("mamba", "mixer", "in code of its own"),
    ("plain", "head", "in code of its own"),
    ("bart", "fc2", r"it is no attention module.*Nearest: self_attn, encoder_attn"),
    ("bart", "decoder.layers.0", r"it holds 2.*Nearest: 0\.self_attn, 0\.encoder_attn"),
    ("bert", "encoder.layer.0", "it is no attention module"),
])  # fmt: skip
def test_what_no_prefix_can_sit_on(family: str, host: str, said: str) -> None:
    model = fresh(family)
    before = same_state(model)
    with pytest.raises(DeltaError, match=said):
        PrefixModel(model, modified_modules=[host])
    assert_same(same_state(model), before)
