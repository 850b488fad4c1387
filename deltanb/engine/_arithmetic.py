"""Task arithmetic: LoRA deltas added, with weights, into one.

    W' = W + Σ wᵢ · sᵢ · Bᵢ · Aᵢ

Ilharco et al., *Editing Models with Task Arithmetic*, ICLR 2023, https://arxiv.org/abs/2212.04089. The sum is exact: A's
rows and B's columns are put side by side, so ranks add up. Backbone tensors that a source trained (a head) are added in
the same way: the original plus the weighted differences.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.addressing import pattern_hits
from deltanb.engine._merging import Effect, largest_change, logits_of, trial_batch
from deltanb.engine._naming import free_name
from deltanb.engine._ownership import own_tensors, parameter_of
from deltanb.engine._registry import deltas, unwrapped
from deltanb.engine._switch import found_delta, put_back, use, without_deltas
from deltanb.engine.lora import LoraConfig, LoraModel
from deltanb.structure import module_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import nn

    from deltanb.engine._base import DeltaModel

    _Weighed = list[tuple[LoraModel, float]]
    _Pair = tuple[torch.Tensor, torch.Tensor]

__all__ = ["add", "interpolate"]


def add(model: nn.Module, weights: Mapping[Any, float], *, name: str | None = None, batch: Any = None) -> Effect:
    """Add LoRA deltas, each times its weight, into a new one, which takes their place; they are detached and keep their values.

    Args:
        model: the backbone of all of them.
        weights: deltas (attached or not), or names of attached ones, and the weight of each. Their hosts may differ.
        name: of the new delta; default: ``combined``.
        batch: inputs by name, or a tensor, to measure changes on; default: a small trial batch.

    Returns:
        The new delta, and the largest absolute change of a logit, each alone on the backbone: against no delta, and
        against the first source. ``notes`` of the delta say what else was added.

    Raises:
        DeltaError: a delta is no LoRA, is a DoRA (its magnitudes are no sum), or belongs to another model; a weight is no
            finite number; the backbone is a skeleton. Nothing has changed then.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from deltanb import LoraModel, add
        >>> model = nn.Sequential(nn.Linear(4, 4))
        >>> for name in ("a", "b"):
        ...     _ = LoraModel(model, modified_modules=["0"], lora_r=2, name=name)
        >>> effect = add(model, {"a": 1.0, "b": 0.5}, name="both", batch=torch.ones(1, 4))
        >>> effect.delta.config.lora_r, list(effect.changes)
        (4, ['the backbone alone', 'a'])
    """
    backbone = unwrapped(model)
    sources = _sources(backbone, weights)
    inputs = trial_batch(backbone, batch)
    config, updates, owned = _config(backbone, sources), _updates(sources), _owned(backbone, sources)
    own = name or free_name("combined", {*deltas(backbone), *(source.name for source, _ in sources)})
    before = list(deltas(backbone).values())
    inside = [delta for delta in before if delta.merged]
    first = sources[0][0]
    try:
        with without_deltas(backbone):
            plain = logits_of(backbone, inputs)
            use(backbone, first)
            one = logits_of(backbone, inputs)
        use(backbone, *(delta for delta in before if all(delta is not source for source, _ in sources)))
        delta = _made(backbone, config, own, updates, owned)
        with without_deltas(backbone):
            use(backbone, delta)
            new = logits_of(backbone, inputs)
    except BaseException:
        put_back(backbone, before, inside)
        raise
    return Effect(delta, {"the backbone alone": largest_change(plain, new), first.name: largest_change(one, new)})


def interpolate(
    model: nn.Module, first: DeltaModel | str, second: DeltaModel | str, t: float, *, name: str | None = None, batch: Any = None
) -> Effect:
    """A new LoRA delta on the line between two: ``(1 - t) · first + t · second``.

    Args:
        model: the backbone of both.
        first: a delta, or the name of an attached one: t = 0.
        second: another: t = 1.
        t: where on the line; below 0 or above 1 goes on beyond the ends.
        name: as for `add`.
        batch: as for `add`.

    Returns:
        As `add`.

    Raises:
        DeltaError: as `add`.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from deltanb import LoraModel, interpolate
        >>> model = nn.Sequential(nn.Linear(4, 4))
        >>> for name in ("a", "b"):
        ...     _ = LoraModel(model, modified_modules=["0"], name=name)
        >>> interpolate(model, "a", "b", 0.3, batch=torch.ones(1, 4)).delta.name
        'combined'
    """
    share = _number(t, "t")
    if first == second:
        msg = f"interpolate needs two deltas, and got {first!r} twice."
        raise DeltaError(msg, expected="Two different ones.", try_="deltanb.interpolate(model, 'a', 'b', 0.5)")
    return add(model, {first: 1 - share, second: share}, name=name, batch=batch)


def _sources(backbone: nn.Module, weights: Mapping[Any, float]) -> _Weighed:
    found = []
    for one, weight in weights.items():
        delta = found_delta(backbone, one)
        if not isinstance(delta, LoraModel):
            msg = f"{delta.name!r} is of type {delta.delta_type}: only LoRA deltas can be added."
            raise DeltaError(msg, expected="An update that is added to a weight.", try_="%delta params --by delta")
        if delta.config.use_dora:
            msg = f"{delta.name!r} is a DoRA: its magnitudes scale one weight with one update in it, so no sum of two is a DoRA again."
            raise DeltaError(msg, expected="LoRA deltas without use_dora.", try_=f"%delta merge {delta.name}")
        found.append((delta, _number(weight, f"the weight of {delta.name!r}")))
    if not found:
        msg = "There is nothing to add."
        raise DeltaError(msg, expected="LoRA deltas and their weights.", try_="deltanb.add(model, {'a': 1.0, 'b': 0.5})")
    return found


def _number(value: Any, what: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    msg = f"{what} must be a finite number, not {value!r}."
    raise DeltaError(msg, try_="deltanb.add(model, {'a': 1.0, 'b': 0.5})")


def _config(backbone: nn.Module, sources: _Weighed) -> LoraConfig:
    """Settings with which every host's scale is 1: the sources' scales go into B."""
    ranks: Counter[str] = Counter()
    for source, _ in sources:
        ranks.update({host: layer.lora_A.shape[0] for host, layer in _layers(source)})
    usual = Counter(ranks.values()).most_common(1)[0][0]
    others = {host: rank for host, rank in ranks.items() if rank != usual}
    first = sources[0][0]
    alike = all(source.hosts == first.hosts for source, _ in sources)
    dropouts = {source.config.lora_dropout for source, _ in sources}
    return LoraConfig(
        modified_modules=first.config.modified_modules if alike else _exactly(backbone, list(ranks)),
        exclude_modules=first.config.exclude_modules if alike else None,
        unfrozen_modules=first.config.unfrozen_modules,
        lora_r=usual,
        lora_alpha=usual,
        lora_dropout=dropouts.pop() if len(dropouts) == 1 else 0.0,
        rank_pattern=others,
        alpha_pattern={host: float(rank) for host, rank in others.items()},
    )


def _layers(source: LoraModel) -> list[tuple[str, Any]]:
    return list(source.modules.items())


def _exactly(backbone: nn.Module, hosts: Sequence[str]) -> list[str]:
    """Patterns that hit these modules and no others."""
    names = module_names(backbone)
    return [host if pattern_hits(host, names) == [host] else f"[r]^{re.escape(host)}$" for host in hosts]


def _updates(sources: _Weighed) -> dict[str, _Pair]:
    """For each host A and B of the sum."""
    import torch

    parts: dict[str, list[_Pair]] = {}
    for source, weight in sources:
        for host, layer in _layers(source):
            parts.setdefault(host, []).append((layer.lora_A.detach(), layer.lora_B.detach() * (weight * layer.scaling)))
    return {host: (torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs], dim=1)) for host, pairs in parts.items()}


def _owned(backbone: nn.Module, sources: _Weighed) -> dict[str, torch.Tensor]:
    """Backbone tensors that sources trained: the original plus the weighted differences."""
    aside = {name: entry.aside for delta in deltas(backbone).values() for name, entry in delta.owned.items()}
    total: dict[str, torch.Tensor] = {}
    for source, weight in sources:
        trained = {key: value for key, value in source.tensors().items() if key in source.owned}
        for key, value in trained.items():
            original = aside[key] if key in aside else parameter_of(backbone, key).detach()
            total[key] = total.get(key, original) + weight * (value - original)
    return total


def _made(backbone: nn.Module, config: LoraConfig, name: str, updates: dict[str, _Pair], owned: dict[str, torch.Tensor]) -> LoraModel:
    import torch

    with torch.random.fork_rng(devices=[]):  # first values are drawn, and written over
        delta = LoraModel.from_config(config, backbone, name=name)
    places = own_tensors(delta, owned)
    with torch.no_grad():
        for host, (down, up) in updates.items():
            layer: Any = delta.modules[host]
            layer.lora_A.copy_(down)
            layer.lora_B.copy_(up)
        for key, value in owned.items():
            places[key].copy_(value)
    if owned:
        delta.notes.append(f"what the sources trained in the backbone is added too: {', '.join(owned)}")
    return delta
