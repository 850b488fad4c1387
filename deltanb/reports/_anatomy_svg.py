"""The singular values of a delta's updates as small multiples: one panel a module, all on one scale."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from deltanb.graph import INK
from deltanb.graph._text_width import elide

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_PANELS", "spectra_svg"]

MOST_PANELS = 48
_ACROSS, _WIDE, _HIGH = 6, 122, 74
_PLOT = 44  # height of the highest bar
_BAR, _TRACK, _SOFT = "#7c3aed", "#e3e7ec", "#5a6373"
_SIZE = 11


def spectra_svg(panels: Sequence[tuple[str, Sequence[float]]]) -> str:
    """The picture, on its own light ground.

    Args:
        panels: a title and the values, largest first, of each module; no more than `MOST_PANELS` are drawn.

    Example:
        >>> svg = spectra_svg([("0 query", [0.4, 0.1])])
        >>> svg.count("<rect"), "0 query" in svg
        (3, True)
    """
    shown = panels[:MOST_PANELS]
    highest = max((value for _, values in shown for value in values), default=0.0) or 1.0
    across = min(_ACROSS, max(1, len(shown)))
    width, height = across * _WIDE, -(-len(shown) // across) * _HIGH
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Helvetica,Arial,sans-serif" font-size="{_SIZE}">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for at, (title, values) in enumerate(shown):
        parts += _panel(_WIDE * (at % across) + 6, _HIGH * (at // across) + 4, title, values, highest)
    return "".join([*parts, "</svg>"])


def _panel(x: int, y: int, title: str, values: Sequence[float], highest: float) -> list[str]:
    wide = _WIDE - 14
    base = y + 16 + _PLOT
    step = wide / max(1, len(values))
    bars = []
    for at, value in enumerate(values):
        tall = _PLOT * value / highest
        bars.append(
            f'<rect x="{x + at * step:.1f}" y="{base - tall:.1f}" width="{max(0.6, step - min(2.0, step / 4)):.1f}" '
            f'height="{tall:.1f}" fill="{_BAR}"/>'
        )
    return [
        f'<text x="{x}" y="{y + 9}" fill="{INK["text"]}">{escape(elide(title, 14))}</text>',
        f'<line x1="{x}" y1="{base + 0.5}" x2="{x + wide}" y2="{base + 0.5}" stroke="{_TRACK}"/>',
        *bars,
        f'<text x="{x + wide}" y="{y + 9}" text-anchor="end" fill="{_SOFT}">{values[0] if values else 0:.2g}</text>',
    ]
