"""``%delta train``: plain, in a widget, or in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltanb.workbench import Workbench

__all__ = ["train"]


def train(bench: Workbench, source: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Train, shown where it was asked for; a terminal has no widgets, and shows what it can.

    Args:
        bench: the notebook's.
        source: the data, as the workbench takes it.
        options: of the line.

    Returns:
        The result, or with ``--background`` the run.
    """
    from deltanb.reports import in_notebook

    given = {**source, **options}
    live, aside = given.pop("live", False), given.get("background", False)
    if not (live or aside) or not in_notebook():
        return bench.train(**given)
    from deltanb.training._result import cell_now
    from deltanb.widgets import MonitorLive, TrainingMonitor

    goes_on = None if given.get("restart") else bench.result
    monitor = TrainingMonitor(bench.runs.beside(goes_on), title=_title(bench, source), stoppable=aside)
    found = bench.train(**given, display=MonitorLive(monitor), stop=monitor.stop)
    if aside:
        found.drawn_in = cell_now()
    return found


def _title(bench: Workbench, source: Mapping[str, Any]) -> str:
    """What trains on what."""
    from deltanb.workbench import what_trains

    data = source.get("variable") or source.get("source") or getattr(bench.data_set, "name", "")
    return what_trains(bench.model) + (f" on {data}" if isinstance(data, str) and data else "")
