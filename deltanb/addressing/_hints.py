"""What a careful colleague would point out about a pattern's hits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deltanb.addressing._pattern import bounds, is_integer
from deltanb.addressing._regex import PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["coverage_hints"]

_FIRST_NUMBER = re.compile(r"(.+?)\.(\d{1,9})(?:\.|$)", re.ASCII)
_SHOWN = 6


def coverage_hints(pattern: str, found: Sequence[str], names: Sequence[str]) -> list[str]:
    """One line for each run of numbered siblings (a stack of layers) that a pattern hits only in part.

    A pattern that spells out numbers means what it says and gets no hint. Only the outermost number of a name counts:
    the numbered sub-layers inside a T5 block are no siblings in this sense.

    Example:
        >>> names = ["layers.0.v", "layers.1.v", "layers.2.w"]
        >>> coverage_hints("v", ["layers.0.v", "layers.1.v"], names)
        ["'v' hits 2 of the 3 numbered modules under layers (not 2)"]
    """
    if _spells_numbers(pattern):
        return []
    every, hit = _outer_numbers(names), _outer_numbers(found)
    hints = []
    for stack, numbers in hit.items():
        missing = sorted(every[stack] - numbers)
        if missing:
            shown = ", ".join(map(str, missing[:_SHOWN])) + (", …" if len(missing) > _SHOWN else "")
            hints.append(f"{pattern!r} hits {len(numbers)} of the {len(every[stack])} numbered modules under {stack} (not {shown})")
    return hints


def _spells_numbers(pattern: str) -> bool:
    if pattern.startswith(PREFIX):
        return any(char.isdigit() for char in pattern)
    return any(bounds(item) or is_integer(item) for segment in pattern.split(".") for item in segment.split(","))


def _outer_numbers(names: Sequence[str]) -> dict[str, set[int]]:
    stacks: dict[str, set[int]] = {}
    for stack, number in dict.fromkeys(hit.groups() for name in names if (hit := _FIRST_NUMBER.match(name))):
        stacks.setdefault(stack, set()).add(int(number))
    return stacks
