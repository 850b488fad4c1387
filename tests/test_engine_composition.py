"""Any number of deltas of any types on one model: which are attached decides what it computes, not how they came to be."""

from __future__ import annotations

import copy
from functools import cache
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltanb import deltas, without_deltas
from deltanb.engine import DELTA_TYPES
from tests.models import assert_same, bert, learn, make, of_type, output_of, same_state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from deltanb.engine import DeltaModel

HEADS = ["classifier", "pooler.dense.weight", "pooler.dense.bias", "word_embeddings", "position_embeddings", "token_type_embeddings"]
ALONE = ("bitfit", "ln_tuning")  # two of these would own the same tensors, which is refused
SEVERAL = [kind for kind in DELTA_TYPES if kind not in ALONE]
PAIRS = [pair for pair in combinations_with_replacement(DELTA_TYPES, 2) if pair not in [(kind, kind) for kind in ALONE]]


@cache
def _original() -> Any:
    return bert(num_hidden_layers=1)


def fresh() -> Any:
    """A copy of one tiny BERT: quicker than building it."""
    return copy.deepcopy(_original())


def attach(model: nn.Module, kind: str, name: str | None = None, head: str = "", seed: int = 5) -> DeltaModel:
    """A delta as after training, with a part of the backbone of its own where ``head`` names one."""
    # Both of these own the layer norms' biases by default.
    patterns = {"modified_modules": ["intermediate", "query"]} if kind == "bitfit" else {}
    delta = of_type(kind, model, name=name or kind, **patterns)
    delta.freeze_module(exclude=[name or kind, *([head] if head else [])])
    learn(delta, seed)
    return delta


def view(model: nn.Module) -> tuple[Any, ...]:
    """All that must be the same: tree, names in order, state dict, flags, values, output."""
    names = [name for name, _ in model.named_modules()], [name for name, _ in model.named_parameters()]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    return (
        same_state(model),
        names,
        [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        buffers,
        output_of(model),
    )


def assert_view(now: tuple[Any, ...], before: tuple[Any, ...]) -> None:
    assert_same(now[0], before[0])
    assert now[1] == before[1]
    assert now[2] == before[2]
    assert now[3].keys() == before[3].keys()
    assert all(torch.equal(buffer, before[3][name]) for name, buffer in now[3].items())
    assert torch.equal(now[4], before[4])


def switch(found: Iterable[DeltaModel], wanted: Iterable[DeltaModel]) -> None:
    chosen = list(wanted)
    for delta in found:
        if delta not in chosen:
            delta.detach()
    for delta in chosen:
        delta.attach()


@pytest.mark.parametrize("head", ["", "classifier"], ids=["frozen", "head"])
@pytest.mark.parametrize("kind", DELTA_TYPES)
def test_one_delta_goes_without_a_trace(kind: str, head: str) -> None:
    model = fresh()
    before = view(model)
    delta = attach(model, kind, head=head)
    changed = view(model)
    assert not torch.equal(changed[-1], before[-1])
    for _ in range(2):
        delta.detach()
        assert_view(view(model), before)
        delta.attach()
        assert_view(view(model), changed)
    with without_deltas(model):
        assert_view(view(model), before)
    assert_view(view(model), changed)


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=["+".join(pair) for pair in PAIRS])
def test_two_deltas_on_the_same_hosts(first: str, second: str) -> None:
    model = fresh()
    before = view(model)
    one = attach(model, first, "one", "classifier", 1)
    alone = view(model)
    two = attach(model, second, "two", "pooler", 2)
    both = view(model)
    assert not torch.equal(both[-1], alone[-1])
    one.detach()
    other = view(model)
    assert not torch.equal(other[-1], both[-1])
    assert not torch.equal(other[-1], before[-1])
    two.detach()
    assert_view(view(model), before)
    two.attach()
    assert_view(view(model), other)
    one.attach()
    assert_view(view(model), both)
    two.detach()
    assert_view(view(model), alone)
    one.detach()
    assert_view(view(model), before)


@cache
def _all_at_once() -> tuple[Any, dict[str, DeltaModel], tuple[Any, ...]]:
    model = fresh()
    before = view(model)
    heads = dict(zip(DELTA_TYPES, HEADS, strict=False))
    found = {kind: attach(model, kind, head=heads.get(kind, ""), seed=seed) for seed, kind in enumerate(DELTA_TYPES)}
    return model, found, before


_SEEN: dict[frozenset[str], tuple[Any, ...]] = {}


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(list(DELTA_TYPES)), min_size=1, max_size=12))
def test_all_types_at_once_come_and_go_in_any_order(toggles: list[str]) -> None:
    model, found, before = _all_at_once()
    for kind in toggles:
        found[kind].detach() if found[kind].attached else found[kind].attach()
    here = frozenset(deltas(model))
    now = view(model)
    if here not in _SEEN:  # the same ones once more, from nothing and in their first order
        switch(found.values(), [])
        assert_view(view(model), before)
        switch(found.values(), [delta for kind, delta in found.items() if kind in here])
        _SEEN[here] = view(model)
    assert_view(now, _SEEN[here])


@pytest.mark.parametrize("kind", SEVERAL)
def test_order_of_birth_decides_what_comes_first(kind: str) -> None:
    """Three of a kind: the sum of what they do depends on their order, which detach and attach do not change."""
    model = fresh()
    some = [attach(model, kind, name, seed=seed) for seed, name in enumerate(("one", "two", "three"))]
    full = view(model)
    for order in ((2, 0, 1), (1, 2, 0), (0, 1, 2)):
        for at in order:
            some[at].detach()
        for at in order[::-1]:
            some[at].attach()
        assert_view(view(model), full)


@pytest.mark.parametrize("kind", DELTA_TYPES)
@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_other_families_are_left_without_a_trace_too(family: str, kind: str) -> None:
    layers = {"gpt2": {"n_layer": 1}, "t5": {"num_layers": 1}}
    model = make(family, **layers[family])
    before = view(model)
    delta = of_type(kind, model)
    delta.freeze_module()
    learn(delta)
    changed = view(model)
    assert not torch.equal(changed[-1], before[-1])
    delta.detach()
    assert_view(view(model), before)
    delta.attach()
    assert_view(view(model), changed)
