"""A widget as one file: opened from the disk in a browser that reaches nothing, it previews patterns and opens folds."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

from deltanb import DeltaError
from deltanb.widgets.explorer import Explorer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = ["</script><script>ran = 1</script>", "<img src=x onerror=ran=1>", "<!--", "</style>", "{title}", "日本", '"quoted"']


def bart_base() -> nn.Module:
    import torch
    from transformers import BartConfig, BartForSequenceClassification

    sizes = {f"{half}_{part}": value for half in ("encoder", "decoder") for part, value in (("layers", 6), ("ffn_dim", 3072))}
    with torch.device("meta"):
        return BartForSequenceClassification(BartConfig(d_model=768, **sizes))


def hostile() -> nn.Module:
    model = nn.Module()
    for name in HOSTILE:
        model.add_module(name, type(name, (nn.Linear,), {})(2, 2))
    return model


def state_of(text: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="dnb-state">(.*?)</script>', text, re.DOTALL)
    state: dict[str, Any] = json.loads(found)
    return state


def test_the_file_is_small_and_reaches_for_nothing(tmp_path: Path) -> None:
    path = Explorer(bart_base(), pattern="fc2", view="both").save_html(tmp_path / "lecture.html")
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 300_000
    assert not re.findall(r"""(?:src|href)=["']?(?!#)|@import|url\((?!["']?data:)|https://""", text)
    assert "<title>BartForSequenceClassification · deltanb explorer</title>" in text
    assert state_of(text)["pattern"] == "fc2"


def test_what_is_in_the_model_cannot_end_the_state(tmp_path: Path) -> None:
    text = Explorer(hostile()).save_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>ran" not in text
    assert text.count("</script>") == 2
    assert [row["l"][0] for row in state_of(text)["structure"]["root"]["c"]] == HOSTILE


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeltaError, match=r"cannot be written.*a folder that is there"):
        Explorer(nn.Linear(2, 2)).save_html(tmp_path / "gone" / "page.html")


@pytest.fixture
def page(playwright: Any) -> Iterator[Any]:
    """A page that may read one file, and is offline."""
    from tests.lab import browser_page

    with browser_page(playwright, width=1280, height=1000) as made:
        wrong: list[str] = []
        asked: list[str] = []
        made.on("pageerror", lambda error: wrong.append(str(error)))
        made.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        made.on("request", lambda request: asked.append(request.url) if request.url[:5] not in ("blob:", "data:") else None)
        made.route("file:///**", lambda route: route.continue_())
        made.context.set_offline(True)
        yield made
        assert wrong == []
        assert len(asked) == 1


def serious(page: Any) -> list[str]:
    from tests.page import AXE

    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {one['help']}" for one in found["violations"] if one["impact"] in ("serious", "critical")]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_file_alone_previews_patterns_and_opens_folds(page: Any, tmp_path: Path, scheme: str) -> None:
    path = Explorer(bart_base(), view="both").save_html(tmp_path / "lecture.html")
    page.emulate_media(color_scheme=scheme)
    page.goto(path.as_uri())
    # No script may be made from text in this page, so Playwright waits for elements.
    typed = page.get_by_role("textbox", name="Pattern")
    said = page.get_by_role("status")
    typed.fill("fc2")
    said.filter(has_text="12 of 184 modules").wait_for()
    assert page.locator(".dnb-hit").count() == 2
    typed.fill(r"[r]layers\.[01]\.fc[12]")  # a regular expression runs in a worker, from a blob
    said.filter(has_text="8 of 184 modules").wait_for()
    assert page.locator(".dnb-is-slot").filter(has_text="● 2 of 6").count() == 4
    attention = page.get_by_role("treeitem", name="self_attn,").first
    assert attention.get_attribute("aria-expanded") == "false"
    attention.click()
    page.keyboard.press("ArrowRight")
    page.get_by_role("treeitem", name="k_proj,v_proj,q_proj,out_proj").first.wait_for()
    page.get_by_text("Without a kernel the picture stays as it was saved").wait_for()
    assert page.get_by_role("button", name=re.compile("^(Attach|Freeze|Undo)")).count() == 0
    background = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(background) < 200) == (scheme == "dark")
    assert serious(page) == []


@pytest.mark.browser
def test_names_of_modules_are_text_in_the_file(page: Any, tmp_path: Path) -> None:
    page.goto(Explorer(hostile(), view="both").save_html(tmp_path / "page.html").as_uri())
    page.wait_for_selector(".dnb-frame[role=option]")
    assert page.evaluate("window.ran") is None
    shown = page.evaluate("[...document.querySelectorAll('.dnb-frame[role=option]')].map((one) => one.ariaLabel)")
    assert [label.rsplit(", ", 3)[0].partition(", ")[0] for label in shown] == HOSTILE
    assert page.locator("main img, main script, main style").count() == 0
    page.get_by_role("textbox", name="Pattern").fill("日本")
    page.locator(".dnb-hit").wait_for()
    assert page.locator(".dnb-hit").count() == 1
