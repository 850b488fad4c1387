"""The one exception that a user sees.

A message has four parts, always in this order: what happened, what was expected, the nearest names, one command to try.
In IPython the exception draws itself without a stack trace; in a plain script it is an ordinary exception.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DeltaError"]

_WIDTH = 100


class DeltaError(Exception):
    """A user's mistake, or a limit of the library, said in one paragraph.

    Args:
        what: what happened, with the offending value quoted.
        expected: what would have been right.
        nearest: names close to the one given, best first.
        try_: one command or line of Python that leads on.

    Example:
        >>> raise DeltaError("No delta type 'adaptor'.", nearest=["adapter"], try_="%delta help attach")
        Traceback (most recent call last):
        ...
        deltanb._errors.DeltaError: No delta type 'adaptor'. Nearest: adapter. Try: %delta help attach
    """

    def __init__(self, what: str, *, expected: str = "", nearest: Iterable[str] = (), try_: str = "") -> None:
        self.what = what
        self.expected = expected
        self.nearest = list(nearest)
        self.try_ = try_
        super().__init__(" ".join(self.sentences()))

    def sentences(self) -> list[str]:
        """The parts that are there, in order, each a sentence.

        Example:
            >>> DeltaError("A.", expected="B.").sentences()
            ['A.', 'B.']
        """
        parts = [self.what, self.expected]
        if self.nearest:
            parts.append(f"Nearest: {', '.join(self.nearest)}.")
        if self.try_:
            parts.append(f"Try: {self.try_}")
        return [part for part in parts if part]

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.what, self.expected, self.nearest, self.try_))

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a stack trace."""
        body = "\n".join(textwrap.fill(part, _WIDTH, break_long_words=False, break_on_hyphens=False) for part in self.sentences())
        return [f"\x1b[31mDeltaError\x1b[0m: {body}"]


def _rebuild(what: str, expected: str, nearest: list[str], try_: str) -> DeltaError:
    return DeltaError(what, expected=expected, nearest=nearest, try_=try_)
