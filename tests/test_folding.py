from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from deltanb.addressing import match_names
from deltanb.folding import FoldedNode, fold, join_labels
from deltanb.graph import full_names, mark_rows, own_counts
from deltanb.structure import DELTA_MARK, Counts, module_names, snapshot

LEAVES = ("linear", "no_bias", "norm", "embedding", "batch_norm", "relu")
NAMES = ("0", "1", "2", "5", "10", "fc1", "fc2", "q_proj", "attn")
SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def leaf(kind: str) -> nn.Module:
    return {
        "linear": lambda: nn.Linear(2, 3),
        "no_bias": lambda: nn.Linear(2, 3, bias=False),
        "norm": lambda: nn.LayerNorm(2),
        "embedding": lambda: nn.Embedding(3, 2),
        "batch_norm": lambda: nn.BatchNorm1d(2),
        "relu": nn.ReLU,
    }[kind]()


def branch(children: dict[str, nn.Module], *, own: bool, frozen: bool) -> nn.Module:
    module = nn.Module()
    for name, child in children.items():
        module.add_module(name, child)
    if own:
        module.own = nn.Parameter(next(iter(nn.Linear(1, 2).parameters())).detach())
    return module.requires_grad_(requires_grad=not frozen)


models = st.recursive(
    st.sampled_from(LEAVES).map(leaf),
    lambda inner: st.builds(branch, st.dictionaries(st.sampled_from(NAMES), inner, max_size=5), own=st.booleans(), frozen=st.booleans()),
    max_leaves=25,
)


def layers(count: int = 6) -> nn.Sequential:
    return nn.Sequential(*[nn.Linear(2, 2) for _ in range(count)])


def labels(row: FoldedNode) -> list[str]:
    return [child.label for child in row.children]


@SOME
@given(models, st.booleans(), st.integers(0, 4) | st.none())
def test_rows_add_up_to_the_model(model: nn.Module, empty: bool, depth: int | None) -> None:  # noqa: FBT001
    rows = fold(snapshot(model), empty=empty, depth=depth)
    own = [own_counts(row) for row in rows.walk()]
    assert sum(counts.total for counts in own) == sum(p.numel() for p in model.parameters())
    assert sum(counts.trainable for counts in own) == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert sum((counts for counts in own), Counts()).buffers == sum(b.numel() for b in model.buffers())


@SOME
@given(models)
def test_folding_keeps_every_module_and_the_order(model: nn.Module) -> None:
    rows = fold(snapshot(model), empty=True)
    names = full_names(rows)
    assert sorted(name for members in names.values() for name in members) == sorted(name for name, _ in model.named_modules())
    for row in rows.walk():
        unfolded = [member.rpartition(".")[2] for child in row.children for member in child.members]
        assert unfolded == [child.label for child in row.first.children]
        assert len(names[row.address]) == row.count


@SOME
@given(models, st.booleans())
def test_every_address_is_a_pattern_for_its_modules(model: nn.Module, empty: bool) -> None:  # noqa: FBT001
    rows = fold(snapshot(model), empty=empty)
    modules = module_names(model)
    for address, members in full_names(rows).items():
        if address:
            found = match_names(modules, address).names
            assert set(members) <= set(found)
            # A longer name may end the same way; among names as long as the address only its own are hit.
            assert [name for name in found if name.count(".") == address.count(".")] == sorted(members, key=modules.index)


@pytest.mark.parametrize(
    ("frozen", "expected"),
    [((), ["0-5"]), ((0,), ["0", "1-5"]), ((2, 3), ["0-1", "2-3", "4-5"]), ((5,), ["0-4", "5"]), (range(6), ["0-5"])],
)
def test_a_frozen_layer_splits_the_run(frozen: tuple[int, ...], expected: list[str]) -> None:
    model = layers()
    for at in frozen:
        model[at].requires_grad_(requires_grad=False)
    assert labels(fold(snapshot(model))) == expected


def test_a_delta_splits_the_run() -> None:
    model = layers(3)
    adapter = nn.Linear(2, 2)
    adapter.__dict__[DELTA_MARK] = "adapter"
    model[1].add_module("adapter", adapter)
    assert labels(fold(snapshot(model))) == ["0", "1", "2"]


@pytest.mark.parametrize("other", [nn.Linear(2, 3), nn.Linear(2, 2, bias=False), nn.Linear(2, 2).double(), nn.Bilinear(2, 1, 2)])
def test_only_what_is_truly_alike_folds(other: nn.Module) -> None:
    assert labels(fold(snapshot(nn.Sequential(nn.Linear(2, 2), other, nn.Linear(2, 2))))) == ["0", "1", "2"]


def test_names_fold_apart_from_numbers() -> None:
    model = nn.ModuleDict({"0": nn.Linear(2, 2), "q": nn.Linear(2, 2), "v": nn.Linear(2, 2)})
    assert labels(fold(snapshot(model))) == ["0", "q,v"]


def test_a_tied_layer_is_not_alike_and_counts_nothing() -> None:
    model = layers(4)
    for at in (1, 2, 3):
        model[at].weight = model[0].weight
        model[at].bias = model[0].bias
    rows = fold(snapshot(model))
    assert [(row.label, row.counts.total) for row in rows.children] == [("0", 6), ("1-3", 0)]


def test_a_module_object_used_twice_has_its_own_row() -> None:
    layer = nn.Linear(2, 2)
    rows = fold(snapshot(nn.ModuleList([layer, layer, layer])))
    assert [(row.label, row.counts.total, row.first.same_as) for row in rows.children] == [("0", 6, None), ("1-2", 0, "0")]


def test_modules_without_parameters_appear_on_request() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    assert labels(fold(snapshot(model))) == ["0,2"]
    assert labels(fold(snapshot(model), empty=True)) == ["0", "1", "2"]


def test_a_depth_limit_says_what_it_hides(seq2seq: nn.Module) -> None:
    rows = fold(snapshot(seq2seq), depth=1)
    encoder = next(row for row in rows.children if row.label == "encoder")
    assert (encoder.children, encoder.hidden) == ((), 1 + 1 + 4 * 9)
    assert rows.counts.total == sum(p.numel() for p in seq2seq.parameters())


def test_a_nested_fold_multiplies(seq2seq: nn.Module) -> None:
    rows = {row.address: row for row in fold(snapshot(seq2seq)).walk()}
    attention = rows["encoder.layers.0-3.self_attn.q_proj,k_proj,v_proj,out_proj"]
    assert (attention.count, attention.counts.total) == (16, 16 * 72)
    assert attention.members == tuple(f"encoder.layers.0.self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj"))


def test_hits_fall_on_the_rows_of_their_modules(seq2seq: nn.Module) -> None:
    rows = fold(snapshot(seq2seq), depth=3)
    marks = mark_rows(rows, match_names(module_names(seq2seq), ["encoder.layers.0-2", "fc2"]).names)
    assert marks.counts == {"encoder.layers.0-3": 3}
    assert marks.hidden == 6


@pytest.mark.parametrize(
    ("given_labels", "joined"),
    [(["0"], "0"), (["0", "1"], "0-1"), (["0", "2", "3", "4", "9"], "0,2-4,9"), (["3", "2"], "3,2"), (["a", "0"], "a,0"), (["a"], "a")],
)
def test_labels_join_to_a_segment_of_a_pattern(given_labels: list[str], joined: str) -> None:
    assert join_labels(given_labels) == joined
