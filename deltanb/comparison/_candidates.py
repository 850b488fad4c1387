"""What is compared: one candidate for each combination of type, options, places and learning rate."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.addressing import as_patterns
from deltanb.addressing._split import split_patterns
from deltanb.comparison._layers import ALL
from deltanb.engine import DELTA_TYPES, AutoDeltaConfig, BaseDeltaConfig, delta_class
from deltanb.engine._config import without_none

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BASELINES", "Asked", "Candidate", "asked_for", "expanded"]

BASELINES = ("head", "full")
_EXAMPLE = "%delta compare adapter lora bitfit --on movie_reviews --max-steps 100"


@dataclass(frozen=True)
class Candidate:
    """One way to train.

    Attributes:
        name: short, and different for each.
        kind: a delta type, ``head`` or ``full``.
        patterns: where; None for the type's own places.
        options: those that were given, by their full names.
        layers: the numbers of the layers it is held to, as text; "" for no limit.
        exclude: patterns to leave out.
        lr: the learning rate; None for the measured default.
    """

    name: str
    kind: str
    patterns: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    layers: str = ""
    exclude: tuple[str, ...] = ()
    lr: float | None = None

    def config(self, leave_out: Sequence[str] = ()) -> BaseDeltaConfig:
        """The delta's settings.

        Args:
            leave_out: further patterns to exclude.
        """
        places = {
            "modified_modules": list(self.patterns) if self.patterns else None,
            "exclude_modules": [*self.exclude, *leave_out] or None,
        }
        return AutoDeltaConfig.from_dict({"delta_type": self.kind, **places, **self.options})


@dataclass
class Asked:
    """One entry of what is to be compared, before its lists of values are taken apart.

    Attributes:
        kind: a delta type, ``head`` or ``full``.
        patterns: where, if that was said.
        options: short or full name of an option to its values.
        exclude: patterns to leave out.
    """

    kind: str
    patterns: list[str] = field(default_factory=list)
    options: dict[str, list[Any]] = field(default_factory=dict)
    exclude: list[str] = field(default_factory=list)


def asked_for(candidates: object) -> list[Asked]:
    """Understand what is to be compared.

    A text is read like a ``%delta attach`` line with several types: each type begins an entry, and what follows belongs to it:
    patterns, and options as ``name=value`` or ``name=value,value,…``.

    Args:
        candidates: such a text; or a list of texts, of configs and of dictionaries (``delta_type``, ``modified_modules``,
            ``exclude_modules``, ``lr``, options; a list of values where one is usual stands for each of them in turn).

    Raises:
        DeltaError: there is nothing to compare, or an unknown type or option.

    Example:
        >>> [(one.kind, one.patterns, one.options) for one in asked_for("adapter lora query r=1,2 head")]
        [('adapter', [], {}), ('lora', ['query'], {'r': ['1', '2']}), ('head', [], {})]
    """
    several = candidates if isinstance(candidates, Sequence) and not isinstance(candidates, str) else [candidates]
    found: list[Asked] = []
    words: list[str] = []
    for entry in several:
        if isinstance(entry, str):
            words += split_patterns(entry)
            continue
        found += _read(words)
        words = []
        found.append(_given(entry))
    found += _read(words)
    if not found:
        raise DeltaError("There is nothing to compare.", expected=f"{_types()}.", try_=_EXAMPLE)
    return found


def _types() -> str:
    return f"Delta types: {', '.join(DELTA_TYPES)}; or {' and '.join(BASELINES)}, which need no delta"


def _is_type(word: str) -> bool:
    return word in DELTA_TYPES or word in BASELINES


def _read(words: Iterable[str]) -> list[Asked]:
    found: list[Asked] = []
    for word in words:
        if _is_type(word):
            found.append(Asked(word))
            continue
        if not found:
            raise unknown_type(word)
        name, equals, value = word.partition("=")
        if equals and name.replace("-", "_").lstrip("_").isidentifier():
            found[-1].options[name.replace("-", "_").lstrip("_")] = _values(found[-1].kind, name, value)
        else:
            found[-1].patterns.append(word)
    return found


def unknown_type(word: object) -> DeltaError:
    """The error for a word that is no type."""
    near = close(str(word), [*DELTA_TYPES, *BASELINES])
    return DeltaError(f"There is no delta type {word!r}.", expected=f"{_types()}.", nearest=near, try_=_EXAMPLE)


def _given(entry: object) -> Asked:
    """A config, or a dictionary."""
    if isinstance(entry, BaseDeltaConfig):
        places = {"modified_modules": entry.modified_modules, "exclude_modules": entry.exclude_modules}
        entry = {"delta_type": entry.delta_type, **places, **entry.changed_options()}
    if not isinstance(entry, Mapping) or "delta_type" not in entry:
        msg = f"{entry!r} cannot be compared."
        raise DeltaError(msg, expected='A text such as "lora r=4", a config, or a dictionary with a delta_type is needed.', try_=_EXAMPLE)
    data = dict(entry)
    kind = data.pop("delta_type")
    if not isinstance(kind, str) or not _is_type(kind):
        raise unknown_type(kind)
    patterns, exclude = (as_patterns(given) if (given := data.pop(key, None)) else [] for key in ("modified_modules", "exclude_modules"))
    return Asked(kind, patterns, {key: _values(kind, key, value) for key, value in data.items()}, exclude)


def _values(kind: str, name: str, value: Any) -> list[Any]:
    """The values of an option that are to be tried: one, or those of a list; for an option that is a list itself just that."""
    if kind in DELTA_TYPES and name != "lr" and _is_collection(kind, name):
        return [value]
    if isinstance(value, str):
        return value.split(",")
    return list(value) if isinstance(value, Sequence | range | set) else [value]


def _is_collection(kind: str, name: str) -> bool:
    config = delta_class(kind).config_class
    hint, _ = without_none(typing.get_type_hints(config)[config.field(name.replace("-", "_")).name])
    return typing.get_origin(hint) in (list, dict)


def expanded(
    asked: Sequence[Asked], shared: Mapping[str, Any], layers: Sequence[str], rates: Any = None, exclude: Sequence[str] = ()
) -> list[Candidate]:
    """One candidate for each combination of values, each once, in the order asked for.

    Args:
        asked: from `asked_for`.
        shared: options for every type that has them; a type's own come first.
        layers: numbers of layers to be tried in turn, as text.
        rates: learning rates, for those that have none of their own.
        exclude: patterns that all leave out.

    Raises:
        DeltaError: an unknown option, a value out of its limits.

    Example:
        >>> [one.name for one in expanded(asked_for("adapter lora"), {"r": "1,2"}, [])]
        ['adapter', 'lora r=1', 'lora r=2']
    """
    _check_shared(asked, shared)
    found: list[Candidate] = []
    for one in asked:
        options = {**_that_it_has(one.kind, shared), **one.options}
        lrs = options.pop("lr", None) or ([None] if rates is None else _values("", "lr", rates))
        _check_baseline(one, options)
        tables = [dict(zip(options, values, strict=True)) for values in product(*options.values())]
        for given, place, lr in product(tables, (layers or [ALL]) if one.kind in DELTA_TYPES else [ALL], lrs):
            candidate = _candidate(one, given, "" if place == ALL else place, lr, exclude)
            if not any(replace(known, name=candidate.name) == candidate for known in found):  # `r=2` and `lora_r=2` are one
                found.append(candidate)
    return found


def _that_it_has(kind: str, shared: Mapping[str, Any]) -> dict[str, list[Any]]:
    if kind not in DELTA_TYPES:
        return {}
    return {key: _values(kind, key, value) for key, value in shared.items() if _has(kind, key)}


def _has(kind: str, key: str) -> bool:
    config = delta_class(kind).config_class
    return any(key in (name, config.field(name).metadata.get("alias")) for name in config.option_names())


def _check_shared(asked: Sequence[Asked], shared: Mapping[str, Any]) -> None:
    """An option that none of the types has is a mistake."""
    kinds = list(dict.fromkeys(one.kind for one in asked if one.kind in DELTA_TYPES))
    for key in shared:
        if any(_has(kind, key) for kind in kinds):
            continue
        names = [name for kind in kinds for name in delta_class(kind).config_class.option_names()]
        msg = f"No type in this comparison has an option {key!r}."
        expected = f"Options of {', '.join(kinds)}: {', '.join(dict.fromkeys(names)) or 'none'}." if kinds else "The baselines have none."
        raise DeltaError(msg, expected=expected, nearest=close(key, names), try_="%delta help compare")


def _check_baseline(one: Asked, options: Mapping[str, Any]) -> None:
    if one.kind in BASELINES and (one.patterns or options or one.exclude):
        surplus = " ".join([*one.patterns, *(f"{key}=…" for key in options), *one.exclude])
        if len(one.patterns) == 1 and not options and (near := close(surplus, DELTA_TYPES)):
            msg = f"There is no delta type {surplus!r}."
            raise DeltaError(msg, expected=f"{_types()}.", nearest=near, try_=_EXAMPLE)
        msg = f"{one.kind!r} takes no places and no options: {surplus!r} does not belong there."
        raise DeltaError(msg, expected="It trains the head alone, or everything; lr=… is all that it takes.", try_=_EXAMPLE)


def _candidate(one: Asked, given: Mapping[str, Any], layers: str, lr: Any, exclude: Sequence[str]) -> Candidate:
    options, rate = {}, _rate(lr)
    words = [one.kind, *one.patterns]
    for key, value in given.items():
        config = delta_class(one.kind).config_class
        name = config.field(key).name
        options[name] = good = config.checked(key, value)
        words.append(f"{key}={good:g}" if isinstance(good, float) else f"{key}={good}")
    words += [f"layers {layers}"] if layers else []
    words += [f"lr={rate:g}"] if rate else []
    words += [f"without {' '.join(one.exclude)}"] if one.exclude else []
    left_out = (*one.exclude, *exclude) if one.kind in DELTA_TYPES else ()
    return Candidate(" ".join(words), one.kind, tuple(one.patterns) or None, options, layers, left_out, rate)


def _rate(lr: Any) -> float | None:
    if lr is None:
        return None
    try:
        rate = float(lr)
    except (TypeError, ValueError):
        rate = -1.0
    if 0 < rate < float("inf"):
        return rate
    raise DeltaError(f"lr={lr!r} is not usable.", expected="A number above 0 is needed, or several: lr=1e-3,3e-3.", try_="lr=1e-3")
