"""From words to a call: the verb, its words, its options, and what every verb takes (``--as NAME``, ``--help``)."""

from __future__ import annotations

import keyword
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.magics._tokens import Variable, looked_up, strip_end, texts, words
from deltanb.magics._verbs import VERBS, Option, Verb, find_verb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Call", "parse"]

_ASSIGNED = re.compile(r"(?:--)?([A-Za-z][\w-]*)=(.*)", re.DOTALL)


@dataclass
class Call:
    """One ``%delta`` line, understood.

    Attributes:
        verb: which.
        words: the words after it, values of ``{name}`` as `Variable`.
        options: by their Python names.
        bind: the name that ``--as`` gives the result, or "".
        help: whether ``--help`` was asked for.
    """

    verb: Verb
    words: list[Any] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    bind: str = ""
    help: bool = False


def parse(line: str, variables: Mapping[str, Any]) -> Call:
    """Understand a line.

    Args:
        line: what follows ``%delta``.
        variables: the user's, for ``{name}``.

    Raises:
        DeltaError: unknown verb or option, a missing or surplus word, a value of the wrong kind.

    Example:
        >>> call = parse("attach adapter fc2 --bottleneck-dim 12 --as d", {})
        >>> call.verb.name, call.words, call.options, call.bind
        ('attach', ['adapter', 'fc2'], {'bottleneck_dim': '12'}, 'd')
    """
    first, *more = strip_end(line.strip()).split(None, 1)[:2] or [""]
    rest = more[0] if more else ""
    if not first or first in ("-h", "--help", "?"):
        return Call(VERBS["help"])
    verb = find_verb(first)
    tokens = _prose(rest) if verb.words == "text" else words(rest)
    call = _Reader(verb, tokens, variables).read()
    if not call.help:
        _check_words(call)
    return call


def _prose(rest: str) -> list[str]:
    """A sentence needs no quotes, and may hold an apostrophe."""
    plain = strip_end(rest)
    if plain[:1] in "'\"{" or " --" in f" {plain}":
        return words(rest)
    return [plain] if plain else []


class _Reader:
    def __init__(self, verb: Verb, tokens: list[str], variables: Mapping[str, Any]) -> None:
        self.call = Call(verb)
        self.verb = verb
        self.tokens = tokens
        self.variables = variables
        self.many: Option | None = None

    def read(self) -> Call:
        while self.tokens:
            token = self.tokens.pop(0)
            assigned = _ASSIGNED.fullmatch(token)
            if token in ("--help", "-h"):
                self.call.help = True
            elif assigned and (token.startswith("--") or self._is_option(assigned.group(1))):
                self._option(assigned.group(1), assigned.group(2))
            elif token.startswith("--") and len(token) > 2:  # noqa: PLR2004
                self._option(token[2:], None)
            elif self.many is not None:
                self.call.options.setdefault(self.many.name, []).extend(self._several(token))
            else:
                self.call.words.append(looked_up(token, self.variables))
        return self.call

    def _is_option(self, name: str) -> bool:
        if self.verb.words == "types":  # name=value behind a type belongs to it, so it stays in its place
            return self.verb.option(name) is not None
        return self.verb.open or self.verb.option(name) is not None or self.verb.words not in ("text", "pattern")

    def _option(self, name: str, text: str | None) -> None:
        self.many = None
        if name == "as":
            self.call.bind = _identifier(self._value("as", text))
            return
        option = self.verb.option(name)
        if option is None and not self.verb.open:
            names = [f"--{known.name.replace('_', '-')}" for known in self.verb.options]
            msg = f"%delta {self.verb.name} has no option {name!r}."
            expected = f"One of: {', '.join([*names, '--as'])}."
            near = [f"--{word}" for word in close(name, [known.name.replace("_", "-") for known in self.verb.options])]
            raise DeltaError(msg, expected=expected, nearest=near, try_=f"%delta help {self.verb.name}")
        if option is None:
            value = looked_up(self._value(name, text), self.variables)
            self.call.options[name.replace("-", "_")] = value.value if isinstance(value, Variable) else value
        elif option.kind == "flag":
            self.call.options[option.name] = text is None or self._converted(option, text)
        elif option.kind == "many":
            self.many = option
            self.call.options.setdefault(option.name, [])
            if text:
                self.call.options[option.name] += self._several(text)
        else:
            self.call.options[option.name] = self._converted(option, self._value(name, text))

    def _value(self, name: str, text: str | None) -> str:
        if text is not None:
            return text
        if self.tokens and not (self.tokens[0].startswith("--") and len(self.tokens[0]) > 2):  # noqa: PLR2004
            return self.tokens.pop(0)
        msg = f"--{name.replace('_', '-')} needs a value."
        raise DeltaError(
            msg,
            expected=f"Write --{name.replace('_', '-')} VALUE, or {name.replace('-', '_')}=VALUE.",
            try_=f"%delta help {self.verb.name}",
        )

    def _several(self, token: str) -> list[str]:
        value = looked_up(token, self.variables)
        return texts(value) if isinstance(value, Variable) else [value]

    def _converted(self, option: Option, text: str) -> Any:
        found = looked_up(text, self.variables)
        value = found.value if isinstance(found, Variable) else text
        if option.kind in _READ:
            kind, read = _READ[option.kind]
            try:
                return read(value)
            except (KeyError, TypeError, ValueError, OverflowError):
                msg = f"--{option.name.replace('_', '-')} must be {kind}, not {value!r}."
                raise DeltaError(msg, expected=f"It means: {option.help}.", try_=f"%delta help {self.verb.name}") from None
        return value


def _flag(value: Any) -> bool:
    return {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}[str(value).lower()]


def _whole(value: Any) -> int:
    number = int(value)
    if number != float(value) or isinstance(value, bool):
        raise ValueError
    return number


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or isinstance(value, bool):
        raise ValueError
    return number


_READ: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "flag": ("true or false", _flag),
    "int": ("a whole number", _whole),
    "float": ("a number", _finite),
}


def _identifier(name: str) -> str:
    if name.isidentifier() and not keyword.iskeyword(name):
        return name
    msg = f"--as needs a variable's name, not {name!r}."
    raise DeltaError(msg, expected="It has letters, digits and _, and is no word of Python's.", try_="--as result")


_NEEDS = {
    "spec": "a model",
    "pattern": "a pattern",
    "type pattern": "a delta type",
    "types": "a delta type, better several",
    "text": "a sentence",
    "delta delta number": "two deltas and a number",
}


def _check_words(call: Call) -> None:
    verb, count = call.verb, len(call.words)
    if count < verb.least:
        what = _NEEDS.get(verb.words, "a folder")
        msg = f"%delta {verb.name} needs {what}."
        raise DeltaError(msg, expected=f"What it does: {verb.help}.", try_=f"%delta {verb.example}")
    if verb.most is not None and count > verb.most:
        surplus = " ".join(str(getattr(word, "name", word)) for word in call.words[verb.most :])
        msg = f"%delta {verb.name} does not know what to do with {surplus!r}."
        near = [f"--{option.name.replace('_', '-')}" for option in verb.options if surplus.startswith(option.name)]
        raise DeltaError(msg, expected=f"An example: %delta {verb.example or verb.name}", nearest=near, try_=f"%delta help {verb.name}")
