"""Folders that are damaged, edited, of something else, or of another backbone: each is named, and the model stays as it was."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from deltanb import AdapterModel, LoraModel, deltas, load
from deltanb._errors import DeltaError
from deltanb.checkpoints import native, read
from tests.models import bart, bert, make, output_of, same_state, stir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

CONFIG, WEIGHTS = "config.json", "model.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = bert()
    delta = LoraModel(model, lora_r=1, modified_modules=["query"])
    delta.freeze_module(exclude=["deltas", "classifier"])
    stir([parameter for parameter in model.parameters() if parameter.requires_grad])
    return delta.save_finetuned(tmp_path_factory.mktemp("saves") / "reviews")


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """The model, its deltas and its mode are the same afterwards."""
    tree, keys, flags, values = same_state(model)
    yield
    now = same_state(model)
    assert (tree, keys, flags) == now[:3]
    assert all(torch.equal(values[name], now[3][name]) for name in values)
    assert not deltas(model)


def refused(folder: Path | str, model: nn.Module | None = None, **more: Any) -> DeltaError:
    model = bert() if model is None else model
    with unchanged(model), pytest.raises(DeltaError) as caught:
        load(folder, model, **more)
    assert Path(folder).name in str(caught.value)
    return caught.value


def test_a_truncated_file_is_refused_whatever_is_left_of_it(copy: Path) -> None:
    whole = (copy / WEIGHTS).read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 400, len(whole) - 1):
        (copy / WEIGHTS).write_bytes(whole[:length])
        assert "truncated or altered" in str(refused(copy)), length


@pytest.mark.parametrize("alone", [False, True], ids=["with config.json", "alone"])
def test_a_flipped_byte_is_refused_wherever_it_is(copy: Path, alone: bool) -> None:  # noqa: FBT001
    whole = (copy / WEIGHTS).read_bytes()
    if alone:
        (copy / CONFIG).unlink()
    for at in range(0, len(whole), 7):
        for mask in (0x01, 0x80):
            changed = bytearray(whole)
            changed[at] ^= mask
            (copy / WEIGHTS).write_bytes(changed)
            with pytest.raises(DeltaError, match="copy"):
                read(copy)
    assert "altered" in str(refused(copy))


def with_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors and seal them anew, as another program would that means well."""
    path = folder / WEIGHTS
    with safe_open(path, "pt") as file:
        data = json.loads(file.metadata()["deltanb"])
    tensors = load_file(path)
    change(tensors)
    data["tensors"]["sha256"] = native.tensors_digest(tensors)
    data["sha256"] = native.seal(data)
    save_file(tensors, path, metadata={"deltanb": json.dumps(data)})
    (folder / CONFIG).write_text(json.dumps(data))


LORA_A = "bert.encoder.layer.0.attention.self.query.lora.lora_A"
CHANGES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "missing": (lambda tensors: tensors.pop(LORA_A), "1 missing"),
    "surplus": (lambda tensors: tensors.update({"bert.nowhere.weight": torch.ones(2)}), "1 surplus (bert.nowhere.weight)"),
    "misshapen": (lambda tensors: tensors.update({LORA_A: torch.ones(2, 16)}), "1 misshapen"),
    "none": (lambda tensors: tensors.clear(), "4 missing"),
}


@pytest.mark.filterwarnings("ignore:the backbone has other weights")
@pytest.mark.parametrize("change", CHANGES)
def test_tensors_that_do_not_fit_are_named(change: str, copy: Path) -> None:
    alter, words = CHANGES[change]
    with_tensors(copy, alter)
    text = str(refused(copy))
    assert words in text
    assert "nowhere" in text or LORA_A in text
    model = bert()
    with pytest.warns(UserWarning, match=words.split(" (")[0]):
        delta = load(copy, model, strict=False)
    assert delta.attached


def test_an_edited_config_is_refused_and_the_setting_named(copy: Path) -> None:
    data = json.loads((copy / CONFIG).read_text())
    (copy / CONFIG).write_text(json.dumps({**data, "lora_alpha": 99.0}))
    assert "lora_alpha is 99.0 there and was saved as 16.0" in str(refused(copy))
    for text in ("", "[1]", "{", '{"delta_type": "lora"}', "\x00", "[" * 10_000):
        (copy / CONFIG).write_text(text)
        refused(copy)


def test_a_config_from_before_a_crash_gives_way_to_the_weights(copy: Path, saved: Path) -> None:
    data = json.loads((copy / CONFIG).read_text())
    (copy / CONFIG).write_text(json.dumps({**data, "tensors": {}, "lora_alpha": 99.0}))
    with pytest.warns(UserWarning, match="older than"):
        assert load(copy, bert()).config == read(saved).config


def weights_of_a_model(folder: Path) -> None:
    bert().save_pretrained(folder)
    (folder / CONFIG).unlink()


def only(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        (folder / name).unlink()

    return remove


def peft(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


@pytest.mark.parametrize(
    ("make_folder", "words"),
    [
        (lambda folder: bert().save_pretrained(folder), "a whole model"),
        (weights_of_a_model, "no settings of a delta"),
        (only(WEIGHTS), "has no model.safetensors"),
        (peft, "PEFT"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "nothing"),
        (lambda folder: [shutil.rmtree(folder), folder.write_text("")], "is a file"),
        (shutil.rmtree, "is not there"),
    ],
    ids=["whole model", "weights of a model", "no weights", "peft", "empty", "a file", "not there"],
)
def test_a_folder_that_is_no_delta_is_told_apart(make_folder: Callable[[Path], object], words: str, copy: Path) -> None:
    make_folder(copy)
    assert words in str(refused(copy))


def test_without_config_the_settings_in_the_weights_are_enough(copy: Path) -> None:
    (copy / CONFIG).unlink()
    with pytest.warns(UserWarning, match=r"has no config\.json"):
        assert load(copy, bert()).attached


def test_the_nearest_saved_folder_is_offered(saved: Path) -> None:
    assert refused(saved.with_name("review")).try_ == f"%delta load {saved}"


@pytest.mark.parametrize("other", [lambda: bert(hidden_size=32), lambda: bert(num_hidden_layers=1), bart, lambda: make("roberta")])
def test_another_backbone_is_refused(other: Callable[[], nn.Module], saved: Path) -> None:
    model = other()
    error = refused(saved, model)
    assert "was saved from BertForSequenceClassification" in error.what
    assert type(model).__name__ in error.what


def test_other_weights_of_the_same_shape_get_a_warning(saved: Path, recwarn: pytest.WarningsRecorder) -> None:
    model = bert()
    stir(model.classifier.parameters())  # what the delta brings along does not count
    load(saved, model)
    assert not recwarn.list
    with pytest.warns(UserWarning, match="other weights"):
        load(saved, bert(seed=1))


@pytest.mark.filterwarnings("ignore:2 misshapen")
def test_not_strict_takes_what_fits_of_another_backbone(saved: Path) -> None:
    with pytest.warns(UserWarning, match="differ"):
        delta = load(saved, bert(num_labels=5), strict=False)
    assert torch.equal(delta.tensors()[LORA_A], read(saved).tensors[LORA_A])


def test_a_name_that_is_taken_or_impossible_is_refused(saved: Path) -> None:
    model = bert()
    for name in ("bias", "query", "not a name"):
        with unchanged(model), pytest.raises(DeltaError, match=name):
            load(saved, model, name=name)
    assert [load(saved, model).name, list(deltas(model))] == ["lora", ["lora"]]


def test_a_head_that_another_delta_owns_is_not_overwritten(saved: Path) -> None:
    model = bert()
    first = AdapterModel(model, modified_modules=["output.dense"])
    first.freeze_module(exclude=["deltas", "classifier"])
    wanted = output_of(model)
    with pytest.raises(DeltaError, match="belongs to the delta 'adapter'"):
        load(saved, model)
    assert list(deltas(model)) == ["adapter"]
    assert torch.equal(output_of(model), wanted)


def test_a_skeleton_has_nothing_to_save(tmp_path: Path) -> None:
    delta = LoraModel(make("bert", device="meta"), modified_modules=["query"])
    with pytest.raises(DeltaError, match="skeleton"):
        delta.save_finetuned(tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_onto_a_skeleton_comes_the_structure_and_a_warning(saved: Path) -> None:
    with pytest.warns(UserWarning, match="skeleton"):
        assert load(saved, make("bert", device="meta")).hosts == read(saved).hosts


def test_the_plain_torch_way_works_too(tmp_path: Path) -> None:
    model, fresh = bert(), bert()
    delta = LoraModel(model, lora_r=2, modified_modules=["query"])
    delta.freeze_module(exclude=["deltas", "classifier"])
    stir([parameter for parameter in model.parameters() if parameter.requires_grad])
    torch.save(model.state_dict(), tmp_path / "delta.pt")
    state = torch.load(tmp_path / "delta.pt")
    assert state.keys() == delta.tensors().keys()
    LoraModel(fresh, lora_r=2, modified_modules=["query"])
    assert not fresh.load_state_dict(state, strict=False).unexpected_keys
    assert torch.equal(output_of(fresh), output_of(model))
