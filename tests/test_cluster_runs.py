"""The written script at work: one process and two learn the same; killed runs go on; what is lost is said."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import torch

import deltanb
from deltanb.cluster import last_checkpoint
from deltanb.workbench import Workbench
from tests.models import output_of
from tests.test_cluster_script import local_backbone
from tests.tiny_text import films

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

OPTIONS = ["--max-steps", "30", "--save-every", "5", "--log-every", "1"]
PYTHON = [sys.executable]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
# Stops in the middle of a step until it is killed: a run that ends by itself proves nothing.
WAITS = """
import os, runpy, sys, time, transformers
at, rank = int(os.environ["WAIT_AT"]), os.environ.get("WAIT_RANK", "0")
class Wait(transformers.TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == at and os.environ.get("RANK", "0") == rank:
            open(os.environ["WAIT_FILE"] + ".tmp", "w").write(str(os.getpid()))
            os.replace(os.environ["WAIT_FILE"] + ".tmp", os.environ["WAIT_FILE"])
            time.sleep(120)
from deltanb.cluster import DeltaTrainer
before = DeltaTrainer.__init__
def init(self, *given, **options):
    before(self, *given, **options)
    self.add_callback(Wait())
DeltaTrainer.__init__ = init
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def environment(**more: str) -> dict[str, str]:
    root = str(Path(deltanb.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true", **more}


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a script for two deltas on a tiny backbone, and a run of one process in ``one``."""
    folder = tmp_path_factory.mktemp("cluster")
    local_backbone(folder / "tiny")
    pd.DataFrame(films(100), columns=["text", "label"]).to_csv(folder / "films.csv", index=False)
    bench = Workbench()
    bench.backbone(str(folder / "tiny"))
    bench.attach("adapter", ["output.dense"], bottleneck_dim=2)
    bench.freeze(["deltas", "classifier"])
    bench.attach("lora", ["query"], lora_r=2)
    bench.freeze(["deltas"])
    bench.data(str(folder / "films.csv"))
    bench.train(max_steps=1, batch_size=8, lr=1e-1, baseline=False, display=False)
    bench.script(folder / "train.py", configs=True)
    (folder / "waits.py").write_text(WAITS, encoding="utf-8")
    launch(PYTHON, folder, "one")
    return folder


def launch(how: list[str], place: Path, output: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the script to its end, from another folder."""
    line = [*how, str(place / "train.py"), "--output", str(place / output), *OPTIONS, *more]
    done = subprocess.run(line, cwd="/", env=environment(), capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def losses(place: Path, output: str) -> list[float]:
    """The loss of each step."""
    state = json.loads((place / output / "trainer_state.json").read_text(encoding="utf-8"))
    return [row["loss"] for row in state["log_history"] if "loss" in row]


def logits(place: Path, output: str) -> torch.Tensor:
    """What the saved deltas give on a fresh backbone."""
    backbone = deltanb.load_backbone(str(place / "tiny"))
    for name in ("adapter", "lora"):
        deltanb.load(str(place / output / name), backbone.model)
    return output_of(backbone.model.eval(), input_ids=torch.arange(4, 14)[None])


def assert_like_one(place: Path, output: str, *, exact: bool = False) -> None:
    expected = losses(place, "one")
    assert len(expected) == 30
    assert max(expected) - min(expected) > 0.01  # it learns
    tolerance = 0.0 if exact else 1e-5
    assert losses(place, output) == (expected if exact else pytest.approx(expected, abs=tolerance))
    assert torch.allclose(logits(place, output), logits(place, "one"), atol=tolerance)


def waiting(place: Path, output: str, how: list[str], step: int, rank: int = 0) -> tuple[subprocess.Popen[str], int]:
    """A run that waits at a step, and the process that does."""
    file = place / f"{output}.pid"
    extra = {"WAIT_AT": str(step), "WAIT_RANK": str(rank), "WAIT_FILE": str(file)}
    line = [*how, str(place / "waits.py"), str(place / "train.py"), "--output", str(place / output), *OPTIONS]
    started = subprocess.Popen(line, cwd="/", env=environment(**extra), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return started, _appears(file, lambda: started.poll() is None)


def _appears(file: Path, alive: Callable[[], bool]) -> int:
    end = time.monotonic() + 120
    while not file.exists():
        assert alive(), "the run ended before the step"
        assert time.monotonic() < end, "the run did not come to the step"
        time.sleep(0.05)
    return int(file.read_text(encoding="utf-8"))


def test_two_processes_learn_what_one_learns(place: Path) -> None:
    done = launch(TORCHRUN, place, "two")
    assert_like_one(place, "two")
    assert done.stdout.count("saved: ") == 1  # by the first alone
    assert sorted(path.name for path in (place / "two").iterdir() if path.is_dir()) == ["adapter", "checkpoint-25", "checkpoint-30", "lora"]
    assert {path.name for path in (place / "two" / "checkpoint-30").glob("rng_state*")} == {"rng_state_0.pth", "rng_state_1.pth"}


def test_accelerate_launches_it(place: Path) -> None:
    launch(
        [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--main_process_port", free_port()],
        place,
        "launched",
    )
    assert_like_one(place, "launched")


def test_parts_of_a_step_are_learned_as_one(place: Path) -> None:
    launch(PYTHON, place, "parts", "--accumulate", "2")
    assert_like_one(place, "parts")


def test_checkpoints_hold_what_trains_alone(place: Path) -> None:
    size = (place / "one" / "checkpoint-30" / "model.safetensors").stat().st_size
    assert size < (place / "tiny" / "model.safetensors").stat().st_size / 4


def test_a_killed_run_goes_on(place: Path) -> None:
    started, pid = waiting(place, "killed", PYTHON, step=22)
    os.kill(pid, signal.SIGKILL)
    assert started.wait(60) == -signal.SIGKILL
    assert last_checkpoint(place / "killed") == str(place / "killed" / "checkpoint-20")
    torn = place / "killed" / "checkpoint-21"  # as a kill in the middle of writing leaves it
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    refused = subprocess.run(
        [*PYTHON, str(place / "train.py"), "--output", str(place / "killed")],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "--resume" in refused.stderr
    assert "Traceback" not in refused.stderr
    launch(PYTHON, place, "killed", "--resume")
    assert_like_one(place, "killed", exact=True)
    launch(PYTHON, place, "killed", "--resume")  # there is nothing left to do
    assert_like_one(place, "killed", exact=True)


def test_one_of_two_killed_is_said_and_the_run_goes_on(place: Path) -> None:
    started, pid = waiting(place, "lost", TORCHRUN, step=12, rank=1)
    os.kill(pid, signal.SIGKILL)
    said, _ = started.communicate(timeout=100)
    assert started.returncode == 1
    assert "SIGKILL" in said or "lost another process" in said
    assert last_checkpoint(place / "lost") == str(place / "lost" / "checkpoint-10")
    launch(TORCHRUN, place, "lost", "--resume")
    assert_like_one(place, "lost")


def test_the_process_that_is_left_says_what_to_do(place: Path) -> None:
    """Without torchrun, which would end it: as under SLURM or on another machine."""
    file, output = place / "left.pid", place / "left"
    line = [*PYTHON, str(place / "waits.py"), str(place / "train.py"), "--output", str(output), *OPTIONS]
    shared = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
        "WAIT_AT": "7",
        "WAIT_RANK": "1",
        "WAIT_FILE": str(file),
    }
    both = [
        subprocess.Popen(
            line, env=environment(RANK=str(r), LOCAL_RANK=str(r), **shared), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for r in range(2)
    ]
    os.kill(_appears(file, lambda: all(one.poll() is None for one in both)), signal.SIGKILL)
    _, said = both[0].communicate(timeout=100)
    both[1].communicate(timeout=20)
    assert both[0].returncode == 1
    assert "process 0 of 2 lost another process" in said
    assert f"{output / 'checkpoint-5'} is whole: run the same line again with --resume" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--data", "no-such-file.csv"], "no-such-file.csv"),
        (["--batch", "9000"], "a step takes 9000"),
        (["--backbone", "/no/such/folder"], "/no/such/folder"),
        (["--output", "/proc/nothing"], "cannot be written"),
        (["--learning-rate", "fast"], "invalid float"),
    ],
)
def test_a_mistake_in_the_line_is_one_paragraph(place: Path, more: list[str], says: str) -> None:
    line = [*PYTHON, str(place / "train.py"), "--output", str(place / "wrong"), *more]
    done = subprocess.run(line, cwd="/", env=environment(), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
