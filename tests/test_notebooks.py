"""Every notebook: committed without outputs, and running from top to bottom in a real kernel."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_clean(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert all(not cell.outputs and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")
    assert "widgets" not in book.metadata
    assert book.cells[0].source.startswith("# ")


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, float]:
    book = nbformat.read(request.param, as_version=4)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython"))}
    client = NotebookClient(book, timeout=420, resources={"metadata": {"path": str(tmp_path_factory.mktemp("work"))}})
    started = time.perf_counter()
    client.execute(env=environment)
    return book, time.perf_counter() - started


def text_of(cell: Any) -> str:
    parts = [
        output.get("text", "") or output.get("data", {}).get("text/plain", "") or "\n".join(output.get("traceback", []))
        for output in cell.outputs
    ]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(parts))


@pytest.mark.notebook
def test_runs_from_top_to_bottom_in_time(executed: tuple[Any, float]) -> None:
    _, seconds = executed
    assert seconds < 300


@pytest.mark.notebook
def test_errors_only_where_they_are_meant_and_without_traceback(executed: tuple[Any, float]) -> None:
    book, _ = executed
    for cell in book.cells:
        failed = [output for output in cell.get("outputs", []) if output.output_type == "error"]
        assert bool(failed) == ("raises-exception" in cell.metadata.get("tags", [])), cell.source
        assert all("Traceback" not in text_of(cell) and 'File "' not in text_of(cell) for _ in failed)


@pytest.mark.notebook
def test_nothing_is_written_to_stderr(executed: tuple[Any, float]) -> None:
    book, _ = executed
    noisy = [(cell.source, output.text) for cell in book.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert not noisy


@pytest.mark.notebook
def test_first_delta_learns_and_comes_back_the_same(executed: tuple[Any, float]) -> None:
    book, _ = executed
    cells = {cell.id: text_of(cell) for cell in book.cells if cell.cell_type == "code"}
    if "same" not in cells:
        pytest.skip("another notebook")
    before, after = (float(number) for number in re.findall(r"0\.\d+", cells["same"]))
    assert before == after >= 0.78
    assert "226,850 of 22,940,066" in cells["freeze"]
    assert "Nearest: output.dense" in cells["mistake"]
    assert "AdapterModel(model, modified_modules=['output.dense'])" in cells["code"]
