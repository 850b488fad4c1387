"""The blocks of code in a page of the docs, and what running them one after the other gives.

``ipython3`` and ``python`` are cells of one shell. A ``text`` block after one is what it shows; where it begins with
``DeltaError``, the cell's last line fails with just that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.test_magics import fails

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parent.parent / "docs"
_BLOCK = re.compile(r"^```([\w{}-]*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CELLS = ("ipython3", "python")


@dataclass(frozen=True)
class Cell:
    """One cell, and what the page shows of it: the text and where it stands; None where nothing is shown."""

    kind: str
    code: str
    shown: str | None
    place: tuple[int, int]

    def run(self, shell: Any) -> str:
        """What it draws. An error that the page does not show is raised."""
        from IPython.utils.capture import capture_output

        *before, last = self.steps()
        with capture_output() as drawn:
            for step in before:
                shell.run_cell(step).raise_error()
        if self.shown is not None and self.shown.startswith("DeltaError"):
            return _plain(fails(shell, last)[1])
        with capture_output() as more:
            shell.run_cell(last).raise_error()
        return _plain(drawn.stdout + "".join(_texts(drawn)) + more.stdout + "".join(_texts(more)))

    def steps(self) -> list[str]:
        """Lines of ``%delta`` one by one; Python as a whole."""
        return [line for line in self.code.splitlines() if line.strip()] if self.kind == "ipython3" else [self.code]


def _texts(captured: Any) -> Iterator[str]:
    for output in captured.outputs:
        yield f"{output.data.get('text/plain', '')}\n"


def _plain(text: str) -> str:
    """Without colours, the `Out[3]: ` of a shell, and blanks at the ends of lines."""
    text = re.sub(r"\x1b\[[\d;]*m|^Out\[\d+\]:[ \n]", "", text, flags=re.MULTILINE)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def cells(page: str) -> list[Cell]:
    """The cells of a page in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = list(_BLOCK.finditer(text))
    found = []
    for block, after in zip(blocks, [*blocks, None][1:], strict=True):
        if block[1] in CELLS:
            shows = after is not None and after[1] == "text" and not text[block.end() : after.start()].strip()
            shown, place = (after[2].rstrip("\n"), after.span(2)) if shows and after else (None, (0, 0))
            found.append(Cell(block[1], block[2], shown, place))
    return found


def same(shown: str, drawn: str) -> bool:
    """Whether a page shows what was drawn; … in the page stands for anything in a line."""
    return re.fullmatch(re.escape(shown).replace("…", ".*"), drawn) is not None


def overwrite(page: str, given: list[tuple[Cell, str]]) -> None:
    """Put what was drawn in the place of what is shown."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for cell, drawn in reversed([(cell, drawn) for cell, drawn in given if cell.shown is not None and not same(cell.shown, drawn)]):
        start, end = cell.place
        text = f"{text[:start]}{drawn}\n{text[end:]}"
    (DOCS / page).write_text(text, encoding="utf-8")
