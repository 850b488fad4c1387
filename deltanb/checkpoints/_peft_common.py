"""What all PEFT folders have in common: settings that are checked, names with a prefix, modules that are saved whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints._files import ADAPTER_CONFIG
from deltanb.checkpoints._peft_rest import declared, settle
from deltanb.checkpoints._peft_targets import Targets
from deltanb.checkpoints._saved import Saved
from deltanb.engine import AutoDeltaConfig
from deltanb.structure import module_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch
    from torch import nn

__all__ = ["HEADS", "PREFIX", "Adapter", "Folder", "as_saved", "backbone_facts", "checked"]

PREFIX = "base_model.model."
# The heads that PEFT saves for a task without being told.
HEADS = {"SEQ_CLS": ("classifier", "score"), "TOKEN_CLS": ("classifier", "score"), "QUESTION_ANS": ("qa_outputs",)}

_KINDS: dict[str, tuple[type, ...]] = {
    "target_modules": (list, str),
    "exclude_modules": (list, str),
    "modules_to_save": (list,),
    "layers_to_transform": (list, int),
    "layers_pattern": (list, str),
    "base_model_name_or_path": (str,),
    "auto_mapping": (dict,),
    "task_type": (str,),
}
_PLAIN = ("peft_type", "peft_version", "inference_mode", "revision")


@dataclass
class Folder:
    """A PEFT folder as it was read.

    Attributes:
        path: of the folder.
        settings: ``adapter_config.json``.
        raw: the tensors, under PEFT's names.
        problems: what is wrong though it can be read.
    """

    path: Path
    settings: dict[str, Any]
    raw: dict[str, torch.Tensor]
    problems: list[str] = field(default_factory=list)

    @property
    def saved_words(self) -> list[str]:
        """What PEFT saves whole: ``modules_to_save``, and the head of the task."""
        words = [*(self.settings.get("modules_to_save") or []), *HEADS.get(self.settings.get("task_type") or "", ())]
        return list(dict.fromkeys(words))

    def refused(self, what: str, why: str, instead: str = "") -> DeltaError:
        """The error for a setting that has no form here."""
        return DeltaError(
            f"{self.path / ADAPTER_CONFIG} says {what}: {why}.", expected="deltanb has no delta that computes this.", try_=instead
        )

    def split(self, key: re.Pattern[str], parts: Mapping[str, str]) -> Adapter:
        """The adapter's own tensors under deltanb's names, and those of the backbone under theirs.

        Args:
            key: an expression with a ``host`` and a ``part``.
            parts: PEFT's words for a part, with where deltanb has it under the host.
        """
        named = self._without_prefix()
        found = {name: hit for name in named if (hit := key.fullmatch(name))}
        hosts = list(dict.fromkeys(hit["host"] for hit in found.values()))
        tensors = {f"{hit['host']}.{parts[hit['part']]}": named[name] for name, hit in found.items()}
        rest = {_plain(name): tensor for name, tensor in named.items() if name not in found and ".original_module." not in name}
        if not hosts:
            msg = f"{self.path} holds no tensor of the type {self.settings.get('peft_type')}."
            raise DeltaError(msg, expected=f"Names such as {PREFIX}…query.{next(iter(parts))}.", try_="copy or download the folder again")
        return Adapter(hosts, tensors, rest)

    def _without_prefix(self) -> dict[str, torch.Tensor]:
        bare = [name for name in self.raw if not name.startswith(PREFIX)]
        if bare:
            self.problems.append(f"{len(bare)} tensors lack the prefix {PREFIX} (such as {bare[0]}): PEFT would leave them out")
        return {name.removeprefix(PREFIX): tensor for name, tensor in self.raw.items()}


def _plain(name: str) -> str:
    """A backbone tensor's name without the wrappers that PEFT has around some modules."""
    return re.sub(r"\.base_layer\.|\.modules_to_save\.", ".", name)


@dataclass
class Adapter:
    """A folder's tensors, sorted.

    Attributes:
        hosts: the modules that the adapter sits on, in the file's order.
        tensors: its own, as deltanb names them.
        rest: those of the backbone, by name there.
    """

    hosts: list[str]
    tensors: dict[str, torch.Tensor]
    rest: dict[str, torch.Tensor]


def checked(folder: Folder, kinds: Mapping[str, tuple[type, ...]], known: Sequence[str], refused: Mapping[str, str]) -> None:
    """Check the settings: each of its kind, none that changes what is computed and is not known.

    Raises:
        DeltaError: with the setting and the reason.
    """
    every = {**_KINDS, **kinds}
    for key, value in folder.settings.items():
        if (
            value is not None
            and key in every
            and not (isinstance(value, every[key]) and (bool in every[key] or not isinstance(value, bool)))
        ):
            msg = f"{folder.path / ADAPTER_CONFIG} says {key}={value!r}."
            raise DeltaError(msg, expected=f"{key} is one of: {', '.join(kind.__name__ for kind in every[key])}.")
        if key in refused and value:
            raise folder.refused(f"{key}={value!r}", refused[key])
        if value and key not in {*every, *known, *_PLAIN}:
            folder.problems.append(f"the setting {key}={value!r} is not known here and may change what is computed")


def as_saved(folder: Folder, adapter: Adapter, kind: str, options: dict[str, Any]) -> Saved:
    """What every reader of hosts gives, with the checks that PEFT leaves out."""
    settings, words = folder.settings, folder.saved_words
    config = AutoDeltaConfig.from_dict({"delta_type": kind, **options, "modified_modules": adapter.hosts})
    targets = Targets.of(settings, words)
    stray = [host for host in adapter.hosts if not targets.hits(host)]
    if stray:
        folder.problems.append(
            f"tensors of {len(stray)} modules that target_modules does not cover (such as {stray[0]}): PEFT ignores them"
        )
    notes = [] if targets.modules is not None else ["target_modules is not said: the tensors say where it sits"]
    return Saved(
        folder.path,
        "PEFT",
        config,
        {**adapter.tensors, **adapter.rest},
        hosts=adapter.hosts,
        freeze=[declared(adapter.rest, words)],
        implied=True,
        backbone=backbone_facts(settings),
        notes=notes,
        problems=folder.problems,
        fit=Fit(targets, list(adapter.rest)),
    )


def backbone_facts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Name and class of the backbone, as far as PEFT noted them."""
    mapping = settings.get("auto_mapping") or {}
    return {"class": mapping.get("base_model_class") or "", "name": settings.get("base_model_name_or_path") or ""}


@dataclass(frozen=True)
class Fit:
    """What can be checked only against the backbone.

    Attributes:
        targets: where PEFT would put the adapter.
        rest: names of the backbone's tensors in the file.
    """

    targets: Targets
    rest: list[str]

    def __call__(self, saved: Saved, backbone: nn.Module) -> Saved:
        """The reading without copies of what the backbone holds, and with the modules that have no tensors named."""
        settle(saved, backbone, self.rest, self.targets.saved)
        names = module_names(backbone)
        if not set(saved.hosts) <= set(names):
            return saved  # another backbone: the one problem to be named
        bare = [name for name in names if self.targets.modules is not None and name not in saved.hosts and self.targets.hits(name)]
        if bare:
            saved.problems.append(f"no tensors for {len(bare)} modules that target_modules covers (such as {bare[0]})")
        hosts = [name for name in names if name in set(saved.hosts)]
        return replace(saved, hosts=hosts, config=replace(saved.config, modified_modules=hosts))
