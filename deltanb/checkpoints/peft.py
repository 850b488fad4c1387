"""Folders that PEFT wrote (https://github.com/huggingface/peft): ``adapter_config.json`` and ``adapter_model.safetensors``.

PEFT itself is not needed. What it accepts in silence is named here: tensors for modules that ``target_modules`` does not
cover, modules without tensors, a rank that the tensors do not have, names without the prefix, settings that change what is
computed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints import native
from deltanb.checkpoints._files import ADAPTER_CONFIG, ADAPTER_FACTS, ADAPTER_WEIGHTS, read_json
from deltanb.checkpoints._fingerprint import tensors_digest
from deltanb.checkpoints._peft_common import Folder
from deltanb.checkpoints._peft_lora import read_lora
from deltanb.checkpoints._peft_prompts import read_prefix, read_prompt
from deltanb.checkpoints._peft_scales import read_ia3, read_norms
from deltanb.checkpoints._saved import Saved
from deltanb.checkpoints._tensors import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn


__all__ = ["PICKLED", "READERS", "read"]

PICKLED = "adapter_model.bin"
READERS: dict[str, Callable[[Folder], Saved]] = {
    "LORA": read_lora,
    "IA3": read_ia3,
    "LN_TUNING": read_norms,
    "PROMPT_TUNING": read_prompt,
    "PREFIX_TUNING": read_prefix,
}


def read(folder: Path) -> Saved:
    """Read a folder.

    Raises:
        DeltaError: a file is damaged, the type is none that has a form here, or a setting changes what is computed.

    Example:
        See `deltanb.AutoDeltaModel.from_finetuned`, which calls it where it finds such a folder.
    """
    settings = read_json(folder / ADAPTER_CONFIG)
    kind = settings["peft_type"]
    reader = READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        msg = f"{folder} holds a PEFT adapter of type {kind!r}, which has no form here."
        raise DeltaError(msg, expected=f"One of PEFT's types: {', '.join(READERS)}.")
    path = folder / (PICKLED if not (folder / ADAPTER_WEIGHTS).exists() and (folder / PICKLED).exists() else ADAPTER_WEIGHTS)
    saved = reader(Folder(folder, settings, read_tensors(path, f"PEFT writes {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}.")))
    return _with_facts(saved) if (folder / ADAPTER_FACTS).is_file() else saved


def _with_facts(saved: Saved) -> Saved:
    """What deltanb itself noted when it wrote the folder, if the two files are still those that it wrote."""
    facts = read_json(saved.folder / ADAPTER_FACTS)
    if not native.is_sealed(facts):
        msg = f"{saved.folder / ADAPTER_FACTS} was edited, or is damaged."
        raise DeltaError(msg, expected="It must be as it was written.", try_="without that file the folder is read as PEFT's alone")
    if any(hashlib.sha256((saved.folder / name).read_bytes()).hexdigest() != digest for name, digest in facts["files"].items()):
        saved.notes.append(f"{ADAPTER_FACTS} was written for other files than those beside it, and is left out")
        return saved
    known = _known(saved, facts)
    return known if known.fit is None else replace(known, fit=_Known(facts, saved.fit))


def _known(saved: Saved, facts: dict[str, Any]) -> Saved:
    """The delta that was written: nothing is left to guess once its tensors are those that were noted."""
    tensors = {name: tensor for name, tensor in saved.tensors.items() if name not in facts["extra"]}
    whole = tensors_digest(tensors) == facts["tensors"]["sha256"]
    return Saved(saved.folder, "PEFT", tensors=tensors, fit=None if whole else saved.fit, **native.facts_of(facts))


@dataclass(frozen=True)
class _Known:
    """Completes the reading of a type that needs the backbone, then takes what was noted."""

    facts: dict[str, Any]
    first: Callable[[Saved, nn.Module], Saved] | None

    def __call__(self, saved: Saved, backbone: nn.Module) -> Saved:
        return _known(self.first(saved, backbone), self.facts) if self.first else saved
