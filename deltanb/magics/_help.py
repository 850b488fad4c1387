"""Help as output: the list of verbs, one verb, one delta type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.magics._verbs import BASELINES, DELTA_TYPES, VERBS, Verb, find_verb

if TYPE_CHECKING:
    from deltanb.reports import Page

__all__ = ["help_for"]

_SHAPES = {
    "": "",
    "spec": "MODEL",
    "pattern": "PATTERN …",
    "type pattern": "TYPE [PATTERN …]",
    "kinds": "[TYPE …]",
    "types": "TYPE [PATTERN …] [NAME=VALUE,VALUE …] TYPE …",
    "delta": "[DELTA]",
    "deltas": "DELTA …",
    "weights": "DELTA=WEIGHT …",
    "delta delta number": "DELTA DELTA NUMBER",
    "data": "[DATA]",
    "text": "SENTENCE",
    "folder delta": "FOLDER [DELTA]",
    "folder": "FOLDER",
    "hub delta": "USER/NAME [DELTA]",
    "hub folder": "USER/NAME [FOLDER]",
    "verb": "[VERB]",
}

_WHERE = {"prefix": "attn@", "soft_prompt": "", "ln_tuning": "layer_norm@"}  # where the common example would not do


def help_for(verb: str = "", topic: str = "") -> Page:
    """The page for a verb, for a delta type (``help attach lora``), or the list.

    Raises:
        DeltaError: there is no such verb or type.

    Example:
        >>> help_for("undo")
        %delta undo: go back one step
          --as NAME  bind the result to a variable
        e.g.  %delta undo
    """
    from deltanb.reports import Page

    if not verb:
        return Page("%delta VERB …", [(name, entry.help) for name, entry in VERBS.items()], "%delta help attach    %delta attach --help")
    if verb in DELTA_TYPES and not topic:
        verb, topic = "attach", verb
    entry = find_verb(verb)
    return _type_page(topic) if topic and verb == "attach" else _verb_page(entry)


def _verb_page(verb: Verb) -> Page:
    from deltanb.reports import Page

    rows = [(_spelled(option.name, option.kind), option.help) for option in verb.options]
    if verb.name == "attach":
        rows = [
            *((f"TYPE {name}", text) for name, text in DELTA_TYPES.items()),
            *rows,
            ("name=value", "an option of the type: %delta help attach lora"),
        ]
    if verb.name == "compare":
        rows = [
            *((f"TYPE {name}", text) for name, text in {**DELTA_TYPES, **BASELINES}.items()),
            ("PATTERN …", "behind a type: where it sits; default: the type's own places"),
            ("name=1,2,4", "behind a type: an option of it, each value in turn"),
            ("--name 1,2,4", "the same for every type that has the option"),
            *rows,
        ]
    rows.append(("--as NAME", "bind the result to a variable"))
    shape = _SHAPES[verb.words] if verb.least or verb.words != "pattern" else "[PATTERN …]"
    return Page(f"%delta {verb.name}{' ' + shape if shape else ''}: {verb.help}", rows, f"e.g.  %delta {verb.example or verb.name}")


def _spelled(name: str, kind: str) -> str:
    flag = f"--{name.replace('_', '-')}"
    return {"flag": flag, "many": f"{flag} WORD …"}.get(kind, f"{flag} {name.upper() if kind == 'text' else kind.upper()}")


def _type_page(name: str) -> Page:
    if name not in DELTA_TYPES:
        msg = f"There is no delta type {name!r}."
        raise DeltaError(msg, expected=f"One of: {', '.join(DELTA_TYPES)}.", nearest=close(name, DELTA_TYPES), try_="%delta help attach")
    from deltanb.engine import delta_class
    from deltanb.reports import Page

    kind = delta_class(name).config_class
    rows = []
    for key in kind.option_names():
        field = kind.field(key)
        alias = f" (or {field.metadata['alias']})" if field.metadata["alias"] else ""
        choices = field.metadata["choices"]
        listed = ": " + ", ".join(choices() if callable(choices) else choices) if choices else ""
        rows.append((f"{key}={kind.default_of(key)}", f"{field.metadata['help']}{alias}{listed}"))
    example = _WHERE.get(name, "output.dense")
    if example:
        default = ", ".join(delta_class(name).default_modified_modules)
        rows.append(("PATTERN …", f"where; default, where the family's roles are known: {default}"))
    return Page(f"%delta attach {name}: {DELTA_TYPES[name]}", rows, f"e.g.  %delta attach {name} {example}".rstrip())
