"""LayerNorm tuning: train the weights and biases of the norms, and nothing else.

    h = (x - mean) / std · w + b,   w and b trainable

Zhao et al., *Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning*, ICLR 2024,
https://arxiv.org/abs/2312.11420. The matched norms' own tensors train, so the model's structure does not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from deltanb._errors import DeltaError
from deltanb.engine._base import DeltaModel
from deltanb.engine._config import BaseDeltaConfig
from deltanb.engine._ownership import take_core
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from torch import nn

    from deltanb.engine._base import CommonOptions
    from deltanb.engine._hosts import Host

__all__ = ["LnTuningConfig", "LnTuningModel"]


@dataclass(kw_only=True)
class LnTuningConfig(BaseDeltaConfig):
    """LayerNorm tuning has no options of its own.

    Example:
        >>> LnTuningConfig().options()
        {}
    """

    delta_type: ClassVar[str] = "ln_tuning"


class LnTuningModel(DeltaModel):
    """Trainable weights and biases in the matched norms.

    Args:
        backbone_model: the model to modify, in place.
        **common: see `deltanb.engine.CommonOptions`. Default hosts: every norm that has a role.

    Raises:
        DeltaError: a pattern hits nothing or no norm, or another attached delta owns one of the tensors.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
        >>> LnTuningModel(backbone_model=model, modified_modules=["1"]).core_names()
        ['1.weight', '1.bias']
    """

    config_class = LnTuningConfig
    delta_type = "ln_tuning"
    merges = True
    default_modified_modules = ("layer_norm@",)

    def __init__(self, backbone_model: nn.Module, **common: Unpack[CommonOptions]) -> None:
        super().__init__(backbone_model, {}, **common)

    def _build(self, hosts: Sequence[Host]) -> None:
        """Take the norms' tensors; nothing is added to the backbone."""
        for host in hosts:
            if not _is_norm(host.module):
                raise _no_norm(host)
        take_core(self, [f"{host.name}.{key}" for host in hosts for key in _own(host.module)])


def _is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm that has something to train: LayerNorm, RMSNorm and their like."""
    alone = len(list(backbone_modules(module))) == 1  # but for children of other deltas
    return "norm" in type(module).__name__.lower() and alone and bool(_own(module))


def _own(module: nn.Module) -> list[str]:
    """Names of the norm's own tensors, without those that other deltas brought."""
    return [key for key, parameter in module._parameters.items() if parameter is not None]


def _no_norm(host: Host) -> DeltaError:
    below = dict.fromkeys(name.rpartition(".")[2] for name, module in backbone_modules(host.module) if _is_norm(module))
    near = list(below)[:4]
    msg = f"{host.name} ({type(host.module).__name__}) is no norm with weights."
    return DeltaError(
        msg, expected="A LayerNorm, an RMSNorm.", nearest=near, try_=f"%delta attach ln_tuning {near[0] if near else 'layer_norm@'}"
    )
