"""From a loaded delta to what it does at each place of the backbone; or the reason why it needs a forward pass of its own."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from deltanb._quiet import quiet
from deltanb._walk import backbone_modules
from deltanb.engine._aside import AddKept, Forget, Keep
from deltanb.engine._bottleneck import SampledAdapter
from deltanb.engine._hosts import is_conv1d
from deltanb.engine._insertion import AddParallel, After, Before
from deltanb.engine._lora_layers import LoraLayer, Reweigh
from deltanb.engine._phm import PHMLinear
from deltanb.engine.adapter import AdapterLayer, AtNorm
from deltanb.engine.bitfit import BiasLayer
from deltanb.engine.ia3 import IA3Layer
from deltanb.engine.low_rank_adapter import LowRankLinear
from deltanb.engine.parallel_adapter import ParallelAdapterLayer
from deltanb.probe import evaluating, first_input, trial_inputs
from deltanb.serving._rows import Bottleneck, Each, Norm, Part, Scale, Shift

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from deltanb.serving._lean import Lean, Own

__all__ = ["Alone", "Step", "row_wise_modules", "steps_of"]

_TRIAL = 5  # rows, unlike any other size in a trial


class Alone(Exception):  # noqa: N818 - no error: the delta is run by itself
    """Why a delta cannot share a forward pass with others."""


@dataclass(frozen=True)
class Step:
    """One thing that a delta does at one module.

    Attributes:
        place: the module's name.
        module: the module.
        when: ``before`` it is called or ``after``; ``keep`` what is made before it for another module, ``kept`` to add that.
        part: what is done; for ``kept`` None.
        slot: for ``keep`` and ``kept``: both modules' names.
    """

    place: str
    module: nn.Module
    when: str
    part: Part | None
    slot: str = ""


def steps_of(lean: Lean, row_wise: Collection[nn.Module]) -> list[Step]:
    """What a delta does, in the order of each module.

    Args:
        lean: the delta.
        row_wise: the modules of the backbone that see one row for each row of the batch.

    Raises:
        Alone: it cannot be done row by row.
    """
    if any("expert" in segment for place, _, _ in lean.hooks for segment in place.lower().split(".")):
        raise Alone("it sits on experts, which see tokens of all rows together")
    with torch.no_grad():
        own = _own_steps(lean.own, {place for place, _, hook in lean.hooks if isinstance(hook, AtNorm | Reweigh)})
        steps = [*own, *(step for place, module, hook in lean.hooks for step in _hook_steps(lean, place, module, hook))]
    odd = next((step.place for step in steps if step.module not in row_wise), None)
    if odd is not None:
        raise Alone(f"{odd} does not see the rows of a batch as such")
    return steps


def row_wise_modules(backbone: nn.Module) -> set[nn.Module]:
    """The modules that take and give one row for each row of the batch, found by a trial; none where no trial can be made."""
    seen: dict[nn.Module, bool] = {}

    def look(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        given = output[0] if isinstance(output, tuple | list) else next(iter(output.values())) if isinstance(output, dict) else output
        fits = all(
            isinstance(value, torch.Tensor) and value.dim() > 0 and len(value) == _TRIAL for value in (first_input(args, kwargs), given)
        )
        seen[module] = seen.get(module, True) and fits

    with ExitStack() as undo:
        for _, module in backbone_modules(backbone):
            undo.callback(module.register_forward_hook(look, with_kwargs=True).remove)
        try:
            inputs = {key: torch.cat([value] * _TRIAL)[:_TRIAL] for key, value in trial_inputs(backbone).items()}
            with quiet(), evaluating(backbone):
                backbone(**inputs)
        except Exception:  # noqa: BLE001 - whatever a model does not like about a trial: its rows are run apart, which is right always
            return set()
    return {module for module, fits in seen.items() if fits}


def _hook_steps(lean: Lean, place: str, module: nn.Module, hook: Any) -> list[Step]:
    """What one hook does."""
    if isinstance(hook, Forget):
        return []
    if isinstance(hook, AddKept):
        return [Step(place, module, "kept", None, _slot(hook))]
    child: Any = lean.delta.modules.get(place)
    if isinstance(hook, Keep):
        return [Step(place, module, "keep", _product(child, kept=True), _slot(hook))]
    if isinstance(hook, AddParallel):
        return [Step(place, module, "after", _product(child, kept=False))]
    if isinstance(hook, Reweigh | AtNorm | After | Before):
        when = "after" if isinstance(hook, After | Reweigh) else "before"
        return [Step(place, module, when, _change_by(hook, child, module))]
    raise Alone("it makes the sequence longer" if lean.delta.delta_type == "soft_prompt" else "it works inside the attention")


def _change_by(hook: Reweigh | AtNorm | After | Before, child: Any, module: nn.Module) -> Part:
    """What a hook makes of one tensor."""
    if isinstance(hook, Reweigh):
        return Each(lambda taken, given: _reweighed(child, module, hook, taken, given))
    if isinstance(hook, AtNorm):
        return Each(lambda taken, given: given + child.added(module.forward(taken)))
    return _change(child)


def _slot(hook: Keep | AddKept) -> str:
    return f"{hook.slot.first} {hook.slot.second}"


def _reweighed(child: Any, module: Any, hook: Reweigh, taken: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = child(taken, given, module.weight.T if hook.transposed else module.weight, getattr(module, "bias", None))
    return found


def _product(child: Any, *, kept: bool) -> Part:
    """What a parallel child makes of the module's input, to be added."""
    if type(child) is LoraLayer:
        return Bottleneck(child.lora_A.T, child.lora_B.T * child.scaling, kept=kept)
    if isinstance(child, ParallelAdapterLayer):
        return _two_layers(child.modulelist, child.scaled, kept=kept)
    if kept:
        raise Alone(f"a {type(child).__name__} beside two modules is not computed row by row")
    return Each(lambda taken, given: given + child(taken).to(given.dtype))


def _change(child: Any) -> Part:
    """What a child makes of one tensor."""
    if isinstance(child, AdapterLayer):
        return _two_layers(child.modulelist, child.scaled, after=True)
    if isinstance(child, SampledAdapter):
        down, up = _matrix(child.down_sampler), _matrix(child.up_sampler)
        return Bottleneck(*(down[0], up[0], down[1], up[1]), child.activation, after=True)
    if isinstance(child, IA3Layer):
        return Scale(child.ia3_l.detach().flatten())
    if isinstance(child, BiasLayer):
        return Shift(child.bias.detach())
    return Each(lambda _, given: child(given))


def _two_layers(layers: nn.Sequential, scale: float, *, after: bool = False, kept: bool = False) -> Bottleneck:
    down, act, up = cast("tuple[Any, nn.Module, Any]", tuple(layers))
    return Bottleneck(down.weight.T, up.weight.T * scale, down.bias.detach(), up.bias * scale, act, after=after, kept=kept)


def _matrix(layer: nn.Module) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The whole matrix [in, out] of a layer that keeps it in factors, and its bias."""
    if isinstance(layer, LowRankLinear):
        return layer.W_left @ layer.W_right, layer.b.detach()
    if isinstance(layer, PHMLinear):
        return layer.matrix(), None if layer.b is None else layer.b.detach()
    raise Alone(f"a {type(layer).__name__} is not computed row by row")


# Tensors of the delta's own in the backbone's place ------------------------------------------------------------------


def _own_steps(own: list[Own], occupied: set[str]) -> list[Step]:
    by_module: dict[str, list[Own]] = {}
    for one in own:
        if one.tied:
            raise Alone(f"{one.name}.{one.key} is tied to another tensor")
        by_module.setdefault(one.name, []).append(one)
    taken = occupied & by_module.keys()
    if taken:
        raise Alone(f"it changes {min(taken)} in two ways")
    return [Step(name, ones[0].module, "after", _own_part(name, ones)) for name, ones in by_module.items()]


def _own_part(name: str, ones: list[Own]) -> Part:
    module: Any = ones[0].module
    values = {one.key: one.value.detach() for one in ones}
    matrix = isinstance(module, nn.Linear) or is_conv1d(module)
    if values.keys() == {"bias"} and (matrix or type(module) is nn.LayerNorm):
        return Shift(values["bias"] if module.bias is None else values["bias"] - module.bias)
    if type(module) is nn.LayerNorm and hasattr(module.bias, "shape") and len(module.normalized_shape) == 1:
        return Norm(module, values.get("weight", module.weight.detach()), values.get("bias", module.bias.detach()))
    row_wise = matrix or isinstance(module, nn.Embedding) or "norm" in type(module).__name__.lower()
    if not row_wise or module._modules or "batch" in type(module).__name__.lower():
        raise Alone(f"{name} ({type(module).__name__}) is not computed row by row")
    return Each(_with_values(module, values))


def _with_values(module: nn.Module, values: dict[str, torch.Tensor]) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The module on its input with other parameters; its hooks stay out of it."""
    own: dict[str, Any] = {key: nn.Parameter(value, requires_grad=False) for key, value in values.items()}

    def change(taken: torch.Tensor, given: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
        before = dict(module._parameters)
        module._parameters.update(own)
        try:
            found: torch.Tensor = module.forward(taken)
        finally:
            module._parameters.update(before)
        return found

    return change
