"""Folders written for PEFT: PEFT loads them with the very same logits, and deltanb reads them back without loss."""

from __future__ import annotations

import copy
import importlib
import json
import re
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from deltanb import AdapterModel, IA3Model, LnTuningModel, LoraModel, PrefixModel, SoftPromptModel, load, save
from deltanb._errors import DeltaError
from deltanb.checkpoints import read
from tests.interop import FOLDERS, base_of, expected, lively, logits_of
from tests.models import batch_for, learn, make, output_of, stir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from deltanb.engine import DeltaModel

HEAD = ["deltas", "classifier"]
# Name: family, how to attach, what trains.
MADE: dict[str, tuple[str, Callable[[Any], DeltaModel], list[str]]] = {
    "lora": ("bert", lambda m: LoraModel(m, modified_modules=["query"]), ["deltas"]),
    "lora, head and biases": ("bert", lambda m: LoraModel(m, modified_modules=["query"]), [*HEAD, "query.bias"]),
    "lora, one layer": ("roberta", lambda m: LoraModel(m, modified_modules=["layer.0.attention.self.query"]), HEAD),
    "lora, norms": ("t5", lambda m: LoraModel(m, modified_modules=["q", "v"]), ["deltas", "final_layer_norm"]),
    "lora, a head that ends alike": ("distilbert", lambda m: LoraModel(m, modified_modules=["q_lin"]), HEAD),
    "lora, on the head": ("bert", lambda m: LoraModel(m, modified_modules=["query", "classifier"]), ["deltas"]),
    "lora, on Conv1D": ("gpt2", lambda m: LoraModel(m, modified_modules=["c_attn", "c_fc"]), ["deltas"]),
    "lora, on embeddings": ("bert", lambda m: LoraModel(m, modified_modules=["word_embeddings"]), ["deltas"]),
    "lora, ranks and scales": (
        "bert",
        lambda m: LoraModel(
            m,
            modified_modules=["query", "dense"],
            use_rslora=True,
            rank_pattern={"query": 3},
            alpha_pattern={"layer.0.attention.self.query": 5.5},
        ),
        HEAD,
    ),
    "dora": ("bert", lambda m: LoraModel(m, modified_modules=["query"], use_dora=True), HEAD),
    "dora, an odd scale": (
        "bert",
        lambda m: LoraModel(m, modified_modules=["query", "dense"], use_dora=True, lora_r=3, lora_alpha=5),
        ["deltas"],
    ),
    "dora, on Conv1D": ("gpt2", lambda m: LoraModel(m, modified_modules=["c_attn"], use_dora=True), ["deltas"]),
    "dora, on embeddings": ("bert", lambda m: LoraModel(m, modified_modules=["word_embeddings"], use_dora=True), ["deltas"]),
    "ia3": ("bert", lambda m: IA3Model(m, modified_modules=["key", "output.dense"], feedforward_modules=["output.dense"]), HEAD),
    "ia3, outputs alone": ("llama", lambda m: IA3Model(m, modified_modules=["k_proj"], feedforward_modules=[]), ["deltas"]),
    "ia3, on Conv1D": ("gpt2", lambda m: IA3Model(m, modified_modules=["c_attn", "mlp.c_proj"]), ["deltas"]),
    "norms": ("bert", LnTuningModel, HEAD),
    "prompt": ("gpt2", lambda m: SoftPromptModel(m, 3, shift_positions=True, keep_rows=True), ["deltas"]),
    "prompt, pooled": ("bert", lambda m: SoftPromptModel(m, 3, shift_positions=True, keep_rows=True), HEAD),
    "prompt, encoder": ("bart", lambda m: SoftPromptModel(m, 3, shift_positions=True), ["deltas"]),
    "prefix": ("gpt2", lambda m: PrefixModel(m, 3, reparameterize=False, shift_positions=True), ["deltas"]),
    "prefix, pooled": ("bert", lambda m: PrefixModel(m, 3, reparameterize=False, shift_positions=True), HEAD),
}


@pytest.fixture(scope="module")
def peft() -> Any:
    """PEFT itself: it takes seconds to import."""
    return importlib.import_module("peft")


def trained(model: nn.Module, case: tuple[str, Callable[[Any], DeltaModel], list[str]]) -> DeltaModel:
    delta = case[1](model)
    delta.freeze_module(exclude=case[2])
    learn(delta)
    return delta


def in_peft(peft: Any, model: nn.Module, folder: Path) -> torch.Tensor:
    """What PEFT computes with a folder, with no warning about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for message in ("Unsupported layer type", "`is_gradient_checkpointing`"):
            warnings.filterwarnings("ignore", message)
        loaded = peft.PeftModel.from_pretrained(copy.deepcopy(model), folder).eval()
    return output_of(loaded, **batch_for(model))


@pytest.mark.parametrize("name", MADE)
def test_peft_computes_the_same_and_nothing_is_lost_on_the_way_back(name: str, peft: Any, tmp_path: Path) -> None:
    case = MADE[name]
    plain = lively(case[0])
    model = copy.deepcopy(plain)
    delta = trained(model, case)
    wanted = output_of(model)
    assert not torch.allclose(wanted[:, -1], output_of(plain)[:, -1], atol=1e-3)
    delta.save_finetuned(tmp_path / "d", format="peft")
    assert torch.equal(in_peft(peft, plain, tmp_path / "d"), wanted)
    fresh = copy.deepcopy(plain)
    back = load(tmp_path / "d", fresh)
    assert torch.equal(output_of(fresh), wanted)
    assert (back.config, back.hosts) == (delta.config, delta.hosts)
    now, then = back.tensors(), delta.tensors()
    assert now.keys() == then.keys()
    assert all(torch.equal(now[key], then[key]) for key in then)


@pytest.mark.parametrize("name", ["lora, head and biases", "lora, ranks and scales", "ia3", "norms", "prompt", "prefix"])
def test_without_deltanbs_own_file_the_folder_is_read_as_pefts(name: str, tmp_path: Path) -> None:
    case = MADE[name]
    plain = lively(case[0])
    model = copy.deepcopy(plain)
    trained(model, case).save_finetuned(tmp_path / "d", format="peft")
    (tmp_path / "d" / "deltanb.json").unlink()
    fresh = copy.deepcopy(plain)
    load(tmp_path / "d", fresh)
    assert torch.equal(output_of(fresh), output_of(model))


@pytest.mark.filterwarnings("ignore:PEFT never uses the last 5")
@pytest.mark.parametrize(
    "case", ["peft_lora_bart", "peft_lora_bert_patterns_rslora", "peft_ia3_bert", "peft_prefix_bart", "peft_prompt_bart"]
)
def test_from_peft_and_back_to_peft(case: str, peft: Any, tmp_path: Path) -> None:
    delta = load(FOLDERS / case, base_of(case))
    delta.save_finetuned(tmp_path / "d", format="peft")
    model = peft.PeftModel.from_pretrained(base_of(case), tmp_path / "d").eval()
    torch.testing.assert_close(logits_of(model), expected(case), atol=1e-5, rtol=0)
    names = set(load_file(tmp_path / "d" / "adapter_model.safetensors"))
    assert names == set(load_file(FOLDERS / case / "adapter_model.safetensors"))


def test_what_peft_trained_further_is_read_without_the_old_facts(peft: Any, tmp_path: Path) -> None:
    plain = lively("bert")
    trained(copy.deepcopy(plain), MADE["lora, head and biases"]).save_finetuned(tmp_path / "d", format="peft")
    model = peft.PeftModel.from_pretrained(copy.deepcopy(plain), tmp_path / "d", is_trainable=True)
    with torch.no_grad():
        next(p for name, p in model.named_parameters() if "lora_A" in name).add_(1)
    model.save_pretrained(tmp_path / "d")
    fresh = copy.deepcopy(plain)
    with pytest.warns(UserWarning, match=r"deltanb\.json was written for other files"):
        load(tmp_path / "d", fresh)
    assert torch.equal(output_of(fresh), output_of(model.eval(), **batch_for(plain)))


def test_the_same_delta_gives_the_same_bytes_and_sorted_settings(tmp_path: Path) -> None:
    delta = trained(lively("bert"), MADE["lora, ranks and scales"])
    once, twice = (save(delta, tmp_path / name, format="peft") for name in ("one", "two"))
    assert sorted(path.name for path in once.iterdir()) == ["adapter_config.json", "adapter_model.safetensors", "deltanb.json"]
    assert all(path.read_bytes() == (twice / path.name).read_bytes() for path in once.iterdir())
    settings = json.loads((once / "adapter_config.json").read_text())
    assert list(settings) == sorted(settings)
    assert settings["target_modules"] == sorted(settings["target_modules"])


def test_a_detached_delta_is_written_too(tmp_path: Path) -> None:
    plain = lively("bert")
    model = copy.deepcopy(plain)
    delta = trained(model, MADE["lora, head and biases"])
    wanted = output_of(model)
    delta.detach().save_finetuned(tmp_path / "d", format="peft")
    load(tmp_path / "d", plain)
    assert torch.equal(output_of(plain), wanted)


NO_FORM: dict[str, tuple[str, Callable[[Any], DeltaModel], list[str], str]] = {
    "adapter": (
        "bert",
        lambda m: AdapterModel(m, modified_modules=["output.dense"]),
        ["deltas"],
        "One of the types that PEFT has: lora, ia3",
    ),
    "head under an adapter": (
        "bert",
        lambda m: LoraModel(m, modified_modules=["query", "classifier"]),
        HEAD,
        "classifier would have to be saved whole, and the adapter sits on classifier",
    ),
    "tied tensor": ("bart", lambda m: LoraModel(m, modified_modules=["q_proj"]), ["deltas", "embed_tokens"], "is one tensor with"),
    "positions": ("gpt2", lambda m: PrefixModel(m, 3, reparameterize=False), ["deltas"], "shift_positions is off"),
    "prompt's rows": ("gpt2", lambda m: SoftPromptModel(m, 3, shift_positions=True), ["deltas"], "keep_rows is off"),
    "prefix in the encoder": (
        "t5",
        lambda m: PrefixModel(m, 3, reparameterize=False, shift_positions=True),
        ["deltas"],
        "sits in 4 attentions",
    ),
    "a prefix for each layer": (
        "bart",
        lambda m: PrefixModel(m, 3, reparameterize=False, shift_positions=True, modified_modules=["decoder.layers.*.self_attn"]),
        ["deltas"],
        "gives two decoder layers the same one",
    ),
    "no earlier keys": (
        "distilbert",
        lambda m: PrefixModel(m, 3, reparameterize=False, shift_positions=True),
        ["deltas"],
        "takes no earlier keys",
    ),
}


@pytest.mark.filterwarnings("ignore:.* is one tensor with")
@pytest.mark.parametrize("name", NO_FORM)
def test_what_peft_would_compute_differently_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    family, build, words, reason = NO_FORM[name]
    delta = trained(lively(family), (family, build, words))
    with pytest.raises(DeltaError, match=re.escape(reason)):
        delta.save_finetuned(tmp_path / "d", format="peft")
    assert not (tmp_path / "d").exists()


def test_of_a_prefix_from_a_network_the_rows_are_written(peft: Any, tmp_path: Path) -> None:
    plain = lively("gpt2")
    model = copy.deepcopy(plain)
    delta = trained(model, ("gpt2", lambda m: PrefixModel(m, 3, embed_dim=4, mid_dim=4, shift_positions=True), ["deltas"]))
    delta.save_finetuned(tmp_path / "d", format="peft")
    assert not (tmp_path / "d" / "deltanb.json").exists()
    assert torch.equal(in_peft(peft, plain, tmp_path / "d"), output_of(model))
    assert load(tmp_path / "d", plain).config.to_dict()["reparameterize"] is False
    assert torch.equal(output_of(plain), output_of(model))


def test_a_folder_of_the_other_format_is_replaced_only_on_request(tmp_path: Path) -> None:
    delta = trained(lively("bert"), MADE["lora"])
    for first, second in (("deltanb", "peft"), ("peft", "deltanb")):
        folder = delta.save_finetuned(tmp_path / first, format=first)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(DeltaError, match="format"):
            delta.save_finetuned(folder, format=second)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        delta.save_finetuned(folder, format=second, force=True)
        assert not {path.name for path in folder.iterdir()} & before.keys()
        assert load(folder, lively("bert")).config == delta.config
    with pytest.raises(DeltaError, match="There is no format 'PEFT'"):
        delta.save_finetuned(tmp_path / "x", format="PEFT")


def test_a_skeleton_has_nothing_to_write(tmp_path: Path) -> None:
    delta = LoraModel(make("bert", device="meta"), modified_modules=["query"])
    with pytest.raises(DeltaError, match="skeleton"):
        delta.save_finetuned(tmp_path / "d", format="peft")
    assert not (tmp_path / "d").exists()


def test_deltanbs_own_file_must_be_as_it_was_written(tmp_path: Path) -> None:
    folder = trained(lively("bert"), MADE["lora"]).save_finetuned(tmp_path / "d", format="peft")
    text = (folder / "deltanb.json").read_text()
    (folder / "deltanb.json").write_text(text.replace('"lora_alpha": 16.0', '"lora_alpha": 8.0'))
    with pytest.raises(DeltaError, match="was edited"):
        load(folder, lively("bert"))
    for broken in ("", "[]", "{}"):
        (folder / "deltanb.json").write_text(broken)
        with pytest.raises(DeltaError, match=r"deltanb\.json"):
            load(folder, lively("bert"))


# Family, what PEFT is told, how many backbone tensors the delta owns then.
BY_PEFT: dict[str, tuple[str, dict[str, Any], int]] = {
    "all biases": ("bert", {"target_modules": ["query"], "bias": "all", "task_type": "SEQ_CLS"}, 20),
    "the targets' biases": ("bert", {"target_modules": ["query"], "bias": "lora_only", "task_type": "SEQ_CLS"}, 4),
    "all linear layers": ("bert", {"target_modules": "all-linear", "task_type": "SEQ_CLS"}, 2),
    "an expression": ("bert", {"target_modules": r".*layer\.\d\.attention\.self\.(query|key)"}, 0),
    "one layer": ("bert", {"target_modules": ["query"], "layers_to_transform": [1]}, 0),
    "embeddings copied along": ("llama", {"target_modules": ["q_proj", "embed_tokens", "lm_head"], "task_type": "CAUSAL_LM"}, 0),
    "dora, rank-stabilised": ("bert", {"target_modules": ["query"], "use_dora": True, "use_rslora": True, "r": 3}, 0),
    "a module that ends alike": ("distilbert", {"target_modules": ["q_lin"], "task_type": "SEQ_CLS"}, 4),
}


def by_peft(peft: Any, plain: Any, folder: Path, **settings: Any) -> torch.Tensor:
    """Have PEFT train something and write it; what it computes then."""
    model = peft.get_peft_model(copy.deepcopy(plain), peft.LoraConfig(**settings)).eval()
    stir([parameter for parameter in model.parameters() if parameter.requires_grad])
    model.save_pretrained(folder)
    return output_of(model, **batch_for(plain))


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`", "ignore:Could not find a config file", "ignore:`is_gradient")
@pytest.mark.parametrize("name", BY_PEFT)
def test_what_peft_makes_is_read_and_written_back(name: str, peft: Any, tmp_path: Path) -> None:
    family, settings, owned = BY_PEFT[name]
    plain = lively(family)
    wanted = by_peft(peft, plain, tmp_path / "theirs", **settings)
    model = copy.deepcopy(plain)
    delta = load(tmp_path / "theirs", model)
    assert torch.equal(output_of(model), wanted)
    assert len(delta.owned) == owned
    for entry in read(tmp_path / "theirs", model).freeze:
        delta.freeze_module(exclude=entry["exclude"])
    assert len(delta.owned) == owned
    delta.save_finetuned(tmp_path / "ours", format="peft")
    assert torch.equal(in_peft(peft, plain, tmp_path / "ours"), wanted)


def test_a_copy_of_a_tied_tensor_cannot_be_taken(peft: Any, tmp_path: Path) -> None:
    plain = lively("t5")
    by_peft(peft, plain, tmp_path, target_modules=["q"], modules_to_save=["lm_head"], task_type="SEQ_2_SEQ_LM")
    with pytest.raises(DeltaError, match=r"lm_head\.weight is one tensor with shared\.weight here"):
        load(tmp_path, plain)
    with pytest.warns(UserWarning, match="it is left out"):
        assert not load(tmp_path, plain, strict=False).owned
