"""How each of OpenDelta's types lies in its folder: one small entry a type.

An entry gets the settings (``config.json``) and the tensors, and says where the delta sat and what its tensors are called
here. What needs the backbone to be known (which module is the second of a pair) waits in ``fit``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.addressing import pattern_hits
from deltanb.roles import family_of, role_names
from deltanb.structure import module_names

if TYPE_CHECKING:
    import torch
    from torch import nn

    from deltanb.checkpoints._saved import Saved

__all__ = ["ENTRIES", "Case", "Entry"]


@dataclass
class Case:
    """What an entry makes of a folder.

    Attributes:
        hosts: the modules that got a child, or a bias.
        tensors: as they are called here, child modules under the type's default name.
        patterns: what the delta is attached by; default: the hosts.
        options: settings that differ from what ``config.json`` says.
        notes: what is worth saying.
        problems: what is wrong in the folder.
        fit: what completes the reading once the backbone is known.
    """

    hosts: list[str]
    tensors: dict[str, torch.Tensor]
    patterns: list[str] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    fit: Callable[[Saved, nn.Module], Saved] | None = None


Entry = Callable[[Mapping[str, Any], "dict[str, torch.Tensor]"], Case]


def _children(word: str, marks: str) -> Entry:
    """The entry of a type whose tensors lie in child modules.

    Args:
        word: the child's name. A second delta's is ``word_1``; from the third on OpenDelta numbers the first word alone.
        marks: how the names inside the child begin.
    """
    stem = word.partition("_")[0]
    child = re.compile(rf"(.+?)\.({word}(?:_\d+)?|{stem}_\d+)\.(?={marks})")

    def entry(_settings: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> Case:
        found = {name: hit for name in tensors if (hit := child.match(name))}
        names = sorted({hit.group(2) for hit in found.values()})
        if len(names) > 1:
            msg = f"The folder holds the tensors of {len(names)} deltas of one type: {', '.join(names)}."
            raise DeltaError(msg, expected="One delta a folder.", try_="save each delta of its own with OpenDelta")
        renamed = {name: f"{hit.group(1)}.{word}.{name[hit.end() :]}" for name, hit in found.items()}
        hosts = list(dict.fromkeys(hit.group(1) for hit in found.values()))
        return Case(hosts, {renamed.get(name, name): tensor for name, tensor in tensors.items()})

    return entry


def _bitfit(_settings: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> Case:
    names = [name.removesuffix(".bitfit.bias").removesuffix(".bias") for name in tensors if name.endswith(".bias")]
    return Case(list(dict.fromkeys(names)), tensors)


_compactor = _children("compactor", r"(?:down|up)_sampler\.")


def _compacter(settings: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> Case:
    case = _compactor(settings, tensors)
    if settings.get("non_linearity") is None:
        case.options["non_linearity"] = "relu"  # what its config means by silence; its constructor would mean gelu_new
    if settings.get("learn_phm") is False and not any("phm_rule" in name for name in tensors):
        case.problems.append("its rules did not train (learn_phm), and OpenDelta does not save what does not train")
    return case


_beside = _children("parallel_adapter", r"modulelist\.")


def _parallel(settings: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> Case:
    """The file names the first module of each pair; the second is found as OpenDelta found it."""
    case = _beside(settings, tensors)
    scaled = settings.get("scaled")
    if scaled not in (None, 1, 1.0):
        case.notes.append(f"scaled={scaled} is left out: OpenDelta wrote it down and never used it")
    case.options["scaled"] = 1.0
    case.patterns = list(settings.get("modified_modules") or case.hosts)

    def fit(saved: Saved, backbone: nn.Module) -> Saved:
        if not set(saved.hosts) <= set(module_names(backbone)):
            return saved  # another backbone, which is refused for that
        pairs = _pairs(settings, backbone)
        if set(pairs) != set(saved.hosts):
            wrong = min(set(pairs) ^ set(saved.hosts))
            msg = f"{saved.folder} pairs other modules than its patterns do here (such as {wrong})."
            expected = "The backbone that it was saved from; pairs that OpenDelta made across blocks cannot be read."
            raise DeltaError(msg, expected=expected)
        flat = [name for pair in pairs.items() for name in pair]
        return replace(saved, config=replace(saved.config, modified_modules=flat))

    case.fit = fit
    return case


def _pairs(settings: Mapping[str, Any], backbone: nn.Module) -> dict[str, str]:
    """OpenDelta's pairs: all that its patterns hit, two by two."""
    row = _row(settings, backbone)
    return dict(zip(row[::2], row[1::2], strict=False))


def _row(settings: Mapping[str, Any], backbone: nn.Module) -> list[str]:
    """All that OpenDelta's patterns hit, in model order and once a pattern."""
    names = module_names(backbone)
    family = family_of(backbone) if settings.get("common_structure") else None
    roles = role_names(names, family) if family else {}
    hits = [set(pattern_hits(pattern, names, roles)) for pattern in settings.get("modified_modules") or []]
    left_out = tuple(settings.get("exclude_modules") or ())
    return [name for name in names if not name.startswith(left_out) for found in hits if name in found]


_rows = _children("prefix", r"past_(?:key|value)$")
_network = _children("reparams", r"(?:wte|control_trans)\.")


def _prefix(settings: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> Case:
    """A network lies under the first module alone; the others are found as OpenDelta found them."""
    made = settings.get("reparameterize") is not False
    case = (_network if made else _rows)(settings, tensors)

    def fit(saved: Saved, backbone: nn.Module) -> Saved:
        if not set(saved.hosts) <= set(module_names(backbone)):
            return saved  # another backbone, which is refused for that
        options: dict[str, Any] = {"modified_modules": list(dict.fromkeys(_row(settings, backbone))) or saved.hosts} if made else {}
        if any(type(backbone.get_submodule(name)).__name__.startswith("T5") for name in saved.hosts):
            options |= {"shift_positions": True, "shared_position_bias": False}
        return replace(saved, config=replace(saved.config, **options))

    case.fit = fit
    return case


def _soft_prompt(_settings: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> Case:
    """OpenDelta's model sees the prompt's rows as text: positions go on, logits and pooling include them."""
    last = re.compile(r"(?:(.+)\.)?soft_prompt_layer(?:_\d+)?\.soft_embeds")
    found = {name: hit.group(1) or "" for name in tensors if (hit := last.fullmatch(name))}
    renamed = {name: f"{host}.soft_prompt_layer.soft_embeds".lstrip(".") for name, host in found.items()}
    tensors = {renamed.get(name, name): tensor for name, tensor in tensors.items()}
    return Case(list(found.values()), tensors, ["root"], {"shift_positions": True, "keep_rows": True})


ENTRIES: dict[str, Entry] = {
    "adapter": _children("adapter", r"modulelist\."),
    "lora": _children("lora", r"lora_[AB]$"),
    "bitfit": _bitfit,
    "low_rank_adapter": _children("low_rank_adapter", r"(?:down|up)_sampler\."),
    "parallel_adapter": _parallel,
    "compacter": _compacter,
    "prefix": _prefix,
    "soft_prompt": _soft_prompt,
}
