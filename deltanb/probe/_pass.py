"""One forward pass without computing anything: which modules are called, in which order, and what shape comes out.

The pass runs in torch's fake-tensor mode: no memory is taken, no weight is read, and it works on skeletons too.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.probe._inputs import shaped_inputs
from deltanb.structure import backbone_modules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from torch import nn

__all__ = ["Call", "Trace", "call_order", "first_input", "plain_experts", "probe", "quiet_fakes"]


@dataclass(frozen=True, slots=True)
class Call:
    """The first time a module was called.

    Attributes:
        position: 0 for the module called first.
        shape: of its output (of the first tensor, if there are several), or None when it gave no tensor.
        taken: shape of its first input, or None when that was no tensor.
    """

    position: int
    shape: tuple[int, ...] | None
    taken: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Trace:
    """What one pass showed.

    Attributes:
        calls: for each module that was called its `Call`, the root under "".
        failure: why the pass ended early (a head that reads values, say), else "".
    """

    calls: dict[str, Call]
    failure: str = ""


class _EnoughError(Exception):
    """Every module asked for has been seen."""


class _Recorder:
    def __init__(self, until: Collection[str]) -> None:
        self.started: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...] | None] = {}
        self.taken: dict[str, tuple[int, ...] | None] = {}
        self.missing = set(until)

    def watch(self, name: str, module: nn.Module) -> list[Any]:
        def before(_module: nn.Module, args: Any, kwargs: Any) -> None:
            self.started.setdefault(name, len(self.started))
            self.taken.setdefault(name, _first_shape(first_input(args, kwargs)))

        def after(_module: nn.Module, _args: Any, output: Any) -> None:
            self.shapes.setdefault(name, _first_shape(output))
            if name in self.missing:
                self.missing.remove(name)
                if not self.missing:
                    raise _EnoughError

        return [module.register_forward_pre_hook(before, prepend=True, with_kwargs=True), module.register_forward_hook(after, prepend=True)]


def probe(model: nn.Module, until: Collection[str] = ()) -> Trace:
    """Run one fake forward pass.

    Args:
        model: a transformers model; its inputs are made from its config. Of a model without one the transformers models
            inside it are run, each by itself.
        until: names of modules; the pass ends when all have been called. Default: a whole pass.

    Returns:
        The calls, and why they end early if they do: some heads read values, which a fake tensor has not.

    Raises:
        DeltaError: the model has no config to make inputs from.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> probe(BertModel(config)).calls["encoder.layer.0.output.dense"].shape
        (2, 8, 8)
    """
    parts = _parts(model)
    calls: dict[str, Call] = {}
    failure = ""
    for name, part in parts.items():
        prefix, start = f"{name}." if name else "", len(calls)
        trace = _pass(part, {key.removeprefix(prefix) for key in until if key.startswith(prefix)})
        found = {f"{prefix}{key}" if key else name: call for key, call in trace.calls.items()}
        calls |= {key: replace(call, position=start + call.position) for key, call in found.items()}
        failure = failure or trace.failure
    if "" not in parts and not failure and not calls.keys() >= set(until):
        failure = f"of {type(model).__name__} only {', '.join(parts)} could be tried, which has a config to make inputs from"
    return Trace(calls, failure)


def _parts(model: nn.Module) -> dict[str, nn.Module]:
    """The model; or, where it has no config to make inputs from, the outermost models inside it that have."""
    if hasattr(model, "config"):
        return {"": model}
    found: dict[str, nn.Module] = {}
    for name, module in backbone_modules(model):
        if hasattr(module, "config") and hasattr(module, "main_input_name") and not name.startswith(tuple(f"{other}." for other in found)):
            found[name] = module
    return found or {"": model}


def _pass(model: nn.Module, until: Collection[str]) -> Trace:
    """One pass through a model that has a config."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    recorder, handles, failure = _Recorder(until), [], ""
    training = {id(module): module.training for module in model.modules()}
    copies = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        for name, module in backbone_modules(model):
            handles += recorder.watch(name, module)
        with quiet_fakes(), plain_experts(model), FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad(), torch.device("cpu"):
            model.eval()  # the device: a caller may have made another the default one, for what it builds itself
            _call(model, mode, copies)
    except _EnoughError:
        pass
    except DeltaError:
        raise
    except Exception as error:  # noqa: BLE001 - any model's forward; the reason goes into the result
        failure = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    finally:
        for handle in handles:
            handle.remove()
        for module in model.modules():
            module.training = training[id(module)]
    calls = {name: Call(at, recorder.shapes.get(name), recorder.taken.get(name)) for name, at in recorder.started.items()}
    return Trace(calls, failure)


def call_order(model: nn.Module) -> dict[str, int]:
    """The position at which each module is first called, for drawing a structure in the order of its flow.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> order = call_order(BertModel(config))
        >>> order["embeddings"] < order["encoder"] < order["pooler"]
        True
    """
    return {name: call.position for name, call in probe(model).calls.items()}


def first_input(args: Any, kwargs: Any) -> Any:
    """What a module was called with first; by name (BART and Llama call their attention so) it is ``hidden_states``.

    Example:
        >>> first_input((1, 2), {}), first_input((), {"mask": 3, "hidden_states": 4}), first_input((), {"input": 5})
        (1, 4, 5)
    """
    if args or not kwargs:
        return args[0] if args else None
    return kwargs["hidden_states"] if "hidden_states" in kwargs else next(iter(kwargs.values()))


def _call(model: nn.Module, mode: Any, copies: Mapping[str, Any]) -> None:
    """Call the model on fake inputs. A skeleton's parameters are exchanged for fake ones for the time of the call.

    Buffers, which a forward may change in place, are exchanged for copies.
    """
    import torch

    inputs = {key: mode.from_tensor(value) for key, value in shaped_inputs(model).items()}
    meta = {name: p for name, p in [*model.named_parameters(), *model.named_buffers()] if p.device.type == "meta"}
    stand_ins = {**copies, **{name: torch.empty(p.shape, dtype=p.dtype, device="cpu") for name, p in meta.items()}}
    torch.func.functional_call(model, stand_ins, (), inputs, tie_weights=True, strict=False)


@contextmanager
def quiet_fakes() -> Iterator[None]:
    """Without torch's own report of a step that failed: the trace says it."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


@contextmanager
def plain_experts(model: nn.Module) -> Iterator[None]:
    """Mixture-of-experts layers as plain products: the grouped kernel takes no fake float32."""
    read = getattr(model, "get_experts_implementation", None)
    before = read() if read else {}
    if "grouped_mm" not in before.values():
        yield
        return
    model.set_experts_implementation("batched_mm")  # type: ignore[operator]
    try:
        yield
    finally:
        model.set_experts_implementation(before)  # type: ignore[operator]


def _first_shape(output: Any) -> tuple[int, ...] | None:
    import torch

    if isinstance(output, dict):  # a ModelOutput is one
        output = tuple(output.values())
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    return tuple(output.shape) if isinstance(output, torch.Tensor) else None
