"""The wheel carries all that it needs, and the README's commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that is built with what is installed, without network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.slow
def test_the_wheel_carries_every_file_of_the_package(packed: set[str]) -> None:
    expected = tracked_files("deltanb")
    assert "deltanb/py.typed" in expected
    assert not set(expected) - packed


@pytest.mark.slow
def test_the_wheel_carries_the_package_the_licence_and_nothing_else(packed: set[str]) -> None:
    beside = {name.partition("/")[2] for name in packed if not name.startswith("deltanb/")}
    assert {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE"} <= beside
    assert {name.partition("/")[0] for name in packed} == {"deltanb", "deltanb-0.1.0.dist-info"}
    assert not [name for name in packed if name.endswith(".pyc")]


def test_every_make_command_in_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    mentioned = set(re.findall(r"(?:^|`)make ([a-z]+)", text, flags=re.MULTILINE))
    assert mentioned
    assert mentioned <= make_targets()


def test_every_make_target_is_described_and_phony() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    described = set(re.findall(r"^([a-z]+):.*## \S", makefile, flags=re.MULTILINE))
    phony = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert described == make_targets() == set(" ".join(phony).split())


def test_make_lab_opens_a_notebook_that_exists() -> None:
    first = re.search(r"^FIRST := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert first
    assert (ROOT / "notebooks" / first[1]).is_file()


def test_constraints_pin_every_dependency_that_pyproject_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(item for extra in project["optional-dependencies"].values() for item in extra)]
    named = {canonical(re.split(r"[^\w.-]", item, maxsplit=1)[0]) for item in asked} - {"deltanb"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert not [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)]
    assert not named - {canonical(pin.partition("==")[0]) for pin in pins}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):(?! export)", makefile, flags=re.MULTILINE))


def tracked_files(folder: str) -> list[str]:
    """What git tracks or would track with `git add`, and is there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", folder]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [name for name in listing.split("\0") if name and (ROOT / name).is_file()]
