"""The Explorer's picture in a browser: what a person sees, clicks and types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

from deltanb.graph import Drawing
from deltanb.widgets.explorer import Explorer
from tests.families import fresh
from tests.test_widget_picture import tuned_bart

if TYPE_CHECKING:
    from tests.page import Page

pytestmark = pytest.mark.browser


BOX = "document.querySelector('.dnb-frame[role=option]')"


def show(page: Page, model: nn.Module, theme: str = "light", **traits: Any) -> Explorer:
    from tests.page import wait_for

    widget = Explorer(model, **{"view": "graph", **traits})
    page.mount_live(widget, theme)
    wait_for(page.page, BOX)
    return widget


def box(page: Page, address: str) -> Any:
    return page.page.locator(f'.dnb-frame[aria-label^="{address},"]')


def asked(page: Page) -> int:
    count: int = page.page.evaluate("model.sent.filter((one) => one.verb === 'picture').length")
    return count


def hits(page: Page) -> list[str]:
    found: list[str] = page.page.evaluate("[...document.querySelectorAll('.dnb-is-slot')].map((one) => one.textContent).filter(Boolean)")
    return found


def test_hits_light_up_with_every_key_and_without_the_kernel(page: Page) -> None:
    show(page, tuned_bart(), "dark", view="both")
    page.page.get_by_label("Depth").select_option(label="3")
    box(page, "model.encoder.layers.0-1").wait_for()
    before = asked(page)
    typed = page.page.get_by_role("textbox", name="Pattern")
    typed.press_sequentially("fc")
    assert hits(page) == []
    typed.press_sequentially("2")
    page.page.wait_for_function("document.querySelector('.dnb-hit-inside')")
    assert hits(page) == ["● 2 inside", "● 2 inside"]
    page.page.get_by_label("Depth").select_option(label="5")
    page.page.wait_for_function("document.querySelectorAll('.dnb-hit').length === 2")
    assert hits(page) == ["● 2 of 2"] * 2
    after = asked(page)
    typed.fill("encoder.layers.1.fc2 activation_fn")
    page.page.wait_for_function("document.querySelectorAll('.dnb-hit').length === 1")
    assert "● 1 of 2" in hits(page)
    assert asked(page) == after == before + 1
    assert "1 of 2" in (box(page, "model.encoder.layers.0-1.fc2").get_attribute("aria-label") or "")
    assert page.serious() == []


def test_a_click_selects_in_the_tree_and_the_other_way_round(page: Page) -> None:
    widget = show(page, fresh("bart"), view="both")
    page.page.get_by_label("Depth").select_option(label="5")
    box(page, "model.encoder.layers.0-1.fc1").click()
    assert widget.selected == ["model.encoder.layers.0.fc1", "model.encoder.layers.1.fc1"]
    assert page.page.locator('[role=treeitem][aria-selected="true"]').count() == 1
    box(page, "model.encoder.layers.0-1.final_layer_norm").click(modifiers=["Shift"])
    assert [name.rpartition(".")[2] for name in widget.selected] == ["fc1", "fc2", "final_layer_norm"] * 2
    box(page, "model.encoder.layers.0-1.fc1").click(modifiers=["Control"])
    assert [name.rpartition(".")[2] for name in widget.selected] == ["fc2", "final_layer_norm"] * 2
    page.page.get_by_role("treeitem", name="embed_positions").first.click()
    assert box(page, "model.encoder.embed_positions").get_attribute("aria-selected") == "true"
    assert page.page.locator('.dnb-frame[aria-selected="true"]').count() == 1


def test_a_fold_opens_to_its_members_and_closes_again(page: Page) -> None:
    widget = show(page, fresh("bart"))
    page.page.get_by_label("Depth").select_option(label="5")
    fold_ = box(page, "model.encoder.layers.0-1")
    fold_.wait_for()
    fold_.dblclick(position={"x": 60, "y": 10})
    box(page, "model.encoder.layers.1").wait_for()
    assert fold_.count() == 0
    box(page, "model.encoder.layers.1.fc1").click()
    assert widget.selected == ["model.encoder.layers.1.fc1"]
    box(page, "model.encoder.layers.1").click(position={"x": 60, "y": 10})
    page.page.get_by_role("button", name="Close", exact=True).click()
    fold_.wait_for()
    assert "1 of 2 selected" in (fold_.get_attribute("aria-label") or "")
    box(page, "model.decoder").click(position={"x": 60, "y": 10})
    page.page.keyboard.press("-")
    page.page.wait_for_function(
        "![...document.querySelectorAll('.dnb-frame')].some((one) => one.ariaLabel?.startsWith('model.decoder.layers'))"
    )
    page.page.keyboard.press("Enter")
    box(page, "model.decoder.layers.0-1").wait_for()


def test_the_keyboard_goes_from_box_to_box(page: Page) -> None:
    widget = show(page, nn.ModuleDict({"a": nn.Linear(1, 2), "b": nn.Linear(2, 2), "c": nn.ModuleDict({"d": nn.Linear(3, 3)})}))
    picture = page.page.get_by_role("listbox", name="Picture of the structure")
    picture.focus()
    active = (
        "document.getElementById(document.querySelector('[role=listbox]').getAttribute('aria-activedescendant')).ariaLabel.split(',')[0]"
    )
    assert page.page.evaluate(active) == "a"
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Space")
    assert (page.page.evaluate(active), widget.selected) == ("b", ["b"])
    page.page.keyboard.press("Shift+ArrowUp")
    assert (page.page.evaluate(active), widget.selected) == ("a", ["a", "b"])
    page.page.keyboard.press("End")
    assert page.page.evaluate(active) == "c.d"
    assert page.serious() == []


def test_zoom_and_pan(page: Page) -> None:
    show(page, fresh("bart"))
    page.page.get_by_label("Depth").select_option(label="5")
    box(page, "model.decoder.layers.0-1").wait_for()
    width = "document.querySelector('.dnb-picture-box svg').getBoundingClientRect().width"
    start = page.page.evaluate(width)
    page.page.get_by_role("button", name="Zoom in").click()
    assert page.page.evaluate(width) == pytest.approx(1.25 * start, rel=0.01)
    for _ in range(3):
        page.page.get_by_role("button", name="Zoom in").click()
    area = page.page.locator(".dnb-picture-box")
    scrolled = "(() => { const one = document.querySelector('.dnb-picture-box'); return [one.scrollLeft, one.scrollTop]; })()"
    left, top = page.page.evaluate(scrolled)
    edge = area.bounding_box()
    page.page.mouse.move(edge["x"] + 400, edge["y"] + 300)
    page.page.mouse.down()
    page.page.mouse.move(edge["x"] + 350, edge["y"] + 260, steps=4)
    page.page.mouse.up()
    assert page.page.evaluate(scrolled) == pytest.approx([left + 50, top + 40], abs=2)
    assert page.page.locator('.dnb-frame[aria-selected="true"]').count() == 0  # a drag is no click
    page.page.keyboard.down("Control")
    page.page.mouse.wheel(0, 200)
    page.page.keyboard.up("Control")
    page.page.get_by_role("button", name="Fit").click()
    whole = page.page.evaluate(
        "(() => { const one = document.querySelector('.dnb-picture-box'); return one.scrollHeight <= one.clientHeight + 1 })()"
    )
    assert whole


def test_a_picture_brings_nothing_along_that_runs_or_loads(page: Page) -> None:
    widget = Explorer(nn.Linear(2, 2), view="graph")
    answer = widget.on_picture()
    evil = '<script>window.ran = 1</script><foreignObject><body xmlns="http://www.w3.org/1999/xhtml" onload="ran=1"/></foreignObject>'
    evil += '<image href="http://example.invalid/x.png" onerror="ran=1"/><style>*{display:none}</style>'
    svg = answer["svg"].replace("<text ", '<text onclick="ran=1" style="fill:red" ').replace("</svg>", f"{evil}</svg>")
    widget.on_picture = lambda **_: {**answer, "svg": svg}  # type: ignore[method-assign]
    page.mount_live(widget)
    page.page.wait_for_selector(".dnb-frame")
    names = set(page.page.evaluate("[...document.querySelectorAll('.dnb-picture-box *')].map((one) => one.localName)"))
    assert names <= {"svg", "g", "path", "polygon", "text", "rect", "circle"}
    held = set(page.page.evaluate("[...document.querySelectorAll('.dnb-picture-box text')].flatMap((one) => one.getAttributeNames())"))
    assert held <= {"class", "x", "y", "text-anchor", "font-weight", "font-size"}
    assert page.page.evaluate("window.ran") is None


def test_without_a_picture_the_reason_is_said(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deltanb.graph._live.draw", lambda _: Drawing(None, reason="dot: not on the PATH"))
    page.mount_live(Explorer(nn.Linear(2, 2), view="both"))
    page.page.get_by_text("No picture: dot: not on the PATH. The tree shows the same.").wait_for()
    assert page.page.get_by_role("treeitem").count()


def test_ten_thousand_modules_stay_a_small_page(page: Page) -> None:
    layers = nn.ModuleList(nn.Sequential(*[nn.Linear(1, 1 + at % 7, bias=False) for at in range(9)]) for _ in range(1000))
    for at, layer in enumerate(layers):
        layer[0] = nn.Linear(1, at + 1, bias=False)
    show(page, nn.ModuleDict({"layers": layers}), view="both")
    page.page.get_by_label("Depth").select_option(label="3 (all)")
    page.page.wait_for_timeout(500)
    assert page.page.evaluate("document.querySelectorAll('.dnb *').length") < 5000
    page.page.get_by_text("Only the upper levels are drawn here").wait_for()
    page.page.get_by_role("textbox", name="Pattern").fill("7")
    page.page.wait_for_function("document.querySelectorAll('.dnb-hit-inside').length > 200")
    assert page.page.locator(".dnb-hit").count() == 1  # one that is hit itself is outlined, whatever is hit inside it
    assert "dnb-hit-inside" not in (page.page.locator(".dnb-hit").get_attribute("class") or "")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_word_can_be_read(page: Page, theme: str) -> None:
    show(page, tuned_bart(), theme, pattern="fc2 k_proj", selected=["model.encoder.layers.0.fc1", "model.shared"])
    page.page.get_by_label("Depth").select_option(label="6")
    page.page.wait_for_function("document.querySelectorAll('.dnb-look-delta').length > 2")
    pairs = page.page.evaluate(CONTRAST)
    assert len(pairs) > 20
    assert [(words, ratio) for words, ratio in pairs if ratio < 4.5] == []


# Every word's colour against that of the innermost shape behind it.
CONTRAST = """() => {
  const parts = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const linear = (one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((one) => linear(one / 255));
  };
  const light = (colour) => { const [r, g, b] = parts(colour); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const shapes = [...document.querySelectorAll(".dnb-frame > path:not(.dnb-hollow)")].map((one) => [one, one.getBoundingClientRect()]);
  const panel = getComputedStyle(document.querySelector(".dnb")).backgroundColor;
  return [...document.querySelectorAll(".dnb-words text")].filter((one) => one.textContent.trim()).map((word) => {
    const at = word.getBoundingClientRect();
    const [x, y] = [at.x + at.width / 2, at.y + at.height / 2];
    const behind = shapes.filter(([, box]) => box.left <= x && x <= box.right && box.top <= y && y <= box.bottom).at(-1)?.[0];
    const [a, b] = [light(getComputedStyle(word).fill), light(behind ? getComputedStyle(behind).fill : panel)].sort((p, q) => p - q);
    return [word.textContent, (b + 0.05) / (a + 0.05)];
  });
}"""
