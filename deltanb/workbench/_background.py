"""A training run in a thread: the cell that started it is free, and a button can reach it."""

from __future__ import annotations

import atexit
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.reports import Outcome, Report
from deltanb.training import Live, Progress
from deltanb.training._result import cell_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltanb.training import TrainingResult

__all__ = ["BackgroundRun"]

_AT_EXIT = 5.0  # seconds for the present step, when the program ends
_AT_WORK: weakref.WeakSet[BackgroundRun] = weakref.WeakSet()


class BackgroundRun(Report):
    """A training run in a thread.

    Args:
        live: where it is shown.
        stop: an event of the caller's that stops it, too.

    Attributes:
        progress: where it is.
        result: what it gave, once it is done.
        error: why it gave nothing.
        notes: what else there is to say, such as a display that broke.
        drawn_in: the notebook cell in which something else shows the run already.

    Example:
        >>> from deltanb.workbench import Workbench
        >>> bench = Workbench()
        >>> _ = bench.backbone("bert-tiny", random=True)
        >>> rows = [(f"a {word} film {i}", word) for i in range(20) for word in ("good", "bad")]
        >>> run = bench.train(rows, max_steps=2, batch_size=4, background=True)
        >>> run.wait().steps
        2
        >>> run.done, bench.undo().title
        (True, 'Undone: train.')
    """

    def __init__(self, live: Live, stop: threading.Event | None = None) -> None:
        self.progress = Progress()
        self.result: TrainingResult | None = None
        self.error: DeltaError | None = None
        self.notes: list[str] = []
        self.drawn_in: object = None
        self._live = _Relay(self, live)
        self._asked = stop or threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What `deltanb.training.train` is to be given."""
        return {"display": self._live, "stop": self._asked}

    def start(self, work: Callable[[], TrainingResult]) -> None:
        """Begin.

        Args:
            work: trains, and ends the workbench's step.
        """
        self._live.open()
        self._thread = threading.Thread(target=self._go, args=[work], name="deltanb-training", daemon=True)
        _AT_WORK.add(self)
        self._thread.start()

    def _go(self, work: Callable[[], TrainingResult]) -> None:
        try:
            self.result = work()
        except BaseException as error:  # noqa: BLE001 - nobody above would see it; wait raises it
            self.error = _in_words(error)
        try:
            self._live.end()
        finally:
            _AT_WORK.discard(self)
            self._ended.set()

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._ended.is_set()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop and has not ended yet."""
        return self._asked.is_set() and not self.done

    @property
    def status(self) -> str:
        """Where it is, in one line."""
        if self.error is not None:
            return "failed"
        if self.result is not None:
            return self.result.verdict
        where = self.progress.status if self.progress.end else "about to start"
        return f"stopping, {where}" if self.stopping else where

    def stop(self) -> None:
        """End it after the present step, and keep what was learned. Returns at once; `wait` waits."""
        self._asked.set()

    def ended_within(self, seconds: float | None) -> bool:
        """Wait at most so long; whether it has ended.

        Raises:
            DeltaError: the kernel was interrupted meanwhile; the run goes on.
        """
        if threading.current_thread() is self._thread:
            raise DeltaError("A run cannot wait for itself.", expected="Wait in another thread.")
        try:
            return self._ended.wait(seconds)
        except KeyboardInterrupt:
            msg = f"Waiting was interrupted; training goes on in the background ({self.status})."
            raise DeltaError(msg, expected="Only stopping ends it.", try_="%delta stop") from None

    def wait(self, timeout: float | None = None) -> TrainingResult:
        """The result, as soon as there is one.

        Args:
            timeout: wait at most so many seconds.

        Raises:
            DeltaError: the run failed, is not done by then, or the kernel was interrupted while waiting.
        """
        if not self.ended_within(timeout):
            msg = f"Training is not done yet: {self.status}."
            raise DeltaError(msg, expected="It goes on in the background.", try_="%delta wait, or %delta stop")
        if self.error is not None:
            raise self.error
        assert self.result is not None  # noqa: S101 - one of the two is there at the end
        return self.result

    def text(self) -> str:
        """Where it is; at the end the result."""
        return self._report().text()

    def html(self) -> str:
        """The same as HTML."""
        return self._report().html()

    def _report(self) -> Report:
        if self.error is not None:
            return Outcome("Training in the background failed.", {"why": str(self.error)}, self.notes)
        if self.result is not None:
            return self.result
        return Outcome("Training goes on in the background.", {"at": self.status}, self.notes, next="%delta stop")

    def _ipython_display_(self) -> None:
        from IPython.display import display

        here, self.drawn_in = self.drawn_in, None
        if here is None or here != cell_now():
            display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]


class _Relay(Live):
    """Hands on where the run is. A display that breaks does not break the run; the end is shown when the workbench is free."""

    def __init__(self, run: BackgroundRun, live: Live) -> None:
        self._run = weakref.proxy(run)
        self._live = live

    def open(self) -> None:
        self._live.open()

    def start(self, progress: Progress) -> None:
        self._run.progress = progress
        self._guarded(lambda: self._live.start(progress))

    def update(self, progress: Progress) -> None:
        self._guarded(lambda: self._live.update(progress))

    def end(self) -> None:
        """Show how it ended."""
        run = self._run
        self._guarded(lambda: self._live.finish(run.result) if run.error is None else self._live.fail(run.error))

    def _guarded(self, show: Callable[[], None]) -> None:
        try:
            show()
        except Exception as error:  # noqa: BLE001 - whatever a front end does, the training is worth more
            self._live = Live()
            self._run.notes.append(f"it is not shown any more: {type(error).__name__}: {error}")


def _in_words(error: BaseException) -> DeltaError:
    if isinstance(error, DeltaError):
        return error
    said = DeltaError(f"Training failed: {type(error).__name__}: {error}", expected="The workbench is as it was before it.")
    said.__cause__ = error
    return said


def _stop_all() -> None:
    """A thread that computes while Python takes itself down may crash; one step is soon done."""
    for run in list(_AT_WORK):
        run.stop()
        if run.ended_within(_AT_EXIT):
            print("Training in the background was stopped as the program ended; run.wait() waits for it.", file=sys.stderr)  # noqa: T201


atexit.register(_stop_all)
