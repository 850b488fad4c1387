"""The only doors from the engine to the floors above: saving, loading and drawing are asked for by name, when needed.

A delta offers ``save_finetuned``, ``log`` and ``interactive_modify`` because that is where people look for them; the work is
done in `deltanb.checkpoints`, `deltanb.sharing`, `deltanb.reports` and `deltanb.widgets`, which know the engine. Nothing here
is imported before it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from deltanb.engine._base import DeltaModel
    from deltanb.engine._config import BaseDeltaConfig

__all__ = ["explore", "load", "read_config", "save", "show_log"]

_SHARING = ("private", "message", "token", "endpoint", "training", "backbone", "license", "datasets")


def save(delta: DeltaModel, folder: str | Path, *, push_to_hub: str | bool = False, **options: Any) -> Path:
    """Write a delta to a folder, and if asked for to the hub; see `deltanb.checkpoints.save` and `deltanb.sharing.push`."""
    from deltanb.checkpoints import save as write

    if push_to_hub and options.get("format", "deltanb") != "deltanb":
        msg = f"The hub gets deltanb's own format, and the folder was to get {options['format']!r}."
        raise DeltaError(msg, expected="One of the two at a time.", try_="delta.save_finetuned(folder, push_to_hub=True)")
    sharing = {key: options.pop(key) for key in _SHARING if key in options} if push_to_hub else {}
    path = write(delta, folder, **options)
    if push_to_hub:
        from deltanb.sharing import push

        push(delta, path.resolve().name if push_to_hub is True else push_to_hub, **sharing)
    return path


def load(folder: str | Path, backbone: nn.Module, **options: Any) -> DeltaModel:
    """Read a delta from a folder, or from the hub, and attach it; see `deltanb.sharing.load`."""
    from deltanb.sharing import load as read

    return read(folder, backbone, **options)


def read_config(folder: str | Path) -> BaseDeltaConfig:
    """The settings of a saved delta, in a folder or on the hub; see `deltanb.checkpoints.read_config`."""
    from deltanb.checkpoints import read_config as read
    from deltanb.sharing import located

    return read(located(folder)[0])


def show_log(delta: DeltaModel, **options: Any) -> dict[str, Any]:
    """Display structure and counts; see `deltanb.reports.show_log`."""
    from deltanb.reports import show_log as show

    return show(delta, **options)


def explore(backbone: Any, delta_type: str, patterns: str | Sequence[str] | None) -> bool:
    """Show the Explorer of a backbone, if this is a notebook; see `deltanb.Explorer`."""
    from deltanb.reports import in_notebook

    if not in_notebook():
        return False
    from deltanb.widgets import Explorer, show_with_static

    show_with_static(Explorer(backbone, delta_type=delta_type, pattern=patterns or ""))
    return True
