"""Keeps transformers and the hub client from writing into a notebook's output."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, load reports or warnings inside; afterwards all settings are as they were.

    May be used in several threads at once: the settings come back when the last of them is through.

    Example:
        >>> import warnings
        >>> with quiet():
        ...     warnings.warn("not shown")
    """
    _SILENCE.begin()
    try:
        with _no_warnings():
            yield
    finally:
        _SILENCE.end()


class _Silence:
    """The libraries' own settings, which belong to the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._put_back: Callable[[], None] = lambda: None

    def begin(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._put_back = _silenced()
            self._depth += 1

    def end(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._put_back()


def _silenced() -> Callable[[], None]:
    """Silence the libraries; gives what undoes it."""
    from huggingface_hub import utils
    from transformers.utils import logging as transformers_logging

    # Neither library types or re-exports these functions in the way that a strict checker asks for.
    hub: Any = utils
    logging: Any = transformers_logging
    levels = logging.get_verbosity(), hub.logging.get_verbosity()
    bars, hub_bars = logging.is_progress_bar_enabled(), not hub.are_progress_bars_disabled()
    logging.set_verbosity_error()
    hub.logging.set_verbosity_error()
    # Either call switches the hub's bars too, so the hub's own setting is put back last.
    logging.disable_progress_bar()

    def put_back() -> None:
        logging.set_verbosity(levels[0])
        hub.logging.set_verbosity(levels[1])
        if bars:
            logging.enable_progress_bar()
        if hub_bars != (not hub.are_progress_bars_disabled()):
            (hub.enable_progress_bars if hub_bars else hub.disable_progress_bars)()

    return put_back


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Warnings of this thread are dropped."""
    if threading.current_thread() is threading.main_thread():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
        return
    # catch_warnings in two threads can leave one's filters behind in the other; what shows them can tell threads apart.
    shown: Any = warnings.showwarning
    mine = threading.get_ident()

    def others_only(*args: Any, **more: Any) -> None:
        if threading.get_ident() != mine:
            shown(*args, **more)

    warnings.showwarning = others_only
    try:
        yield
    finally:
        if warnings.showwarning is others_only:
            warnings.showwarning = shown


_SILENCE = _Silence()
