"""From a magic's line to its words: quotes, trailing ``;`` and ``# comment``, and ``{name}`` from the user's variables.

IPython itself must not expand the line (``@no_var_expand``): it would eat the braces and dollars of patterns.
"""

from __future__ import annotations

import re
import reprlib
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Variable", "looked_up", "strip_comment", "strip_end", "texts", "words"]

_BRACED = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class Variable:
    """A value that the user named on the line.

    Attributes:
        name: of the variable.
        value: what it holds.
    """

    name: str
    value: Any


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


def words(line: str) -> list[str]:
    r"""The words of a line; quotes group and are dropped, backslashes stay.

    Raises:
        DeltaError: a quote is never closed.

    Example:
        >>> words(r"match '[r](\d)+\.fc2' fc1  # note")
        ['match', '[r](\\d)+\\.fc2', 'fc1']
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


def looked_up(word: str, variables: Mapping[str, Any]) -> Any:
    """The value of a whole word ``{name}``; every other word as it is.

    Raises:
        DeltaError: there is no such variable; names the near ones.

    Example:
        >>> looked_up("{rank}", {"rank": 4}).value, looked_up("a{2}", {})
        (4, 'a{2}')
    """
    hit = _BRACED.fullmatch(word)
    if not hit:
        return word
    name = hit.group(1)
    if name not in variables:
        msg = f"There is no variable called {name!r}."
        near = close(name, [key for key in variables if not key.startswith("_")])
        raise DeltaError(msg, expected="In braces stands a variable of this notebook.", nearest=near)
    return Variable(name, variables[name])


def texts(variable: Variable) -> list[str]:
    """The patterns or names that a variable holds: one, or several.

    Raises:
        DeltaError: it holds something else.

    Example:
        >>> texts(Variable("x", ["fc1", "fc2"]))
        ['fc1', 'fc2']
    """
    value = variable.value
    several = isinstance(value, (list, tuple, set, frozenset))
    found: list[Any] = list(value) if several else [value]
    if all(isinstance(text, str) for text in found):
        return found
    msg = f"{{{variable.name}}} holds {reprlib.repr(value)}, and text is needed here."
    raise DeltaError(msg, expected="It should hold a text, or a list of texts, such as ['fc1', 'fc2'].")
