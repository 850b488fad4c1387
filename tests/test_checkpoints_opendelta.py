"""Folders that OpenDelta wrote: the same logits, the same names, a clean way back; and no code of theirs runs."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from deltanb import deltas, load
from deltanb._errors import DeltaError
from deltanb.checkpoints import read
from deltanb.checkpoints._opendelta_types import ENTRIES
from deltanb.engine import DELTA_TYPES
from tests.models import bart, trainable

HERE = Path(__file__).parent / "fixtures" / "opendelta"
CASES = [(family, kind) for family in ("bart", "t5") for kind in ENTRIES if (HERE / family / kind).is_dir()]
# Where OpenDelta computes something else than is meant, a script has to ask for it; the reader does so by itself.
OTHERWISE = {
    ("bart", "soft_prompt"): {"shift_positions": True},
    ("t5", "prefix"): {"shift_positions": True, "shared_position_bias": False},
}
SIZES = {
    "bart": "d_model encoder_layers decoder_layers encoder_ffn_dim decoder_ffn_dim encoder_attention_heads decoder_attention_heads",
    "t5": "d_model d_kv d_ff num_layers num_decoder_layers num_heads",
}
IDS = "vocab_size max_position_embeddings pad_token_id bos_token_id eos_token_id decoder_start_token_id"
BINARY = "pytorch_model.bin"


def facts(*parts: str) -> Any:
    return json.loads(HERE.joinpath(*parts).read_text())


def backbone(family: str) -> Any:
    """The tiny backbone of the fixtures, on the transformers that is installed."""
    config = facts(family, "backbone_config.json")
    kind = facts(family, "base.json")["class"]
    sizes = {key: config[key] for key in f"{SIZES[family]} {IDS}".split() if key in config}
    model = getattr(transformers, kind)(getattr(transformers, kind.replace("ForConditionalGeneration", "Config"))(**sizes))
    missing, surplus = model.load_state_dict(load_file(HERE / family / "backbone.safetensors"), strict=False)
    assert not surplus
    assert not [name for name in missing if "embed_tokens" not in name and "lm_head" not in name]
    return model.eval()


def logits(model: Any, family: str) -> torch.Tensor:
    with torch.no_grad():
        return model(**{key: torch.tensor(value) for key, value in facts(family, "base.json")["inputs"].items()}).logits


def assert_close(found: torch.Tensor, wanted: Any, tolerance: float) -> None:
    torch.testing.assert_close(found, torch.tensor(wanted), atol=tolerance, rtol=0)


@pytest.mark.parametrize("family", SIZES)
def test_the_backbone_of_the_fixtures_is_rebuilt(family: str) -> None:
    assert_close(logits(backbone(family), family), facts(family, "base.json")["base_logits"], 1e-5)


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_logits_and_names_are_opendeltas(family: str, kind: str) -> None:
    model, expected = backbone(family), facts(family, kind, "expected.json")
    delta = load(HERE / family / kind, model)
    assert_close(logits(model, family), expected["logits"], 5e-5)
    assert {name: list(tensor.shape) for name, tensor in delta.tensors().items()} == expected["state_dict"]
    assert delta.hosts == [name for name, _ in model.named_modules() if name in set(delta.hosts)]
    delta.freeze_module(exclude=expected["exclude"])
    assert trainable(model) == expected["trainable"]
    assert model.state_dict().keys() == expected["state_dict"].keys()


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_detaching_gives_the_backbone_back_bit_for_bit(family: str, kind: str) -> None:
    model = backbone(family)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tree, wanted = str(model), logits(model, family)
    delta = load(HERE / family / kind, model)
    changed = logits(model, family)
    assert not torch.equal(changed, wanted)
    delta.detach()
    assert torch.equal(logits(model, family), wanted)
    assert str(model) == tree
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    delta.attach()
    assert torch.equal(logits(model, family), changed)


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_saved_natively_and_loaded_again_it_is_the_same(family: str, kind: str, tmp_path: Path) -> None:
    model, fresh = backbone(family), backbone(family)
    load(HERE / family / kind, model).save_finetuned(tmp_path / "d")
    assert read(tmp_path / "d").format == "deltanb"
    load(tmp_path / "d", fresh, name="again")
    assert torch.equal(logits(fresh, family), logits(model, family))


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_a_script_that_fills_a_new_delta_itself_gets_the_same_logits(family: str, kind: str) -> None:
    """Constructor, then ``load_state_dict(strict=False)``, as OpenDelta's own users write it."""
    model, expected = backbone(family), facts(family, kind, "expected.json")
    options = {key: value for key, value in expected["constructor"].items() if key != "class"}
    DELTA_TYPES[kind](backbone_model=model, **options, **OTHERWISE.get((family, kind), {}))
    state = torch.load(HERE / family / kind / BINARY)
    assert not model.load_state_dict(state, strict=False).unexpected_keys
    assert_close(logits(model, family), expected["logits"], 5e-5)


class WouldRun:
    """Pickled, it asks for a file to be made when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("whole", [True, False], ids=["torch.save", "plain pickle"])
def test_pickled_code_is_refused_and_never_runs(whole: bool, protocol: int, tmp_path: Path) -> None:  # noqa: FBT001
    trap = tmp_path / "it ran"
    folder = Path(shutil.copytree(HERE / "bart" / "adapter", tmp_path / "d"))
    state = {**torch.load(folder / BINARY), "extra": WouldRun(trap)}
    if whole:
        torch.save(state, folder / BINARY, pickle_protocol=protocol)
    else:
        (folder / BINARY).write_bytes(pickle.dumps(state, protocol=protocol))
    model = backbone("bart")
    with pytest.raises(DeltaError, match="would run code is refused") as caught:
        load(folder, model)
    assert not trap.exists()
    assert not deltas(model)
    assert "weights_only" not in str(caught.value)  # torch's message says how to run it after all


@pytest.mark.parametrize("kind", ["ia3", "", None, 3, ["lora"]])
def test_a_type_that_is_not_known_is_refused_by_name(kind: object, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"delta_type": kind}))
    model = bart()
    with pytest.raises(DeltaError, match=f"{re.escape(repr(kind))}.*OpenDelta.*{', '.join(ENTRIES)}"):
        load(tmp_path, model)
    assert not deltas(model)


@pytest.mark.parametrize("length", [0, 1, 100, 2000, -1])
def test_truncated_weights_are_refused(length: int, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(HERE / "bart" / "lora", tmp_path / "d"))
    (folder / BINARY).write_bytes((folder / BINARY).read_bytes()[:length])
    with pytest.raises(DeltaError, match=r"pytorch_model\.bin cannot be read"):
        load(folder, backbone("bart"))


def test_missing_weights_and_weights_of_something_else_are_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(HERE / "bart" / "lora", tmp_path / "d"))
    for state, words in (
        ({"a.weight": torch.ones(2)}, "no tensor of the type 'lora'"),
        ([torch.ones(2)], "something else than named tensors"),
        (None, "has no pytorch_model.bin"),
    ):
        (folder / BINARY).unlink()
        if state is not None:
            torch.save(state, folder / BINARY)
        with pytest.raises(DeltaError, match=words):
            load(folder, backbone("bart"))


def test_the_other_backbone_is_refused() -> None:
    with pytest.raises(DeltaError, match="T5ForConditionalGeneration; this backbone is a BartForConditionalGeneration"):
        load(HERE / "t5" / "lora", backbone("bart"))
    with pytest.raises(DeltaError, match=r"misshapen .*fc2\.adapter"):
        load(HERE / "bart" / "adapter", bart(d_model=32))
