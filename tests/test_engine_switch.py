"""Switching: exactly these deltas, or none for a while; everything is back after, whatever happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from deltanb import AdapterModel, BitFitModel, LoraModel, deltas, freeze, unfreeze, use, without_deltas
from deltanb._errors import DeltaError
from tests.models import MAKERS, assert_same, batch_for, bert, learn, make, output_of, same_state, three

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    yield
    torch.compiler.reset()


def test_inside_the_backbone_is_its_own_and_after_all_is_back() -> None:
    model = bert()
    before, outputs = same_state(model), output_of(model)
    found = three(model)
    full, changed = same_state(model), output_of(model)
    with without_deltas(model):
        assert_same(same_state(model), before)
        assert torch.equal(output_of(model), outputs)
        with without_deltas(model):
            assert torch.equal(output_of(model), outputs)
        assert not deltas(model)
    assert_same(same_state(model), full)
    assert torch.equal(output_of(model), changed)
    assert deltas(model) == found
    assert list(deltas(model)) == list(MAKERS)


def test_after_an_error_all_is_back_too() -> None:
    model = bert()
    three(model)
    full = same_state(model)
    with pytest.raises(ZeroDivisionError), without_deltas(model):
        _ = 1 / 0
    assert_same(same_state(model), full)


def test_what_is_changed_inside_does_not_stay() -> None:
    model = bert()
    found = three(model)
    full, order = same_state(model), list(deltas(model))
    with without_deltas(model):
        unfreeze(model)
        own = AdapterModel(model, modified_modules=["query"], name="adapter", bottleneck_dim=2)
        own.freeze_module(exclude=["deltas", "classifier"])  # the first one's name, and its head
        learn(own)
    assert_same(same_state(model), full)
    assert not own.attached
    assert all(delta.attached for delta in found.values())
    with without_deltas(model):
        found["lora"].attach()
    assert list(deltas(model)) == order
    assert_same(same_state(model), full)


def test_a_freeze_on_nobodys_account_holds_inside_too() -> None:
    model = bert()
    freeze(model, "pooler")
    LoraModel(model, modified_modules=["query"]).freeze_module(exclude=["deltas", "classifier"])
    with without_deltas(model):
        assert {name for name, p in model.named_parameters() if p.requires_grad} == {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}


def test_an_optimizer_and_its_gradients_go_on() -> None:
    model = make("t5")
    delta = BitFitModel(model, modified_modules=["SelfAttention.q", "DenseReluDense"])
    adapter = AdapterModel(model, modified_modules=["DenseReluDense.wo"], bottleneck_dim=2)
    adapter.freeze_module(exclude=["deltas", "final_layer_norm"])
    training = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(training, lr=0.1)
    model(**batch_for(model))[0].square().mean().backward()
    grads = [p.grad for p in training]
    with without_deltas(model):
        output_of(model)
    now = [p for p in model.parameters() if p.requires_grad]
    assert all(one is other for one, other in zip(now, training, strict=True))
    assert all(p.grad is grad for p, grad in zip(training, grads, strict=True))
    before = {name: tensor.clone() for name, tensor in delta.tensors().items()}
    optimizer.step()
    assert any(not torch.equal(before[name], tensor) for name, tensor in delta.tensors().items())


def test_a_compiled_model_sees_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4))
    value = torch.randn(2, 4)
    plain = model(value)
    learn(AdapterModel(model, modified_modules=["0"], bottleneck_dim=2))
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    changed = compiled(value)
    with without_deltas(compiled):
        assert torch.equal(compiled(value), plain)
    assert torch.equal(compiled(value), changed)


def test_use_switches_and_says_what_went() -> None:
    model = bert()
    before = same_state(model)
    found = three(model)
    full = same_state(model)
    adapter, lora, bitfit = found.values()
    assert use(model, "lora") == [adapter, bitfit]
    assert deltas(model) == {"lora": lora}
    state = same_state(model)
    assert use(model, "lora") == []
    assert_same(same_state(model), state)
    assert use(model) == [lora]
    assert_same(same_state(model), before)
    assert use(model, bitfit, adapter, lora, lora) == []
    assert_same(same_state(model), full)


@pytest.mark.parametrize("wrong", ["name", "other", "owner"])
def test_a_use_that_fails_changes_nothing(wrong: str) -> None:
    model = bert()
    found = three(model)
    found["bitfit"].detach()
    rival = AdapterModel(model, modified_modules=["query"], name="rival", bottleneck_dim=2).detach()
    with without_deltas(model):
        rival.attach().freeze_module(exclude=["deltas", "pooler"])
    other = LoraModel(bert(), modified_modules=["query"])
    full, order = same_state(model), list(deltas(model))
    wanted = {"name": ["adapter", "loar"], "other": [found["adapter"], other], "owner": [found["bitfit"], rival, found["lora"]]}[wrong]
    with pytest.raises(DeltaError, match={"name": "lora", "other": "another model", "owner": "pooler"}[wrong]):
        use(model, *wanted)
    assert_same(same_state(model), full)
    assert list(deltas(model)) == order


def test_a_parallel_wrapper_is_seen_through_but_takes_no_delta() -> None:
    model = bert()
    plain = output_of(model)
    delta = LoraModel(model, modified_modules=["query"])
    learn(delta)
    wrapped = nn.DataParallel(model)
    assert deltas(wrapped) == {"lora": delta}
    with without_deltas(wrapped):
        assert torch.equal(output_of(wrapped, **batch_for(model)), plain)
    with pytest.raises(DeltaError, match="DataParallel"):
        AdapterModel(wrapped, modified_modules=["query"])
