"""Folders that adapters wrote: equal logits for the reference folders, and its formulas, written out, for every other kind."""

from __future__ import annotations

import json
import pickle
from types import MethodType
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from deltanb import load
from deltanb._errors import DeltaError
from deltanb.checkpoints import read
from tests.interop import CASES, FOLDERS, base_of, changed, expected, lively, logits_of, tampered
from tests.models import assert_same, make, output_of, same_state
from tests.test_checkpoints_damage import unchanged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

ADAPTERS = [case for case in CASES if case.startswith("adapters_")]
PFEIFFER, HOULSBY = "adapters_pfeiffer_bert", "adapters_houlsby_bert"


def refused(folder: Path, model: nn.Module | None = None) -> str:
    model = base_of("bert") if model is None else model
    with unchanged(model), pytest.raises(DeltaError) as caught:
        load(folder, model)
    return caught.value.what


@pytest.mark.parametrize("case", ADAPTERS)
def test_the_logits_are_those_of_adapters_and_detach_takes_all_back(case: str) -> None:
    model = base_of(case)
    before, plain = same_state(model), logits_of(model)
    delta = load(FOLDERS / case, model)
    assert delta.name == "demo"
    torch.testing.assert_close(logits_of(model), expected(case), atol=1e-5, rtol=0)
    assert not torch.allclose(plain, expected(case), atol=1e-2)
    assert set(delta.owned) == {"classifier.weight", "classifier.bias"}
    delta.detach()
    assert_same(same_state(model), before)


@pytest.mark.parametrize("case", ADAPTERS)
def test_natively_saved_it_stays_the_same(case: str, tmp_path: Path) -> None:
    load(FOLDERS / case, base_of(case)).save_finetuned(tmp_path / "d")
    model = base_of(case)
    load(tmp_path / "d", model)
    torch.testing.assert_close(logits_of(model), expected(case), atol=1e-5, rtol=0)


# Kinds that have no reference folder -----------------------------------------------------------------------------------

SETTINGS = {"non_linearity": "relu", "scaling": 1.0, "original_ln_before": False, "original_ln_after": True, "residual_before_ln": True}
BERT = ["bert.encoder.layer.{}.attention.output", "bert.encoder.layer.{}.output"]
BART = ["model.encoder.layers.{}.output_adapters", "model.decoder.layers.{}.output_adapters"]


def folder_of(to: Path, family: str, settings: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Path:
    """A folder as adapters would write it."""
    data = {"config": {**SETTINGS, **settings}, "name": "demo", "model_type": family, "model_class": "", "model_name": ""}
    (to / "adapter_config.json").write_text(json.dumps(data))
    save_file(tensors, to / "adapter.safetensors")
    return to


def linear(places: list[str], width: int = 3, size: int = 16) -> dict[str, torch.Tensor]:
    """Tensors of bottleneck adapters at some places of both layers."""
    torch.manual_seed(3)
    shapes = {
        "adapter_down.0.weight": (width, size),
        "adapter_down.0.bias": (width,),
        "adapter_up.weight": (size, width),
        "adapter_up.bias": (size,),
    }
    full = [place.format(layer) for layer in (0, 1) for place in places]
    return {f"{place}.adapters.demo.{name}": torch.randn(shape) for place in full for name, shape in shapes.items()}


def bottleneck(tensors: dict[str, torch.Tensor], place: str) -> Callable[[torch.Tensor], torch.Tensor]:
    down, low, up, high = (
        tensors[f"{place}.adapters.demo.{name}"]
        for name in ("adapter_down.0.weight", "adapter_down.0.bias", "adapter_up.weight", "adapter_up.bias")
    )
    return lambda value: functional.linear(functional.relu(functional.linear(value, down, low)), up, high)


def rewrite_bert(model: Any, formula: Callable[..., torch.Tensor], parts: dict[str, Callable[[torch.Tensor], torch.Tensor]]) -> None:
    """Give BERT's output modules the forward that adapters gives them."""
    for name, part in parts.items():

        def forward(self: Any, hidden: torch.Tensor, residual: torch.Tensor, part: Any = part) -> torch.Tensor:
            return formula(self.dense(hidden), residual, self.LayerNorm, part)

        module = model.get_submodule(name)
        module.forward = MethodType(forward, module)


def agree(model: Any, oracle: Any) -> None:
    """Both give the same, and something else than the plain model."""
    wanted = output_of(oracle)
    torch.testing.assert_close(output_of(model), wanted, atol=1e-5, rtol=1e-4)
    assert (wanted - output_of(lively(model.config.model_type))).abs().max() > 1e-2


def test_a_parallel_adapter_takes_the_residual(tmp_path: Path) -> None:
    tensors = linear(BERT[1:])
    model, oracle = lively("bert"), lively("bert")
    places = [BERT[1].format(layer) for layer in (0, 1)]
    rewrite_bert(oracle, lambda x, inp, norm, f: norm(x + 4 * f(inp) + inp), {place: bottleneck(tensors, place) for place in places})
    delta = load(folder_of(tmp_path, "bert", {"is_parallel": True, "scaling": 4.0}, tensors), model)
    assert delta.delta_type == "parallel_adapter"
    agree(model, oracle)


@pytest.mark.parametrize("early", [False, True])
def test_both_sub_layers_scaled(early: bool, tmp_path: Path) -> None:  # noqa: FBT001
    tensors = linear(BERT)
    model, oracle = lively("bert"), lively("bert")
    parts = {place: bottleneck(tensors, place) for place in [name.format(layer) for name in BERT for layer in (0, 1)]}
    rewrite_bert(oracle, lambda x, inp, norm, f: norm(2 * f(norm(x + inp) if early else x) + x + inp), parts)
    delta = load(folder_of(tmp_path, "bert", {"scaling": 2.0, "original_ln_before": early}, tensors), model)
    assert delta.config.to_dict()["placement"] == ("at_norm" if early else "after")
    agree(model, oracle)


@pytest.mark.parametrize("shared", [False, True])
def test_compacter(shared: bool, tmp_path: Path) -> None:  # noqa: FBT001
    torch.manual_seed(3)
    places = [name.format(layer) for layer in (0, 1) for name in BERT]
    tensors: dict[str, torch.Tensor] = {}
    for place in places:
        for end, rows, columns in (("adapter_down.0", 16, 8), ("adapter_up", 8, 16)):
            own = {
                "W_left": (4, rows // 4, 1),
                "W_right": (4, 1, columns // 4),
                "b": (columns,),
                **({} if shared else {"phm_rule": (4, 4, 4)}),
            }
            tensors |= {f"{place}.adapters.demo.{end}.{name}": torch.randn(shape) for name, shape in own.items()}
    if shared:
        tensors["bert.shared_parameters.demo.phm_rule"] = torch.randn(4, 4, 4)

    def product(value: torch.Tensor, at: str) -> torch.Tensor:
        rule = tensors["bert.shared_parameters.demo.phm_rule"] if shared else tensors[f"{at}.phm_rule"]
        inner = tensors[f"{at}.W_left"] @ tensors[f"{at}.W_right"]
        return value @ sum(torch.kron(one, other) for one, other in zip(rule, inner, strict=True)) + tensors[f"{at}.b"]

    def part(place: str) -> Callable[[torch.Tensor], torch.Tensor]:
        at = f"{place}.adapters.demo"
        return lambda value: product(functional.gelu(product(value, f"{at}.adapter_down.0")), f"{at}.adapter_up")

    model, oracle = lively("bert"), lively("bert")
    rewrite_bert(oracle, lambda x, inp, norm, f: norm(x + f(x) + inp), {place: part(place) for place in places})
    settings = {"phm_layer": True, "phm_dim": 4, "shared_phm_rule": shared, "non_linearity": "gelu"}
    delta = load(folder_of(tmp_path, "bert", settings, tensors), model)
    assert (delta.delta_type, delta.config.to_dict()["reduction_factor"]) == ("compacter", 2)
    agree(model, oracle)


def test_at_barts_norms(tmp_path: Path) -> None:
    tensors = linear(BART)
    model, oracle = lively("bart"), lively("bart")
    for name in [place.format(layer) for place in BART for layer in (0, 1)]:
        norm = oracle.get_submodule(name.replace("output_adapters", "final_layer_norm"))
        plain, part = norm.forward, bottleneck(tensors, name)
        norm.forward = lambda total, plain=plain, part=part: plain(part(plain(total)) + total)
    load(folder_of(tmp_path, "bart", {"original_ln_before": True}, tensors), model)
    agree(model, oracle)


@pytest.mark.parametrize("early", [False, True])
def test_gpt2_has_no_norm_behind_its_feed_forward(early: bool, tmp_path: Path) -> None:  # noqa: FBT001
    tensors = linear(["transformer.h.{}.output_adapters"])
    model, oracle = lively("gpt2"), lively("gpt2")
    for layer in (0, 1):
        part = bottleneck(tensors, f"transformer.h.{layer}.output_adapters")
        block = oracle.transformer.h[layer]
        (block if early else block.mlp).register_forward_hook(lambda _m, _i, out, part=part: out + part(out))
    load(folder_of(tmp_path, "gpt2", {"original_ln_before": early}, tensors), model)
    agree(model, oracle)


def test_lora(tmp_path: Path) -> None:
    torch.manual_seed(3)
    names = [f"bert.encoder.layer.{layer}.attention.self.{part}" for layer in (0, 1) for part in ("query", "value")]
    tensors = {f"{name}.loras.demo.lora_{key}": torch.randn(2, 16) if key == "A" else torch.randn(16, 2) for name in names for key in "AB"}
    model, oracle = lively("bert"), lively("bert")
    for name in names:
        with torch.no_grad():
            update = tensors[f"{name}.loras.demo.lora_B"] @ tensors[f"{name}.loras.demo.lora_A"]
            oracle.get_submodule(name).weight.add_(update * 4 / 2)
    load(folder_of(tmp_path, "bert", {"architecture": "lora", "r": 2, "alpha": 4, "composition_mode": "add"}, tensors), model)
    agree(model, oracle)


def test_names_from_the_model_without_its_head(tmp_path: Path) -> None:
    tensors = linear(BERT[1:])
    bare = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
    (tmp_path / "bare").mkdir()
    model, other, inner = make("bert"), make("bert"), make("bert").bert
    load(folder_of(tmp_path, "bert", {}, tensors), model)
    load(folder_of(tmp_path / "bare", "bert", {}, bare), other)
    assert torch.equal(output_of(model), output_of(other))
    assert load(tmp_path, inner).hosts == ["encoder.layer.0.output.dense", "encoder.layer.1.output.dense"]


# What is refused -------------------------------------------------------------------------------------------------------


def with_setting(to: Path, **settings: Any) -> Path:
    config = json.loads((FOLDERS / PFEIFFER / "adapter_config.json").read_text())["config"]
    return changed(PFEIFFER, to, config={**config, **settings})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ln_before": True}, "ln_before=True: it has a norm of its own"),
        ({"use_gating": True}, "use_gating=True"),
        ({"inv_adapter": "nice"}, "inv_adapter='nice'"),
        ({"original_ln_after": False}, "original_ln_after=False"),
        ({"residual_before_ln": "post_add"}, "residual_before_ln='post_add'"),
        ({"scaling": "learned"}, "scaling='learned'"),
        ({"phm_layer": True}, "original_ln_before=True"),
        ({"architecture": "prefix_tuning"}, "of the kind 'prefix_tuning'"),
        ({"architecture": ["lora"]}, "of the kind ['lora']"),
        ({"architecture": "lora"}, "holds no adapter 'demo'"),
        ({"non_linearity": "relish"}, "non_linearity must be one of"),
        ({"non_linearity": None}, "non_linearity must be one of"),
    ],
)
def test_settings_that_compute_something_else_are_refused_by_name(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert words in refused(with_setting(tmp_path, **settings))


def test_facts_that_are_damaged_are_refused(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"config": "pfeiffer"}, "does not say how"),
        ({"name": 3}, "does not say how"),
        ({"name": "other"}, "holds no adapter 'other'"),
        ({"model_type": "mamba"}, "an adapter for 'mamba'"),
        ({"model_type": None}, "an adapter for None"),
        ({"model_type": "bart"}, "holds no adapter 'demo'"),
    ]
    for at, (facts, words) in enumerate(cases):
        assert words in refused(changed(PFEIFFER, tmp_path / str(at), **facts))


DOWN = "bert.encoder.layer.0.output.adapters.demo.adapter_down.0"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop(f"{DOWN}.weight"), "1 missing"),
        (lambda tensors: tensors.update({f"{DOWN}.gate": torch.ones(1)}), "1 surplus"),
        (lambda tensors: tensors.update({f"{DOWN}.weight": torch.ones(8, 31)}), "1 misshapen"),
        (lambda tensors: tensors.update({f"{DOWN}.bias": torch.ones(5)}), "several sizes (5 to 8)"),
        (lambda tensors: tensors.update({f"{DOWN}.bias": torch.tensor(1.0)}), "several sizes"),
        (lambda tensors: tensors.clear(), "holds no adapter 'demo'"),
    ],
    ids=["missing", "surplus", "misshapen", "sizes", "a number", "none"],
)
def test_tensors_that_do_not_fit_are_named(change: Callable[[Any], object], words: str, tmp_path: Path) -> None:
    assert words in refused(tampered(PFEIFFER, tmp_path, change))


def test_a_head_of_another_kind_is_refused_and_left_out_on_request(tmp_path: Path) -> None:
    folder = changed(HOULSBY, tmp_path)
    head = load_file(folder / "model_head.safetensors")
    save_file({f"heads.demo.1.{name}": tensor for name, tensor in head.items()}, folder / "model_head.safetensors")
    assert "head is of adapters' own kind" in refused(folder)
    model = base_of("bert")
    with pytest.warns(UserWarning, match="own kind"):
        delta = load(folder, model, strict=False)
    assert not delta.owned


def test_truncated_and_executable_files_are_refused(tmp_path: Path) -> None:
    folder = changed(PFEIFFER, tmp_path)
    for name in ("adapter.safetensors", "model_head.safetensors"):
        whole = (folder / name).read_bytes()
        for length in (0, 9, len(whole) - 1):
            (folder / name).write_bytes(whole[:length])
            assert "truncated or altered" in refused(folder)
        (folder / name).write_bytes(whole)
    tensors = load_file(folder / "adapter.safetensors")
    (folder / "adapter.safetensors").unlink()
    assert "has no adapter.safetensors" in refused(folder)
    (folder / "pytorch_adapter.bin").write_bytes(pickle.dumps(print))
    assert "cannot be read as plain tensors" in refused(folder)
    torch.save(tensors, folder / "pytorch_adapter.bin")
    model = base_of("bert")
    load(folder, model)
    torch.testing.assert_close(logits_of(model), expected(PFEIFFER), atol=1e-5, rtol=0)


def test_dropout_of_its_own_is_said_to_be_left_out(tmp_path: Path) -> None:
    assert read(with_setting(tmp_path, dropout=0.1)).notes == ["dropout=0.1, which acts in training alone, is left out"]


def test_another_backbone_is_refused() -> None:
    assert "hosts are not there" in refused(FOLDERS / PFEIFFER, make("roberta"))
