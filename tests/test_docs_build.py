"""The documentation builds without a warning, its links lead somewhere, and its live pages are alive."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag

import pytest

import deltanb

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
OUTSIDE = ("http:", "https:", "data:", "mailto:")
LOADS = {"script": "src", "img": "src", "iframe": "src", "link": "href"}


class Links(HTMLParser):
    """What a page links to and loads, and the places in it that can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.untitled = 0
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.places |= {given[key] for key in ("id", "name") if key in given}
        if tag in LOADS and LOADS[tag] in given and given.get("rel") != "canonical":
            self.loaded.append(given[LOADS[tag]])
        if tag == "a" and "href" in given:
            self.targets.append(given["href"])
        self.untitled += tag == "iframe" and not given.get("title")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    pytest.importorskip("sphinx", reason="the extra `docs` is not installed")
    out = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--doctree-dir", str(out / "trees")]
    done = subprocess.run([*command, str(DOCS), str(out / "html")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / "html"


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[Path, Links]:
    return {path: Links(path) for path in sorted(built.rglob("*.html")) if built / "live" not in path.parents}


@pytest.mark.slow
def test_every_link_inside_leads_to_a_page_and_a_place_in_it(pages: dict[Path, Links]) -> None:
    wrong = []
    for path, links in pages.items():
        for target in [*links.targets, *links.loaded]:
            if target.startswith(OUTSIDE):
                continue
            address, place = urldefrag(target)
            there = (path.parent / unquote(address).partition("?")[0]).resolve() if address else path
            if not there.is_file() or (place and there in pages and unquote(place) not in pages[there].places):
                wrong.append(f"{path.name}: {target}")
    assert not wrong


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere_and_embedded_pages_have_titles(pages: dict[Path, Links]) -> None:
    assert not [(path.name, one) for path, links in pages.items() for one in links.loaded if one.startswith(("http:", "https:", "//"))]
    assert not [path.name for path, links in pages.items() if links.untitled]
    assert sum(one.endswith(".html") for links in pages.values() for one in links.loaded) > 25


@pytest.mark.slow
def test_every_public_name_can_be_linked_to(pages: dict[Path, Links]) -> None:
    places = {place.rpartition(".")[2] for path, links in pages.items() if path.parent.name == "python" for place in links.places}
    assert set(deltanb.__all__) <= places


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as running:
        yield running


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_the_landing_page_is_alive_without_a_kernel(built: Path, browser: Any, scheme: str, width: int) -> None:
    from tests.lab import browser_page

    with browser_page(browser, width=width, height=900) as page:
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.route("file:///**", lambda route: route.continue_())
        page.emulate_media(color_scheme=scheme)
        page.goto((built / "index.html").as_uri())
        frame = page.frame_locator("iframe")
        frame.get_by_role("textbox", name="Pattern").fill("attn@.q@")
        frame.get_by_text("12 of 184 modules").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert wrong == []
        assert not [address for address in page.outside if not address.startswith("file:")]


@pytest.fixture
def address(built: Path) -> Iterator[str]:
    """The pages on a server."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(built))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.browser
def test_a_page_that_is_switched_to_dark_takes_what_it_embeds_along(address: str, browser: Any) -> None:
    from tests.lab import browser_page

    with browser_page(browser) as page:
        page.emulate_media(color_scheme="light")
        page.goto(f"{address}/index.html")
        inside = page.frame_locator("iframe")
        inside.locator(".dnb[data-dnb-theme=light]").wait_for()
        page.evaluate("document.body.dataset.theme = 'dark'")
        inside.locator(".dnb[data-dnb-theme=dark]").wait_for()
        assert inside.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(17, 20, 24)"
        assert page.outside == []


@pytest.mark.browser
def test_the_drawings_are_what_the_explorer_draws(browser: Any) -> None:
    from tests.lab import browser_page

    sys.path.insert(0, str(ROOT / "tools"))
    import drawings

    with browser_page(browser, width=1800, height=1400) as page:
        drawn = drawings.drawings(page)
    assert drawn == {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "pictures" / "types").glob("*.html")}
