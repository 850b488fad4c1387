"""One sentence where a process of several is lost, or a person's mistake is found: no screens of traces from every process."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.cluster._files import last_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["plain_errors"]

# What gloo and NCCL say when the other side is gone.
_GONE = ("Connection closed by peer", "Connection reset by peer", "Connection refused", "Broken pipe", "NCCL", "Timed out", "timed out")


@contextmanager
def plain_errors(folder: str | Path) -> Iterator[None]:
    """Say in one paragraph what went wrong, and end with status 1; what nobody expected keeps its trace.

    Args:
        folder: of the run, for the checkpoint to go on from.

    Example:
        >>> with plain_errors("run"):
        ...     print("trained")
        trained
    """
    try:
        yield
    except DeltaError as error:
        _end(f"error: {error}" if os.environ.get("LOCAL_RANK", "0") == "0" else "")  # the others on this machine say the same
    except RuntimeError as error:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not any(word in str(error) for word in _GONE):
            raise
        me, others = int(os.environ.get("RANK", "0")), int(os.environ["WORLD_SIZE"])
        kept = last_checkpoint(folder)
        after = (
            f"{kept} is whole: run the same line again with --resume."
            if kept
            else "No checkpoint was written yet: run the same line again."
        )
        _end(f"error: process {me} of {others} lost another process ({str(error).splitlines()[0].strip()}). {after}")


def _end(said: str) -> None:
    """Leave at once: taking a broken process group down would wait for those that are gone."""
    if said:
        print(said, file=sys.stderr)  # noqa: T201 - the script's last word
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(1)
