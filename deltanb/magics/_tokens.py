"""From a magic's line to its words: quotes, trailing ``;`` and ``# comment``, and ``{name}`` from the user's variables.

IPython itself must not expand the line (``@no_var_expand``): it would eat the braces and dollars of patterns.
"""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.addressing._split import split_patterns as words
from deltanb.addressing._split import strip_comment, strip_end

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
