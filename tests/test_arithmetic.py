"""Task arithmetic: sums and points between LoRA deltas, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import AdapterModel, LoraModel, add, deltas, interpolate, use
from deltanb._errors import DeltaError
from deltanb.checkpoints import load
from tests.models import assert_same, batch_for, make, output_of, same_state, stir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def awake(family: str = "bert") -> Any:
    """A tiny model whose weights are large enough for a mistake to show."""
    model = make(family)
    stir(model.parameters(), seed=3, scale=0.1)
    return model


def learned(model: Any, name: str, seed: int, **options: Any) -> LoraModel:
    delta = LoraModel(model, name=name, **options)
    stir(delta.parameters(), seed)
    return delta


def weights(model: Any, hosts: Any) -> dict[str, torch.Tensor]:
    return {host: model.get_submodule(host).weight.detach().clone() for host in hosts}


def change(delta: LoraModel) -> dict[str, torch.Tensor]:
    """What a delta adds to each weight: from its merged weights, a way of its own."""
    model = delta.backbone_model
    attached = list(deltas(model).values())
    use(model, delta)
    before = weights(model, delta.hosts)
    delta.merge(batch_for(model))
    after = weights(model, delta.hosts)
    delta.unmerge(batch_for(model))
    use(model, *attached)
    return {host: after[host] - before[host] for host in before}


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_the_update_is_the_weighted_sum(family: str) -> None:
    model = awake(family)
    wide = ["query", "output.dense"] if family == "bert" else ["c_attn", "c_fc"]
    a = learned(model, "a", 1, modified_modules=wide[:1], lora_r=2, lora_alpha=3)
    b = learned(model, "b", 2, modified_modules=wide, lora_r=3, use_rslora=True, rank_pattern={wide[1]: 4})
    b.detach()
    effect = add(model, {"a": -0.7, b: 1.5}, name="both")
    both: Any = effect.delta
    assert list(deltas(model)) == ["both"]
    assert set(both.hosts) == set(b.hosts)
    assert {child.lora_A.shape[0] for host, child in both.modules.items() if host in a.hosts} == {5}
    assert {child.lora_A.shape[0] for host, child in both.modules.items() if host not in a.hosts} == {4}
    parts = change(a), change(b)
    for host, value in change(both).items():
        expected = -0.7 * parts[0].get(host, torch.zeros(())) + 1.5 * parts[1][host]
        assert expected.abs().max() > 0.01
        torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-4)


def test_embeddings_are_added_too() -> None:
    model = awake()
    a, b = (learned(model, name, seed, modified_modules=["word_embeddings"], lora_r=2) for seed, name in enumerate("ab"))
    both: Any = add(model, {a: 1, b: 2}).delta
    assert (both.name, both.config.modified_modules, both.config.lora_r) == ("combined", ["word_embeddings"], 4)
    parts = [next(iter(change(delta).values())) for delta in (a, b)]
    torch.testing.assert_close(next(iter(change(both).values())), parts[0] + 2 * parts[1], atol=1e-5, rtol=1e-4)


def test_what_is_reported_is_what_changed() -> None:
    model = awake()
    batch = batch_for(model)
    bare = output_of(model, **batch)
    a = learned(model, "a", 1)
    alone = output_of(model, **batch)
    learned(model, "b", 2)
    effect = add(model, {"a": 1.0, "b": 0.5}, batch=batch)
    new = output_of(model, **batch)
    assert effect.changes == {"the backbone alone": float((new - bare).abs().max()), "a": float((new - alone).abs().max())}
    use(model, a)
    assert torch.equal(output_of(model, **batch), alone)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 1.5])
def test_points_between_two(t: float) -> None:
    model = awake()
    a, b = learned(model, "a", 1), learned(model, "b", 2, lora_r=4)
    mid: Any = interpolate(model, "a", "b", t, name="mid").delta
    one, two, got = change(a), change(b), change(mid)
    for host in a.hosts:
        torch.testing.assert_close(got[host], (1 - t) * one[host] + t * two[host], atol=1e-5, rtol=1e-4)
    if t in (0, 1):
        output = output_of(model)
        use(model, b if t else a)
        torch.testing.assert_close(output_of(model), output, atol=1e-5, rtol=1e-4)


def test_heads_are_added_as_differences_from_the_original() -> None:
    model = awake()
    head = model.classifier.weight
    original = head.detach().clone()
    kept, values = [], []
    for seed, name in enumerate("ab"):
        delta = learned(model, name, seed)
        delta.freeze_module(exclude=["deltas", "classifier"])
        stir([head], seed + 30)
        values.append(head.detach().clone())
        kept.append(delta)
        if name == "a":
            delta.detach()
    both = add(model, {kept[0]: 1.0, kept[1]: 0.5}).delta
    torch.testing.assert_close(head, original + (values[0] - original) + 0.5 * (values[1] - original))
    assert "classifier.weight" in both.tensors()
    assert "classifier.weight" in both.notes[-1]
    both.detach()
    assert torch.equal(head, original)
    kept[1].attach()
    assert torch.equal(head, values[1])


def test_a_sum_travels_like_any_lora(tmp_path: Path) -> None:
    model = awake()
    learned(model, "a", 1, modified_modules=["query"])
    learned(model, "b", 2, modified_modules=["query", "value"], lora_r=2)
    add(model, {"a": 1.0, "b": 0.5}, name="both").delta.save_finetuned(tmp_path / "both")
    fresh = awake()
    load(tmp_path / "both", fresh)
    assert torch.equal(output_of(fresh), output_of(model))


WRONG: list[tuple[str, Callable[[Any], Any], str]] = [
    ("dora", lambda m: add(m, {"a": 1.0, LoraModel(m, use_dora=True, name="d"): 1.0}), "is a DoRA"),
    ("adapter", lambda m: add(m, {"a": 1.0, AdapterModel(m, name="d"): 1.0}), "only LoRA"),
    ("unknown", lambda m: add(m, {"a": 1.0, "bb": 1.0}), "No attached delta is called 'bb'"),
    ("other model", lambda m: add(m, {"a": 1.0, LoraModel(awake()): 1.0}), "another model"),
    ("none", lambda m: add(m, {}), "nothing to add"),
    ("weight", lambda m: add(m, {"a": float("nan")}), "finite number"),
    ("t", lambda m: interpolate(m, "a", "b", "half"), "t must be"),  # type: ignore[arg-type]
    ("twice", lambda m: interpolate(m, "a", "a", 0.5), "twice"),
    ("name", lambda m: add(m, {"a": 1.0}, name="classifier"), "cannot be called"),
]


@pytest.mark.parametrize(("wrong", "said"), [entry[1:] for entry in WRONG], ids=[entry[0] for entry in WRONG])
def test_sums_that_there_are_not(wrong: Callable[[Any], Any], said: str) -> None:
    model = awake()
    learned(model, "a", 1)
    learned(model, "b", 2, modified_modules=["key"]).merge()
    before, order = same_state(model), list(deltas(model))
    with pytest.raises(DeltaError, match=said):
        wrong(model)
    for extra in [name for name in deltas(model) if name not in order]:
        deltas(model)[extra].detach()
    assert [(delta.name, delta.merged) for delta in deltas(model).values()] == [("a", False), ("b", True)]
    assert_same(same_state(model), before)


def test_a_skeleton_has_nothing_to_add() -> None:
    model = make("bert", device="meta")
    LoraModel(model, name="a")
    with pytest.raises(DeltaError, match="skeleton"):
        add(model, {"a": 1.0})
