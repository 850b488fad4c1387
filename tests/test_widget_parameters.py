"""The live parameter table: its numbers against an independent recount, its view in a page, and the styled static form."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from deltanb import AdapterModel, DeltaError, freeze, snapshot
from deltanb.reports import ParameterTable
from deltanb.reports._count import GONE
from deltanb.widgets import ParameterView
from deltanb.widgets._parameter_rows import parameter_rows
from deltanb.workbench import Workbench
from tests.models import bart, bert
from tests.test_folding import SOME, models
from tests.test_reports_parameters import recount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

NUMBERS = ("total", "before", "trainable", "dead", "delta")


def opened(row: dict[str, Any], count: int = 1) -> list[int]:
    """What all modules of a row own by themselves, below it too: the sum of an entirely opened tree."""
    count *= len(row["l"])
    mine = row.get("own", [0] * 5) if row.get("c") else row["n"]
    found = [sum(one) if isinstance(one, list) else one * count for one in mine]
    for child in row.get("c", []):
        found = [left + right for left, right in zip(found, opened(child, count), strict=True)]
    return found


def check(model: nn.Module, before: nn.Module | None = None, dead: dict[str, str] | None = None) -> None:
    table = ParameterTable(snapshot(model), snapshot(before) if before is not None else None, gradients=dead)
    rows = json.loads(json.dumps(parameter_rows(table)))
    mine = recount(model)
    flat = [[sum(one["n"][at] for one in rows[group]) for at in range(5)] for group in ("types", "deltas")]
    assert opened(rows["module"]) == rows["totals"] == flat[0] == flat[1]
    assert [rows["totals"][at] for at in (0, 2, 4)] == [mine["total"], mine["trainable"], mine["delta"]]
    assert rows["totals"][1] == (recount(before)["trainable"] if before is not None else 0)
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    assert rows["totals"][3] == sum(sizes[name] for name in dead or ())


@SOME
@given(models)
def test_the_rows_of_any_model_add_up_to_it(model: nn.Module) -> None:
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    check(model, model, dict.fromkeys(names[::3], "not reached"))


def test_before_and_after_add_up(tuned: nn.Module, seq2seq: nn.Module) -> None:
    check(tuned, seq2seq)
    check(seq2seq.requires_grad_(requires_grad=False), tuned)


def test_what_is_gone_has_a_row(tuned: nn.Module, seq2seq: nn.Module) -> None:
    rows = parameter_rows(ParameterTable(snapshot(seq2seq), snapshot(tuned)))
    assert rows["module"]["c"][-1]["l"] == [GONE]


def test_members_that_differ_keep_their_numbers() -> None:
    model = bart()
    before = snapshot(model.requires_grad_(requires_grad=False))
    model.requires_grad_(requires_grad=True)
    names = [name for name, _ in model.named_parameters() if name.endswith("layers.1.fc1.weight")]
    rows = parameter_rows(ParameterTable(snapshot(model), before, gradients=dict.fromkeys(names, "not reached")))
    fold = next(row for row in walk(rows["module"]) if row["l"] == ["0", "1"])
    size = model.get_parameter(names[0]).numel()
    assert fold["n"][3] == [0, size]
    hit = [row for row in walk(fold) if row.get("w")]
    assert [(row["l"], row["w"], row["n"][3]) for row in hit] == [(["fc1"], ["not reached"], [0, size])]


def walk(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield row
    for child in row.get("c", []):
        yield from walk(child)


def test_the_table_follows_the_workbench() -> None:
    bench = Workbench()
    bench.backbone("bart-tiny", random=True)
    view = ParameterView(bench)
    seen: list[Any] = []
    view.observe(lambda change: seen.append(change.new["totals"]), "rows")
    bench.attach("adapter", ["fc2"], bottleneck_dim=2)
    bench.freeze(["deltas"])
    assert len(seen) == 2
    assert seen[-1][2] == seen[-1][4] == recount(bench.model)["trainable"]
    bench.undo()
    assert view.rows["totals"] == seen[0]
    view.close()
    bench.undo()
    assert view.rows["totals"] == seen[0]


def test_a_step_that_changes_no_count_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Workbench()
    bench.backbone("bart-tiny", random=True)
    view = ParameterView(bench)
    monkeypatch.setattr(view, "refresh", lambda: pytest.fail("counted anew"))
    bench.listeners.tell()


def test_a_plain_module_is_looked_at_again_when_asked() -> None:
    model = bert()
    view = ParameterView(model)
    freeze(model, exclude=["classifier"])
    assert view.rows["totals"][2] == view.rows["totals"][0]
    assert view.answer("refresh", {}) == {"ok": True, "value": None}
    assert view.rows["totals"][1:3] == [view.rows["totals"][0], recount(model)["trainable"]]


def test_wrong_choices_are_refused_in_words() -> None:
    view = ParameterView(bert(), gradients=False)
    with pytest.raises(DeltaError, match="no column 'totl'") as error:
        view.sort = "-totl"
    assert error.value.nearest == ["total"]
    with pytest.raises(DeltaError, match="by 'layer'"):
        ParameterView(bert(), by="layer")


def test_it_opens_to_a_short_table_or_to_a_depth() -> None:
    model = bart()
    assert ParameterView(model, gradients=False, depth=1).expanded == []
    assert ParameterView(model, gradients=False, depth=3).expanded[:3] == ["model", "model.encoder", "model.decoder"]
    assert 0 < len(ParameterView(model, gradients=False).expanded) < 24


def test_the_static_form_is_the_table_as_it_is_grouped() -> None:
    model = bert()
    AdapterModel(model, modified_modules=["output.dense"], bottleneck_dim=2)
    view = ParameterView(model, by="delta", gradients=False)
    form = view.static_form()
    assert list(form.df["owner"]) == ["backbone", "adapter"]
    assert form.df["total"].sum() == recount(model)["total"]


def test_the_magic_shows_the_widget_and_its_static_form(monkeypatch: pytest.MonkeyPatch) -> None:
    import deltanb.widgets
    from deltanb.magics._parse import parse
    from deltanb.magics._run import run

    bench = Workbench()
    bench.backbone("bart-tiny", random=True)
    shown: list[ParameterView] = []
    monkeypatch.setattr(deltanb.widgets, "show_with_static", shown.append, raising=False)
    assert run(parse("params --live --by type --no-gradients", {}), bench, {}) is None
    assert (shown[0].by, shown[0].rows["dead"]) == ("type", False)
    view = run(parse("params --live --depth 2 --as view", {}), bench, {})
    assert (view, view.expanded) == (shown[1], ["model", "classification_head"])
    assert view.rows["dead"]


def test_the_styled_view_has_separators_bars_and_plain_names(seq2seq: nn.Module) -> None:
    from torch import nn

    seq2seq.add_module("<b>big", nn.Linear(100, 100))
    table = ParameterTable(snapshot(seq2seq), snapshot(seq2seq))
    html = table.style.to_html()
    assert "&lt;b&gt;big" in html
    assert "<b>big" not in html
    assert "10,100" in html
    assert "linear-gradient" in html
    assert table.summary in html
    assert len(re.findall("<tr", html)) == len(table.df) + 1


# In a page ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from tests.page import widget_page

    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running, widget_page(running, width=1000) as opened:
        yield opened


@pytest.fixture(scope="module")
def bench() -> Workbench:
    made = Workbench()
    made.backbone("bart-tiny", random=True)
    made.attach("adapter", ["fc2"], bottleneck_dim=2)
    made.freeze(["deltas", "classification_head"])
    return made


def cells(page: Any) -> list[list[str]]:
    """The texts of all rows that are drawn."""
    found: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('tr[data-index]')].map(row => [...row.children].map(cell => cell.innerText.trim()))"
    )
    return found


def value(text: str) -> int:
    return int(re.sub(r"[^\d]", "", text))


def focused(page: Any) -> str:
    """The row that has the focus, and a cell in it."""
    found: str = page.evaluate(
        "(() => { const one = document.activeElement; const row = one.closest('tr');"
        " return row.querySelector('b').innerText + (one === row ? '' : ' ' + [...row.children].indexOf(one)); })()"
    )
    return found


@pytest.mark.browser
def test_shown_rows_add_up_to_the_model_however_they_are_opened(chromium: Any, bench: Workbench) -> None:
    view = ParameterView(bench)
    chromium.mount("parameters", view.export_state())
    page = chromium.page
    page.add_style_tag(content=".dnb-params-scroll { max-height: none !important; }")  # all rows are in view
    expected = [recount(bench.model)[name] for name in ("total", "trainable")]
    for act in ("Open all", "Close all"):
        page.get_by_role("button", name=act).click()
        page.wait_for_function(
            "document.querySelectorAll('tr[data-index]').length + 2 === Number(document.querySelector('table').ariaRowCount)"
        )
        rows = page.evaluate(
            "[...document.querySelectorAll('tr[data-index]')].filter(row => row.ariaExpanded !== 'true')"
            ".map(row => [...row.children].map(cell => cell.innerText.trim()))"
        )
        titles = page.locator("thead th").all_inner_texts()
        at = [titles.index(name) for name in ("Total", "Trainable")]
        assert [sum(value(row[column]) for row in rows) for column in at] == expected
        assert [value(page.locator("tfoot td").nth(column).inner_text()) for column in at] == expected
    assert not chromium.errors


@pytest.mark.browser
def test_sorting_filtering_and_grouping(chromium: Any, bench: Workbench) -> None:
    chromium.mount("parameters", ParameterView(bench).export_state())
    page = chromium.page
    page.get_by_role("radio", name="Type").check()
    head = page.get_by_role("columnheader", name="Total")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    totals = [value(row[1]) for row in cells(page)]
    assert totals == sorted(totals, reverse=True)
    head.get_by_role("button").click()
    assert [value(row[1]) for row in cells(page)] == sorted(totals)
    page.get_by_role("radio", name="Module").check()
    page.get_by_label("Filter").fill("LAYERS.1 fc2")
    names = [name for name, module in bench.model.named_modules() if "layers.1" in name and "fc2" in name and list(module.parameters())]
    assert page.get_by_role("status").inner_text().startswith(f"{len(names)} of ")
    assert page.locator("tr[data-index]", has_text="fc2").count() == 2
    assert page.locator("tr[data-index]", has_text="fc1").count() == 0
    page.get_by_label("Filter").fill("<script>")
    assert page.get_by_role("status").inner_text() == 'No module has "<script>" in its name or type.'
    assert cells(page) == []
    assert not chromium.errors


@pytest.mark.browser
def test_it_is_operated_by_keyboard_as_a_treegrid(chromium: Any, bench: Workbench) -> None:
    chromium.mount("parameters", {**ParameterView(bench).export_state(), "expanded": []})
    page = chromium.page
    page.locator("tr[data-index='0']").focus()
    first = focused(page)
    page.keyboard.press("ArrowRight")
    assert page.locator("tr[data-index='0']").get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    assert focused(page) != first
    page.keyboard.press("ArrowLeft")
    assert focused(page) == first
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert focused(page) == f"{first} 1"
    page.keyboard.press("End")
    assert focused(page) == f"{first} {page.locator('thead th').count() - 1}"
    page.keyboard.press("Control+End")
    assert page.locator("tr[data-index]").last.evaluate("row => row.contains(document.activeElement)")
    assert page.locator("[tabindex='0'][data-index], tbody td[tabindex='0']").count() == 1
    assert not chromium.errors


@pytest.mark.browser
def test_a_fold_shows_its_members_and_the_kernel_hears_it(chromium: Any, bench: Workbench) -> None:
    view = ParameterView(bench)
    chromium.mount("parameters", view.export_state())
    page = chromium.page
    fold = page.get_by_role("button", name=re.compile("Show the 2 members")).first
    count = page.locator("tr[data-index]").count()
    fold.click()
    assert page.locator("tr[data-index]").count() >= count + 2
    state = page.evaluate("[model.state.members, model.state.expanded]")
    assert state[0][0].endswith("layers.0-1")
    assert state[0][0] in state[1]
    page.get_by_role("button", name=re.compile("Fold the 2 members")).first.click()
    assert page.evaluate("model.state.members") == []


@pytest.mark.browser
def test_refresh_asks_the_kernel_and_a_name_with_markup_stays_text(chromium: Any) -> None:
    from torch import nn

    from tests.page import wait_for

    model = nn.Sequential()
    model.add_module("<img src=x onerror=alert(1)>", nn.Linear(3, 3))
    view = ParameterView(model)
    chromium.mount_live(view)
    page = chromium.page
    assert "<img src=x onerror=alert(1)>" in cells(page)[0][0]
    assert page.locator("img").count() == 0
    model.requires_grad_(requires_grad=False)
    page.get_by_role("button", name="Refresh").click()
    wait_for(page, "document.querySelector('[role=status]').textContent === 'Counted anew.'")
    assert value(page.locator("tfoot td").nth(page.locator("thead th").all_inner_texts().index("Trainable")).inner_text()) == 0
    assert not chromium.errors


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_nothing_serious_for_axe_and_no_sideways_scrolling(chromium: Any, bench: Workbench, theme: str, width: int) -> None:
    page = chromium.page
    page.set_viewport_size({"width": width, "height": 900})
    chromium.mount("parameters", {**ParameterView(bench).export_state(), "filter": "fc2", "sort": "-total"}, theme)
    assert chromium.serious() == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.set_viewport_size({"width": 1000, "height": 900})


@pytest.mark.browser
def test_a_widget_that_was_taken_out_of_the_page_can_still_look_for_the_theme(chromium: Any, bench: Workbench) -> None:
    chromium.mount("parameters", ParameterView(bench).export_state())
    page = chromium.page
    page.evaluate("(window.gone = document.querySelector('.dnb')).parentElement.remove()")
    page.evaluate("delete document.body.dataset.jpThemeLight")  # now the colour behind it would tell
    page.wait_for_timeout(600)  # the theme is looked at again after a while
    assert page.evaluate("gone.dataset.dnbTheme") == "light"
    assert not chromium.errors


@pytest.mark.browser
def test_ten_thousand_rows_take_few_elements(chromium: Any) -> None:
    from torch import nn

    model = nn.ModuleList(nn.Linear(1, 1 + at % 7) for at in range(10_000))
    chromium.mount("parameters", ParameterView(model, gradients=False).export_state())
    page = chromium.page
    assert page.get_by_role("treegrid").get_attribute("aria-rowcount") == "10002"
    page.locator("tr[data-index='3']").focus()
    page.keyboard.press("End")
    assert focused(page) == "9999"
    assert page.evaluate("document.querySelectorAll('*').length") < 5000
    page.keyboard.press("Home")
    assert focused(page) == "0"
    assert not chromium.errors


@pytest.mark.browser
def test_an_exported_page_sorts_and_filters_without_a_kernel(chromium: Any, bench: Workbench, tmp_path: Path) -> None:
    page = chromium.page
    file = ParameterView(bench).save_html(tmp_path / "table.html")
    assert file.stat().st_size < 100_000
    page.set_content(file.read_text(encoding="utf-8"))
    assert not page.get_by_role("button", name="Refresh").is_visible()
    page.get_by_label("Filter").fill("fc2")
    page.get_by_role("columnheader", name="Total").get_by_role("button").click()
    assert page.locator("tr[data-index]", has_text="fc2").count() == 2
    page.evaluate("document.execCommand = () => { window.copied = document.activeElement.value; return true; }")
    page.get_by_role("button", name="Copy").click()
    lines = [line.split("\t") for line in page.evaluate("window.copied").split("\n")]
    assert lines[0][:3] == ["Module", "Type", "Total"]
    assert int(lines[-1][2]) == recount(bench.model)["total"]
    assert not chromium.errors
