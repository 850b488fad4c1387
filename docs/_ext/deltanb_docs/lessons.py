"""The course's notebooks as pages, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from deltanb_docs.writing import Folder

__all__ = ["write"]

_INDEX = """# Lessons

Each takes ten to twenty minutes, runs on a laptop without a network, and is a notebook: `make lab` opens the first. Here they
can be read, not run.

```{{toctree}}
:maxdepth: 1

{names}
```
"""


def write(folder: Folder, notebooks: Path) -> None:
    """Copies of the notebooks, and a page that lists them."""
    found = sorted(notebooks.glob("[0-9][0-9]-*.ipynb"))
    for path in found:
        folder.put(path.name, path.read_text(encoding="utf-8"))
    folder.put("index.md", _INDEX.format(names="\n".join(path.stem for path in found)))
    folder.sweep()
