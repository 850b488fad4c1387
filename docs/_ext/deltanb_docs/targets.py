"""The usual choices of target modules, as patterns, as Python and as PEFT's ``target_modules``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb import plan
from deltanb.addressing import patterns_for
from deltanb.addressing._split import join_patterns
from deltanb.checkpoints._peft_targets import Targets
from deltanb.engine import LoraModel, match
from deltanb.engine._hosts import is_conv1d
from deltanb.roles import roles_of
from deltanb.structure import backbone_modules, module_names
from deltanb_docs.writing import fence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

__all__ = ["Choice", "choices", "peft_targets"]

_MOST_NAMES = 12


@dataclass(frozen=True)
class Choice:
    """One answer to "which target modules?".

    Attributes:
        title: what is chosen.
        names: the modules.
        patterns: that hit exactly these.
        targets: PEFT's ``target_modules`` that hit exactly these; one regular expression where no list does.
        cost: what a LoRA of rank 8 there costs.
    """

    title: str
    names: tuple[str, ...]
    patterns: tuple[str, ...]
    targets: tuple[str, ...]
    cost: str

    def text(self, model: str) -> str:
        """The choice in Markdown, with its three forms."""
        words = ", ".join(f'"{pattern}"' for pattern in self.patterns)
        peft = [*self.targets] if len(self.targets) > 1 or "*" not in self.targets[0] else self.targets[0]
        says = f"**{self.title}**: {', '.join(f'`{word}`' for word in self.targets)}. {len(self.names)} modules, {self.cost}."
        magic = f"%delta backbone {model} --skeleton\n%delta attach lora {join_patterns(self.patterns)}"
        python = (
            f'import deltanb\n\nmodel = deltanb.load_backbone("{model}", skeleton=True).model\n'
            f"delta = deltanb.LoraModel(model, modified_modules=[{words}])"
        )
        other = f"from peft import LoraConfig\n\nconfig = LoraConfig(target_modules={_python(peft)})"
        return "\n\n".join([says, fence("ipython3", magic), fence("python", python), fence("python", other)])


def choices(model: nn.Module) -> list[Choice]:
    """Queries and values (or what the family has in their place), and every linear layer inside the layers."""
    usual = LoraModel.planned(model, LoraModel.config_class())
    title = (
        "The usual LoRA, on queries and values" if usual.defaults.patterns == list(LoraModel.default_modified_modules) else "The usual LoRA"
    )
    found = [_choice(model, title, usual.hosts)]
    every = _linear_in_layers(model)
    if set(every) != set(usual.hosts):
        found.append(_choice(model, "Every linear layer inside the layers", every))
    return found


def _linear_in_layers(model: nn.Module) -> list[str]:
    from torch import nn

    roles = roles_of(model) or {}
    blocks = tuple(f"{name}." for name, role in roles.items() if role.rpartition(".")[0].endswith("block@") and role[-1].isdigit())
    return [
        name for name, module in backbone_modules(model) if name.startswith(blocks) and (isinstance(module, nn.Linear) or is_conv1d(module))
    ]


def _choice(model: nn.Module, title: str, names: Sequence[str]) -> Choice:
    every = module_names(model)
    targets = peft_targets(every, names)
    # A list of PEFT's is a list of suffixes here, too.
    patterns = targets if "*" not in targets[0] else patterns_for(every, names)[0].patterns
    assert match(model, list(patterns)).names == [name for name in every if name in set(names)]
    cost = plan(model, "lora", list(patterns))
    said = f"{cost.parameters:,} parameters at rank 8 ({cost.share:.2%}), {cost.bytes / 1e6:,.1f} MB on disk"
    return Choice(title, tuple(names), patterns, targets, said)


def peft_targets(every: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """What PEFT's rule needs to hit exactly some modules.

    Example:
        >>> peft_targets(["a.q", "a.k", "b.q"], ["a.q", "b.q"])
        ('q',)
    """
    wanted = set(names)
    words: dict[str, None] = {}
    for name in names:
        parts = name.split(".")
        endings = [".".join(parts[at:]) for at in range(len(parts) - 1, -1, -1)]
        words[next(end for end in endings if all(one in wanted for one in every if one == end or one.endswith(f".{end}")))] = None
    if len(words) > _MOST_NAMES:
        regex = next(found for found in patterns_for(every, names) if found.kind == "regex").patterns[0]
        words = {r"(?:.*\.)?" + regex.removeprefix("[r]").removesuffix("$"): None}
    listed: Any = list(words) if len(words) > 1 or "*" not in next(iter(words)) else next(iter(words))
    hits = Targets.of({"target_modules": listed}, []).hits
    assert {name for name in every if hits(name)} == wanted
    return tuple(words)


def _python(value: list[str] | str) -> str:
    if isinstance(value, str):
        return f'r"{value}"'
    return "[" + ", ".join(f'"{word}"' for word in value) + "]"
