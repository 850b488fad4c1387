"""The delta types that PEFT has, each in PEFT's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from torch import nn

from deltanb.checkpoints._peft_common import PREFIX
from deltanb.checkpoints._peft_form import Form, named
from deltanb.checkpoints._peft_lora import EMBEDDING, LINEAR
from deltanb.checkpoints._peft_prompt_forms import prefix_form, prompt_form
from deltanb.engine._hosts import is_conv1d
from deltanb.engine._per_host import value_per_host

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from deltanb.engine import DeltaModel

__all__ = ["FORMS"]


def _lora(delta: DeltaModel) -> Form:
    options = delta.config.options()
    hosts = {host: delta.backbone_model.get_submodule(host) for host in delta.modules}
    settings = {
        "alpha_pattern": {re.escape(host): _plain(alpha) for host, alpha in _per_host(delta, "alpha_pattern").items()},
        "fan_in_fan_out": any(is_conv1d(module) for module in hosts.values()),
        "init_lora_weights": True,
        "lora_alpha": _plain(options["lora_alpha"]),
        "lora_dropout": options["lora_dropout"],
        "peft_type": "LORA",
        "r": options["lora_r"],
        "target_modules": named(delta.backbone_model, delta.hosts),
        "rank_pattern": {re.escape(host): rank for host, rank in _per_host(delta, "rank_pattern").items()},
        "use_dora": options["use_dora"],
        "use_rslora": options["use_rslora"],
    }
    tensors: dict[str, torch.Tensor] = {}
    for host, module in hosts.items():
        names = EMBEDDING if isinstance(module, nn.Embedding) else LINEAR
        tensors |= {f"{PREFIX}{host}.{names[key]}": tensor for key, tensor in delta.modules[host].named_parameters()}
    return Form(settings, tensors, list(hosts), takes_bias="lora")


def _per_host(delta: DeltaModel, key: str) -> dict[str, Any]:
    return value_per_host(delta.backbone_model, delta.hosts, getattr(delta.config, key), key)


def _plain(value: float) -> float:
    """PEFT's own numbers here are whole."""
    return int(value) if value == int(value) else value


def _ia3(delta: DeltaModel) -> Form:
    backbone, words = delta.backbone_model, named(delta.backbone_model, delta.hosts)
    inward = [host for host in delta.hosts if host in delta.before]  # type: ignore[attr-defined]
    ends = sorted({host.rpartition(".")[2] for host in inward})
    # PEFT wants each of the one list in the other, word for word, and takes plain endings in the first.
    short = set(ends) <= set(words) and [host for host in delta.hosts if host.endswith(tuple(ends))] == inward
    settings = {
        "fan_in_fan_out": any(is_conv1d(backbone.get_submodule(host)) for host in delta.hosts),
        "feedforward_modules": ends if short else sorted(inward),
        "init_ia3_weights": True,
        "peft_type": "IA3",
        "target_modules": words if short else sorted(delta.hosts),
    }
    tensors: dict[str, torch.Tensor] = {}
    for host in delta.hosts:
        tensors[f"{PREFIX}{host}.ia3_l"] = delta.modules[host].get_parameter("ia3_l")
    return Form(settings, tensors, delta.hosts)


def _norms(delta: DeltaModel) -> Form:
    settings = {"peft_type": "LN_TUNING", "target_modules": named(delta.backbone_model, delta.hosts)}
    values = {name: tensor for name, tensor in delta.tensors().items() if name in delta.core_names()}
    ends = {name: name.rpartition(".") for name in values}
    tensors = {f"{PREFIX}{host}.ln_tuning_layers.{key}": values[name] for name, (host, _, key) in ends.items()}
    return Form(settings, tensors, delta.hosts, own=list(values))


FORMS: dict[str, Callable[[DeltaModel], Form]] = {
    "lora": _lora,
    "ia3": _ia3,
    "ln_tuning": _norms,
    "soft_prompt": prompt_form,
    "prefix": prefix_form,
}
