"""Folders that adapters wrote (https://github.com/adapter-hub/adapters): ``adapter_config.json`` and ``adapter.safetensors``.

Bottleneck adapters behind a sub-layer (``double_seq_bn``, Houlsby's) and at its norm (``seq_bn``, Pfeiffer's), beside the
feed-forward (``par_bn``), Compacter, and LoRA; with the head, if it was saved along. adapters itself is not needed. What
computes something else (gates, norms of its own, invertible adapters, fusion) is refused by name.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints._adapters_bottleneck import SHARED, read_bottleneck, refused
from deltanb.checkpoints._files import ADAPTER_CONFIG, read_json
from deltanb.checkpoints._peft_rest import compact
from deltanb.checkpoints._saved import Saved
from deltanb.checkpoints._tensors import read_tensors
from deltanb.engine import AutoDeltaConfig
from deltanb.structure import module_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from torch import nn


__all__ = ["FILES", "read"]

_WEIGHTS = ("adapter.safetensors", "pytorch_adapter.bin")
_HEADS = ("model_head.safetensors", "pytorch_model_head.bin")
FILES = (*_WEIGHTS, *_HEADS, "head_config.json")


def read(folder: Path) -> Saved:
    """Read a folder.

    Raises:
        DeltaError: a file is damaged, or the adapter computes what has no form here; says why.

    Example:
        See `deltanb.AutoDeltaModel.from_finetuned`, which calls it where it finds such a folder.
    """
    data = read_json(folder / ADAPTER_CONFIG)
    settings, name, family = data["config"], data.get("name"), data.get("model_type")
    if not isinstance(settings, dict) or not isinstance(name, str):
        msg = f"{folder / ADAPTER_CONFIG} does not say how the adapter is built, or what it is called."
        raise DeltaError(msg, expected="config must be a dictionary of settings, and name a text.")
    kind = settings.get("architecture") or "bottleneck"
    if not isinstance(kind, str) or kind not in _READERS:
        msg = f"{folder} holds an adapter of the kind {kind!r}, written by adapters."
        raise DeltaError(msg, expected=f"One of the kinds that can be read: {', '.join(_READERS)}.")
    tensors = read_tensors(_existing(folder, _WEIGHTS), f"adapters writes {ADAPTER_CONFIG} and {_WEIGHTS[0]}.")
    saved: Saved = _READERS[kind](folder, settings, tensors, name, family)
    saved.name = name if name.isidentifier() else ""
    saved.backbone = {"class": data.get("model_class") or "", "name": data.get("model_name") or ""}
    _with_head(saved)
    saved.fit = _fit
    return saved


def _existing(folder: Path, names: tuple[str, str]) -> Path:
    return next((folder / name for name in names if (folder / name).is_file()), folder / names[0])


def _lora(folder: Path, settings: dict[str, Any], tensors: dict[str, torch.Tensor], name: str, _family: Any) -> Saved:
    mode = settings.get("composition_mode", "add")
    if mode != "add" or settings.get("use_gating") or settings.get("vera_d") is not None:
        raise refused(folder, f"composition_mode={mode!r}", "it is no plain LoRA")
    found: dict[str, torch.Tensor] = {}
    hosts: list[str] = []
    for key, tensor in tensors.items():
        hit = re.fullmatch(rf"(.+)\.loras\.{re.escape(name)}\.(lora_[AB])", key)
        if hit is None:
            found[key] = tensor
            continue
        hosts.append(hit.group(1))
        found[f"{hit.group(1)}.lora.{hit.group(2)}"] = tensor
    hosts = list(dict.fromkeys(hosts))
    if not hosts:
        msg = f"{folder} holds no adapter {name!r}."
        raise DeltaError(msg, expected=f"Tensors such as …loras.{name}.lora_A.")
    options = {"lora_r": settings.get("r", 8), "lora_alpha": settings.get("alpha", 8), "lora_dropout": settings.get("dropout", 0.0)}
    config = AutoDeltaConfig.from_dict({"delta_type": "lora", **options, "modified_modules": hosts})
    return Saved(folder, "adapters", config, found, hosts=hosts)


_READERS = {"bottleneck": read_bottleneck, "lora": _lora}


def _with_head(saved: Saved) -> None:
    """Take over the head, if one was saved along, and declare what adapters trains."""
    path = _existing(saved.folder, _HEADS)
    head = read_tensors(path, "") if path.is_file() else {}
    flexible = [name for name in head if name.startswith("heads.")]
    if flexible:
        saved.problems.append(f"its head is of adapters' own kind ({flexible[0]}), which no plain model has")
    plain = {name: tensor for name, tensor in head.items() if name not in flexible}
    saved.tensors |= plain
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in plain))
    saved.implied = True
    saved.freeze = [{"exclude": ["deltas", *compact(modules)], "scope": "", "set_state_dict": True}]


def _fit(saved: Saved, backbone: nn.Module) -> Saved:
    """The names as this model has them: adapters counts from the model with its head, or from the one without."""
    prefix = f"{getattr(backbone, 'base_model_prefix', '') or '-'}."
    present = set(module_names(backbone))
    shorter = {host: host.removeprefix(prefix) for host in saved.hosts}
    longer = {host: prefix + host for host in saved.hosts}
    if set(saved.hosts) <= present:
        return _with_shared(saved, backbone)
    if set(shorter.values()) <= present:
        return _with_shared(_renamed(saved, shorter, lambda name: name.removeprefix(prefix)), backbone)
    if set(longer.values()) <= present:
        return _with_shared(_renamed(saved, longer, lambda name: prefix + name), backbone)
    return saved


def _renamed(saved: Saved, hosts: dict[str, str], rename: Callable[[str], str]) -> Saved:
    below = tuple(f"{host}." for host in hosts)
    tensors = {rename(name) if name.startswith(below) else name: tensor for name, tensor in saved.tensors.items()}
    patterns = [rename(pattern) for pattern in saved.config.modified_modules or []]
    return replace(saved, config=replace(saved.config, modified_modules=patterns), tensors=tensors, hosts=list(hosts.values()))


def _with_shared(saved: Saved, backbone: nn.Module) -> Saved:
    """Tensors that all layers share, under the first host in the model's order, whose they are here."""
    first = next(name for name in module_names(backbone) if name in set(saved.hosts))
    tensors = {f"{first}.{name.removeprefix(SHARED)}" if name.startswith(SHARED) else name: value for name, value in saved.tensors.items()}
    return replace(saved, tensors=tensors)
