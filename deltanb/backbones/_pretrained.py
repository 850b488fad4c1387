"""Pretrained weights from a folder, through transformers; safetensors only, no code from the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._quiet import quiet
from deltanb.backbones._build import seeded
from deltanb.backbones._placement import Placement
from deltanb.backbones._tasks import auto_class

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from deltanb.backbones._backbone import Task

__all__ = ["folder_tokenizer", "load_weights"]

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model")


def load_weights(folder: Path, config: Any, task: Task, seed: int, name: str, placement: Placement | None = None) -> tuple[Any, list[str]]:
    """The model in float32, or as ``placement`` says, and the names of its new parts (a head, say), initialised from ``seed``.

    Raises:
        DeltaError: there are no safetensors weights, they are damaged, or they are of another model.

    Example:
        >>> import pathlib, tempfile, transformers
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=300)
        >>> with quiet():
        ...     transformers.BertModel(config).save_pretrained(folder)
        >>> load_weights(folder, config, "classification", 0, "tiny")[1]
        ['classifier']
    """
    import torch
    from safetensors import SafetensorError

    _check_files(folder, name)
    try:
        # The head is drawn after the weights are read, in the order of the model's modules: the same for the same seed.
        with quiet(), seeded(seed), torch.device("cpu"):
            model, report = auto_class(config, task).from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **(placement or Placement()).options(config, task),
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise DeltaError(f"The weights of {name!r} cannot be read: {reason}.", expected="Is a file damaged or half copied?") from error
    mismatched = {key for key, *_ in report["mismatched_keys"]}
    return model, _new_parts(model, set(report["missing_keys"]) | mismatched, task, name)


def folder_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer, or None: without files transformers would make an empty one.

    Example:
        >>> from pathlib import Path
        >>> folder_tokenizer(Path("nowhere"))
    """
    from transformers import AutoTokenizer

    if not any((folder / file).is_file() for file in _TOKENIZER_FILES):
        return None
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise DeltaError(
            f"The tokenizer in {str(folder)!r} cannot be read: {reason}.", try_="load_backbone(…, tokenizer=YOUR_TOKENIZER)"
        ) from error


def _check_files(folder: Path, name: str) -> None:
    if any(folder.glob("model*.safetensors")):
        return
    other = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.h5", "*.ckpt") for path in folder.glob(pattern))
    found = f"{', '.join(other[:3])} can run code when opened, so it is not read." if other else "There is only its configuration."
    raise DeltaError(
        f"{name!r} has no model.safetensors.",
        expected=found,
        try_=f"%delta backbone {name} --random (new weights) or --skeleton (none)",
    )


def _new_parts(model: nn.Module, missing: set[str], task: Task, name: str) -> list[str]:
    """The modules that got new weights; below the head nothing but a pooler may be new."""
    prefix = getattr(model, "base_model_prefix", "") + "."
    inside = sorted(key for key in missing if (task == "base" or key.startswith(prefix)) and "pooler" not in key)
    if inside:
        raise DeltaError(
            f"The weights of {name!r} lack or misshape {len(inside)} tensors of the {type(model).__name__} that its config.json describes.",
            expected=f"The first are {', '.join(inside[:3])}.",
        )
    return sorted({key.rpartition(".")[0] or key for key in missing})
