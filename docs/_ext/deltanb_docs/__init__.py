"""What Sphinx cannot know by itself: pages made from the program, and live pages made by its widgets.

Before Sphinx reads anything, `generate` writes the pages of models, delta types and names under ``docs/`` and the live
pages under ``docs/_build/extra``; git ignores all of them. ``{live}`` shows a live page inside another.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._quiet import quiet
from deltanb_docs import lessons, live, models, names, types, verbs
from deltanb_docs.writing import Folder

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["generate", "setup"]


def generate(docs: Path) -> None:
    """Write every generated page below ``docs``; what is as it was keeps its time, so that Sphinx reads it once."""
    live.write(Folder(docs / "_build" / "extra" / "live"))
    models.write(Folder(docs / "models"), Folder(docs / "_build" / "extra" / "live" / "models"))
    types.write(Folder(docs / "types"), docs / "pictures" / "types")
    names.write(Folder(docs / "reference" / "python"))
    verbs.write(Folder(docs / "reference" / "verbs"))
    lessons.write(Folder(docs / "lessons"), docs.parent / "notebooks")


def _before_reading(app: Sphinx) -> None:
    with quiet():
        generate(Path(app.srcdir))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", _before_reading)
    app.add_directive("live", live.directive())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
