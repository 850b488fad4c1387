"""``%delta explore`` and ``%delta match --live``: the widgets; a terminal has none, and shows what it can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.workbench import Workbench

__all__ = ["explore", "preview"]


def explore(bench: Workbench, patterns: Sequence[str], *, bind: bool, **traits: Any) -> Any:
    """Open the Explorer on the notebook's workbench.

    Args:
        bench: the notebook's.
        patterns: for its *Pattern* box.
        bind: whether the widget gets a name, and so is returned.
        **traits: its first values.
    """
    from deltanb._errors import DeltaError
    from deltanb._suggest import close
    from deltanb.widgets import Explorer
    from deltanb.widgets.explorer import VIEWS

    view = traits.get("view")
    if view is not None and view not in VIEWS:
        msg = f"There is no view {view!r}."
        raise DeltaError(msg, expected=f"One of: {', '.join(VIEWS)}.", nearest=close(view, VIEWS), try_="%delta explore --view both")
    return _shown(Explorer(bench, pattern=list(patterns), **_given(traits)), bind=bind)


def preview(bench: Workbench, patterns: Sequence[str], exclude: Sequence[str] | None, *, bind: bool) -> Any:
    """Open the live preview of patterns.

    Args:
        bench: the notebook's.
        patterns: for its *Pattern* box.
        exclude: for its *Exclude* box.
        bind: whether the widget gets a name, and so is returned.
    """
    from deltanb.widgets import Preview

    return _shown(Preview(bench, pattern=list(patterns), exclude=list(exclude or ())), bind=bind)


def _given(traits: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in traits.items() if value is not None}


def _shown(widget: Any, *, bind: bool) -> Any:
    from deltanb.reports import in_notebook
    from deltanb.widgets import show_with_static

    if not in_notebook():
        return widget if bind else widget.static_form()
    show_with_static(widget)
    return widget if bind else None
