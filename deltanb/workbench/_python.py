"""The Python that does the same as a verb, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltanb.engine import DeltaModel
    from deltanb.workbench._core import Step

__all__ = ["call", "construct", "script"]


def call(function: str, *arguments: str, **options: Any) -> str:
    """A call as Python text; options that are None are left out.

    Example:
        >>> call("deltanb.train", "backbone", "data", epochs=1, lr=None)
        'deltanb.train(backbone, data, epochs=1)'
    """
    named = [f"{key}={value!r}" for key, value in options.items() if value is not None]
    return f"{function}({', '.join([*arguments, *named])})"


def construct(delta: DeltaModel) -> str:
    """The line that builds a delta anew.

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
    return f"{delta.name} = {text}"


def script(steps: list[Step]) -> str:
    """A whole script that does what the steps did, imports first."""
    lines = [line for step in steps for line in step.python]
    body = "\n".join(lines)
    names = [name for name in ("AdapterModel", "BitFitModel", "LoraModel") if f"{name}(" in body]
    imports = ["import deltanb", *([f"from deltanb import {', '.join(names)}"] if names else [])]
    if "as_text_data(" in body:
        imports.append("from deltanb.datasets import as_text_data")
    return "\n".join([*imports, "", body, ""]) if body else "# Nothing has been done yet: %delta backbone minilm\n"
