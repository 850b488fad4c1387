"""Several patterns for some names, where one cannot say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.addressing._product import Ends, Product, full, sayable, shortest, stack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    Row = tuple[str, ...]
    # For each place the segments that may stand there, and the names that these choices make.
    Group = tuple[tuple[Row, ...], list[Row]]

__all__ = ["cover", "price"]

# With more groups than this nobody reads the patterns: they are made right, and not short.
_MOST_GROUPS = 64
_EACH = 3


def price(patterns: Collection[str]) -> int:
    """How long some patterns are to read.

    Example:
        >>> price(["fc1"]), price(["fc1", "fc2"])
        (3, 9)
    """
    return sum(map(len, patterns)) + _EACH * (len(patterns) - 1)


def cover(wanted: Sequence[str], others: Sequence[str]) -> tuple[list[Product], list[str]]:
    """Patterns that together hit the wanted names and none of the others; and the names that no pattern can say.

    Example:
        >>> products, rest = cover(["a.0.fc1", "a.1.fc2", "x"], ["a.0.fc2", "a.1.fc1", "b.x"])
        >>> [product.pattern for product in products], rest
        (['0.fc1', '1.fc2'], ['x'])
    """
    hidden = _hidden(wanted, others)
    rows = [row for name in wanted if name not in hidden and all(map(sayable, row := tuple(name.split("."))))]
    groups = _merged(rows)
    products = [full(stack(group)) for group in groups]
    rest: dict[Row, None] = {}
    if len(groups) <= _MOST_GROUPS:
        ends = Ends(others)
        ways = [_covered(some, rows, ends) for some in (_by_end(rows), groups)]
        products, rest = min(ways, key=lambda way: (len(way[1]), price([one.pattern for one in way[0]])))
    said = {".".join(row) for row in rows if row not in rest}
    return products, [name for name in wanted if name not in said]


def _hidden(wanted: Sequence[str], others: Iterable[str]) -> set[str]:
    """The wanted names that are the end of another name: no suffix says one without the other."""
    known, found = set(wanted), set()
    for name in others:
        dot = name.find(".")
        while dot >= 0:
            end = name[dot + 1 :]
            if end in known:
                found.add(end)
            dot = name.find(".", dot + 1)
    return found


def _by_end(rows: Sequence[Row]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[-1], []).append(row)
    return list(groups.values())


def _covered(groups: Sequence[Sequence[Row]], rows: Sequence[Row], others: Ends) -> tuple[list[Product], dict[Row, None]]:
    """A pattern for what the patterns before it leave of each group, and the names that stay over."""
    products: list[Product] = []
    left = dict.fromkeys(rows)
    for group in groups:
        mine = [row for row in group if row in left]
        one = shortest(stack(mine), others) if mine else None
        pieces = _merged(mine) if mine and not one else []
        made = [one] if one else [found for piece in pieces if (found := shortest(stack(piece), others))]
        products += made
        left = {row: None for row in left if not any(product.hits(row) for product in made)}
    return products, left


def _merged(rows: Sequence[Row]) -> list[list[Row]]:
    """Groups of names that are all the choices of a segment for each place: joined place by place while that helps."""
    groups: list[Group] = [(tuple((part,) for part in row), [row]) for row in rows]
    before = len(groups) + 1
    while len(groups) < before:
        before = len(groups)
        for place in range(max(map(len, rows), default=0)):
            groups = _merged_at(groups, place)
    return [members for _, members in groups]


def _merged_at(groups: Sequence[Group], place: int) -> list[Group]:
    """Groups that differ in one place only, counted from the end, are one."""
    found: dict[tuple[Row, ...], Group] = {}
    for choices, members in groups:
        at = len(choices) - 1 - place
        key = (*choices[:at], (), *choices[at + 1 :]) if at >= 0 else choices
        if at >= 0 and key in found:
            known, before = found[key]
            choices = (*choices[:at], tuple(sorted(known[at] + choices[at])), *choices[at + 1 :])  # noqa: PLW2901 - the joint one
            members = before + members  # noqa: PLW2901
        found[key] = choices, members
    return list(found.values())
