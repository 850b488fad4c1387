"""What every widget has in common: its script and style, questions from the browser, a file to take away, a static form.

State lives in traits, so a view can be rebuilt from them anywhere, without the kernel too. What the browser asks of the
kernel travels as a message ``{id, verb, args}``; ``on_<verb>`` answers, and a user's mistake comes back as words.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from deltanb._errors import DeltaError
from deltanb.widgets._packed import packed

if TYPE_CHECKING:
    from os import PathLike

    from deltanb.reports._base import Report

__all__ = ["STATIC", "DeltaWidget", "show_with_static"]

STATIC = Path(__file__).parent / "static"
_HOSTS = frozenset({"layout", "tooltip", "tabbable", "comm"})  # traits that matter to a notebook only


class DeltaWidget(anywidget.AnyWidget):
    """The base of deltanb's widgets; each of them is an ipywidget, too.

    Attributes:
        projector: larger letters and fewer details, for a room.
    """

    file_stem = ""  # of the script and the style under static/

    projector = traitlets.Bool(default_value=False).tag(sync=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Only where the stem is given: adding traits makes a class, too. Before anywidget's own step, which reads the files.
        if "file_stem" in cls.__dict__:
            cls._esm = packed((STATIC / f"{cls.file_stem}.js").read_text(encoding="utf-8"))
            cls._css = STATIC / f"{cls.file_stem}.css"
        super().__init_subclass__(**kwargs)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(self._asked)

    def _asked(self, _widget: object, content: Any, _buffers: object) -> None:
        """Answer a question from the browser; whatever happens, there is an answer."""
        if not isinstance(content, dict) or not isinstance(content.get("id"), str | int):
            return
        self.send({"id": content["id"], **self.answer(str(content.get("verb", "")), content.get("args") or {})})

    def answer(self, verb: str, args: dict[str, Any]) -> dict[str, Any]:
        """What a question gives: ``{"ok": True, "value": …}``, or ``{"ok": False, "error": …}`` in four parts.

        Args:
            verb: the method ``on_<verb>`` is called.
            args: with these.
        """
        method = getattr(self, f"on_{verb}", None)
        if method is None or verb in {"msg", "trait_change", "displayed", "widget_constructed"}:
            return _refused(DeltaError(f"This widget has no verb {verb!r}."))
        try:
            return {"ok": True, "value": method(**args)}
        except DeltaError as error:
            return _refused(error)
        except KeyboardInterrupt:
            return _refused(DeltaError(f"{verb} was interrupted."))
        except Exception as error:  # noqa: BLE001 - the browser waits for an answer, and a person must be told
            return _refused(DeltaError(f"{verb} failed: {type(error).__name__}: {error}"))

    def static_form(self) -> Report:
        """The same as a plain result, which survives without kernel and widgets."""
        raise NotImplementedError

    def export_state(self) -> dict[str, Any]:
        """The traits that an exported page starts with; a widget may add what it would else ask the kernel for."""
        return {name: getattr(self, name) for name in self.traits(sync=True) if not name.startswith("_") and name not in _HOSTS}

    def save_html(self, path: str | PathLike[str]) -> Path:
        """Write the widget as one self-contained file: it opens in any browser, with no kernel and no network.

        Args:
            path: of the file; replaced if it is there.

        Returns:
            The path.

        Raises:
            DeltaError: the file cannot be written.
        """
        from deltanb.widgets._export import page

        target = Path(path)
        try:
            target.write_text(page(self), encoding="utf-8")
        except OSError as error:
            msg = f"{target} cannot be written: {error.strerror or error}."
            raise DeltaError(msg, expected="A file in a folder that is there.", try_='widget.save_html("lecture.html")') from None
        return target


def _refused(error: DeltaError) -> dict[str, Any]:
    return {"ok": False, "error": {"what": error.what, "expected": error.expected, "nearest": error.nearest, "try_": error.try_}}


def show_with_static(widget: DeltaWidget) -> None:
    """Display a widget, and its static form, collapsed, as an output of its own: a reopened notebook shows at least that."""
    from IPython.display import display

    from deltanb.reports._html import Html, tag

    display(widget)  # type: ignore[no-untyped-call]
    form = widget.static_form()
    words = tag("summary", "Static form, for a reader without a kernel", style="cursor:pointer;opacity:0.8;font-size:13px")
    folded = tag("details", words, Html(form.html()))
    display({"text/html": str(folded), "text/plain": form.text()}, raw=True)  # type: ignore[no-untyped-call]
