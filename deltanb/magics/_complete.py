"""Completion of a ``%delta`` line: verbs, delta types, options, module names, data sets, saved folders, variables.

Uses IPython's matcher API. Nothing heavy is imported while typing: what is not loaded yet is not offered.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from deltanb.magics._verbs import DELTA_TYPES, VERBS

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltanb.magics._delta import DeltaMagics

__all__ = ["candidates", "matcher_for"]

_LINE = re.compile(r"^\s*%{1,2}delta(?:\s|$)")


def matcher_for(magics: DeltaMagics) -> Callable[[Any], Any]:
    """The matcher to put into ``ip.Completer.custom_matchers``."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(priority=100, identifier="deltanb")
    def match_delta(context: Any) -> Any:
        line = context.text_until_cursor
        if not _LINE.match(line):
            return {"completions": [], "suppress": False}
        found = candidates(_LINE.sub("", line, count=1), magics)
        fragment = re.split(r"\s", line)[-1]
        hits = [SimpleCompletion(text=text, type=kind) for text, kind in found if text.startswith(fragment)]
        return {"completions": hits, "matched_fragment": fragment, "suppress": True, "ordered": True}

    return match_delta


def candidates(rest: str, magics: DeltaMagics) -> list[tuple[str, str]]:
    """What could stand where the line ends, as (text, kind)."""
    done = rest.split(" ")[:-1]
    done = [word for word in done if word]
    if not done:
        return [(name, "verb") for name in VERBS]
    verb = VERBS.get(done[0])
    if verb is None:
        return []
    fragment = rest.split(" ")[-1]
    if fragment.startswith("--"):
        return [(f"--{option.name.replace('_', '-')}", "option") for option in verb.options] + [("--as", "option"), ("--help", "option")]
    before = done[-1]
    if before in ("--by",):
        return [(name, "value") for name in ("module", "type", "delta")]
    if before == "--task":
        return [(name, "value") for name in ("auto", "classification", "base", "seq2seq", "causal-lm", "masked-lm")]
    return _by_words(verb.words, done[1:], magics)


def _by_words(kind: str, done: list[str], magics: DeltaMagics) -> list[tuple[str, str]]:
    if kind == "type pattern" and not done:
        return [(name, "delta type") for name in DELTA_TYPES]
    if kind == "type pattern":
        return _type_options(done[0]) + _modules(magics)
    if kind == "pattern" or "--exclude" in done:
        return _modules(magics)
    if kind == "spec":
        return [(name, "backbone") for name in _backbones()] + _variables(magics)
    if kind == "data":
        return [(name, "data set") for name in _data_sets()] + _variables(magics)
    if kind.startswith("folder"):
        return [(name, "saved delta") for name in _saved()]
    if kind == "delta":
        bench = magics.started
        return [(name, "delta") for name in ({**bench.attached, **bench.parked} if bench else {})]
    if kind == "verb":
        return [(name, "verb") for name in VERBS] + [(name, "delta type") for name in DELTA_TYPES]
    return [("deltas", "delta"), *_modules(magics)]


def _modules(magics: DeltaMagics) -> list[tuple[str, str]]:
    """Suffixes and full names of the backbone's modules."""
    bench = magics.started
    if bench is None or bench._backbone is None:
        return []
    from deltanb.structure import module_names

    names = module_names(bench.model)
    last = dict.fromkeys(name.rpartition(".")[2] for name in names)
    two = dict.fromkeys(".".join(name.split(".")[-2:]) for name in names)
    short = [name for name in [*last, *two] if not name.isdecimal() and not name.split(".")[0].isdecimal()]
    return [(name, "module") for name in dict.fromkeys([*short, *names])]


def _type_options(name: str) -> list[tuple[str, str]]:
    if "deltanb.engine" not in sys.modules or name not in DELTA_TYPES:
        return []
    from deltanb.engine import delta_class

    return [(f"{key}=", "option") for key in delta_class(name).config_class.option_names()] + [("--name", "option"), ("--exclude", "option")]


def _backbones() -> list[str]:
    from deltanb.backbones import backbone_names

    return backbone_names()


def _data_sets() -> list[str]:
    from deltanb.datasets import names

    return names()


def _saved() -> list[str]:
    if "torch" not in sys.modules:
        return []
    from deltanb.checkpoints import saved_folders

    return saved_folders()


def _variables(magics: DeltaMagics) -> list[tuple[str, str]]:
    plain = (int, float, str, bool, type(None))
    names = [name for name, value in magics.variables.items() if not name.startswith("_") and not isinstance(value, (*plain, type)) and not callable(value)]
    torch = sys.modules.get("torch")
    models = [name for name, value in magics.variables.items() if torch and isinstance(value, torch.nn.Module) and not name.startswith("_")]
    return [(name, "variable") for name in dict.fromkeys([*models, *names]) if name not in ("In", "Out")]
