"""The addressing grammar: shared cases, and properties against independent oracles."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltanb._errors import DeltaError
from deltanb.addressing import MatchResult, match_names
from tests.models import make

FILE = json.loads((Path(__file__).parent / "cases" / "addressing.json").read_text(encoding="utf-8"))
# What the message of each kind of error says.
KINDS = {
    "nothing": "matches none of the",
    "all_excluded": "is excluded by",
    "empty_segment": "has an empty segment",
    "empty_alternative": "has an empty alternative",
    "backwards_range": "runs backwards",
    "invalid_regex": "regular expression .* is invalid",
    "empty": "matches nothing|No .*pattern was given",
    "unknown_family": "roles of this model's family are not known",
    "parameter": "names a parameter",
}


def run(case: dict[str, Any]) -> MatchResult:
    names = FILE["models"][case["model"]] if "model" in case else case["names"]
    more = {key: case[key] for key in ("roles", "parameters") if key in case}
    return match_names(names, case["patterns"], case.get("exclude"), **more)


@pytest.mark.parametrize("case", FILE["cases"], ids=lambda case: case["title"])
def test_shared_case(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(DeltaError, match=KINDS[case["error"]]):
            run(case)
    else:
        assert run(case).names == case["expect"]


def test_the_shared_names_are_those_of_the_real_models() -> None:
    models = {"bart": make("bart"), "t5": make("t5"), "roberta": make("roberta"), "bert12": make("bert", num_hidden_layers=12)}
    assert {key: [name for name, _ in model.named_modules() if name] for key, model in models.items()} == FILE["models"]


# Properties ---------------------------------------------------------------------------------------------------------

SEGMENT = st.one_of(st.sampled_from(["a", "b", "fc1", "fc2", "c2", "ab", "layers", "x-1"]), st.integers(0, 12).map(str))
NAME = st.lists(SEGMENT, min_size=1, max_size=4).map(".".join)
NAMES = st.lists(NAME, min_size=1, max_size=25, unique=True)


def outcome(names: list[str], patterns: Any, exclude: Any = None) -> list[str]:
    """The names, or [] where the grammar says that nothing is left."""
    try:
        return match_names(names, patterns, exclude).names
    except DeltaError as error:
        if not re.search(f"{KINDS['nothing']}|{KINDS['all_excluded']}", str(error)):
            raise
        return []


@given(NAMES, st.data())
def test_a_full_name_hits_itself(names: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(names))
    assert name in match_names(names, name).names


@given(NAMES, NAME)
def test_a_plain_suffix_is_the_end_of_the_list_of_segments(names: list[str], pattern: str) -> None:
    want = pattern.split(".")
    assert outcome(names, pattern) == [name for name in names if name.split(".")[-len(want) :] == want]


ITEM = st.one_of(
    SEGMENT, st.tuples(st.integers(0, 12), st.integers(0, 6)).map(lambda ends: f"{ends[0]}-{sum(ends)}"), st.just("$"), st.just("*")
)
PATTERN = st.lists(st.lists(ITEM, min_size=1, max_size=3).map(",".join), min_size=1, max_size=3).map(".".join)


def expanded(segment: str, alphabet: set[str]) -> set[str]:
    """All the segments that one stands for, written out."""
    words = set()
    for item in segment.split(","):
        ends = re.fullmatch(r"(\d+)-(\d+)", item)
        if item == "*":
            words |= alphabet
        elif item == "$":
            words |= {word for word in alphabet if re.fullmatch(r"\d+", word)}
        elif ends:
            words |= {str(number) for number in range(int(ends[1]), int(ends[2]) + 1)}
        else:
            words.add(item)
    return words & alphabet


@given(NAMES, PATTERN)
def test_segments_stand_for_all_that_they_expand_to(names: list[str], pattern: str) -> None:
    alphabet = {part for name in names for part in name.split(".")}
    plain = {".".join(parts) for parts in product(*(expanded(segment, alphabet) for segment in pattern.split(".")))}
    assert outcome(names, pattern) == [name for name in names if any(name == end or name.endswith("." + end) for end in plain)]


def loosened(name: str, choice: int) -> str:
    """A pattern that hits ``name``: its last segments, some of them as ``*``, ``$`` or one of two."""
    parts = name.split(".")
    parts = parts[-(1 + choice % len(parts)) :]
    forms = [lambda part: part, lambda part: f"zz,{part}", lambda _: "*", lambda part: "$" if part.isdigit() else part]
    return ".".join(forms[(choice >> at) % 4](part) for at, part in enumerate(parts))


CHOICES = st.lists(st.tuples(st.integers(0, 24), st.integers(0, 63)), max_size=3)


@given(NAMES, CHOICES.filter(len), CHOICES)
def test_several_patterns_are_the_union_less_what_is_excluded(
    names: list[str], some: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    patterns, exclude = ([loosened(names[at % len(names)], how) for at, how in picks] for picks in (some, others))
    each = {pattern: match_names(names, pattern).names for pattern in patterns}
    roots = {pattern: match_names(names, pattern).names for pattern in exclude}
    gone = {name for found in roots.values() for root in found for name in names if (name + ".").startswith(root + ".")}
    expected = [name for name in names if any(name in found for found in each.values()) and name not in gone]
    if not expected:
        assert outcome(names, patterns, exclude) == []
        return
    result = match_names(names, patterns, exclude)
    assert result.names == expected
    assert result.per_pattern == {pattern: len(found) for pattern, found in each.items()}
    assert sorted({*result.names, *result.excluded}) == sorted({name for found in each.values() for name in found})
    assert result.total == len(names)
    assert list(result) == result.names
    assert len(result) == len(expected)


@given(NAMES, PATTERN)
def test_each_hit_begins_at_a_segment(names: list[str], pattern: str) -> None:
    """A character before every name changes what its first segment is, never what lies behind a dot."""

    def longer(found: list[str]) -> list[str]:
        return [name for name in found if name.count(".") > pattern.count(".")]

    moved = outcome(["z" + name for name in names], pattern)
    assert longer(moved) == ["z" + name for name in longer(outcome(names, pattern))]


REGEX = st.sampled_from([r"\d", r"\d$", r"fc[12]", r".*2", r"layers\.\d+", r"(a|b)+", r"a.*", r"^a", r"(?:\d\.)+a", r"[a-c]\w*$", r"b|ab"])


@given(NAMES, REGEX)
def test_a_regex_follows_the_leftmost_rule(names: list[str], source: str) -> None:
    def hit(name: str) -> bool:
        found = re.search(source, name)
        return bool(found) and found.end() == len(name) and (found.start() == 0 or name[found.start() - 1] == ".")  # type: ignore[union-attr]

    assert outcome(names, "[r]" + source) == [name for name in names if hit(name)]
