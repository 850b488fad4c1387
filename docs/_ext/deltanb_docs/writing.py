"""A folder that holds generated files and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["Folder", "fence", "table"]


class Folder:
    """A folder of generated files.

    Args:
        path: where; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.written: set[Path] = set()

    def put(self, name: str, text: str) -> None:
        """Write a file, unless it holds that text already."""
        target = self.path / name
        self.written.add(target)
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")

    def sweep(self) -> None:
        """Remove the files of an earlier time."""
        for path in self.path.iterdir():
            if path.is_file() and path not in self.written:
                path.unlink()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table in Markdown. A bar in a cell would end it.

    Example:
        >>> print(table(["a", "b"], [["1", "x|y"]]))
        | a | b |
        | --- | --- |
        | 1 | x\|y |
    """
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fence(kind: str, code: str) -> str:
    """A block of code in Markdown."""
    return f"```{kind}\n{code.rstrip()}\n```"
