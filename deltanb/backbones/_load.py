"""From a name to a backbone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.backbones._backbone import Backbone
from deltanb.backbones._build import check_memory, fresh_model, skeleton_model
from deltanb.backbones._byte_tokenizer import byte_tokenizer
from deltanb.backbones._choices import offline_sentence
from deltanb.backbones._given import given_backbone
from deltanb.backbones._origin import Origin, find_origin, read_config
from deltanb.backbones._placement import Placement
from deltanb.backbones._pretrained import folder_tokenizer, load_weights
from deltanb.backbones._tasks import HEADED, check_task, choose_task, class_name

if TYPE_CHECKING:
    from torch import nn

    from deltanb.backbones._backbone import Task

__all__ = ["load_backbone"]


def load_backbone(  # noqa: PLR0913
    spec: str | nn.Module | Backbone,
    *,
    random: bool = False,
    skeleton: bool = False,
    task: str = "auto",
    num_labels: int | None = None,
    tokenizer: Any = None,
    seed: int = 0,
    device_map: str | None = None,
    bits: int | None = None,
) -> Backbone:
    """A backbone: a model that deltas can be attached to, in float32 (but for what is quantised) and in eval mode.

    Args:
        spec: ``minilm`` (a small pretrained encoder, no network), ``smollm2`` (a small chat model, no network), a folder with
            config and safetensors weights, a GGUF file, a hub id (``org/name``), a well-known name (``backbone_names()``), or a
            model of your own, which is taken as it is (so is a finished backbone).
        random: new weights instead of pretrained ones, with a byte-level tokenizer where no other is at hand.
        skeleton: structure without weights or memory, on torch's meta device, in the published dtype.
        task: ``classification``, ``base``, ``seq2seq``, ``causal-lm``, ``masked-lm``, ``image``, ``speech``; ``auto`` takes
            classification where the family has it (skeletons of decoder-only families, and GGUF files: ``causal-lm``).
        num_labels: outputs of a classification head. Without it the head that the weights have, else 2; a number that differs
            from theirs gives a new head.
        tokenizer: used instead of the one found.
        seed: for whatever gets new weights. Global random numbers are not touched.
        device_map: where pretrained weights go: ``auto`` (accelerate divides them among the devices), ``cpu``, ``cuda:0``, …
        bits: 4 or 8: keep pretrained weights quantised by bitsandbytes, the head apart; deltas on them are float32.

    Raises:
        DeltaError: the name is not known, the files are missing or damaged, no hub can be reached, or the family lacks the task.

    Example:
        >>> backbone = load_backbone("bart-base", skeleton=True, task="base")
        >>> backbone
        Backbone 'bart-base' (skeleton, base): BartModel, 139,420,416 parameters
        built from the published size of facebook/bart-base; structure only, no weights
        >>> backbone.code
        'deltanb.load_backbone("bart-base", skeleton=True, task="base")'
    """
    if isinstance(spec, Backbone):
        return spec
    _check(spec, random=random, skeleton=skeleton, num_labels=num_labels, seed=seed)
    check_task(task)
    placement = Placement(device_map, bits)
    placement.check(pretrained=isinstance(spec, str) and not random and not skeleton)
    if not isinstance(spec, str):
        return given_backbone(spec, tokenizer)
    origin = find_origin(spec, weights=not (random or skeleton))
    config = read_config(origin)
    chosen = choose_task(config, origin.task if task == "auto" and origin.task else task, skeleton=skeleton)
    _set_labels(config, chosen, num_labels)
    code = _code(origin, task, chosen, config, random=random, skeleton=skeleton, seed=seed, placement=placement)
    if skeleton:
        source = f"built from {origin.source}; structure only, no weights"
        return Backbone(skeleton_model(config, chosen), tokenizer, origin.name, "skeleton", chosen, source, code)
    if not placement.wanted:
        check_memory(config, chosen, origin.name)
    if random:
        return _random(origin, config, chosen, tokenizer, seed, code)
    return _pretrained(origin, config, chosen, tokenizer, seed, code, placement)


def _check(spec: object, *, random: bool, skeleton: bool, num_labels: object, seed: object) -> None:
    from torch import nn

    if not isinstance(spec, str | nn.Module):
        raise DeltaError(
            f"{type(spec).__name__} is no backbone.",
            expected=f"A name or a torch.nn.Module is needed. {offline_sentence()}",
            try_='load_backbone("minilm")',
        )
    if random and skeleton:
        raise DeltaError("A backbone is either random (new weights) or a skeleton (no weights), not both.", try_="leave one of them out")
    if isinstance(spec, nn.Module) and (random or skeleton):
        raise DeltaError("A model of your own is taken as it is.", expected="random and skeleton need a name or a folder.")
    if num_labels is not None and (isinstance(num_labels, bool) or not isinstance(num_labels, int) or num_labels < 1):
        raise DeltaError(f"num_labels={num_labels!r} is not usable.", expected="A whole number from 1 is needed.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise DeltaError(f"seed={seed!r} is not usable.", expected="A whole number from 0 is needed.")


def _set_labels(config: Any, task: Task, num_labels: int | None) -> None:
    """The number asked for, else that of the head that the weights have, else 2."""
    if task not in HEADED:
        return
    trained = class_name(config, task) in (config.architectures or [])
    wanted = num_labels or (config.num_labels if trained else 2)
    if wanted != config.num_labels:
        config.num_labels = wanted


def _random(origin: Origin, config: Any, task: Task, tokenizer: Any, seed: int, code: str) -> Backbone:
    found = tokenizer
    if found is None:
        found = (folder_tokenizer(origin.folder) if origin.folder else None) or byte_tokenizer(config)
    _set_padding(config, found)
    source = f"new random weights (seed {seed}), built from {origin.source}"
    return Backbone(fresh_model(config, task, seed), found, origin.name, "random", task, source, code)


def _pretrained(origin: Origin, config: Any, task: Task, tokenizer: Any, seed: int, code: str, placement: Placement) -> Backbone:
    folder = origin.with_weights()
    found = tokenizer if tokenizer is not None else folder_tokenizer(folder)
    _set_padding(config, found)
    model, new = load_weights(folder, config, task, seed, origin.name, placement)
    # Not the path in the package or in the hub's cache: what is saved with a delta must mean something elsewhere.
    model.name_or_path = model.config.name_or_path = origin.hub or origin.name
    source = origin.source + placement.said + (f"; new (seed {seed}): {', '.join(new)}" if new else "")
    return Backbone(model, found, origin.name, "pretrained", task, source, code)


def _set_padding(config: Any, tokenizer: Any) -> None:
    """One pad id for both: GPT-2 has none, and its classifier needs to know where a text ends."""
    if tokenizer is None:
        return
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = tokenizer.pad_token_id


def _code(origin: Origin, asked: str, task: Task, config: Any, *, random: bool, skeleton: bool, seed: int, placement: Placement) -> str:
    options = {
        "random": "True" if random else "",
        "skeleton": "True" if skeleton else "",
        "task": "" if asked == "auto" else json.dumps(asked),
        "num_labels": str(config.num_labels) if task in HEADED else "",
        "seed": str(seed) if seed and not skeleton else "",
        "device_map": json.dumps(placement.device_map) if placement.device_map else "",
        "bits": str(placement.bits) if placement.bits else "",
    }
    given = [json.dumps(origin.name, ensure_ascii=False), *(f"{key}={value}" for key, value in options.items() if value)]
    return f"deltanb.load_backbone({', '.join(given)})"
