"""What a delta would cost: the cases that the browser's formulas are tested with, and the file that is really saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from transformers import BertConfig, BertModel

from deltanb._errors import DeltaError
from deltanb.engine import DELTA_TYPES, describe_types, host_dims, plan
from tests.costs import MODELS, cases_of
from tests.models import SMALL, make, of_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

CASES = Path(__file__).parent / "cases" / "costs.json"
FAST = ("bert", "gpt2", "llama")


@pytest.mark.parametrize("name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in MODELS])
def test_the_cases_for_the_browser_are_what_the_engine_says(name: str, request: pytest.FixtureRequest) -> None:
    made = json.loads(json.dumps(cases_of(name)))
    if request.config.getoption("--overwrite"):
        _write({**(_read() if CASES.exists() else {}), name: made})
    assert made == _read()[name], f"{CASES.name} differs for {name}; --overwrite accepts the change (run with -m '' for all models)"


def test_the_types_for_the_browser_are_those_that_there_are(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--overwrite"):
        _write({**_read(), "types": describe_types()})
    assert describe_types() == _read()["types"]
    assert {"types", *MODELS} == set(_read())


def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CASES.read_text(encoding="utf-8"))
    return found


def _write(found: Mapping[str, Any]) -> None:
    """One line a case, so that a change can be read."""
    parts = {name: _lines(found[name]) for name in sorted(found)}
    CASES.write_text("{\n" + ",\n".join(f"{_text(name)}:{text}" for name, text in parts.items()) + "\n}\n", encoding="utf-8")


def _lines(part: Any) -> str:
    if isinstance(part, list):
        return "[\n" + ",\n".join(map(_text, part)) + "\n]"
    return f'{{"model":{_text(part["model"])},\n"memory":{_text(part["memory"])},\n"cases":{_lines(part["cases"])}}}'


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("kind", DELTA_TYPES)
def test_every_option_is_described_with_the_limits_that_hold(kind: str) -> None:
    config = DELTA_TYPES[kind].config_class
    described = next(entry for entry in describe_types() if entry["type"] == kind)
    options = {entry["name"]: entry for entry in described["options"]}
    assert sorted(options) == sorted(config.option_names())
    assert [entry["rare"] for entry in described["options"]] == sorted(entry["rare"] for entry in described["options"])
    for name, entry in options.items():
        assert entry["help"]
        config.checked(name, entry["default"])
        for value in _outside(entry):
            with pytest.raises(DeltaError, match=name):
                config.checked(name, value)


def _outside(entry: Mapping[str, Any]) -> list[Any]:
    """Values just past what an option allows, by its description."""
    plain = entry["kind"] in ("int", "float")
    found: list[Any] = [entry["min"] - 1] if plain and entry["min"] is not None else []
    found += [entry["max"]] if plain and entry["max"] is not None else []
    found += ["no such choice"] if entry["choices"] else []
    found += [0.5, "many"] if entry["kind"] == "int" else []
    return found if entry["optional"] else [*found, None]


@pytest.mark.parametrize("kind", sorted(DELTA_TYPES))
def test_a_plan_tells_what_attaching_brings_and_the_size_of_the_file(kind: str, tmp_path: Path) -> None:
    config = BertConfig(hidden_size=192, num_hidden_layers=6, num_attention_heads=4, intermediate_size=384, vocab_size=50)
    model = BertModel(config)
    planned = plan(model, kind)
    delta = DELTA_TYPES[kind](model)
    tensors = delta.tensors()
    assert (planned.hosts, planned.tensors) == (len(delta.hosts), len(tensors))
    assert planned.parameters == sum(tensor.numel() for tensor in tensors.values())
    delta.save_finetuned(tmp_path)
    saved = (tmp_path / "model.safetensors").stat().st_size
    assert planned.bytes == pytest.approx(saved, rel=0.02)


def test_a_second_delta_has_a_file_of_the_size_that_the_first_one_has(bert: nn.Module) -> None:
    first = plan(bert, "adapter")
    of_type("adapter", bert)
    assert plan(bert, "adapter").bytes == first.bytes


def test_what_a_plan_trains_leaves_out_rules_that_do_not(bert: nn.Module) -> None:
    rules = {"learn_phm": False, **SMALL["compacter"]}
    fixed, learnt = plan(bert, "compacter", **rules), plan(bert, "compacter", **{**rules, "learn_phm": True})
    assert learnt.parameters - fixed.parameters == fixed.hosts * 2 * 2**3
    assert learnt.tensors == fixed.tensors


def test_a_tied_bias_is_counted_once() -> None:
    from transformers import BertForMaskedLM

    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
    planned = plan(BertForMaskedLM(config), "bitfit", "predictions")
    assert (planned.tensors, planned.parameters) == (4, 30 + 8 + 8)


def test_sizes_of_blocks_take_one_pass_and_are_not_guessed() -> None:
    model = make("bart")
    dims = host_dims(model)
    assert dims["model.encoder.layers.0.self_attn"] == [16, 16]
    assert all("fc1" not in name for name in dims)  # its type tells
    assert host_dims(make("plain"), ["blocks"]) == {"blocks": [None, None]}


@pytest.fixture
def bert() -> nn.Module:
    return make("bert")  # type: ignore[no-any-return]
