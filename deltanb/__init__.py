"""deltanb: delta tuning (parameter-efficient fine-tuning) in a notebook, with its own engine.

``%load_ext deltanb`` gives the ``%delta`` magic; everything it does can be imported from here too. Nothing heavy is
imported before it is used: a name is looked up in its own module when it is first asked for (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from deltanb._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from deltanb._errors import DeltaError
    from deltanb.addressing import MatchResult
    from deltanb.backbones import Backbone, load_backbone
    from deltanb.checkpoints import save
    from deltanb.comparison import compare
    from deltanb.engine import (
        AdapterConfig,
        AdapterModel,
        AutoDeltaConfig,
        AutoDeltaModel,
        BaseDeltaConfig,
        BitFitConfig,
        BitFitModel,
        CompacterConfig,
        CompacterModel,
        DeltaModel,
        IA3Config,
        IA3Model,
        LnTuningConfig,
        LnTuningModel,
        LoraConfig,
        LoraModel,
        LowRankAdapterConfig,
        LowRankAdapterModel,
        ParallelAdapterConfig,
        ParallelAdapterModel,
        PrefixConfig,
        PrefixModel,
        SoftPromptConfig,
        SoftPromptModel,
        add,
        dead_parameters,
        deltas,
        freeze,
        interpolate,
        match,
        plan,
        unfreeze,
        use,
        without_deltas,
    )
    from deltanb.planning import plans
    from deltanb.serving import DeltaPool
    from deltanb.sharing import load, pull, push
    from deltanb.structure import ModuleTree, snapshot
    from deltanb.training import anatomy, evaluate, generate, predict, train
    from deltanb.visualization import Visualization
    from deltanb.widgets.explorer import Explorer
    from deltanb.widgets.preview import preview
    from deltanb.workbench import Workbench

__all__ = [
    "AdapterConfig",
    "AdapterModel",
    "AutoDeltaConfig",
    "AutoDeltaModel",
    "Backbone",
    "BaseDeltaConfig",
    "BitFitConfig",
    "BitFitModel",
    "CompacterConfig",
    "CompacterModel",
    "DeltaError",
    "DeltaModel",
    "DeltaPool",
    "Explorer",
    "IA3Config",
    "IA3Model",
    "LnTuningConfig",
    "LnTuningModel",
    "LoraConfig",
    "LoraModel",
    "LowRankAdapterConfig",
    "LowRankAdapterModel",
    "MatchResult",
    "ModuleTree",
    "ParallelAdapterConfig",
    "ParallelAdapterModel",
    "PrefixConfig",
    "PrefixModel",
    "SoftPromptConfig",
    "SoftPromptModel",
    "Visualization",
    "Workbench",
    "__version__",
    "add",
    "anatomy",
    "compare",
    "dead_parameters",
    "deltas",
    "evaluate",
    "freeze",
    "generate",
    "interpolate",
    "load",
    "load_backbone",
    "load_ipython_extension",
    "match",
    "plan",
    "plans",
    "predict",
    "preview",
    "pull",
    "push",
    "save",
    "snapshot",
    "train",
    "unfreeze",
    "unload_ipython_extension",
    "use",
    "without_deltas",
]

_HOMES = {
    "deltanb._errors": ["DeltaError"],
    "deltanb.addressing": ["MatchResult"],
    "deltanb.backbones": ["Backbone", "load_backbone"],
    "deltanb.checkpoints": ["save"],
    "deltanb.comparison": ["compare"],
    "deltanb.engine": [
        "AdapterConfig",
        "AdapterModel",
        "AutoDeltaConfig",
        "AutoDeltaModel",
        "BaseDeltaConfig",
        "BitFitConfig",
        "BitFitModel",
        "CompacterConfig",
        "CompacterModel",
        "DeltaModel",
        "IA3Config",
        "IA3Model",
        "LnTuningConfig",
        "LnTuningModel",
        "LoraConfig",
        "LoraModel",
        "LowRankAdapterConfig",
        "LowRankAdapterModel",
        "ParallelAdapterConfig",
        "ParallelAdapterModel",
        "PrefixConfig",
        "PrefixModel",
        "SoftPromptConfig",
        "SoftPromptModel",
        "dead_parameters",
        "add",
        "deltas",
        "freeze",
        "interpolate",
        "match",
        "plan",
        "unfreeze",
        "use",
        "without_deltas",
    ],
    "deltanb.serving": ["DeltaPool"],
    "deltanb.planning": ["plans"],
    "deltanb.sharing": ["load", "pull", "push"],
    "deltanb.structure": ["ModuleTree", "snapshot"],
    "deltanb.training": ["anatomy", "evaluate", "generate", "predict", "train"],
    "deltanb.visualization": ["Visualization"],
    "deltanb.widgets.explorer": ["Explorer"],
    "deltanb.widgets.preview": ["preview"],
    "deltanb.workbench": ["Workbench"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    msg = f"module 'deltanb' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What ``%load_ext deltanb`` calls: registers ``%delta`` and its completion.

    Args:
        shell: the running IPython.
    """
    from deltanb.magics import register

    register(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What ``%unload_ext deltanb`` calls: removes everything again.

    Args:
        shell: the running IPython.
    """
    from deltanb.magics import unregister

    unregister(shell)
