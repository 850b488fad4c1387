"""The reference folders of PEFT and adapters, with their backbones, inputs and logits; and folders that were tampered with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.models import make, output_of

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["CASES", "FOLDERS", "base_of", "changed", "expected", "lively", "logits_of", "tampered"]

FOLDERS = Path(__file__).parent / "fixtures" / "peft"
CASES = sorted(path.name for path in FOLDERS.iterdir() if path.name.startswith(("peft_", "adapters_")))
_CLASSES = {"bert": "BertForSequenceClassification", "bart": "BartForConditionalGeneration"}
_FILES = {"peft": "adapter_model.safetensors", "adapters": "adapter.safetensors"}


def base_of(case: str) -> Any:
    """The backbone of a case, fresh and in eval mode."""
    family = "bart" if "bart" in case else "bert"
    return getattr(transformers, _CLASSES[family]).from_pretrained(FOLDERS / f"base_{family}").eval()


def logits_of(model: Any) -> torch.Tensor:
    """What the model gives for the inputs that belong to its backbone."""
    inputs = load_file(FOLDERS / f"base_{model.config.model_type}" / "io.safetensors")
    return output_of(model, **{name: tensor for name, tensor in inputs.items() if name != "logits_base"})


def expected(case: str) -> torch.Tensor:
    """What the other library gave."""
    return load_file(FOLDERS / case / "io.safetensors")["logits"]


def changed(case: str, to: Path, **settings: Any) -> Path:
    """A copy of a case with other settings."""
    folder = Path(shutil.copytree(FOLDERS / case, to / case))
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return folder


def tampered(case: str, to: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """A copy of a case with other tensors."""
    folder = Path(shutil.copytree(FOLDERS / case, to / case))
    path = folder / _FILES[case.split("_", maxsplit=1)[0]]
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    return folder


def lively(family: str, **changes: Any) -> Any:
    """A tiny model in which a delta moves the output."""
    model = make(family, **changes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim > 1 else 1)
    return model
