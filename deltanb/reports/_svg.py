"""The few parts that the charts are drawn from, in one hand: colours, lines, letters, round numbers for an axis."""

from __future__ import annotations

import math
from html import escape

__all__ = ["GRID", "INK", "SOFT", "line", "text", "ticks"]

INK, SOFT, GRID = "#1d2733", "#5b6676", "#e3e7ec"


def line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    """A straight line.

    Example:
        >>> line(0, 1, 2, 3, INK)
        '<line x1="0.0" y1="1.0" x2="2.0" y2="3.0" stroke="#1d2733" />'
    """
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'


def text(x: float, y: float, words: str, colour: str, *, anchor: str = "start", weight: str = "normal") -> str:
    """Letters on a base line.

    Args:
        x: of the anchor.
        y: of the base line.
        words: escaped here.
        colour: of the letters.
        anchor: ``start``, ``middle`` or ``end``.
        weight: ``normal`` or ``bold``.

    Example:
        >>> text(1, 2, "a<b", SOFT)
        '<text x="1.0" y="2.0" fill="#5b6676" text-anchor="start" font-weight="normal">a&lt;b</text>'
    """
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'


def ticks(low: float, high: float) -> list[float]:
    """Two to six round numbers from ``low`` to ``high``.

    Example:
        >>> ticks(0.61, 0.84)
        [0.65, 0.7, 0.75, 0.8]
    """
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(step * at, 10) for at in range(first, math.floor(high / step + 1e-9) + 1)]
