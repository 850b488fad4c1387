"""HTML that survives every notebook viewer: escaped, inline styles only, no script, no style sheet, no role, no inline SVG.

A viewer that does not trust a notebook drops ``color-mix`` (the text then has the page's own colour), keeps the badges,
which bring their own background, and shows the picture, which is an ``<img>`` with a data address.
"""

from __future__ import annotations

import base64
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING

from deltanb.graph import INK, TINT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["HUES", "MIX", "MONO", "Html", "address", "badge", "bar", "ink", "join", "note", "picture", "table", "tag"]

# No single colour has a contrast of 4.5 to both white and a dark notebook, so a colour is mixed with the page's text colour.
MIX = 35  # percent of the page's text colour
HUES = MappingProxyType(
    {"type": "#12a150", "folded": "#f04438", "trainable": "#3b82f6", "delta": "#9b5cf6", "matched": "#e08600", "frozen": "#7d8696"}
)
MONO = "font-family:Menlo,Consolas,monospace"
_VOID = frozenset({"br", "img", "wbr"})
_TRACK = "rgba(128,128,128,0.25)"


class Html(str):
    """Text that is HTML already; every other text is escaped where it enters a tag."""

    __slots__ = ()


def tag(name: str, *children: str, style: str = "", **attributes: str) -> Html:
    """One element.

    Args:
        name: of the element.
        children: `Html`, or plain text, which is escaped.
        style: inline CSS.
        attributes: further attributes; a trailing underscore is dropped. An empty value leaves the bare name.

    Example:
        >>> tag("b", "a<b", style="color:#333333")
        '<b style="color:#333333">a&lt;b</b>'
    """
    given = {key.rstrip("_"): value for key, value in attributes.items()} | ({"style": style} if style else {})
    head = name + "".join(f' {key}="{escape(value)}"' if value else f" {key}" for key, value in given.items())
    if name in _VOID:
        return Html(f"<{head}>")
    return Html(f"<{head}>{join(children)}</{name}>")


def join(parts: Iterable[str], gap: str = "") -> Html:
    """Parts one after the other with ``gap`` between them, plain text escaped.

    Example:
        >>> join(["a<b", tag("br")], " ")
        'a&lt;b <br>'
    """
    return Html(gap.join(part if isinstance(part, Html) else escape(part) for part in parts))


def ink(look: str, *, bold: bool = False) -> str:
    """CSS for text in one of the structure's colours, readable on light and dark pages.

    Example:
        >>> ink("type")
        'color:color-mix(in srgb,currentColor 35%,#12a150)'
    """
    return f"color:color-mix(in srgb,currentColor {MIX}%,{HUES[look]})" + (";font-weight:bold" if bold else "")


def badge(text: str, look: str) -> Html:
    """A word or letter on its own background, the same in every theme."""
    style = (
        f"background:{TINT[look]};color:{INK[look]};border-radius:4px;padding:0px 5px;font-size:12px;font-weight:bold;white-space:nowrap"
    )
    return tag("span", text, style=style)


def address(text: str) -> Html:
    """A dotted name that breaks behind dots only, and is copied whole."""
    segments = text.split(".")
    parts = [tag("span", segment + "." * (at < len(segments)), style="white-space:nowrap") for at, segment in enumerate(segments, 1)]
    return tag("b", join(parts, tag("wbr")), style=f"{MONO};font-size:13px")


def bar(parts: Sequence[tuple[str, float]], width: int = 90) -> Html:
    """A bar of parts, each a colour and its share (0 to 1) of ``width`` pixels; a share above 0 is at least 2 px."""
    box = "display:inline-block;height:8px"
    inner = [
        tag("span", style=f"{box};vertical-align:top;background:{HUES[look]};width:{max(2, round(share * width))}px")
        for look, share in parts
        if share > 0
    ]
    # No font size: the blanks between parts would be as wide as parts.
    around = f"{box};width:{width}px;background:{_TRACK};vertical-align:middle;overflow:hidden;white-space:nowrap;font-size:0px"
    return tag("span", *inner, style=around)


def note(text: str) -> Html:
    """A small line of explanation."""
    return tag("div", text, style="font-size:13px;opacity:0.8;margin:4px 0px")


def picture(svg: str, alt: str) -> Html:
    """An SVG as an image on a light card, so that it reads in dark themes too."""
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
    image = tag("img", src=source, alt=alt, style="max-width:100%;height:auto;display:block")
    return tag("div", image, style="background:#ffffff;border:1px solid #c9ced6;border-radius:6px;padding:6px;max-width:97%")


def table(header: Sequence[str], body: Sequence[Sequence[str]], right: Sequence[bool], foot: Sequence[str] = (), caption: str = "") -> Html:
    """A table in the page's own colours; ``right`` says which columns are aligned to the right."""
    line = "border-bottom:1px solid rgba(128,128,128,0.35)"

    def row(kind: str, cells: Sequence[str], extra: str = "") -> Html:
        scope = {"scope": "col"} if kind == "th" else {}
        made = [
            tag(kind, cell, style=f"text-align:{'right' if end else 'left'};padding:3px 8px;{line}{extra}", **scope)
            for cell, end in zip(cells, right, strict=True)
        ]
        return tag("tr", *made)

    parts = [tag("thead", row("th", header)), tag("tbody", *[row("td", cells) for cells in body])]
    if caption:
        parts.insert(0, tag("caption", caption, style="text-align:left;font-weight:bold;padding:3px 10px"))
    if foot:
        parts.append(tag("tfoot", row("td", foot, ";font-weight:bold")))
    whole = tag("table", *parts, style="border-collapse:collapse;font-size:14px;margin:6px 0px")
    return tag("div", whole, style="overflow-x:auto")
