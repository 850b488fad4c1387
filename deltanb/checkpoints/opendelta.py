"""Folders that OpenDelta wrote (Ding et al. 2022): ``config.json`` and ``pytorch_model.bin``.

The weights are read with ``weights_only=True``: no pickled code runs. OpenDelta's patterns follow rules of their own (raw
prefixes for exclusion, role names chosen by a flag, LoRA that ignores exclusion), so the hosts are taken from the names of
the tensors: what was saved is where it sat. What differs from type to type is in `_opendelta_types`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints._files import CONFIG, read_json
from deltanb.checkpoints._opendelta_types import ENTRIES
from deltanb.checkpoints._saved import Saved
from deltanb.checkpoints._tensors import read_tensors
from deltanb.engine import DELTA_TYPES, AutoDeltaConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["BINARY", "read"]

BINARY = "pytorch_model.bin"


def read(folder: Path) -> Saved:
    """Read a folder.

    Raises:
        DeltaError: the weights cannot be read, the type is not known, or a tensor has no place.

    Example:
        See `deltanb.AutoDeltaModel.from_finetuned`, which calls it where it finds such a folder.
    """
    data = read_json(folder / CONFIG)
    kind = data.get("delta_type")
    if not isinstance(kind, str) or kind not in ENTRIES:
        msg = f"{folder} holds a delta of type {kind!r}, written by OpenDelta."
        raise DeltaError(msg, expected=f"One of the types that can be read: {', '.join(ENTRIES)}.")
    case = ENTRIES[kind](data, read_tensors(folder / BINARY, f"OpenDelta's save_finetuned writes {CONFIG} and {BINARY}."))
    if not case.hosts:
        msg = f"{folder / BINARY} holds no tensor of the type {kind!r}."
        raise DeltaError(msg, expected="Its names look like encoder.layers.0.fc2.adapter.modulelist.down_proj.weight.")
    settings = {**_options(kind, data), **case.options, "modified_modules": case.patterns or case.hosts}
    backbone = {"class": data.get("backbone_class", ""), "name": data.get("backbone_checkpoint_name", "")}
    return Saved(
        folder,
        "OpenDelta",
        AutoDeltaConfig.from_dict({"delta_type": kind, **settings}),
        case.tensors,
        hosts=case.hosts,
        backbone=backbone,
        notes=case.notes,
        problems=case.problems,
        fit=case.fit,
    )


def _options(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that mean something here; what is null there was left at its default."""
    known = (*DELTA_TYPES[kind].config_class.option_names(), "unfrozen_modules")
    options = {key: data[key] for key in known if data.get(key) is not None}
    if isinstance(options.get("non_linearity"), str):
        options["non_linearity"] = options["non_linearity"].lower()
    return options
