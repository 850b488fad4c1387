"""Where a model tells its text's positions, and how to move them.

Rotary embeddings, learned embeddings and BART's kind are called with position ids, or with the number of tokens before.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.engine._insertion import PreHook
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PlainCache", "ShiftPositions", "bias_owner", "counters", "is_relative", "position_modules"]

_TABLES = ("wpe", "position_embeddings", "position_embedding", "embed_positions")


class ShiftPositions(PreHook):
    """Every position that a module is asked for comes later.

    Args:
        by: how many places.
    """

    def __init__(self, by: int) -> None:
        self.by = by
        self.names: tuple[str, ...] = ()

    def register(self, module: nn.Module) -> Any:
        """Hook in; the handle that comes back has a ``remove()``."""
        self.names = tuple(inspect.signature(module.forward).parameters)
        return super().register(module)

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any = None) -> Any:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_pre_hook``."""
        given = {**dict(zip(self.names, args, strict=False)), **kwargs}
        if given.get("position_ids") is not None:
            given["position_ids"] = given["position_ids"] + self.by
        elif "past_key_values_length" in self.names:
            given["past_key_values_length"] = given.get("past_key_values_length", 0) + self.by
        else:  # a plain table
            given[self.names[0]] = given[self.names[0]] + self.by
        return (), given


class PlainCache(PreHook):
    """Refuses static caches for T5's attention: they do not tell how much of them is filled, and so no distances."""

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any = None) -> Any:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_pre_hook``."""
        if getattr(kwargs.get("past_key_values"), "is_compileable", False):
            msg = "A prefix with shift_positions on T5 does not work with a static cache."
            raise DeltaError(msg, expected="The default cache.", try_="leave cache_implementation out")


def is_relative(backbone: nn.Module, name: str) -> bool:
    """Whether an attention module is of T5's kind: positions are a bias by distance."""
    return hasattr(backbone.get_submodule(name), "has_relative_attention_bias")


def bias_owner(backbone: nn.Module, name: str) -> nn.Module | None:
    """Of a T5 self-attention: the one whose table of position bias the layers of its stack share. Others: None."""
    attention = backbone.get_submodule(name)
    if getattr(attention, "has_relative_attention_bias", False):
        return attention
    stack, _, last = name.rpartition(".block.")[0], *name.rpartition(".")[1:]
    for other, module in backbone_modules(backbone):
        near = other.startswith(f"{stack}.block.") and other.endswith(f".{last}")
        if near and getattr(module, "has_relative_attention_bias", False):
            return module
    return None


def position_modules(backbone: nn.Module, names: list[str]) -> list[str]:
    """The modules that tell the positions of the text that some attention modules see: the nearest ones around each.

    Args:
        backbone: the model.
        names: of attention modules.

    Raises:
        DeltaError: there is none; the model has relative positions, say.
    """
    known = [name for name, module in backbone_modules(backbone) if _tells_positions(name, module)]
    found: dict[str, None] = {}
    for name in names:
        around = name
        near: list[str] = []
        while around and not near:
            around = around.rpartition(".")[0]
            near = [other for other in known if other.startswith(f"{around}." if around else "")]
        if not near:
            msg = f"{type(backbone).__name__} has no positions that could be moved: those of {name} are relative, or part of the input."
            raise DeltaError(msg, expected="A model with rotary or absolute positions.", try_="shift_positions=False")
        found.update(dict.fromkeys(near))
    return list(found)


def counters(backbone: nn.Module) -> list[str]:
    """The tables of positions that count by themselves, as BART's do."""
    return [name for name, module in backbone_modules(backbone) if _counts(module)]


def _counts(module: nn.Module) -> bool:
    from torch import nn

    return isinstance(module, nn.Embedding) and "past_key_values_length" in inspect.signature(module.forward).parameters


def _tells_positions(name: str, module: nn.Module) -> bool:
    from torch import nn

    if isinstance(module, nn.Embedding) and type(module).forward is nn.Embedding.forward:
        return name.rpartition(".")[2] in _TABLES
    rotary = type(module).__name__.endswith("RotaryEmbedding") and "position_ids" in inspect.signature(module.forward).parameters
    return rotary or _counts(module)
