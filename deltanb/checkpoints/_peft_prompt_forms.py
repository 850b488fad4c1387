"""Soft prompts and prefixes in PEFT's words, where PEFT computes the same with them."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from deltanb.checkpoints._peft_form import Form, differs
from deltanb.checkpoints._peft_prompts import PROMPT, PROMPT_PREFIX, decoder_attentions, entries, is_pair
from deltanb.engine import PrefixModel

if TYPE_CHECKING:
    from torch import nn

    from deltanb.engine import DeltaModel

__all__ = ["prefix_form", "prompt_form"]

_HEAD_SIZES = ("head_dim", "attention_head_size", "key_value_proj_dim")


def prompt_form(delta: DeltaModel) -> Form:
    """A soft prompt.

    Raises:
        DeltaError: PEFT would compute something else.
    """
    options = delta.config.options()
    if not options["shift_positions"]:
        raise differs(delta, "shift_positions is off", "counts the text's positions from the prompt on")
    if not options["keep_rows"] and not is_pair(delta.backbone_model):
        raise differs(delta, "keep_rows is off", "leaves the prompt's rows in logits and pooling")
    if options["other_expand_ids"] != delta.config.default_of("other_expand_ids"):
        raise differs(delta, "other_expand_ids names other inputs", "lengthens the attention mask and the token types alone")
    (table,) = delta.module_parameters().values()
    config = getattr(delta.backbone_model, "config", None)
    settings = {
        "num_attention_heads": getattr(config, "num_attention_heads", 1),
        "num_layers": getattr(config, "num_hidden_layers", 1),
        "num_transformer_submodules": 1,
        "num_virtual_tokens": len(table),
        "peft_type": "PROMPT_TUNING",
        "prompt_tuning_init": "RANDOM",
        "token_dim": table.shape[1],
    }
    return Form(settings, {PROMPT: table}, prefix=PROMPT_PREFIX)


def prefix_form(delta: DeltaModel) -> Form:
    """A prefix. Of one that a network makes only the rows are written, as PEFT does.

    Raises:
        DeltaError: PEFT would compute something else.
    """
    options, backbone = delta.config.options(), delta.backbone_model
    if not options["shift_positions"]:
        raise differs(delta, "shift_positions is off", "counts the text's positions from the prefix on")
    inner = getattr(backbone, "base_model", backbone)
    if not any("past_key_values" in inspect.signature(module.forward).parameters for module in (backbone, inner)):
        raise differs(delta, f"{type(backbone).__name__} takes no earlier keys", "gives its prefix to the model so")
    if not options["shared_position_bias"]:
        raise differs(delta, "shared_position_bias is off", "keeps the position bias in every layer")
    theirs = PrefixModel.planned(backbone, replace(delta.config, modified_modules=decoder_attentions(backbone)))
    sizes: dict[str, tuple[int, int]] = delta.sizes  # type: ignore[attr-defined]
    if list(theirs.sizes) != list(sizes):
        raise differs(delta, f"it sits in {len(sizes)} attentions", f"has a prefix in each of the {len(theirs.sizes)} that read the text")
    width, *others = {size for pair in sizes.values() for size in pair}
    if others:
        raise differs(delta, "its keys and values differ in size", "has one table for all")
    pair = is_pair(backbone)
    settings = {
        "encoder_hidden_size": width,
        "num_attention_heads": width // _head_size(delta, backbone.get_submodule(next(iter(sizes)))),
        "num_layers": len(sizes),
        "num_transformer_submodules": 1 + pair,
        "num_virtual_tokens": options["prefix_token_num"],
        "peft_type": "PREFIX_TUNING",
        "prefix_projection": False,
        "token_dim": width,
    }
    table = _table(delta, _rows(delta, len(sizes)), pair=pair)
    return Form(settings, {PROMPT: table}, prefix=PROMPT_PREFIX, whole=not options["reparameterize"])


def _head_size(delta: DeltaModel, attention: nn.Module) -> int:
    for name in _HEAD_SIZES:
        if isinstance(size := getattr(attention, name, None), int):
            return size
    raise differs(delta, f"{type(attention).__name__} does not tell the size of its heads", "has to know it")


def _rows(delta: DeltaModel, layers: int) -> list[Any]:
    """Keys and values of each layer, [n, size] each."""
    children = delta.delta_modules
    with torch.no_grad():
        return [children[at](at) if len(children) == layers else children[0](at) for at in range(layers)]


def _table(delta: DeltaModel, rows: list[Any], *, pair: bool) -> torch.Tensor:
    """All rows in the order in which PEFT reads them, [n, 2 · layers · size]."""
    parts: dict[int, torch.Tensor] = {}
    for places, tensors in zip(entries(len(rows), pair=pair), rows, strict=True):
        for place, tensor in zip(places, tensors, strict=True):
            if not torch.equal(parts.setdefault(place, tensor), tensor):
                raise differs(delta, "each layer has a prefix of its own", "gives two decoder layers the same one")
    empty = torch.zeros_like(rows[0][0])
    return torch.stack([parts.get(place, empty) for place in range(2 * len(rows))], dim=1).flatten(1)
