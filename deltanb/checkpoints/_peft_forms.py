"""The delta types that PEFT has, each in PEFT's words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn

from deltanb.checkpoints._peft_common import PREFIX
from deltanb.checkpoints._peft_lora import EMBEDDING, LINEAR
from deltanb.engine._hosts import is_conv1d
from deltanb.engine._per_host import value_per_host

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from deltanb.engine import DeltaModel

__all__ = ["FORMS", "Form"]


@dataclass
class Form:
    """A delta as PEFT would write it.

    Attributes:
        settings: what belongs to its type in ``adapter_config.json``.
        tensors: the adapter's own, under PEFT's names.
        hosts: the modules that it sits on, for types that sit on modules.
        prefix: what PEFT puts before names of the backbone.
        takes_bias: PEFT's word for the type where it can train its targets' biases, else "".
    """

    settings: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    hosts: list[str] = field(default_factory=list)
    prefix: str = PREFIX
    takes_bias: str = ""


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


FORMS: dict[str, Callable[[DeltaModel], Form]] = {"lora": _lora}
