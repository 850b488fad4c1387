"""Several patterns against many names: OR, exclude, counts, errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import nearest_modules
from deltanb.addressing._hints import coverage_hints
from deltanb.addressing._pattern import asks_for_roles, pattern_hits
from deltanb.addressing._regex import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["MatchResult", "as_patterns", "match_names"]


@dataclass(frozen=True)
class MatchResult:
    """Which modules some patterns hit.

    Attributes:
        names: the modules, each once, in model order.
        per_pattern: for each pattern, in the order given, how many modules it hit before ``exclude``.
        by_pattern: for each pattern the modules themselves.
        excluded: modules that a pattern hit and ``exclude`` took out again.
        total: how many modules there were to match against.
        hints: what a careful colleague would point out, such as 25 of 30 sibling layers.

    Example:
        >>> found = match_names(["layers.0.fc1", "layers.0.fc2", "layers.1.fc2"], "fc2")
        >>> found.names, found.per_pattern, len(found)
        (['layers.0.fc2', 'layers.1.fc2'], {'fc2': 2}, 2)
    """

    names: list[str]
    per_pattern: dict[str, int]
    by_pattern: dict[str, list[str]] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)
    total: int = 0
    hints: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names


def as_patterns(patterns: str | Sequence[str], what: str = "pattern") -> list[str]:
    """One string is one pattern; a sequence is several. White space around a pattern is dropped, duplicates too.

    Raises:
        DeltaError: nothing was given, or something that is no text.

    Example:
        >>> as_patterns(" fc2 "), as_patterns(["q", "v", "q"])
        (['fc2'], ['q', 'v'])
    """
    given: Any = patterns
    items: list[Any] = list(given) if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else [given]
    for item in items:
        if not isinstance(item, str):
            msg = f"A {what} must be text, not {type(item).__name__} ({item!r})."
            raise DeltaError(msg, try_="deltanb.match(model, ['q_proj', 'v_proj'])")
        if not item.strip():
            msg = f"An empty {what} matches nothing."
            raise DeltaError(msg, expected="A module name, or the end of one.", try_="%delta match fc2")
    if not items:
        msg = f"No {what} was given."
        raise DeltaError(msg, expected="A module name, or the end of one.", try_="%delta match fc2")
    return list(dict.fromkeys(item.strip() for item in items))


def match_names(
    names: Sequence[str],
    patterns: str | Sequence[str],
    exclude: str | Sequence[str] | None = None,
    *,
    roles: Mapping[str, str] | None = None,
    parameters: Sequence[str] = (),
    elsewhere: Callable[[], Mapping[str, str]] = dict,
) -> MatchResult:
    """Match patterns against module names.

    Args:
        names: dotted module names in model order, the root and the modules of deltas left out.
        patterns: one pattern or several, which are OR-ed.
        exclude: the same grammar; takes out what it hits and everything below.
        roles: role name of each module that has one, for patterns with ``@``; None for an unknown family.
        parameters: dotted parameter names, only to explain a pattern that names a parameter.
        elsewhere: gives the further names of shared modules, each with the first; asked only to explain a pattern that uses one.

    Raises:
        DeltaError: a pattern (or an exclude pattern) hits nothing, is malformed, or everything was excluded.

    Example:
        >>> names = ["enc.layers.0.fc1", "enc.layers.0.fc2", "dec.layers.0.fc2"]
        >>> match_names(names, "enc.layers.$.fc1,fc2").names
        ['enc.layers.0.fc1', 'enc.layers.0.fc2']
        >>> match_names(names, "[r]layers.*2", exclude="enc.layers.0.fc2").names
        ['dec.layers.0.fc2']
    """
    wanted = as_patterns(patterns)
    by_pattern = {pattern: pattern_hits(pattern, names, roles) for pattern in wanted}
    for pattern, found in by_pattern.items():
        if not found:
            raise _second_name(pattern, elsewhere()) or _nothing(pattern, names, parameters, by_pattern, roles=roles)
    hit = {name for found in by_pattern.values() for name in found}
    unwanted = [] if exclude is None or exclude in ([], ()) else as_patterns(exclude, "exclude pattern")
    roots = _exclude_roots(names, unwanted, roles, parameters, elsewhere)
    gone = {name for name in hit if roots and _is_below(name, roots)}
    kept = [name for name in names if name in hit and name not in gone]
    if not kept:
        msg = f"Everything that {_quoted(wanted)} hits ({len(hit)} modules) is excluded by {_quoted(unwanted)}."
        raise DeltaError(msg, expected="At least one module must be left.", try_=f"%delta match {' '.join(wanted)}")
    hints = [hint for pattern, found in by_pattern.items() for hint in coverage_hints(pattern, found, names)]
    if unwanted and not gone:
        hints.append(f"exclude {_quoted(unwanted)} takes nothing out")
    return MatchResult(
        names=kept,
        per_pattern={pattern: len(found) for pattern, found in by_pattern.items()},
        by_pattern=by_pattern,
        excluded=[name for name in names if name in gone],
        total=len(names),
        hints=hints,
    )


def _exclude_roots(
    names: Sequence[str],
    unwanted: Sequence[str],
    roles: Mapping[str, str] | None,
    parameters: Sequence[str],
    elsewhere: Callable[[], Mapping[str, str]],
) -> set[str]:
    roots: set[str] = set()
    for pattern in unwanted:
        found = pattern_hits(pattern, names, roles)
        if not found:
            raise _second_name(pattern, elsewhere()) or _nothing(pattern, names, parameters, {}, exclude=True, roles=roles)
        roots.update(found)
    return roots


def _is_below(name: str, roots: set[str]) -> bool:
    """Whether a name is one of ``roots`` or lies below one."""
    return name in roots or any(name[:at] in roots for at, char in enumerate(name) if char == ".")


def _second_name(pattern: str, elsewhere: Mapping[str, str]) -> DeltaError | None:
    """The error for a pattern that hits a module only by a further name of it."""
    owned = [] if asks_for_roles(pattern) else pattern_hits(pattern, list(elsewhere))
    if not owned:
        return None
    first = elsewhere[owned[0]]
    msg = f"{owned[0]}, which {pattern!r} names, is the same module as {first}, and a module counts once, under its first name."
    return DeltaError(msg, expected="The first name.", nearest=[first], try_=f"%delta match {first}")


def _nothing(
    pattern: str,
    names: Sequence[str],
    parameters: Sequence[str],
    by_pattern: Mapping[str, Sequence[str]],
    *,
    exclude: bool = False,
    roles: Mapping[str, str] | None = None,
) -> DeltaError:
    """The error for a pattern that hits nothing: why, what else is there, what to try."""
    word = "exclude pattern" if exclude else "pattern"
    others = [other for other, found in by_pattern.items() if found]
    also = f" ({_quoted(others)} would match; all of them must.)" if others else ""
    by_role = asks_for_roles(pattern)
    if not by_role and not pattern.startswith(PREFIX) and parameters and (owned := pattern_hits(pattern, parameters)):
        holder = owned[0].rpartition(".")[0] or "the model itself"
        msg = f"The {word} {pattern!r} names a parameter ({owned[0]}), not a module.{also}"
        return DeltaError(msg, expected=f"The module that owns it: {holder}.", try_=f"%delta match {holder}")
    near = nearest_modules(pattern, list(dict.fromkeys((roles or {}).values())) if by_role else names)
    expected = "A module name or its last segments; part of a segment does not count."
    if by_role:
        expected = "The last segments of a role."
    elif " " in pattern and not pattern.startswith(PREFIX):
        expected = f"One pattern each: {pattern.split()!r}."
    msg = f"The {word} {pattern!r} matches none of the {len(names)} modules.{also}"
    return DeltaError(msg, expected=expected, nearest=near, try_=f"%delta match {near[0]}" if near else "%delta graph")


def _quoted(patterns: Sequence[str]) -> str:
    return ", ".join(repr(pattern) for pattern in patterns)
