"""`%delta` in a real JupyterLab: what a person sees, types and stops. No network, no console error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")

from tests import lab  # noqa: E402 - needs playwright

CELLS = [
    "%load_ext deltanb",
    "%delta backbone bart-tiny --random",
    "%delta graph",
    "%delta attach adapter fc2 bottleneck_dim=4",
    "%delta freeze --exclude deltas classification_head",
    "%delta params",
    "%delta train movie_reviews --rows 256 --batch-size 16",
    "%delta graph --no-picture",
]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("work")
    lab.notebook(folder / "tour.ipynb", CELLS)
    lab.notebook(folder / "mistakes.ipynb", ["%load_ext deltanb", "%delta backbone bart-tiny --random", "%delta match output.dense"])
    lab.notebook(folder / "stop.ipynb", [*CELLS[:5], "%delta train movie_reviews --epochs 50 --batch-size 4", "%delta evaluate --rows 50"])
    lab.notebook(folder / "type.ipynb", ["%load_ext deltanb", "%delta att"])
    return folder


@pytest.fixture(scope="module")
def page(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("home")
    with lab.server(home, work) as address, playwright.sync_playwright() as running, lab.browser_page(running) as opened:
        opened.address = address
        opened.problems = []
        opened.on("pageerror", lambda error: opened.problems.append(str(error)))
        yield opened


def test_a_tour_runs_and_draws_itself(page: Any) -> None:
    lab.open_notebook(page, page.address, "tour.ipynb")
    assert lab.run_all(page)
    outputs = lab.outputs(page)
    kinds = [{kind for output in cell for kind in output.get("data", {})} for cell in outputs]
    assert all({"text/plain", "text/html"} <= kind for kind in kinds[1:])
    assert page.locator("img[src^='data:image/svg+xml;base64']").count() >= 2  # the graph, and the curve
    assert not [output for cell in outputs for output in cell if output.get("name") == "stderr"]


def test_pictures_have_a_size_and_words(page: Any) -> None:
    pictures = page.locator("img[src^='data:image/svg+xml;base64']")
    for at in range(pictures.count()):
        picture = pictures.nth(at)
        picture.scroll_into_view_if_needed()
        assert picture.get_attribute("alt")
        size = picture.evaluate("image => [image.naturalWidth, image.clientWidth, image.parentElement.clientWidth]")
        assert size[0] > 50
        assert size[1] <= size[2] + 1


def test_a_branch_of_the_tree_opens_with_the_keyboard(page: Any) -> None:
    branch = page.locator(".jp-OutputArea details").last
    branch.scroll_into_view_if_needed()
    was = branch.evaluate("node => node.open")
    branch.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert branch.evaluate("node => node.open") != was


def test_text_is_readable_in_the_dark_theme(page: Any) -> None:
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.wait_for_selector("body[data-jp-theme-light='false']", state="attached")
    contrasts = page.evaluate(CONTRASTS)
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    page.wait_for_selector("body[data-jp-theme-light='true']", state="attached")
    assert len(contrasts) > 20
    assert min(contrasts) >= 3.0
    assert min(page.evaluate(CONTRASTS)) >= 3.0


def test_a_mistake_shows_one_paragraph_and_no_traceback(page: Any) -> None:
    lab.open_notebook(page, page.address, "mistakes.ipynb")
    assert not lab.run_all(page)
    failed = [output for cell in lab.outputs(page) for output in cell if output["output_type"] == "error"]
    assert [output["ename"] for output in failed] == ["DeltaError"]
    shown = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").inner_text()
    assert "fc2" in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) < 8


def test_a_verb_is_completed_while_typing(page: Any) -> None:
    lab.open_notebook(page, page.address, "type.ipynb")
    run_first = "jupyterapp.shell.currentWidget.content.activeCellIndex = 0; await jupyterapp.commands.execute('notebook:run-cell');"
    page.evaluate(f"async () => {{ {run_first} }}")
    line = page.locator(".jp-Cell .cm-content").nth(1)
    line.click()
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    offered = page.locator(".jp-Completer-item")
    offered.first.wait_for(timeout=20_000)
    assert [item.split()[-2:] for item in offered.all_inner_texts()] == [["attach", "verb"]]
    page.keyboard.press("Enter")
    assert line.inner_text().strip() == "%delta attach"


def test_the_stop_button_keeps_what_was_learned(page: Any) -> None:
    lab.open_notebook(page, page.address, "stop.ipynb")
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")  # not waited for
    live = page.locator(".jp-OutputArea-output", has_text="texts/s").last
    live.wait_for(timeout=120_000)
    page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
    last = "jupyterapp.shell.currentWidget.content.widgets.at(-1).model.sharedModel"
    page.wait_for_function(f"{last}.execution_count !== null", timeout=90_000)
    *_, training, evaluation = lab.outputs(page)
    text = "".join(str(output["data"]["text/plain"]) for output in training if "data" in output)
    assert "stopped" in text.lower() or "interrupted" in text.lower()
    assert not [output for output in [*training, *evaluation] if output["output_type"] == "error"]


def test_nothing_outside_was_asked_for_and_nothing_failed(page: Any) -> None:
    assert page.outside == []
    assert page.problems == []


# Contrast of every piece of text of our reports with what lies behind it.
CONTRASTS = """() => {
  const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = css => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = css; probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data]; };
  const behind = node => { for (; node; node = node.parentElement) {
    const c = rgba(getComputedStyle(node).backgroundColor); if (c[3] > 200) return c; } return [255, 255, 255, 255]; };
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const found = [];
  for (const node of document.querySelectorAll('.jp-RenderedHTMLCommon *')) {
    if (![...node.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !node.getClientRects().length) continue;
    let opacity = 1; for (let n = node; n; n = n.parentElement) opacity *= +getComputedStyle(n).opacity;
    const back = behind(node), ink = rgba(getComputedStyle(node).color), a = ink[3] / 255 * opacity;
    const mixed = ink.slice(0, 3).map((v, i) => v * a + back[i] * (1 - a));
    const [x, y] = [light(mixed), light(back)].sort((p, q) => q - p);
    found.push((x + .05) / (y + .05));
  }
  return found; }"""
