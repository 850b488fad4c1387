"""Addressing: errors that lead on, hints, limits of time; and what a model's own names and roles add."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import deltanb
from deltanb._errors import DeltaError
from deltanb.addressing import match_names
from deltanb.addressing._regex import SECONDS as regex_seconds  # noqa: N811
from tests.models import make

MODELS = json.loads((Path(__file__).parent / "cases" / "addressing.json").read_text(encoding="utf-8"))["models"]


def failure(*args: Any, **more: Any) -> DeltaError:
    with pytest.raises(DeltaError) as caught:
        match_names(*args, **more)
    return caught.value


def test_the_nearest_names_are_offered() -> None:
    assert failure(MODELS["bart"], "q_porj").nearest[0] == "q_proj"
    assert failure(MODELS["bart"], "decoder.fc2").nearest[0] == "fc2"


def test_another_familys_name_gets_this_familys() -> None:
    error = failure(MODELS["bert12"], "fc2")
    assert error.nearest[0] == "output.dense"
    assert error.try_ == "%delta match output.dense"
    assert "query" in failure(MODELS["bert12"], "q_proj").nearest
    assert "fc2" in failure(MODELS["bart"], "output.dense").nearest


@pytest.mark.parametrize("word", ["query", "output.dense", "LayerNorm", "wo", "q_lin", "self_attn", "classifier", "zzz"])
def test_what_is_offered_really_matches(word: str) -> None:
    for names in MODELS.values():
        try:
            match_names(names, word)
        except DeltaError as error:
            for near in error.nearest:
                assert match_names(names, near)


def test_a_parameter_is_no_module_and_the_error_says_so() -> None:
    model = make("mixtral")
    with pytest.raises(DeltaError, match="parameter") as caught:
        deltanb.match(model, "experts.down_proj")
    assert "model.layers.0.mlp.experts" in caught.value.expected
    with pytest.raises(DeltaError, match="parameter"):
        deltanb.match(make("bert"), "query.bias")


def test_one_of_several_that_hits_nothing_is_named() -> None:
    text = str(failure(MODELS["bart"], ["fc2", "fc3", "fc1"]))
    assert "'fc3' matches none" in text
    assert "'fc2', 'fc1' would match" in text
    assert "exclude pattern 'fc4'" in str(failure(MODELS["bart"], "fc2", exclude="fc4"))


@pytest.mark.parametrize(
    ("source", "position", "reason"), [("fc(2", "4", r"missing \)"), ("*a", "0", "nothing to repeat"), ("a[b", "3", "unterminated")]
)
def test_an_invalid_regex_says_where_and_why(source: str, position: str, reason: str) -> None:
    text = str(failure(["a"], f"[r]{source}"))
    assert re.search(rf"at position {position}\b.*{reason}", text), text


# Each takes minutes or years on one of the names where nothing stops it.
SLOW = ["(.*)*x", "(a|aa)+$", "((a|aa)b?)*c$", "(?:(?:a|aa)b?)*c$", "(a|a?)+$", r"(a)\1*(\1|aa)*$", ".*.*.*x$", ".*.*c$"]


@pytest.mark.parametrize("name", ["a" * 38 + "xb", "b" * 3000 + "xb"], ids=["short", "long"])
@pytest.mark.parametrize("source", SLOW)
def test_a_catastrophic_regex_comes_back_in_time(source: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deltanb.addressing._regex.SECONDS", 0.2)
    start = time.process_time()
    with pytest.raises(DeltaError, match=r"did not finish|matches none"):
        match_names([name, *MODELS["bert12"]], f"[r]{source}")
    assert time.process_time() - start < 1


def test_the_limit_of_a_regex_is_in_seconds() -> None:
    assert 0 < regex_seconds <= 1


def test_a_backwards_range_is_turned_round_in_the_advice() -> None:
    assert failure(MODELS["bart"], "layers.5-2.fc2").try_ == "%delta match layers.2-5.fc2"


@pytest.mark.parametrize("patterns", [5, None, b"fc2", [b"fc2"], ["fc2", 3], object()])
def test_what_is_no_text_is_refused(patterns: Any) -> None:
    assert "must be text" in str(failure(["fc2"], patterns))
    with pytest.raises(DeltaError, match="must be text"):
        deltanb.match(nn.Sequential(nn.Linear(1, 1)), patterns)


def test_an_unknown_role_is_told_from_an_unknown_family() -> None:
    with pytest.raises(DeltaError, match="matches none"):
        deltanb.match(make("bert"), "attn@.nope@")
    with pytest.raises(DeltaError, match="family"):
        deltanb.match(make("plain"), "attn@.q@")


def test_uneven_coverage_is_pointed_out() -> None:
    names = [f"layers.{i}.{'mlp' if i < 25 else 'moe'}" for i in range(30)]
    (hint,) = match_names(names, "mlp").hints
    assert "25 of the 30" in hint
    assert "under layers (not 25, 26, 27, 28, 29)" in hint


@pytest.mark.parametrize("pattern", ["layers.0-3.mlp", "layers.2.mlp", r"[r]layers\.[0-3]\.mlp"])
def test_who_spells_out_numbers_is_not_corrected(pattern: str) -> None:
    assert match_names([f"layers.{i}.mlp" for i in range(30)], pattern).hints == []


@pytest.mark.parametrize("pattern", ["SelfAttention", "EncDecAttention", "DenseReluDense.wo", "SelfAttention.q,v"])
def test_sub_layers_of_t5_are_no_siblings(pattern: str) -> None:
    assert match_names(MODELS["t5"], pattern).hints == []


def test_an_exclude_without_effect_is_pointed_out() -> None:
    assert match_names(MODELS["bart"], "fc2", "q_proj").hints == ["exclude 'q_proj' takes nothing out"]


def test_what_belongs_to_a_delta_is_never_hit() -> None:
    model = make("mixtral")
    before = deltanb.match(model, "q_proj,gate")
    deltanb.LoraModel(model, modified_modules=["q_proj"])
    deltanb.AdapterModel(model, modified_modules=["self_attn"])
    assert deltanb.match(model, "q_proj,gate") == before
    for own in ("down_proj", "up_proj", "lora", "modulelist", "adapter"):
        with pytest.raises(DeltaError):
            deltanb.match(model, own)


def test_ten_thousand_names_are_no_burden() -> None:
    names = [f"model.layers.{i // 10}.part{i % 10}{end}" for i in range(5_000) for end in ("", ".x")]
    start = time.process_time()
    for pattern in ("x", "layers.$.part1,part2.*", r"[r]part[0-4]\.x"):
        assert match_names(names, pattern, exclude="layers.3.*")
    assert time.process_time() - start < 1
