"""The widget of a delta's anatomy: its state, its answers, its static form; and in Chromium, by keyboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from deltanb import Workbench, anatomy
from deltanb.widgets import DeltaAnatomy
from tests.models import stir
from tests.test_magics import model, one_shell, run, shell

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["model", "one_shell", "shell"]  # fixtures


@pytest.fixture
def bench() -> Workbench:
    found = Workbench()
    found.backbone("bert-tiny", random=True, seed=1)
    found.attach("lora", ["query", "value"], name="reviews", lora_r=2)
    found.freeze(["deltas", "classifier"])
    stir(found.delta().parameters(), scale=0.1)
    stir([found.model.get_parameter("classifier.weight")])
    return found


def test_the_state_says_what_the_report_says(bench: Workbench) -> None:
    widget, report = DeltaAnatomy(bench), bench.inspect()
    state = json.loads(json.dumps(widget.export_state()))
    rows = {row["name"]: row for group in state["groups"] for row in group["rows"]}
    assert list(rows) == [row.name for group in report.groups for row in group.rows]
    for row in report.rows:
        found = rows[row.name]
        assert found["change"] == pytest.approx(row.change, rel=1e-3)
        assert found["relative"] == pytest.approx(row.relative, rel=1e-3)
        assert found["moved"] == pytest.approx(row.moved, rel=1e-3)
        assert found["values"] == pytest.approx(list(row.singular_values), rel=1e-3)
    assert [group["core"] for group in state["groups"]] == [True, True, False]
    assert state["title"] == report.title
    assert [one["text"] for one in state["comparisons"]] == report.texts
    assert widget.static_form().text() == report.text()


@pytest.mark.parametrize("of", ["bench", "backbone", "model"])
def test_a_sentence_is_compared_by_the_kernel(of: str, bench: Workbench) -> None:
    source = {"bench": bench, "backbone": bench.backbone_in_use, "model": bench.model}[of]
    if of == "model":
        assert DeltaAnatomy(source).comparisons == []  # no tokenizer
        return
    widget = DeltaAnatomy(source)
    before = len(widget.comparisons)
    reply = widget.answer("compare", {"sentence": " a fine film "})
    assert reply["ok"]
    expected = anatomy(bench.backbone_in_use, "reviews", "a fine film")
    assert reply["value"]["with"] == pytest.approx(expected.comparisons[0].with_delta, abs=1e-4)
    assert reply["value"]["without"] == pytest.approx(expected.comparisons[0].without, abs=1e-4)
    assert widget.here == {row.name: pytest.approx(row.moved, rel=1e-3) for row in expected.rows}
    assert widget.comparisons[0] == reply["value"]
    widget.answer("compare", {"sentence": "a fine film"})
    assert len(widget.comparisons) == before + 1
    assert "a fine film" in widget.static_form().text()
    for at in range(15):
        widget.answer("compare", {"sentence": f"film {at}"})
    assert sum(bool(one.get("typed")) for one in widget.comparisons) == 12


def test_a_refusal_comes_back_in_words(bench: Workbench) -> None:
    widget = DeltaAnatomy(bench)
    assert widget.answer("compare", {"sentence": "  "})["error"]["what"] == "There is no sentence yet."
    with bench.locked("train"):
        assert "has to wait" in widget.answer("compare", {"sentence": "fine"})["error"]["what"]
    bench.detach("reviews")
    reply = widget.answer("compare", {"sentence": "fine"})
    assert reply["error"]["try_"] == "%delta reattach reviews"


def test_the_magic_shows_it_live(shell: Any) -> None:
    run(shell, "%delta backbone bert-tiny --random;")
    run(shell, "%delta attach lora query --name reviews;")
    run(shell, '%delta inspect reviews --texts "A fine film." --live --as seen')
    assert isinstance(shell.user_ns["seen"], DeltaAnatomy)
    assert shell.user_ns["seen"].comparisons[0]["text"] == "A fine film."


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_by_keyboard_in_a_browser(theme: str, bench: Workbench, playwright: Any) -> None:
    from tests.page import wait_for, widget_page

    widget = DeltaAnatomy(bench, texts=["<b>A fine film.</b>"])
    with widget_page(playwright) as page:
        page.mount_live(widget, theme)
        here = page.page
        assert here.locator("b", has_text="A fine film.").count() == 0
        assert here.locator("[role=treeitem]").count() == 8
        here.get_by_role("treeitem").first.focus()
        for key in ("ArrowDown", "ArrowDown", "Enter"):
            here.keyboard.press(key)
        assert widget.selected == "bert.encoder.layer.1.attention.self.query"
        detail = here.get_by_role("region", name="Selected module")
        assert "layer.1.attention.self.query" in detail.inner_text().replace("\n", "")
        row = next(row for row in widget.groups[0]["rows"] if row["name"] == widget.selected)
        assert f"{row['change']:#.3g}" in detail.inner_text()
        assert detail.locator("svg rect").count() == 2
        for key in ("Home", "ArrowLeft"):
            here.keyboard.press(key)
        assert here.locator("[role=treeitem]").count() == 6
        here.get_by_label("Bars").select_option("moved")
        assert widget.measure == "moved"
        here.get_by_label("Order").select_option("size")
        values = here.locator(".dnb-line:not(.dnb-line-group) .dnb-number").all_inner_texts()[:2]
        sizes = [float(value.split()[0].replace(",", "")) for value in values]
        assert sizes == sorted(sizes, reverse=True)
        here.get_by_label("Sentence").fill("dull <i>film</i>")
        here.keyboard.press("Enter")
        wait_for(here, "document.querySelector('.dnb-answer-typed')")
        found = widget.comparisons[0]
        assert found["text"] == "dull <i>film</i>"
        table = here.locator(".dnb-answer").first.inner_text()
        assert all(f"{value:.3f}" in table for value in [*found["with"], *found["without"]])
        assert "With the delta" in here.locator("[role=status]").inner_text()
        here.get_by_label("Bars").select_option("here")
        assert "dull" in here.locator(".dnb-layers .dnb-hint").last.inner_text()
        here.get_by_label("Sentence").fill("")
        here.get_by_role("button", name="Compare").click()
        wait_for(here, "document.querySelector('.dnb-problem:not([hidden])')")
        assert not page.serious()
        assert not page.errors


@pytest.mark.browser
def test_an_exported_page_works_without_a_kernel(bench: Workbench, tmp_path: Path, playwright: Any) -> None:
    from tests.page import widget_page

    widget = DeltaAnatomy(bench, texts=["</script><b>A fine film.</b>"])
    file = widget.save_html(tmp_path / "anatomy.html")
    assert file.stat().st_size < 100_000
    with widget_page(playwright, width=360) as page:
        page.page.set_content(file.read_text())
        page.page.wait_for_selector("[role=treeitem]")
        assert page.page.get_by_role("button", name="Compare").is_disabled()
        assert "No kernel" in page.page.locator("[role=status]").inner_text()
        page.page.locator("[role=treeitem]").nth(2).click()
        assert "layer.1" in page.page.get_by_role("region", name="Selected module").inner_text()
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert not page.serious()
        assert not page.errors
        assert not page.page.outside
