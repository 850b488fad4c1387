"""Make the drawings of the delta types in the docs: what the Explorer draws, taken out of its page.

``.venv/bin/python tools/drawings.py`` writes ``docs/pictures/types/*.html``.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright  # noqa: E402 - needs the path

from deltanb import Explorer, load_backbone  # noqa: E402 - needs the path
from deltanb.engine import DELTA_TYPES  # noqa: E402 - needs the path
from tests import lab  # noqa: E402 - needs the path

OUT = ROOT / "docs" / "pictures" / "types"


def main() -> None:
    """Write all of them."""
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as running, lab.browser_page(running, width=1800, height=1400) as page:
        for kind, text in drawings(page).items():
            (OUT / f"{kind}.html").write_text(text, encoding="utf-8")


def drawings(page: Any) -> dict[str, str]:
    """What the Explorer draws for each type at its default modules in BERT-base.

    Args:
        page: of Playwright; may read files.
    """
    page.route("file:///**", lambda route: route.continue_())
    model = load_backbone("bert-base", skeleton=True)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in DELTA_TYPES:
            path = Explorer(model, delta_type=kind).save_html(Path(folder) / f"{kind}.html")
            page.goto(path.as_uri())
            figure = page.locator(".dnb-diagram")
            figure.locator("svg").wait_for()
            found[kind] = _by_itself(figure.inner_html(), kind)
    return found


def _by_itself(inside: str, kind: str) -> str:
    """The figure, with names of its own so that it can stand in any page."""
    renamed = re.sub(r'(id|aria-labelledby)="([^"]*)"', lambda hit: f'{hit[1]}="{_names(hit[2], kind)}"', inside)
    return f'<figure class="drawing">{renamed}</figure>\n'


def _names(words: str, kind: str) -> str:
    return " ".join(f"{kind}-{'title' if 'title' in word else 'says'}" for word in words.split())


if __name__ == "__main__":
    main()
