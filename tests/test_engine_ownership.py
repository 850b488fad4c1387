"""Who owns which tensor: detach and attach are exact inverses, in any order, any number of times."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from deltanb import AdapterModel, deltas
from tests.models import MAKERS, assert_same, bert, learn, output_of, same_state, stir, three, trainable

HEAD = ["deltas", "classifier", "pooler.dense.bias", "embeddings.LayerNorm"]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("exclude", [None, ["deltas"], HEAD], ids=["no-freeze", "frozen", "head"])
def test_after_detach_everything_is_as_before(kind: str, exclude: list[str] | None) -> None:
    model = bert()
    before, outputs = same_state(model), output_of(model)
    delta = MAKERS[kind](model)
    if exclude:
        delta.freeze_module(exclude=exclude)
    learn(delta)
    changed = output_of(model)
    assert not torch.equal(changed, outputs)
    delta.detach()
    assert_same(same_state(model), before)
    assert torch.equal(output_of(model), outputs)
    delta.attach()
    assert torch.equal(output_of(model), changed)
    delta.detach().detach()
    assert_same(same_state(model), before)


@pytest.mark.parametrize("kind", MAKERS)
def test_attach_again_brings_back_flags_values_and_filter(kind: str) -> None:
    model = bert()
    delta = MAKERS[kind](model)
    delta.freeze_module(exclude=HEAD)
    learn(delta)
    attached = same_state(model)
    delta.detach()
    assert delta.attach() is delta
    assert_same(same_state(model), attached)
    assert set(model.state_dict()) == {name for name, p in model.named_parameters() if p.requires_grad}


def test_flags_that_the_user_set_come_back() -> None:
    model = bert()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("layer.0" in name)
    before = same_state(model)
    for make_one in MAKERS.values():
        delta = make_one(model)
        delta.freeze_module(exclude=["deltas", "classifier"])
        delta.detach()
        assert_same(same_state(model), before)


def test_flags_changed_while_detached_are_kept() -> None:
    model = bert()
    delta = MAKERS["bitfit"](model)
    delta.detach()
    model.requires_grad_(requires_grad=False)
    before = same_state(model)
    delta.attach()
    assert trainable(model) > 0
    delta.detach()
    assert_same(same_state(model), before)


def test_biases_taken_from_a_frozen_backbone_are_not_left_frozen() -> None:
    """The second delta comes while the first one's declaration holds, and stays longer."""
    model = bert()
    before = same_state(model)
    lora = MAKERS["lora"](model)
    lora.freeze_module()
    bitfit = MAKERS["bitfit"](model)
    lora.detach()
    bitfit.detach()
    assert_same(same_state(model), before)


@pytest.mark.parametrize("order", list(permutations(MAKERS)), ids="-".join)
def test_any_order_of_detach_leads_back(order: tuple[str, ...]) -> None:
    model = bert()
    before, outputs = same_state(model), output_of(model)
    found = three(model)
    full, changed = same_state(model), output_of(model)
    for name in order:
        found[name].detach()
    assert_same(same_state(model), before)
    assert torch.equal(output_of(model), outputs)
    for name in reversed(order):
        found[name].attach()
    for name in order:
        found[name].detach().attach()
    assert torch.equal(output_of(model), changed)
    assert_same(same_state(model), full)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(MAKERS)), max_size=8))
def test_which_deltas_are_attached_decides_not_how_they_came(toggles: list[str]) -> None:
    model = bert()
    before = same_state(model)
    found = three(model)
    for name in toggles:
        found[name].detach() if found[name].attached else found[name].attach()
    attached = [name for name, delta in found.items() if delta.attached]
    outputs, state = output_of(model), same_state(model)
    for delta in found.values():
        delta.detach()
    assert_same(same_state(model), before)
    for name in attached:
        found[name].attach()
    assert_same(same_state(model), state)
    assert torch.equal(output_of(model), outputs)


def test_several_deltas_on_one_host_run_oldest_first() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4))
    some = [AdapterModel(model, modified_modules="0", bottleneck_dim=2, name=name, non_linearity="tanh") for name in ("one", "two")]
    stir([p for delta in some for p in delta.parameters()])
    value = torch.randn(3, 4)
    expected = some[1].modules["0"](some[0].modules["0"](nn.functional.linear(value, model[0].weight, model[0].bias)))
    assert torch.equal(model(value), expected)
    some[0].detach().attach()
    assert torch.equal(model(value), expected)
    assert list(model[0]._modules) == ["one", "two"]
    assert list(deltas(model)) == ["two", "one"]
