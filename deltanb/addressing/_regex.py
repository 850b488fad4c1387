"""The ``[r]`` form of a pattern: OpenDelta's rule for regular expressions, with a limit on the time they may take."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PREFIX", "regex_hits"]

PREFIX = "[r]"
SECONDS = 1.0  # for one pattern over all names: `(.*)*x` must not hang a kernel
_CHUNK = 64  # names between two looks at the clock
_SAFE_REPEATS = 2
_SAFE_LENGTH = 200  # of a name: two repeats in a row take the cube of it


def regex_hits(pattern: str, names: Sequence[str]) -> list[str]:
    r"""The names that ``[r]…`` hits: the *leftmost* search hit must end the name and start at a segment boundary.

    Raises:
        DeltaError: the expression is invalid (with position and reason), or takes longer than `SECONDS`.

    Example:
        >>> regex_hits(r"[r]\d", ["block.0", "block.0.layer.1"])
        ['block.0']
    """
    import regex

    source = pattern.removeprefix(PREFIX)
    try:
        search = regex.compile(source).search
    except regex.error as error:
        position, reason = getattr(error, "pos", None), getattr(error, "msg", str(error))
        where = f" at position {position}" if position is not None else ""
        msg = f"The regular expression {source!r} is invalid{where}: {reason}."
        raise DeltaError(msg, expected="Python's regular expressions, after [r].", try_="%delta match '[r]layers\\.[0-5]\\.fc2'") from None
    # The engine's own time limit costs 2 µs a call, so an expression that cannot blow up goes without it.
    limited = _may_blow_up(source) or any(len(name) > _SAFE_LENGTH for name in names)
    found, end = [], time.monotonic() + SECONDS
    try:
        for at in range(0, len(names), _CHUNK):
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError  # noqa: TRY301 - the engine's own limit raises it too
            options: dict[str, Any] = {"timeout": left} if limited else {}
            found += [name for name in names[at : at + _CHUNK] if _whole_segments(search(name, **options), name)]
    except TimeoutError:
        msg = f"The regular expression {source!r} did not finish within {SECONDS:g} s."
        raise DeltaError(msg, expected="One without nested repeats such as (.*)*.", try_="%delta help match") from None
    return found


def _whole_segments(hit: Any, name: str) -> bool:
    if hit is None:
        return False
    start, end = hit.span()
    return end == len(name) and start < end and (start == 0 or name[start - 1] == ".")


def _may_blow_up(source: str) -> bool:
    """Whether the time may grow fast with a name's length: a repeat of what repeats or branches, back references, many repeats."""
    plain = re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "x", re.sub(r"\\[^1-9\[\]]", "x", source)).replace("(?", "(")
    branches = [False]  # for each open group: does it repeat or branch inside?
    for at, char in enumerate(plain):
        if char == "(":
            branches.append(False)
        elif char == ")" and len(branches) > 1:
            inside, repeated = branches.pop(), plain[at + 1 : at + 2] in ("*", "+", "?", "{")
            if inside and repeated:
                return True
            branches[-1] |= inside
        elif char in "*+?{|":
            branches[-1] = True
    return "\\" in plain or "(P=" in plain or len(re.findall(r"[*+{]", plain)) > _SAFE_REPEATS
