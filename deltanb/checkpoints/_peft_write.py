"""Deltas as PEFT folders, for the types of which PEFT computes the same.

Three files: the two that PEFT reads, and ``deltanb.json`` with what PEFT has no place for (name, hosts, declarations,
backbone), so that reading the folder back here loses nothing. PEFT does not open it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints import native
from deltanb.checkpoints._files import ADAPTER_CONFIG, ADAPTER_FACTS, ADAPTER_WEIGHTS, replace_files
from deltanb.checkpoints._peft_common import HEADS, PREFIX
from deltanb.checkpoints._peft_form import OWN_FORMAT, Form, differs
from deltanb.checkpoints._peft_forms import FORMS
from deltanb.checkpoints._peft_targets import is_saved
from deltanb.checkpoints._peft_whole import Whole, whole_modules
from deltanb.structure import module_names

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from deltanb.engine import DeltaModel

__all__ = ["write"]

_TASKS = {
    "ForSequenceClassification": "SEQ_CLS",
    "ForTokenClassification": "TOKEN_CLS",
    "ForQuestionAnswering": "QUESTION_ANS",
    "ForCausalLM": "CAUSAL_LM",
    "LMHeadModel": "CAUSAL_LM",
    "ForConditionalGeneration": "SEQ_2_SEQ_LM",
}


def write(delta: DeltaModel, folder: Path) -> None:
    """Write a delta as PEFT would.

    Raises:
        DeltaError: PEFT has no such type, or would compute something else; says why. Or the folder cannot be written.
    """
    from safetensors.torch import save

    form = _form(delta)
    heads = [] if form.hosts else _heads(delta)
    whole = whole_modules(delta, form, heads)
    settings = {**_common(delta.backbone_model, form, whole), **form.settings}
    tensors = {**form.tensors, **_of_backbone(form, whole)}
    own = _solid(delta, delta.tensors(delta.delta_type))
    files = {
        ADAPTER_CONFIG: f"{json.dumps(settings, indent=2, sort_keys=True)}\n".encode(),
        ADAPTER_WEIGHTS: save(_solid(delta, tensors), metadata={"format": "pt"}),
    }
    facts = {
        "extra": sorted((whole.biases.keys() | whole.tensors.keys()) - delta.owned.keys()),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    if form.whole:
        files[ADAPTER_FACTS] = native.sealed(native.settings(delta, own) | facts).encode()
    replace_files({folder / name: content for name, content in files.items()})
    if not form.whole:
        (folder / ADAPTER_FACTS).unlink(missing_ok=True)


def _form(delta: DeltaModel) -> Form:
    if delta.delta_type not in FORMS:
        msg = f"PEFT has no {delta.delta_type}, so {delta.name!r} cannot be written in its format."
        raise DeltaError(msg, expected=f"One of the types that PEFT has: {', '.join(FORMS)}.", try_=OWN_FORMAT)
    return FORMS[delta.delta_type](delta)


def _common(backbone: nn.Module, form: Form, whole: Whole) -> dict[str, Any]:
    task = _task(backbone, form, whole)
    mapping = {"base_model_class": type(backbone).__name__, "parent_library": type(backbone).__module__}
    settings: dict[str, Any] = {
        "auto_mapping": None if task else mapping,
        "base_model_name_or_path": getattr(getattr(backbone, "config", None), "name_or_path", None) or None,
        "inference_mode": True,
        "modules_to_save": whole.words or None,
        "revision": None,
        "task_type": task,
    }
    if form.hosts:
        _check_targets(form, whole, backbone)
    if form.takes_bias:
        settings["bias"] = f"{form.takes_bias}_only" if whole.biases else "none"
    return settings


def _task(backbone: nn.Module, form: Form, whole: Whole) -> str | None:
    """PEFT's word for what the model is for. With one that brings a head along, the head must be in the file."""
    task = _task_of(backbone)
    heads = HEADS.get(task or "", ())
    if not heads:
        return task
    needed = [name for name in module_names(backbone) if name.endswith(heads)]
    there = all(any(tensor.startswith(f"{name}.") for tensor in whole.tensors) for name in needed)
    return task if there and not any(is_saved(head, host) for head in heads for host in form.hosts) else None


def _task_of(backbone: nn.Module) -> str | None:
    return next((task for end, task in _TASKS.items() if type(backbone).__name__.endswith(end)), None)


def _heads(delta: DeltaModel) -> list[str]:
    """The head that PEFT wants in the file of a prompt or prefix, which do nothing there without a task."""
    backbone = delta.backbone_model
    task = _task_of(backbone)
    if task is None:
        raise differs(delta, f"{type(backbone).__name__} has no task that PEFT knows", "puts prompts before the text for such a task alone")
    return [name for name in module_names(backbone) if name.rpartition(".")[2] in HEADS.get(task, ())]


def _check_targets(form: Form, whole: Whole, backbone: nn.Module) -> None:
    words = form.settings["target_modules"]
    hit = {name for name in module_names(backbone) if any(name == word or name.endswith(f".{word}") for word in words)}
    hidden = [host for host in form.hosts if any(is_saved(word, host) for word in whole.words)]
    if hidden or hit != set(form.hosts):
        one = next(iter(hidden or hit ^ set(form.hosts)))
        msg = f"PEFT's rule for names cannot say where this delta sits: {one} would be taken or left out."
        raise DeltaError(msg, expected="Hosts that their names tell apart.", try_=OWN_FORMAT)


def _of_backbone(form: Form, whole: Whole) -> dict[str, torch.Tensor]:
    if whole.biases and not form.takes_bias:
        msg = f"{next(iter(whole.biases))} is trained, and the adapter sits on that module: PEFT cannot do both."
        raise DeltaError(msg, expected="Biases of other modules, or LoRA.", try_=OWN_FORMAT)
    biases = {f"{PREFIX}{name.removesuffix('bias')}base_layer.bias": tensor for name, tensor in whole.biases.items()}
    return biases | {f"{form.prefix}{name}": tensor for name, tensor in whole.tensors.items()}


def _solid(delta: DeltaModel, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if any(tensor.is_meta for tensor in tensors.values()):
        msg = f"{delta.name!r} sits on a skeleton: there are no weights to save."
        raise DeltaError(msg, expected="Saving needs a backbone with weights.", try_="%delta backbone minilm")
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(tensors.items())}
