"""freeze_module: what trains, counted independently of the library."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from deltanb import AdapterModel, BitFitModel
from deltanb._errors import DeltaError
from deltanb.engine import unfreeze
from tests.models import MAKERS, assert_same, bart, bert, learn, make, same_state, total, trainable, trains

BART_BASE = transformers.BartConfig(
    d_model=768,
    encoder_layers=6,
    decoder_layers=6,
    encoder_attention_heads=12,
    decoder_attention_heads=12,
    encoder_ffn_dim=3072,
    decoder_ffn_dim=3072,
)


@pytest.mark.parametrize(
    ("kind", "both", "alone", "every"),
    [("BartModel", 233_616, 230_544, 139_650_960), ("BartForConditionalGeneration", 233_616, 230_544, 139_650_960)],
)
def test_the_published_counts_of_bart_base(kind: str, both: int, alone: int, every: int) -> None:
    with torch.device("meta"):
        model = getattr(transformers, kind)(BART_BASE)
    delta = AdapterModel(backbone_model=model, bottleneck_dim=12, modified_modules=["fc2"])
    delta.freeze_module(exclude=["deltas", "layernorm_embedding"], set_state_dict=True)
    assert (trainable(model), total(model)) == (both, every)
    delta.freeze_module(exclude=["deltas"])
    assert (trainable(model), total(model)) == (alone, every)


def test_the_published_counts_of_a_bart_classifier() -> None:
    with torch.device("meta"):
        model = transformers.BartForSequenceClassification(BART_BASE)
    delta = AdapterModel(backbone_model=model, bottleneck_dim=12, modified_modules=["fc2"])
    delta.freeze_module(exclude=["deltas", "layernorm_embedding"])
    assert trainable(model) == 233_616
    assert total(model) == 140_243_859


def test_the_default_is_the_configs() -> None:
    model = bert()
    delta = AdapterModel(model, modified_modules=["output.dense"], unfrozen_modules=["deltas", "classifier"])
    delta.freeze_module()
    assert trains(model) == {*delta.module_parameters(), "classifier.weight", "classifier.bias"}


def test_a_second_declaration_replaces_the_first() -> None:
    model = bert()
    delta = MAKERS["adapter"](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    delta.freeze_module(exclude=["deltas", "pooler"])
    assert trains(model) == {*delta.module_parameters(), "bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert set(model.state_dict()) == trains(model)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_declaration_twice_is_one(kind: str) -> None:
    model = bert()
    delta = MAKERS[kind](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    learn(delta)
    once, tensors = same_state(model), delta.tensors()
    delta.freeze_module(exclude=["deltas", "classifier"])
    assert_same(same_state(model), once)
    assert delta.tensors().keys() == tensors.keys()
    assert len(delta.declarations) == 1


@pytest.mark.parametrize("kind", MAKERS)
def test_without_the_word_deltas_they_freeze_too(kind: str) -> None:
    model = bert()
    MAKERS[kind](model).freeze_module(exclude=["classifier"])
    assert trains(model) == {"classifier.weight", "classifier.bias"}


def test_nothing_excluded_freezes_all() -> None:
    model = bert()
    MAKERS["adapter"](model).freeze_module(exclude=[])
    assert trains(model) == set()


def test_a_delta_can_be_named() -> None:
    model = bert()
    adapter, lora = MAKERS["adapter"](model), MAKERS["lora"](model)
    adapter.freeze_module(exclude=["lora"])
    assert trains(model) == set(lora.module_parameters())
    adapter.freeze_module(exclude="adapter")
    assert trains(model) == set(adapter.module_parameters())
    adapter.freeze_module(exclude=["deltas"])
    assert trains(model) == {*adapter.module_parameters(), *lora.module_parameters()}


def test_a_delta_that_comes_later_trains() -> None:
    model = bert()
    MAKERS["adapter"](model).freeze_module(exclude=["classifier"])
    lora = MAKERS["lora"](model)
    assert trains(model) == {"classifier.weight", "classifier.bias", *lora.module_parameters()}


def test_biases_of_a_host_are_not_hidden_by_its_adapter() -> None:
    model = bart()
    every = {name for name, _ in model.named_parameters() if name.endswith("bias")}
    delta = AdapterModel(model, modified_modules=["fc2"], bottleneck_dim=3)
    delta.freeze_module(exclude=["bias"])
    assert trains(model) == every
    assert "model.encoder.layers.0.fc2.bias" in every


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        (["layers.0.fc1"], {"fc1.weight", "fc1.bias"}),
        (["layers.0.fc1.bias"], {"fc1.bias"}),
        (["encoder.layers.0.fc1,fc2"], {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}),
        (["[r]encoder.*0.fc1"], {"fc1.weight", "fc1.bias"}),
        (["encoder@.block@.0.ff@.w1@"], {"fc1.weight", "fc1.bias"}),
        ("encoder.layers.0.fc1.weight", {"fc1.weight"}),
    ],
)
def test_exclude_speaks_the_whole_grammar(exclude: Any, expected: set[str]) -> None:
    model = bart()
    AdapterModel(model, modified_modules=["decoder.layers.0.fc2"]).freeze_module(exclude=exclude)
    assert {name for name in trains(model) if "encoder" in name} == {f"model.encoder.layers.0.{name}" for name in expected}


def test_a_scope_leaves_the_rest_alone() -> None:
    model = bert()
    delta = AdapterModel(model, modified_modules=["layer.0.output.dense", "layer.1.output.dense"], bottleneck_dim=3)
    layer = model.bert.encoder.layer[0]
    delta.freeze_module(module=layer, exclude=["output.LayerNorm"])
    inside = {name for name, _ in model.named_parameters() if name.startswith("bert.encoder.layer.0.")}
    norms = {f"bert.encoder.layer.0.{part}output.LayerNorm.{key}" for part in ("", "attention.") for key in ("weight", "bias")}
    assert trains(model) == {name for name, _ in model.named_parameters()} - inside | norms
    assert set(layer.state_dict()) == {name.removeprefix("bert.encoder.layer.0.") for name in norms}
    assert set(model.state_dict()) == set(make("bert").state_dict()) - inside | norms | set(delta.module_parameters()) - inside


def test_a_scope_after_the_whole_keeps_both() -> None:
    model = bert()
    before = same_state(model)
    delta = MAKERS["adapter"](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    delta.freeze_module(module=model.bert.pooler, exclude=["pooler.dense.bias"])
    assert trains(model) == {*delta.module_parameters(), "classifier.weight", "classifier.bias", "bert.pooler.dense.bias"}
    assert set(delta.tensors()) == trains(model)
    learn(delta)
    delta.detach()
    assert_same(same_state(model), before)


def test_a_scope_covers_a_tensor_that_it_shares() -> None:
    model = bart()
    AdapterModel(model, modified_modules=["fc2"]).freeze_module(module=model.model.decoder, exclude=[])
    assert not model.lm_head.weight.requires_grad
    assert model.model.encoder.layers[0].fc1.weight.requires_grad


def test_unfreeze_brings_the_flags_back() -> None:
    model = bert()
    model.bert.pooler.requires_grad_(requires_grad=False)
    before = trains(model)
    delta = MAKERS["lora"](model)
    delta.freeze_module()
    unfreeze(model)
    assert trains(model) == before | set(delta.module_parameters())


@pytest.mark.parametrize(
    "exclude", [["deltas", "nope"], ["nope"], [""], ["deltas", "fc2"], ["[r](x"], [3], ["query.wight"], ["other_delta"]]
)
def test_a_pattern_that_hits_nothing_changes_nothing(exclude: list[Any]) -> None:
    model = bert()
    delta = MAKERS["adapter"](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    before, owned = same_state(model), set(delta.tensors())
    with pytest.raises(DeltaError):
        delta.freeze_module(exclude=exclude)
    assert_same(same_state(model), before)
    assert set(delta.tensors()) == owned


def test_a_detached_delta_declares_nothing() -> None:
    delta = MAKERS["adapter"](bert())
    with pytest.raises(DeltaError, match="detached"):
        delta.detach().freeze_module()
    with pytest.raises(DeltaError, match="no part of the backbone"):
        delta.attach().freeze_module(module=nn.Linear(1, 1))


def test_a_head_that_shares_its_tensor_is_said_to_train_elsewhere_too() -> None:
    model = bart()
    delta = AdapterModel(model, modified_modules=["fc2"])
    with pytest.warns(UserWarning, match=r"lm_head\.weight is one tensor with model\.shared\.weight"):
        delta.freeze_module(exclude=["deltas", "lm_head"])


def test_bitfit_leaves_out_what_is_excluded_below_a_host(recwarn: pytest.WarningsRecorder) -> None:
    delta = BitFitModel(bart(), modified_modules=["self_attn"], exclude_modules=["q_proj", "k_proj"])
    assert {name.split(".")[-2] for name in delta.core_names()} == {"v_proj", "out_proj"}
    assert not recwarn.list
