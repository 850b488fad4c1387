"""A model with deltas is an ordinary torch model: copies, pickles, compilers, checkpointing, dtypes."""

from __future__ import annotations

import copy
import io
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from deltanb import AdapterModel, BitFitModel, LoraModel, deltas
from deltanb.engine import unfreeze
from tests.models import MAKERS, assert_same, bart, batch_for, bert, learn, make, output_of, same_state, stir, three

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    yield
    torch.compiler.reset()


def through_pickle(model: nn.Module) -> Any:
    return pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes


def through_torch(model: nn.Module) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("again", [copy.deepcopy, through_pickle, through_torch])
def test_a_copy_is_equal_and_independent(again: Any) -> None:
    model = bert()
    before = same_state(model)
    found = three(model)
    outputs, state = output_of(model), same_state(model)
    twin = again(model)
    assert torch.equal(output_of(twin), outputs)
    assert_same(same_state(twin), state)
    assert list(deltas(twin)) == list(MAKERS)
    for delta in deltas(twin).values():
        assert delta.backbone_model is twin
        stir([parameter for parameter in delta.parameters() if parameter.requires_grad])
    assert torch.equal(output_of(model), outputs)
    for name in ("lora", "adapter", "bitfit"):
        deltas(twin)[name].detach()
    assert_same(same_state(twin), before)
    assert_same(same_state(model), state)
    assert all(delta.attached for delta in found.values())


def test_a_copy_with_a_detached_delta_is_whole() -> None:
    model = bert()
    delta = MAKERS["bitfit"](model)
    learn(delta)
    changed = output_of(model)
    delta.detach()
    twin = copy.deepcopy(delta)
    assert twin.backbone_model is not model
    assert torch.equal(output_of(twin.attach().backbone_model), changed)
    assert not delta.attached


def test_compiled_gives_equal_results() -> None:
    model = bert(num_hidden_layers=1)
    three(model)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    inputs = batch_for(model)
    assert torch.equal(output_of(compiled, **inputs), output_of(model, **inputs))


class Two(nn.Module):
    """The smallest model with a bias and without one: compiling a transformer takes seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(value).relu())  # type: ignore[no-any-return]


TYPES = {"adapter": AdapterModel, "lora": LoraModel, "bitfit": BitFitModel}


@pytest.mark.parametrize("in_place", [False, True], ids=["wrapped", "in-place"])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_model_that_is_already_compiled_sees_what_comes_and_goes(kind: str, in_place: bool) -> None:  # noqa: FBT001
    torch.manual_seed(0)
    model: Any = Two()
    value = torch.randn(3, 4)
    plain = model(value)
    if in_place:
        model.compile(backend="eager", fullgraph=True)
    compiled = model if in_place else torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(value), plain)
    delta = TYPES[kind](compiled, modified_modules=["first", "second"])
    assert delta.backbone_model is model
    assert deltas(compiled) == {kind: delta}
    learn(delta)
    changed = model.forward(value)
    assert not torch.equal(changed, plain)
    for _ in range(2):  # no flag changes here, and flags are all that a compiled graph watches by itself
        assert torch.equal(compiled(value), changed)
        delta.detach()
        assert torch.equal(compiled(value), plain)
        delta.attach()
    delta.freeze_module()
    assert torch.equal(compiled(value), changed)
    unfreeze(compiled)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_sizes_are_found_although_the_model_compiles_itself() -> None:
    model = bert(num_hidden_layers=1)
    model.compile(backend="eager")
    delta = AdapterModel(model, modified_modules=["attention"], bottleneck_dim=3)
    assert {layer.modulelist.up_proj.out_features for layer in delta.delta_modules} == {16}


def gradients(model: Any) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(**batch_for(model))[0].float().square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("kind", MAKERS)
def test_gradient_checkpointing_gives_equal_gradients(kind: str, reentrant: bool) -> None:  # noqa: FBT001
    model = bert(attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0).train()  # dropout would draw anew
    delta = MAKERS[kind](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    learn(delta)
    plain = gradients(model)
    assert plain.keys() == {name for name, p in model.named_parameters() if p.requires_grad and "pooler" not in name}
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    checkpointed = gradients(model)
    assert checkpointed.keys() == plain.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("family", ["bert", "t5", "gpt2"])
def test_a_half_precision_backbone_keeps_its_dtype(family: str, kind: str) -> None:
    model = make(family).to(torch.bfloat16)
    patterns = {"bert": ["attention.output.dense"], "t5": ["SelfAttention.o"], "gpt2": ["attn.c_proj"]}[family]
    delta = TYPES[kind](model, modified_modules=patterns)
    delta.freeze_module()
    learn(delta)
    assert all(parameter.dtype == torch.float32 for parameter in delta.module_parameters().values())
    assert output_of(model).dtype == torch.bfloat16
    found = gradients(model)
    assert found
    assert all(gradient.isfinite().all() for gradient in found.values())
    assert any(gradient.abs().sum() > 0 for gradient in found.values())


@pytest.mark.parametrize("kind", MAKERS)
def test_autocast_agrees_with_full_precision(kind: str) -> None:
    model = bert()
    delta = MAKERS[kind](model)
    learn(delta)
    full = output_of(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = output_of(model)
    torch.testing.assert_close(half.float(), full, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("attached", [True, False], ids=["attached", "detached"])
def test_the_backbone_may_change_its_dtype(kind: str, dtype: torch.dtype, attached: bool) -> None:  # noqa: FBT001
    model = make("t5")
    delta = TYPES[kind](model, modified_modules=["SelfAttention.o"])
    delta.freeze_module(exclude=["deltas", "final_layer_norm"])
    learn(delta)
    full = output_of(model)
    if attached:
        model.to(dtype)
    else:
        delta.detach()
        model.to(dtype)
        delta.attach()
    assert output_of(model).dtype == dtype
    torch.testing.assert_close(output_of(model).float(), full, atol=0.15, rtol=0.15)
    delta.detach()
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


def test_no_tensor_outlives_a_forward() -> None:
    """A hook that kept one would break deepcopy, which refuses tensors of a graph."""
    model = bart().train()
    LoraModel(model, modified_modules=["q_proj"])
    AdapterModel(model, modified_modules=["self_attn"])
    gradients(model)
    copy.deepcopy(model)


def test_generation_goes_through_deltas() -> None:
    model = bart()
    delta = AdapterModel(model, modified_modules=["fc2"], bottleneck_dim=4)
    stir(delta.parameters(), scale=1.0)
    ids = batch_for(model)["input_ids"]
    cached = model.generate(input_ids=ids, max_new_tokens=6, do_sample=False, use_cache=True)
    assert torch.equal(cached, model.generate(input_ids=ids, max_new_tokens=6, do_sample=False, use_cache=False))


def test_data_parallel_training_reaches_every_parameter(tmp_path: Any) -> None:
    distributed = torch.distributed
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = bert()
        delta = MAKERS["lora"](model)
        delta.freeze_module(exclude=["deltas", "classifier"])
        wrapped = nn.parallel.DistributedDataParallel(model)
        wrapped(**batch_for(model))[0].sum().backward()
        assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    finally:
        distributed.destroy_process_group()
