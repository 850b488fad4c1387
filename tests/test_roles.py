"""Roles: one name for the same module in every family, wrapped in any head."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

from deltanb import match
from deltanb._errors import DeltaError
from deltanb.roles import family_of, known_families, role_names
from deltanb.structure import module_names
from tests.models import make

# Family: what stands for query, value, attention output, and the second feed-forward layer.
PARTS = {
    "bart": ("q_proj", "v_proj", "out_proj", "fc2"),
    "bert": ("query", "value", "attention.output.dense", "output.dense"),
    "distilbert": ("q_lin", "v_lin", "out_lin", "lin2"),
    "gpt2": ("c_attn", "c_attn", "attn.c_proj", "mlp.c_proj"),
    "llama": ("q_proj", "v_proj", "o_proj", "down_proj"),
    "roberta": ("query", "value", "attention.output.dense", "output.dense"),
    "t5": ("SelfAttention.q", "SelfAttention.v", "SelfAttention.o", "DenseReluDense.wo"),
}
WITH_ROLES = sorted(PARTS)


@pytest.mark.parametrize("family", WITH_ROLES)
def test_roles_are_the_familys_own_names(family: str) -> None:
    model = make(family)
    for role, own in zip(("attn@.q@", "attn@.v@", "attn@.proj@", "ff@.w2@"), PARTS[family], strict=True):
        exclude = "encoder_attn" if family == "bart" and own != "fc2" else None
        expected = match(model, own, exclude).names
        if own == "output.dense":
            expected = [name for name in expected if "attention" not in name]
        assert match(model, role).names == expected


@pytest.mark.parametrize("family", WITH_ROLES)
def test_every_block_has_attention_and_feed_forward(family: str) -> None:
    model = make(family)
    for layer in (0, 1):
        found = match(model, [f"block@.{layer}.attn@.q@", f"block@.{layer}.ff@.w1@", f"block@.{layer}.ff@.w2@"])
        assert all(count in (1, 2) for count in found.per_pattern.values())  # two in an encoder-decoder
        assert all(f".{layer}." in name for name in found)


@pytest.mark.parametrize("family", known_families())
def test_every_known_family_is_a_real_one(family: str) -> None:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(family))
    assert family_of(model) == family
    assert match(model, ["attn@.q@", "attn@.proj@", "ff@.w1@", "ff@.w2@", "layer_norm@"]).names


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
    ],
)
def test_the_role_of_one_module(family: str, name: str, role: str) -> None:
    assert role_names([name], family) == {name: role}


@pytest.mark.parametrize(
    "name", ["bert.pooler", "bert.pooler.dense", "classifier", "bert", "encoder.layer.x", "encoder.layer.1.output.dense.lora"]
)
def test_what_has_no_role(name: str) -> None:
    assert role_names([name], "bert") == {}


def test_numbers_are_kept_and_roles_name_what_is_there() -> None:
    for family in WITH_ROLES:
        names = module_names(make(family))
        roles = role_names(names, family)
        assert set(roles) <= set(names)
        assert not any("$" in role for role in roles.values())
        for name, role in roles.items():
            numbers = [part for part in role.split(".") if part.isdigit()]
            assert numbers == [part for part in name.split(".") if part.isdigit()][: len(numbers)]


def test_an_unknown_family_says_which_are_known() -> None:
    for model in (make("vit"), nn.Sequential(nn.Linear(1, 1))):
        assert family_of(model) is None
        with pytest.raises(DeltaError, match=r"bart, bert, .*, t5"):
            match(model, "attn@.q@")
