"""What the docs' generator writes, without building: all names, right counts, lines that hit what they say."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import deltanb
from deltanb.engine import DELTA_TYPES, CommonOptions, DeltaModel, match
from deltanb.magics._parse import parse
from deltanb.structure import module_names
from tests.test_house import LAYERS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "_ext"))

from deltanb_docs import models, names, roles, targets, types, verbs  # noqa: E402 - needs the path
from deltanb_docs.costs import skeleton  # noqa: E402 - needs the path
from deltanb_docs.writing import Folder  # noqa: E402 - needs the path

FEW = ["bert-base", "bart-base", "gpt2", "t5-base"]
MANY = [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in models.MODELS]


def test_every_public_name_is_in_the_reference_once() -> None:
    listed = [name for _, _, group in names.GROUPS for name in group]
    assert sorted(listed) == sorted(deltanb.__all__)


def test_there_are_enough_models_and_of_many_families() -> None:
    assert len(models.MODELS) >= 25
    assert len({skeleton(name).model.config.model_type for name in FEW}) == len(FEW)


@pytest.mark.parametrize("name", MANY)
def test_what_is_said_of_target_modules_is_what_peft_and_the_grammar_hit(name: str) -> None:
    from peft import LoraConfig
    from peft.tuners.tuners_utils import check_target_module_exists

    model = skeleton(name).model
    every = module_names(model)
    for choice in targets.choices(model):
        (text,) = re.findall(r"LoraConfig\(target_modules=(.*)\)", choice.text(name))
        config = LoraConfig(target_modules=ast.literal_eval(text))
        assert [one for one in every if check_target_module_exists(config, one)] == list(choice.names)
        assert match(model, list(choice.patterns)).names == list(choice.names)
        line = re.search(r"%delta (attach .*)", choice.text(name))
        assert line is not None
        assert parse(line[1], {}).words == ["lora", *choice.patterns]


@pytest.mark.parametrize("name", FEW)
def test_the_tables_of_roles_are_what_torch_counts(name: str) -> None:
    model = skeleton(name).model
    tables = re.findall(r"^In each layer of `([^`]+)`:\n\n((?:\|.*\n?)+)", roles.role_tables(model), re.MULTILINE)
    assert tables
    for stack, table in tables:
        rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (\d+) \| ([\d,]+) \|", table, re.MULTILINE)
        assert len(rows) > 5
        for role, inner, count, parameters in rows:
            own = re.compile(rf"{re.escape(stack)}\.\d+\.{re.escape(inner)}")
            here = [one for one, _ in model.named_modules() if own.fullmatch(one)]
            assert set(here) <= set(match(model, role).names)
            numbers = sum(p.numel() for one in here for p in model.get_submodule(one).parameters())
            assert (len(here), numbers) == (int(count), int(parameters.replace(",", "")))


@pytest.mark.slow
@pytest.mark.parametrize("entry", deltanb.engine.describe_types(), ids=lambda entry: str(entry["type"]))
def test_every_type_has_a_page_with_its_maths_paper_drawing_and_options(entry: dict[str, Any]) -> None:
    text = types.type_page(entry, DOCS / "pictures" / "types")
    assert "<https://arxiv.org/abs/" in text
    assert '<figure class="drawing"><svg' in text
    assert all(f"| `{option['name']}`" in text for option in entry["options"])
    assert re.search(r"^    \S.*=|^    .*←", text, re.MULTILINE), "no maths"


def test_every_verb_is_on_its_page(tmp_path: Path) -> None:
    verbs.write(Folder(tmp_path))
    text = (tmp_path / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == list(verbs.VERBS)


def test_the_map_of_the_house_has_every_part() -> None:
    page = (DOCS / "contributing.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"`(\w+)/?`", page[page.index("## The map") : page.index("## The rules")]))
    assert {part for layer in LAYERS for part in layer if not part.startswith("_")} <= shown


def _right_hand() -> list[str]:
    rows = re.findall(r"^\| .* \| (.*) \|$", (DOCS / "coming-from.md").read_text(encoding="utf-8"), re.MULTILINE)
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("code", [code for code in _right_hand() if "(" in code and "%" not in code and "[r]" not in code])
def test_calls_in_coming_from_are_possible(code: str) -> None:
    """Each name is there and takes these arguments."""
    source = f"{code}\n    pass" if code.endswith(":") else code
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        assert isinstance(call.func, ast.Name | ast.Attribute)
        owner = DeltaModel if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "delta" else deltanb
        found = getattr(owner, call.func.id if isinstance(call.func, ast.Name) else call.func.attr)
        given = {str(keyword.arg): None for keyword in call.keywords}
        inspect.signature(found).bind(*([None] * (len(call.args) + (owner is DeltaModel))), **given)
        if inspect.isclass(found):  # takes the common options as **common
            assert set(given) <= {*inspect.signature(found).parameters, *CommonOptions.__annotations__}


def test_lines_in_tables_and_text_are_understood() -> None:
    stand_ins = {"TYPE": "lora", "DATA": "movie_reviews", "NAME": "x", "FOLDER": "x"}
    for page in set(DOCS.glob("*.md")) - {DOCS / "symptoms.md"}:  # there some are wrong on purpose, and all are run
        for line in re.findall(r"(?:`|^)%delta ([a-z]+ [^`…#\n]+)(?:`|$)", page.read_text(encoding="utf-8"), re.MULTILINE):
            parse(" ".join(stand_ins.get(word, word) for word in line.split()), {"ranks": {}})


@pytest.mark.parametrize("kind", DELTA_TYPES)
def test_a_type_that_nobody_drew_would_be_missed(kind: str) -> None:
    assert (DOCS / "pictures" / "types" / f"{kind}.html").is_file()


@pytest.mark.parametrize("module", sorted(path.stem for path in (DOCS / "_ext" / "deltanb_docs").glob("[a-z]*.py")))
def test_examples_of_the_generator_run(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"deltanb_docs.{module}")).failed == 0
