"""Settings of a delta: one dataclass a type, each option with its help, its limits and its check.

The same fields feed Python, the ``%delta`` line, completion, help and ``config.json``, so they are written down once.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from deltanb._errors import DeltaError
from deltanb._suggest import close

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BaseDeltaConfig", "CommonOptions", "choices_of", "option", "without_none"]


def option(
    default: Any,
    text: str,
    *,
    minimum: float | None = None,
    below: float | None = None,
    choices: Any = (),
    alias: str = "",
    rare: bool = False,
) -> Any:
    """A dataclass field with its help and limits.

    Args:
        default: the default value, or a function that makes it (``dict``).
        text: one line of help.
        minimum: the smallest value allowed.
        below: the value must be smaller than this.
        choices: the values allowed, or a function that lists them.
        alias: a shorter name for the ``%delta`` line.
        rare: whether few will change it: a panel shows it last, or folded away.

    Example:
        >>> option(8, "rank", minimum=1).metadata["help"]
        'rank'
    """
    metadata = {"help": text, "minimum": minimum, "below": below, "choices": choices, "alias": alias, "rare": rare}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class CommonOptions(TypedDict, total=False):
    """What every delta's constructor takes by keyword.

    Attributes:
        modified_modules: patterns of the hosts; default: the type's, by role.
        exclude_modules: patterns to leave out.
        unfrozen_modules: default of ``freeze_module``'s ``exclude``; ``["deltas"]`` unless given.
        common_structure: kept for old scripts; a pattern's ``@`` says that it names roles.
        interactive_modify: kept for old scripts.
        backend: ``"hf"``.
        name: of the delta; default: its type, with ``_1``, ``_2``, … for more of them.
    """

    modified_modules: Sequence[str] | str | None
    exclude_modules: Sequence[str] | str | None
    unfrozen_modules: Sequence[str] | None
    common_structure: bool | None
    interactive_modify: bool | int
    backend: str
    name: str | None


@dataclass(kw_only=True)
class BaseDeltaConfig:
    """Settings that every delta has.

    Attributes:
        modified_modules: patterns of the hosts (`deltanb.addressing`); None for the type's default.
        exclude_modules: patterns to leave out.
        unfrozen_modules: what ``freeze_module`` leaves trainable when it is not told.
        common_structure: kept for old scripts and checkpoints; a pattern says by its ``@`` that it names roles.
    """

    delta_type: ClassVar[str] = ""
    modified_modules: list[str] | None = None
    exclude_modules: list[str] | None = None
    unfrozen_modules: list[str] = dataclasses.field(default_factory=lambda: ["deltas"])
    common_structure: bool | None = None

    def __post_init__(self) -> None:
        self.modified_modules = _as_list(self.modified_modules)
        self.exclude_modules = _as_list(self.exclude_modules)
        words = _as_list(self.unfrozen_modules)
        self.unfrozen_modules = ["deltas"] if words is None else words
        for key in self.option_names():
            setattr(self, key, self.checked(key, getattr(self, key)))

    @classmethod
    def option_names(cls) -> list[str]:
        """The options of this type alone, in order.

        Example:
            >>> from deltanb.engine import IA3Config
            >>> IA3Config.option_names()
            ['feedforward_modules']
        """
        common = {entry.name for entry in dataclasses.fields(BaseDeltaConfig)}
        return [entry.name for entry in dataclasses.fields(cls) if entry.name not in common]

    @classmethod
    def field(cls, key: str) -> dataclasses.Field[Any]:
        """The field of an option, by its name or its alias.

        Raises:
            DeltaError: there is no such option; names the near ones and all.
        """
        for entry in dataclasses.fields(cls):
            if key in (entry.name, entry.metadata.get("alias")):
                return entry
        raise cls.unknown(key)

    @classmethod
    def unknown(cls, key: str) -> DeltaError:
        """The error for an option that there is not; names the near ones and all of the type's own."""
        own = cls.option_names()
        every = [*own, "name", *(entry.name for entry in dataclasses.fields(BaseDeltaConfig))]
        expected = f"One of: {', '.join(own)}." if own else "It has no options of its own."
        msg = f"{cls.delta_type} has no option {key!r}."
        return DeltaError(msg, expected=expected, nearest=close(key, every), try_=f"%delta help attach {cls.delta_type}")

    @classmethod
    def checked(cls, key: str, value: Any) -> Any:
        """``value`` as the option ``key`` wants it; text (from a ``%delta`` line) is read as the option's kind.

        Raises:
            DeltaError: it is of the wrong kind or outside the limits.

        Example:
            >>> from deltanb.engine import LoraConfig
            >>> LoraConfig.checked("lora_r", "4")
            4
        """
        entry = cls.field(key)
        kind = typing.get_type_hints(cls)[entry.name]
        kind, optional = without_none(kind)
        if optional and (value is None or value == "none"):
            return None
        good = _typed(value, kind)
        if good is None or not _inside(good, entry.metadata):
            wanted = _describe(kind, entry.metadata)
            choices = choices_of(entry.metadata)
            msg = f"{entry.name} must be {wanted}, not {value!r}."
            raise DeltaError(msg, nearest=close(str(value), choices) if choices else (), try_=f"%delta help attach {cls.delta_type}")
        return good

    def to_dict(self) -> dict[str, Any]:
        """All settings and the type, as plain data, sorted.

        Example:
            >>> from deltanb.engine import AdapterConfig
            >>> AdapterConfig(modified_modules="fc2").to_dict()["modified_modules"]
            ['fc2']
        """
        return dict(sorted({"delta_type": self.delta_type, **dataclasses.asdict(self)}.items()))

    def options(self) -> dict[str, Any]:
        """The options of this type alone."""
        return {key: getattr(self, key) for key in self.option_names()}

    def spoken(self) -> str:
        """The options in words; switches that are off and tables that are empty go without saying.

        Example:
            >>> from deltanb.engine import LoraConfig
            >>> LoraConfig(use_rslora=True).spoken()
            'lora_r=8, lora_alpha=16, lora_dropout=0, use_rslora=True'
        """
        said = {key: value for key, value in self.options().items() if value is not False and value != {} and value is not None}
        return ", ".join(f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in said.items())

    def changed_options(self) -> dict[str, Any]:
        """The options that differ from their defaults: what a person would have to type."""
        return {key: value for key, value in self.options().items() if value != self.default_of(key)}

    @classmethod
    def default_of(cls, key: str) -> Any:
        """The default value of an option."""
        entry = cls.field(key)
        return entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()


def _as_list(value: Any) -> list[str] | None:
    if value is None:
        return None
    return list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else [value]


def choices_of(metadata: Any) -> list[str]:
    """The values that an option may have, where they are few; else an empty list."""
    choices = metadata.get("choices", ())
    return list(choices() if callable(choices) else choices)


def without_none(kind: Any) -> tuple[Any, bool]:
    """``int | None`` as ``int, True``."""
    parts = [part for part in typing.get_args(kind) if part is not type(None)]
    return (parts[0], True) if type(None) in typing.get_args(kind) else (kind, False)


def _typed(value: Any, kind: Any) -> Any:
    """The value as ``kind``: a table, a list of texts or one value; or None if it is none."""
    if typing.get_origin(kind) is dict:
        return _table(value, *typing.get_args(kind))
    if typing.get_origin(kind) is list:
        words = [_convert(entry, str) for entry in _as_list(value) or []]
        return None if None in words else words
    return _convert(value, kind)


def _convert(value: Any, kind: Any) -> Any:
    """The value as ``kind``, or None if it is none."""
    if isinstance(value, str) and kind is not str:
        value = _read(value)
    if kind is bool:
        return value if isinstance(value, bool) else None
    if kind is str:
        return value if isinstance(value, str) and value else None
    if isinstance(value, bool) or not isinstance(value, Real):  # numpy's numbers are numbers
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not math.isfinite(number) or (kind is int and not number.is_integer()):
        return None
    return kind(value)


def _table(value: Any, key_kind: Any, value_kind: Any) -> dict[Any, Any] | None:
    """A dictionary with every key and value of its kind, or None."""
    if not isinstance(value, Mapping):
        return None
    table = {_convert(key, key_kind): _convert(entry, value_kind) for key, entry in value.items()}
    return None if None in table or None in table.values() else table


def _read(text: str) -> Any:
    words = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return float(text) if any(char in text for char in ".eE") else int(text)
    except ValueError:
        return None


def _inside(value: Any, metadata: Any) -> bool:
    low, high, choices = metadata.get("minimum"), metadata.get("below"), choices_of(metadata)
    if isinstance(value, dict):
        return all(_inside(entry, metadata) for entry in value.values())
    return (low is None or value >= low) and (high is None or value < high) and (not choices or value in choices)


def _describe(kind: Any, metadata: Any) -> str:
    if typing.get_origin(kind) is dict:
        inner = _describe(typing.get_args(kind)[1], metadata)
        return f"a dictionary of names to values, each {inner}"
    if typing.get_origin(kind) is list:
        return "a word or a list of words"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}[kind]
    if metadata.get("minimum") is not None:
        words += f" from {metadata['minimum']:g}"
    if metadata.get("below") is not None:
        words += f" below {metadata['below']:g}"
    choices = choices_of(metadata)
    return f"one of {', '.join(choices)}" if choices else words
