"""How far a delta moves the activations: the same text through the model with the delta and without it.

Of each place, ‖Δh‖ / ‖h‖: the length of the difference of a token's vector, over its length without the delta, then the mean
over real tokens. What comes out of the place is compared, in the whole model, so what earlier layers changed counts too.
Other attached deltas are on in both passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.engine._registry import unwrapped
from deltanb.engine._switch import without_deltas
from deltanb.engine.parallel_adapter import ParallelAdapterModel
from deltanb.engine.prefix import PrefixModel
from deltanb.engine.soft_prompt import SoftPromptModel
from deltanb.probe import evaluating
from deltanb.roles import roles_of
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from deltanb.engine._base import DeltaModel

__all__ = ["Moved", "Passes", "places_of", "side_by_side"]

_BLOCK = re.compile(r"(?:^|\.)block@\.\d+$")


@dataclass
class Moved:
    """How far a place moved, added up over tokens.

    Attributes:
        total: of ‖Δh‖ / ‖h‖ over the tokens.
        tokens: how many.
    """

    total: float = 0.0
    tokens: int = 0

    def __add__(self, other: Moved) -> Moved:
        return Moved(self.total + other.total, self.tokens + other.tokens)

    @property
    def mean(self) -> float | None:
        """Over the tokens; None where there were none: the place was not called, or gives vectors that cannot be compared."""
        return self.total / self.tokens if self.tokens else None


@dataclass(frozen=True)
class Passes:
    """One batch through the model twice.

    Attributes:
        with_delta: what the model returned.
        without: what it returned without the delta.
        moved: how far each place moved.
    """

    with_delta: Any
    without: Any
    moved: dict[str, Moved]


def places_of(delta: DeltaModel) -> dict[str, str]:
    """Where what a delta does is seen: names to the modules whose output is compared, in model order.

    The modules that it sits on or whose tensors it trains; of a parallel adapter's pair the second; of a prefix the attentions;
    of a soft prompt, which stands before all layers, the layers' outputs.

    Example:
        >>> from torch import nn
        >>> from deltanb import ParallelAdapterModel
        >>> model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
        >>> places_of(ParallelAdapterModel(model, modified_modules=["0", "2"], bottleneck_dim=2))
        {'0': '2'}
    """
    owners = [name.rpartition(".")[0] for name in [*delta.owned, *delta.created]]
    if isinstance(delta, PrefixModel):
        found = dict(zip(delta.sizes, delta.sizes, strict=True))
    elif isinstance(delta, ParallelAdapterModel):
        found = dict(delta.pairs)
    elif isinstance(delta, SoftPromptModel):
        layers = [name for name, role in (roles_of(delta.backbone_model) or {}).items() if _BLOCK.search(role)]
        found = {name: name for name in layers or [delta.place]}
    else:
        found = {name: name for name in delta.modules}
    found |= {name: name for name in owners if name not in found}
    return {name: found[name] for name, _ in backbone_modules(delta.backbone_model) if name in found}


def side_by_side(delta: DeltaModel, inputs: Mapping[str, Any], places: Mapping[str, str] | None = None) -> Passes:
    """Run one batch with a delta and without it, in eval mode and without gradients.

    Nothing of the model changes: the delta is taken out for the second pass and is back afterwards, with its values; modes,
    declarations and random numbers stay. Between the passes the places' outputs for this one batch are held.

    Args:
        delta: an attached one.
        inputs: by name; one text needs no padding. With an ``attention_mask`` [batch, tokens] what is padding does not count.
        places: names to modules; default: `places_of`.

    Raises:
        DeltaError: the delta is detached.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from deltanb import BitFitModel
        >>> model = nn.Sequential(nn.Linear(2, 2))
        >>> _ = nn.init.eye_(model[0].weight), nn.init.zeros_(model[0].bias)
        >>> delta = BitFitModel(model, modified_modules=["0"])
        >>> _ = nn.init.constant_(model[0].bias, 0.5)
        >>> passes = side_by_side(delta, {"input": torch.tensor([[3.0, 4.0]])})
        >>> round(passes.moved["0"].mean, 4)  # from (3, 4) to (3.5, 4.5)
        0.1414
    """
    import torch

    backbone = delta.backbone_model
    if not delta.attached:
        msg = f"{delta.name!r} is detached: there is nothing to compare."
        raise DeltaError(msg, expected="An attached delta.", try_=f"%delta reattach {delta.name}")
    places = places_of(delta) if places is None else places
    mask = inputs.get("attention_mask")
    with torch.random.fork_rng(devices=[]):
        seen: dict[str, list[torch.Tensor]] = {}
        after = _pass(backbone, places, inputs, lambda name, state: seen.setdefault(name, []).append(state))
        moved = {name: Moved() for name in places}

        def compare(name: str, state: torch.Tensor) -> None:
            if seen.get(name):
                moved[name] += _distance(seen[name].pop(0), state, mask)

        with without_deltas(backbone, delta):
            before = _pass(backbone, places, inputs, compare)
    return Passes(after, before, moved)


def _pass(backbone: Any, places: Mapping[str, str], inputs: Mapping[str, Any], heard: Callable[[str, torch.Tensor], None]) -> Any:
    """One pass in which every call of a place tells its output."""
    import torch

    handles = []
    try:
        for name, place in places.items():

            def hook(_module: Any, _args: Any, output: Any, name: str = name) -> None:
                state = _first(output)
                if isinstance(state, torch.Tensor) and state.is_floating_point() and state.ndim > 1:
                    heard(name, state.detach())

            handles.append(backbone.get_submodule(place).register_forward_hook(hook))
        with evaluating(backbone):
            return unwrapped(backbone)(**inputs)
    finally:
        for handle in handles:
            handle.remove()


def _first(output: Any) -> Any:
    """The first tensor in what a module gives."""
    while isinstance(output, (tuple, list, dict)) and output:
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    return output


def _distance(after: torch.Tensor, before: torch.Tensor, mask: Any) -> Moved:
    """‖after - before‖ / ‖before‖ for each vector, of those that are longer than 0 and no padding."""
    import torch

    if after.ndim == before.ndim == 3 and after.shape[1] > before.shape[1]:  # noqa: PLR2004 - [batch, rows, d]
        after = after[:, -before.shape[1] :]  # a soft prompt's rows stand before the text's
    if after.shape != before.shape:  # experts of a mixture that got other tokens
        return Moved()
    lengths = torch.linalg.vector_norm(before.float(), dim=-1)
    counts = lengths > 0
    if isinstance(mask, torch.Tensor) and mask.shape == lengths.shape:
        counts &= mask.to(counts.device).bool()
    ratios = torch.linalg.vector_norm(after.float() - before.float(), dim=-1)[counts] / lengths[counts]
    return Moved(float(ratios.sum()), int(counts.sum()))
