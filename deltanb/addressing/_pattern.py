"""One pattern against many names: suffix, segments, roles, regular expression."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.addressing._regex import PREFIX, regex_hits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["asks_for_roles", "bounds", "is_integer", "pattern_hits", "segment_test"]

_MOST_DIGITS = 9  # a longer number is no index


def pattern_hits(pattern: str, names: Sequence[str], roles: Mapping[str, str] | None = None) -> list[str]:
    """The names that one pattern hits, in order; an empty list when there are none.

    Raises:
        DeltaError: the pattern is malformed, or asks for roles where the family is unknown.

    Example:
        >>> pattern_hits("layers.0-1,5.fc2", [f"layers.{i}.fc2" for i in range(7)])
        ['layers.0.fc2', 'layers.1.fc2', 'layers.5.fc2']
    """
    if pattern.startswith(PREFIX):
        return regex_hits(pattern, names)
    segments = _segments(pattern)
    if asks_for_roles(pattern):
        return _role_hits(pattern, names, roles)
    if not any(_is_special(segment) for segment in segments):
        dotted = "." + pattern
        return [name for name in names if name.endswith(dotted) or name == pattern]
    return _segment_hits(pattern, segments, names)


def asks_for_roles(pattern: str) -> bool:
    """Whether a pattern is about roles: one of its segments ends in ``@``.

    Example:
        >>> asks_for_roles("attn@.q@"), asks_for_roles("[r]x@")
        (True, False)
    """
    return not pattern.startswith(PREFIX) and any(segment.endswith("@") for segment in pattern.split("."))


def _segments(pattern: str) -> list[str]:
    segments = pattern.split(".")
    if all(segments):
        return segments
    msg = f"The pattern {pattern!r} has an empty segment: a dot at its start or end, or two in a row."
    raise DeltaError(msg, expected="Segments joined by single dots.", try_=f"%delta match {'.'.join(filter(None, segments)) or 'fc2'}")


def _is_special(segment: str) -> bool:
    return segment in ("$", "*") or "," in segment or is_integer(segment) or bounds(segment) is not None


def _segment_hits(pattern: str, segments: list[str], names: Sequence[str]) -> list[str]:
    tests = [segment_test(segment, pattern) for segment in segments]
    seen: list[dict[str, bool]] = [{} for _ in segments]
    count = len(segments)
    ends, found = seen[-1], []
    for name in names:
        # Most names fail at their end; splitting is the dear part.
        if ends.get(name[name.rfind(".") + 1 :]) is False:
            continue
        parts = name.rsplit(".", count)[-count:]
        if len(parts) < count:
            continue
        for part, test, known in zip(reversed(parts), reversed(tests), reversed(seen), strict=True):
            verdict = known.get(part)
            if verdict is None:
                verdict = known[part] = test(part)
            if not verdict:
                break
        else:
            found.append(name)
    return found


def segment_test(segment: str, pattern: str) -> Callable[[str], bool]:
    """A test for one segment of a name. A segment that is literally so named always matches itself.

    Example:
        >>> [part for part in ("0", "2", "7", "q") if segment_test("0-5,q", "layers.0-5,q")(part)]
        ['0', '2', 'q']
    """
    items = [item.strip() for item in segment.split(",")]
    if not all(items):
        msg = f"The pattern {pattern!r} has an empty alternative in {segment!r}."
        raise DeltaError(msg, expected="Alternatives joined by single commas, such as q_proj,v_proj.")
    words = {segment, *items}
    ranges = [ends for item in items if (ends := bounds(item))]
    for low, high in ranges:
        if low > high:
            msg = f"The range {low}-{high} in {pattern!r} runs backwards."
            turned = pattern.replace(f"{low}-{high}", f"{high}-{low}")
            raise DeltaError(msg, expected="The smaller number first.", try_=f"%delta match {turned}")
    anything, integer = "*" in items, "$" in items

    def test(part: str) -> bool:
        if anything or part in words:
            return True
        if not is_integer(part):
            return False
        return integer or any(low <= int(part) <= high for low, high in ranges)

    return test


def is_integer(text: str) -> bool:
    """Whether a segment is a plain index, such as ``11``.

    Example:
        >>> is_integer("11"), is_integer("1a")
        (True, False)
    """
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def bounds(item: str) -> tuple[int, int] | None:
    """Both ends of a range such as ``0-5``, both inclusive; None for anything else.

    Example:
        >>> bounds("0-5"), bounds("fc2")
        ((0, 5), None)
    """
    low, dash, high = item.partition("-")
    return (int(low), int(high)) if dash and is_integer(low) and is_integer(high) else None


def _role_hits(pattern: str, names: Sequence[str], roles: Mapping[str, str] | None) -> list[str]:
    if roles is None:
        from deltanb.roles import known_families

        msg = f"{pattern!r} asks for roles, and the roles of this model's family are not known."
        raise DeltaError(msg, expected=f"A family of: {', '.join(known_families())}.", try_="%delta graph, and a pattern from its names")
    paths = list(dict.fromkeys(roles[name] for name in names if name in roles))
    segments = [_spread(segment) for segment in _segments(pattern)]
    spoken = {path: _each_role(path) for path in paths}
    good = set(_segment_hits(pattern, segments, [said for every in spoken.values() for said in every]))
    hit = {path for path, every in spoken.items() if not good.isdisjoint(every)}
    return [name for name in names if roles.get(name) in hit]


def _spread(segment: str) -> str:
    """``q,v@`` means ``q@,v@``."""
    return ",".join(item if item.endswith("@") else f"{item}@" for item in segment.split(",")) if segment.endswith("@") else segment


def _each_role(path: str) -> list[str]:
    """A module that holds several things at once (GPT-2's ``q,k,v@``) has the role of each, and all of them together."""
    head, dot, last = path.rpartition(".")
    return [path, *(head + dot + item for item in _spread(last).split(","))] if "," in last else [path]
