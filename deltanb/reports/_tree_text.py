"""A folded structure as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.graph import row_state, tied_to
from deltanb.reports._text import SIGNS, columns, number, shape_text, sign

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deltanb.folding import FoldedNode
    from deltanb.structure import ModuleNode

__all__ = ["heading", "remarks", "signs_line", "tensors", "tree_lines"]


def heading(row: FoldedNode, root: str) -> str:
    """Name, type and how many: ``0-5 (BartEncoderLayer) ×6``; the root is its type, or ``root`` and its type.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> heading(fold(snapshot(nn.ReLU())), ""), heading(fold(snapshot(nn.ReLU())), "root")
        ('ReLU', 'root (ReLU)')
    """
    name = row.label or root
    text = f"{name} ({row.first.type})" if name else row.first.type
    return text + (f" ×{len(row.members)}" if row.folded else "")


def tensors(row: FoldedNode) -> list[str]:
    """The row's own parameters with shapes; a star on those that train beside frozen ones. Buffers say that they are."""
    mixed = row_state(row) == "partly" and len({parameter.trainable for parameter in row.first.parameters}) > 1
    own = [shape_text(parameter, mixed=mixed) for parameter in row.first.parameters]
    return own + [f"buffer {buffer.name}:{list(buffer.shape)}" for buffer in row.first.buffers]


def remarks(row: FoldedNode, hits: Mapping[str, int], above: str | None) -> list[str]:
    """What is to say behind the number; ``above`` is the delta that the row above belongs to."""
    said = [f"⇄ {name}" for name in tied_to(row)]
    said += [f"delta {name}" for name in _deltas(row.first) if name != above]
    if row.hidden:
        said.append(f"+{row.hidden} inside")
    if row.address in hits:
        said.append(f"● {hits[row.address]} of {row.count}")
    return said


def _deltas(node: ModuleNode) -> list[str]:
    """The delta that a module belongs to, or the deltas that own some of its parameters."""
    return [node.delta] if node.delta else list(dict.fromkeys(p.delta for p in node.parameters if p.delta))


def tree_lines(rows: FoldedNode, hits: Mapping[str, int], *, root: str = "", expand: bool = False) -> list[str]:
    """The tree with its columns: structure, parameters, sign, remarks.

    Args:
        rows: the root row.
        hits: for the address of a row how many of its modules are matched.
        root: a name for the root.
        expand: every parameter on a line of its own.
    """
    cells = [["", "parameters", "", ""], *_Cells(hits, expand=expand).of(rows, root, None)]
    return columns(cells, [False, True, False, False])


class _Cells:
    """The four columns of every line, parents first."""

    def __init__(self, hits: Mapping[str, int], *, expand: bool) -> None:
        self.hits = hits
        self.expand = expand

    def of(self, row: FoldedNode, root: str, above: str | None) -> list[list[str]]:
        """The lines of a row and of all below it."""
        words = [heading(row, root), *([] if self.expand else tensors(row))]
        lines = [[" ".join(words), number(row.counts.total), sign(row), "  ".join(remarks(row, self.hits, above))]]
        blocks = [[cells] for cells in _parameter_cells(row)] if self.expand else []
        blocks += [self.of(child, root, row.first.delta) for child in row.children]
        for block in blocks:
            corner, line = ("└── ", "    ") if block is blocks[-1] else ("├── ", "│   ")
            lines += [[(line if at else corner) + cells[0], *cells[1:]] for at, cells in enumerate(block)]
        return lines


def _parameter_cells(row: FoldedNode) -> Iterator[list[str]]:
    for parameter in row.first.parameters:
        size = 0 if parameter.tied_to else parameter.numel * row.count
        letters = ("T" if parameter.trainable else "F") + ("D" if parameter.delta else "")
        tied = f"⇄ {parameter.tied_to}" if parameter.tied_to else ""
        yield [f"{parameter.name}:{list(parameter.shape)} {parameter.dtype}", number(size), letters, tied]
    for buffer in row.first.buffers:
        yield [f"buffer {buffer.name}:{list(buffer.shape)} {buffer.dtype}", "0", "-", ""]


def signs_line(rows: FoldedNode, hits: Mapping[str, int]) -> str:
    """What the signs that occur mean."""
    every = list(rows.walk())
    letters = "".join(sign(row) for row in every)
    said = [f"{letter} {meaning}" for letter, meaning in SIGNS.items() if letter in letters]
    if any("*:" in text for row in every for text in tensors(row)):
        said.append("* trains")
    if any(row.folded for row in every):
        said.append("×n alike, the number is for all of them")
    if any(tied_to(row) for row in every):
        said.append("⇄ shared, counted there")
    if hits:
        said.append("● matched")
    return " · ".join(said)
