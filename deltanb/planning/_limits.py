"""What a delta may cost: shares, counts and sizes, as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb._suggest import close

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Limits", "limits_of", "read_bytes", "read_count"]

_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*([A-Za-z%]*)")
_BYTES = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_COUNTS = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}
_EXAMPLE = "%delta plan --budget 0.1%, --file 1MB or --memory 2GB"


@dataclass(frozen=True)
class Limits:
    """What a delta may cost at most; None where anything goes.

    Attributes:
        parameters: how many may train.
        file: bytes of the saved file.
        memory: bytes that training may take, the process itself among them.
        said: as it was asked for.
    """

    parameters: int | None = None
    file: int | None = None
    memory: int | None = None
    said: str = ""


def limits_of(total: int, budget: object = None, file: object = None, memory: object = None) -> Limits:
    """Limits from what was asked for.

    Args:
        total: parameters of the backbone, for a share.
        budget: ``"0.1%"`` of the backbone's parameters, or a number of them, ``"300k"``.
        file: ``"1MB"``, or bytes.
        memory: ``"2GB"``, or bytes.

    Raises:
        DeltaError: one of them cannot be read, or is not above 0.

    Example:
        >>> limits_of(2_000_000, "0.1%", "1MB")
        Limits(parameters=2000, file=1000000, memory=None, said='0.1% of the parameters, a file of 1MB')
    """
    words = {"of the parameters" if "%" in str(budget) else "parameters": budget, "a file of": file, "memory": memory}
    count = None if budget is None else read_count(budget, total)
    most, room = (None if size is None else read_bytes(size, name) for size, name in ((file, "file"), (memory, "memory")))
    shown = {name: f"{value:,}" if isinstance(value, int) else str(value).strip() for name, value in words.items() if value is not None}
    said = [
        f"{name} {value}" if name == "a file of" else f"{value} {name}" if "param" in name else f"{value} of {name}"
        for name, value in shown.items()
    ]
    return Limits(count, most, room, ", ".join(said))


def read_count(given: object, total: int) -> int:
    """How many parameters a budget allows.

    Args:
        given: a share in percent, or a number, with k, M or B.
        total: parameters of the backbone.

    Raises:
        DeltaError: it is none of that, or allows not even one.

    Example:
        >>> read_count("0.1%", 22_713_216), read_count("300k", 0), read_count("1.5e6", 0), read_count(5_000, 0)
        (22713, 300000, 1500000, 5000)
    """
    value, unit = _split(given, "budget", "A share of the parameters such as 0.1%, or a number of them such as 300k")
    share = unit == "%"
    factor = Fraction(total, 100) if share else _unit(unit, _COUNTS, given, "budget", "%, k, M or B")
    count = int(value * factor)
    if count:
        return count
    hint = "" if share else f" Did you mean {float(value):g}%?" if value < 1 else ""
    msg = f"--budget {_shown(given)} is less than one parameter" + (f" of {total:,}." if share else ".") + hint
    raise DeltaError(msg, expected="A share of the parameters such as 0.1%, or a number of them such as 300k, is needed.", try_=_EXAMPLE)


def read_bytes(given: object, what: str = "file") -> int:
    """A size in bytes; kB, MB, GB are thousands, KiB, MiB, GiB are 1024.

    Args:
        given: a number with a unit, or bytes.
        what: the option, for messages.

    Raises:
        DeltaError: it is no size above 0.

    Example:
        >>> read_bytes("1MB"), read_bytes("1.5 GiB"), read_bytes(2_000), read_bytes("10kb")
        (1000000, 1610612736, 2000, 10000)
    """
    value, unit = _split(given, what, "A size such as 500kB, 1MB or 2GB")
    size = int(value * _unit(unit, _BYTES, given, what, "B, kB, MB, GB, KiB, MiB or GiB"))
    if size:
        return size
    msg = f"--{what} {_shown(given)} is less than one byte."
    raise DeltaError(msg, expected="A size such as 500kB, 1MB or 2GB is needed.", try_=_EXAMPLE)


def _split(given: object, what: str, wanted: str) -> tuple[Fraction, str]:
    """The number, which is above 0, and its unit."""
    hit = None if isinstance(given, bool) else _NUMBER.fullmatch(str(given).strip())
    if hit is None:
        raise DeltaError(f"--{what} {_shown(given)} is no amount.", expected=f"{wanted} is needed.", try_=_EXAMPLE)
    value = Fraction(hit[1].replace("_", ""))
    if value <= 0:
        raise DeltaError(f"--{what} {_shown(given)} is not above 0, so nothing fits.", expected=f"{wanted} is needed.", try_=_EXAMPLE)
    return value, hit[2]


def _unit(unit: str, units: Mapping[str, int], given: object, what: str, names: str) -> int:
    """What a unit stands for, however its letters are written."""
    known = {name.lower(): value for name, value in units.items()}
    if unit.lower() in known:
        return known[unit.lower()]
    msg = f"--{what} {_shown(given)}: {unit} is no unit here."
    raise DeltaError(msg, expected=f"One of {names} is needed.", nearest=close(unit, [name for name in units if name]), try_=_EXAMPLE)


def _shown(given: object) -> str:
    return str(given)[:40] or "''"
