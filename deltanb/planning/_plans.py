"""Every delta type at the largest size that a budget allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.engine import DELTA_TYPES, PROCESS_BYTES
from deltanb.engine._registry import unwrapped
from deltanb.planning._fit import Fit, Scales
from deltanb.planning._limits import Limits, limits_of
from deltanb.planning._sketch import Sketch
from deltanb.reports import PlannedRow, PlansReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

__all__ = ["plans"]

# Further options to try, where a type does not fit as it usually is; a network that makes all prefixes cannot be cut to some layers.
_WAYS: dict[str, list[dict[str, Any]]] = {"prefix": [{}, {"reparameterize": False}]}
_BATCH, _LENGTH = 8, 128
_EXAMPLE = "%delta plan --budget 0.1%"


def plans(
    model: nn.Module,
    types: str | Sequence[str] | None = None,
    *,
    budget: float | str | None = None,
    file: float | str | None = None,
    memory: float | str | None = None,
    batch: int = _BATCH,
    length: int = _LENGTH,
) -> PlansReport:
    """Which deltas fit a budget, and what each would cost; nothing is attached, and a skeleton will do.

    Each type is tried on its usual hosts: with the largest rank, bottleneck or prompt that fits (never wider than its hosts, a prompt
    never longer than the texts), and where not even the smallest fits, in the last layers alone. Without a budget each has its
    usual size. A delta counts by itself, with everything else frozen: a classifier that trains too comes on top.

    Args:
        model: the backbone.
        types: one delta type or several; default: all.
        budget: parameters that may train: ``"0.1%"`` of the backbone's, or a number, ``"300k"``.
        file: size of the saved file, ``"1MB"``.
        memory: that training may take, ``"2GB"``, of which a process with torch takes 0.45 GB before there is a model.
        batch: texts a step.
        length: tokens a text.

    Returns:
        A row for each type, those that fit first. Counts and file sizes are exact, memory and the cost of a step are estimates;
        see `deltanb.engine.training_memory` and `deltanb.planning._cost`.

    Raises:
        DeltaError: a budget cannot be read, or nothing fits; an unknown type.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=64, num_hidden_layers=4, num_attention_heads=2, intermediate_size=128, vocab_size=300)
        >>> found = plans(BertModel(config), ["lora", "bitfit"], budget="3%")
        >>> [(row.delta_type, row.options, row.layers, row.parameters) for row in found.rows]
        [('lora', {'lora_r': 5}, 'all 4', 5120), ('bitfit', {}, 'all 4', 2304)]
        >>> print(found.rows[0].line)
        %delta attach lora lora_r=5
    """
    backbone = unwrapped(model)
    for name, value in (("batch", batch), ("length", length)):
        _check_whole(name, value)
    kinds = _kinds(types)
    total = _total(backbone)
    limits = limits_of(total, budget, file, memory)
    scales = Scales(backbone, batch, length, limits)
    fits, left_out = _fits(backbone, kinds, scales, named=types is not None)
    if not any(fit.within for fit in fits):
        raise _nothing(fits, limits, scales)
    ranked = sorted(fits, key=lambda fit: (not fit.within, not fit.layers.startswith("all") and bool(fit.layers), -fit.parameters))
    usual = {"budget": None, "file": None, "memory": None, "batch": _BATCH, "length": _LENGTH}
    given = {"budget": budget, "file": file, "memory": memory, "batch": batch, "length": length}
    named = [f"{key}={value!r}" for key, value in given.items() if value != usual[key]]
    code = f"deltanb.plans({', '.join(['model', *([repr(kinds)] if types is not None else []), *named])})"
    return PlansReport([_row(fit, max(1, total)) for fit in ranked], limits.said, batch, length, PROCESS_BYTES, left_out, code)


def _total(backbone: nn.Module) -> int:
    """Parameters of the backbone alone."""
    from deltanb.structure import backbone_parameters

    return sum(parameter.numel() for _, parameter in backbone_parameters(backbone))


def _kinds(types: str | Sequence[str] | None) -> list[str]:
    given = list(DELTA_TYPES) if types is None else [types] if isinstance(types, str) else list(types)
    for kind in given:
        if kind not in DELTA_TYPES:
            near = close(str(kind), DELTA_TYPES)
            msg = f"There is no delta type {kind!r}."
            raise DeltaError(msg, expected=f"One of: {', '.join(DELTA_TYPES)}.", nearest=near, try_=_EXAMPLE)
    return list(dict.fromkeys(given))


def _check_whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DeltaError(f"--{name} must be a whole number from 1, not {value!r}.", try_=f"{_EXAMPLE} --{name} 8")


def _fits(backbone: nn.Module, kinds: Sequence[str], scales: Scales, *, named: bool) -> tuple[list[Fit], dict[str, str]]:
    """The best of each type; types that have no place in this model, with the reason, unless they were asked for by name."""
    found, left_out = [], {}
    for kind in kinds:
        try:
            found.append(_best(backbone, kind, scales))
        except DeltaError as error:
            if named:
                raise
            left_out[kind] = error.what
    return found, left_out


def _best(backbone: nn.Module, kind: str, scales: Scales) -> Fit:
    ways = _WAYS.get(kind, [{}])
    for options in ways[:-1]:
        fit = scales.fitted(Sketch(backbone, kind, options, scales.length), fewer=False)
        if fit.within:
            return fit
    return scales.fitted(Sketch(backbone, kind, ways[-1], scales.length), fewer=True)


def _row(fit: Fit, total: int) -> PlannedRow:
    options = {**fit.sketch.options, **({fit.sketch.knob: fit.size} if fit.sketch.knob else {})}
    return PlannedRow(
        delta_type=fit.sketch.kind,
        options=options,
        layers=fit.layers,
        exclude=fit.exclude,
        hosts=fit.hosts,
        parameters=fit.parameters,
        share=fit.parameters / total,
        file_bytes=fit.file,
        memory=fit.memory,
        step_cost=fit.cost,
        fits=fit.within,
        model_class=type(fit.sketch.delta).__name__,
    )


def _nothing(fits: Sequence[Fit], limits: Limits, scales: Scales) -> DeltaError:
    """The error where nothing fits: it names the smallest that there is, by the limit that is missed most."""
    if not fits:
        return DeltaError("No delta type has its usual places in this model.", expected="The names of modules.", try_="%delta graph")

    def excess(fit: Fit) -> float:
        wants = ((fit.parameters, limits.parameters), (fit.file, limits.file), (fit.memory["total"] + PROCESS_BYTES, limits.memory))
        return max((want / limit for want, limit in wants if limit), default=0.0)

    small = min(fits, key=excess)
    row = _row(small, 1)
    where = f", {small.layers} layers" if small.layers else ""
    msg = f"Nothing fits {limits.said}" + (f" with {scales.batch} texts of {scales.length} tokens." if limits.memory else ".")
    expected = f"The smallest there is: {row.name}{where}; {row.needs(PROCESS_BYTES)}."
    return DeltaError(msg, expected=expected, try_=row.line)
