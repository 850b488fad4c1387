"""The peak of memory during one run: of the GPU where there is one, else of the process."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PeakMemory", "light_collections"]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): sets VmHWM back to what is resident now


@contextmanager
def light_collections() -> Iterator[None]:
    """Collections of garbage look only at what is made inside: libraries alone are a million objects, a third of a second each time.

    Each run begins with two collections, so that what an earlier one left does not count as its memory.

    Example:
        >>> with light_collections():
        ...     gc.get_freeze_count() > 0
        True
    """
    ours = gc.get_freeze_count() == 0  # what the user has frozen stays so
    if ours:
        import_module("deltanb.training._trainer")  # what a run would import is a library's too
        gc.collect()
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()


class PeakMemory:
    """Counts from when it is made.

    On Linux the kernel itself keeps the peak, and is told to begin anew; elsewhere the peak is the largest value that was
    ever handed to `saw`. What earlier runs have freed is given back to the system first, so that it does not count.

    Attributes:
        where: ``GPU`` or ``process``.

    Example:
        >>> peak = PeakMemory()
        >>> peak.megabytes > 10
        True
    """

    def __init__(self) -> None:
        import torch

        cuda: Any = torch.cuda
        self._cuda = cuda if cuda.is_available() else None
        self.where = "GPU" if self._cuda else "process"
        self._seen = 0.0
        gc.collect()
        if self._cuda:
            self._cuda.reset_peak_memory_stats()
            return
        _give_back()
        self._kernel = _reset()
        self.saw()

    def saw(self) -> None:
        """Look at what is held now."""
        if self._cuda is None:
            import psutil

            self._seen = max(self._seen, psutil.Process().memory_info().rss / 1e6)

    @property
    def megabytes(self) -> float:
        """The peak so far."""
        if self._cuda:
            return float(self._cuda.max_memory_allocated()) / 1e6
        self.saw()
        return max(self._seen, _high_water() if self._kernel else 0.0)


def _give_back() -> None:
    """Hand freed memory back to the system, where the C library (glibc) can."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _reset() -> bool:
    """Whether the kernel counts the peak from now on."""
    try:
        _CLEAR.write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return _high_water() > 0


def _high_water() -> float:
    """The process's peak in megabytes; 0 where it is not told."""
    with suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0
