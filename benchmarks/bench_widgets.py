"""The Explorer in Chromium: what a key stroke takes, when its marks are painted, how many elements stand in the page, how much is saved.

A case is one model: many small modules without weights, every layer of another width, so that nothing folds. Each round types
the same patterns letter by letter; its value is the 95th percentile of the letters. Painted means: the marks are in the page
when the first, second, … animation frame after the key stroke ends.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._harness import Row, interleave, is_quick, notes, rows
from benchmarks.bench_attach import llama_405b

if TYPE_CHECKING:
    from torch import nn

    from deltanb.widgets import Explorer

NAME = "Explorer in Chromium"
WHO = "deltanb"
# Modules: the most seconds that the handler of a key stroke may take (95 of 100).
KEYS = {1_000: 0.004, 10_000: 0.020}
MOST_FRAMES, MOST_ELEMENTS, MOST_SAVED, MOST_PAGE, MOST_VISIBLE = 2, 5_000, 150, 300, 1.0
TYPED = ("down_proj", "self_attn.q_proj,v_proj", "layers.3.mlp", "layers.0-40.mlp.up_proj", r"[r]layers\.1\d\.mlp", "no_such_module")
ATTENTION, MLP = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")

TYPE = """async ({patterns, limit}) => {
  const root = document.querySelector(".dnb-explorer");
  const box = [...root.querySelectorAll("label")].find((one) => one.textContent === "Pattern").control;
  const status = root.querySelector("[role=status]");
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const rows = () => [...root.querySelectorAll(".dnb-row")].map((row) => row.className + row.firstChild.textContent);
  const shown = () => status.textContent + rows().join();
  const found = [];
  for (const pattern of patterns) {
    for (let at = 1; at <= pattern.length; at++) {
      await frame();
      const before = shown();
      let begun = 0;
      requestAnimationFrame(() => (begun = performance.now()));
      box.value = pattern.slice(0, at);
      const start = performance.now();
      box.dispatchEvent(new InputEvent("input", {bubbles: true}));
      const handler = performance.now() - start;
      await frame();
      const drawing = performance.now() - begun;
      let frames = 1;
      let now = shown();
      const first = now;
      for (let more = 0; more < limit; more++) {
        await frame();
        if (shown() !== now) { now = shown(); frames = more + 2; }
      }
      found.push({handler: handler / 1000, drawing: drawing / 1000, frames, regex: pattern.startsWith("[r]"), text: pattern.slice(0, at)});
    }
  }
  return found;
}"""


def run(rounds: int) -> list[Row]:
    """Measure; without Playwright or Chromium what is in the browser is left out."""
    from deltanb.widgets._payload import payload

    result = sizes()
    large = decoder(400 if is_quick() else 10_000)
    result += rows("structure as JSON, 10,000 modules", interleave({WHO: lambda: payload(large)}, rounds))
    try:
        return result + in_browser(rounds)
    except ImportError:
        notes.append("widgets: what a key stroke takes is left out; pip install playwright, and a Chromium")
        return result


def in_browser(rounds: int) -> list[Row]:
    """Key strokes and elements, for each number of modules."""
    from playwright.sync_api import sync_playwright

    from deltanb.widgets import Explorer
    from tests.page import widget_page

    result: list[Row] = []
    with sync_playwright() as playwright:
        for count, most in KEYS.items():
            explorer = Explorer(decoder(count if not is_quick() else count // 20))
            with widget_page(playwright, width=1100) as page:
                page.mount("explorer", explorer.export_state())
                found = [page.page.evaluate(TYPE, {"patterns": TYPED, "limit": 3}) for _ in range(rounds + 1)][1:]
                result += typing_rows(f"{count:,} modules", found, most)
                most_elements = tuple(elements(page.page))
                result.append(Row(f"elements, {count:,} modules, all open", WHO, most_elements, None, "elements", MOST_ELEMENTS))
                assert not page.errors, page.errors
        result.append(Row("Explorer on 405 billion, made and visible", WHO, visible(playwright, rounds), None, "s", MOST_VISIBLE))
    return result


def visible(playwright: Any, rounds: int) -> tuple[float, ...]:
    """Seconds from the call that makes an Explorer on the skeleton to its tree and its match count standing in the page."""
    from deltanb.widgets import Explorer
    from tests.page import widget_page

    model = llama_405b()
    found = []
    for _ in range(rounds + 1):  # the first one draws the first picture of the process
        with widget_page(playwright, width=1100) as page:
            start = time.perf_counter()
            page.mount("explorer", Explorer(model, pattern="down_proj").export_state())
            for part in ("[role=treeitem]", ".dnb-explorer [role=status]"):
                page.page.locator(part).first.wait_for(state="visible")
            found.append(time.perf_counter() - start)
    return tuple(found[1:])


def typing_rows(job: str, found: list[list[dict[str, Any]]], most: float) -> list[Row]:
    """The 95th percentiles of each round's letters; regular expressions come from a worker, so they are not among the frames."""
    handler = tuple(p95([one["handler"] for one in letters]) for letters in found)
    drawing = tuple(p95([one["drawing"] for one in letters]) for letters in found)
    frames = tuple(p95([one["frames"] for one in letters if not one["regex"]]) for letters in found)
    worst = max((one for letters in found for one in letters), key=lambda one: one["handler"])
    notes.append(f"widgets, {job}: the slowest handler took {worst['handler'] * 1000:.1f} ms, at {worst['text']!r}")
    return [
        Row(f"key stroke, {job}: handler, p95", WHO, handler, None, "s", most),
        Row(f"key stroke, {job}: drawing, p95", WHO, drawing),
        Row(f"key stroke, {job}: painted, p95", WHO, frames, None, "frames", MOST_FRAMES),
    ]


def p95(values: list[float]) -> float:
    """The 95th percentile.

    Example:
        >>> p95([float(at) for at in range(1, 101)])
        95.05
    """
    return statistics.quantiles(values, n=100, method="inclusive")[94]


def elements(page: Any) -> list[float]:
    """Elements of the page: at first, with everything open, and scrolled to the end."""
    counts = [page.evaluate("document.querySelectorAll('*').length")]
    page.locator("[role=treeitem]").first.focus()
    for key in ("*", "End"):
        page.keyboard.press(key)
        page.wait_for_timeout(200)
        counts.append(page.evaluate("document.querySelectorAll('*').length"))
    return [max(counts)]


def sizes() -> list[Row]:
    """How much a saved notebook grows for one Explorer on BART-base, and its exported page; in kB."""
    from deltanb.widgets import Explorer
    from deltanb.workbench import Workbench

    bench = Workbench()
    bench.backbone("bart-base", skeleton=True)
    explorer = Explorer(bench, pattern="fc2")
    saved = saved_size(explorer)
    with tempfile.TemporaryDirectory() as folder:
        page = explorer.save_html(Path(folder) / "explorer.html").stat().st_size / 1000
    return [
        Row("saved notebook, BART-base", WHO, (saved,), None, "kB", MOST_SAVED),
        Row("exported page, BART-base", WHO, (page,), None, "kB", MOST_PAGE),
    ]


def saved_size(explorer: Explorer) -> float:
    """What a notebook saves: the widget's state (with its layout), and both outputs."""
    from ipywidgets.embed import dependency_state

    form = explorer.static_form()
    state = dependency_state([explorer], drop_defaults=False)
    view = explorer._repr_mimebundle_()
    bundle = view[0] if isinstance(view, tuple) else view
    outputs = [bundle, {"text/html": form.html(), "text/plain": form.text()}]
    texts = {"state": json.dumps(state), "outputs": json.dumps(outputs)}
    script = len(str(state[explorer.model_id]["state"]["_esm"])) / 1000
    notes.append(f"widgets: of a saved Explorer, {script:.0f} kB are its script and {len(texts['outputs']) / 1000:.0f} kB its outputs")
    return sum(map(len, texts.values())) / 1000


def decoder(count: int) -> nn.Module:
    """A decoder's modules, thirteen a layer, without weights; no two layers are alike."""
    import torch
    from torch import nn

    def layer(at: int) -> nn.Module:
        attention = nn.ModuleDict({name: nn.Linear(4, 4 + at) for name in ATTENTION})
        mlp = nn.ModuleDict({**{name: nn.Linear(4, 4 + at) for name in MLP}, "act_fn": nn.SiLU()})
        return nn.ModuleDict({"self_attn": attention, "mlp": mlp, "input_norm": nn.LayerNorm(4), "post_norm": nn.LayerNorm(4)})

    with torch.device("meta"):
        return nn.ModuleDict({"layers": nn.ModuleList([layer(at) for at in range(count // 13)])})
