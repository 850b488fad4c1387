"""The verbs of ``%delta``, as ``%delta help`` says them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.magics._help import help_for
from deltanb.magics._verbs import VERBS
from deltanb_docs.writing import fence

if TYPE_CHECKING:
    from deltanb_docs.writing import Folder

__all__ = ["write"]

_HEAD = """# The lines of `%delta`

`%load_ext deltanb` makes them. The same text stands in a notebook: `%delta help`, `%delta help attach`, and for the options of
a type `%delta help attach lora` or [its page](../../types/index.md). `{name}` stands for a value of the notebook, quotes hold a
text together, `#` begins a comment, and Tab completes verbs, types, options and names of modules.
"""


def write(folder: Folder) -> None:
    """One page of all."""
    parts = [_HEAD.rstrip(), *(f"## {name}\n\n{fence('text', help_for(name).text())}" for name in VERBS)]
    folder.put("index.md", "\n\n".join(parts) + "\n")
    folder.sweep()
