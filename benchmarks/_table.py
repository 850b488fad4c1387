"""The one table that `python -m benchmarks` prints: machine, versions, rows."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks._harness import is_quick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks._harness import Row

__all__ = ["duration", "machine", "table", "versions"]

_HEADER = ("benchmark", "job", "who", "median", "spread", "ratio", "wanted")
_PACKAGES = ("deltanb", "torch", "transformers", "peft", "bigmodelvis", "torchinfo")


def machine() -> str:
    """Processor, cores, memory, system, Python.

    Example:
        >>> "Python 3." in machine()
        True
    """
    memory = psutil.virtual_memory().total / 2**30
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return (
        f"{_processor()}, {os.cpu_count()} cores (threads: {threads}), {memory:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    """The processor's name, which Linux tells only in a file."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def versions() -> str:
    """The versions of what is compared.

    Example:
        >>> "torch" in versions()
        True
    """
    return ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def table(groups: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """The rows of every benchmark in columns; a ratio below 1 means faster than the peer.

    Example:
        >>> from benchmarks._harness import Row
        >>> print(table([("sums", [Row("add", "ours", (0.001, 0.002, 0.003), 0.5, most_ratio=0.4)])]))
        benchmark  job  who   median  spread          ratio  wanted
        ---------  ---  ----  ------  --------------  -----  ------------------
        sums       add  ours  2.0 ms  1.0 ms..3.0 ms  0.50   ratio 0.40: MISSED
    """
    cells = [_HEADER, *[_cells(name, row) for name, found in groups for row in found]]
    widths = [max(len(line[at]) for line in cells) for at in range(len(_HEADER))]
    cells.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)


def _cells(name: str, row: Row) -> tuple[str, ...]:
    spread = f"{_amount(min(row.values), row.unit)}..{_amount(max(row.values), row.unit)}"
    return (name, row.job, row.who, _amount(row.median, row.unit), spread, "" if row.ratio is None else _ratio(row.ratio), _wanted(row))


def _wanted(row: Row) -> str:
    if is_quick():
        return ""
    limits = [_amount(row.most, row.unit)] if row.most is not None else []
    limits += [f"ratio {_ratio(row.most_ratio)}"] if row.most_ratio is not None else []
    return f"{', '.join(limits)}: {'met' if row.met else 'MISSED'}" if limits else ""


def _amount(value: float, unit: str) -> str:
    return duration(value) if unit == "s" else f"{value:,.1f} {unit}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them.

    Example:
        >>> duration(2.5), duration(0.0123), duration(0.0000421)
        ('2.50 s', '12.3 ms', '42 µs')
    """
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"
