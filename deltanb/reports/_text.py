"""Numbers, signs and aligned columns as plain text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deltanb.graph import row_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.folding import FoldedNode
    from deltanb.structure import Counts, ParameterInfo

__all__ = [
    "SIGNS",
    "columns",
    "markdown",
    "megabytes",
    "number",
    "percent",
    "plain_markdown",
    "plural",
    "shape_text",
    "sign",
    "totals_line",
]

SIGNS = {"T": "trains", "F": "frozen", "P": "some of it trains", "D": "delta"}
_LETTERS = {"trainable": "T", "frozen": "F", "partly": "P", "": "-"}
_MB = 1_000_000


def number(value: int) -> str:
    """A count with thousands separators.

    Example:
        >>> number(230544)
        '230,544'
    """
    return f"{value:,}"


def percent(share: float, digits: int = 2) -> str:
    """A share in percent; what is more than nothing never looks like nothing.

    Example:
        >>> percent(0.001673, 4), percent(1.0), percent(0.0), percent(1e-9)
        ('0.1673 %', '100 %', '0 %', '<0.01 %')
    """
    value = 100 * share
    least = 10**-digits
    if 0 < value < least:
        return f"<{least:.{digits}f} %"
    if value in (0, 100):
        return f"{value:.0f} %"
    # Rounding must not turn "nearly all" into "all".
    return f"{min(value, 100 - least):.{digits}f} %"


def megabytes(size: int, digits: int = 1) -> str:
    """A size in bytes as MB (a million bytes), or kB below a tenth of that.

    Example:
        >>> megabytes(922176), megabytes(934464, 2), megabytes(1712 * 4)
        ('0.9 MB', '0.93 MB', '6.8 kB')
    """
    return f"{size / _MB:.{digits}f} MB" if size >= _MB // 10 else f"{size / 1000:.1f} kB"


def plural(count: int, word: str) -> str:
    """A count and its noun.

    Example:
        >>> plural(1, "module"), plural(12, "module")
        ('1 module', '12 modules')
    """
    return f"{number(count)} {word}" if count == 1 else f"{number(count)} {word}s"


def sign(row: FoldedNode) -> str:
    """The letters of a row's state: T, F, P or -, and D for what belongs to a delta.

    Example:
        >>> from torch import nn
        >>> from deltanb.folding import fold
        >>> from deltanb.structure import snapshot
        >>> sign(fold(snapshot(nn.Linear(2, 2))))
        'T'
    """
    return _LETTERS[row_state(row)] + ("D" if row.first.delta else "")


def shape_text(parameter: ParameterInfo, *, mixed: bool) -> str:
    """A parameter as in ``weight:[768, 3072]``; with ``mixed`` a star on those that train.

    Example:
        >>> from deltanb.structure import ParameterInfo
        >>> shape_text(ParameterInfo("bias", (768,), "float32", trainable=True), mixed=True)
        'bias*:[768]'
    """
    return f"{parameter.name}{'*' if mixed and parameter.trainable else ''}:{list(parameter.shape)}"


def totals_line(counts: Counts) -> str:
    """All counts of a model in one sentence.

    Example:
        >>> from deltanb.structure import Counts
        >>> totals_line(Counts(1000, 10, 8, 5))
        '1,000 parameters, 10 trainable (1.00 %), 8 of deltas; and 5 elements in buffers'
    """
    share = counts.trainable / counts.total if counts.total else 0.0
    text = f"{plural(counts.total, 'parameter')}, {number(counts.trainable)} trainable ({percent(share)})"
    if counts.delta:
        text += f", {number(counts.delta)} of deltas"
    return text + (f"; and {plural(counts.buffers, 'element')} in buffers" if counts.buffers else "")


def columns(rows: Sequence[Sequence[str]], right: Sequence[bool], gap: str = "  ") -> list[str]:
    """Cells padded to columns; ``right`` says which columns are aligned to the right.

    Example:
        >>> columns([["a", "1"], ["bcd", "20"]], [False, True])
        ['a     1', 'bcd  20']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        gap.join(cell.rjust(width) if end else cell.ljust(width) for cell, width, end in zip(row, widths, right, strict=True)).rstrip()
        for row in rows
    ]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """A table in Markdown, every cell as plain text whatever is in it.

    Example:
        >>> print(markdown(["name", "size"], [["a|b", "1"]], [False, True]))
        | name | size |
        | --- | ---: |
        | a&#124;b | 1 |
    """
    marks = ["---:" if end else "---" for end in right]
    return "\n".join(f"| {' | '.join(map(plain_markdown, row))} |" for row in [header, marks, *rows])


def plain_markdown(text: str) -> str:
    """A text that Markdown shows as it is, on one line.

    Example:
        >>> plain_markdown("<b> *x*")
        '&#60;b&#62; &#42;x&#42;'
    """
    return re.sub(r"[\\`*\[\]<>|&$#~]|(?<!\w)_|_(?!\w)", lambda hit: f"&#{ord(hit.group())};", " ".join(text.split()))
