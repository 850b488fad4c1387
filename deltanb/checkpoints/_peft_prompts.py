"""Prompt tuning and prefix tuning as PEFT writes them: one tensor, ``prompt_embeddings``, and perhaps a head.

PEFT allots an encoder-decoder twice the rows or entries that it uses: of a prompt the second half is never read, and two
decoder layers take the same entries of a prefix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.checkpoints._files import ADAPTER_CONFIG
from deltanb.checkpoints._peft_common import Folder, backbone_facts, checked
from deltanb.checkpoints._peft_rest import declared, settle
from deltanb.checkpoints._saved import Saved
from deltanb.engine import AutoDeltaConfig, PrefixModel, SoftPromptModel, match

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

__all__ = ["PROMPT", "PROMPT_PREFIX", "decoder_attentions", "entries", "is_pair", "read_prefix", "read_prompt"]

PROMPT = "prompt_embeddings"
PROMPT_PREFIX = "base_model."  # before names of the backbone; other types have one more "model."
_SEQ2SEQ = "SEQ_2_SEQ_LM"
_KINDS: dict[str, tuple[type, ...]] = {
    "num_virtual_tokens": (int,),
    "token_dim": (int,),
    "num_layers": (int,),
    "num_attention_heads": (int,),
    "num_transformer_submodules": (int,),
}
_START = ("prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs", "init_weights")


def read_prompt(folder: Folder) -> Saved:
    """A soft prompt from a folder.

    Raises:
        DeltaError: a setting has no form here, or does not agree with the tensor.
    """
    rows, width = _sizes(folder, "token_dim")
    parts = folder.settings.get("num_transformer_submodules") or 1
    table = _table(folder, rows * parts, width)
    dead = len(table) - rows
    notes = [f"PEFT never uses the last {dead} of the {len(table)} rows: they are left out"] if dead else []
    options = {"soft_token_num": rows, "shift_positions": True, "keep_rows": folder.settings.get("task_type") != _SEQ2SEQ}
    return _saved(folder, "soft_prompt", options, {PROMPT: table[:rows]}, notes, _place_prompt)


def read_prefix(folder: Folder) -> Saved:
    """A prefix from a folder.

    Raises:
        DeltaError: a setting has no form here, or does not agree with the tensor.
    """
    rows, width = _sizes(folder, "num_layers", "token_dim")
    table = _table(folder, rows, 2 * width)
    made = folder.settings.get("prefix_projection")
    notes = ["the network that made the prefix was not saved: its rows are read as parameters of their own"] if made else []
    options = {"prefix_token_num": rows, "reparameterize": False, "shift_positions": True}
    return _saved(folder, "prefix", options, {PROMPT: table}, notes, _PlacePrefix(folder.settings["num_layers"]))


def _sizes(folder: Folder, *factors: str) -> tuple[int, int]:
    """How many rows there are, and the product of the other sizes."""
    checked(folder, _KINDS, known=(*_START, "encoder_hidden_size", "prefix_projection"), refused={})
    product = 1
    for key in ("num_virtual_tokens", *factors):
        value = folder.settings.get(key)
        if not isinstance(value, int) or value < 1:
            msg = f"{folder.path / ADAPTER_CONFIG} says {key}={value!r}."
            raise DeltaError(msg, expected=f"{key} is a whole number from 1.", try_="copy or download the folder again")
        product *= value
    rows: int = folder.settings["num_virtual_tokens"]
    return rows, product // rows


def _table(folder: Folder, *shape: int) -> torch.Tensor:
    """The one tensor that PEFT saves, of the shape that the settings give it."""
    table = folder.raw.get(PROMPT)
    if table is not None and tuple(table.shape) == shape:
        return table
    found = "no such tensor" if table is None else str(list(table.shape))
    msg = f"{folder.path} does not fit: {PROMPT} is to be {list(shape)} by the settings, and there is {found}."
    raise DeltaError(msg, expected="The tensor that the settings were saved with.", try_="copy or download the folder again")


def _saved(
    folder: Folder,
    kind: str,
    options: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    notes: list[str],
    fit: Callable[[Saved, nn.Module], Saved],
) -> Saved:
    rest = {name.removeprefix(PROMPT_PREFIX): tensor for name, tensor in folder.raw.items() if name != PROMPT}
    return Saved(
        folder.path,
        "PEFT",
        AutoDeltaConfig.from_dict({"delta_type": kind, **options}),
        {**tensors, **rest},
        freeze=[declared(rest, folder.saved_words)],
        implied=True,
        backbone=backbone_facts(folder.settings),
        notes=notes,
        problems=folder.problems,
        fit=_Fit(fit, list(rest), folder.saved_words),
    )


@dataclass(frozen=True)
class _Fit:
    """Settles the backbone's own tensors, then places the table.

    Attributes:
        place: puts the table under its name.
        rest: names of the backbone's tensors in the file.
        words: ``modules_to_save``.
    """

    place: Callable[[Saved, nn.Module], Saved]
    rest: list[str]
    words: list[str]

    def __call__(self, saved: Saved, backbone: nn.Module) -> Saved:
        settle(saved, backbone, self.rest, self.words)
        return self.place(saved, backbone)


def _place_prompt(saved: Saved, backbone: nn.Module) -> Saved:
    """The prompt under the name that it has in this model."""
    plan = SoftPromptModel.planned(backbone, saved.config)
    (name,) = plan.module_parameters(plan.delta_type)
    tensors = {name if key == PROMPT else key: tensor for key, tensor in saved.tensors.items()}
    return replace(saved, tensors=tensors, hosts=plan.hosts)


@dataclass(frozen=True)
class _PlacePrefix:
    """Each attention's part of the table under the name that it has in this model.

    Attributes:
        layers: for how many layers there are entries.
    """

    layers: int

    def __call__(self, saved: Saved, backbone: nn.Module) -> Saved:
        config = replace(saved.config, modified_modules=saved.config.modified_modules or decoder_attentions(backbone))
        plan = PrefixModel.planned(backbone, config)
        if len(plan.hosts) != self.layers:
            msg = f"{saved.folder} does not fit: it has entries for {self.layers} layers, and this model has {len(plan.hosts)}."
            raise DeltaError(msg, expected="A prefix fits the backbone that it was saved from.")
        table = saved.tensors[PROMPT]
        parts = table.reshape(len(table), 2 * self.layers, -1)
        tensors = {key: tensor for key, tensor in saved.tensors.items() if key != PROMPT}
        for host, (key, value) in zip(plan.hosts, entries(self.layers, pair=is_pair(backbone)), strict=True):
            name = f"{host}.{plan.child_name(plan.delta_type)}"
            tensors |= {f"{name}.past_key": parts[:, key], f"{name}.past_value": parts[:, value]}
        return replace(saved, config=config, tensors=tensors, hosts=plan.hosts)


def is_pair(backbone: nn.Module) -> bool:
    """Whether a model is an encoder-decoder."""
    return bool(getattr(getattr(backbone, "config", None), "is_encoder_decoder", False))


def decoder_attentions(backbone: nn.Module) -> list[str]:
    """The attentions in which PEFT puts a prefix: every self-attention, of an encoder-decoder the decoder's alone."""
    names = match(backbone, "attn@").names
    return [name for name in names if not is_pair(backbone) or "decoder" in name.split(".")]


def entries(layers: int, *, pair: bool) -> list[tuple[int, int]]:
    """For each layer the entries of PEFT's table that are its keys and values.

    Example:
        >>> entries(3, pair=False)
        [(0, 1), (2, 3), (4, 5)]
        >>> entries(2, pair=True)
        [(0, 1), (0, 1)]
    """
    step = 4 if pair else 2
    return [(step * layer % (2 * layers), step * layer % (2 * layers) + 1) for layer in range(layers)]
