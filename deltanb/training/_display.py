"""What is seen while a model trains: one output area in a notebook, one bar in a terminal.

The area is drawn anew at most three times a second and ends as the plain result, so a saved notebook shows the run.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.reports import show
from deltanb.reports._html import note, picture, tag
from deltanb.reports.curve import Curve, curve_svg
from deltanb.training._result import cell_now
from deltanb.training._words import duration, memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deltanb.training._result import TrainingResult

__all__ = ["Live", "Progress", "live_display"]

_INTERVAL = 0.34  # seconds between two drawings
_PIPE_INTERVAL = 10.0  # and between two lines of a bar that nobody watches


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        preface: the line said before the start.
        phase: what is being done, if it is not a training step.
        steps: steps done and, before them, those of earlier runs.
        end: the step at which it will be done.
        losses: one a step.
        accuracies: (step, accuracy) measured so far.
        levels: accuracies to compare with.
        share: of the work that is done, 0 to 1.
        rate: texts a second; 0 while unknown.
        left: seconds to go; negative while unknown.
    """

    preface: str = ""
    phase: str = ""
    steps: int = 0
    end: int = 0
    losses: list[float] = field(default_factory=list)
    accuracies: list[tuple[int, float]] = field(default_factory=list)
    levels: Mapping[str, float] = field(default_factory=dict)
    share: float = 0.0
    rate: float = 0.0
    left: float = -1.0

    @property
    def status(self) -> str:
        """One line: steps, rate, time left, memory."""
        parts = [self.phase] if self.phase else [f"step {self.steps:,} of {self.end:,}"]
        if self.rate:
            parts.append(f"{self.rate:,.0f} texts/s")
        if self.left >= 0:
            parts.append(f"{duration(self.left)} left")
        return " · ".join([*parts, memory()])


class Live:
    """Shows nothing: what ``display=False`` gives, and the base of those that show something."""

    def start(self, progress: Progress) -> None:
        """Before the first step: the preface is known."""

    def update(self, progress: Progress) -> None:
        """After each step, and whenever a phase has moved on."""

    def finish(self, result: TrainingResult) -> None:
        """The run is over, by itself or interrupted."""

    def fail(self) -> None:
        """The run ends in an error, which is shown by whoever catches it."""


class _Notebook(Live):
    """One output area, drawn anew."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._drawn = 0.0

    def start(self, progress: Progress) -> None:
        self._draw(progress)

    def update(self, progress: Progress) -> None:
        if time.monotonic() - self._drawn >= _INTERVAL:
            self._draw(progress)

    def finish(self, result: TrainingResult) -> None:
        self._show(result._repr_mimebundle_())
        result.drawn_in = cell_now()

    def fail(self) -> None:
        if self._handle is not None:
            self._show({"text/plain": "Training did not finish.", "text/html": note("Training did not finish.")})

    def _draw(self, progress: Progress) -> None:
        self._drawn = time.monotonic()
        self._show({"text/plain": progress.status, "text/html": live_html(progress)})

    def _show(self, bundle: dict[str, Any]) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


def live_html(progress: Progress) -> str:
    """Preface, bar, status line and curve.

    Example:
        >>> "width:25%" in live_html(Progress(share=0.25))
        True
    """
    fill = tag("div", style=f"background:#1d5fc4;height:8px;width:{100 * progress.share:.0f}%")
    bar = tag("div", fill, style="background:rgba(128,128,128,0.25);height:8px;width:98%;max-width:774px;margin:6px 0px")
    status = tag("div", progress.status, style="font-size:13px;margin:4px 0px")
    curve = Curve(progress.losses, progress.accuracies, progress.levels, progress.end)
    return tag("div", note(progress.preface), bar, status, picture(curve_svg(curve), "Loss and accuracy so far"))


class _Terminal(Live):
    """The preface, one bar on stderr, the verdict."""

    def __init__(self) -> None:
        self._bar: Any = None

    def start(self, progress: Progress) -> None:
        from tqdm import tqdm

        show(_Line(progress.preface))
        watched = sys.stderr.isatty()
        self._bar = tqdm(
            total=progress.end,
            initial=progress.steps,
            desc="training",
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
        self._bar.set_description(progress.phase or "training", refresh=False)
        self._bar.update(progress.steps - self._bar.n)

    def finish(self, result: TrainingResult) -> None:
        self.fail()
        show(_Line(result.verdict))

    def fail(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Line(str):
    """A text whose ``repr`` is itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def live_display(display: str | bool) -> Live:  # noqa: FBT001
    """What fits the place: an output area in a notebook, a bar elsewhere, nothing on request.

    Args:
        display: ``"auto"`` (or True), ``"notebook"``, ``"terminal"``, or False.

    Raises:
        DeltaError: it is none of these.

    Example:
        >>> type(live_display(False)).__name__
        'Live'
    """
    kinds: dict[object, type[Live]] = {False: Live, "notebook": _Notebook, "terminal": _Terminal}
    if not isinstance(display, str | bool):
        raise _unknown(display)
    if display in ("auto", True):
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        return _Notebook() if hasattr(shell, "kernel") else _Terminal()
    if display not in kinds:
        raise _unknown(display)
    return kinds[display]()


def _unknown(display: object) -> DeltaError:
    return DeltaError(f"display={display!r} is not known.", expected='"auto", "notebook", "terminal" or False is needed.')
