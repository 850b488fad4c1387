"""A widget on a bare page in Chromium: its built script and style, a small model that keeps traits and answers questions, no network."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.lab import ROOT, browser_page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltanb.widgets._base import DeltaWidget

STATIC = ROOT / "deltanb" / "widgets" / "static"
AXE = ROOT / "js" / "node_modules" / "axe-core" / "axe.min.js"
THEMES = {"light": "true", "dark": "false"}

MOUNT = """async ({source, style, state, theme}) => {
  document.body.dataset.jpThemeLight = theme;
  document.body.style.background = theme === "true" ? "#ffffff" : "#111111";
  document.body.style.margin = "12px";
  document.head.append(Object.assign(document.createElement("style"), {textContent: style}));
  const made = await import(URL.createObjectURL(new Blob([source], {type: "text/javascript"})));
  const widget = typeof made.default === "function" ? await made.default() : made.default;
  const listeners = {};
  const fire = (event, ...rest) => (listeners[event] ?? []).slice().forEach((heard) => heard(...rest));
  const model = window.model = {
    state, sent: [], saved: 0, pending: new Set(), fire,
    get: (name) => state[name],
    set: (name, value) => {
      const old = state[name];
      state[name] = value;
      if (old !== value) { model.pending.add(name); fire("change:" + name); fire("change"); }
    },
    save_changes: () => {
      model.saved++;
      const changed = Object.fromEntries([...model.pending].map((name) => [name, state[name]]));
      model.pending.clear();
      window.toPython?.({kind: "traits", changed}).then((news) => model.receive(news));
    },
    send: (content) => { model.sent.push(content); window.toPython?.({kind: "message", content}).then((news) => model.receive(news)); },
    receive: (news) => {
      for (const [name, value] of Object.entries(news?.traits ?? {})) { state[name] = value; fire("change:" + name); fire("change"); }
      for (const message of news?.messages ?? []) fire("msg:custom", message, []);
    },
    on: (event, heard) => (listeners[event] ??= []).push(heard),
    off: (event, heard) => { if (event) listeners[event] = heard ? (listeners[event] ?? []).filter((one) => one !== heard) : []; },
  };
  const stop = window.stop = new AbortController();
  const el = document.body.appendChild(document.createElement("div"));
  await widget.initialize?.({model, signal: stop.signal});
  window.cleanup = await widget.render({model, el, signal: stop.signal, host: {}, experimental: {}});
}"""


class Page:
    """A widget in a page, and the page: ``page`` is Playwright's; ``errors`` is what the console complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type in ("error", "warning") else None)

    def mount(self, stem: str, state: dict[str, Any], theme: str = "light") -> None:
        """Show a built widget with a state, and nobody behind it."""
        style = STATIC / f"{stem}.css"
        self.page.set_content("<!DOCTYPE html><html lang='en'><head><title>a widget</title></head><body></body></html>")
        self.page.evaluate(
            MOUNT,
            {"source": (STATIC / f"{stem}.js").read_text(), "style": style.read_text(), "state": state, "theme": THEMES[theme]},
        )

    def mount_live(self, widget: DeltaWidget, theme: str = "light") -> None:
        """Show a widget with the real Python object behind it: traits travel both ways, questions are answered."""
        names = {name for name in widget.export_state() if widget.has_trait(name)}
        replies: list[Any] = []
        widget.send = lambda content, _buffers=None: replies.append(content)  # type: ignore[method-assign]

        def to_python(news: dict[str, Any]) -> dict[str, Any]:
            before = {name: getattr(widget, name) for name in names}
            replies.clear()
            if news["kind"] == "traits":
                _put(widget, news["changed"])
            else:
                widget._asked(widget, news["content"], [])
            changed = {name: getattr(widget, name) for name in names if getattr(widget, name) != before[name]}
            return {"traits": changed, "messages": list(replies)}

        self.page.expose_function("toPython", to_python)
        self.mount(widget.file_stem, widget.export_state(), theme)

    def serious(self) -> list[str]:
        """What axe-core calls a serious or critical violation, one line each."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document.body, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {one['help']} ({node['html'][:200]})"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def shot(self, path: str | Path) -> None:
        """Take a picture of the whole page."""
        self.page.screenshot(path=str(path), full_page=True)


def _put(widget: DeltaWidget, changed: dict[str, Any]) -> None:
    with widget.hold_trait_notifications():
        for name, value in changed.items():
            setattr(widget, name, value)


@contextlib.contextmanager
def widget_page(playwright: Any, *, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """A page in which nothing is reached from outside."""
    with browser_page(playwright, width=width, height=height) as page:
        yield Page(page)


def wait_for(page: Any, script: str, timeout: float = 5000) -> None:
    """Wait until an expression is true in the page."""
    page.wait_for_function(script, timeout=timeout)
