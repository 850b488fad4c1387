"""The rules of the house: which part may import which, what loads when, how long a file may grow."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "deltanb"
LONGEST = 300

# Bottom first. A part may import from itself and from every layer below its own.
LAYERS = (
    (
        *("_errors", "_foreign", "_hub", "_quiet", "_shield", "_suggest", "_version", "_walk", "_warn"),
        *("addressing", "folding", "probe", "roles", "structure"),
    ),
    ("engine",),
    ("backbones", "checkpoints", "datasets", "graph", "reports", "training"),
    ("cluster", "comparison", "planning", "serving", "sharing"),
    ("workbench",),
    ("magics", "widgets"),
)
# The only arrows inside a layer, above the bottom one.
SIDEWAYS = {"reports": {"graph"}, "training": {"reports", "datasets"}, "magics": {"widgets"}}
# The face of the package and the finished programs may use everything.
ANYTHING = {"__init__", "demo", "visualization"}
KNOWN = {name for layer in LAYERS for name in layer} | ANYTHING
# One file may reach upward, inside its functions: a delta's own methods that save, share, report and let a person click.
UPWARD = {"engine/_upward.py": {"checkpoints", "reports", "sharing", "widgets"}}

HEAVY = """
import sys
import deltanb
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
assert shell.extension_manager.load_extension("deltanb") is None
assert "delta" in shell.magics_manager.magics["line"]
print(*sorted({"torch", "transformers"} & set(sys.modules)))
"""


def sources(pattern: str = "*.py") -> list[Path]:
    return sorted(path for path in PACKAGE.rglob(pattern) if "node_modules" not in path.parts)


def short(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part_of(path: Path) -> str:
    """The file or folder directly under deltanb/ that a source belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def allowed(part: str) -> set[str]:
    """The parts that a part may import from."""
    if part in ANYTHING:
        return {"", *KNOWN}
    at = next((i for i, layer in enumerate(LAYERS) if part in layer), None)
    assert at is not None, f"deltanb/{part} needs a place in LAYERS"
    peers = set(LAYERS[0]) if at == 0 else SIDEWAYS.get(part, set())
    return {part, *peers, *(name for layer in LAYERS[:at] for name in layer)}


def arrows(path: Path, tree: ast.AST) -> list[tuple[int, str]]:
    """Line and target part of every import from deltanb; the target is empty for the package's face itself."""
    package = ["deltanb", *path.relative_to(PACKAGE).parts[:-1]]
    found = []
    for node in ast.walk(tree):
        for module in imported(node, package):
            root, _, rest = module.partition(".")
            if root == "deltanb":
                part = rest.partition(".")[0]
                found.append((getattr(node, "lineno", 0), part if part in KNOWN else ""))
    return found


def imported(node: ast.AST, package: list[str]) -> list[str]:
    """The full module names that one statement or call imports."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = [*package[: len(package) - level + 1], *filter(None, [module])] if level else [module or ""]
            # `from deltanb import graph` means the part, `from deltanb.graph import x` already says it.
            return [".".join([*base, alias.name]) for alias in names] if base == ["deltanb"] else [".".join(base)]
        case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"), args=[ast.Constant(value=str(name)), *_]):
            return [name]
    return []


@pytest.mark.parametrize("path", sources(), ids=short)
def test_imports_run_downward(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ground = allowed(part_of(path))
    lazily = UPWARD.get(short(path), set())
    wrong = [f"line {line}: deltanb.{target}".rstrip(".") for line, target in arrows(path, tree) if target not in ground | lazily]
    assert not wrong, f"deltanb/{short(path)} may import only from: {', '.join(sorted(ground))}"


def test_the_upward_imports_are_lazy() -> None:
    for path in sources():
        statements = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Import | ast.ImportFrom)]
        at_import = {target for _, target in arrows(path, ast.Module(statements, []))}
        assert not at_import & UPWARD.get(short(path), set())


def test_every_part_has_its_place_in_the_layers() -> None:
    assert not {part_of(path) for path in sources()} - KNOWN


@pytest.mark.parametrize(
    ("where", "code", "target"),
    [
        ("engine/lora.py", "from deltanb.reports import Table", "reports"),
        ("engine/lora.py", "from ..reports import Table", "reports"),
        ("engine/lora.py", "def f():\n    from deltanb import workbench", "workbench"),
        ("engine/lora.py", "import importlib\nimportlib.import_module('deltanb.magics')", "magics"),
        ("addressing/_match.py", "import deltanb.engine.lora", "engine"),
        ("graph.py", "from .reports import Table", "reports"),
        ("reports/tree.py", "from deltanb import AdapterModel", ""),
    ],
)
def test_the_check_sees_every_way_to_import(where: str, code: str, target: str) -> None:
    path = PACKAGE / where
    assert [found for _, found in arrows(path, ast.parse(code))] == [target]
    assert target not in allowed(part_of(path))


def test_loading_the_extension_imports_neither_torch_nor_transformers(tmp_path: Path) -> None:
    environment = {"IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", HEAVY], env=environment, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", sources(), ids=short)
def test_no_file_outgrows_a_reader(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def scripts() -> list[Path]:
    """The widgets' sources and what is built from them."""
    folders = [PACKAGE / "widgets" / "static", ROOT / "js" / "src"]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in {".js", ".css"})


def test_javascript_needs_no_network() -> None:
    assert scripts()
    assert not [path.name for path in scripts() if "https://" in path.read_text(encoding="utf-8")]


def test_no_script_outgrows_a_reader() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in scripts() if path.is_relative_to(ROOT / "js")}
    assert not {name: count for name, count in lines.items() if count > LONGEST}


def test_every_public_name_has_a_docstring() -> None:
    import deltanb

    public = {name: getattr(deltanb, name) for name in deltanb.__all__}
    silent = [name for name, value in public.items() if not isinstance(value, str) and not inspect.getdoc(value)]
    assert not silent
