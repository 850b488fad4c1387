"""What docs/widgets.md says is true: its code runs, its lines are understood, its classes and limits are the code's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deltanb import widgets
from deltanb.magics._parse import parse
from deltanb.widgets._base import DeltaWidget

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "widgets.md").read_text(encoding="utf-8")
TABLE = [row for row in PAGE.splitlines() if row.startswith("| `%delta")]
LINES = [line.replace("DATA", "movie_reviews") for row in TABLE for line in re.findall(r"`(%delta [^`]+)`", row)]


def test_the_code_runs_as_it_is_and_the_page_it_saves_is_as_small_as_is_said(tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4 modules: model.encoder.layers.0.fc2")
    assert (tmp_path / "lecture.html").stat().st_size < 300_000


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_understood(line: str) -> None:
    assert parse(line.removeprefix("%delta"), {}).verb.name == line.split()[1]


def test_every_widget_is_in_the_table() -> None:
    named = re.findall(r"`deltanb\.(?:widgets\.)?(\w+)\(", "\n".join(TABLE))
    found = {name for name in widgets.__all__ if issubclass(getattr(widgets, name), DeltaWidget)}
    assert len(found) == len(named) == len(TABLE)
    assert found - {"Preview"} == set(named) - {"preview"}
