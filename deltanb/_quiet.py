"""Keeps transformers and the hub client from writing into a notebook's output."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, load reports or warnings inside; afterwards all settings are as they were.

    Example:
        >>> import warnings
        >>> with quiet():
        ...     warnings.warn("not shown")
    """
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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(levels[0])
        hub.logging.set_verbosity(levels[1])
        if bars:
            logging.enable_progress_bar()
        if hub_bars != (not hub.are_progress_bars_disabled()):
            (hub.enable_progress_bars if hub_bars else hub.disable_progress_bars)()
