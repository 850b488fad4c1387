"""Traits that refuse a value in words: what was given, what is expected, what to try."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, NoReturn

import traitlets

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.addressing._split import join_patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Choice", "Names", "Patterns", "Settings", "Text"]


def refuse(name: str, value: Any, expected: str, try_: str, nearest: Sequence[str] = ()) -> NoReturn:
    """Say that a trait cannot have a value."""
    msg = f"{name} cannot be {reprlib.repr(value)}."
    raise DeltaError(msg, expected=expected, nearest=nearest, try_=try_)


class Text(traitlets.Unicode):  # type: ignore[type-arg]  # not generic when it runs
    """A text."""

    def error(self, _obj: object, value: Any, _error: object = None, _info: object = None) -> NoReturn:
        """Refuse."""
        refuse(str(self.name), value, "It is a text.", f"explorer.{self.name} = 'reviews'")


class Patterns(traitlets.Unicode):  # type: ignore[type-arg]  # not generic when it runs
    """Patterns as they are typed, separated by blanks; a list of them is joined."""

    def validate(self, obj: Any, value: Any) -> Any:
        """A list of texts is fine, too."""
        if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
            value = join_patterns(value)
        return super().validate(obj, value)

    def error(self, _obj: object, value: Any, _error: object = None, _info: object = None) -> NoReturn:
        """Refuse."""
        refuse(str(self.name), value, "It is a text, or a list of texts, such as 'fc1 fc2'.", f"explorer.{self.name} = 'fc2'")


class Names(traitlets.List):  # type: ignore[type-arg]  # not generic when it runs
    """A list of texts."""

    def validate(self, _obj: Any, value: Any) -> Any:
        """Check the members, too."""
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            refuse(str(self.name), value, "It is a list of module names.", f"explorer.{self.name} = explorer.matched")
        return list(value)


class Choice(traitlets.Unicode):  # type: ignore[type-arg]  # not generic when it runs
    """One of a few words.

    Args:
        choices: gives them when asked.
        default: the first.
    """

    def __init__(self, choices: Callable[[], Sequence[str]], default: str) -> None:
        super().__init__(default)
        self.choices = choices

    def validate(self, _obj: object, value: Any) -> Any:
        """One of them, or an error that lists them."""
        known = list(self.choices())
        if value in known:
            return value
        near = close(value, known) if isinstance(value, str) else []
        refuse(str(self.name), value, f"One of: {', '.join(known)}.", f"explorer.{self.name} = {(near or known)[0]!r}", near)


class Settings(traitlets.Dict):
    """Options by name."""

    def validate(self, _obj: object, value: Any) -> Any:
        """A dictionary whose keys are texts."""
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            refuse(str(self.name), value, "It is a dictionary of options by name.", f"explorer.{self.name} = {{'bottleneck_dim': 12}}")
        return dict(value)
