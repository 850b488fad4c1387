"""The Explorer: a backbone to look at, patterns to try, a delta to attach, each seen before anything is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from deltanb._errors import DeltaError
from deltanb.engine import DELTA_TYPES
from deltanb.widgets._explorer_actions import ExplorerActions
from deltanb.widgets._explorer_picture import PictureMixin
from deltanb.widgets._patterns import PatternWidget
from deltanb.widgets._traits import Choice, Settings, Text

if TYPE_CHECKING:
    from torch import nn

    from deltanb.backbones import Backbone
    from deltanb.structure import ModuleTree
    from deltanb.workbench import Workbench

__all__ = ["Explorer"]

VIEWS = ("tree", "graph", "both")


class Explorer(PictureMixin, ExplorerActions, PatternWidget):
    """A backbone to look at, patterns to try, a delta to attach: each is seen before anything is changed.

    Args:
        model: a module (deltas that it carries stay attached), a backbone, or a workbench, which the Explorer then shares.
        **traits: first values of the attributes below.

    Attributes:
        pattern: what stands in the *Pattern* box; several patterns are separated by blanks.
        exclude: what stands in the *Exclude* box.
        matched: the modules that these hit, by name; empty while they are not valid.
        selected: the modules that were clicked.
        view: ``tree``, ``graph`` or ``both``.
        delta_type: of the delta in the panel.
        delta_options: its options that differ from their defaults.
        delta_name: its name, or "" for the default.
        freeze_exclude: what *Freeze* leaves trainable, as on a ``%delta freeze --exclude`` line.
        before: the model's counts before the last change: total, trainable, delta, buffers; empty if there was none.
        done: what was done on the workbench, as code.
        bench: the workbench that the Explorer looks at and acts on.

    Example:
        >>> from torch import nn
        >>> explorer = Explorer(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), pattern="0")
        >>> explorer.matched
        ['0']
        >>> explorer.pattern = "2"
        >>> explorer.matched, explorer.problem.partition(".")[0]
        ([], "The pattern '2' matches none of the 2 modules")
    """

    file_stem = "explorer"

    view = Choice(lambda: VIEWS, "tree").tag(sync=True)
    delta_type = Choice(lambda: list(DELTA_TYPES), "adapter").tag(sync=True)
    delta_options = Settings().tag(sync=True)
    delta_name = Text("").tag(sync=True)
    before = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(self, model: nn.Module | Backbone | Workbench, **traits: Any) -> None:
        super().__init__(model, **traits)
        if "freeze_exclude" not in traits:
            self.propose_freezing()
        self.remember()

    @property
    def history(self) -> list[str]:
        """The ``%delta`` lines of what was done."""
        return [step.line for step in self.bench.steps if step.line]

    def refresh(self) -> None:
        """Look at the model again: something may have been done to it elsewhere. After a verb this happens by itself."""
        PatternWidget.refresh(self)
        self.remember()

    def _changed(self, before: dict[str, Any]) -> None:
        self.before = list(before["totals"])

    def picture_tree(self) -> ModuleTree:
        """The structure; the same object as long as nothing has changed."""
        return self._tree

    @traitlets.validate("delta_name")
    def _valid_name(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name and not name.isidentifier():
            msg = f"A delta cannot be called {name!r}."
            raise DeltaError(msg, expected="Letters, digits and _.", try_="explorer.delta_name = 'reviews'")
        return name
