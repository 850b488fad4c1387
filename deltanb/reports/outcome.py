"""What a verb did, in words; a page of help; a piece of code. The plainest of the reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltanb.reports._base import Report
from deltanb.reports._html import MONO, badge, join, tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deltanb.reports._html import Html

__all__ = ["CodeReport", "Outcome", "Page"]

_CELL = "text-align:left;padding:1px 14px 1px 0px;vertical-align:top"


def _pairs(rows: Iterable[tuple[str, str]], *, code: bool) -> Html:
    """Two columns: a term and what there is to say about it."""
    body = [
        tag(
            "tr",
            tag("td", tag("code", term) if code else tag("span", term, style="opacity:0.75"), style=f"{_CELL};white-space:nowrap"),
            tag("td", text, style=_CELL),
        )
        for term, text in rows
    ]
    return tag("table", *body, style="border-collapse:collapse;margin:4px 0px") if body else join([])


def _aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    found = list(rows)
    width = max((len(term) for term, _ in found), default=0)
    return [f"  {term:<{width}}  {text}" for term, text in found]


@dataclass(repr=False)
class Outcome(Report):
    """What a verb did.

    Attributes:
        title: what happened, in one sentence.
        facts: label to value.
        notes: what a careful colleague would point out.
        next: a command that usually comes next.
        value: the object behind it, if there is one.

    Example:
        >>> Outcome("Attached adapter.", {"where": "fc2 ×12"}, ["one note"], next="%delta freeze")
        Attached adapter.
          where  fc2 ×12
          next   %delta freeze
        Note: one note
    """

    title: str
    facts: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    next: str = ""
    value: Any = None

    def text(self) -> str:
        """Title, facts, notes."""
        rows = [*self.facts.items(), *([("next", self.next)] if self.next else [])]
        return "\n".join([self.title, *_aligned(rows), *(f"Note: {note}" for note in self.notes)])

    def html(self) -> str:
        """The same as a small table."""
        notes = [tag("div", badge("note", "partly"), f" {note}", style="margin:4px 0px") for note in self.notes]
        after = [tag("div", "next: ", tag("code", self.next), style="opacity:0.75;margin:4px 0px")] if self.next else []
        return tag("div", tag("b", self.title), _pairs(self.facts.items(), code=False), *notes, *after)


class Page(Report):
    """A page of help: a title, terms with explanations, an example.

    Example:
        >>> Page("%delta undo: go back one step", [("--as NAME", "bind the result")], "e.g.  %delta undo")
        %delta undo: go back one step
          --as NAME  bind the result
        e.g.  %delta undo
    """

    def __init__(self, title: str, rows: list[tuple[str, str]], foot: str = "") -> None:
        self.title = title
        self.rows = rows
        self.foot = foot

    def text(self) -> str:
        """Title, rows, example."""
        return "\n".join([self.title, *_aligned(self.rows), *([self.foot] if self.foot else [])])

    def html(self) -> str:
        """The same as a table."""
        foot = [tag("code", self.foot)] if self.foot else []
        return tag("div", tag("b", self.title), _pairs(self.rows, code=True), *foot)


class CodeReport(Report):
    """A script, to read and to copy.

    Example:
        >>> CodeReport("import deltanb")
        import deltanb
    """

    def __init__(self, code: str) -> None:
        self.code = code

    def __str__(self) -> str:
        return self.code

    def text(self) -> str:
        """The script itself."""
        return self.code

    def html(self) -> str:
        """The script in a frame."""
        style = f"{MONO};border-left:3px solid rgba(128,128,128,0.5);padding:4px 12px;overflow:auto"
        return tag("pre", self.code, style=style)
