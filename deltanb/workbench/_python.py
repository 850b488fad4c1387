"""The Python that does the same as a verb, as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from deltanb.engine import DELTA_TYPES

if TYPE_CHECKING:
    from deltanb.engine import DeltaModel
    from deltanb.workbench._step import Step

__all__ = ["call", "construct", "freeze_call", "imports_of", "script"]

_IMPORTS = {
    "deltanb": tuple(sorted(kind.__name__ for kind in DELTA_TYPES.values())),
    "deltanb.checkpoints": ("transplant",),
    "deltanb.datasets": ("as_text_data",),
}


def call(function: str, *arguments: str, **options: Any) -> str:
    """A call as Python text; options that are None are left out.

    Example:
        >>> call("deltanb.train", "backbone", "data", epochs=1, lr=None)
        'deltanb.train(backbone, data, epochs=1)'
    """
    named = [f"{key}={value!r}" for key, value in options.items() if value is not None]
    return f"{function}({', '.join([*arguments, *named])})"


def construct(delta: DeltaModel, variable: str = "") -> str:
    """The line that builds a delta anew.

    Args:
        delta: which.
        variable: the variable that gets it; default: the delta's name.

    Example:
        >>> from torch import nn
        >>> from deltanb import LoraModel
        >>> construct(LoraModel(nn.Sequential(nn.Linear(4, 4)), modified_modules=["0"], lora_r=2))
        "lora = LoraModel(model, modified_modules=['0'], lora_r=2)"
    """
    options = delta.config.changed_options()
    own_name = delta.name if delta.name != delta.delta_type else None
    text = call(
        type(delta).__name__,
        "model",
        modified_modules=delta.config.modified_modules,
        exclude_modules=delta.config.exclude_modules,
        **options,
        name=own_name,
    )
    return f"{variable or delta.name} = {text}"


def freeze_call(variable: str, entry: dict[str, Any]) -> str:
    """The line that makes a freeze declaration anew.

    Example:
        >>> freeze_call("lora", {"scope": "", "exclude": ["deltas"], "set_state_dict": True})
        "lora.freeze_module(exclude=['deltas'])"
    """
    scope = [f"model.get_submodule({entry['scope']!r})"] if entry["scope"] else []
    whole = None if entry["set_state_dict"] else False
    return call(f"{variable}.freeze_module", *scope, exclude=entry["exclude"], set_state_dict=whole)


def _in_force(steps: list[Step]) -> list[str]:
    """The lines of the steps but for training that was begun anew later: its values are gone."""
    lines: list[tuple[str, str]] = []
    for step in steps:
        if step.restarts:
            start = max((i for i, (verb, _) in enumerate(lines) if verb == "backbone"), default=0)
            lines = [line for i, line in enumerate(lines) if i < start or line[0] != "train" or line[1].startswith("data = ")]
        lines += [(step.verb, line) for line in step.python]
    return [line for _, line in lines]


def imports_of(body: str) -> dict[str, tuple[str, ...]]:
    """The names that Python text calls and has to import, by module.

    Example:
        >>> imports_of("lora = LoraModel(model)")
        {'deltanb': ('LoraModel',)}
    """
    found = {home: tuple(name for name in names if re.search(rf"(?<![.\w]){name}\(", body)) for home, names in _IMPORTS.items()}
    return {home: names for home, names in found.items() if names}


def script(steps: list[Step]) -> str:
    """A whole script that does what the steps did, imports first."""
    body = "\n".join(_in_force(steps))
    imports = [*(["import torch\n"] if "torch." in body else []), "import deltanb"]
    imports += [f"from {home} import {', '.join(names)}" for home, names in imports_of(body).items()]
    return "\n".join([*imports, "", body, ""]) if body else "# Nothing has been done yet: %delta backbone minilm\n"
