"""Make the pictures in README and docs: real screenshots of JupyterLab, so that they show what the code draws now.

``.venv/bin/python tools/screenshots.py`` writes ``docs/pictures/*.png``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright  # noqa: E402 - needs the path

from tests import lab  # noqa: E402 - needs the path

FIRST = [
    "%load_ext deltanb",
    "%delta backbone minilm",
    "%delta graph --depth 5",
    "%delta match output.dense",
    "%delta attach adapter output.dense bottleneck_dim=24",
    "%delta freeze --exclude deltas classifier",
    "%delta params --by delta",
    "%delta train movie_reviews --epochs 1 --rows 3000",
    "%delta predict A warm, funny film that stays with you.",
    "%delta match fc2",
    "%delta backbone bart-base --skeleton",
    "%delta explore fc2",
]

AROUND = 150  # pixels that JupyterLab takes above and below a notebook
PICTURES = {"%delta graph": "graph.png", "%delta match output": "match.png", "%delta train": "train.png", "%delta explore": "explorer.png"}


def main() -> None:
    """Run the tour and photograph it, light and dark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--rows", type=int, default=3000, help="reviews to train on")
    parser.add_argument("--only", help="the cells that are run, by their beginnings: --only '%load' '%delta explore'", nargs="+")
    parser.add_argument("--all", action="store_true", help="also every cell by itself, light and dark, for looking at")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    wanted = tuple(chosen.only or ("",))
    cells = [cell.replace("3000", str(chosen.rows)) for cell in FIRST if cell.startswith(wanted)]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as work:
        lab.notebook(Path(work) / "first.ipynb", cells)
        with lab.server(Path(home), Path(work)) as address, sync_playwright() as running, lab.browser_page(running, height=1000) as page:
            lab.open_notebook(page, address, "first.ipynb")
            page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
            lab.run_all(page)
            page.wait_for_timeout(1000)
            for theme in ("Light", "Dark") if chosen.all else ("Light",):
                page.evaluate("name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})", f"JupyterLab {theme}")
                page.wait_for_timeout(1500)
                _shoot(page, cells, chosen.out, theme.lower(), each=chosen.all)


def _shoot(page: Any, cells: list[str], out: Path, theme: str, *, each: bool) -> None:
    for at, text in enumerate(cells):
        named = next((name for start, name in PICTURES.items() if text.startswith(start)), "")
        page.evaluate("at => jupyterapp.shell.currentWidget.content.activeCellIndex = at", at)
        cell = page.locator(".jp-Notebook .jp-Cell").nth(at)
        cell.scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        if (high := cell.bounding_box()["height"] + AROUND) > page.viewport_size["height"]:  # what is out of view would be grey
            page.set_viewport_size({"width": page.viewport_size["width"], "height": int(high)})
            cell.scroll_into_view_if_needed()
            page.wait_for_timeout(1500)
        if named and theme == "light":
            cell.screenshot(path=out / named)
        if each:
            cell.screenshot(path=out / f"cell-{at:02d}-{theme}.png")


if __name__ == "__main__":
    main()
