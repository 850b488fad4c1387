"""A line of text as patterns, and back: quotes group, a trailing ``;`` and ``# comment`` are dropped, backslashes stay."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["join_patterns", "split_patterns", "strip_comment", "strip_end"]

_UNSAFE = re.compile(r"[\s'\"#;]")


def strip_comment(line: str) -> str:
    """The line without a trailing `` # comment`` outside quotes.

    Example:
        >>> strip_comment("match '[r]a#b' # two hits")
        "match '[r]a#b'"
    """
    quote = ""
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"" and (at == 0 or line[at - 1] in " ="):
            quote = char
        elif char == "#" and (at == 0 or line[at - 1].isspace()):
            line = line[:at]
            break
    return line.rstrip()


def strip_end(line: str) -> str:
    """The line without a trailing comment and a trailing ``;``, which asks for silence.

    Example:
        >>> strip_end("graph;  # quietly")
        'graph'
    """
    return strip_comment(line).rstrip(";").rstrip()


def split_patterns(line: str) -> list[str]:
    r"""The words of a line; quotes group and are dropped, backslashes stay.

    Raises:
        DeltaError: a quote is never closed.

    Example:
        >>> split_patterns(r"'[r](\d)+\.fc2' fc1  # note")
        ['[r](\\d)+\\.fc2', 'fc1']
    """
    lexer = shlex.shlex(strip_end(line), posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = lexer.escape = lexer.escapedquotes = ""
    try:
        return list(lexer)
    except ValueError:
        msg = "A quote is opened and never closed."
        raise DeltaError(
            msg, expected="Quotes come in pairs; put text with an apostrophe into double quotes.", try_='%delta predict "I didn\'t like it"'
        ) from None


def join_patterns(patterns: Iterable[str]) -> str:
    """The text that `split_patterns` reads as these patterns.

    Example:
        >>> join_patterns(["fc1", "q_proj, v_proj"])
        "fc1 'q_proj, v_proj'"
    """
    return " ".join(_quoted(pattern) for pattern in patterns)


def _quoted(pattern: str) -> str:
    if pattern and not _UNSAFE.search(pattern):
        return pattern
    pieces = [piece for piece in re.split("('+)", pattern) if piece] or [""]
    if len(pieces) > 1 and '"' not in pattern:
        return f'"{pattern}"'
    return "".join(f'"{piece}"' if piece.startswith("'") else f"'{piece}'" for piece in pieces)
