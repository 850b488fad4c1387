"""Backbones in 4 and 8 bits, and where their weights go: counted right, deltas on them train, save and load."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
import torch

import deltanb
from deltanb._errors import DeltaError
from deltanb.backbones import _placement
from deltanb.structure import snapshot
from deltanb.workbench import Workbench
from tests.models import bert, output_of
from tests.test_cluster_script import local_backbone
from tests.test_magics import fails, one_shell, run, shell
from tests.tiny_text import films, light_collections

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["light_collections", "one_shell", "shell"]

THERE = importlib.util.find_spec("bitsandbytes") is not None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return local_backbone(tmp_path / "tiny", hidden_size=64, intermediate_size=128, num_attention_heads=4)


def test_a_device_map_changes_nothing_else(folder: Path) -> None:
    plain, mapped = deltanb.load_backbone(str(folder)), deltanb.load_backbone(str(folder), device_map="cpu")
    assert 'device_map="cpu"' in mapped.code
    assert "device map cpu" in mapped.source
    assert torch.equal(output_of(plain.model), output_of(mapped.model))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("backbone ./tiny --bits 3", "4 or 8"),
        ("backbone ./tiny --device-map cuda:77", "no device"),
        ("backbone ./tiny --bits 4 --random", "pretrained"),
        ("backbone bert-base --skeleton --bits 8", "pretrained"),
        ("backbone net --bits 4", "pretrained"),
    ],
)
def test_what_cannot_be_loaded(shell: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, says: str) -> None:
    monkeypatch.chdir(folder.parent)
    shell.user_ns["net"] = bert()
    error, drawn = fails(shell, f"%delta {line}")
    assert says in str(error)
    assert "Traceback" not in drawn


def test_without_the_library_the_error_says_how_to_get_it(shell: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(_placement, "find_spec", lambda _: None)
    run(shell, "%delta backbone ./tiny;")
    error, _ = fails(shell, "%delta backbone ./tiny --bits 4")
    assert error.try_ == "pip install bitsandbytes"


def test_packed_weights_are_counted_as_they_were() -> None:
    class State:
        shape = torch.Size([16, 16])

    model = bert()
    before = snapshot(model).counts
    query = model.bert.encoder.layer[0].attention.self.query
    query.weight = torch.nn.Parameter(torch.zeros(128, 1, dtype=torch.uint8), requires_grad=False)
    query.weight.quant_state = State()
    assert snapshot(model).counts.total == before.total


@pytest.mark.slow
@pytest.mark.skipif(not THERE, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("kind", ["adapter", "lora", "bitfit", "ia3", "ln_tuning", "prefix", "soft_prompt"])
def test_deltas_on_quantised_weights(folder: Path, tmp_path: Path, kind: str, bits: int) -> None:
    bench = Workbench()
    bench.backbone(str(folder), bits=bits, device_map="cpu")
    assert snapshot(bench.model).counts.total == snapshot(deltanb.load_backbone(str(folder)).model).counts.total
    bench.attach(kind)
    bench.freeze(["deltas", "classifier"])
    if bits == 4:  # on a CPU
        with pytest.raises(DeltaError, match="no gradient"):
            bench.train(films(40), max_steps=1)
        assert output_of(bench.model).isfinite().all()
        return
    result: Any = bench.train(films(40), max_steps=4, batch_size=8, baseline=False, display=False)
    assert result.steps == 4
    bench.save(str(tmp_path / "saved"))
    fresh = deltanb.load_backbone(str(folder), bits=bits, device_map="cpu")
    deltanb.load(str(tmp_path / "saved"), fresh.model)
    assert torch.equal(output_of(fresh.model), output_of(bench.model))
