"""Completion of a ``%delta`` line: verbs, delta types, options, module names, data sets, saved folders, variables.

Uses IPython's matcher API. Nothing heavy is imported while typing: what is not loaded yet is not offered.
"""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from deltanb.magics._verbs import BASELINES, DELTA_TYPES, VERBS

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltanb.magics._delta import DeltaMagics
    from deltanb.magics._verbs import Option, Verb

__all__ = ["candidates", "matcher_for"]

_PLAIN = (int, float, str, bool, type(None))
_VALUES = {
    "view": ("tree", "graph", "both"),
    "by": ("module", "type", "delta"),
    "layers": ("all",),
    "format": ("deltanb", "peft"),
    "task": ("auto", "classification", "base", "seq2seq", "causal-lm", "masked-lm", "image", "speech"),
}
_LINE = re.compile(r"^\s*(?:\w+\s*=\s*)?%{1,2}delta(?:\s|$)")
_CELL = re.compile(r"^\s*%%delta\b")


def matcher_for(magics: DeltaMagics) -> Callable[[Any], Any]:
    """The matcher to put into ``ip.Completer.custom_matchers``."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    def match_delta(context: Any) -> Any:
        line = context.text_until_cursor
        in_cell = context.cursor_line > 0 and _CELL.match(context.full_text)
        if not in_cell and not _LINE.match(line):
            return {"completions": [], "suppress": False}
        found = candidates(_LINE.sub("", line, count=1), magics)
        fragment = _split(line)[-1].lstrip("'\"")
        hits = [SimpleCompletion(text=text, type=kind) for text, kind in found if text.startswith(fragment)]
        return {"completions": hits, "matched_fragment": fragment, "suppress": True, "ordered": True}

    matcher: Callable[[Any], Any] = context_matcher(priority=100, identifier="deltanb")(match_delta)
    return matcher


def _split(line: str) -> list[str]:
    """The words before the cursor; the last is the one at the cursor, and may be empty."""
    return re.split(r"\s+", line.lstrip())


def candidates(rest: str, magics: DeltaMagics) -> list[tuple[str, str]]:
    """What could stand where the line ends, as (text, kind)."""
    *done, fragment = _split(rest)
    if not done:
        return [(name, "verb") for name in VERBS]
    verb = VERBS.get(done[0])
    if verb is None:
        return []
    if fragment.startswith("{"):
        return [(f"{{{name}}}", "variable") for name, _ in _variables(magics, plain=True)]
    options = _options(verb, done[1:])
    return options if fragment.startswith("-") else _values(verb, done, magics)


def _values(verb: Verb, done: list[str], magics: DeltaMagics) -> list[tuple[str, str]]:
    """The words, or an option's values, that could stand after those that are there."""
    option = _option_before(verb, done)
    if option is None:
        return [*_by_words(verb.words, done[1:], magics), *_options(verb, done[1:])]
    if option.name == "texts":
        return [(f"{{{name}}}", "variable") for name, _ in _variables(magics, plain=True)]
    if option.name == "on":
        return [*((name, "data set") for name in _data_sets()), *_variables(magics)]
    if option.kind == "many" and option.name != "layers":
        own = [("deltas", "delta"), *_deltas(magics)] if verb.name == "freeze" else []
        return [*own, *_modules(magics)]
    return [(name, "value") for name in _VALUES.get(option.name, ())]


def _options(verb: Verb, done: list[str]) -> list[tuple[str, str]]:
    """The options of a verb, those of a delta type among them."""
    names = [option.name for option in verb.options]
    if verb.open:
        types = done if verb.words == "types" else done[:1]
        names = [*dict.fromkeys(name for word in types for name in _type_options(word)), *names]
    return [(f"--{name.replace('_', '-')}", "option") for name in [*names, "as", "help"]]


def _option_before(verb: Verb, done: list[str]) -> Option | None:
    """The option whose value stands at the cursor: a list's may be several words back."""
    last = next((i for i in reversed(range(len(done))) if done[i].startswith("--")), None)
    option = verb.option(done[last].removeprefix("--").partition("=")[0]) if last is not None else None
    if option is None or option.kind == "flag":
        return None
    return option if option.kind == "many" or (done[-1].startswith("--") and "=" not in done[-1]) else None


def _by_words(kind: str, done: list[str], magics: DeltaMagics) -> list[tuple[str, str]]:
    """What the words of a verb can be, by how many there are already."""
    sources: dict[str, Callable[[], list[tuple[str, str]]]] = {
        "pattern": lambda: _modules(magics),
        "type": lambda: [(name, "delta type") for name in DELTA_TYPES],
        "options": lambda: [(f"{name}=", "option") for name in _type_options(done[0])] + _modules(magics),
        "spec": lambda: [(name, "backbone") for name in _backbones()] + _variables(magics),
        "data": lambda: [(name, "data set") for name in _data_sets()] + _variables(magics),
        "folder": lambda: [(name, "saved delta") for name in _saved()],
        "delta": lambda: _deltas(magics),
        "weights": lambda: [(f"{name}=", kind) for name, kind in _deltas(magics)],
        "deltas": lambda: [("none", "no delta"), *_deltas(magics), *((name, "saved delta") for name in _saved())],
        "verb": lambda: [(name, "verb") for name in VERBS] + [(name, "delta type") for name in DELTA_TYPES],
    }
    if kind == "kinds":
        return [entry for entry in sources["type"]() if entry[0] not in done]
    if kind == "types":
        types = [(name, "delta type") for name in [*DELTA_TYPES, *BASELINES]]
        last = next((word for word in reversed(done) if word in DELTA_TYPES), "")
        return [*types, *((f"{name}=", "option") for name in _type_options(last)), *(_modules(magics) if last else [])]
    if kind == "type pattern":
        return sources["options" if done else "type"]()
    if kind in ("pattern", "deltas", "weights"):
        return sources[kind]()
    kinds = kind.split(" ")
    return sources[kinds[len(done)]]() if len(done) < len(kinds) and kinds[len(done)] in sources else []


def _deltas(magics: DeltaMagics) -> list[tuple[str, str]]:
    bench = magics.started
    return [(name, "delta") for name in ({**bench.attached, **bench.parked} if bench else {})]


def _modules(magics: DeltaMagics) -> list[tuple[str, str]]:
    """Suffixes and full names of the backbone's modules."""
    bench = magics.started
    if bench is None or not bench.has_backbone:
        return []
    from deltanb.structure import module_names

    names = module_names(bench.model)
    last = dict.fromkeys(name.rpartition(".")[2] for name in names)
    two = dict.fromkeys(".".join(name.split(".")[-2:]) for name in names)
    short = [name for name in [*last, *two] if not name.isdecimal() and not name.split(".")[0].isdecimal()]
    return [(name, "module") for name in dict.fromkeys([*short, *names])]


def _type_options(name: str) -> list[str]:
    if "deltanb.engine" not in sys.modules or name not in DELTA_TYPES:
        return []
    from deltanb.engine import delta_class

    return delta_class(name).config_class.option_names()


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


def _variables(magics: DeltaMagics, *, plain: bool = False) -> list[tuple[str, str]]:
    """The user's models, then whatever else may be data; numbers and texts only if asked for."""
    torch = sys.modules.get("torch")
    own = {name: value for name, value in magics.variables.items() if not name.startswith("_") and name not in ("In", "Out")}
    kinds = () if plain else _PLAIN
    models = [name for name, value in own.items() if torch and isinstance(value, torch.nn.Module)]
    others = [name for name, value in own.items() if not isinstance(value, (type, ModuleType, *kinds)) and not callable(value)]
    return [(name, "variable") for name in dict.fromkeys([*models, *others])]
