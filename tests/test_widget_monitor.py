"""The training monitor: its state in Python, its view in a page, and both in JupyterLab."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from deltanb._errors import DeltaError
from deltanb.training import Progress, train
from deltanb.widgets import MonitorLive, TrainingMonitor
from deltanb.workbench import Workbench
from tests.test_workbench import ROWS, fresh
from tests.tiny_text import films, light_collections, tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltanb.training import TrainingResult

__all__ = ["light_collections"]
FAST: dict[str, Any] = {"batch_size": 8, "baseline": False, "max_steps": 4}


def progress(steps: int, end: int = 0) -> Progress:
    """A run that has done so many steps."""
    found = Progress(preface="Trains 328 parameters.", end=end or steps, rate=310.25, left=12.34, levels={"always 'bad'": 0.5})
    for step in range(1, steps + 1):
        row = {"step": step, "loss": 0.2 + 0.5 / step, "lr": 1e-3, "accuracy": 0.7 if step == steps else math.nan, "seconds": step / 10}
        found.step(row, texts=8 * step, share=step / found.end, after=1.0)
    return found


@pytest.fixture(scope="module")
def bench() -> Workbench:
    """A workbench with two runs of an adapter."""
    made = Workbench()
    fresh(made)
    made.attach("adapter", ["output.dense"], bottleneck_dim=2)
    made.freeze(["deltas", "classifier"])
    for _ in range(2):
        made.train(ROWS, restart=True, display=False, eval_every=2, **FAST)
    return made


@pytest.fixture(scope="module")
def result() -> TrainingResult:
    return train(tiny(), films(80), display=False, eval_every=2, **FAST)


# Its state ----------------------------------------------------------------------------------------------------------------


def test_it_takes_over_where_the_run_is() -> None:
    monitor = TrainingMonitor(title="adapter")
    monitor.show(progress(3, end=9))
    assert (monitor.status, monitor.running, monitor.finished) == ("running", True, False)
    assert (monitor.steps, monitor.end, monitor.left > 0) == (3, 9, True)
    assert monitor.losses[0] == [1, 0.7, 0.7]
    assert monitor.losses[-1][:2] == [3, 0.3667]
    assert monitor.rates == [[1, 0.001], [2, 0.001], [3, 0.001]]
    assert monitor.accuracies == [[3, 0.7]]
    assert monitor.memory["peak"] >= monitor.memory["now"] > 50
    assert json.dumps(monitor.export_state(), allow_nan=False)


def test_a_long_run_stays_small() -> None:
    monitor = TrainingMonitor()
    monitor.show(progress(5000))
    assert len(monitor.losses) <= 400
    assert len(monitor.rates) <= 400
    assert [monitor.losses[0][0], monitor.losses[-1][0]] == [1, 5000]
    assert len(json.dumps(monitor.export_state())) < 25_000


def test_it_ends_as_the_result(result: TrainingResult) -> None:
    monitor = TrainingMonitor()
    monitor.show(progress(2, end=4))
    monitor.show_result(result)
    assert (monitor.status, monitor.running, monitor.finished, monitor.share) == ("finished", False, True, 1)
    assert monitor.verdict == result.verdict
    assert [row[0] for row in monitor.accuracies] == [2, 4]
    assert monitor.table == result.rows()
    assert monitor.static_form() is result
    assert json.dumps(monitor.export_state(), allow_nan=False)


def test_an_error_is_said_in_its_four_parts() -> None:
    monitor = TrainingMonitor()
    monitor.show_error(DeltaError("The loss is not a number.", expected="Less.", try_="lr=1e-3"))
    assert (monitor.status, monitor.finished) == ("failed", True)
    assert monitor.problem == {"what": "The loss is not a number.", "expected": "Less.", "nearest": [], "try_": "lr=1e-3"}
    assert "The loss is not a number." in monitor.static_form().text()
    monitor.show_error(RuntimeError("no space"))
    assert monitor.problem["what"] == "Training failed: RuntimeError: no space"


def test_stop_is_asked_for_once_and_answered() -> None:
    monitor = TrainingMonitor()
    monitor.show(progress(1, end=3))
    assert monitor.answer("stop", {}) == {"ok": True, "value": None}
    assert (monitor.stop.is_set(), monitor.status) == (True, "stopping")
    monitor.show(progress(2, end=3))
    assert monitor.status == "stopping"
    monitor.show_error(DeltaError("x"))
    assert monitor.answer("stop", {})["error"]["what"] == "This run has ended already."
    held = TrainingMonitor(stoppable=False)
    assert held.answer("stop", {})["error"]["expected"].startswith("Interrupt the kernel")
    assert not held.stop.is_set()


def test_earlier_runs_come_with_it_the_latest_four(bench: Workbench) -> None:
    monitor = TrainingMonitor(bench.runs)
    assert [run["label"] for run in monitor.runs] == [run.label for run in bench.runs]
    assert len(monitor.runs[0]["losses"]) == 4
    assert [step for step, _ in monitor.runs[0]["accuracies"]] == [2, 4]
    assert [run["number"] for run in TrainingMonitor([*bench.runs] * 3).runs] == [1, 2, 1, 2]


def test_messages_to_the_browser_are_at_most_three_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    from deltanb.widgets import monitor as module

    clock = iter(at / 20 for at in range(1000))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    monitor = TrainingMonitor()
    shown: list[Progress] = []
    monkeypatch.setattr(monitor, "show", shown.append)
    live, now = MonitorLive(monitor), progress(1)
    for _ in range(60):
        live.update(now)
    assert 2 <= len(shown) <= 9  # 60 looks at the clock are three seconds


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A shell that says it has a kernel."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    config = Config()
    config.HistoryManager.enabled = False
    made = InteractiveShell.instance(config=config)
    made.kernel = None
    made.run_cell("%load_ext deltanb")
    yield made
    made.run_cell("%unload_ext deltanb")
    InteractiveShell.clear_instance()


def started(shell: Any) -> Workbench:
    bench: Workbench = shell.magics_manager.registry["DeltaMagics"].bench
    fresh(bench)
    bench.attach("adapter", ["output.dense"], bottleneck_dim=2)
    bench.freeze(["deltas", "classifier"])
    shell.user_ns["rows"] = ROWS
    return bench


def test_live_shows_the_widget_and_leaves_the_plain_result(shell: Any) -> None:
    from IPython.utils.capture import capture_output

    bench = started(shell)
    with capture_output() as seen:
        found = shell.run_cell("%delta train rows --max-steps 3 --batch-size 8 --live")
    found.raise_error()
    first, *plain = seen.outputs
    assert "application/vnd.jupyter.widget-view+json" in first.data
    assert "The result stands here" in plain[0].data["text/plain"]
    assert len({output.transient["display_id"] for output in plain}) == 1
    assert plain[-1].data["text/plain"] == bench.result.text()
    assert "<details>" in plain[-1].data["text/html"]
    assert found.result is bench.result  # whose display draws nothing more in this cell
    assert not [output for output in plain if output.data["text/plain"] == ""]


def test_background_returns_the_run_and_stop_and_wait_are_verbs(shell: Any) -> None:
    from IPython.utils.capture import capture_output

    bench = started(shell)
    with capture_output() as seen:
        found = shell.run_cell("%delta train rows --max-steps 9000 --batch-size 8 --background")
    found.raise_error()
    assert not found.result.done
    assert [("application/vnd.jupyter.widget-view+json" in output.data) for output in seen.outputs][:2] == [True, False]
    with capture_output():
        assert "has to wait" in str(shell.run_cell("%delta undo").error_in_exec)
        assert "%delta stop" in str(shell.run_cell("%delta wait --seconds 0.01").error_in_exec)
        stopped = shell.run_cell("%delta stop")
    stopped.raise_error()
    assert stopped.result.title.startswith("Stopped after")
    assert shell.run_cell("%delta wait").result is bench.result
    assert [run.interrupted for run in shell.run_cell("%delta runs").result] == [True]
    assert shell.run_cell("%delta undo").result.title == "Undone: train."
    assert shell.run_cell("%delta stop").result.title == "Nothing is training in the background."


def test_a_terminal_trains_in_the_background_without_a_widget(shell: Any) -> None:
    from IPython.utils.capture import capture_output

    bench = started(shell)
    del shell.kernel
    with capture_output() as seen:
        shell.run_cell("%delta train rows --max-steps 2 --batch-size 8 --background;").raise_error()
        bench.wait()
    assert not seen.outputs
    assert (seen.stdout, seen.stderr) == ("", "")


# Its view -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def view(page: Any) -> Any:
    return page


def running_state(bench: Workbench) -> dict[str, Any]:
    monitor = TrainingMonitor(bench.runs, title="adapter on films")
    monitor.show(progress(30, end=94))
    monitor.levels = {"head alone": 0.663, "always 'bad'": 0.507}
    return monitor.export_state()


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_view_shows_figures_curves_and_a_stop_button(view: Any, bench: Workbench, theme: str) -> None:
    page = view.page
    view.mount("monitor", running_state(bench), theme)
    assert page.get_by_role("button", name="Stop", exact=True).is_enabled()
    assert page.get_by_role("status").inner_text() == "Training 94 steps."
    assert page.get_by_role("progressbar").get_attribute("aria-valuenow") == "32"
    figures = page.locator("dl").inner_text()
    assert "30 of 94" in figures
    assert "0.700" in figures
    assert page.get_by_role("img").count() == 2
    assert "Loss 0.700 at step 1" in page.get_by_role("img").first.get_attribute("aria-label")
    assert "head alone 0.663" in page.locator("svg").nth(1).text_content()
    dashes = page.evaluate("[...document.querySelectorAll('polyline.dnb-chart-earlier')].map(e => e.getAttribute('stroke-dasharray'))")
    assert len(set(dashes)) == len(bench.runs) == 2
    assert [item.split(":")[0] for item in page.locator(".dnb-legend li").all_inner_texts()] == ["this run", "each step", "#1", "#2"]
    assert view.serious() == []


@pytest.mark.browser
def test_the_curve_is_a_table_too(view: Any, bench: Workbench) -> None:
    view.mount("monitor", running_state(bench))
    view.page.get_by_text("Numbers of the curve").click()
    table = view.page.locator("details table")
    table.wait_for()
    heads = table.locator("thead th").all_inner_texts()
    assert heads == ["step", "loss", "learning rate", "accuracy", "loss, run 1", "loss, run 2"]
    assert table.locator("tbody tr").last.inner_text().split()[0] == "30"
    assert table.locator("tbody tr").count() <= 13


@pytest.mark.browser
def test_the_stop_button_asks_python_and_the_end_is_said(view: Any, bench: Workbench, result: TrainingResult) -> None:
    page, monitor = view.page, TrainingMonitor(bench.runs, title="adapter")
    monitor.show(progress(3, end=9))
    view.mount_live(monitor)
    button = page.get_by_role("button", name="Stop", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('[role=status]').textContent.startsWith('Stopping')")
    assert monitor.stop.is_set()
    assert button.is_disabled()
    monitor.show_result(result)
    page.evaluate("state => model.receive({traits: state})", monitor.export_state())
    page.wait_for_function("document.querySelector('[role=status]').textContent.startsWith('Accuracy')")
    assert button.is_hidden()
    assert page.locator(".dnb-monitor-badge").inner_text().split() == ["✓", "finished"]
    assert result.verdict in page.locator(".dnb-monitor-end").inner_text()


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_end_is_accessible(view: Any, bench: Workbench, result: TrainingResult, theme: str) -> None:
    done, failed, held = TrainingMonitor(bench.runs), TrainingMonitor(), TrainingMonitor(stoppable=False)
    done.show_result(result)
    failed.show_error(DeltaError("The loss is not a number.", expected="Less.", try_="lr=1e-3"))
    held.show(progress(3, end=9))
    for monitor, words in ((done, result.verdict), (failed, "Try: lr=1e-3"), (held, "The notebook's stop button")):
        view.mount("monitor", monitor.export_state(), theme)
        view.page.get_by_text("Numbers of the curve").click()
        assert words in view.page.locator(".dnb-monitor").inner_text()
        assert view.page.get_by_role("button", name="Stop").count() == 0
        assert view.serious() == []


@pytest.mark.browser
def test_a_kernel_that_is_gone_is_noticed(view: Any, bench: Workbench) -> None:
    page = view.page
    page.evaluate("window.kept = [setInterval, Date.now]; window.setInterval = (heard) => { window.tick = heard; return 0; }")
    view.mount("monitor", running_state(bench))
    page.evaluate("tick()")
    assert "No news" not in page.locator(".dnb-monitor").inner_text()
    page.evaluate("Date.now = () => kept[1].call(Date) + 25_000; tick(); [window.setInterval, Date.now] = kept")
    assert "No news for 25 s: the kernel is busy, or gone." in page.locator(".dnb-monitor").inner_text()


@pytest.mark.browser
def test_names_are_text_and_not_markup(view: Any, bench: Workbench) -> None:
    evil = "<img src=x onerror=alert(1)>"
    state = running_state(bench)
    state |= {
        "title": evil,
        "preface": evil,
        "levels": {evil: 0.5},
        "problem": {"what": evil, "try_": evil},
        "status": "failed",
        "verdict": evil,
    }
    state["runs"] = [{**run, "label": evil} for run in state["runs"]]
    view.mount("monitor", state)
    assert view.page.locator("img").count() == 0
    assert view.page.locator(".dnb-monitor-title").inner_text() == evil


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 900])
def test_it_fits_a_phone_and_a_room(view: Any, bench: Workbench, width: int) -> None:
    view.page.set_viewport_size({"width": width, "height": 800})
    view.mount("monitor", {**running_state(bench), "projector": width == 900})
    fits = view.page.evaluate("[...document.querySelectorAll('.dnb, .dnb svg, .dnb dl')].every(e => e.scrollWidth <= innerWidth)")
    view.page.set_viewport_size({"width": 1280, "height": 900})
    assert fits


@pytest.mark.browser
def test_an_exported_page_shows_the_run_without_a_kernel(view: Any, bench: Workbench, result: TrainingResult, tmp_path: Path) -> None:
    monitor = TrainingMonitor(bench.runs)
    monitor.show_result(result)
    page = view.page
    page.set_content(monitor.save_html(tmp_path / "run.html").read_text())
    page.locator(".dnb-monitor-verdict").wait_for()
    assert page.get_by_role("button", name="Stop").count() == 0
    assert result.verdict in page.locator("main").inner_text()
