"""Low-rank adapter, parallel adapter and Compacter in a model that is compiled, checkpointed, copied, of half precision, set apart."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from deltanb import AutoDeltaConfig, CompacterModel, LowRankAdapterModel, ParallelAdapterModel, deltas, plan
from deltanb.engine import DELTA_TYPES, set_apart
from tests.models import assert_same, bart, batch_for, bert, make, output_of, same_state, stir
from tests.test_engine_pairs import slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    yield
    torch.compiler.reset()


KINDS: dict[str, Callable[[nn.Module], Any]] = {
    "pairs": lambda model: ParallelAdapterModel(model, bottleneck_dim=3),
    "low rank": lambda model: LowRankAdapterModel(model, reduction_factor=4),
    "shared compacter": lambda model: CompacterModel(model, reduction_factor=2, shared_phm_rule=True, shared_W_phm=True),
}


class Block(nn.Module):
    """The smallest model with a pair in it: compiling a transformer takes seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return value + self.second(self.first(value).relu())  # type: ignore[no-any-return]


SMALL: dict[str, Callable[[nn.Module], Any]] = {
    "pair": lambda model: ParallelAdapterModel(model, modified_modules=["first", "second"], bottleneck_dim=3),
    "own pair": lambda model: ParallelAdapterModel(model, modified_modules=["first"], bottleneck_dim=3),
    "low rank": lambda model: LowRankAdapterModel(model, modified_modules=["second"], reduction_factor=4),
    "compacter": lambda model: CompacterModel(model, modified_modules=["first", "second"], reduction_factor=2, shared_phm_rule=True),
}


@pytest.mark.parametrize("kind", SMALL)
def test_compiled_gives_equal_results(kind: str) -> None:
    torch.manual_seed(0)
    model, value = Block(), torch.randn(3, 8)
    plain = model(value)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(value), plain)
    delta = SMALL[kind](model)
    stir(delta.parameters())
    changed = model(value)
    assert not torch.allclose(changed, plain)
    assert torch.equal(compiled(value), changed)
    assert not any(slots(delta))
    compiled(value).sum().backward()
    assert all(parameter.grad is not None for parameter in delta.parameters())
    delta.detach()
    assert torch.equal(compiled(value), plain)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "bart"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_transformer_gives_equal_results(kind: str, family: str) -> None:
    model = make(family)
    stir(KINDS[kind](model).parameters())
    inputs = batch_for(model)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(output_of(compiled, **inputs), output_of(model, **inputs))


def gradients(model: Any) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(**batch_for(model))[0].float().square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize(
    ("family", "kind"), [("bert", "pairs"), ("bart", "pairs"), ("t5", "pairs"), ("bart", "low rank"), ("bert", "shared compacter")]
)
def test_gradient_checkpointing_gives_equal_gradients(kind: str, family: str, reentrant: bool) -> None:  # noqa: FBT001
    model = make(family)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    for name in ("dropout", "attention_dropout", "activation_dropout"):
        for module in model.modules():
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    delta = KINDS[kind](model.train())
    delta.freeze_module()
    stir(delta.parameters())
    plain = gradients(model)
    assert plain.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    checkpointed = gradients(model)
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, atol=1e-4, rtol=1e-4)  # T5's own differ in the last digits
    if kind == "pairs":
        assert not any(slots(delta))


@pytest.mark.parametrize(
    ("family", "kind"), [("bart", "pairs"), ("t5", "pairs"), ("gpt2", "pairs"), ("t5", "low rank"), ("gpt2", "shared compacter")]
)
def test_a_half_precision_backbone_keeps_its_dtype(family: str, kind: str) -> None:
    full = make(family)
    delta = KINDS[kind](full)
    stir(delta.parameters(), scale=0.1)
    wanted = output_of(full)
    model = make(family).to(torch.bfloat16)
    delta = KINDS[kind](model)
    stir([p.data.copy_(value) for p, value in zip(delta.parameters(), deltas(full)[delta.name].parameters(), strict=True)], scale=0)
    assert {parameter.dtype for parameter in delta.parameters()} == {torch.float32}
    assert output_of(model).dtype == torch.bfloat16
    torch.testing.assert_close(output_of(model).float(), wanted, atol=0.15, rtol=0.15)
    delta.freeze_module()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(output_of(full).float(), wanted, atol=0.15, rtol=0.15)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"])  # noqa: S301
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_equal_and_independent(kind: str, again: Callable[[Any], Any]) -> None:
    model = bert()
    before = same_state(model)
    delta = KINDS[kind](model)
    delta.freeze_module(exclude=["deltas", "classifier"])
    stir(delta.parameters())
    outputs, state = output_of(model), same_state(model)
    twin = again(model)
    assert torch.equal(output_of(twin), outputs)
    stir(deltas(twin)[delta.name].parameters())
    assert not torch.equal(output_of(twin), outputs)
    assert torch.equal(output_of(model), outputs)
    deltas(twin)[delta.name].detach()
    assert_same(same_state(twin), before)
    assert_same(same_state(model), state)


@pytest.mark.parametrize("kind", KINDS)
def test_a_delta_that_is_set_apart_lets_go_of_its_backbone(kind: str) -> None:
    model = bart()
    delta = KINDS[kind](model)
    values = {name: tensor.clone() for name, tensor in delta.tensors().items()}
    gone = weakref.ref(model)
    set_apart(delta)
    del model
    gc.collect()
    assert gone() is None
    assert all(torch.equal(tensor, values[name]) for name, tensor in delta.tensors().items())


@pytest.mark.parametrize(
    ("kind", "patterns", "options"),
    [
        ("parallel_adapter", ["fc1", "fc2"], {"bottleneck_dim": 3}),
        ("parallel_adapter", None, {"bottleneck_dim": 3}),
        ("low_rank_adapter", ["fc2"], {"reduction_factor": 4}),
        ("compacter", ["fc2"], {"reduction_factor": 2, "shared_phm_rule": True, "learn_phm": False}),
    ],
)
def test_the_plan_counts_what_attaching_adds(kind: str, patterns: list[str] | None, options: dict[str, Any]) -> None:
    model = bart()
    planned = plan(model, kind, patterns, **options)
    delta = DELTA_TYPES[kind].from_config(AutoDeltaConfig.from_dict({"delta_type": kind, "modified_modules": patterns, **options}), model)
    sizes = {name: tensor.numel() for name, tensor in delta.tensors().items()}
    assert planned.tensors == len(sizes)
    fixed = sum(size for name, size in sizes.items() if "phm_rule" in name) if options.get("learn_phm") is False else 0
    assert planned.parameters == sum(sizes.values()) - fixed
    assert planned.hosts == len(delta.hosts)
