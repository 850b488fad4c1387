"""Patterns from a choice: shared cases, and properties: what is proposed hits exactly what was chosen."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltanb._errors import DeltaError
from deltanb.addressing import match_names, patterns_for, wider_patterns

CASES = Path(__file__).parent / "cases"
FILE = json.loads((CASES / "synthesis.json").read_text(encoding="utf-8"))
MODELS = json.loads((CASES / "addressing.json").read_text(encoding="utf-8"))["models"]


@pytest.mark.parametrize("case", FILE["cases"], ids=lambda case: case["title"])
def test_shared_case(case: dict[str, Any]) -> None:
    names = MODELS[case["model"]] if "model" in case else case["names"]
    found = patterns_for(names, case["chosen"], case.get("roles"))
    assert [[one.kind, *one.patterns] for one in found] == case["proposals"]
    for one in found:
        assert set(match_names(names, list(one.patterns), roles=case.get("roles"))) == set(case["chosen"])
    assert [[one.pattern, list(one.extra)] for one in wider_patterns(names, case["chosen"])] == case["wider"]


# Properties ---------------------------------------------------------------------------------------------------------

PLAIN = st.one_of(st.sampled_from(["a", "b", "c", "fc1", "fc2", "x-1"]), st.integers(0, 12).map(str))
ODD = st.sampled_from(["$", "*", "0-5", "a,b", "q@", "[r]x", " ", "a b", "-", "é", "x\n", "01", "(", "\\d", "^", "'", "12345678901", "٣"])
ANYTHING = st.text(st.characters(exclude_characters=".", exclude_categories=["Cs"]), min_size=1, max_size=3)


def forests(segment: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.lists(segment, min_size=1, max_size=4).map(".".join), min_size=1, max_size=30, unique=True)


@pytest.mark.parametrize("segment", [PLAIN, PLAIN | ODD, PLAIN | ANYTHING], ids=["plain", "odd", "anything"])
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_proposal_hits_exactly_what_was_chosen(segment: st.SearchStrategy[str], data: st.DataObject) -> None:
    names = data.draw(forests(segment))
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    found = patterns_for(names, chosen)
    assert found
    for one in found:
        assert match_names(names, list(one.patterns)).names == [name for name in names if name in chosen]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True), st.sampled_from([["q"], ["q", "v"], ["q", "k", "v", "o"]]))
def test_layers_by_parts_need_one_pattern(layers: list[int], parts: list[str]) -> None:
    names = [f"{tower}.layers.{i}.{part}" for tower in ("enc", "dec") for i in range(5) for part in ("q", "k", "v", "o")]
    chosen = [f"dec.layers.{i}.{part}" for i in layers for part in parts]
    best = patterns_for(names, chosen)[0]
    assert len(best.patterns) == 1
    assert best.kind in ("suffix", "segments")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_suffix_is_shorter_than_the_one_proposed(data: st.DataObject) -> None:
    names = data.draw(forests(PLAIN))
    name = data.draw(st.sampled_from(names))
    parts = name.split(".")
    exact = [end for at in range(len(parts)) if [one for one in names if f".{one}".endswith(f".{(end := '.'.join(parts[at:]))}")] == [name]]
    found = [one.patterns[0] for one in patterns_for(names, [name]) if one.kind == "suffix"]
    assert found == ([min(exact, key=len)] if exact else [])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_wider_patterns_hit_the_choice_and_what_they_say(data: st.DataObject) -> None:
    names = data.draw(forests(PLAIN))
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    lengths = []
    for one in wider_patterns(names, chosen):
        assert match_names(names, one.pattern).names == [name for name in names if name in {*chosen, *one.extra}]
        assert not set(chosen) & set(one.extra)
        lengths.append(len(one.extra))
    assert lengths == sorted(lengths, reverse=True)
    assert 0 not in lengths


# Edges --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [patterns_for, wider_patterns])
def test_what_is_not_there_cannot_be_chosen(ask: Any) -> None:
    with pytest.raises(DeltaError, match="none of the 2 modules") as caught:
        ask(["layers.fc1", "layers.fc2"], ["layers.fc3"])
    assert caught.value.nearest
    with pytest.raises(DeltaError, match="No module was chosen"):
        ask(["a"], [])


def test_a_thousand_scattered_modules_are_still_said_exactly() -> None:
    names = [f"m.{i}.{'abcdefg'[i * i % 7]}.{i * 37 % 11}" for i in range(5_000)]
    chosen = [name for at, name in enumerate(names) if at * 2654435761 % 5 == 1]
    assert len(chosen) == 1_000
    start = time.process_time()
    best = patterns_for(names, chosen)[0]
    assert time.process_time() - start < 5
    assert match_names(names, list(best.patterns)).names == chosen


def test_of_more_groups_than_anybody_reads_only_what_no_suffix_can_say_is_a_regex() -> None:
    pairs = [(f"a{i}.b{i}", f"a{i}.b{(i + 1) % 70}") for i in range(70)]
    names = [*(name for pair in pairs for name in pair), "h", "z.h"]
    best = patterns_for(names, [*(pair[0] for pair in pairs), "h"])[0]
    assert best.kind == "several"
    assert best.patterns == (*(pair[0] for pair in pairs), "[r]^h$")


def test_ten_thousand_names_are_no_burden() -> None:
    names = [f"model.layers.{i}.{part}" for i in range(1_250) for part in ("q", "k", "v", "o", "up", "down", "gate", "norm")]
    for chosen in (["model.layers.40.q"], names[80:84], [name for name in names if name.endswith((".q", ".v"))]):
        start = time.process_time()
        assert patterns_for(names, chosen)
        assert time.process_time() - start < 0.5
