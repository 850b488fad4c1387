"""The Explorer in a real JupyterLab and a real Notebook 7: type, see, click, attach, undo, restart, reload. No network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")

from tests import lab  # noqa: E402 - needs playwright

CELLS = ["%load_ext deltanb", "%delta backbone bart-tiny --random", "%delta explore fc2", "%delta params", "%delta code"]
HOSTS = {"jupyterlab": "lab/tree", "notebook": "notebooks"}
# JupyterLab itself complains about nothing else; what a widget without a kernel says is expected after the reload.
EXPECTED = ("model not found", "Widget model")


class Tour:
    """A page with the notebook open, and what its console complained about."""

    def __init__(self, page: Any, address: str, place: str) -> None:
        self.page, self.address, self.place = page, address, place
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)

    def open(self) -> None:
        lab.open_notebook(self.page, self.address, "tour.ipynb", self.place)

    @property
    def explorer(self) -> Any:
        return self.page.locator(".dnb-explorer").first

    @property
    def status(self) -> Any:
        return self.explorer.get_by_role("status").first

    def waits_for(self, text: str) -> None:
        self.explorer.get_by_role("status").filter(has_text=text).first.wait_for(timeout=15_000)

    def run_cell(self, at: int) -> str:
        """Run one cell again; its plain text."""
        self.page.evaluate(
            "async (at) => { const n = jupyterapp.shell.currentWidget.content; n.activeCellIndex = at; n.deselectAll();"
            " await jupyterapp.commands.execute('notebook:run-cell'); }",
            at,
        )
        return "".join(str(output.get("data", {}).get("text/plain", "")) for output in lab.outputs(self.page)[at])


@pytest.fixture(scope="module", params=list(HOSTS))
def tour(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    home: Path = tmp_path_factory.mktemp("home")
    work: Path = tmp_path_factory.mktemp("work")
    lab.notebook(work / "tour.ipynb", CELLS)
    with (
        lab.server(home, work, request.param) as address,
        playwright.sync_playwright() as running,
        lab.browser_page(running, height=1100) as page,
    ):
        tour = Tour(page, address, HOSTS[request.param])
        tour.open()
        tour.problems.clear()  # what the host says while it starts is its own
        assert lab.run_all(page)
        tour.explorer.wait_for(timeout=20_000)
        yield tour


def test_the_explorer_shows_what_the_pattern_hits(tour: Tour) -> None:
    tree = tour.explorer.get_by_role("tree")
    assert tree.is_visible()
    assert tour.explorer.get_by_label("Pattern", exact=True).input_value() == "fc2"
    tour.waits_for("4 of")
    assert tree.get_by_role("treeitem").count() > 5


def test_typing_changes_the_match_at_once(tour: Tour) -> None:
    box = tour.explorer.get_by_label("Pattern", exact=True)
    box.fill("q_proj v_proj")
    tour.waits_for("12 of")
    tour.explorer.get_by_label("Exclude", exact=True).fill("decoder")
    tour.waits_for("4 of")
    tour.explorer.get_by_label("Exclude", exact=True).fill("")
    box.fill("fc9")
    tour.explorer.get_by_role("button", name="fc2").first.wait_for(timeout=5000)
    box.fill("fc2")
    tour.waits_for("4 of")


def test_attach_freeze_and_undo_act_on_the_workbench(tour: Tour) -> None:
    tour.explorer.get_by_role("button", name="Attach", exact=True).click()
    tour.explorer.get_by_text("Attached adapter to 4 modules").first.wait_for(timeout=20_000)
    assert "delta" in tour.run_cell(3)
    tour.explorer.get_by_role("button", name="Freeze", exact=True).click()
    tour.explorer.get_by_text("Frozen").first.wait_for(timeout=20_000)
    code = tour.run_cell(4)
    assert "AdapterModel(" in code
    assert "freeze_module(" in code
    for _ in range(2):
        tour.explorer.get_by_role("button", name="Undo", exact=True).first.click()
        tour.page.wait_for_timeout(600)
    assert "AdapterModel(" not in tour.run_cell(4)


def test_a_click_gives_the_pattern(tour: Tour) -> None:
    tour.explorer.get_by_label("Pattern", exact=True).fill("")
    tour.explorer.get_by_role("treeitem").filter(has_text="classification_head").first.click()
    tour.explorer.get_by_role("button", name="Use", exact=False).first.click()
    assert tour.explorer.get_by_label("Pattern", exact=True).input_value() == "classification_head"
    tour.waits_for("1 of")


def test_after_a_restart_and_a_reload_the_static_form_is_there(tour: Tour) -> None:
    page = tour.page
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.evaluate("async () => { const p = jupyterapp.shell.currentWidget; await p.sessionContext.ready; }")
    # The view still previews patterns: that needs no kernel.
    tour.explorer.get_by_label("Pattern", exact=True).fill("k_proj")
    tour.waits_for("6 of")
    seen = list(tour.problems)
    tour.open()
    form = page.locator("summary", has_text="Static form").first
    form.wait_for(timeout=20_000)
    form.click()
    assert page.locator(".jp-OutputArea").filter(has_text="fc2").count()
    tour.problems[:] = seen


def test_nothing_outside_was_asked_for_and_nothing_failed(tour: Tour) -> None:
    assert tour.page.outside == []
    assert not [problem for problem in tour.problems if not any(known in problem for known in EXPECTED)]
