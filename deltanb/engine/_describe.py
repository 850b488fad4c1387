"""The delta types and their options as plain data: what a form needs to offer them, and to check what is typed."""

from __future__ import annotations

import inspect
import typing
from typing import TYPE_CHECKING, Any

from deltanb.engine._config import choices_of, without_none
from deltanb.engine.auto import DELTA_TYPES

if TYPE_CHECKING:
    from deltanb.engine._config import BaseDeltaConfig

__all__ = ["describe_option", "describe_types"]


def describe_types() -> list[dict[str, Any]]:
    """Every delta type with its options, those that few will change last.

    Returns:
        For each type ``type``, ``summary``, ``roles`` (where it sits unless told otherwise), ``stand_ins`` (for a role that a
        family lacks the one to take instead), ``merges`` and ``options``. An option has ``name``, ``short``, ``kind`` (int,
        float, bool, str, list, table), ``default``, ``help``, ``min``, ``max`` (itself not allowed), ``choices``, ``optional``
        (whether ``none`` is a value) and ``rare``. All of it is JSON.

    Example:
        >>> lora = next(entry for entry in describe_types() if entry["type"] == "lora")
        >>> lora["roles"], [entry["name"] for entry in lora["options"]][:2], lora["options"][0]["min"]
        (['attn@.q@', 'attn@.v@'], ['lora_r', 'lora_alpha'], 1)
    """
    return [_described(kind) for kind in DELTA_TYPES.values()]


def _described(kind: Any) -> dict[str, Any]:
    config = kind.config_class
    options = [describe_option(config, key) for key in config.option_names()]
    return {
        "type": kind.delta_type,
        "summary": (inspect.getdoc(kind) or "").partition("\n")[0],
        "roles": list(kind.default_modified_modules),
        "stand_ins": dict(kind.stand_ins),
        "merges": kind.merges,
        "options": sorted(options, key=lambda entry: entry["rare"]),
    }


def describe_option(config: type[BaseDeltaConfig], key: str) -> dict[str, Any]:
    """One option, with the limits by which the config itself judges.

    Example:
        >>> from deltanb.engine import LoraConfig
        >>> {key: value for key, value in describe_option(LoraConfig, "dropout").items() if value}
        {'name': 'lora_dropout', 'short': 'dropout', 'kind': 'float', 'help': 'share of the input dropped while training', 'max': 1}
    """
    entry = config.field(key)
    kind, optional = without_none(typing.get_type_hints(config)[entry.name])
    limits = entry.metadata
    return {
        "name": entry.name,
        "short": limits["alias"],
        "kind": {dict: "table", list: "list"}.get(typing.get_origin(kind) or kind, kind.__name__),
        "default": config.default_of(entry.name),
        "help": limits["help"],
        "min": limits["minimum"],
        "max": limits["below"],
        "choices": choices_of(limits),
        "optional": optional,
        "rare": limits["rare"],
    }
