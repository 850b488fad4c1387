"""The grammar in the browser and the one in Python: the same answer to thousands of drawn questions, word for word."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deltanb._errors import DeltaError
from deltanb.addressing import match_names, patterns_for, wider_patterns
from deltanb.magics._tokens import words
from deltanb.roles import known_families

ROOT = Path(__file__).parent.parent
NODE = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node.js on this machine")

WORDS = ["a", "b", "c", "fc1", "fc2", "q_proj", "v_proj", "layers", "enc", "dec", *map(str, range(12))]
ODD = ["$", "*", "0-5", "a,b", "q@", "[r]x", " ", "a b", "-", "é", "x\n", "01", "(", "\\d", "^", "'", "12345678901", "٣", "K"]
ITEMS = ["$", "*", "0-5", "3-1", "a", "b", "fc1", "fc2", "fc", "q", "layer", "1", "2", "7-9", "", " a", "é", "a "]
# Many of them no expressions at all when put side by side: their errors must be alike too.
SCRAPS = [
    *"ab.c|()[]*+?{}^$\\1é",
    "\\d",
    "\\w",
    "\\.",
    "\\Z",
    "(?:",
    "(?i)",
    "(?=",
    "(?!",
    "(?<=",
    "[^.]",
    "{1,2}",
    "{2,1}",
    "{,2}",
    "(?P<n>",
]
ATOMS = ["a", "b", "fc", "2", "\\d", "\\w", "\\s", "\\.", "[0-9]", "[^.]", "[a-c\\d]", "[]a-]", ".", "é", "layers", "K", "\u017f"]
PLACES = ["^", "$", "\\b", "\\B", "\\A", "\\Z"]
REPEATS = ["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "{1,}", "++"]


def names(draw: random.Random) -> list[str]:
    pool = WORDS + (ODD if draw.random() < 0.25 else [])
    return list({".".join(draw.choices(pool, k=draw.randint(1, 4))): None for _ in range(draw.randint(1, 40))})


def segments(draw: random.Random) -> str:
    return ".".join(",".join(draw.choices(ITEMS, k=draw.choice([1, 1, 1, 2, 3]))) for _ in range(draw.randint(1, 3)))


def regex(draw: random.Random, depth: int = 3) -> str:
    """A well-formed expression, most of the time."""
    kind = draw.random()
    if depth == 0 or kind < 0.35:
        return draw.choice(ATOMS) + draw.choice(REPEATS)
    if kind < 0.45:
        return draw.choice(PLACES)
    if kind < 0.7:
        return "".join(regex(draw, depth - 1) for _ in range(draw.randint(0, 3)))
    head = draw.choice(["(", "(?:", "(?:", "(?P<n>", "(?=", "(?!", "(?<=", "(?<!"])
    inner = "|".join(regex(draw, depth - 1) for _ in range(draw.randint(1, 3)))
    return f"{head}{inner}){draw.choice(REPEATS)}"


def matches(draw: random.Random) -> dict[str, Any]:
    given = names(draw)
    kinds = [segments, lambda draw: "[r]" + draw.choice(["", "", "(?i)", "(?s)"]) + regex(draw)]
    kinds.append(lambda draw: "[r]" + "".join(draw.choices(SCRAPS, k=draw.randint(1, 6))))
    patterns = [draw.choice([*kinds, kinds[1]])(draw) for _ in range(draw.choice([1, 1, 1, 2]))]
    exclude = draw.choice([None, None, None, [segments(draw)], [draw.choice(given)]])
    parameters = [f"{name}.weight" for name in given] + ["fc.q"] if draw.random() < 0.2 else []
    return {"ask": "match", "names": given, "patterns": patterns, "exclude": exclude, "parameters": parameters}


def choices(draw: random.Random) -> dict[str, Any]:
    given = names(draw)
    if draw.random() < 0.5:
        chosen = [name for name in given if draw.random() < 0.3] or given[:1]
    else:
        end = draw.choice(given).split(".")[-1]
        chosen = [name for name in given if name.split(".")[-1] == end]
    roles = {name: ".".join(part if part.isdigit() else f"{part}@" for part in name.split(".")) for name in given if draw.random() < 0.9}
    return {"ask": "synthesis", "names": given, "chosen": chosen, "roles": draw.choice([None, roles])}


def lines(draw: random.Random) -> dict[str, Any]:
    return {"ask": "words", "line": "".join(draw.choices([*"ab '\"#;,=.", "fc1", "[r](\\d)", " '", "' ", "\t"], k=draw.randint(0, 12)))}


def answer(question: dict[str, Any]) -> Any:
    try:
        if question["ask"] == "words":
            return {"patterns": words(question["line"]), "open": False}
        if question["ask"] == "match":
            found = match_names(question["names"], question["patterns"], question["exclude"], parameters=question["parameters"])
            return {"names": found.names, "excluded": found.excluded, "counts": found.per_pattern, "hints": found.hints}
    except DeltaError as error:
        return {"what": error.what, "expected": error.expected, "nearest": error.nearest, "try_": error.try_}
    given, chosen = question["names"], question["chosen"]
    proposals = [[one.kind, *one.patterns] for one in patterns_for(given, chosen, question["roles"])]
    return {"proposals": proposals, "wider": [[one.pattern, list(one.extra)] for one in wider_patterns(given, chosen)]}


def twins(questions: list[dict[str, Any]]) -> list[tuple[dict[str, Any], Any, Any]]:
    """Each question with Python's answer and the browser's."""
    text = "\n".join(json.dumps({**question, "families": known_families()}) for question in questions)
    assert NODE
    done = subprocess.run([NODE, str(ROOT / "js" / "test" / "twin.mjs")], input=text, capture_output=True, text=True, check=True)
    return [(one, answer(one), json.loads(line)) for one, line in zip(questions, done.stdout.splitlines(), strict=True)]


@pytest.mark.parametrize(("kind", "count"), [(matches, 1500), (choices, 500), (lines, 500)], ids=["match", "synthesis", "line"])
def test_both_say_the_same(kind: Any, count: int) -> None:
    draw = random.Random(20)  # noqa: S311 - no secret
    handed = 0
    for question, ours, theirs in twins([kind(draw) for _ in range(count)]):
        if theirs == "kernel":
            handed += 1
        elif question["ask"] == "words" and theirs["open"]:
            assert ours["what"] == "A quote is opened and never closed.", question
        else:
            assert theirs == ours, question
    assert handed < count / 2
