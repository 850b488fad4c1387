"""Accuracy against trainable parameters: what is bought with how much.

A contender that no other beats on both counts is drawn as a filled diamond with a bold name, on a line through all such;
the others are hollow circles. No meaning hangs on colour alone, and the picture says in words what it shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from deltanb.graph._text_width import elide, text_width
from deltanb.reports._svg import GRID, INK, SOFT, line, text, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Point", "front", "pareto_svg"]

_FRONT, _OTHER = "#1d5fc4", "#5b6676"
_WIDTH, _HEIGHT = 760, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 730, 58, 306
_SIZE, _LETTERS = 12, 30
_NEAR = 15.0  # points between two base lines


@dataclass(frozen=True)
class Point:
    """One contender.

    Attributes:
        name: what to call it.
        trainable: parameters, 1 or more.
        accuracy: 0 to 1.
        spread: standard deviation of the accuracy over seeds; 0 where there is none.
    """

    name: str
    trainable: int
    accuracy: float
    spread: float = 0.0


def front(points: Sequence[Point]) -> list[bool]:
    """For each point whether it is on the front: none is at least as accurate with as few parameters, and better in one.

    Example:
        >>> front([Point("a", 100, 0.7), Point("b", 200, 0.8), Point("c", 300, 0.75), Point("d", 100, 0.7)])
        [True, True, False, True]
    """

    def beats(other: Point, one: Point) -> bool:
        as_good = other.accuracy >= one.accuracy and other.trainable <= one.trainable
        return as_good and (other.accuracy, other.trainable) != (one.accuracy, one.trainable)

    return [not any(beats(other, one) for other in points) for one in points]


class _Scales:
    """Parameters to the right, each step a factor of ten; accuracy upward."""

    def __init__(self, points: Sequence[Point]) -> None:
        logs = [math.log10(max(1, point.trainable)) for point in points] or [3.0, 6.0]
        middle, half = (min(logs) + max(logs)) / 2, max(max(logs) - min(logs), 1.0) * 0.58
        self.first, self.last = middle - half, middle + half
        ends = [point.accuracy + side * point.spread for point in points for side in (-1, 1)] or [0.4, 1.0]
        middle, half = (min(ends) + max(ends)) / 2, max(max(ends) - min(ends), 0.04) * 0.6
        self.low, self.high = max(0.0, middle - half), min(1.0, middle + half)

    def x(self, trainable: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (math.log10(max(1, trainable)) - self.first) / (self.last - self.first)

    def y(self, accuracy: float) -> float:
        share = (accuracy - self.low) / (self.high - self.low)
        return _BOTTOM - (_BOTTOM - _TOP) * min(1.0, max(0.0, share))


def pareto_svg(points: Sequence[Point]) -> str:
    """The picture, 760 × 360, on its own light ground.

    Args:
        points: what to draw; none gives empty axes.

    Example:
        >>> svg = pareto_svg([Point("bitfit", 40_000, 0.75, 0.02), Point("lora", 150_000, 0.81), Point("adapter", 230_000, 0.79)])
        >>> svg.count("<circle"), svg.count('class="front"'), "</title>" in svg
        (2, 3, True)
    """
    scales, best = _Scales(points), front(points)
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    head = '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="pareto-title pareto-text"'
    parts = [
        f'{head} {size} font-family="Helvetica,Arial,sans-serif" font-size="{_SIZE}">',
        '<title id="pareto-title">Accuracy against trainable parameters</title>',
        f'<desc id="pareto-text">{escape(said(points))}</desc>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        *_axes(scales),
        *_legend(),
        *_front_line(scales, [point for point, is_best in zip(points, best, strict=True) if is_best]),
        *(
            part
            for wanted in (False, True)
            for at, is_best in enumerate(best)
            if is_best is wanted
            for part in _mark(scales, points[at], is_best=is_best)
        ),
        *_names(scales, points, best),
        "</svg>",
    ]
    return "".join(parts)


def said(points: Sequence[Point]) -> str:
    """The picture in words, fewest parameters first.

    Example:
        >>> said([Point("lora", 1500, 0.81)])
        'lora: 0.810 with 1,500 trainable parameters, on the front.'
    """
    words = [
        f"{point.name}: {point.accuracy:.3f} with {point.trainable:,} trainable parameters{', on the front' if is_best else ''}."
        for point, is_best in sorted(zip(points, front(points), strict=True), key=lambda pair: pair[0].trainable)
    ]
    return " ".join(words) or "No run is done yet."


def _axes(scales: _Scales) -> list[str]:
    parts = [text(_LEFT, 18, "accuracy on held-out rows", INK, weight="bold")]
    for value in ticks(scales.low, scales.high):
        y = scales.y(value)
        parts += [line(_LEFT, y, _RIGHT, y, GRID), text(_LEFT - 6, y + 4, f"{value:g}", SOFT, anchor="end")]
    for value in _decades(scales):
        x = scales.x(value)
        parts += [line(x, _TOP, x, _BOTTOM, GRID), text(x, _BOTTOM + 17, _short(value), SOFT, anchor="middle")]
    middle = (_LEFT + _RIGHT) / 2
    words = "trainable parameters (each step to the right: a fixed factor)"
    return [*parts, line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, SOFT), text(middle, _BOTTOM + 38, words, SOFT, anchor="middle")]


def _decades(scales: _Scales) -> list[int]:
    """Round numbers on the axis: powers of ten, with steps between where it is short."""
    wide = scales.last - scales.first > 2.5  # noqa: PLR2004
    steps = [
        factor * 10**power
        for power in range(math.floor(scales.first), math.ceil(scales.last) + 1)
        for factor in ((1,) if wide else (1, 2, 5))
    ]
    return [int(value) for value in steps if value >= 1 and scales.first <= math.log10(value) <= scales.last]


def _short(value: int) -> str:
    """A round number in few letters.

    Example:
        >>> _short(500), _short(20_000), _short(5_000_000), _short(2_000_000_000)
        ('500', '20 k', '5 M', '2 G')
    """
    for unit, letter in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return str(value)


def _legend() -> list[str]:
    words = ("no other is as accurate with as few", "another is")
    x = _LEFT + 8.0
    parts = [_diamond(x, 35), text(x + 11, 39, words[0], INK, weight="bold")]
    x += 34 + text_width(words[0], _SIZE, bold=True)
    return [*parts, _circle(x, 35), text(x + 10, 39, words[1], SOFT)]


def _front_line(scales: _Scales, best: Sequence[Point]) -> list[str]:
    ordered = sorted(best, key=lambda point: point.trainable)
    if len(ordered) < 2:  # noqa: PLR2004
        return []
    corners = [(ordered[0].trainable, ordered[0].accuracy)]
    for point in ordered[1:]:  # a staircase: between two points there is nothing to be had
        corners += [(point.trainable, corners[-1][1]), (point.trainable, point.accuracy)]
    path = " ".join(f"{scales.x(trainable):.1f},{scales.y(accuracy):.1f}" for trainable, accuracy in corners)
    return [f'<polyline points="{path}" fill="none" stroke="{_FRONT}" stroke-width="1.4" stroke-dasharray="5 4"/>']


def _mark(scales: _Scales, point: Point, *, is_best: bool) -> list[str]:
    x, y = scales.x(point.trainable), scales.y(point.accuracy)
    colour = _FRONT if is_best else _OTHER
    bars = []
    if point.spread:
        low, high = scales.y(point.accuracy - point.spread), scales.y(point.accuracy + point.spread)
        bars = [line(x, low, x, high, colour), line(x - 4, low, x + 4, low, colour), line(x - 4, high, x + 4, high, colour)]
    return [*bars, _diamond(x, y) if is_best else _circle(x, y)]


def _diamond(x: float, y: float, half: float = 6.5) -> str:
    corners = f"{x:.1f},{y - half:.1f} {x + half:.1f},{y:.1f} {x:.1f},{y + half:.1f} {x - half:.1f},{y:.1f}"
    return f'<polygon class="front" points="{corners}" fill="{_FRONT}" stroke="#ffffff"/>'


def _circle(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="#ffffff" stroke="{_OTHER}" stroke-width="2"/>'


def _names(scales: _Scales, points: Sequence[Point], best: Sequence[bool]) -> list[str]:
    """A name beside each point, moved up or down where it would lie on another or on a mark."""
    places = [(scales.x(point.trainable), scales.y(point.accuracy)) for point in points]
    placed = [(x - 7, x + 7, y + 4) for x, y in places]
    parts: list[str] = []
    order = sorted(zip(points, best, strict=True), key=lambda pair: (not pair[1], -pair[0].accuracy))
    for point, is_best in order:
        name = elide(point.name, _LETTERS)
        wide = text_width(name, _SIZE, bold=is_best)
        at = scales.x(point.trainable)
        left = at + 10 if at + 10 + wide <= _WIDTH - 6 else at - 10 - wide
        y = _free(scales.y(point.accuracy) + (-5 if is_best else 4), left, left + wide, placed)
        placed.append((left, left + wide, y))
        parts.append(text(left, y, name, _FRONT if is_best else INK, weight="bold" if is_best else "normal"))
    return parts


def _free(y: float, left: float, right: float, placed: Sequence[tuple[float, float, float]]) -> float:
    """The base line nearest to ``y`` that no placed name is on."""
    tries = [y + side * _NEAR * step for step in range(len(placed) + 1) for side in (-1, 1)]
    inside = [at for at in tries if _TOP - 6 <= at <= _BOTTOM - 4] or tries

    def taken(at: float) -> bool:
        return any(left < end and right > start and abs(at - other) < _NEAR for start, end, other in placed)

    return next((at for at in inside if not taken(at)), y)
