"""The native format: ``model.safetensors`` and ``config.json``.

``model.safetensors`` holds every tensor that the delta owns, under its name in the backbone, and in its metadata the same
settings as ``config.json``, with a SHA-256 of the tensors and one of the settings. Replacing that one file is the moment
of saving: a crash before leaves the old delta, a crash after it the new one, whatever ``config.json`` says.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._hub import is_hub_id
from deltanb._version import __version__
from deltanb.checkpoints._declared import declared
from deltanb.checkpoints._files import CONFIG, WEIGHTS, read_json, replace_files
from deltanb.checkpoints._fingerprint import structure_fingerprint, tensors_digest, weights_fingerprint
from deltanb.checkpoints._saved import Saved
from deltanb.engine import AutoDeltaConfig, deltas
from deltanb.structure import backbone_parameters

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import torch
    from torch import nn

    from deltanb.engine import BaseDeltaConfig, DeltaModel

__all__ = ["METADATA", "backbone_facts", "facts_of", "is_ours", "is_sealed", "read", "seal", "sealed", "settings", "told", "write"]

_VERSION = 1
METADATA = "deltanb"
_SEAL = "sha256"
_FACTS = ("format", "format_version", "versions", "name", "hosts", "freeze", "backbone", "tensors", "files", "extra", _SEAL)


def write(delta: DeltaModel, folder: Path) -> None:
    """Write a delta.

    Raises:
        DeltaError: it has no weights (a skeleton), or the folder cannot be written.
    """
    from safetensors.torch import save

    tensors = {name: tensor.cpu().contiguous().clone() for name, tensor in delta.tensors(delta.delta_type).items() if not tensor.is_meta}
    if not tensors:
        msg = f"{delta.name!r} sits on a skeleton: there are no weights to save."
        raise DeltaError(msg, expected="Saving needs a backbone with weights.", try_="%delta backbone minilm")
    facts = settings(delta, tensors)
    text = sealed(facts)
    # One key of metadata: safetensors writes several in random order, and the same delta must give the same bytes.
    replace_files({folder / WEIGHTS: save(tensors, metadata={METADATA: text.rstrip()}), folder / CONFIG: text.encode()})


def settings(delta: DeltaModel, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Everything ``config.json`` says about a delta: plain data, sorted when written."""
    return told(
        delta.config,
        delta.name,
        delta.hosts,
        declared(delta),
        backbone_facts(delta.backbone_model, delta.owned),
        {"count": len(tensors), "parameters": sum(t.numel() for t in tensors.values()), "sha256": tensors_digest(tensors)},
    )


def told(
    config: BaseDeltaConfig,
    name: str,
    hosts: Sequence[str],
    freeze: list[dict[str, Any]],
    backbone: dict[str, Any],
    tensors: dict[str, Any],
) -> dict[str, Any]:
    """The settings from their parts."""
    import torch
    import transformers

    return {
        **config.to_dict(),
        "format": "deltanb",
        "format_version": _VERSION,
        "versions": {"deltanb": __version__, "torch": torch.__version__, "transformers": transformers.__version__},
        "name": name,
        "hosts": list(hosts),
        "freeze": freeze,
        "backbone": backbone,
        "tensors": tensors,
    }


def backbone_facts(backbone: nn.Module, without: Collection[str]) -> dict[str, Any]:
    """What the settings say about a backbone.

    Args:
        backbone: the model.
        without: names of tensors that do not count for the fingerprint of its weights.
    """
    return {
        "class": type(backbone).__name__,
        "name": _backbone_name(backbone),
        "parameters": _backbone_size(backbone),
        "structure": structure_fingerprint(backbone),
        "weights": weights_fingerprint(backbone, without),
    }


def _backbone_name(backbone: nn.Module) -> str:
    """What the backbone is called; of a folder's path the last part alone, for the rest says more of its owner than of the model."""
    name = str(getattr(getattr(backbone, "config", None), "name_or_path", "") or "")
    return name if is_hub_id(name) else Path(name).name


def _backbone_size(backbone: nn.Module) -> int:
    created = {name for delta in deltas(backbone).values() for name in delta.created}
    return sum(parameter.numel() for name, parameter in backbone_parameters(backbone) if name not in created)


def read(folder: Path) -> Saved:
    """Read and check a folder.

    Raises:
        DeltaError: a file is missing, truncated or altered, or of a newer format.
    """
    tensors, data = _read_weights(folder / WEIGHTS)
    if data["format_version"] > _VERSION:
        msg = f"{folder} was written by a newer deltanb (format {data['format_version']}, this one reads {_VERSION})."
        raise DeltaError(msg, try_="pip install --upgrade deltanb")
    notes = _compare(read_json(folder / CONFIG), data, folder) if (folder / CONFIG).is_file() else [f"{folder} has no {CONFIG}"]
    if tensors_digest(tensors) != data["tensors"]["sha256"]:
        raise _altered(folder / WEIGHTS, "its tensors are not those that were saved")
    return Saved(folder, "deltanb", tensors=tensors, notes=notes, **facts_of(data))


def facts_of(data: dict[str, Any]) -> dict[str, Any]:
    """What settings say about a delta, as `Saved` takes it."""
    config = AutoDeltaConfig.from_dict({key: value for key, value in data.items() if key not in _FACTS})
    return {"config": config, **{key: data[key] for key in ("name", "hosts", "freeze", "backbone")}}


def is_ours(folder: Path) -> bool:
    """Whether the weights in a folder are a whole delta, with or without ``config.json``."""
    try:
        _read_weights(folder / WEIGHTS)
    except DeltaError:
        return False
    return True


def _read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and settings; the settings are those that were written, so the rest may rely on them."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        msg = f"{path.parent} has no {path.name}."
        raise DeltaError(msg, expected="A delta is a folder that %delta save wrote.", try_="copy or download the folder again")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(METADATA)
            tensors = {name: file.get_tensor(name) for name in file.keys()} if text else {}  # noqa: SIM118 - no mapping
        data = json.loads(text) if text else {}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _altered(path, str(error)) from None
    if not text:
        msg = f"{path} is no delta: it holds tensors, but no settings of a delta."
        raise DeltaError(msg, expected="A delta is a folder that %delta save wrote.", try_="copy or download the folder again")
    if not isinstance(data, dict) or not is_sealed(data):
        raise _altered(path, "its settings are not those that were saved")
    return tensors, data


def _altered(path: Path, reason: str) -> DeltaError:
    msg = f"{path} is truncated or altered: {reason}."
    return DeltaError(msg, expected="A delta is read only as it was written.", try_="copy or download the folder again")


def sealed(facts: dict[str, Any]) -> str:
    """Facts as the text of a JSON file, with a checksum of themselves."""
    return json.dumps({**facts, _SEAL: seal(facts)}, indent=2, sort_keys=True) + "\n"


def is_sealed(data: dict[str, Any]) -> bool:
    """Whether facts are as they were written."""
    return data.get(_SEAL) == seal(data)


def seal(data: dict[str, Any]) -> str:
    """SHA-256 over the settings, but for itself."""
    text = json.dumps({key: value for key, value in data.items() if key != _SEAL}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _compare(shown: dict[str, Any], data: dict[str, Any], folder: Path) -> list[str]:
    """``config.json`` may be older than the weights (a crash between the two), but must not have been edited."""
    if shown.get("tensors") != data["tensors"]:
        return [f"{folder / CONFIG} is older than {WEIGHTS}, as after a crash while saving; the settings inside {WEIGHTS} are taken"]
    changed = sorted((key for key in {*shown, *data} if shown.get(key) != data.get(key)), key=lambda key: (key == _SEAL, key))
    if changed:
        key = changed[0]
        msg = f"{folder / CONFIG} was edited: {key} is {shown.get(key)!r} there and was saved as {data.get(key)!r}."
        raise DeltaError(msg, expected="The settings belong to the tensors and must be as they were saved.", try_=f"set {key} back")
    return []
