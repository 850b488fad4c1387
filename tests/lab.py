"""A real JupyterLab in a real Chromium, for tests and for screenshots: no network, settings in a temporary folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/apputils-extension/themes": {"theme": "JupyterLab Light"},
}


def notebook(path: Path, cells: list[str]) -> Path:
    """Write a notebook of code cells."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(book, path)
    return path


@contextlib.contextmanager
def server(home: Path, work: Path, app: str = "jupyterlab") -> Iterator[str]:
    """JupyterLab (or ``notebook``: Notebook 7) over the folder ``work``; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = {name: str(home / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    settings = home / "settings"
    for plugin, values in _SETTINGS.items():
        file = settings / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    environment = {
        **os.environ,
        **places,
        "HOME": str(home),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    exposed = {"jupyterlab": "LabApp", "notebook": "JupyterNotebookApp"}[app]
    command = [sys.executable, "-m", app, "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--IdentityProvider.token=", f"--{exposed}.expose_app_in_browser=True", f"--ServerApp.root_dir={work}"]
    with (home / "server.log").open("w") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/api", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _wait(address: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, "Jupyter ended before it was ready"
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=2):  # noqa: S310 - our own address
            return
        time.sleep(0.3)
    message = f"Jupyter did not answer at {address} within {seconds:g} s"
    raise TimeoutError(message)


@contextlib.contextmanager
def browser_page(playwright: Any, *, width: int = 1280, height: int = 900) -> Iterator[Any]:
    """A page in Chromium that reaches this machine only; ``page.console_errors`` collects what went wrong in it."""
    executable = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    assert executable, "no Chromium: run `python3 tools/setup_env.py --chromium`"
    browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
    context = browser.new_context(viewport={"width": width, "height": height})
    context.route("**/*", lambda route: route.continue_() if _local(route.request.url) else route.abort())
    page = context.new_page()
    page.outside = []
    page.on("request", lambda request: None if _local(request.url) else page.outside.append(request.url))
    try:
        yield page
    finally:
        browser.close()


def _local(address: str) -> bool:
    return address.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))


def open_notebook(page: Any, address: str, name: str, place: str = "lab/tree") -> None:
    """Open a notebook and wait for its kernel; Notebook 7 has its notebooks under ``notebooks``."""
    page.goto(f"{address}/{place}/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.evaluate("async () => { const p = jupyterapp.shell.currentWidget; await p.context.ready; await p.sessionContext.ready; }")


def run_all(page: Any) -> bool:
    """Run every cell; False if one failed."""
    return bool(page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')"))


def outputs(page: Any) -> list[list[dict[str, Any]]]:
    """Each cell's outputs as the notebook would save them."""
    found: list[list[dict[str, Any]]] = page.evaluate(
        "jupyterapp.shell.currentWidget.content.widgets.map(c => c.model.sharedModel.toJSON().outputs ?? [])"
    )
    return found
