"""The curve of a training run as SVG: loss on the left, accuracy on held-out rows on the right.

Written directly, not with a plotting library: it is redrawn several times a second while a model trains on the same cores,
and takes well under a millisecond. The same function draws the live and the final picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from deltanb.reports._svg import GRID, INK, SOFT, line, text, ticks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Curve", "curve_svg", "running_mean", "sparkline", "thinned"]

_LOSS, _RAW, _ACCURACY = "#1d5fc4", "#a9c4ee", "#7a35d9"
_TOP, _BOTTOM, _HEIGHT, _WIDTH = 34, 212, 250, 760
_LEFT, _RIGHT = (56, 438), (520, 706)
_MOST_POINTS = 300
_LINE_HEIGHT = 16
T = TypeVar("T")
_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Curve:
    """What there is to draw.

    Attributes:
        losses: the loss of each step, the first step first.
        accuracies: (step, accuracy on the held-out rows).
        levels: accuracies to compare with, by what they are: dashed lines.
        last_step: where the run is meant to end; 0 takes the number of losses.
    """

    losses: Sequence[float]
    accuracies: Sequence[tuple[int, float]] = ()
    levels: Mapping[str, float] = field(default_factory=dict)
    last_step: int = 0

    @property
    def end(self) -> int:
        """The right end of the axis of steps."""
        return max(self.last_step, len(self.losses), *(step for step, _ in self.accuracies), 2)


@dataclass(frozen=True)
class _Panel:
    """A rectangle with scales."""

    left: int
    right: int
    low: float
    high: float
    end: int

    def x(self, step: float) -> float:
        return self.left + (self.right - self.left) * (step - 1) / max(1, self.end - 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _BOTTOM - (_BOTTOM - _TOP) * min(1.0, max(0.0, share))


def curve_svg(curve: Curve) -> str:
    """The picture, 760 × 250, on its own light ground.

    Args:
        curve: what to draw; an empty one gives empty axes.

    Example:
        >>> svg = curve_svg(Curve([0.7, 0.6, 0.5], [(3, 0.8)], {"head alone": 0.66}))
        >>> svg[:25], "head alone 0.660" in svg, svg.count("<polyline")
        ('<svg xmlns="http://www.w3', True, 2)
    """
    losses = [value for value in curve.losses if math.isfinite(value)]
    low, high = _range(losses, (0.0, 1.0))
    loss = _Panel(*_LEFT, low, high, curve.end)
    low, high = _range([*(value for _, value in curve.accuracies), *curve.levels.values()], (0.4, 1.0), least=0.2)
    accuracy = _Panel(*_RIGHT, max(0.0, low), min(1.0, high), curve.end)
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Helvetica,Arial,sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        *_axes(loss, "training loss"),
        *_axes(accuracy, "accuracy, held-out rows"),
        *_loss_lines(loss, curve.losses),
        *_level_lines(accuracy, curve),
        *_accuracy_line(accuracy, curve),
        "</svg>",
    ]
    return "".join(parts)


def _range(values: Sequence[float], empty: tuple[float, float], least: float = 0.02) -> tuple[float, float]:
    """A little more than the values span; the tallest spikes of a long run are let go."""
    if not values:
        return empty
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1] if len(ordered) < 20 else ordered[int(0.99 * (len(ordered) - 1))]  # noqa: PLR2004
    middle, half = (low + high) / 2, max(high - low, least) * 0.55
    return middle - half, middle + half


def _axes(panel: _Panel, title: str) -> list[str]:
    parts = [text(panel.left, 18, title, INK, weight="bold")]
    for value in ticks(panel.low, panel.high):
        y = panel.y(value)
        parts += [line(panel.left, y, panel.right, y, GRID), text(panel.left - 6, y + 4, f"{value:g}", SOFT, anchor="end")]
    for step in _steps(panel.end, 4 if panel.left == _LEFT[0] else 2):
        parts.append(text(panel.x(step), _BOTTOM + 17, f"{step:,}", SOFT, anchor="middle"))
    middle = (panel.left + panel.right) / 2
    parts += [line(panel.left, _BOTTOM, panel.right, _BOTTOM, SOFT), text(middle, _BOTTOM + 33, "step", SOFT, anchor="middle")]
    return parts


def _steps(end: int, count: int) -> list[int]:
    return sorted({1, *(round(1 + (end - 1) * at / count) for at in range(1, count + 1))})


def _loss_lines(panel: _Panel, losses: Sequence[float]) -> list[str]:
    """Each step's loss, pale, and its running mean."""
    finite = [(step, value) for step, value in enumerate(losses, 1) if math.isfinite(value)]
    if not finite:
        return [text((panel.left + panel.right) / 2, (_TOP + _BOTTOM) / 2, "no step yet", SOFT, anchor="middle")]
    smooth = list(zip((step for step, _ in finite), running_mean([value for _, value in finite]), strict=True))
    at = smooth[-1]
    label = text(panel.x(at[0]) + 5, panel.y(at[1]) + 4, f"{at[1]:.3f}", _LOSS, weight="bold")
    return [_polyline(panel, thinned(finite), _RAW, 1.2), _polyline(panel, thinned(smooth), _LOSS, 2.2), label]


def running_mean(values: Sequence[float], keep: float = 0.9) -> list[float]:
    """Exponential mean, corrected so that the first values count in full.

    Args:
        values: one a step.
        keep: how much of the mean before counts.

    Example:
        >>> running_mean([1.0, 1.0, 0.0])
        [1.0, 1.0, 0.63...]
    """
    total = weight = 0.0
    means = []
    for value in values:
        total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
        means.append(total / weight)
    return means


def thinned(points: Sequence[T], most: int = _MOST_POINTS) -> list[T]:
    """At most so many points and the last, evenly chosen.

    Args:
        points: in their order.
        most: without the last.

    Example:
        >>> thinned(range(10), 4)
        [0, 3, 6, 9]
    """
    stride = math.ceil(len(points) / most)
    if stride <= 1:
        return list(points)
    return [*points[: len(points) - 1 : stride], points[-1]]


def _level_lines(panel: _Panel, curve: Curve) -> list[str]:
    parts: list[str] = []
    above: list[float] = []
    for name, value in curve.levels.items():
        y = panel.y(value)
        crowded = any(abs(y - other) < _LINE_HEIGHT for other in above)
        above.append(y)
        parts += [
            line(panel.left, y, panel.right, y, SOFT, 'stroke-dasharray="5 4"'),
            text(panel.left + 3, y + 13 if crowded else y - 5, f"{name} {value:.3f}", SOFT),
        ]
    return parts


def _accuracy_line(panel: _Panel, curve: Curve) -> list[str]:
    if not curve.accuracies:
        return [text((panel.left + panel.right) / 2, _TOP + 14, "not measured yet", SOFT, anchor="middle")]
    dots = [f'<circle cx="{panel.x(s):.1f}" cy="{panel.y(v):.1f}" r="3.5" fill="{_ACCURACY}"/>' for s, v in curve.accuracies]
    line = [_polyline(panel, curve.accuracies, _ACCURACY, 2.2)] if len(curve.accuracies) > 1 else []
    step, value = curve.accuracies[-1]
    return [*line, *dots, text(panel.x(step) + 7, panel.y(value) + 4, f"{value:.3f}", _ACCURACY, weight="bold")]


def _polyline(panel: _Panel, points: Sequence[tuple[int, float]], colour: str, width: float) -> str:
    path = " ".join(f"{panel.x(step):.1f},{panel.y(value):.1f}" for step, value in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>'


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Numbers as a row of blocks, each the mean of its share of the values.

    Example:
        >>> sparkline([4.0, 3.0, 2.0, 1.0])
        '█▅▃▁'
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    count = min(width, len(finite))
    bounds = [round(at * len(finite) / count) for at in range(count + 1)]
    means = [sum(finite[a:b]) / (b - a) for a, b in pairwise(bounds)]
    low, span = min(means), (max(means) - min(means)) or 1.0
    return "".join(_BLOCKS[int((mean - low) / span * (len(_BLOCKS) - 1))] for mean in means)
