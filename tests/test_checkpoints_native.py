"""The native format: what is saved comes back bit for bit, a crash leaves the old or the new, damage is named."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from deltanb import AdapterModel, AutoDeltaModel, BitFitModel, LoraModel, load, save
from deltanb._errors import DeltaError
from deltanb.checkpoints import read
from tests.models import bart, bert, output_of, stir

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from deltanb.engine import DeltaModel

MAKERS: dict[str, Callable[..., DeltaModel]] = {
    "adapter": lambda model, **more: AdapterModel(model, bottleneck_dim=3, modified_modules=["output.dense"], **more),
    "lora": lambda model, **more: LoraModel(model, lora_r=2, modified_modules=["query", "value"], **more),
    "bitfit": lambda model, **more: BitFitModel(model, modified_modules=["attention", "intermediate"], **more),
}
CONFIG, WEIGHTS = "config.json", "model.safetensors"


def trained(kind: str, model: nn.Module, **more: Any) -> DeltaModel:
    """A delta with a head and a layer norm, as training leaves them."""
    delta = MAKERS[kind](model, **more)
    delta.freeze_module(exclude=["deltas", "classifier", "embeddings.LayerNorm"])
    stir([parameter for parameter in model.parameters() if parameter.requires_grad])
    return delta


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("adapter", bert()).save_finetuned(tmp_path_factory.mktemp("saves") / "reviews")


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_fresh_backbone_with_what_was_saved_is_the_same_model(kind: str, tmp_path: Path) -> None:
    model, fresh = bert(), bert()
    delta = trained(kind, model, name="reviews")
    wanted = output_of(model)
    assert not torch.equal(output_of(fresh), wanted)
    delta.save_finetuned(tmp_path / "d")
    again = load(tmp_path / "d", fresh, name="other")
    assert torch.equal(output_of(fresh), wanted)
    assert again.name == "other"
    before = delta.tensors(kind)
    assert all(torch.equal(tensor, before[name]) for name, tensor in again.tensors(kind).items())
    again.detach()
    assert torch.equal(output_of(fresh), output_of(bert()))


@pytest.mark.parametrize("kind", MAKERS)
def test_on_disk_is_all_that_the_delta_owns_under_the_default_name(kind: str, tmp_path: Path) -> None:
    model = bert()
    delta = trained(kind, model, name="reviews")
    other = LoraModel(model, modified_modules=["key"], name="other")
    stir(other.parameters())
    model.requires_grad_(requires_grad=False)
    tensors = load_file(save(delta, tmp_path / "d") / WEIGHTS)
    assert tensors.keys() == delta.tensors(kind).keys()
    assert {"classifier.weight", "classifier.bias", "bert.embeddings.LayerNorm.weight"} <= tensors.keys()
    assert not [name for name in tensors if "other" in name or "reviews" in name]
    delta.detach()
    assert load_file(save(delta, tmp_path / "e") / WEIGHTS).keys() == tensors.keys()
    assert (tmp_path / "d" / WEIGHTS).read_bytes() == (tmp_path / "e" / WEIGHTS).read_bytes()


def test_a_file_in_the_way_and_a_whole_model_are_left_alone(tmp_path: Path) -> None:
    delta = MAKERS["lora"](bert())
    bert().save_pretrained(tmp_path / "model")
    (tmp_path / "file").write_text("mine")
    for name, reason in (("model", "something else"), ("file", "is a file")):
        with pytest.raises(DeltaError, match=reason):
            delta.save_finetuned(tmp_path / name)
    assert len(load_file(tmp_path / "model" / WEIGHTS)) == len(bert().state_dict())
    assert read(delta.save_finetuned(tmp_path / "model", force=True)).name == "lora"


def test_two_saves_are_the_same_bytes_and_the_settings_are_sorted(saved: Path, tmp_path: Path) -> None:
    delta = trained("adapter", bert())
    for _ in range(5):
        delta.save_finetuned(tmp_path / "again")
        for name in (CONFIG, WEIGHTS):
            assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()
    data = json.loads((saved / CONFIG).read_text())
    assert list(data) == sorted(data)
    assert data["freeze"] == [{"exclude": ["deltas", "classifier", "embeddings.LayerNorm"], "scope": "", "set_state_dict": True}]
    assert (data["backbone"]["class"], data["bottleneck_dim"], data["name"]) == ("BertForSequenceClassification", 3, "adapter")
    assert sorted(path.name for path in saved.iterdir()) == [CONFIG, WEIGHTS]


@pytest.mark.parametrize("training", [True, False])
def test_after_loading_nothing_is_frozen_and_the_mode_is_untouched(saved: Path, training: bool) -> None:  # noqa: FBT001
    model = bert().train(training)
    AutoDeltaModel.from_finetuned(saved, backbone_model=model)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training is training for module in model.modules())
    assert len(model.state_dict()) > len(load_file(saved / WEIGHTS))


def test_names_of_other_deltas_in_a_declaration_do_not_hinder_loading(tmp_path: Path) -> None:
    model = bert()
    delta, other = MAKERS["adapter"](model), MAKERS["lora"](model)
    delta.freeze_module(exclude=["adapter", "lora", "classifier"])
    assert read(delta.save_finetuned(tmp_path / "d")).freeze[0]["exclude"] == ["adapter", "classifier"]
    assert other.attached


class Crash(BaseException):
    """The machine stops here: nothing after it happens."""


def fail_from(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
    """Make the ``step``-th act on the disk fail; after a crash there is no tidying up either."""
    done = {"count": 0}
    tidying = (Path.unlink, Path.rmdir) if isinstance(error, Crash) else ()

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*args: Any, **more: Any) -> Any:
            if real is Path_open and args[1:] != ("wb",):
                return real(*args, **more)
            done["count"] += real not in tidying
            if done["count"] >= step:
                raise error
            return real(*args, **more)

        return act

    Path_open = Path.open  # noqa: N806
    for owner, function in ((os, os.fsync), *((Path, function) for function in (Path.replace, Path_open, *tidying))):
        monkeypatch.setattr(owner, function.__name__, failing(function))


@pytest.mark.parametrize("error", [Crash(), KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))], ids=repr)
@pytest.mark.parametrize("step", range(1, 7))  # open, fsync, open, fsync, move, move
@pytest.mark.parametrize("place", ["copy", "new/deeper"])
def test_a_crash_at_any_step_of_saving_leaves_the_old_or_the_new(
    error: BaseException, step: int, place: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy.parent / place
    old = read(copy).tensors
    delta = trained("adapter", bert())
    stir(delta.parameters(), seed=9)
    with monkeypatch.context() as patch:
        fail_from(patch, step, error)
        with pytest.raises((Crash, KeyboardInterrupt, DeltaError)) as caught:
            delta.save_finetuned(folder)
    assert not isinstance(caught.value, DeltaError) or "no space left" in str(caught.value)
    moved = step == 6
    if place == "copy" or moved:
        wanted = delta.tensors() if moved else old
        values = read(folder).tensors
        assert all(torch.equal(values[name], tensor) for name, tensor in wanted.items())
    elif not isinstance(error, Crash):
        assert not (copy.parent / "new").exists()
    delta.save_finetuned(folder)
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]


def run(tool: str, *words: object) -> int:
    """Run a tool that only root may; its return code."""
    path = shutil.which(tool)
    return subprocess.run([path, *map(str, words)], capture_output=True, check=False).returncode if path else 1


@pytest.mark.parametrize(("options", "reason"), [("size=16k", "no space left"), ("ro", "read-only")])
def test_a_full_or_read_only_disk_is_named_and_the_old_save_survives(options: str, reason: str, copy: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", disk):
        pytest.skip("only root can mount")
    try:
        old = Path(shutil.copytree(copy, disk / "d"))
        assert not run("mount", "-o", f"remount,{options}", disk)
        for folder in (old, disk / "new" / "deeper"):
            with pytest.raises(DeltaError, match=reason) as caught:
                AdapterModel(bart(), modified_modules=["fc2"]).save_finetuned(folder, force=True)
            assert str(folder) in str(caught.value)
        assert sorted(path.name for path in disk.rglob("*")) == [CONFIG, "d", WEIGHTS]
        assert torch.equal(read(old).tensors["classifier.weight"], read(copy).tensors["classifier.weight"])
    finally:
        assert not run("umount", disk)
