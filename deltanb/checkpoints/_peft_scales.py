"""(IA)³ and LayerNorm tuning as PEFT writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deltanb.checkpoints._peft_common import Folder, as_saved, checked
from deltanb.checkpoints._peft_targets import ends_in

if TYPE_CHECKING:
    from deltanb.checkpoints._saved import Saved

__all__ = ["read_ia3", "read_norms"]

_IA3 = re.compile(r"(?P<host>.+)\.(?P<part>ia3_l)(?:\.[^.]+)?")
_NORM = re.compile(r"(?P<host>.+)\.ln_tuning_layers(?:\.(?!weight$|bias$)[^.]+)?\.(?P<part>weight|bias)")


def read_ia3(folder: Folder) -> Saved:
    """(IA)³ from a folder.

    Raises:
        DeltaError: a setting has no form here, or is of the wrong kind.
    """
    checked(folder, {"feedforward_modules": (list, str)}, known=("fan_in_fan_out", "init_ia3_weights"), refused={})
    adapter = folder.split(_IA3, {"ia3_l": "ia3.ia3_l"})
    inward = [host for host in adapter.hosts if ends_in(folder.settings.get("feedforward_modules") or [], host)]
    return as_saved(folder, adapter, "ia3", {"feedforward_modules": inward})


def read_norms(folder: Folder) -> Saved:
    """LayerNorm tuning from a folder; here it trains the norms themselves, where PEFT trains copies.

    Raises:
        DeltaError: a setting has no form here, or is of the wrong kind.
    """
    checked(folder, {}, known=(), refused={})
    return as_saved(folder, folder.split(_NORM, {"weight": "weight", "bias": "bias"}), "ln_tuning", {})
