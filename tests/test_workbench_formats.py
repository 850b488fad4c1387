"""Folders of PEFT and adapters in the notebook: loaded with their own freezing, saved in PEFT's format, told from backbones."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deltanb._errors import DeltaError
from deltanb.backbones._origin import find_origin
from deltanb.magics._complete import candidates
from deltanb.workbench import Workbench
from tests.interop import FOLDERS, base_of, expected, logits_of
from tests.models import trains

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench() -> Any:
    bench = Workbench()
    bench.backbone(base_of("bert"))
    return bench


@pytest.mark.parametrize(("case", "name", "who"), [("peft_lora_bert", "lora", "PEFT"), ("adapters_houlsby_bert", "demo", "adapters")])
def test_load_freezes_as_the_other_library_does_and_says_so(case: str, name: str, who: str, bench: Any) -> None:
    text = str(bench.load(str(FOLDERS / case)))
    assert f"as {who} trains it: all but deltas, classifier" in text
    torch.testing.assert_close(logits_of(bench.model), expected(case), atol=1e-5, rtol=0)
    delta = bench.attached[name]
    assert trains(bench.model) == set(delta.tensors())
    assert "kept as it is" in str(bench.load(str(FOLDERS / case)))
    bench.undo()
    assert not bench.attached


def test_a_prompt_finds_its_place(bench: Any) -> None:
    bench.backbone(base_of("bart"))
    text = str(bench.load(str(FOLDERS / "peft_prompt_bart")))
    assert "PEFT never uses the last 5 of the 10 rows" in text
    assert "kept as it is" in str(bench.load(str(FOLDERS / "peft_prompt_bart")))


def test_save_in_pefts_format_and_load_again(bench: Any, tmp_path: Path) -> None:
    bench.load(str(FOLDERS / "peft_lora_bert"))
    bench.save(str(tmp_path / "d"), format="peft")
    bench.save(str(tmp_path / "d"), format="peft")
    assert "format='peft'" in bench.code()
    with pytest.raises(DeltaError, match="a delta in PEFT's format"):
        bench.save(str(tmp_path / "d"))
    bench.backbone(base_of("bert"))
    assert "as it was saved: all but deltas, classifier" in str(bench.load(str(tmp_path / "d")))
    torch.testing.assert_close(logits_of(bench.model), expected("peft_lora_bert"), atol=1e-5, rtol=0)


def test_of_another_session_it_is_kept_beside(bench: Any, tmp_path: Path) -> None:
    bench.load(str(FOLDERS / "peft_lora_bert"))
    bench.save(str(tmp_path / "d"), format="peft")
    other = Workbench()
    other.backbone(base_of("bert"))
    other.load(str(FOLDERS / "peft_lora_bert"))
    assert "d.previous" in str(other.save(str(tmp_path / "d"), format="peft"))


def test_folders_are_offered_and_never_taken_for_backbones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in ("peft_lora_bert", "adapters_pfeiffer_bert"):
        shutil.copytree(FOLDERS / case, tmp_path / case)
        for spec in (str(tmp_path / case), str(tmp_path / case / "adapter_config.json")):
            with pytest.raises(DeltaError):
                find_origin(spec, weights=True)
        with pytest.raises(DeltaError, match="holds a saved delta, not a backbone"):
            find_origin(str(tmp_path / case), weights=True)
    monkeypatch.chdir(tmp_path)
    magics: Any = None
    assert {text for text, _ in candidates("load ", magics)} >= {"peft_lora_bert", "adapters_pfeiffer_bert"}
    assert ("peft", "value") in candidates("save d --format ", magics)
