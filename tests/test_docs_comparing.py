"""What docs/comparing.md says is true: its example runs, its columns are the report's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb.comparison import asked_for
from deltanb.comparison._candidates import expanded
from deltanb.reports.comparison import _HEADER

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "comparing.md").read_text(encoding="utf-8")


def test_the_example_prints_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    code, shown = (re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("python", "text"))
    assert code is not None
    assert shown is not None
    space: dict[str, Any] = {}
    exec(code[1], space)  # noqa: S102
    assert capsys.readouterr().out == shown[1]
    assert list(tmp_path.iterdir()) == [tmp_path / "runs"]


def test_the_columns_are_those_of_the_table() -> None:
    section = re.search(r"## What is measured\n(.*?)\n## ", PAGE, re.DOTALL)
    assert section is not None
    told = {name for row in re.findall(r"^\| ([^|]+) \|", section[1], re.MULTILINE)[2:] for name in row.split(", ")}
    assert told == {*_HEADER} - {"", "of all", "runs"}


def test_the_lines_of_the_grammar_can_be_read() -> None:
    section = re.search(r"## What is compared\n(.*?)\n## ", PAGE, re.DOTALL)
    assert section is not None
    cells = [cell for row in re.findall(r"^\| ([^|]+) \|", section[1], re.MULTILINE) for cell in re.findall("`([^`]+)`", row)]
    read = {cell: len(expanded(asked_for(cell), {}, [])) for cell in cells if not cell.startswith("--")}
    assert read == {"adapter lora": 2, "lora query lora query,value": 2, "lora r=1,2,4,8": 4, "lora lr=1e-3": 1, "head": 1, "full": 1}
