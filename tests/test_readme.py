"""What the README says is true: its code runs, its lines are understood, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deltanb.engine import DELTA_TYPES
from deltanb.magics._parse import parse

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
LINES = [line for kind, block in BLOCKS if not kind for line in block.splitlines() if line.startswith("%delta")]


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_understood(line: str) -> None:
    assert parse(line.removeprefix("%delta"), {}).verb.name == line.split()[1]


def test_the_ten_lines_are_the_whole_path() -> None:
    assert [line.split()[1] for line in LINES] == ["backbone", "graph", "match", "attach", "freeze", "params", "train", "save", "code"]


def test_the_python_runs_as_it_is(tmp_path: Path) -> None:
    code = "\n".join(block for kind, block in BLOCKS if kind == "python")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "fc2 (Linear)" in done.stdout
    assert sorted(path.name for path in (tmp_path / "my-delta").iterdir()) == ["config.json", "model.safetensors"]


def test_every_delta_type_is_in_the_table() -> None:
    assert set(DELTA_TYPES) <= set(re.findall(r"^\| `(\w+)` \|", README, flags=re.MULTILINE))


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)\)", README))))
def test_links_lead_to_files(target: str) -> None:
    assert (ROOT / target).exists()
