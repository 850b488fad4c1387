"""The shortest single pattern for some names: last segments, column by column, as narrow as needed and no narrower."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb.addressing._pattern import bounds, is_integer, segment_test
from deltanb.folding import join_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["Ends", "Product", "Stack", "full", "narrowest", "sayable", "shortest", "spelled", "stack"]

# For each place, counted from the end of the names, what stands there.
Stack = Sequence[Sequence[str]]
# Where a segment could be read as something else than itself. White space as JavaScript and Python each see it.
_MISREAD = re.compile(r"[,\s\x1c-\x1f\x85\ufeff]|@$|^\[r\]|^[$*]$")
_FEWEST_FOR_STAR = 3


class Ends:
    """Names by their last segment, split only when somebody asks for them: splitting is the dear part."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, list[str]] = {}
        self._rows: dict[str, list[list[str]]] = {}
        for name in names:
            self._names.setdefault(name[name.rfind(".") + 1 :], []).append(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def rows(self, end: str) -> list[list[str]]:
        """The names with that last segment, as segments."""
        if end not in self._rows:
            self._rows[end] = [name.split(".") for name in self._names[end]]
        return self._rows[end]


@dataclass(frozen=True)
class Product:
    """A pattern column by column, from the end.

    Attributes:
        columns: what stands in each place of the names that it is for.
        segments: the pattern's segment for each.
    """

    columns: list[Column]
    segments: list[str]

    @property
    def pattern(self) -> str:
        return ".".join(reversed(self.segments))

    def hits(self, row: Sequence[str]) -> bool:
        """Whether it hits a name, given as segments."""
        if len(row) < len(self.columns):
            return False
        pairs = enumerate(zip(self.columns, self.segments, strict=True), 1)
        return all(column.hits(row[-at]) or (segment != column.text and column.hits_widely(row[-at])) for at, (column, segment) in pairs)


class Column:
    """One place.

    Attributes:
        values: what stands there in the names that were chosen.
        text: all of that as a segment of a pattern.
        wide: a segment that stands for more, or nothing.
        hits: whether ``text`` hits a segment.
    """

    def __init__(self, values: Sequence[str]) -> None:
        self.values = values
        self.text = spelled(values)
        self.hits: Callable[[str], bool] = segment_test(self.text, self.text)
        self.wide = ""
        if len(values) > 1 and all(is_integer(value) for value in values):
            self.wide = "$"
        elif len(values) >= _FEWEST_FOR_STAR:
            self.wide = "*"

    def hits_widely(self, part: str) -> bool:
        """Whether ``wide`` hits a segment."""
        return self.wide == "*" or (self.wide == "$" and is_integer(part))


def sayable(segment: str) -> bool:
    """Whether a pattern can name a segment literally.

    Example:
        >>> sayable("fc2"), sayable("q,k"), sayable("0-5")
        (True, False, False)
    """
    return not _MISREAD.search(segment) and bounds(segment) is None


def spelled(values: Sequence[str]) -> str:
    """Several segments as one: words in their order, then numbers as ranges.

    Example:
        >>> spelled(["2", "v", "0", "1", "q"])
        'v,q,0-2'
    """
    numbers = sorted((value for value in values if is_integer(value) and str(int(value)) == value), key=int)
    known = set(numbers)
    words = [value for value in values if value not in known]
    return ",".join([*words, *([join_labels(numbers)] if numbers else [])])


def stack(rows: Sequence[Sequence[str]]) -> Stack:
    """What names have in each place, from the end, as far as all of them reach.

    Example:
        >>> stack([["enc", "0", "q"], ["1", "q"]])
        [['q'], ['0', '1']]
    """
    return [list(dict.fromkeys(row[-depth] for row in rows)) for depth in range(1, min(map(len, rows)) + 1)]


def shortest(
    places: Stack,
    others: Ends,
    usable: Callable[[str], bool] = sayable,
    valid: Callable[[str], object] = bool,
) -> Product | None:
    """The shortest pattern that hits all of some names and none of ``others``.

    Args:
        places: what the names have in each place.
        others: the names that it must not hit.
        usable: whether a pattern may contain a segment.
        valid: whether a pattern will do at all.

    Example:
        >>> shortest([["q"], ["0", "1"], ["enc"]], Ends(["enc.0.k", "dec.1.q"])).pattern
        'enc.$.q'
    """
    best: Product | None = None
    columns: list[Column] = []
    left = _Left(others)
    for values in places:
        if not all(map(usable, values)):
            break
        columns.append(Column(values))
        left.narrow(columns[-1])
        if 0 in left.masks:
            continue
        made = Product(list(columns), _widened(columns, left.masks))
        if valid(made.pattern) and (best is None or len(made.pattern) < len(best.pattern)):
            best = made
        if best and not left.masks:
            break
    return best


def full(places: Stack) -> Product:
    """All that the names have in all places, with nothing left out.

    Example:
        >>> full([["q"], ["0", "1"], ["enc"]]).pattern
        'enc.0-1.q'
    """
    columns = [Column(values) for values in places]
    return Product(columns, [column.text for column in columns])


def narrowest(places: Stack, others: Ends) -> Iterator[tuple[str, list[str]]]:
    """For one segment, two, …: the pattern that says just what stands there, and which of ``others`` it hits too.

    Example:
        >>> list(narrowest([["q"], ["0"]], Ends(["1.q", "k"])))
        [('q', ['1.q']), ('0.q', [])]
    """
    text, left = "", _Left(others)
    for values in places:
        if not all(map(sayable, values)):
            return
        column = Column(values)
        column.wide = ""
        left.narrow(column)
        text = f"{column.text}.{text}" if text else column.text
        yield text, [".".join(parts) for parts, _ in left.rows]


class _Left:
    """The names that all columns so far hit, some of them only if taken widely: a bit for each column where it must be so."""

    def __init__(self, others: Ends) -> None:
        self.others = others
        self.depth = 0
        self.rows: Collection[tuple[list[str], int]] = []
        self.masks: set[int] = {0}

    def narrow(self, column: Column) -> None:
        """Look at one more column."""
        bit = 1 << self.depth
        self.depth += 1

        def verdict(part: str) -> int | None:
            return 0 if column.hits(part) else bit if column.hits_widely(part) else None

        if self.depth == 1:
            ends = ((end, verdict(end)) for end in self.others)
            self.rows = [(row, mask) for end, mask in ends if mask is not None for row in self.others.rows(end)]
        else:
            long = [(row, mask) for row, mask in self.rows if len(row) >= self.depth]
            verdicts = {part: verdict(part) for part in {row[-self.depth] for row, _ in long}}
            seen = ((row, mask, verdicts[row[-self.depth]]) for row, mask in long)
            self.rows = [(row, mask | more) for row, mask, more in seen if more is not None]
        self.masks = {mask for _, mask in self.rows}


def _widened(columns: Sequence[Column], masks: Collection[int]) -> list[str]:
    """Each segment wide where no other name comes in by it, the one that saves most first."""
    chosen = 0
    for at in sorted(range(len(columns)), key=lambda at: (-len(columns[at].text), at)):
        wider = chosen | 1 << at
        if 0 < len(columns[at].wide) < len(columns[at].text) and all(mask & ~wider for mask in masks):
            chosen = wider
    return [column.wide if chosen >> at & 1 else column.text for at, column in enumerate(columns)]
