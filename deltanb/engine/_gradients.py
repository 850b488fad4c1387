"""Parameters that train but receive no gradient: one trial pass forward and back, on stand-ins of what trains.

The stand-ins take the parameters' places for the time of the pass, so values, gradients and buffers of the model are never
touched. Those that are 0 throughout are moved a little: a new LoRA's A has a gradient of exactly 0, because B is 0, and
is not dead.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.engine._registry import unwrapped
from deltanb.probe import plain_experts, quiet_fakes, shaped_inputs, trial_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from torch import nn

    _Found = dict[str, bool | None]

__all__ = ["dead_parameters"]

_MOVED = 0.02  # standard deviation of what is added to a uniform tensor
_EXPERT_WORDS = ("expert", "experts")


def dead_parameters(
    model: nn.Module,
    batch: Mapping[str, Any] | None = None,
    *,
    loss: Callable[[Any], torch.Tensor] | None = None,
    values: bool | None = None,
) -> dict[str, str]:
    """The parameters that train but receive no gradient, and why: they sit where no output comes by, say.

    Nothing of the model changes: values, gradients, buffers, train and eval mode and the random state stay. The pass is made
    in eval mode, so what is used while training alone (wav2vec2's embedding for masked frames) is named, too.

    Args:
        model: a transformers model, or any module with ``batch`` given.
        batch: inputs by name; default: a small trial batch, see `deltanb.probe.trial_inputs`.
        loss: from the model's output to a number. Default: the output's ``loss`` where the batch has labels, else a sum
            that every tensor of the output enters.
        values: compute with real values, which finds gradients that are 0 throughout; False: follow the shapes alone,
            which costs no memory and finds what no output is reached from. Default: real values unless there are none.

    Returns:
        Full name (the first, of a tied tensor) to ``"not reached"``, ``"no row of this batch went there"`` (an expert of a
        mixture) or ``"0 in this batch"``, in model order.

    Raises:
        DeltaError: the model cannot be run on the batch (a skeleton whose head reads values, say); says why.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> from deltanb import LoraModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> model = BertModel(config)
        >>> LoraModel(model, modified_modules=["query", "pooler.dense"]).freeze_module()
        >>> dead_parameters(model)
        {}
        >>> dead_parameters(model, loss=lambda output: output.last_hidden_state[:, 0, 0].sum())
        {'pooler.dense.lora.lora_A': 'not reached', 'pooler.dense.lora.lora_B': 'not reached'}
    """
    model = unwrapped(model)
    training = {name: p for name, p in model.named_parameters() if p.requires_grad and p.is_floating_point()}
    if not training:
        return {}
    skeleton = any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
    real = not skeleton if values is None else values
    if real and skeleton:
        msg = f"{type(model).__name__} is a skeleton: it has no values to compute gradients with."
        raise DeltaError(msg, expected="values=False follows the shapes alone.", try_="deltanb.dead_parameters(model, values=False)")
    if batch is None and not hasattr(model, "config"):
        msg = f"{type(model).__name__} has no config, so no trial batch can be made for it."
        raise DeltaError(msg, expected="A batch: inputs by name.", try_="deltanb.dead_parameters(model, {'input': tensor})")
    inputs = dict(batch) if batch is not None else trial_inputs(model) if real else shaped_inputs(model)
    if "use_cache" in inspect.signature(model.forward).parameters:
        inputs.setdefault("use_cache", False)
    follow = _real_gradients if real else _fake_gradients
    try:
        with _undisturbed(model):
            found = follow(model, training, inputs, loss or _everything)
    except DeltaError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        msg = f"The trial pass through {type(model).__name__} ended early: {reason}"
        raise DeltaError(msg, expected="A batch that the model can be run on.", try_="deltanb.dead_parameters(model, batch)") from error
    return {name: _reason(name, reached=alive is not None) for name, alive in found.items() if not alive}


def _reason(name: str, *, reached: bool) -> str:
    if any(word in name.split(".") for word in _EXPERT_WORDS):
        return "no row of this batch went there"
    return "0 in this batch" if reached else "not reached"


def _real_gradients(model: nn.Module, training: Mapping[str, nn.Parameter], inputs: Any, loss: Callable[[Any], Any]) -> _Found:
    """For each parameter that trains: whether its gradient is other than 0, None where there is none."""
    copies = {name: _moved(p.detach()) for name, p in training.items()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    gradients = _gradients(model, copies, buffers, inputs, loss)
    return {name: None if gradient is None else bool((gradient != 0).any()) for name, gradient in gradients.items()}


def _moved(tensor: torch.Tensor) -> torch.Tensor:
    """A view of a tensor; of one that is the same throughout (B is 0, a scale is 1) a copy that is not."""
    import torch

    if not tensor.numel() or not (tensor == tensor.flatten()[0]).all():
        return tensor.view_as(tensor)
    return tensor + torch.randn(tensor.shape).to(tensor) * _MOVED


def _fake_gradients(model: nn.Module, training: Mapping[str, nn.Parameter], inputs: Any, loss: Callable[[Any], Any]) -> _Found:
    """The same in torch's fake-tensor mode, where a gradient that is there counts as other than 0."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    with quiet_fakes(), plain_experts(model), FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fakes = {key: mode.from_tensor(value) if isinstance(value, torch.Tensor) else value for key, value in inputs.items()}
        copies = {name: _stand_in(p) for name, p in training.items()}
        meta = {name: p for name, p in model.named_parameters() if p.is_meta and name not in copies}
        still = {name: _stand_in(tensor) for name, tensor in [*meta.items(), *model.named_buffers()]}
        gradients = _gradients(model, copies, still, fakes, loss)
    return {name: None if gradient is None else True for name, gradient in gradients.items()}


def _stand_in(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu" if tensor.is_meta else tensor.device)


def _gradients(
    model: nn.Module, copies: Mapping[str, torch.Tensor], still: Mapping[str, torch.Tensor], inputs: Any, loss: Callable[[Any], Any]
) -> dict[str, torch.Tensor | None]:
    """Gradients of the copies, with them and the other tensors in the places of the model's own."""
    import torch

    with torch.enable_grad():
        for copy in copies.values():
            copy.requires_grad_()
        output = torch.func.functional_call(model, {**still, **copies}, (), inputs, tie_weights=True, strict=False)
        number = loss(output)
    if not number.requires_grad:
        return dict.fromkeys(copies)
    return dict(zip(copies, torch.autograd.grad(number, list(copies.values()), allow_unused=True), strict=True))


def _everything(output: Any) -> torch.Tensor:
    """The loss of an output that has one, else a random weighting of all its tensors."""
    import torch

    if isinstance(output, Mapping) and output.get("loss") is not None:
        found: torch.Tensor = output["loss"]
        return found
    parts = [(tensor.float() * torch.randn(tensor.shape).to(tensor.device)).sum() for tensor in _tensors(output)]
    return sum(parts, torch.zeros(()))


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    """The tensors of an output that depend on parameters, however deep; not those of a cache, which no loss uses."""
    import torch

    if isinstance(output, torch.Tensor):
        if output.is_floating_point() and output.requires_grad:
            yield output
    elif isinstance(output, (Mapping, tuple, list)):
        for part in output.values() if isinstance(output, Mapping) else output:
            yield from _tensors(part)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """In eval mode and not compiled; modes and the random state are put back."""
    import torch

    training = {id(module): module.training for module in model.modules()}
    cards = sorted({tensor.device.index for tensor in model.parameters() if tensor.is_cuda})
    eager = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    with torch.random.fork_rng(devices=cards), eager:
        torch.default_generator.manual_seed(0)
        model.eval()
        try:
            yield
        finally:
            for module in model.modules():
                module.training = training[id(module)]
