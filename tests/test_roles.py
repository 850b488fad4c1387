"""Roles: one name for the same module in every family, wrapped in any head."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

from deltanb import match
from deltanb._errors import DeltaError
from deltanb.roles import family_of, known_families, role_names, roles_of
from deltanb.structure import module_names
from tests.models import make

# Family: what stands for query, value, attention output, and the second feed-forward layer.
PARTS = {
    "albert": ("query", "value", "attention.dense", "ffn_output"),
    "bart": ("q_proj", "v_proj", "out_proj", "fc2"),
    "bert": ("query", "value", "attention.output.dense", "output.dense"),
    "clip": ("q_proj", "v_proj", "out_proj", "fc2"),
    "deberta-v2": ("query_proj", "value_proj", "attention.output.dense", "output.dense"),
    "distilbert": ("q_lin", "v_lin", "out_lin", "lin2"),
    "electra": ("query", "value", "attention.output.dense", "encoder.layer.$.output.dense"),
    "gemma3": ("q_proj", "v_proj", "o_proj", "down_proj"),
    "gpt2": ("c_attn", "c_attn", "attn.c_proj", "mlp.c_proj"),
    "gpt_neox": ("query_key_value", "query_key_value", "attention.dense", "dense_4h_to_h"),
    "llama": ("q_proj", "v_proj", "o_proj", "down_proj"),
    "mistral": ("q_proj", "v_proj", "o_proj", "down_proj"),
    "modernbert": ("Wqkv", "Wqkv", "attn.Wo", "mlp.Wo"),
    "mt5": ("SelfAttention.q", "SelfAttention.v", "SelfAttention.o", "DenseReluDense.wo"),
    "opt": ("q_proj", "v_proj", "out_proj", "fc2"),
    "pegasus": ("q_proj", "v_proj", "out_proj", "fc2"),
    "qwen3": ("q_proj", "v_proj", "o_proj", "down_proj"),
    "roberta": ("query", "value", "attention.output.dense", "encoder.layer.$.output.dense"),
    "t5": ("SelfAttention.q", "SelfAttention.v", "SelfAttention.o", "DenseReluDense.wo"),
    "t5-gated": ("SelfAttention.q", "SelfAttention.v", "SelfAttention.o", "DenseReluDense.wo"),
    "vit": ("q_proj", "v_proj", "o_proj", "fc2"),
    "wav2vec2": ("q_proj", "v_proj", "attention.out_proj", "output_dense"),
    "whisper": ("q_proj", "v_proj", "out_proj", "fc2"),
}
WITH_ROLES = sorted(PARTS)
# Roles that a family lacks: it has no such module.
LACKING = {
    **dict.fromkeys(("mamba", "mamba2"), ("attn@.q@", "attn@.v@", "attn@.proj@", "ff@.w1@", "ff@.w2@")),
    **dict.fromkeys(("mixtral", "qwen3_moe"), ("ff@.w1@", "ff@.w2@")),
}
NO_AUTO = {"siglip_text_model": transformers.SiglipTextModel}


@pytest.mark.parametrize("family", WITH_ROLES)
def test_roles_are_the_familys_own_names(family: str) -> None:
    model = make(family)
    for role, own in zip(("attn@.q@", "attn@.v@", "attn@.proj@", "ff@.w2@"), PARTS[family], strict=True):
        exclude = "encoder_attn" if family in ("bart", "pegasus", "whisper") and own != "fc2" else None
        expected = match(model, own, exclude).names
        if own == "output.dense":
            expected = [name for name in expected if "attention" not in name]
        assert match(model, role).names == expected


@pytest.mark.parametrize("family", sorted(set(WITH_ROLES) - {"albert"}))
def test_every_block_has_attention_and_feed_forward(family: str) -> None:
    model = make(family)
    for layer in (0, 1):
        found = match(model, [f"block@.{layer}.attn@.q@", f"block@.{layer}.ff@.w1@", f"block@.{layer}.ff@.w2@"])
        assert all(count in (1, 2) for count in found.per_pattern.values())  # two where there are two stacks
        assert all(f".{layer}." in name for name in found)


def test_alberts_one_layer_has_its_roles_once() -> None:
    found = match(make("albert"), ["block@.0.attn@.q@", "block@.$.ff@.w1@", "ff@.w2@"])
    layer = "albert.encoder.albert_layer_groups.0.albert_layers.0"
    assert found.names == [f"{layer}.attention.query", f"{layer}.ffn", f"{layer}.ffn_output"]


@pytest.mark.parametrize("family", known_families())
def test_every_known_family_is_a_real_one(family: str) -> None:
    config = transformers.AutoConfig.for_model(family)
    with torch.device("meta"):
        model = NO_AUTO[family](config) if family in NO_AUTO else transformers.AutoModel.from_config(config)
    assert family_of(model) == family
    lacking = LACKING.get(family, ())
    for role in ("attn@.q@", "attn@.v@", "attn@.proj@", "ff@.w1@", "ff@.w2@", "layer_norm@"):
        if role not in lacking:
            assert match(model, role).names
            continue
        with pytest.raises(DeltaError, match="matches none"):
            match(model, role)


@pytest.mark.parametrize("kind", ["BertModel", "BertForSequenceClassification", "BertForMaskedLM", "BertForQuestionAnswering"])
def test_the_head_does_not_matter(kind: str) -> None:
    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, vocab_size=30)
    model = getattr(transformers, kind)(config)
    found = match(model, "ff@.w2@").names
    assert [name.removeprefix("bert.") for name in found] == ["encoder.layer.0.output.dense", "encoder.layer.1.output.dense"]


@pytest.mark.parametrize(
    ("family", "name", "role"),
    [
        ("bert", "bert.encoder.layer.11.attention.self.key", "encoder@.block@.11.attn@.k@"),
        ("bert", "encoder.layer.3.output", "encoder@.block@.3.ff@"),
        ("t5", "decoder.block.2.layer.1.EncDecAttention.q", "decoder@.block@.2.crossattn@.q@"),
        ("t5", "encoder.block.2.layer.1.DenseReluDense.wi_0", "encoder@.block@.2.ff@.w1@"),
        ("t5", "lm_head", "lm_head@.proj@"),
        ("gpt2", "transformer.h.10.ln_2", "decoder@.block@.10.ff@.layer_norm@"),
        ("bart", "model.decoder.layers.4.encoder_attn_layer_norm", "decoder@.block@.4.crossattn@.layer_norm@"),
        ("albert", "albert.encoder.albert_layer_groups.2.albert_layers.0.ffn", "encoder@.block@.2.ff@.w1@"),
        ("clip", "text_model.encoder.layers.7.self_attn.v_proj", "text@.encoder@.block@.7.attn@.v@"),
        ("clip", "vision_model.encoder.layers.7.mlp", "vision@.encoder@.block@.7.ff@"),
        ("gemma3", "model.language_model.layers.3.mlp.up_proj", "text@.decoder@.block@.3.ff@.w3@"),
        ("gemma3", "model.vision_tower.encoder.layers.3.mlp.fc1", "vision@.encoder@.block@.3.ff@.w1@"),
        ("mixtral", "model.layers.3.mlp.gate", "decoder@.block@.3.router@"),
        ("mixtral", "model.layers.3.mlp", "decoder@.block@.3.ff@"),
        ("qwen2_moe", "model.layers.3.mlp.shared_expert.down_proj", "decoder@.block@.3.ff@.w2@"),
        ("mamba", "backbone.layers.3.mixer.in_proj", "decoder@.block@.3.mixer@.in@"),
        ("phi3", "model.layers.3.mlp.gate_up_proj", "decoder@.block@.3.ff@.w1,w3@"),
        ("gpt_neox", "embed_out", "lm_head@.proj@"),
    ],
)
def test_the_role_of_one_module(family: str, name: str, role: str) -> None:
    assert role_names([name], family) == {name: role}


@pytest.mark.parametrize("name", ["model.layers.0.mlp.experts", "model.layers.0.mlp.experts.act_fn"])
def test_the_experts_have_no_role(name: str) -> None:
    assert role_names([name], "mixtral") == {}


@pytest.mark.parametrize(
    "name", ["bert.pooler", "bert.pooler.dense", "classifier", "bert", "encoder.layer.x", "encoder.layer.1.output.dense.lora"]
)
def test_what_has_no_role(name: str) -> None:
    assert role_names([name], "bert") == {}


def test_numbers_are_kept_and_roles_name_what_is_there() -> None:
    for family in WITH_ROLES:
        names, roles = module_names(make(family)), roles_of(make(family))
        assert roles
        assert set(roles) <= set(names)
        assert not any("$" in role for role in roles.values())
        for name, role in roles.items():
            numbers = [part for part in role.split(".") if part.isdigit()]
            assert numbers == [part for part in name.split(".") if part.isdigit()][: len(numbers)]


@pytest.mark.parametrize("model", [nn.Sequential(nn.Linear(1, 1)), transformers.SegformerModel(transformers.SegformerConfig())])
def test_an_unknown_family_says_which_are_known(model: nn.Module) -> None:
    assert family_of(model) is None
    assert roles_of(model) is None
    with pytest.raises(DeltaError, match=r"bart, bert, .*, t5"):
        match(model, "attn@.q@")


class Scorer(nn.Module):
    """A module of one's own around a known transformer; it has no config."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.score = make("bert").bert, nn.Linear(16, 1)


def test_a_known_transformer_is_found_inside_another_model() -> None:
    assert match(Scorer(), "block@.1.attn@.q@").names == ["encoder.encoder.layer.1.attention.self.query"]
    assert match(nn.Sequential(Scorer(), nn.Linear(1, 1)), "block@.1.attn@.q@").names == ["0.encoder.encoder.layer.1.attention.self.query"]


def test_two_known_transformers_inside_one_model() -> None:
    pair = transformers.VisionEncoderDecoderModel(encoder=make("vit").vit, decoder=make("gpt2", add_cross_attention=True))
    assert family_of(pair) is None
    found = match(pair, "block@.1.attn@.q@").names
    assert found == ["encoder.layers.1.attention.q_proj", "decoder.transformer.h.1.attn.c_attn"]


def test_each_tower_can_be_named() -> None:
    both = match(make("clip"), "attn@.q@")
    text = match(make("clip"), "attn@.q@", exclude="vision@")
    assert len(both) == 4
    assert [name for name in both if name.startswith("text_model")] == text.names
