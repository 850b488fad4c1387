"""What a delta owns: exactly its tensors, never another's; an attach that fails changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import AdapterModel, AutoDeltaModel, BitFitModel, LoraConfig, LoraModel, deltas
from deltanb._errors import DeltaError
from deltanb.engine import apply_declarations, restore_declarations, snapshot_ownership, unfreeze
from tests.models import MAKERS, assert_same, bart, bert, learn, make, output_of, same_state, stir, three

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def test_two_deltas_that_want_one_head_are_told_apart() -> None:
    model = bert()
    first = MAKERS["adapter"](model)
    first.freeze_module(exclude=["deltas", "classifier"])
    second = MAKERS["lora"](model)
    before = same_state(model)
    with pytest.raises(DeltaError) as caught:
        second.freeze_module(exclude=["deltas", "classifier"])
    assert all(word in str(caught.value) for word in ("'adapter'", "'lora'", "classifier", "%delta detach adapter"))
    assert_same(same_state(model), before)
    first.detach()
    second.freeze_module(exclude=["deltas", "classifier"])
    before = same_state(model)
    with pytest.raises(DeltaError, match="'lora'"):
        first.attach()
    assert not first.attached
    assert_same(same_state(model), before)


def test_bitfit_and_a_declared_bias_exclude_each_other() -> None:
    model = bert()
    MAKERS["adapter"](model).freeze_module(exclude=["deltas", "query"])
    before = same_state(model)
    with pytest.raises(DeltaError, match="'adapter'"):
        MAKERS["bitfit"](model)
    assert_same(same_state(model), before)
    model = make("t5")
    BitFitModel(model, modified_modules=["SelfAttention.q"])
    adapter = AdapterModel(model, modified_modules=["DenseReluDense.wo"])
    with pytest.raises(DeltaError, match="'bitfit'"):
        adapter.freeze_module(exclude=["deltas", "q.bias"])


@pytest.mark.parametrize("attached", [True, False])
def test_tensors_are_exactly_what_is_owned(attached: bool) -> None:  # noqa: FBT001
    model = bert()
    found = three(model)
    names = {name for name, _ in model.named_parameters()}
    adapter = {name for name in names if ".adapter." in name} | {"classifier.weight", "classifier.bias"}
    lora = {name for name in names if ".lora." in name} | {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    biases = {
        name for name in names if ("attention" in name or "intermediate" in name) and name.endswith("bias") and ".adapter." not in name
    }
    norm = {f"bert.embeddings.LayerNorm.{key}" for key in ("weight", "bias")}
    values = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for name, expected in {"adapter": adapter, "lora": lora, "bitfit": biases | norm}.items():
        if not attached:
            found[name].detach()
        tensors = found[name].tensors()
        assert set(tensors) == expected
        assert all(torch.equal(tensor, values[key]) for key, tensor in tensors.items())


def test_what_is_owned_stays_owned_when_it_freezes_after_training() -> None:
    model = bert()
    original = model.classifier.weight.detach().clone()
    delta = MAKERS["adapter"](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    learn(delta)
    delta.freeze_module(exclude=["deltas"])
    assert "classifier.weight" in delta.tensors()
    delta.detach()
    assert torch.equal(model.classifier.weight, original)


def test_what_was_never_changed_is_let_go() -> None:
    model = bert()
    delta = MAKERS["adapter"](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    delta.freeze_module(exclude=["deltas"])
    assert "classifier.weight" not in delta.tensors()
    MAKERS["lora"](model).freeze_module(exclude=["deltas", "classifier"])


@pytest.mark.parametrize(
    "attempt",
    [
        lambda model: LoraModel(model, modified_modules=["fc1", "final_layer_norm"]),
        lambda model: LoraModel(model, modified_modules=["fc1", "fc9"]),
        lambda model: AdapterModel(model, modified_modules=["fc2", "layers"]),
        lambda model: AdapterModel(model, modified_modules=["fc2"], bottleneck_dim=0),
        lambda model: AdapterModel(model, modified_modules=["fc2"], name="weight"),
        lambda model: AdapterModel(model, modified_modules=["fc2"], bottleneck=3),
        lambda model: LoraModel(model, modified_modules=["fc1", "activation_fn"]),
        BitFitModel,
        lambda model: BitFitModel(model, modified_modules=["fc2"], exclude_modules=["fc2"]),
    ],
)
def test_an_attach_that_fails_leaves_the_model_as_it_was(attempt: Callable[[nn.Module], Any]) -> None:
    model = bart()
    first = BitFitModel(model, modified_modules=["fc1"], name="mine")
    first.freeze_module(exclude=["deltas", "layernorm_embedding"])
    before, outputs = same_state(model), output_of(model)
    with pytest.raises(DeltaError):
        attempt(model)
    assert_same(same_state(model), before)
    assert torch.equal(output_of(model), outputs)
    assert list(deltas(model)) == ["mine"]


def test_unfreeze_keeps_ownership() -> None:
    model = bert()
    before = same_state(model)
    found = three(model)
    unfreeze(model)
    assert all(parameter.requires_grad for parameter in model.parameters())
    for delta in found.values():
        delta.detach()
    assert_same(same_state(model), before)


def test_what_changed_hands_since_goes_back_to_its_first_owner() -> None:
    model = bert()
    before = same_state(model)
    first, second = MAKERS["adapter"](model), MAKERS["lora"](model)
    first.freeze_module(exclude=["deltas", "classifier"])
    moment, state = snapshot_ownership(model), same_state(model)
    first.freeze_module(exclude=["deltas"])
    second.freeze_module(exclude=["deltas", "classifier"])
    learn(second)
    first.freeze_module(exclude=["deltas", "pooler"])
    learn(first)
    values = {name: tensor.clone() for name, tensor in model.named_parameters() if ".adapter." in name or ".lora." in name}
    restore_declarations(model, *moment)
    apply_declarations(model)
    assert {"classifier.weight", "classifier.bias"} <= first.owned.keys()
    assert not second.owned
    assert_same(same_state(model), (*state[:3], {**state[3], **values}))
    first.detach()
    second.detach()
    assert_same(same_state(model), before)


def test_what_a_delta_created_is_found_after_the_backbone_got_new_parameters() -> None:
    model = make("t5")
    delta = BitFitModel(model, modified_modules=["SelfAttention.q", "DenseReluDense"])
    loaded = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    model.load_state_dict(loaded, assign=True)
    assert delta.created
    for name, parameter in delta.named_parameters():
        assert parameter is model.get_parameter(name)
        assert torch.equal(delta.tensors()[name], loaded[name])
    delta.detach()
    assert all(torch.equal(value, loaded[name]) for name, value in delta.tensors().items())
    assert not set(model.state_dict()) & set(delta.created)


@pytest.mark.parametrize("kind", ["bitfit", "adapter"])
def test_a_skeleton_that_gets_weights_while_a_delta_is_on_it(kind: str) -> None:
    weights = bert().state_dict()
    model = make("bert", device="meta")
    delta = MAKERS[kind](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    model.to_empty(device="cpu")
    unfreeze(model)
    model.load_state_dict(weights, strict=False)
    with torch.no_grad():
        for parameter in delta.module_parameters().values():
            parameter.zero_()
    with pytest.warns(UserWarning, match="no original to put back"):
        delta.detach()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    delta.attach()
    assert all(tensor.device.type == "cpu" for tensor in delta.tensors().values())


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_a_delta_without_weights_is_refused_by_a_backbone_with_some(family: str) -> None:
    model = make(family, device="meta")
    kind = {"bert": AdapterModel, "t5": BitFitModel}[family]
    delta = kind(model, modified_modules=["attention.output.dense", "SelfAttention.q"][family == "t5"])
    delta.detach()
    model.to_empty(device="cpu")
    before = same_state(model)
    with pytest.raises(DeltaError, match="made on a skeleton"):
        delta.attach()
    assert not delta.attached
    assert same_state(model)[:3] == before[:3]


@pytest.mark.parametrize(
    "build",
    [
        LoraModel.from_config,
        AutoDeltaModel.from_config,
        lambda config, model: LoraModel(model, **config.options(), modified_modules=config.modified_modules),
    ],
)
def test_a_warning_points_at_the_callers_line(build: Callable[..., Any]) -> None:
    model = bert()
    config = LoraConfig(modified_modules=["query"])
    build(config, model)
    with pytest.warns(UserWarning, match="lora_1") as said:
        build(config, model)
    assert said[0].filename == __file__


def test_a_tensor_that_was_let_go_and_changed_since_is_swapped_back() -> None:
    model = bert()
    delta = MAKERS["adapter"](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    moment, own = snapshot_ownership(model), model.classifier.weight.detach().clone()
    delta.freeze_module(exclude=["deltas"])
    stir([model.classifier.weight])
    since = model.classifier.weight.detach().clone()
    restore_declarations(model, *moment)
    assert torch.equal(model.classifier.weight, own)
    assert torch.equal(delta.tensors()["classifier.weight"], own)
    delta.detach()
    assert torch.equal(model.classifier.weight, since)
