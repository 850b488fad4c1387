"""Bottleneck adapters and Compacter as adapters writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints._adapters_places import Spot, families, place_of, spot_of
from deltanb.checkpoints._files import ADAPTER_CONFIG
from deltanb.checkpoints._saved import Saved
from deltanb.engine import AutoDeltaConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["SHARED", "read_bottleneck", "refused"]

SHARED = "shared by all: "  # before names that wait for the backbone to say whose they are
_LINEAR = {
    "adapter_down.0.weight": "down_proj.weight",
    "adapter_down.0.bias": "down_proj.bias",
    "adapter_up.weight": "up_proj.weight",
    "adapter_up.bias": "up_proj.bias",
}
_CHILD = {"adapter": "adapter.modulelist", "parallel_adapter": "parallel_adapter.modulelist", "compacter": "compactor"}
# Setting: the value with which deltanb computes the same, and what any other value means.
_NEEDED: dict[str, tuple[Any, str]] = {
    "ln_before": (False, "it has a norm of its own in front"),
    "ln_after": (False, "it has a norm of its own behind"),
    "use_gating": (False, "a gate scales it for each text"),
    "inv_adapter": (None, "an invertible adapter sits on the embeddings"),
    "original_ln_after": (True, "the layer's own norm is left out"),
}
_NEEDED_OF_COMPACTER: dict[str, tuple[Any, str]] = {
    "original_ln_before": (False, "it stands at a norm"),
    "is_parallel": (False, "it stands beside the layer"),
    "shared_W_phm": (False, "all layers share their matrices"),
    "scaling": (1.0, "it is scaled"),
}
# Compacter's options, by the names that adapters has for them.
_COMPACTER = {
    "hypercomplex_division": ("phm_dim", 4),
    "learn_phm": ("learn_phm", True),
    "shared_phm_rule": ("shared_phm_rule", True),
    "factorized_phm": ("factorized_phm_W", True),
    "factorized_phm_rule": ("factorized_phm_rule", False),
    "phm_rank": ("phm_rank", 1),
    "use_bias_down_sampler": ("phm_bias", True),
    "use_bias_up_sampler": ("phm_bias", True),
}


def refused(folder: Path, what: str, why: str) -> DeltaError:
    """The error for a setting that has no form here."""
    return DeltaError(f"{folder / ADAPTER_CONFIG} says {what}: {why}.", expected="deltanb has no delta that computes this.")


def read_bottleneck(folder: Path, settings: dict[str, Any], tensors: dict[str, torch.Tensor], name: str, family: Any) -> Saved:
    """A bottleneck adapter or Compacter from what a folder holds.

    Raises:
        DeltaError: it computes what has no form here, or sits where no module is.
    """
    kind = "compacter" if settings.get("phm_layer") else "parallel_adapter" if settings.get("is_parallel") else "adapter"
    _check(folder, settings, kind, family)
    found: dict[str, torch.Tensor] = {}
    spots: dict[str, Spot] = {}
    for key, tensor in tensors.items():
        hit = re.fullmatch(rf"(?:(.+)\.adapters|.*shared_parameters)\.{re.escape(name)}\.(.+)", key)
        part = hit and _part(kind, hit.group(2), shared=hit.group(1) is None)
        at = place_of(family, hit.group(1)) if hit and hit.group(1) else None
        if hit is None or part is None or (hit.group(1) and at is None):
            found[key] = tensor  # has no place here: named as surplus when it is attached
        elif at is None:
            found[f"{SHARED}{_CHILD[kind]}.{part}"] = tensor
        else:
            spot = spot_of(*at, parallel=kind == "parallel_adapter", early=bool(settings.get("original_ln_before")))
            if spot is None:
                raise refused(folder, f"an adapter at {hit.group(1)}", f"no module of {family} gives what it takes")
            spots[spot.host] = spot
            found[f"{spot.host}.{_CHILD[kind]}.{part}"] = tensor
    if not spots:
        msg = f"{folder} holds no adapter {name!r}."
        raise DeltaError(msg, expected=f"Tensors such as …adapters.{name}.adapter_up.weight.")
    options = {
        "delta_type": kind,
        "non_linearity": str(settings.get("non_linearity")).lower(),
        "modified_modules": [pattern for spot in spots.values() for pattern in spot.patterns],
        **(_compacter(folder, settings, found) if kind == "compacter" else _linear(folder, settings, kind, spots, found)),
    }
    config = AutoDeltaConfig.from_dict(options)
    return Saved(folder, "adapters", config, found, hosts=list(spots), notes=_training_only(settings))


def _check(folder: Path, settings: Mapping[str, Any], kind: str, family: Any) -> None:
    for key, (needed, why) in {**_NEEDED, **(_NEEDED_OF_COMPACTER if kind == "compacter" else {})}.items():
        if settings.get(key, needed) != needed:
            raise refused(folder, f"{key}={settings[key]!r}", why)
    if family not in families():
        msg = f"{folder} holds an adapter for {family!r}, whose places are not known here."
        raise DeltaError(msg, expected=f"One for: {', '.join(families())}.")
    if kind == "adapter" and settings.get("original_ln_before") and settings.get("residual_before_ln", True) is not True:
        raise refused(folder, f"residual_before_ln={settings['residual_before_ln']!r}", "what the norm gives is added twice")
    if not isinstance(settings.get("scaling", 1.0), (int, float)):
        raise refused(folder, f"scaling={settings['scaling']!r}", "its scale is learned")


def _part(kind: str, name: str, *, shared: bool) -> str | None:
    """What a tensor of the adapter is called here, or None."""
    if kind != "compacter":
        return None if shared else _LINEAR.get(name)
    if shared:
        return f"down_sampler.{name}"
    hit = re.fullmatch(r"adapter_(?:(down)\.0|up)\.([\w]+)", name)
    return hit and f"{'down' if hit.group(1) else 'up'}_sampler.{hit.group(2)}"


def _linear(
    folder: Path, settings: Mapping[str, Any], kind: str, spots: Mapping[str, Spot], tensors: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    options = {"bottleneck_dim": _width(folder, tensors, "down_proj.bias", -1), "scaled": settings.get("scaling", 1.0)}
    return options if kind == "parallel_adapter" else {**options, "placement": next(iter(spots.values())).placement}


def _compacter(folder: Path, settings: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    options = {own: settings.get(theirs, usual) for own, (theirs, usual) in _COMPACTER.items()}
    last = "W_right" if options["factorized_phm"] else "W"
    parts = options["hypercomplex_division"] if isinstance(options["hypercomplex_division"], int) else 1
    size = parts * _width(folder, tensors, f"up_sampler.{last}", -1)
    return {**options, "reduction_factor": size // (parts * _width(folder, tensors, f"down_sampler.{last}", -1))}


def _width(folder: Path, tensors: Mapping[str, torch.Tensor], end: str, axis: int) -> int:
    """One size of all tensors whose name ends so."""
    sizes = sorted({tensor.shape[axis] if tensor.ndim else 0 for name, tensor in tensors.items() if name.endswith(f".{end}")})
    if len(sizes) == 1 and sizes[0]:
        return int(sizes[0])
    what = f"adapters of several sizes ({sizes[0]} to {sizes[-1]})" if len(sizes) > 1 else "no whole adapter"
    msg = f"{folder} holds {what}."
    raise DeltaError(msg, expected="One size in all layers.")


def _training_only(settings: Mapping[str, Any]) -> list[str]:
    """What acts in training alone, and is not taken over."""
    left = [f"{key}={settings[key]:g}" for key in ("dropout", "stochastic_depth") if isinstance(settings.get(key), float) and settings[key]]
    return [f"{' and '.join(left)}, which acts in training alone, is left out"] if left else []
