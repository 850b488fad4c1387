"""The model hub: the configuration alone, or a folder with safetensors weights and the tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deltanb._errors import DeltaError
from deltanb._hub import hub_error, is_offline
from deltanb._quiet import quiet
from deltanb.backbones._choices import offline_sentence
from deltanb.backbones._sizes import find_size

__all__ = ["hub_config", "hub_weights"]

_TIMEOUT = 5.0
_WEIGHTS = ["model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors"]
_TOKENIZER = [
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model"),
]


def hub_config(name: str) -> Path:
    """The folder in the hub's cache that holds the model's ``config.json``; nothing else is fetched.

    Raises:
        DeltaError: no hub can be reached and the file is not in the cache, or the hub has no such model.

    Example:
        >>> hub_config("some-org/some-model")  # doctest: +SKIP
        PosixPath('.../snapshots/8a1f...')
    """
    from huggingface_hub import hf_hub_download

    with quiet():
        return Path(_ask(name, hf_hub_download, name, "config.json", local_files_only=not _reachable(name))).parent


def hub_weights(name: str) -> Path:
    """The folder in the hub's cache with configuration, safetensors weights and tokenizer, downloaded where missing.

    Raises:
        DeltaError: no hub can be reached and the files are not in the cache, or the model has no safetensors weights.

    Example:
        >>> hub_weights("some-org/some-model")  # doctest: +SKIP
        PosixPath('.../snapshots/8a1f...')
    """
    from huggingface_hub import snapshot_download

    offline = not _reachable(name)
    wanted = ["config.json", "generation_config.json", *_WEIGHTS, *_TOKENIZER]
    folder = Path(_ask(name, snapshot_download, name, allow_patterns=wanted, local_files_only=offline))
    if not any(folder.glob("model*.safetensors")):
        if offline:
            raise _unreachable(name)
        raise DeltaError(
            f"The hub's {name!r} has no safetensors weights.",
            expected="Other formats can run code when they are opened, so they are not read.",
            try_=f"%delta backbone {name} --skeleton",
        )
    return folder


def _reachable(name: str) -> bool:
    """One short try: the hub client itself would try six times in 23 seconds."""
    from huggingface_hub import hf_hub_url, utils

    client: Any = utils
    if is_offline():
        return False
    try:
        client.get_session().head(hf_hub_url(name, "config.json"), timeout=_TIMEOUT)
    except Exception:  # noqa: BLE001  the HTTP library, and so its exceptions, changes with the client's version
        return False
    return True


def _ask(name: str, call: Any, *args: Any, **options: Any) -> str:
    """Calls the hub client and says in one paragraph what went wrong."""
    from huggingface_hub import errors

    try:
        return str(call(*args, **options))
    except errors.LocalEntryNotFoundError as error:
        raise _unreachable(name) from error
    except errors.EntryNotFoundError as error:
        raise DeltaError(f"The hub's {name!r} has no config.json, so it is no model of transformers.") from error
    except Exception as error:
        said = hub_error(error, name, also=_known(name))
        if said is None:
            raise
        raise said from error


def _known(name: str) -> str:
    size = find_size(name)
    return f"Its structure is known: {size[0]} --skeleton." if size else ""


def _unreachable(name: str) -> DeltaError:
    size = find_size(name)
    return DeltaError(
        f"No model hub can be reached, so {name!r} cannot be loaded.",
        expected=offline_sentence(),
        try_=f"%delta backbone {size[0]} --random" if size else "%delta backbone minilm",
    )
