"""What is seen while a model trains: one output area in a notebook, one bar in a terminal.

The area is drawn anew at most three times a second and ends as the plain result, so a saved notebook shows the run.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.reports import in_notebook, show
from deltanb.reports._html import note, picture, tag
from deltanb.reports.curve import Curve, curve_svg
from deltanb.training._result import cell_now

if TYPE_CHECKING:
    from deltanb.reports._html import Html
    from deltanb.training._progress import Progress
    from deltanb.training._result import TrainingResult

__all__ = ["Bar", "Live", "OutputArea", "live_display", "live_html", "progress_bar"]

_INTERVAL = 0.34  # seconds between two drawings
_PIPE_INTERVAL = 10.0  # and between two lines of a bar that nobody watches


class Live:
    """Shows nothing: what ``display=False`` gives, and the base of those that show something."""

    def open(self) -> None:
        """Take the place where it will be seen. What a thread shows first lands in whichever cell is the newest by then."""

    def start(self, progress: Progress) -> None:
        """Before the first step: the preface is known."""

    def update(self, progress: Progress) -> None:
        """After each step, and whenever a phase has moved on."""

    def finish(self, result: TrainingResult) -> None:
        """The run is over, by itself or interrupted."""

    def fail(self, error: BaseException) -> None:
        """The run ends in an error, which is shown by whoever catches it."""


class OutputArea(Live):
    """One output area, drawn anew.

    Attributes:
        soon: what it says before there is anything to draw.
        failed: what it says after an error.
    """

    soon = "Training is about to start."
    failed = "Training did not finish."

    def __init__(self) -> None:
        self._handle: Any = None
        self._cell: object = None
        self._drawn = 0.0

    def open(self) -> None:
        self._show({"text/plain": self.soon, "text/html": note(self.soon)})

    def start(self, progress: Progress) -> None:
        self._draw(progress)

    def update(self, progress: Progress) -> None:
        if time.monotonic() - self._drawn >= _INTERVAL:
            self._draw(progress)

    def finish(self, result: TrainingResult) -> None:
        self._show(result._repr_mimebundle_())
        result.drawn_in = self._cell

    def fail(self, error: BaseException) -> None:  # noqa: ARG002
        if self._handle is not None:
            self._show({"text/plain": self.failed, "text/html": note(self.failed)})

    def _draw(self, progress: Progress) -> None:
        self._drawn = time.monotonic()
        self._show({"text/plain": progress.status, "text/html": self.drawn(progress)})

    def drawn(self, progress: Progress) -> str:
        """The run so far, as HTML."""
        return live_html(progress)

    def _show(self, bundle: dict[str, Any]) -> None:
        from IPython.display import display

        if self._handle is None:
            self._cell = cell_now()
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


def live_html(progress: Progress) -> str:
    """Preface, bar, status line and curve.

    Example:
        >>> from deltanb.training._progress import Progress
        >>> "width:25%" in live_html(Progress(share=0.25))
        True
    """
    status = tag("div", progress.status, style="font-size:13px;margin:4px 0px")
    curve = Curve(progress.losses, progress.accuracies, progress.levels, progress.end)
    return tag("div", note(progress.preface), progress_bar(progress.share), status, picture(curve_svg(curve), "Loss and accuracy so far"))


def progress_bar(share: float) -> Html:
    """A bar of which ``share`` (0 to 1) is filled."""
    fill = tag("div", style=f"background:#1d5fc4;height:8px;width:{100 * share:.0f}%")
    return tag("div", fill, style="background:rgba(128,128,128,0.25);height:8px;width:98%;max-width:774px;margin:6px 0px")


class Bar(Live):
    """The preface, one bar on stderr, the verdict.

    Attributes:
        word: what it is called while there is no other phase.
    """

    word = "training"

    def __init__(self) -> None:
        self._bar: Any = None

    def start(self, progress: Progress) -> None:
        from tqdm import tqdm

        show(_Line(progress.preface))
        watched = sys.stderr.isatty()
        self._bar = tqdm(
            total=progress.end,
            initial=progress.steps,
            desc=self.word,
            unit="step",
            mininterval=_INTERVAL if watched else _PIPE_INTERVAL,
            dynamic_ncols=watched,
        )

    def update(self, progress: Progress) -> None:
        if self._bar is None:
            return
        if progress.losses:
            found = {"loss": f"{progress.losses[-1]:.3f}"}
            if progress.accuracies:
                found["accuracy"] = f"{progress.accuracies[-1][1]:.3f}"
            self._bar.set_postfix(found, refresh=False)
        self._bar.set_description(progress.phase or self.word, refresh=False)
        self._bar.update(progress.steps - self._bar.n)

    def finish(self, result: TrainingResult) -> None:
        self._close()
        show(_Line(result.verdict))

    def fail(self, error: BaseException) -> None:  # noqa: ARG002
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Line(str):
    """A text whose ``repr`` is itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def live_display(
    display: str | bool | Live,  # noqa: FBT001
    *,
    aside: bool = False,
    notebook: type[Live] = OutputArea,
    terminal: type[Live] = Bar,
) -> Live:
    """What fits the place: an output area in a notebook, a bar elsewhere, nothing on request.

    Args:
        display: ``"auto"`` (or True), ``"notebook"``, ``"terminal"``, False, or a display of the caller's own.
        aside: the run goes on beside other work, which a bar in the terminal would disturb: ``"auto"`` leaves it out.
        notebook: what to show in a notebook.
        terminal: what to show elsewhere.

    Raises:
        DeltaError: it is none of these.

    Example:
        >>> type(live_display(False)).__name__
        'Live'
    """
    if isinstance(display, Live):
        return display
    kinds: dict[object, type[Live]] = {False: Live, "notebook": notebook, "terminal": terminal}
    if not isinstance(display, str | bool):
        raise _unknown(display)
    if display in ("auto", True):
        return notebook() if in_notebook() else Live() if aside else terminal()
    if display not in kinds:
        raise _unknown(display)
    return kinds[display]()


def _unknown(display: object) -> DeltaError:
    return DeltaError(f"display={display!r} is not known.", expected='"auto", "notebook", "terminal" or False is needed.')
