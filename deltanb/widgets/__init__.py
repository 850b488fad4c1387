"""The live face of deltanb: widgets that show before anything is touched.

Each is a plain ipywidget, so it sits in ``HBox`` and ``Tab`` and its traits can be observed and linked; each can be written
as one self-contained HTML file, and leaves a static form in the notebook.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltanb.widgets.anatomy import DeltaAnatomy
    from deltanb.widgets.explorer import Explorer
    from deltanb.widgets.monitor import TrainingMonitor
    from deltanb.widgets.parameters import ParameterView
    from deltanb.widgets.preview import Preview

__all__ = ["DeltaAnatomy", "Explorer", "ParameterView", "Preview", "TrainingMonitor"]

_HOME: dict[str, str] = {
    "DeltaAnatomy": "deltanb.widgets.anatomy",
    "Explorer": "deltanb.widgets.explorer",
    "MonitorLive": "deltanb.widgets.monitor",
    "ParameterView": "deltanb.widgets.parameters",
    "Preview": "deltanb.widgets.preview",
    "TrainingMonitor": "deltanb.widgets.monitor",
    "show_with_static": "deltanb.widgets._base",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    msg = f"module 'deltanb.widgets' has no attribute {name!r}"
    raise AttributeError(msg)
