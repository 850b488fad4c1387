"""Reads a table from a file: comma- or tab-separated, JSON, JSON lines."""

from __future__ import annotations

import json
import warnings
import zlib
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

__all__ = ["read_frame"]

_ENDINGS = (".csv", ".tsv", ".json", ".jsonl")
_PACKED = ".gz"


def read_frame(path: Path, also: Iterable[str] = ()) -> pd.DataFrame:
    r"""The table in a file, chosen by its ending; only an empty cell counts as missing, the word ``NA`` is text.

    Args:
        path: ``.csv`` or ``.tsv`` (also packed: ``.csv.gz``), ``.json``, ``.jsonl``.
        also: other names the user may have meant, for the error.

    Raises:
        DeltaError: no such file, an unknown ending, or contents that cannot be read.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "my.csv"
        >>> _ = path.write_text("text,label\nA fine film.,1\n")
        >>> read_frame(path).to_dict("records")
        [{'text': 'A fine film.', 'label': 1}]
    """
    _check(path, list(also))
    try:
        frame = _read(path)
    except (OSError, EOFError, ValueError, TypeError, AttributeError, Warning, zlib.error) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DeltaError(
            f"The file {str(path)!r} cannot be read as {_ending(path)}: {reason.rstrip('.')}.",
            expected="UTF-8 text is needed, in the form that the ending says; in a .csv a text with a comma stands in quotes.",
            try_="pandas.read_csv(PATH, encoding=…, sep=…), then give the DataFrame instead of the path",
        ) from error
    return frame


def _ending(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != _PACKED]
    return suffixes[-1] if suffixes else ""


def _check(path: Path, also: list[str]) -> None:
    if not path.exists():
        beside = [str(path.parent / name.name) for name in _tables_in(path.parent)]
        raise DeltaError(
            f"There is no data set and no file {str(path)!r}.",
            expected=f"Data sets that travel with deltanb: {', '.join(also)}." if also else "",
            nearest=close(str(path), [*also, *beside]),
            try_="%delta data movie_reviews",
        )
    if path.is_dir():
        found = ", ".join(name.name for name in _tables_in(path)) or "none"
        raise DeltaError(f"{str(path)!r} is a folder.", expected=f"A file is needed. Tables in it: {found}.")
    if _ending(path) not in _ENDINGS:
        raise DeltaError(
            f"The file {str(path)!r} has the ending {_ending(path) or '(none)'}, which is not read.",
            expected=f"Read are {', '.join(_ENDINGS)}; anything else goes through a pandas DataFrame.",
        )


def _tables_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and _ending(path) in _ENDINGS)
    except OSError:
        return []


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    ending = _ending(path)
    if ending in (".csv", ".tsv"):
        separator = "," if ending == ".csv" else "\t"
        with warnings.catch_warnings():
            # Rows longer than the header: pandas would cut them, or take the texts for an index.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, sep=separator, encoding="utf-8-sig", keep_default_na=False, na_values=[""], index_col=False)
    text = path.read_text(encoding="utf-8-sig")
    return pd.DataFrame(_lines(text) if ending == ".jsonl" else _json(text))


def _json(text: str) -> Any:
    """Records, columns, or records under ``data``; JSON lines under the wrong ending too."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return _lines(text)
    if isinstance(found, dict) and isinstance(found.get("data"), list) and isinstance(found["data"][:1], list) and len(found) == 1:
        return found["data"]
    if not isinstance(found, list | dict):
        raise TypeError(f"it holds one {type(found).__name__}, not rows")
    return found


def _lines(text: str) -> list[Any]:
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise TypeError('each line must be an object such as {"text": …, "label": …}')
    return rows
