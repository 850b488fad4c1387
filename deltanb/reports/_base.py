"""What every report has in common, and how one is shown."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["DrawnLive", "Report", "cell_now", "in_notebook", "show"]


class Report(ABC):
    """A plain result that draws itself: as text anywhere, as safe HTML in a notebook.

    Example:
        >>> class Answer(Report):
        ...     def text(self):
        ...         return "42"
        ...     def html(self):
        ...         return "<b>42</b>"
        >>> Answer()
        42
    """

    @abstractmethod
    def text(self) -> str:
        """The report as plain text."""

    @abstractmethod
    def html(self) -> str:
        """The report as HTML that survives a notebook's sanitiser."""

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: Container[str] | None = None, exclude: Container[str] | None = None) -> dict[str, Any]:
        makers = {"text/plain": self.text, "text/html": self.html}
        return {kind: make() for kind, make in makers.items() if (include is None or kind in include) and not (exclude and kind in exclude)}


def cell_now() -> object:
    """What tells one run of a notebook cell from another; None outside IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return None if shell is None else (id(shell), shell.execution_count)


class DrawnLive(Report):
    """A report that a live display may have ended as, in the cell that returns it.

    Attributes:
        drawn_in: that cell; None for none.
    """

    drawn_in: object = None

    def _ipython_display_(self) -> None:
        """Draws, except once in the cell whose live display has just ended as this very picture."""
        from IPython.display import display

        here, self.drawn_in = self.drawn_in, None
        if here is None or here != cell_now():
            display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]


def show(report: object) -> None:
    """Display a report: drawn in a notebook, printed in a script or a terminal.

    Example:
        >>> show("a report")
        a report
    """
    if in_notebook():
        from IPython.display import display

        display(report)  # type: ignore[no-untyped-call]
        return
    try:
        print(report)  # noqa: T201
    except UnicodeEncodeError:  # a console without box-drawing characters
        encoding = sys.stdout.encoding or "ascii"
        print(str(report).translate(_ASCII).encode(encoding, "replace").decode(encoding))  # noqa: T201


_ASCII = str.maketrans("│├└─×⇄●·…", "||`-x=*.~")


def in_notebook() -> bool:
    """Whether an IPython with a kernel (not the terminal one) runs this process."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
