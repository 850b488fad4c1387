"""Which rows are held out for testing: by hash, so that neither row order nor any library's random numbers matter."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

__all__ = ["digest", "fold", "hold_out", "hold_out_per_class", "proportional"]


def fold(text: str) -> str:
    """The text without what a reader would not call a difference: case and runs of white space.

    Example:
        >>> fold("  Well  WORTH it ")
        'well worth it'
    """
    return " ".join(text.split()).casefold()


def digest(*parts: object) -> str:
    """SHA-256 of the parts, zero bytes between them, as hexadecimal digits.

    Example:
        >>> digest("1", "A fine film.")[:8]
        '5559341e'
    """
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def hold_out(keys: Sequence[str], texts: Sequence[str], count: int) -> set[int]:
    """``count`` rows with the smallest keys, equal texts kept together.

    A group of equal texts that no longer fits is passed over, so the count is met whenever single texts remain.

    Example:
        >>> sorted(hold_out(["b", "a", "c", "d"], ["x", "y", "X ", "z"], 2))
        [1, 3]
    """
    return _first_that_fit(_groups(keys, texts), count)


def hold_out_per_class(keys: Sequence[str], texts: Sequence[str], labels: Sequence[Hashable], fraction: float) -> set[int]:
    """As ``hold_out``, each class in proportion; every class keeps at least one text for training.

    Example:
        >>> sorted(hold_out_per_class("abcdef", "uvwxyz", [0, 0, 0, 0, 1, 1], 0.5))
        [0, 1, 4]
    """
    classes: dict[Hashable, list[list[int]]] = {}
    for rows in _groups(keys, texts):
        classes.setdefault(labels[rows[0]], []).append(rows)
    held: set[int] = set()
    for groups in classes.values():
        wanted = round(fraction * sum(map(len, groups)))
        held |= _first_that_fit(groups[:-1], wanted)
    return held


def proportional(sizes: Mapping[int, int], total: int) -> dict[int, int]:
    """Shares of ``total`` in proportion to ``sizes`` (largest remainders), at least one each.

    Args:
        sizes: class to number of rows, each at least 1.
        total: from the number of classes up to the number of rows.

    Example:
        >>> proportional({0: 90, 1: 30}, 10)
        {0: 8, 1: 2}
        >>> proportional({0: 99, 1: 1}, 10)
        {0: 9, 1: 1}
    """
    rows = sum(sizes.values())
    shares = {key: max(1, size * total // rows) for key, size in sizes.items()}
    # What is still due to a class, largest first; the class number breaks ties so that the result is fixed.
    while sum(shares.values()) < total:
        shares[min(sizes, key=lambda key: (shares[key] - sizes[key] * total / rows, key))] += 1
    while sum(shares.values()) > total:
        shares[max(sizes, key=lambda key: (shares[key] > 1, shares[key] - sizes[key] * total / rows, key))] -= 1
    return shares


def _groups(keys: Sequence[str], texts: Sequence[str]) -> list[list[int]]:
    """Rows with equal texts, groups in the order of their smallest keys."""
    members: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        members.setdefault(fold(text), []).append(row)
    return sorted(members.values(), key=lambda rows: min(keys[row] for row in rows))


def _first_that_fit(groups: list[list[int]], count: int) -> set[int]:
    taken: set[int] = set()
    for rows in groups:
        if len(taken) + len(rows) <= count:
            taken.update(rows)
    return taken
