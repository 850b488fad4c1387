"""Folders that adapters wrote (https://github.com/adapter-hub/adapters): ``adapter_config.json`` and ``adapter.safetensors``.

Bottleneck adapters behind a sub-layer (``double_seq_bn``, Houlsby's) and at its norm (``seq_bn``, Pfeiffer's), beside the
feed-forward (``par_bn``), and LoRA; with the head, if it was saved along. adapters itself is not needed. What computes
something else (gates, norms of its own, invertible adapters, fusion) is refused by name.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints._adapters_places import Spot, families, place_of, spot_of
from deltanb.checkpoints._files import ADAPTER_CONFIG, read_json
from deltanb.checkpoints._peft_common import compact
from deltanb.checkpoints._saved import Saved
from deltanb.checkpoints._tensors import read_tensors
from deltanb.engine import AutoDeltaConfig
from deltanb.structure import module_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from torch import nn

    from deltanb.engine import BaseDeltaConfig

__all__ = ["FILES", "read"]

_WEIGHTS = ("adapter.safetensors", "pytorch_adapter.bin")
_HEADS = ("model_head.safetensors", "pytorch_model_head.bin")
FILES = (*_WEIGHTS, *_HEADS, "head_config.json")
_PARTS = {
    "adapter_down.0.weight": "down_proj.weight",
    "adapter_down.0.bias": "down_proj.bias",
    "adapter_up.weight": "up_proj.weight",
    "adapter_up.bias": "up_proj.bias",
}
# Setting: the value with which deltanb computes the same, and what any other value means.
_NEEDED: dict[str, tuple[Any, str]] = {
    "ln_before": (False, "it has a norm of its own in front"),
    "ln_after": (False, "it has a norm of its own behind"),
    "use_gating": (False, "a gate scales it for each text"),
    "inv_adapter": (None, "an invertible adapter sits on the embeddings"),
    "original_ln_after": (True, "the layer's own norm is left out"),
    "phm_layer": (False, "its matrices are sums of Kronecker products"),
}


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
    if kind not in _READERS:
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


def _bottleneck(folder: Path, settings: dict[str, Any], tensors: dict[str, torch.Tensor], name: str, family: Any) -> Saved:
    for key, (needed, why) in _NEEDED.items():
        if settings.get(key, needed) != needed:
            raise _refused(folder, f"{key}={settings[key]!r}", why)
    if family not in families():
        msg = f"{folder} holds an adapter for {family!r}, whose places are not known here."
        raise DeltaError(msg, expected=f"One for: {', '.join(families())}.")
    early, parallel = bool(settings.get("original_ln_before")), bool(settings.get("is_parallel"))
    if early and not parallel and settings.get("residual_before_ln", True) is not True:
        raise _refused(folder, f"residual_before_ln={settings['residual_before_ln']!r}", "what the norm gives is added twice")
    kind = "parallel_adapter" if parallel else "adapter"
    found: dict[str, torch.Tensor] = {}
    spots: dict[str, Spot] = {}
    for key, tensor in tensors.items():
        hit = re.fullmatch(rf"(.+)\.adapters\.{re.escape(name)}\.(.+)", key)
        at = place_of(family, hit.group(1)) if hit else None
        if hit is None or at is None or hit.group(2) not in _PARTS:
            found[key] = tensor  # has no place here: named as surplus when it is attached
            continue
        spot = spot_of(*at, parallel=parallel, early=early)
        if spot is None:
            raise _refused(folder, f"an adapter at {hit.group(1)}", f"no module of {family} gives what it takes")
        spots[spot.host] = spot
        found[f"{spot.host}.{kind}.modulelist.{_PARTS[hit.group(2)]}"] = tensor
    return Saved(
        folder, "adapters", _config(folder, settings, kind, spots, found), found, hosts=list(spots), notes=_training_only(settings)
    )


def _config(folder: Path, settings: dict[str, Any], kind: str, spots: dict[str, Spot], tensors: dict[str, torch.Tensor]) -> BaseDeltaConfig:
    widths = sorted({len(tensor) for name, tensor in tensors.items() if name.endswith("down_proj.bias")})
    if len(widths) != 1:
        msg = f"{folder} holds {'no adapter' if not widths else f'adapters of several sizes ({widths[0]} to {widths[-1]})'}."
        raise DeltaError(msg, expected="One size in all layers.")
    if not isinstance(settings.get("scaling", 1.0), (int, float)):
        raise _refused(folder, f"scaling={settings['scaling']!r}", "its scale is learned")
    options: dict[str, Any] = {
        "bottleneck_dim": widths[0],
        "non_linearity": str(settings.get("non_linearity")).lower(),
        "scaled": settings.get("scaling", 1.0),
        "modified_modules": [pattern for spot in spots.values() for pattern in spot.patterns],
    }
    if kind == "adapter":
        options["placement"] = next(iter(spots.values())).placement
    return AutoDeltaConfig.from_dict({"delta_type": kind, **options})


def _lora(folder: Path, settings: dict[str, Any], tensors: dict[str, torch.Tensor], name: str, _family: Any) -> Saved:
    mode = settings.get("composition_mode", "add")
    if mode != "add" or settings.get("use_gating") or settings.get("vera_d") is not None:
        raise _refused(folder, f"composition_mode={mode!r}", "it is no plain LoRA")
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
    options = {"lora_r": settings.get("r", 8), "lora_alpha": settings.get("alpha", 8), "lora_dropout": settings.get("dropout", 0.0)}
    config = AutoDeltaConfig.from_dict({"delta_type": "lora", **options, "modified_modules": hosts})
    return Saved(folder, "adapters", config, found, hosts=hosts)


_READERS = {"bottleneck": _bottleneck, "lora": _lora}


def _refused(folder: Path, what: str, why: str) -> DeltaError:
    return DeltaError(f"{folder / ADAPTER_CONFIG} says {what}: {why}.", expected="deltanb has no delta that computes this.")


def _training_only(settings: dict[str, Any]) -> list[str]:
    """What acts in training alone, and is not taken over."""
    left = [f"{key}={settings[key]:g}" for key in ("dropout", "stochastic_depth") if isinstance(settings.get(key), float) and settings[key]]
    return [f"{' and '.join(left)}, which acts in training alone, is left out"] if left else []


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
        return saved
    if set(shorter.values()) <= present:
        return _renamed(saved, shorter, lambda name: name.removeprefix(prefix))
    return _renamed(saved, longer, lambda name: prefix + name) if set(longer.values()) <= present else saved


def _renamed(saved: Saved, hosts: dict[str, str], rename: Callable[[str], str]) -> Saved:
    below = tuple(f"{host}." for host in hosts)
    tensors = {rename(name) if name.startswith(below) else name: tensor for name, tensor in saved.tensors.items()}
    patterns = [rename(pattern) for pattern in saved.config.modified_modules or []]
    return replace(saved, config=replace(saved.config, modified_modules=patterns), tensors=tensors, hosts=list(hosts.values()))
