"""The workbench: the one object that magics and widgets share. One backbone, its deltas, and the history of steps."""

from __future__ import annotations

from deltanb.reports import Outcome
from deltanb.workbench._background import BackgroundRun
from deltanb.workbench._cluster import Cluster
from deltanb.workbench._compare import Compare
from deltanb.workbench._core import Core
from deltanb.workbench._inspect import Inspect
from deltanb.workbench._learn import Learn, data_outcome
from deltanb.workbench._look import Look
from deltanb.workbench._merge import Merge
from deltanb.workbench._runs import PastRun, Runs, what_trains
from deltanb.workbench._serve import Serve
from deltanb.workbench._share import Share
from deltanb.workbench._step import Step
from deltanb.workbench._switch import Switch

__all__ = ["BackgroundRun", "Core", "PastRun", "Runs", "Step", "Workbench", "data_outcome", "what_trains"]


class Workbench(Look, Learn, Compare, Cluster, Serve, Share, Switch, Merge, Inspect):
    """One backbone, its deltas, and what was done with them.

    Example:
        >>> bench = Workbench()
        >>> bench.backbone("bart-tiny", random=True).title
        'Backbone bart-tiny.'
        >>> bench.attach("adapter", ["fc2"], bottleneck_dim=2).facts["where"]
        'fc2 ×4'
        >>> bench.undo().title
        'Undone: attach.'
        >>> bench.attached
        {}
    """

    def undo(self) -> Outcome:
        """Go back before the last step that changed something."""
        entry = self.undo_step()
        if entry is None:
            return Outcome("There is nothing to undo.")
        return Outcome(f"Undone: {entry.verb}.", {"was": entry.line} if entry.line else {}, next="%delta redo")

    def redo(self) -> Outcome:
        """Take the step again that was undone last."""
        entry = self.redo_step()
        if entry is None:
            return Outcome("There is nothing to redo.")
        return Outcome(f"Done again: {entry.verb}.", {"is": entry.line} if entry.line else {}, next="%delta undo")
