"""Where a delta sits when no module is named: its type's roles, or what stands in their place in the model's family."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltanb._errors import DeltaError
from deltanb.addressing import pattern_hits
from deltanb.roles import roles_of
from deltanb.structure import backbone_modules, module_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

__all__ = ["Defaults", "default_hosts", "usual_names"]

_SHOWN = 4


@dataclass(frozen=True)
class Defaults:
    """The patterns that stand for no pattern, and what is worth saying about them."""

    patterns: list[str]
    notes: list[str]


def default_hosts(backbone: nn.Module, delta_type: str, wanted: Sequence[str], stand_ins: Mapping[str, str]) -> Defaults:
    """The roles at which a delta sits unless it is told otherwise.

    Args:
        backbone: the model.
        delta_type: the delta's type, for messages.
        wanted: the type's roles.
        stand_ins: for a role that a family may lack the one to take instead.

    Raises:
        DeltaError: no role of this model is known, or it has none of those wanted.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> default_hosts(BertModel(config), "lora", ["attn@.q@", "mixer@.in@"], {})
        Defaults(patterns=['attn@.q@'], notes=['there is no mixer@.in@ in this model'])
    """
    names, roles = module_names(backbone), roles_of(backbone)
    if roles is None:
        raise _unknown(backbone, delta_type, wanted)
    chosen: list[str] = []
    notes: list[str] = []
    for role in wanted:
        instead = stand_ins.get(role, "")
        taken = next((word for word in (role, instead) if word and pattern_hits(word, names, roles)), "")
        if taken != role:
            notes.append(f"there is no {role} in this model" + (f", so {taken} is taken" if taken else ""))
        if taken:
            chosen.append(taken)
    if not chosen:
        raise _lacking(backbone, delta_type, wanted)
    return Defaults(chosen, list(dict.fromkeys(notes)))


def usual_names(backbone: nn.Module, wanted: Sequence[str]) -> list[str]:
    """Patterns for the modules that such a delta could sit on: norms where it wants norms, else linear layers; the most common first.

    Example:
        >>> from torch import nn
        >>> layer = lambda: nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4))
        >>> usual_names(nn.Sequential(layer(), layer()), ["attn@.q@"])
        ['$.1']
    """
    count: dict[str, int] = {}
    for name, module in backbone_modules(backbone):
        if name and _fits(module, wanted):
            pattern = _as_pattern(name)
            count[pattern] = count.get(pattern, 0) + 1
    return sorted(count, key=lambda pattern: -count[pattern])[:_SHOWN]


def _fits(module: nn.Module, wanted: Sequence[str]) -> bool:
    """Whether a delta of those roles could sit on a module; attention cannot be told by its type."""
    from torch import nn

    kind = type(module).__name__
    if all("norm" in role for role in wanted):
        return "norm" in kind.lower() and not module._modules
    return not _only_attention(wanted) and (isinstance(module, nn.Linear) or kind == "Conv1D")


def _only_attention(wanted: Sequence[str]) -> bool:
    return set(wanted) == {"attn@"}


def _as_pattern(name: str) -> str:
    """The end of a name that its siblings share: its last word, and for a numbered module all, with ``$`` for other numbers."""
    head, _, last = name.rpartition(".")
    return re.sub(r"(?<![^.])\d+(?![^.])", "$", head) + f".{last}" if last.isdigit() and head else last


def _unknown(backbone: nn.Module, delta_type: str, wanted: Sequence[str]) -> DeltaError:
    near = usual_names(backbone, wanted)
    family = getattr(getattr(backbone, "config", None), "model_type", None)
    called = f"{type(backbone).__name__} (family {family!r})" if family else f"{type(backbone).__name__}, which has no family"
    msg = f"Where {delta_type} usually sits is not known for {called}."
    example = f"%delta attach {delta_type} {near[0]}" if near else "%delta graph"
    return DeltaError(msg, expected="The names of modules, or patterns for them.", nearest=near, try_=example)


def _lacking(backbone: nn.Module, delta_type: str, wanted: Sequence[str]) -> DeltaError:
    msg = f"{type(backbone).__name__} has nothing that {delta_type} usually sits on ({', '.join(dict.fromkeys(wanted))})."
    expected = "The names of modules where such a delta makes sense, or another type."
    return DeltaError(msg, expected=expected, try_="%delta attach adapter")
