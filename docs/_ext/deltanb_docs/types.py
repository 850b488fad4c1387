"""A page for each delta type. Maths and paper are the docstring of the type's own file, options and limits are its config's."""

from __future__ import annotations

import inspect
import re
import sys
from typing import TYPE_CHECKING, Any

from deltanb.checkpoints._peft_forms import FORMS
from deltanb.engine import DELTA_TYPES, describe_types
from deltanb_docs.costs import costs
from deltanb_docs.writing import fence, table

if TYPE_CHECKING:
    from pathlib import Path

    from deltanb_docs.writing import Folder

__all__ = ["type_page", "write"]

_MODELS = ("bert-base", "bart-base", "t5-base", "gpt2", "llama-3.1-8b")
_KINDS = {"int": "whole number", "float": "number", "bool": "`true` or `false`", "str": "word", "list": "list", "table": "table"}


def write(folder: Folder, drawings: Path) -> None:
    """All pages and their index."""
    entries = describe_types()
    for entry in entries:
        folder.put(f"{entry['type']}.md", type_page(entry, drawings))
    rows = [[f"[{entry['type']}]({entry['type']}.md)", entry["summary"], costs("bert-base", entry["type"])[0]] for entry in entries]
    toc = "\n".join(entry["type"] for entry in entries)
    folder.put("index.md", _INDEX.format(table=table(["type", "what it is", "parameters on bert-base"], rows), toc=toc))
    folder.sweep()


_INDEX = """# Delta types

A delta type says what is added to a module and what of it trains. Each page has the maths and the paper, a drawing, the
options with their limits, and what it costs. [Families](../families.md) says which type works in which family.

{table}

```{{toctree}}
:hidden:

{toc}
```
"""


def type_page(entry: dict[str, Any], drawings: Path) -> str:
    """One type's page in Markdown."""
    kind = DELTA_TYPES[entry["type"]]
    said = inspect.cleandoc(sys.modules[kind.__module__].__doc__ or "")
    return (
        "\n\n".join(
            [
                f"# {entry['type']}",
                _as_markdown(said),
                (drawings / f"{entry['type']}.html").read_text(encoding="utf-8").rstrip(),
                "## Where it sits",
                _places(entry),
                _example(entry),
                "## Options",
                _options(entry),
                "## What it costs",
                "At its default modules and with its default options.",
                _costs(entry["type"]),
                "## Files",
                _files(entry),
            ]
        )
        + "\n"
    )


def _as_markdown(text: str) -> str:
    """The docstring as it is; lines of maths are indented there, which Markdown takes for code."""
    linked = re.sub(r"(?<![<(])https://[^\s,;:)]+[^\s.,;:)]", r"<\g<0>>", text)
    return linked.replace("``", "`")


def _places(entry: dict[str, Any]) -> str:
    if not entry["roles"]:
        return "In front of the model (of the encoder, where there is one). It takes no pattern."
    roles = ", ".join(f"`{role}`" for role in entry["roles"])
    merges = " It can be merged into the weights: `%delta merge`." if entry["merges"] else ""
    return f"Unless a pattern says otherwise at {roles}, which are roles: the same modules in every [family](../families.md).{merges}"


def _example(entry: dict[str, Any]) -> str:
    """The same attachment on a line and in Python, with the first option made explicit."""
    kind = DELTA_TYPES[entry["type"]]
    first = next((option for option in entry["options"] if option["kind"] == "int"), None)
    said = (f" {first['name']}={first['default']}", f", {first['name']}={first['default']}") if first else ("", "")
    python = (
        f'import deltanb\n\nmodel = deltanb.load_backbone("bert-tiny", random=True).model\n'
        f"delta = deltanb.{kind.__name__}(model{said[1]})\ndelta.freeze_module()\nprint(delta)"
    )
    line = f"%delta backbone bert-tiny --random\n%delta attach {entry['type']}{said[0]}\n%delta freeze --exclude deltas"
    return f"{fence('ipython3', line)}\n\n{fence('python', python)}"


def _options(entry: dict[str, Any]) -> str:
    if not entry["options"]:
        return "None of its own."
    rows = []
    for option in entry["options"]:
        short = f" (`{option['short']}`)" if option["short"] else ""
        rows.append([f"`{option['name']}`{short}", _limits(option), f"`{_shown(option['default'])}`", option["help"]])
    return table(["option", "takes", "default", "meaning"], rows)


def _shown(value: Any) -> str:
    return {True: "true", False: "false", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)


def _limits(option: dict[str, Any]) -> str:
    if option["choices"]:
        return ", ".join(f"`{choice}`" for choice in option["choices"])
    least = f", at least {option['min']}" if option["min"] is not None else ""
    most = f", below {option['max']}" if option["max"] is not None else ""
    return f"{_KINDS[option['kind']]}{least}{most}{', or `none`' if option['optional'] else ''}"


def _costs(kind: str) -> str:
    rows = [[f"[{name}](../models/{name}.md)", *costs(name, kind)[:3]] for name in _MODELS]
    return table(["model", "trains", "of the model", "file"], rows)


def _files(entry: dict[str, Any]) -> str:
    has = "PEFT has this type: `%delta save FOLDER --format peft` writes what `PeftModel.from_pretrained` reads."
    lacks = "PEFT has no such type, so it is saved in deltanb's own form."
    return f"{has if entry['type'] in FORMS else lacks} See [saved deltas](../checkpoints.md)."
