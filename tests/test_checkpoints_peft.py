"""Folders that PEFT wrote: equal logits, and a name for everything that PEFT itself takes in silence."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from deltanb import AdapterModel, AutoDeltaModel, LoraModel, deltas, load
from deltanb._errors import DeltaError
from deltanb.checkpoints import _peft_targets, read, saved_folders
from deltanb.checkpoints._peft_targets import Targets
from tests.interop import CASES, FOLDERS, base_of, changed, expected, logits_of, tampered
from tests.models import bert, make
from tests.test_checkpoints_damage import unchanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

PEFT = [case for case in CASES if case.startswith("peft_")]
LORA = "peft_lora_bert"
QUERY = "base_model.model.bert.encoder.layer.0.attention.self.query"


def refused(folder: Path, model: nn.Module | None = None) -> DeltaError:
    model = base_of(folder.name) if model is None else model
    with unchanged(model), pytest.raises(DeltaError) as caught:
        load(folder, model)
    assert "Traceback" not in str(caught.value)
    return caught.value


@pytest.mark.filterwarnings("ignore:PEFT never uses the last 5")
@pytest.mark.parametrize("case", PEFT)
def test_the_logits_are_those_of_peft_and_detach_takes_all_back(case: str) -> None:
    model = base_of(case)
    plain = logits_of(model)
    delta = AutoDeltaModel.from_finetuned(FOLDERS / case, backbone_model=model)
    torch.testing.assert_close(logits_of(model), expected(case), atol=1e-5, rtol=0)
    assert not torch.allclose(plain, expected(case), atol=1e-2)
    delta.detach()
    assert torch.equal(logits_of(model), plain)


def test_what_peft_saves_whole_belongs_to_the_delta() -> None:
    model = base_of(LORA)
    delta = load(FOLDERS / LORA, model)
    head = load_file(FOLDERS / LORA / "adapter_model.safetensors")["base_model.model.classifier.weight"]
    assert set(delta.owned) == {"classifier.weight", "classifier.bias"}
    assert torch.equal(model.classifier.weight, head)
    assert read(FOLDERS / LORA).freeze == [{"exclude": ["deltas", "classifier"], "scope": "", "set_state_dict": True}]


def test_ranks_and_scales_that_differ_are_taken_by_full_name() -> None:
    config = load(FOLDERS / "peft_lora_bert_patterns_rslora", base_of("bert")).config.to_dict()
    assert config["rank_pattern"] == {"bert.encoder.layer.0.attention.self.query": 4}
    assert set(config["alpha_pattern"].values()) == {32.0}
    assert (config["use_rslora"], config["lora_r"], config["lora_alpha"]) == (True, 8, 16.0)


# What PEFT takes in silence ----------------------------------------------------------------------------------------


def drop(name: str) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: tensors.pop(name)


def put(name: str, *shape: int) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda tensors: tensors.update({name: torch.ones(shape)})


def unprefixed(tensors: dict[str, torch.Tensor]) -> None:
    for name in list(tensors):
        tensors[name.removeprefix("base_model.model.")] = tensors.pop(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop(f"{QUERY}.lora_A.weight"), "1 missing (bert.encoder.layer.0.attention.self.query.lora.lora_A)"),
        (put(f"{QUERY}.lora_C.weight", 2), "1 surplus (bert.encoder.layer.0.attention.self.query.lora_C.weight)"),
        (put(f"{QUERY}.lora_A.weight", 4, 32), "rank 8 for bert.encoder.layer.0.attention.self.query, and its tensors have rank 4"),
        (put(f"{QUERY}.lora_A.weight", 8, 31), "1 misshapen"),
        (put("base_model.model.nowhere.weight", 2), "1 surplus (nowhere.weight)"),
        (put("base_model.model.bert.encoder.layer.0.output.dense.lora_A.weight", 8, 64), "target_modules does not cover"),
        (lambda tensors: [tensors.pop(name) for name in list(tensors) if ".query." in name], "no tensors for 2 modules"),
        (unprefixed, "10 tensors lack the prefix base_model.model."),
        (lambda tensors: [tensors.pop(name) for name in list(tensors) if "lora" in name], "no tensor of the type LORA"),
    ],
    ids=["missing", "surplus", "rank", "shape", "elsewhere", "stray", "untouched", "prefix", "none"],
)
def test_tensors_that_do_not_fit_the_settings_are_named(change: Callable[[Any], object], words: str, tmp_path: Path) -> None:
    assert words in refused(tampered(LORA, tmp_path, change)).what


def test_target_modules_narrower_than_the_tensors_are_refused_and_taken_on_request(tmp_path: Path) -> None:
    folder = changed(LORA, tmp_path, target_modules=["query"])
    assert "tensors of 2 modules that target_modules does not cover" in refused(folder).what
    model = base_of(LORA)
    with pytest.warns(UserWarning, match="does not cover"):
        load(folder, model, strict=False)
    torch.testing.assert_close(logits_of(model), expected(LORA), atol=1e-5, rtol=0)


REFUSED: dict[str, dict[str, Any]] = {
    "activated": {"alora_invocation_tokens": [5]},
    "arrow": {"arrow_config": {"top_k": 2}},
    "block diagonal": {"use_bdlora": {"nblocks": 2}},
    "corda": {"init_lora_weights": "corda"},
    "kasa": {"kasa_config": {"beta": 1e-4}},
    "lora bias": {"lora_bias": True},
    "megatron": {"megatron_config": {"a": 1}},
    "new setting": {"use_tomorrow": True},
    "olora": {"init_lora_weights": "olora"},
    "parameters": {"target_parameters": ["experts.weight"]},
    "pissa": {"init_lora_weights": "pissa_niter_16"},
    "qalora": {"use_qalora": True},
    "replication": {"layer_replication": [[0, 2]]},
    "tied": {"ensure_weight_tying": True},
    "tokens": {"trainable_token_indices": [1]},
    "a text for r": {"r": "8"},
    "a number for targets": {"target_modules": 5},
    "no rank": {"r": 0},
    "a list for patterns": {"rank_pattern": [1]},
    "true for r": {"r": True},
    "a bad expression": {"target_modules": "(.*"},
    "unknown type": {"peft_type": "BOFT"},
    "no type": {"peft_type": None},
    "a list for the type": {"peft_type": ["LORA"]},
}


WORDS = {
    "no rank": "lora_r",
    "a bad expression": "'(.*' in adapter_config.json is invalid",
    "unknown type": "of type 'BOFT'",
    "no type": "of type None",
    "a list for the type": "of type ['LORA']",
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_compute_something_else_are_refused_by_name(case: str, tmp_path: Path) -> None:
    error = refused(changed(LORA, tmp_path, **REFUSED[case]))
    assert WORDS.get(case, next(iter(REFUSED[case]))) in error.what


def test_a_regular_expression_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_peft_targets, "_SECONDS", 0.05)
    assert "takes too long" in refused(changed(LORA, tmp_path, target_modules=r"(.|\w)*[A-Z]")).what


def test_ways_to_begin_that_leave_the_backbone_alone_are_fine(tmp_path: Path) -> None:
    for start in (True, False, "gaussian", "eva", "orthogonal"):
        folder = changed(LORA, tmp_path / str(start), init_lora_weights=start)
        assert load(folder, base_of(LORA)).attached


def test_without_target_modules_the_tensors_say_where(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="target_modules is not said"):
        assert len(load(changed(LORA, tmp_path, target_modules=None), base_of(LORA)).hosts) == 4


def test_a_copy_of_a_backbone_tensor_is_dropped_and_another_value_is_owned(tmp_path: Path) -> None:
    model = base_of(LORA)
    words = model.bert.embeddings.word_embeddings.weight.detach().clone()
    name = "base_model.model.bert.embeddings.word_embeddings.weight"
    assert "word_embeddings" not in str(load(tampered(LORA, tmp_path / "same", lambda t: t.update({name: words})), model).owned)
    other = base_of(LORA)
    with pytest.warns(UserWarning, match=r"word_embeddings.weight of the backbone is in the file too"):
        delta = load(tampered(LORA, tmp_path / "other", lambda t: t.update({name: words + 1})), other)
    assert torch.equal(other.bert.embeddings.word_embeddings.weight, words + 1)
    delta.detach()
    assert torch.equal(other.bert.embeddings.word_embeddings.weight, words)


@pytest.mark.parametrize(
    ("settings", "hit", "missed"),
    [
        ({"target_modules": ["c2", "layers.1.q"]}, ["a.c2", "b.layers.1.q"], ["a.fc2", "layers.11.q"]),
        ({"target_modules": r".*\.q"}, ["layers.0.q"], ["q", "layers.0.q.x"]),
        ({"target_modules": ["q"], "layers_to_transform": [1]}, ["m.layers.1.q"], ["m.layers.0.q", "m.layers.0.experts.1.q"]),
        ({"target_modules": ["q"], "layers_to_transform": 2, "layers_pattern": "h"}, ["h.2.q"], ["layers.2.q", "h.1.q"]),
        ({"target_modules": ["q"], "exclude_modules": ["enc.q"]}, ["dec.q"], ["m.enc.q"]),
        ({"target_modules": "all-linear"}, ["anything"], []),
    ],
)
def test_pefts_rule_for_targets(settings: dict[str, Any], hit: list[str], missed: list[str]) -> None:
    targets = Targets.of(settings, [])
    assert [name for name in [*hit, *missed] if targets.hits(name)] == hit


def test_what_is_saved_whole_is_no_target() -> None:
    targets = Targets.of({"target_modules": ["dense"]}, ["classifier"])
    assert not targets.hits("classifier.dense")
    assert targets.hits("pooler.dense")


# Damage --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDERS / LORA, tmp_path / LORA))


def test_truncated_files_are_refused(copy: Path) -> None:
    whole = (copy / "adapter_model.safetensors").read_bytes()
    for length in (0, 7, 9, 100, len(whole) // 2, len(whole) - 1):
        (copy / "adapter_model.safetensors").write_bytes(whole[:length])
        assert "truncated or altered" in refused(copy).what
    (copy / "adapter_model.safetensors").unlink()
    assert "no adapter_model.safetensors" in refused(copy).what
    for text in ("", "{", "[1]", "{}", '{"peft_type": 3}', "[" * 10_000):
        (copy / "adapter_config.json").write_text(text)
        refused(copy)


class Bomb:
    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("bomb"), "boom"))


def test_a_pickle_is_read_without_running_it(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tensors = load_file(copy / "adapter_model.safetensors")
    (copy / "adapter_model.safetensors").unlink()
    torch.save(tensors, copy / "adapter_model.bin")
    model = base_of(LORA)
    load(copy, model)
    torch.testing.assert_close(logits_of(model), expected(LORA), atol=1e-5, rtol=0)
    for evil in ({**tensors, "x": Bomb()}, Bomb()):
        (copy / "adapter_model.bin").write_bytes(pickle.dumps(evil))
        assert "cannot be read as plain tensors" in refused(copy).what
        torch.save(evil, copy / "adapter_model.bin")
        assert "cannot be read as plain tensors" in refused(copy).what
    torch.save([1], copy / "adapter_model.bin")
    assert "something else than named tensors" in refused(copy).what
    assert not Path("bomb").exists()


@pytest.mark.parametrize("family", ["roberta", "distilbert", "gpt2"])
def test_another_backbone_is_refused(family: str) -> None:
    assert "hosts are not there" in refused(FOLDERS / LORA, make(family)).what


def test_a_backbone_of_another_size_is_refused() -> None:
    assert "misshapen" in refused(FOLDERS / LORA, bert()).what


@pytest.mark.parametrize("case", ["peft_prefix_bart", "peft_prompt_bart"])
def test_prompts_that_do_not_fit_are_refused(case: str, tmp_path: Path) -> None:
    assert "there is [3]" in refused(tampered(case, tmp_path / "a", put("prompt_embeddings", 3))).what
    assert "prompt_embeddings is to be" in refused(changed(case, tmp_path / "b", num_virtual_tokens=7)).what
    assert "num_virtual_tokens" in refused(changed(case, tmp_path / "c", num_virtual_tokens=None)).what
    assert "token_dim" in refused(changed(case, tmp_path / "d", token_dim=0)).what


def test_a_prefix_for_more_layers_is_refused() -> None:
    from transformers import BartConfig, BartForConditionalGeneration

    config = BartConfig.from_pretrained(FOLDERS / "base_bart", decoder_layers=3)
    assert "entries for 2 layers, and this model has 3" in refused(FOLDERS / "peft_prefix_bart", BartForConditionalGeneration(config)).what


def test_a_head_that_another_delta_owns_is_not_overwritten() -> None:
    model = base_of(LORA)
    first = AdapterModel(model, modified_modules=["output.dense"])
    first.freeze_module(exclude=["deltas", "classifier"])
    wanted = logits_of(model)
    with pytest.raises(DeltaError, match="belongs to the delta 'adapter'"):
        load(FOLDERS / LORA, model)
    assert list(deltas(model)) == ["adapter"]
    assert torch.equal(logits_of(model), wanted)


def test_two_deltas_in_one_folder_are_refused(copy: Path) -> None:
    LoraModel(bert(), modified_modules=["query"]).save_finetuned(copy / "own")
    for path in (copy / "own").iterdir():
        path.rename(copy / path.name)
    assert "holds two deltas" in refused(copy).what


def test_folders_of_all_formats_are_listed(tmp_path: Path) -> None:
    for case in CASES:
        shutil.copytree(FOLDERS / case, tmp_path / case)
    LoraModel(bert(), modified_modules=["query"]).save_finetuned(tmp_path / "own")
    bert().save_pretrained(tmp_path / "whole")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "adapter_config.json").write_text("{}")
    assert saved_folders(tmp_path) == sorted([*CASES, "own"])


def test_names_that_differ_in_a_number_are_declared_as_one_pattern(tmp_path: Path) -> None:
    def biased(tensors: dict[str, torch.Tensor]) -> None:
        for layer in (0, 1):
            for part in ("query", "value"):
                tensors[f"base_model.model.bert.encoder.layer.{layer}.attention.self.{part}.base_layer.bias"] = torch.full((32,), 0.5)

    folder = tampered(LORA, tmp_path, biased)
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "bias": "lora_only"}))
    model = base_of(LORA)
    delta = load(folder, model)
    assert model.bert.encoder.layer[1].attention.self.query.bias[0].item() == 0.5
    assert set(read(folder).freeze[0]["exclude"]) == {
        "deltas",
        "classifier",
        "bert.encoder.layer.0-1.attention.self.query.bias",
        "bert.encoder.layer.0-1.attention.self.value.bias",
    }
    delta.freeze_module(exclude=read(folder).freeze[0]["exclude"])
    assert model.bert.encoder.layer[0].attention.self.value.bias.requires_grad
    assert not model.bert.encoder.layer[0].attention.self.key.bias.requires_grad


def test_a_file_of_nothing_else_is_told(copy: Path) -> None:
    save_file({"prompt": torch.ones(1)}, copy / "adapter_model.safetensors")
    assert "no tensor of the type LORA" in refused(copy).what
