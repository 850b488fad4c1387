"""``%delta train --background`` in a real JupyterLab: cells stay free, the Stop button stops, the plain result stays."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")

from tests import lab  # noqa: E402 - needs playwright

SETUP = "%load_ext deltanb\n%delta backbone bert-tiny --random\n%delta attach adapter output.dense bottleneck_dim=4\n"
CELLS = [
    SETUP + "%delta freeze --exclude deltas classifier",
    "%delta train movie_reviews --rows 400 --epochs 500 --batch-size 4 --background",
    "print('free')",
    "%delta undo",
]
_BADGE = ".dnb-monitor-badge"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home, work = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work")
    lab.notebook(work / "background.ipynb", CELLS)
    with lab.server(home, work) as address, playwright.sync_playwright() as running, lab.browser_page(running) as opened:
        opened.problems = []
        opened.on("pageerror", lambda error: opened.problems.append(str(error)))
        lab.open_notebook(opened, address, "background.ipynb")
        yield opened


def run_cell(page: Any, at: int) -> None:
    page.evaluate(f"jupyterapp.shell.currentWidget.content.activeCellIndex = {at}")
    page.evaluate("jupyterapp.commands.execute('notebook:run-cell')")


def text_of(outputs: list[dict[str, Any]]) -> str:
    return "".join(str(output.get("data", {}).get("text/plain", output.get("text", output.get("evalue", "")))) for output in outputs)


def test_the_stop_button_ends_training_while_cells_run(page: Any) -> None:
    run_cell(page, 0)
    run_cell(page, 1)
    page.locator(_BADGE, has_text="running").wait_for(timeout=60_000)
    run_cell(page, 2)
    run_cell(page, 3)
    *_, free, refused = lab.outputs(page)
    assert text_of(free) == "free\n"
    assert "has to wait" in text_of(refused)
    before = page.locator(".dnb-monitor-figures dd").first.inner_text()
    page.wait_for_function("was => document.querySelector('.dnb-monitor-figures dd').innerText !== was", arg=before)
    started = time.monotonic()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator(_BADGE, has_text="stopped").wait_for(timeout=10_000)
    assert time.monotonic() - started < 2
    page.wait_for_function("document.querySelector('.dnb-monitor [role=status]').textContent.startsWith('Stopped after')")


def test_the_plain_result_is_an_output_of_the_cell_that_started_it(page: Any) -> None:
    for _ in range(100):  # the cell's output follows the widget
        _, training, free, _ = lab.outputs(page)
        widget, plain = training
        if "Stopped after" in "".join(plain["data"]["text/plain"]):
            break
        page.wait_for_timeout(100)
    assert "application/vnd.jupyter.widget-view+json" in widget["data"]
    assert "Stopped after" in "".join(plain["data"]["text/plain"])
    assert "<details>" in "".join(plain["data"]["text/html"])
    assert text_of(free) == "free\n"
    page.get_by_text("(table and picture)").click()
    assert page.locator(".jp-OutputArea details img[alt^='Loss and accuracy']").is_visible()


def test_it_can_be_undone_then_and_trained_again_beside_its_curve(page: Any) -> None:
    run_cell(page, 3)
    assert "Undone: train." in text_of(lab.outputs(page)[3])
    run_cell(page, 1)
    page.locator(_BADGE, has_text="running").wait_for(timeout=60_000)
    assert "#1: adapter (stopped, undone)" in page.locator(".dnb-legend").inner_text()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator(_BADGE, has_text="stopped").wait_for(timeout=10_000)


def test_nothing_failed_and_nothing_outside_was_asked_for(page: Any) -> None:
    assert page.problems == []
    assert page.outside == []
