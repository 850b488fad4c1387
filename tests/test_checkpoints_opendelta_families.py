"""OpenDelta's folders for BERT, RoBERTa and GPT-2, against an independent reference; and folders that mislead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb import deltas, load
from deltanb._errors import DeltaError
from deltanb.checkpoints import read
from tests.models import assert_same, batch_for, output_of, same_state, trainable
from tests.opendelta_folders import FAMILIES, TYPES, folder_of, reference, tiny

if TYPE_CHECKING:
    from pathlib import Path


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**batch_for(model)).logits


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=5e-5, rtol=0)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_names_are_the_references(family: str, kind: str, tmp_path: Path) -> None:
    settings, tensors, wanted = reference(family, kind)
    model = tiny(family)
    before, plain = same_state(model), logits(model)
    assert (plain - wanted).abs().max() > 0.3
    delta = load(folder_of(tmp_path / "d", settings, tensors), model)
    assert_close(logits(model), wanted)
    assert {name: tensor.shape for name, tensor in delta.tensors().items()} == {name: tensor.shape for name, tensor in tensors.items()}
    delta.freeze_module()
    assert trainable(model) == sum(tensor.numel() for tensor in tensors.values())
    assert model.state_dict().keys() == tensors.keys()
    delta.save_finetuned(tmp_path / "own")
    fresh = tiny(family)
    load(tmp_path / "own", fresh)
    assert torch.equal(logits(fresh), logits(model))
    delta.detach()
    assert_same(same_state(model), before)
    assert torch.equal(logits(model), plain)


@pytest.mark.parametrize("kind", ["adapter", "low_rank_adapter", "parallel_adapter", "compacter"])
def test_a_head_that_was_trained_with_it_comes_along(kind: str, tmp_path: Path) -> None:
    settings, tensors, _ = reference("bert", kind)
    head = {"classifier.weight": torch.ones(2, 16), "classifier.bias": torch.tensor([3.0, -3.0])}
    model = tiny("bert")
    delta = load(folder_of(tmp_path, {**settings, "unfrozen_modules": ["deltas", "classifier"]}, {**tensors, **head}), model)
    assert torch.equal(model.classifier.weight, head["classifier.weight"])
    delta.freeze_module()
    assert model.state_dict().keys() == {**tensors, **head}.keys()


# The child's name, and what OpenDelta calls that of a second and a third delta.
WORDS = {
    "adapter": ("adapter", ["adapter_1", "adapter_2"]),
    "lora": ("lora", ["lora_1"]),
    "low_rank_adapter": ("low_rank_adapter", ["low_rank_adapter_1", "low_2", "low_3"]),
    "parallel_adapter": ("parallel_adapter", ["parallel_adapter_1", "parallel_2"]),
    "compacter": ("compactor", ["compactor_1"]),
}


@pytest.mark.parametrize(("kind", "other"), [(kind, other) for kind, (_, others) in WORDS.items() for other in others])
def test_a_second_delta_has_a_number(kind: str, other: str, tmp_path: Path) -> None:
    settings, tensors, wanted = reference("bert", kind)
    word = WORDS[kind][0]
    numbered = {name.replace(f".{word}.", f".{other}."): tensor for name, tensor in tensors.items()}
    assert numbered.keys() != tensors.keys()
    model = tiny("bert")
    load(folder_of(tmp_path / "one", settings, numbered), model)
    assert_close(logits(model), wanted)
    both = folder_of(tmp_path / "both", settings, {**tensors, **numbered})
    with pytest.raises(DeltaError, match=f"2 deltas of one type: .*{other}"):
        load(both, tiny("bert"))


def test_compacter_without_an_activation_means_relu(tmp_path: Path) -> None:
    """Its config's default; its constructor's is another, and a folder holds what the config says."""
    settings, tensors, wanted = reference("bert", "compacter")
    del settings["non_linearity"]
    model = tiny("bert")
    delta = load(folder_of(tmp_path, settings, tensors), model)
    assert delta.config.options()["non_linearity"] == "relu"
    assert_close(logits(model), wanted)


@pytest.mark.parametrize("kind", ["adapter", "compacter"])
def test_an_activation_in_capitals(kind: str, tmp_path: Path) -> None:
    settings, tensors, wanted = reference("bert", kind, {"non_linearity": "relu"})
    model = tiny("bert")
    load(folder_of(tmp_path, {**settings, "non_linearity": "ReLU"}, tensors), model)
    assert_close(logits(model), wanted)


def test_scaled_was_written_down_and_never_used(tmp_path: Path) -> None:
    settings, tensors, wanted = reference("bert", "parallel_adapter")
    model = tiny("bert")
    with pytest.warns(UserWarning, match=r"scaled=4\.0 is left out"):
        delta = load(folder_of(tmp_path, {**settings, "scaled": 4.0}, tensors), model)
    assert delta.config.options()["scaled"] == 1.0
    assert_close(logits(model), wanted)


def test_rules_that_did_not_train_are_lost_and_it_is_said(tmp_path: Path) -> None:
    settings, tensors, _ = reference("bert", "compacter")
    kept = {name: tensor for name, tensor in tensors.items() if "phm_rule" not in name}
    model = tiny("bert")
    before = same_state(model)
    with pytest.raises(DeltaError, match="rules did not train"):
        load(folder_of(tmp_path / "a", {**settings, "learn_phm": False}, kept), model)
    assert_same(same_state(model), before)
    whole = tiny("bert")
    delta = load(folder_of(tmp_path / "b", {**settings, "learn_phm": False}, tensors), whole)  # saved before freezing, say
    delta.freeze_module()
    assert trainable(whole) == sum(tensor.numel() for tensor in kept.values())


@pytest.mark.parametrize(
    ("patterns", "exclude"),
    [
        (["attention", "attention", "intermediate.dense", "output.dense"], []),
        (["attn@", "attn@", "ff@.w1@", "ff@.w2@"], ["bert.encoder.layer.1"]),
        (["[r].*attention", "[r].*attention"], ["bert.encoder.layer.0", "classifier"]),
    ],
)
def test_pairs_by_opendeltas_own_rules(patterns: list[str], exclude: list[str], tmp_path: Path) -> None:
    """Plain patterns, regular expressions, roles by a flag; exclusion by raw prefixes."""
    settings, tensors, wanted = reference("bert", "parallel_adapter")
    attention_alone = len(patterns) == 2
    kept = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(tuple(exclude)) and not (attention_alone and ".attention." not in name)
    }
    by_role = "@" in patterns[0]
    output = {f"bert.encoder.layer.{at}.attention.output.dense" for at in (0, 1)} if patterns[-1] == "output.dense" else set()
    folder = folder_of(tmp_path, {**settings, "modified_modules": patterns, "exclude_modules": exclude, "common_structure": by_role}, kept)
    if output:  # the plain pattern also hits the attention's output, so OpenDelta's pairs run across: none of these was saved
        with pytest.raises(DeltaError, match="pairs other modules"):
            load(folder, tiny("bert"))
        return
    model = tiny("bert")
    delta: Any = load(folder, model)
    assert set(delta.pairs) == {name.partition(".parallel_adapter")[0] for name in kept}
    missing = reference("bert", "parallel_adapter")[1].keys() - kept.keys()
    assert missing
    assert not torch.equal(logits(model), wanted)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in delta.tensors().items())


def test_another_backbone_is_refused_as_such(tmp_path: Path) -> None:
    settings, tensors, _ = reference("bert", "parallel_adapter")
    folder = folder_of(tmp_path, settings, tensors)
    model = tiny("gpt2")
    with pytest.raises(DeltaError, match="saved from BertForSequenceClassification; this backbone is a GPT2LMHeadModel"):
        load(folder, model)
    assert not deltas(model)
    assert read(folder).hosts[:2] == ["bert.encoder.layer.0.attention", "bert.encoder.layer.0.intermediate.dense"]


def test_nothing_was_attached(tmp_path: Path) -> None:
    """What OpenDelta's LoRA does on GPT-2: it finds no Linear and says nothing."""
    settings, _, _ = reference("gpt2", "lora")
    with pytest.raises(DeltaError, match="holds no tensor of the type 'lora'"):
        load(folder_of(tmp_path, settings, {}), tiny("gpt2"))


def test_a_delta_that_was_read_learns_on(tmp_path: Path) -> None:
    for kind in ("low_rank_adapter", "parallel_adapter", "compacter"):
        settings, tensors, _ = reference("gpt2", kind)
        model = tiny("gpt2")
        delta = load(folder_of(tmp_path / kind, settings, tensors), model)
        delta.freeze_module()
        model(**batch_for(model))[0].square().sum().backward()
        assert all(parameter.grad is not None for parameter in delta.parameters())
        assert torch.isfinite(output_of(model)).all()
