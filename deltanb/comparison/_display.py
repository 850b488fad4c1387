"""What is seen while a comparison runs: the table so far, one bar over the whole, the present run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.reports._html import note, picture, tag
from deltanb.reports.curve import sparkline
from deltanb.training._display import Bar, Live, OutputArea, live_display, progress_bar

if TYPE_CHECKING:
    from deltanb.comparison._progress import ComparisonProgress

__all__ = ["comparison_display", "comparison_html"]


class _Area(OutputArea):
    soon = "The comparison is about to start."
    failed = "The comparison did not finish; the runs that are done are kept."

    def drawn(self, progress: ComparisonProgress) -> str:  # type: ignore[override]
        return comparison_html(progress)


class _Bar(Bar):
    word = "comparing"


def comparison_html(progress: ComparisonProgress) -> str:
    """Preface, bar, status, the loss of the present run, the table so far with its picture.

    Example:
        >>> from deltanb.comparison._progress import ComparisonProgress
        >>> from deltanb.reports import ComparisonReport
        >>> "width:50%" in comparison_html(ComparisonProgress(ComparisonReport("net", "films", []), share=0.5))
        True
    """
    report, losses = progress.report, progress.losses
    loss = (
        [tag("div", f"loss {losses[0]:.3f} {sparkline(losses)} {losses[-1]:.3f}", style="font-size:13px;margin:4px 0px")] if losses else []
    )
    status = tag("div", progress.status, style="font-size:13px;margin:4px 0px")
    drawn = [report.table(), picture(report.svg(), "Accuracy against trainable parameters so far")] if report.done else []
    return tag("div", note(progress.preface), progress_bar(progress.share), status, *loss, *drawn)


def comparison_display(display: str | bool | Live) -> Live:  # noqa: FBT001
    """What fits the place, as for `deltanb.train`.

    Args:
        display: ``"auto"``, ``"notebook"``, ``"terminal"``, False, or a display of the caller's own: it is given a
            `ComparisonProgress` and at the end the report.

    Raises:
        DeltaError: it is none of these.
    """
    return live_display(display, notebook=_Area, terminal=_Bar)
