"""Whatever a student types wrongly: one clear paragraph, no stack trace, a way on, and a workbench as it was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb.checkpoints import _files
from tests.models import bart, bert, output_of, stir
from tests.test_magics import bench_of, fails, one_shell, run, shell

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltanb._errors import DeltaError

__all__ = ["one_shell", "shell"]


@pytest.fixture
def ready(shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A tiny BERT with a trained adapter and a head of its own, one parked LoRA, a save, and some variables."""
    monkeypatch.chdir(tmp_path)
    shell.user_ns |= {"net": bert(), "other": bart(), "rank": 4, "nothing": None, "table": [("good", 1), ("bad", 0)], "words": ["fc1", 3]}
    run(shell, "%delta backbone net;")
    run(shell, "%delta attach lora query;")
    run(shell, "%delta detach lora;")
    run(shell, "%delta attach adapter output.dense bottleneck_dim=2;")
    run(shell, "%delta freeze --exclude deltas classifier;")
    stir(parameter for parameter in shell.user_ns["net"].parameters() if parameter.requires_grad)
    run(shell, "%delta save mine;")
    return shell


def fingerprint(shell: Any) -> list[Any]:
    """The workbench: structure, flags, weights, deltas attached and parked, steps; and the user's variables."""
    bench = bench_of(shell)
    held = [list(bench.attached.items()), list(bench.parked.items()), len(bench.steps), len(bench.undone), bench.data_set, bench.code()]
    held.append({name: id(value) for name, value in shell.user_ns.items() if not name.startswith("_") and name not in ("In", "Out")})
    if not bench.has_backbone:
        return held
    model = bench.model
    flags = [(name, parameter.requires_grad) for name, parameter in model.named_parameters()]
    values = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    modes = {module.training for module in model.modules()}
    return [
        *held,
        str(model),
        flags,
        list(model.state_dict()),
        modes,
        output_of(model).tolist(),
        {key: v.tolist() for key, v in values.items()},
    ]


def refused(shell: Any, line: str, *words: str) -> DeltaError:
    """Carry out a line that must be refused in the right manner."""
    before = fingerprint(shell)
    error, drawn = fails(shell, line)
    assert fingerprint(shell) == before
    assert drawn.startswith("\x1b[31mDeltaError\x1b[0m: ")
    for sign in ("Traceback", "line ", 'File "', "-->", "Error:", ".py"):
        assert sign not in drawn.removeprefix("\x1b[31mDeltaError\x1b[0m: "), drawn
    assert len(drawn.strip().splitlines()) <= 12
    flat = " ".join(drawn.split())
    for word in words:
        assert word in flat, drawn
    assert error.what.endswith((".", ")"))
    assert error.expected or error.nearest or error.try_
    return error


# Line, what the message names, and the command that it offers.
LINES: list[tuple[str, tuple[str, ...], str]] = [
    # Unknown words
    ("attahc adapter fc2", ("'attahc'", "attach"), "%delta attach adapter"),
    ("xyzzy", ("'xyzzy'", "One of: backbone"), "%delta help"),
    ("attach adaptor output.dense", ("'adaptor'", "Nearest: adapter"), "%delta help attach"),
    ("attach adapter output.dense botleneck_dim=2", ("'botleneck_dim'", "Nearest: bottleneck_dim"), "%delta help attach adapter"),
    ("attach bitfit query --rank 3", ("'rank'", "no options of its own"), "%delta help attach bitfit"),
    ("train movie_reviews --epoch 1", ("'epoch'", "Nearest: --epochs"), "%delta help train"),
    ("graph --deep", ("'deep'", "--depth"), "%delta help graph"),
    ("backbone minilmm", ("'minilmm'", "minilm"), "%delta backbone minilm"),
    ("backbone nowhere/at-all", ("'nowhere/at-all'", "minilm", "--random"), "%delta backbone"),
    ("backbone ./not-there", ("not-there",), "%delta backbone minilm"),
    ("backbone minilm --task poetry", ("'poetry'", "classification"), ""),
    ("data movie_reviewz", ("'movie_reviewz'", "movie_reviews"), ""),
    ("train reviews.csv", ("'reviews.csv'", "movie_reviews"), ""),
    ("help attahc", ("'attahc'", "Nearest: attach"), "%delta attach"),
    ("detach reviews", ("'reviews'", "Attached: adapter"), "%delta params"),
    ("reattach revews", ("'revews'", "Parked: lora"), "%delta reattach lora"),
    ("use revews", ("'revews'", "parked: lora"), "%delta use lora"),
    ("use none adapter", ("stands alone",), "%delta use adapter"),
    ("use", ("use",), "%delta use adapter"),
    ("match {wher}", ("'wher'",), ""),
    ("params --by colour", ("'colour'", "module, type or delta"), "%delta params --by type"),
    # Patterns
    ("match fc2", ("'fc2'", "output.dense"), "%delta match output.dense"),
    ("attach adapter fc2", ("'fc2'", "Nearest: output.dense"), "%delta match output.dense"),
    ("attach adapter output.dense fc9", ("'fc9'", "'output.dense' would match"), "%delta graph"),
    ("attach lora query --exclude fc9", ("'fc9'",), "%delta"),
    ("freeze --exclude deltas klassifier", ("'klassifier'", "classifier"), "%delta match classifier"),
    ("attach adapter [r]out(put", ("position 7", "missing )"), "%delta match"),
    ("match [r](.*)*x", ("(.*)*x",), "%delta"),
    ("match layer.5-2.query", ("5-2",), "%delta match"),
    ("match query.bias", ("query.bias", "parameter"), ""),
    ("match {rank}", ("{rank} holds 4",), ""),
    ("match {words}", ("{words} holds ['fc1', 3]",), ""),
    ("freeze --exclude {nothing}", ("{nothing} holds None",), ""),
    # Values
    ("attach adapter output.dense bottleneck_dim=0", ("bottleneck_dim", "from 1", "'0'"), "%delta help attach adapter"),
    ("attach adapter output.dense bottleneck_dim=-1", ("bottleneck_dim", "from 1", "'-1'"), "%delta help attach adapter"),
    ("attach adapter output.dense --bottleneck-dim abc", ("bottleneck_dim", "whole number", "'abc'"), "%delta help attach adapter"),
    ("attach adapter output.dense bottleneck_dim=2.5", ("bottleneck_dim", "'2.5'"), "%delta help attach adapter"),
    ("attach adapter output.dense bottleneck_dim=", ("bottleneck_dim", "''"), "%delta help attach adapter"),
    ("attach adapter output.dense bottleneck_dim={nothing}", ("bottleneck_dim", "None"), "%delta help attach adapter"),
    ("attach adapter output.dense non_linearity=reluu", ("'reluu'", "relu"), "%delta help attach adapter"),
    ("attach lora query dropout=1", ("lora_dropout", "below 1"), "%delta help attach lora"),
    ("train --lr fast", ("--lr", "a number", "'fast'"), "%delta help train"),
    ("train --epochs nan", ("--epochs", "'nan'"), "%delta help train"),
    ("graph --depth {table}", ("--depth", "whole number"), "%delta help graph"),
    ("backbone minilm --random=perhaps", ("--random", "'perhaps'"), "%delta help backbone"),
    ("attach adapter output.dense --name", ("--name needs a value",), "%delta help attach"),
    ("predict 'It is", ("quote",), "%delta predict"),
    ("graph --as for", ("'for'",), "--as result"),
    # Words too few or too many
    ("attach", ("needs a delta type",), "%delta attach adapter"),
    ("backbone", ("needs a model",), "%delta backbone minilm"),
    ("match", ("needs a pattern",), "%delta match"),
    ("save", ("needs a folder",), "%delta save"),
    ("undo twice", ("'twice'",), "%delta help undo"),
    ("backbone bart tiny", ("'tiny'",), "%delta help backbone"),
    # What cannot be
    ("attach lora LayerNorm", ("LayerNorm", "Linear, Conv1D or Embedding"), "%delta attach bitfit LayerNorm"),
    ("attach lora layer.0", ("layer.0", "Linear"), "%delta attach lora"),
    ("attach adapter output.dense --name bias", ("'bias'", "already has an attribute"), "--name bias_delta"),
    ("attach adapter output.dense --name 'my delta'", ("'my delta'", "identifier"), "--name"),
    ("attach lora query --name classifier", ("'classifier'",), "--name"),
    ("attach bitfit classifier", ("classifier.bias", "'adapter'", "'bitfit'"), "%delta detach adapter"),
    ("backbone {rank}", ("int",), "minilm"),
    ("train table", ("2 rows",), ""),
    ("evaluate", ("no data yet",), "%delta train movie_reviews"),
    ("predict 'fine'", ("tokenizer",), ""),
    # Folders
    ("load nowhere", ("'nowhere'", "not there"), "%delta load mine"),
    ("load .", ("no delta",), "%delta load mine"),
    ("load {rank}", ("{rank} holds 4",), ""),
    ("save mine lora", ("mine holds another delta", "--force"), "%delta save mine-2"),
    ("save mine nobody", ("'nobody'",), "%delta params"),
]


@pytest.mark.parametrize(("line", "words", "offer"), LINES, ids=[line for line, *_ in LINES])
def test_a_wrong_line_is_answered_and_changes_nothing(line: str, words: tuple[str, ...], offer: str, ready: Any) -> None:
    assert offer in refused(ready, f"%delta {line}", *words).try_


@pytest.mark.parametrize(
    "line",
    [
        "attach adapter fc2",
        "freeze",
        "match fc2",
        "graph",
        "params",
        "detach",
        "train movie_reviews",
        "save x",
        "log",
        "unfreeze",
        "remove",
    ],
)
def test_before_a_backbone_the_way_to_one_is_shown(line: str, shell: Any) -> None:
    assert refused(shell, f"%delta {line}", "no backbone yet").try_ == "%delta backbone minilm"


def damaged(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).write_bytes(change((folder / name).read_bytes())), None][1]


DAMAGE: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "truncated": (damaged("model.safetensors", lambda data: data[:-9]), ("model.safetensors", "truncated or altered")),
    "altered": (damaged("model.safetensors", lambda data: data[:-4] + b"\x00\x01\x02\x03"), ("model.safetensors", "altered")),
    "edited": (damaged("config.json", lambda data: data.replace(b'"gelu_new"', b'"relu"')), ("config.json", "non_linearity", "'relu'")),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), ("has no model.safetensors",)),
    "empty": (lambda folder: [path.unlink() for path in folder.iterdir()], ("no delta", "nothing")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_save_is_not_loaded(damage: str, ready: Any) -> None:
    change, words = DAMAGE[damage]
    change(Path("mine"))
    for line in ("load mine", "load mine --name again"):
        refused(ready, f"%delta {line}", "mine", *words)


def test_a_delta_of_another_backbone_is_not_loaded(ready: Any) -> None:
    run(ready, "%delta backbone other;")
    error = refused(ready, "%delta load mine", "BertForSequenceClassification", "BartForConditionalGeneration")
    assert error.expected == "A delta fits the backbone that it was saved from."
    ready.user_ns["wide"] = bert(hidden_size=32)
    run(ready, "%delta backbone wide;")
    refused(ready, "%delta load mine", "parameters differ")


def test_two_deltas_that_want_one_head_are_told_the_way_out(ready: Any) -> None:
    run(ready, "%delta reattach lora;")
    error = refused(ready, "%delta freeze --exclude deltas classifier", "classifier", "'adapter'", "'lora'")
    assert error.try_.startswith("%delta detach adapter")
    refused(ready, "%delta load mine --name again", "classifier", "'adapter'")


@pytest.mark.parametrize("reason", ["No space left on device", "Read-only file system", "Permission denied"])
def test_a_disk_that_cannot_be_written_leaves_the_old_save(reason: str, ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {path.name: path.read_bytes() for path in Path("mine").iterdir()}
    stir(bench_of(ready).attached["adapter"].parameters())

    def full(*_: object) -> None:
        raise OSError(28, reason)

    with monkeypatch.context() as patch:
        patch.setattr(_files, "_write", full)
        for folder in ("mine", "brand/new"):
            error = refused(ready, f"%delta save {folder}", folder, reason.lower(), "unchanged")
            assert error.try_.startswith("%delta save")
        bench_of(ready).saved_to.clear()
        patch.setattr(shutil, "copytree", full)
        refused(ready, "%delta save mine", "earlier session", reason)
    assert {path.name: path.read_bytes() for path in Path("mine").iterdir()} == old
    assert not Path("brand").exists()


def test_a_file_where_a_folder_should_be(ready: Any) -> None:
    Path("notes.txt").write_text("mine")
    refused(ready, "%delta save notes.txt", "notes.txt", "is a file")
    refused(ready, "%delta load notes.txt", "notes.txt", "is a file")
    refused(ready, "%delta save notes.txt/below", "notes.txt")
    assert Path("notes.txt").read_text() == "mine"


def test_a_wrong_line_in_a_cell_stops_it_there(ready: Any) -> None:
    error, _ = fails(ready, "%%delta\ndetach adapter\nattach adapter fc2\nremove lora")
    assert "fc2" in error.what
    assert list(bench_of(ready).parked) == ["lora", "adapter"]
    assert torch.is_tensor(output_of(ready.user_ns["net"]))
