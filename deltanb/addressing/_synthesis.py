"""From modules to patterns: what to write so that exactly these are hit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.addressing._cover import cover, price
from deltanb.addressing._pattern import pattern_hits
from deltanb.addressing._product import Ends, Product, full, narrowest, sayable, shortest, stack
from deltanb.addressing._regex import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deltanb.addressing._product import Stack

__all__ = ["Proposal", "Wider", "patterns_for", "wider_patterns"]

# What a kind costs beside its length: whoever wants a regular expression finds it last.
_KINDS = {"suffix": 0, "segments": 1, "several": 1, "role": 6, "address": 8, "regex": 100}
_LONGEST = 160
_MOST_IN_REGEX = 4
_MOST_WIDER = 6
_META = re.compile(r"[\\^$.|?*+()\[\]{}]")


@dataclass(frozen=True)
class Proposal:
    """Patterns that together hit exactly some modules.

    Attributes:
        patterns: one, or several where one cannot say it.
        kind: "suffix", "segments" and "several" are the shortest by name; "address" spells the names out from their start, as the
            folded graph shows them; "role" and "regex".

    Example:
        >>> patterns_for(["a.fc1", "a.fc2"], ["a.fc2"])[0]
        Proposal(patterns=('fc2',), kind='suffix')
    """

    patterns: tuple[str, ...]
    kind: str


@dataclass(frozen=True)
class Wider:
    """A pattern that hits some modules, and others too.

    Attributes:
        pattern: the pattern.
        extra: the modules that it hits besides, in model order.
    """

    pattern: str
    extra: tuple[str, ...]


def patterns_for(names: Sequence[str], chosen: Iterable[str], roles: Mapping[str, str] | None = None) -> list[Proposal]:
    r"""The ways to address exactly the chosen modules, the simplest first. Each was tried against all names.

    Args:
        names: all module names, in model order.
        chosen: those that the patterns must hit, and no others.
        roles: role name of each module that has one, if the family is known.

    Raises:
        DeltaError: nothing was chosen, or something that is not among the names.

    Example:
        >>> names = [f"layers.{i}.{part}" for i in range(3) for part in ("fc1", "fc2")]
        >>> for found in patterns_for(names, ["layers.0.fc2", "layers.1.fc2"]):
        ...     print(found.kind, *found.patterns)
        segments 0-1.fc2
        address layers.0-1.fc2
        regex [r][01]\.fc2$
    """
    wanted = _in_order(names, chosen)
    known = set(wanted)
    others = [name for name in names if name not in known]
    found = [*_by_name(wanted, others), *(_by_role(names, known, roles) if roles else ())]
    exact = [one for one in found if _hits(one, names, roles) == known]
    exact.sort(key=lambda one: price(one.patterns) + _KINDS[one.kind])
    return exact or [Proposal((_literally(wanted),), "regex")]


def wider_patterns(names: Sequence[str], chosen: Iterable[str]) -> list[Wider]:
    """What shorter patterns would hit besides the chosen modules, the shortest first; each longer one hits fewer.

    Raises:
        DeltaError: nothing was chosen, or something that is not among the names.

    Example:
        >>> wider_patterns(["enc.fc1", "enc.fc2", "dec.fc2"], ["enc.fc2"])
        [Wider(pattern='fc2', extra=('dec.fc2',))]
    """
    wanted = _in_order(names, chosen)
    known = set(wanted)
    places = stack([name.split(".") for name in wanted])
    found: list[Wider] = []
    for pattern, extra in narrowest(places, Ends(name for name in names if name not in known)):
        if not extra or len(found) == _MOST_WIDER:
            break
        besides = set(extra)
        if not found or len(besides) < len(found[-1].extra):
            found.append(Wider(pattern, tuple(name for name in names if name in besides)))
    return found


def _in_order(names: Sequence[str], chosen: Iterable[str]) -> list[str]:
    known = dict.fromkeys(chosen)
    if not known:
        raise DeltaError("No module was chosen.", expected="One or more of the model's module names.")
    every = set(names)
    for name in known:
        if name not in every:
            raise DeltaError(f"{name!r} is none of the {len(names)} modules.", expected="A full module name.", nearest=close(name, names))
    return [name for name in names if name in known]


def _by_name(wanted: Sequence[str], others: Sequence[str]) -> Iterator[Proposal]:
    rows = [name.split(".") for name in wanted]
    places = stack(rows)
    one = shortest(places, Ends(others))
    yield from _as_address(places, {len(row) for row in rows}, one)
    if one:
        plain = all(len(column.values) == 1 for column in one.columns)
        yield Proposal((one.pattern,), "suffix" if plain else "segments")
        yield from _as_regex([one])
        return
    products, rest = cover(wanted, others)
    patterns = [product.pattern for product in products]
    if rest:
        patterns.append(_literally(rest))
    if products:
        yield Proposal(tuple(patterns), "several")
    if not rest and len(products) <= _MOST_IN_REGEX:
        yield from _as_regex(products)


def _as_address(places: Stack, depths: set[int], known: Product | None) -> Iterator[Proposal]:
    if len(depths) > 1 or not all(sayable(value) for values in places for value in values):
        return
    address = full(places).pattern
    if len(address) <= _LONGEST and not (known and known.pattern == address):
        yield Proposal((address,), "address")


def _by_role(names: Sequence[str], wanted: set[str], roles: Mapping[str, str]) -> Iterator[Proposal]:
    paths = list(dict.fromkeys(roles[name] for name in names if name in wanted and name in roles))
    if not paths or not all(name in roles for name in wanted):
        return
    known = set(paths)
    others = dict.fromkeys(path for path in roles.values() if path not in known)
    one = shortest(stack([path.split(".") for path in paths]), Ends(others), _role_segment, _asks_for_roles)
    if one:
        yield Proposal((".".join(segment.replace("@,", ",") for segment in reversed(one.segments)),), "role")


def _role_segment(segment: str) -> bool:
    return all(map(sayable, segment.removesuffix("@").split(",")))


def _asks_for_roles(pattern: str) -> bool:
    return any(segment.endswith("@") for segment in pattern.split("."))


def _hits(proposal: Proposal, names: Sequence[str], roles: Mapping[str, str] | None) -> set[str]:
    try:
        return {name for pattern in proposal.patterns for name in pattern_hits(pattern, names, roles)}
    except DeltaError:
        return set()


def _as_regex(products: Sequence[Product]) -> Iterator[Proposal]:
    sources = [_regex(product) for product in products]
    # Suffixes of unlike length may begin within a segment; from the start of the name none does.
    source = sources[0] if len(sources) == 1 else f"^(?:.+\\.)?(?:{'|'.join(sources)})"
    if len(source) <= _LONGEST and all(char.isascii() for char in source):
        yield Proposal((f"{PREFIX}{source}$",), "regex")


def _regex(product: Product) -> str:
    wide = {"$": "[0-9]+", "*": r"[^.]+"}
    pairs = zip(product.columns, product.segments, strict=True)
    return r"\.".join(reversed([_choice(column.values) if segment == column.text else wide[segment] for column, segment in pairs]))


def _choice(values: Sequence[str]) -> str:
    if len(values) == 1:
        return _escaped(values[0])
    if all(len(value) == 1 and value in "0123456789" for value in values):
        return f"[{''.join(_runs(sorted(values)))}]"
    return f"(?:{'|'.join(map(_escaped, values))})"


def _runs(digits: Sequence[str]) -> Iterator[str]:
    """``0``, ``1``, ``2`` as ``0-2``."""
    start = 0
    for at in range(1, len(digits) + 1):
        if at == len(digits) or int(digits[at]) != int(digits[at - 1]) + 1:
            run = digits[start:at]
            yield f"{run[0]}-{run[-1]}" if len(run) > 2 else "".join(run)  # noqa: PLR2004 - two are no shorter as a range
            start = at


def _literally(names: Sequence[str]) -> str:
    """A regular expression for just these names, which may look like anything."""
    end = r"\Z" if any("\n" in name for name in names) else "$"
    choice = "|".join(map(_escaped, names))
    return f"{PREFIX}^{choice if len(names) == 1 else f'(?:{choice})'}{end}"


def _escaped(text: str) -> str:
    return _META.sub(r"\\\g<0>", text)
