"""Merge and unmerge: the same outputs, the same weights back, and refusals where it could not be so."""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import deltanb
from deltanb import AdapterModel, BitFitModel, IA3Model, LnTuningModel, LoraModel, deltas, without_deltas
from deltanb._errors import DeltaError
from deltanb.checkpoints import load
from tests.models import assert_same, batch_for, make, output_of, same_state, stir, trains

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def awake(family: str = "bert") -> Any:
    """A tiny model whose weights are large enough for a mistake to show."""
    model = make(family)
    stir(model.parameters(), seed=3, scale=0.1)
    return model


MERGE: dict[str, Callable[[Any], Any]] = {
    "lora": lambda model: LoraModel(model, lora_r=2),
    "rslora": lambda model: LoraModel(model, lora_r=2, use_rslora=True, rank_pattern={"attn@.v@": 3}),
    "dora": lambda model: LoraModel(model, lora_r=2, use_dora=True),
    "ia3": IA3Model,
}


def hooks_of(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize("kind", MERGE)
def test_merged_is_the_same_and_unmerged_the_same_bits(family: str, kind: str) -> None:
    model = awake(family)
    bare = same_state(model)
    delta = MERGE[kind](model)
    stir(delta.parameters())
    before, output, hooks = same_state(model), output_of(model), hooks_of(model)
    effect = delta.merge()
    assert (delta.merged, effect.delta, hooks_of(model)) == (True, delta, 0)
    assert 0 <= effect.largest < 1e-4
    torch.testing.assert_close(output_of(model), output, atol=1e-5, rtol=1e-5)
    assert all(not torch.equal(model.get_submodule(host).weight, bare[3][f"{host}.weight"]) for host in delta.hosts)
    assert delta.merge().largest == 0
    assert delta.unmerge().largest < 1e-4
    assert (delta.merged, hooks_of(model)) == (False, hooks)
    assert_same(same_state(model), before)
    assert torch.equal(output_of(model), output)
    delta.merge()
    delta.detach()
    assert_same(same_state(model), bare)
    delta.attach()
    assert torch.equal(output_of(model), output)


def test_embeddings_merge_too() -> None:
    for options in ({}, {"use_dora": True}):
        model = awake()
        delta = LoraModel(model, modified_modules=["word_embeddings"], **options)  # type: ignore[arg-type]
        stir(delta.parameters())
        output = output_of(model)
        assert delta.merge().largest < 1e-4
        torch.testing.assert_close(output_of(model), output, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", MERGE)
def test_a_copy_and_a_pickle_of_a_merged_model_can_be_unmerged(kind: str) -> None:
    model = awake()
    delta = MERGE[kind](model)
    stir(delta.parameters())
    unmerged = same_state(model)
    delta.merge()
    merged = output_of(model)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        assert torch.equal(output_of(other), merged)
        deltas(other)[delta.name].unmerge()
        assert_same(same_state(other), unmerged)
        assert torch.equal(output_of(model), merged)


def test_saving_writes_the_delta_as_before(tmp_path: Path) -> None:
    model = awake()
    fresh = copy.deepcopy(model)
    delta = LoraModel(model, lora_r=2)
    delta.freeze_module(exclude=["deltas", "classifier"])
    stir(delta.parameters())
    output, tensors = output_of(model), {key: value.clone() for key, value in delta.tensors().items()}
    delta.save_finetuned(tmp_path / "before")
    delta.merge()
    delta.save_finetuned(tmp_path / "merged")
    assert all(torch.equal(value, tensors[key]) for key, value in delta.tensors().items())
    assert [entry.read_bytes() for entry in sorted((tmp_path / "merged").glob("*.safetensors"))] == [
        entry.read_bytes() for entry in sorted((tmp_path / "before").glob("*.safetensors"))
    ]
    load(tmp_path / "merged", fresh)
    assert torch.equal(output_of(fresh), output)


def test_what_is_merged_does_not_train() -> None:
    model = awake()
    delta = LoraModel(model, modified_modules=["query"])
    before = trains(model)
    delta.merge()
    weights = {f"{host}.weight" for host in delta.hosts}
    assert before - trains(model) == weights | set(delta.module_parameters())
    delta.freeze_module(exclude=["deltas", "classifier"])
    assert trains(model) == {"classifier.weight", "classifier.bias"}
    for exclude in (["query"], ["layer.0"]):
        with pytest.raises(DeltaError, match="holds the merged delta 'lora'"):
            delta.freeze_module(exclude=exclude)
    with pytest.raises(DeltaError, match="holds the merged delta"):
        deltanb.freeze(model, ["query"])
    delta.unmerge()
    assert trains(model) == {"classifier.weight", "classifier.bias", *delta.module_parameters()}
    delta.detach()
    assert trains(model) == before - set(delta.module_parameters())


def test_flags_that_a_freeze_found_while_merged_are_right_afterwards() -> None:
    model = awake()
    before = trains(model)
    delta = LoraModel(model, modified_modules=["query"])
    delta.merge()
    delta.freeze_module()
    delta.unmerge()
    delta.detach()
    assert trains(model) == before


PAIRS: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = [
    ("two sums", lambda m: LoraModel(m, modified_modules=["query"]), lambda m: LoraModel(m, modified_modules=["query"], name="second")),
    ("scale after sum", lambda m: LoraModel(m, modified_modules=["key"]), lambda m: IA3Model(m, modified_modules=["key"])),
    ("sum and scaled input", lambda m: LoraModel(m, modified_modules=["output.dense"]), IA3Model),
    ("scaled input before sum", IA3Model, lambda m: LoraModel(m, modified_modules=["output.dense"])),
    ("norms and scaled input", lambda m: LoraModel(m, modified_modules=["output.dense"], use_dora=True), IA3Model),
    ("adapter after sum", lambda m: LoraModel(m, modified_modules=["query"]), lambda m: AdapterModel(m, modified_modules=["query"])),
]


@pytest.mark.parametrize(("first", "second"), [pair[1:] for pair in PAIRS], ids=[pair[0] for pair in PAIRS])
def test_two_on_one_host_merge_in_any_order_that_is_right(first: Any, second: Any) -> None:
    model = awake()
    both = [first(model), second(model)]
    for seed, delta in enumerate(both):
        stir(delta.parameters(), seed=seed + 7)
    state, output = same_state(model), output_of(model)
    for order in (both, both[::-1]):
        for turn in ("merge", "unmerge"):
            for delta in order:
                with suppress(DeltaError):
                    getattr(delta, turn)()
                torch.testing.assert_close(output_of(model), output, atol=1e-5, rtol=1e-5)
        for delta in order[::-1]:
            delta.unmerge()
        assert_same(same_state(model), state)
        assert torch.equal(output_of(model), output)
    for delta in both:
        with suppress(DeltaError):
            delta.merge()
    both[0].detach()
    both[1].unmerge()
    both[0].attach()
    assert torch.equal(output_of(model), output)


def test_what_came_first_cannot_be_taken_out_alone() -> None:
    model = awake()
    first, second = LoraModel(model, modified_modules=["key"]), IA3Model(model, modified_modules=["key"])
    first.merge()
    second.merge()
    with pytest.raises(DeltaError, match=r"'lora' cannot act on .* while 'ia3' is merged"):
        first.unmerge()
    assert first.merged
    assert second.merged


REFUSED: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = [
    ("adapter before", lambda m: AdapterModel(m, modified_modules=["query"]), lambda m: LoraModel(m, modified_modules=["query"])),
    ("scale before", lambda m: IA3Model(m, modified_modules=["key"]), lambda m: LoraModel(m, modified_modules=["key"])),
    ("sum before norms", lambda m: LoraModel(m, modified_modules=["key"], name="plain"),
        lambda m: LoraModel(m, modified_modules=["key"], use_dora=True)),
    ("input is read beside", lambda m: LoraModel(m, modified_modules=["output.dense"]), IA3Model),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [pair[1:] for pair in REFUSED], ids=[pair[0] for pair in REFUSED])
def test_two_on_one_host_that_would_compute_something_else(first: Any, second: Any) -> None:
    model = awake()
    other, delta = first(model), second(model)
    stir([*other.parameters(), *delta.parameters()])
    state, output = same_state(model), output_of(model)
    with pytest.raises(DeltaError, match="would compute something else") as caught:
        delta.merge()
    assert other.name in str(caught.value)
    assert_same(same_state(model), state)
    assert torch.equal(output_of(model), output)
    other.detach()
    output = output_of(model)
    delta.merge()
    with pytest.raises(DeltaError, match="would compute something else"):
        other.attach()
    torch.testing.assert_close(output_of(model), output, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: AdapterModel(make("bert"), modified_modules=["query"]), "lora, bitfit, ia3, ln_tuning"),
        (lambda: LoraModel(make("gpt2"), modified_modules=["wte"]), r"one tensor with lm_head\.weight"),
        (lambda: LoraModel(make("bart"), modified_modules=["encoder.embed_tokens"]), "one tensor with .*decoder.embed_tokens"),
        (lambda: LoraModel(make("bert", device="meta"), modified_modules=["query"]), "skeleton"),
        (lambda: LoraModel(make("bert"), modified_modules=["query"]).detach(), "detached"),
        (lambda: LoraModel(nn.Sequential(nn.Linear(2, 2)), modified_modules="0"), "no config"),
        (lambda: IA3Model(make("bert"), modified_modules=["attention.self"]), "no weight matrix"),
        (lambda: BitFitModel(make("t5"), modified_modules=["layer_norm"]), "no bias"),
    ],
)
def test_what_does_not_merge(build: Callable[[], Any], said: str) -> None:
    delta = build()
    state = str(delta.backbone_model), [p.requires_grad for p in delta.backbone_model.parameters()]
    with pytest.raises(DeltaError, match=said):
        delta.merge()
    assert state == (str(delta.backbone_model), [p.requires_grad for p in delta.backbone_model.parameters()])
    assert not delta.merged


def test_a_weight_that_a_delta_trains_is_not_merged_into() -> None:
    model = awake()
    delta = LoraModel(model, modified_modules=["classifier"])
    delta.freeze_module(exclude=["deltas", "classifier"])
    with pytest.raises(DeltaError, match="belongs to the delta 'lora'"):
        delta.merge()


@pytest.mark.parametrize("kind", [BitFitModel, LnTuningModel])
def test_owned_tensors_are_in_the_backbone_anyway(kind: Any) -> None:
    model = awake()
    bare = output_of(model)
    delta = kind(model)
    delta.freeze_module()
    named = dict(model.named_parameters())
    stir([named[name] for name in delta.tensors()])
    output = output_of(model)
    assert delta.merge().largest == 0
    assert delta.merged
    assert torch.equal(output_of(model), output)
    delta.detach()
    assert torch.equal(output_of(model), bare)


def test_a_failed_trial_leaves_nothing_merged() -> None:
    model = awake()
    delta = LoraModel(model)
    state = same_state(model)
    with pytest.raises(ValueError, match="input_ids"):
        delta.merge({"nonsense": torch.ones(1)})
    assert not delta.merged
    assert_same(same_state(model), state)


def test_without_deltas_brings_back_what_was_merged() -> None:
    model = awake()
    bare = output_of(model)
    delta = LoraModel(model)
    stir(delta.parameters())
    delta.merge(batch_for(model))
    output = output_of(model)
    with without_deltas(model):
        assert torch.equal(output_of(model), bare)
    assert delta.merged
    assert torch.equal(output_of(model), output)


def test_half_precision_says_what_rounding_costs() -> None:
    model = awake().bfloat16()
    delta = LoraModel(model)
    stir(delta.parameters())
    before = same_state(model)
    assert 1e-5 < delta.merge().largest < 0.2
    delta.unmerge()
    assert_same(same_state(model), before)
