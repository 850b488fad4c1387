"""The Explorer and the preview in Chromium: type, see, click, use the keyboard; names are text and never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

from deltanb.widgets import Explorer, Preview
from tests.models import bart

if TYPE_CHECKING:
    from tests.page import Page

pytestmark = pytest.mark.browser


def status(page: Page, text: str) -> None:
    page.page.get_by_role("status").filter(has_text=text).first.wait_for(timeout=5000)


def box(page: Page, label: str = "Pattern") -> Any:
    return page.page.get_by_label(label, exact=True)


def line(page: Page, text: str) -> Any:
    return page.page.get_by_role("treeitem", name=text)


def focused(page: Page) -> str:
    return str(page.page.evaluate("document.activeElement.textContent"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_typing_lights_up_what_is_hit(page: Page, theme: str) -> None:
    widget = Explorer(bart())
    page.mount_live(widget, theme)
    box(page).fill("fc2 q_proj")
    status(page, "10 of 69 modules")
    line(page, "fc2, Linear, 2 modules").first.wait_for()
    assert "2 of 2 matched" in line(page, "fc2, Linear, 2 modules").first.inner_text()
    assert page.page.locator(".dnb-chip").all_inner_texts() == ["fc2 ×4", "q_proj ×6"]
    box(page, "Exclude").fill("decoder")
    status(page, "4 of 69 modules")
    page.page.wait_for_timeout(400)
    assert len(widget.matched) == 4
    widget.pattern = "fc1"
    page.page.evaluate("(text) => model.receive({traits: {pattern: text}})", "fc1")
    status(page, "2 of 69 modules")
    assert page.serious() == []


def test_nothing_hit_gives_near_names_and_a_hanging_regex_is_stopped(page: Page) -> None:
    page.mount_live(Explorer(bart()))
    box(page).fill("fc9")
    page.page.get_by_role("button", name="fc2", exact=True).click()
    status(page, "4 of 69 modules")
    assert box(page).input_value() == "fc2"
    box(page).fill("[r](.*)*x")
    page.page.get_by_text("did not finish").first.wait_for(timeout=8000)
    box(page).fill("[r]fc[12]")
    status(page, "8 of 69 modules")


def test_the_whole_tree_by_keyboard(page: Page) -> None:
    page.mount_live(Explorer(bart()))
    keys = page.page.keyboard
    page.page.get_by_role("treeitem").first.focus()
    keys.press("Home")
    assert focused(page).startswith("model")
    keys.press("ArrowLeft")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "false"
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    assert focused(page).startswith("shared")
    keys.press("e")
    assert focused(page).startswith("encoder")
    page.page.wait_for_timeout(700)  # what was typed is forgotten
    for letter in "layers":
        keys.press(letter)
    assert focused(page).startswith("layers.0-1")
    keys.press("+")
    keys.press("ArrowDown")
    assert focused(page).startswith("0, BartEncoderLayer")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-level')") == "4"
    keys.press("Space")
    page.page.locator(".dnb-proposals-head").filter(has_text="1 module selected").wait_for()
    keys.press("Shift+ArrowDown")
    page.page.wait_for_timeout(300)
    assert page.page.locator("[role=treeitem][aria-selected=true]").count() >= 2
    keys.press("End")
    assert page.page.evaluate("document.activeElement.getAttribute('role')") == "treeitem"
    assert page.page.locator("[role=treeitem][tabindex='0']").count() == 1


def test_a_click_gives_the_pattern(page: Page) -> None:
    widget = Explorer(bart())
    page.mount_live(widget)
    line(page, "fc1, Linear, 2 modules").first.click()
    page.page.get_by_role("button", name="Use encoder.layers.$.fc1").click()
    status(page, "2 of 69 modules")
    page.page.wait_for_timeout(200)
    assert widget.selected == widget.matched == ["model.encoder.layers.0.fc1", "model.encoder.layers.1.fc1"]
    page.page.get_by_role("button", name="Show what fc1 would also hit 2 others").click()
    page.page.get_by_role("button", name="Clear").click()
    page.page.wait_for_timeout(200)
    assert widget.selected == []


def test_attach_and_undo(page: Page) -> None:
    widget = Explorer(bart())
    page.mount_live(widget)
    box(page).fill("fc2")
    status(page, "4 of 69 modules")
    page.page.get_by_role("button", name="Attach", exact=True).click()
    page.page.locator(".dnb-facts .dnb-delta").wait_for()
    assert list(widget.bench.attached) == ["adapter"]
    page.page.get_by_role("button", name="Undo").click()
    page.page.locator(".dnb-facts .dnb-delta").wait_for(state="detached")
    assert widget.bench.attached == {}


class Trap(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.add_module("<img src=x onerror=alert(1)>", nn.Linear(2, 2))
        self.add_module("<script>alert(2)<|script>", nn.Linear(2, 3))


@pytest.mark.parametrize("kind", [Explorer, Preview])
def test_names_are_text(page: Page, kind: type[Explorer | Preview]) -> None:
    said: list[str] = []
    page.page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.mount_live(kind(Trap(), pattern="'<script>alert(2)<|script>' '<b>no'"))
    status(page, "1 of 2 modules")
    page.page.get_by_role("treeitem").first.wait_for()
    assert page.page.locator(".dnb img, .dnb script, .dnb-note b:text-is('no')").count() == 0
    assert said == []


def test_ten_thousand_modules_have_few_elements(page: Page) -> None:
    model = nn.Sequential(*[nn.Sequential(nn.Linear(1 + i % 3, 1), nn.Linear(1, 1 + i % 2)) for i in range(3400)])
    page.mount("explorer", Explorer(model).export_state())
    box(page).fill("1")
    status(page, "of 10,200 modules")
    page.page.get_by_role("button", name="Open at matches").click()
    page.page.wait_for_timeout(300)
    page.page.locator(".dnb-tree-scroll").evaluate("(place) => { place.scrollTop = place.scrollHeight / 2; }")
    page.page.wait_for_timeout(200)
    assert page.page.get_by_role("treeitem").count() > 10
    assert page.page.evaluate("document.querySelectorAll('*').length") < 5000


@pytest.mark.parametrize("width", [360, 640])
def test_counts_are_never_cut(page: Page, width: int) -> None:
    page.page.set_viewport_size({"width": width, "height": 900})
    page.mount_live(Explorer(bart(), pattern="q_proj"))
    page.page.get_by_role("button", name="Open at matches").click()
    cut = "[...document.querySelectorAll('.dnb-row-count')].filter((one) => { const c = one.getBoundingClientRect(),"
    cut += " t = one.closest('.dnb-tree').getBoundingClientRect(); return c.right > t.right || one.scrollWidth > one.clientWidth }).length"
    assert page.page.evaluate(cut) == 0
    assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.serious() == []


def test_the_preview(page: Page) -> None:
    widget = Preview(bart(), pattern="fc2")
    page.mount_live(widget)
    status(page, "4 of 69 modules")
    lines = page.page.get_by_role("treeitem").all_inner_texts()
    assert [text.split(",")[0] for text in lines if " matched" in text.splitlines()[0] and "inside" not in text] == ["fc2", "fc2"]
    assert not any(text.startswith("shared") for text in lines)
    assert page.serious() == []
