"""Pairs of modules for a parallel adapter: which second module belongs to which first one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.addressing import MatchResult

__all__ = ["block_of", "pairs_of"]


def pairs_of(patterns: Sequence[str], found: MatchResult) -> dict[str, str]:
    """First modules to second ones, in model order.

    Args:
        patterns: taken two by two; one pattern alone, or one given twice, pairs each module with itself.
        found: what they hit.

    Raises:
        DeltaError: an odd number of patterns; a module has no partner in its block, or several.

    Example:
        >>> from deltanb.addressing import match_names
        >>> names = ["0.attn", "0.fc1", "0.fc2", "1.attn", "1.fc1", "1.fc2"]
        >>> pairs_of(["attn", "attn", "fc1", "fc2"], match_names(names, ["attn", "fc1", "fc2"]))
        {'0.attn': '0.attn', '0.fc1': '0.fc2', '1.attn': '1.attn', '1.fc1': '1.fc2'}
    """
    words = [pattern.strip() for pattern in patterns]
    if len(words) == 1:
        words *= 2
    if len(words) % 2:
        msg = f"A parallel adapter needs patterns two by two, and {words[-1]!r} stays without a partner."
        raise DeltaError(msg, expected="A first and a second pattern for each pair.", try_="%delta attach parallel_adapter fc1 fc2")
    within = {word: set(hits) for word, hits in found.by_pattern.items()}
    left = {word: [name for name in found.names if name in hits] for word, hits in within.items()}
    pairs: dict[str, str] = {}
    for first, second in zip(words[::2], words[1::2], strict=True):
        for one, other in _paired(first, second, left[first], left[second]):
            if pairs.setdefault(one, other) != other:
                msg = f"{one} is the first of two pairs, with {pairs[one]} and with {other}."
                raise DeltaError(msg, expected="Each module in one pair of a delta.", try_="a second delta for the second pair")
    return {name: pairs[name] for name in found.names if name in pairs}


def _paired(first: str, second: str, firsts: list[str], seconds: list[str]) -> list[tuple[str, str]]:
    """The pairs that two patterns make."""
    if first == second:
        return [(name, name) for name in firsts]
    if (firsts, seconds) == ([first], [second]):
        return [(first, second)]  # both by their full names: meant as it stands, in whatever blocks they are
    forth, back = _nearest(firsts, seconds), _nearest(seconds, firsts)
    for there, here in ((forth, back), (back, forth)):
        for name, near in there.items():
            if len(near) == 1 and here[near[0]] == [name]:
                continue
            if len(near) == 1 and name in here[near[0]]:
                raise _unpaired(near[0], here[near[0]], first, second)
            raise _unpaired(name, near if len(near) > 1 else [], first, second)
    return [(name, near[0]) for name, near in forth.items()]


def _nearest(names: Sequence[str], others: Sequence[str]) -> dict[str, list[str]]:
    """For each name those of ``others`` in the same block that share most segments with it."""
    inside: dict[str, list[str]] = {}
    for other in others:
        inside.setdefault(_block(other), []).append(other)
    found = {}
    for name in names:
        shared = {other: _shared(name, other) for other in inside.get(_block(name), ()) if other != name}
        found[name] = [other for other, count in shared.items() if count == max(shared.values())]
    return found


def _block(name: str) -> str:
    """A name up to the number of its block; a number at the end counts its module, not a block."""
    parts = name.split(".")
    last = max((at for at, part in enumerate(parts[:-1]) if part.isdigit()), default=-1)
    return ".".join(parts[: last + 1])


def _shared(name: str, other: str) -> int:
    """How many leading segments two names share."""
    count = 0
    for one, two in zip(name.split("."), other.split("."), strict=False):
        if one != two:
            break
        count += 1
    return count


def _unpaired(name: str, several: list[str], first: str, second: str) -> DeltaError:
    if several:
        msg = f"{name} could be paired with {' or '.join(several)}: the patterns {first!r} and {second!r} leave it open."
        return DeltaError(
            msg, expected="One partner in the same block.", nearest=several, try_="patterns that name one module of a block each"
        )
    msg = f"{name} stays without a partner: the patterns {first!r} and {second!r} hit no second module in its block."
    return DeltaError(msg, expected="A first and a second module in each block.", try_=f"--exclude {name}")


def block_of(backbone: nn.Module, first: str, second: str) -> str:
    """The innermost module that calls both: their nearest common parent that is no mere list.

    Example:
        >>> model = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])})
        >>> block_of(model, "layers.0", "layers.1")
        ''
    """
    parts = first.split(".")[: _shared(first, second)]
    while parts and isinstance(backbone.get_submodule(".".join(parts)), (nn.ModuleList, nn.ModuleDict)):
        parts.pop()
    return ".".join(parts)
