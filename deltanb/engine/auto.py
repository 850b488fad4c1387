"""The delta types by name: configs from plain data, deltas from configs and from folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.engine import _upward
from deltanb.engine.adapter import AdapterModel
from deltanb.engine.bitfit import BitFitModel
from deltanb.engine.compacter import CompacterModel
from deltanb.engine.ia3 import IA3Model
from deltanb.engine.ln_tuning import LnTuningModel
from deltanb.engine.lora import LoraModel
from deltanb.engine.low_rank_adapter import LowRankAdapterModel
from deltanb.engine.parallel_adapter import ParallelAdapterModel
from deltanb.engine.prefix import PrefixModel
from deltanb.engine.soft_prompt import SoftPromptModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from deltanb.engine._base import DeltaModel
    from deltanb.engine._config import BaseDeltaConfig

__all__ = ["DELTA_TYPES", "AutoDeltaConfig", "AutoDeltaModel", "delta_class"]

DELTA_TYPES: dict[str, type[DeltaModel]] = {
    cls.delta_type: cls
    for cls in (
        AdapterModel,
        LoraModel,
        BitFitModel,
        PrefixModel,
        SoftPromptModel,
        LowRankAdapterModel,
        ParallelAdapterModel,
        CompacterModel,
        IA3Model,
        LnTuningModel,
    )
}

# What checkpoints and old scripts add to the settings: facts about the run, no settings.
_FACTS = {
    "delta_type",
    "backbone_class",
    "backbone_checkpoint_name",
    "backbone_hash",
    "opendelta_version",
    "transformers_version",
}


def delta_class(delta_type: Any) -> type[DeltaModel]:
    """The class of a delta type.

    Raises:
        DeltaError: there is no such type; lists those there are.

    Example:
        >>> delta_class("lora").__name__
        'LoraModel'
    """
    if isinstance(delta_type, str) and delta_type in DELTA_TYPES:
        return DELTA_TYPES[delta_type]
    msg = f"There is no delta type {delta_type!r}."
    raise DeltaError(
        msg, expected=f"One of: {', '.join(DELTA_TYPES)}.", nearest=close(str(delta_type), DELTA_TYPES), try_="%delta help attach"
    )


class AutoDeltaConfig:
    """Configs of any type from plain data."""

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], **changes: Any) -> BaseDeltaConfig:
        """A config from its dictionary form.

        Args:
            config: ``{"delta_type": …, option: value, …}``.
            **changes: options that override.

        Raises:
            DeltaError: no or an unknown type, an unknown option, a value out of its limits.

        Example:
            >>> AutoDeltaConfig.from_dict({"delta_type": "lora", "lora_r": 4}).lora_r
            4
        """
        data = {**config, **changes}
        if "delta_type" not in data:
            msg = "The settings name no delta_type."
            example = "AutoDeltaConfig.from_dict({'delta_type': 'lora'})"
            raise DeltaError(msg, expected=f"delta_type: one of {', '.join(DELTA_TYPES)}.", try_=example)
        kind = delta_class(data["delta_type"]).config_class
        return kind(**{kind.field(key).name: value for key, value in data.items() if key not in _FACTS})

    @classmethod
    def from_finetuned(cls, finetuned_delta_path: str | Path) -> BaseDeltaConfig:
        """The config of a saved delta."""
        return _upward.read_config(finetuned_delta_path)


class AutoDeltaModel:
    """Deltas of any type from a config or a folder."""

    @classmethod
    def from_config(cls, config: BaseDeltaConfig, backbone_model: nn.Module, **options: Any) -> DeltaModel:
        """A new delta with these settings.

        Example:
            >>> from torch import nn
            >>> config = AutoDeltaConfig.from_dict({"delta_type": "lora", "modified_modules": ["0"]})
            >>> AutoDeltaModel.from_config(config, backbone_model=nn.Sequential(nn.Linear(4, 4))).delta_type
            'lora'
        """
        return delta_class(config.delta_type).from_config(config, backbone_model, **options)

    @classmethod
    def from_finetuned(cls, finetuned_delta_path: str | Path, backbone_model: nn.Module, **options: Any) -> DeltaModel:
        """Read a saved delta, of any format that is recognised, and attach it; see `deltanb.load`.

        The path is a folder; where there is none of that name, ``user/name`` is looked for on the model hub.
        Nothing is frozen until ``freeze_module`` is called; train and eval mode are not touched.
        """
        return _upward.load(finetuned_delta_path, backbone_model, **options)
