"""PEFT's own rule for which modules an adapter sits on; it is not that of `deltanb.addressing`.

A list means whole names or suffixes, a text is a regular expression for the whole name, ``layers_to_transform`` picks
layers by the first number in a name, and what ``modules_to_save`` names is never a target.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Targets", "ends_in", "is_saved", "of_pattern"]

_SECONDS = 1.0
_LAYER = r"[^.]*"


@dataclass(frozen=True)
class Targets:
    """The part of ``adapter_config.json`` that says where.

    Attributes:
        modules: ``target_modules``: names, a regular expression, or None where nothing is said.
        exclude: ``exclude_modules``, in the same form.
        layers: ``layers_to_transform``.
        patterns: ``layers_pattern``.
        saved: ``modules_to_save``.
    """

    modules: list[str] | str | None
    exclude: list[str] | str | None
    layers: list[int]
    patterns: list[str]
    saved: list[str]

    @classmethod
    def of(cls, settings: Mapping[str, Any], saved: Iterable[str]) -> Targets:
        """From the settings in ``adapter_config.json``."""
        modules = settings.get("target_modules")
        return cls(
            None if modules == "all-linear" else modules,
            settings.get("exclude_modules"),
            _listed(settings.get("layers_to_transform")),
            _listed(settings.get("layers_pattern")),
            list(saved),
        )

    def hits(self, name: str) -> bool:
        """Whether PEFT would put the adapter on a module of that name; True where the settings do not say.

        Raises:
            DeltaError: a regular expression is invalid, or takes too long.

        Example:
            >>> targets = Targets.of({"target_modules": ["query", "layer.0.output.dense"]}, [])
            >>> targets.hits("bert.layer.3.query"), targets.hits("bert.layer.1.output.dense")
            (True, False)
        """
        if self.modules is None:
            return True
        if _named(self.exclude, name) or any(is_saved(word, name) for word in self.saved):
            return False
        return _named(self.modules, name) and (isinstance(self.modules, str) or not self.layers or self._layer_of(name) in self.layers)

    def _layer_of(self, name: str) -> int | None:
        for pattern in self.patterns or [_LAYER]:
            start = r".*?\." if pattern == _LAYER else r"(?:^|.*?\.)"
            hit = _matched(rf"{start}{pattern}\.(\d+)\.", name, whole=False)
            if hit:
                return int(hit.group(1))
        return None


def ends_in(words: list[str] | str, name: str) -> bool:
    """Whether a name is one of IA3's ``feedforward_modules``: a list means plain endings, not whole segments.

    Example:
        >>> ends_in(["dense"], "layer.0.predense"), ends_in("dense", "layer.0.dense")
        (True, False)
    """
    return _matched(words, name, whole=True) is not None if isinstance(words, str) else name.endswith(tuple(words))


def is_saved(word: str, name: str) -> bool:
    """Whether ``modules_to_save`` entry ``word`` covers a module or what is below it.

    Example:
        >>> is_saved("classifier", "classifier.dense"), is_saved("classifier", "other.preclassifier")
        (True, False)
    """
    return re.match(rf"(^|.*\.){re.escape(word)}($|\..*)", name) is not None


def of_pattern(table: Mapping[str, Any], name: str, default: Any) -> Any:
    """The value that ``rank_pattern`` or ``alpha_pattern`` gives a module: the first key that matches the end of its name.

    Example:
        >>> of_pattern({"layer.0.query": 4}, "bert.layer.0.query", 8), of_pattern({"query": 4}, "bert.key", 8)
        (4, 8)
    """
    found = next((key for key in table if _matched(rf"(.*\.)?({key})$", name, whole=False)), None)
    return default if found is None else table[found]


def _named(words: list[str] | str | None, name: str) -> bool:
    if isinstance(words, str):
        return _matched(words, name, whole=True) is not None
    return any(name == word or name.endswith(f".{word}") for word in words or [])


def _matched(pattern: str, name: str, *, whole: bool) -> Any:
    import regex

    try:
        match = regex.compile(pattern).fullmatch if whole else regex.compile(pattern).match
        return match(name, timeout=_SECONDS)
    except (regex.error, TimeoutError) as error:
        reason = "takes too long" if isinstance(error, TimeoutError) else f"is invalid: {error}"
        msg = f"The regular expression {pattern!r} in adapter_config.json {reason}."
        raise DeltaError(msg, expected="Names, or an expression that ends in time.") from None


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]
