"""Reads the HTML of a report as a notebook's sanitiser would, and holds it to what that keeps."""

from __future__ import annotations

from html.parser import HTMLParser

# What JupyterLab's sanitiser keeps in an untrusted notebook.
TAGS = {"b", "details", "div", "img", "span", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "wbr"}
ATTRIBUTES = {"style", "src", "alt", "open", "scope"}
STYLES = {
    "background", "border", "border-bottom", "border-collapse", "border-left", "border-radius", "color", "cursor", "display", "flex",
    "flex-wrap", "float", "font-family", "font-size", "font-weight", "gap", "height", "line-height", "margin", "margin-left", "max-width",
    "opacity", "overflow", "overflow-x", "padding", "padding-left", "text-align", "vertical-align", "white-space", "width",
}  # fmt: skip


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.found: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


class Way(Reader):
    """For the text of a mark: how many closed ``<details>`` it lies in."""

    def __init__(self, html: str) -> None:
        self.details: list[bool] = []
        self.closed_above: dict[str, int] = {}
        super().__init__(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag == "details":
            self.details.append("open" in dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        super().handle_endtag(tag)
        if tag == "details":
            self.details.pop()

    def handle_data(self, data: str) -> None:
        if data.startswith("● ") and " of " in data:
            self.closed_above[data] = self.details.count(False)


def read_safe(html: str) -> Reader:
    """Parse HTML and assert that a sanitiser has nothing to remove but `color-mix`."""
    reader = Reader(html)
    assert not reader.open
    assert reader.tags <= TAGS
    assert {name for _, name, _ in reader.found} <= ATTRIBUTES
    styles = [rule.partition(":") for _, name, value in reader.found if name == "style" for rule in value.split(";")]
    assert {name for name, _, _ in styles} <= STYLES
    assert not [value for _, _, value in styles if "url" in value or "var(" in value]
    for tag, name, value in reader.found:
        assert name != "src" or (tag == "img" and value.startswith("data:image/svg+xml;base64,"))
    return reader
