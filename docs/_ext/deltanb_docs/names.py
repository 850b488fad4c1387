"""The Python reference: each public name of `deltanb` under one heading, from its docstring."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import deltanb
from deltanb.engine import DELTA_TYPES

if TYPE_CHECKING:
    from deltanb_docs.writing import Folder

__all__ = ["GROUPS", "write"]

_TYPES = [name for kind in DELTA_TYPES.values() for name in (kind.__name__, kind.config_class.__name__)]
# Page, its title, and what it holds. A test holds these equal to `deltanb.__all__`.
GROUPS: tuple[tuple[str, str, list[str]], ...] = (
    (
        "models",
        "Models and structure",
        ["load_backbone", "Backbone", "snapshot", "ModuleTree", "Visualization", "match", "MatchResult", "plan", "plans"],
    ),
    ("deltas", "Deltas", ["DeltaModel", "BaseDeltaConfig", "AutoDeltaModel", "AutoDeltaConfig", "deltas", "add", "interpolate"]),
    ("types", "Delta types", _TYPES),
    ("freezing", "Freezing and switching", ["freeze", "unfreeze", "dead_parameters", "use", "without_deltas"]),
    ("training", "Training", ["train", "evaluate", "predict", "generate", "anatomy", "compare"]),
    ("files", "Files and the hub", ["save", "load", "push", "pull", "DeltaPool"]),
    (
        "notebook",
        "In a notebook",
        ["Workbench", "Explorer", "preview", "load_ipython_extension", "unload_ipython_extension", "DeltaError", "__version__"],
    ),
)
# Classes whose methods belong to the reference; a delta type's are DeltaModel's.
_MEMBERS = {
    *("Backbone", "ModuleTree", "Visualization", "MatchResult", "Workbench"),
    *("DeltaModel", "BaseDeltaConfig", "AutoDeltaModel", "AutoDeltaConfig"),
}


def write(folder: Folder) -> None:
    """A page for each group."""
    for page, title, names in GROUPS:
        folder.put(f"{page}.md", f"# {title}\n\n" + "\n\n".join(_entry(name) for name in names) + "\n")
    folder.sweep()


def _entry(name: str) -> str:
    """A heading, so that the page's own list of contents has it, and the text from the program."""
    return f"## {name}\n\n```{{eval-rst}}\n{_directive(name)}\n```"


def _directive(name: str) -> str:
    thing = getattr(deltanb, name)
    if not callable(thing):
        return f".. autodata:: deltanb.{name}\n   :no-value:\n\n   The version, as text: ``{thing}``."
    if inspect.isclass(thing):
        members = "\n   :members:" + ("\n   :inherited-members:" if name == "Workbench" else "") if name in _MEMBERS else ""
        return f".. autoclass:: deltanb.{name}{members}"
    return f".. autofunction:: deltanb.{name}"
