"""The Explorer's picture: which boxes it has, what they stand for, and what a person sees and does with it in a browser."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deltanb import AdapterModel
from deltanb.folding import fold
from deltanb.graph import Drawing, full_names, visible_rows
from deltanb.structure import Counts, module_names, snapshot
from deltanb.widgets import _explorer_picture
from deltanb.widgets._explorer_picture import MOST_BOXES
from deltanb.widgets.explorer import Explorer
from tests.families import fresh

if TYPE_CHECKING:
    from deltanb.folding import FoldedNode

SVG = "{http://www.w3.org/2000/svg}"


def tuned_bart() -> nn.Module:
    model = fresh("bart")
    AdapterModel(model, modified_modules=["fc2"], bottleneck_dim=2).freeze_module(exclude=["deltas", "layernorm_embedding"])
    return model


def addresses(answer: dict[str, Any]) -> list[str]:
    return [box["address"] for box in answer["boxes"]]


def every_box_is_drawn(answer: dict[str, Any]) -> None:
    ids = [group.attrib["id"] for group in ET.fromstring(answer["svg"]).iter(f"{SVG}g")]  # noqa: S314 (our own)
    assert [one for one in ids if one.startswith("deltanb_box")] == [f"deltanb_box{at}" for at in range(len(answer["boxes"]))]
    assert len(set(ids)) == len(ids)


def test_every_box_has_an_element_and_a_row_of_the_structure() -> None:
    widget = Explorer(tuned_bart())
    answer = widget.on_picture()
    every_box_is_drawn(answer)
    rows = {row.address for row in fold(widget.picture_tree(), empty=True).walk()}
    assert {one for box in answer["boxes"] for one in [box["row"], *box.get("around", [])]} <= rows
    assert addresses(answer) == list(dict.fromkeys(addresses(answer)))
    assert not any("names" in box or "hidden" in box for box in answer["boxes"])
    assert answer["cut"] is False


def test_what_is_open_is_shown_and_what_is_closed_says_how_much_it_hides() -> None:
    widget = Explorer(fresh("bart"))
    boxes = {box["address"]: box for box in widget.on_picture(["model", "model.encoder"])["boxes"]}
    assert "model.encoder.embed_positions" in boxes
    assert "model.decoder.embed_positions" not in boxes
    inside = [name for name, _ in fresh("bart").model.decoder.named_modules() if name and "activation_fn" not in name]
    assert boxes["model.decoder"]["hidden"] == len(inside)


def test_empty_modules_are_left_out_unless_asked_for() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2))
    assert addresses(Explorer(model).on_picture()) == ["0", "2"]  # the addresses of the structure, where they are no neighbours
    assert addresses(Explorer(model).on_picture(empty=True)) == ["0", "1", "2"]


def test_a_fold_opens_to_its_members() -> None:
    widget = Explorer(fresh("bart"))
    layers = "model.encoder.layers.0-1"
    answer = widget.on_picture(["model", "model.encoder", "model.encoder.layers", layers], [layers])
    every_box_is_drawn(answer)
    found = {box["address"]: box for box in answer["boxes"]}
    assert layers not in found
    assert found["model.encoder.layers.1.fc1"] == {
        "address": "model.encoder.layers.1.fc1", "row": f"{layers}.fc1", "names": ["model.encoder.layers.1.fc1"],
    }  # fmt: skip
    attention = found["model.encoder.layers.1.self_attn"]
    assert (attention["row"], attention["hidden"]) == (f"{layers}.self_attn", 4)
    projections = f"{layers}.self_attn.k_proj,v_proj,q_proj,out_proj"
    both = widget.on_picture(unfolded=[layers, projections.replace("0-1", "0")])
    names = {box["address"]: box.get("names") for box in both["boxes"]}
    assert names["model.encoder.layers.0.self_attn.v_proj"] == ["model.encoder.layers.0.self_attn.v_proj"]
    assert len(names[projections.replace("0-1", "1")] or []) == 4


@cache
def folded() -> tuple[FoldedNode, dict[str, Counts]]:
    tree = snapshot(tuned_bart())
    return fold(tree, empty=True), {node.name: node.counts for node in tree.root.walk()}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), most=st.sampled_from([1, 7, 40, 300]))
def test_whatever_is_open_every_module_is_in_one_box(data: st.DataObject, most: int) -> None:
    rows, counts = folded()
    known = [row.address for row in rows.walk() if row.address]
    opened = data.draw(st.none() | st.sets(st.sampled_from(known)))
    folds = [row.address for row in visible_rows(rows, opened=opened, most=most).rows.walk() if row.folded] or [""]
    chosen = visible_rows(rows, opened=opened, unfolded=data.draw(st.sets(st.sampled_from(folds))), most=most)
    shown = list(chosen.rows.walk())
    assert len(shown) - 1 <= max(most, len(rows.children))
    assert set(chosen.home.values()) <= {"", *known}
    for address, names in full_names(chosen.rows).items():
        (row,) = [one for one in shown if one.address == address]
        assert row.count == len(names)
        assert row.counts == sum((counts[name] for name in names), Counts())
    drawn = sum(row.count * (1 + row.hidden) for row in shown)
    assert drawn == sum(row.count for row in visible_rows(rows).rows.walk())


def test_another_librarys_deltas_are_drawn_as_deltas() -> None:
    peft = pytest.importorskip("peft")
    widget = Explorer(peft.get_peft_model(fresh("bart"), peft.LoraConfig(target_modules=["fc2"], r=2)))
    answer = widget.on_picture()
    drawn = re.findall(r'id="deltanb_box(\d+)" class="node row delta"', answer["svg"])
    assert [answer["boxes"][int(at)]["address"].rpartition("fc2.")[2] for at in drawn] == ["lora_A.default", "lora_B.default"] * 2


def test_many_different_modules_are_not_all_drawn() -> None:
    flat = nn.Sequential(*[nn.Linear(1, at + 1) for at in range(2 * MOST_BOXES)])
    answer = Explorer(nn.ModuleDict({"layers": flat})).on_picture()
    assert answer["cut"] is True
    assert 100 < len(answer["boxes"]) <= MOST_BOXES
    assert "hidden" in answer["boxes"][0]
    deep = nn.Sequential(*[nn.Sequential(nn.Linear(1, at + 1), nn.Linear(at + 1, 3)) for at in range(MOST_BOXES // 2)])
    answer = Explorer(deep).on_picture()
    assert (answer["cut"], len(answer["boxes"])) == (True, MOST_BOXES // 2)


def test_a_picture_is_drawn_once_and_again_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[object] = []
    monkeypatch.setattr(_explorer_picture, "live_picture", lambda *args, **options: drawn.append(args) or real(*args, **options))
    model = fresh("bart")
    widget = Explorer(model)
    first = widget.on_picture(["model"])
    assert widget.on_picture(["model"], room=750.0) is first  # not wide enough a change for another
    assert len(drawn) == 1
    AdapterModel(model, modified_modules=["fc2"], bottleneck_dim=2)
    widget.refresh()
    assert "adapter" in widget.on_picture()["svg"]
    for at in range(60):
        widget.on_picture(room=260.0 + 40 * at)
    assert len(widget._pictures) <= _explorer_picture.KEPT


real = _explorer_picture.live_picture


def test_without_graphviz_there_is_a_reason_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deltanb.graph._live.draw", lambda _: Drawing(None, reason="dot: not on the PATH"))
    answer = Explorer(nn.Linear(2, 2)).answer("picture", {"opened": []})
    assert answer == {"ok": True, "value": {"svg": None, "reason": "dot: not on the PATH", "boxes": [], "cut": False}}


def test_a_picture_is_no_part_of_the_saved_state() -> None:
    widget = Explorer(fresh("bart"))
    widget.on_picture()
    assert "picture" not in widget.get_state()
    assert widget.export_state()["picture"]["svg"].startswith("<svg")


def test_bart_base_is_drawn_in_time() -> None:
    import torch
    from transformers import BartConfig, BartForSequenceClassification

    with torch.device("meta"):
        model = BartForSequenceClassification(BartConfig(d_model=768, encoder_layers=6, decoder_layers=6))
    widget = Explorer(model)
    widget.on_picture(room=300.0)  # Graphviz compiles once in a process
    start = time.perf_counter()
    answer = widget.on_picture(room=900.0)
    assert time.perf_counter() - start < 0.3  # 0.03 s on an idle machine
    assert len(answer["svg"]) < 60_000
    assert len(module_names(model)) > 150
