"""The code in the pages that people write runs, and shows what they say."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from deltanb.engine import DELTA_TYPES, describe_types
from tests.docs_pages import CELLS, DOCS, cells, overwrite, same
from tests.test_magics import one_shell, shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["one_shell", "shell"]

sys.path.insert(0, str(DOCS / "_ext"))

# These have tests of their own (test_docs_widgets, test_docs_checkpoints, …), or need a hub (sharing).
ELSEWHERE = {"checkpoints.md", "families.md", "serving.md", "sharing.md", "widgets.md"}
PAGES = sorted(path.name for path in DOCS.glob("*.md") if path.name not in ELSEWHERE)


@pytest.fixture
def types_kept() -> Iterator[None]:
    """The contributor's guide makes a type of its own known."""
    before = dict(DELTA_TYPES)
    yield
    DELTA_TYPES.clear()
    DELTA_TYPES.update(before)


@pytest.mark.slow
@pytest.mark.usefixtures("types_kept")
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_and_shows_what_is_printed(
    page: str, shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [(cell, cell.run(shell)) for cell in cells(page)]
    if request.config.getoption("--overwrite"):
        overwrite(page, given)
        return
    for cell, drawn in given:
        assert cell.shown is None or same(cell.shown, drawn), f"{cell.code}gives\n{drawn}"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_run_or_shown(page: str) -> None:
    kinds = re.findall(r"^```([^\s`]+)", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert set(kinds) <= {*CELLS, "text", "{live}", "{toctree}"}


@pytest.mark.slow
@pytest.mark.parametrize("entry", describe_types(), ids=lambda entry: str(entry["type"]))
def test_the_code_of_a_types_page_runs(entry: dict[str, Any], shell: Any, tmp_path: Path) -> None:
    from deltanb_docs.types import type_page

    page = tmp_path / "page.md"
    page.write_text(type_page(entry, DOCS / "pictures" / "types"), encoding="utf-8")
    drawn = [cell.run(shell) for cell in cells(str(page))]
    assert len(drawn) == 2
    assert f"<{entry['type']} " in drawn[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert-base", "falcon-7b", "mamba-130m", "clip-vit-base"])
def test_the_code_of_a_models_page_runs(name: str, shell: Any, tmp_path: Path) -> None:
    from deltanb_docs.costs import skeleton
    from deltanb_docs.models import model_page

    page = tmp_path / "page.md"
    page.write_text(model_page(name, skeleton(name)), encoding="utf-8")
    found = cells(str(page))
    assert len(found) >= 3
    for cell in found:
        cell.run(shell)
