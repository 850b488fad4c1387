"""The example app: many deltas on one backbone, in a browser.

python -m deltanb.serving FOLDER --backbone minilm --port 8000
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C; the status is 1 where that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m deltanb.serving", description="Serve a folder of deltas from one backbone.")
    parser.add_argument("folder", help="holds saved deltas, a folder each")
    parser.add_argument("--backbone", default="minilm", help="the pretrained model that they belong to (minilm)")
    parser.add_argument("--port", type=int, default=8000, help="where to listen on this machine; 0: any free port (8000)")
    parser.add_argument("--labels", nargs="+", help="names of the classes, in order")
    given = parser.parse_args(arguments)
    try:
        _serve(given)
    except DeltaError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _serve(given: argparse.Namespace) -> None:
    from pathlib import Path

    from deltanb.backbones import load_backbone
    from deltanb.reports._text import plural
    from deltanb.serving import DeltaPool
    from deltanb.serving._app import App
    from deltanb.serving._folder import candidates
    from deltanb.serving._server import Server

    candidates(Path(given.folder).expanduser())  # before a model is loaded for nothing
    backbone = load_backbone(given.backbone, num_labels=len(given.labels) if given.labels else None)
    pool = DeltaPool(backbone, given.folder)
    for name, problem in pool.problems.items():
        print(f"not served: {name}: {problem}", file=sys.stderr)  # noqa: T201
    with Server(App(pool, given.labels), given.port) as server, contextlib.suppress(KeyboardInterrupt):
        print(f"{plural(len(pool.names), 'delta')} at {server.address} (Ctrl-C ends it)", flush=True)  # noqa: T201
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
