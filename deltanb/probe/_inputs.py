"""Inputs of the right kind and size for a trial, made from a model's config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["shaped_inputs", "trial_inputs"]

_BATCH, _LENGTH = 2, 8


def trial_inputs(model: nn.Module) -> dict[str, Any]:
    """Inputs with which a model can really be run for a trial: ordinary tokens or noise, the same ones each time.

    Args:
        model: a transformers model with weights; the inputs are on its device.

    Raises:
        DeltaError: the model has no weights, or no config to make inputs from.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=30)
        >>> trial_inputs(BertModel(config))["input_ids"].shape
        torch.Size([2, 8])
    """
    import torch

    if any(p.is_meta for p in model.parameters()):
        msg = f"{type(model).__name__} is a skeleton: it has no weights to compute with."
        raise DeltaError(msg, expected="A backbone with weights.", try_="%delta backbone minilm")
    generator = torch.Generator().manual_seed(0)
    inputs = shaped_inputs(model)
    for key, value in inputs.items():
        varied = torch.randn(value.shape, generator=generator).to(value) if value.is_floating_point() else _varied(model, value, generator)
        inputs[key] = varied[: 1 if getattr(model.config, "pad_token_id", 0) is None else None]  # without padding: one row at a time
    return inputs


def _varied(model: nn.Module, ids: Any, generator: Any) -> Any:
    """Ordinary tokens in all places but the last, which may have to be the end of the text."""
    import torch

    config: Any = model.config
    special = {_picture_token(config), *(getattr(config, f"{kind}_token_id", None) for kind in ("pad", "bos", "eos"))}
    size = getattr(config.get_text_config(), "vocab_size", 2)
    ordinary = torch.tensor([token for token in range(min(size, 1000)) if token not in special])
    chosen = ordinary[torch.randint(len(ordinary), tuple(ids.shape), generator=generator)].to(ids)
    if int(ids.max()) < size:  # else the end is none of this model's tokens
        chosen[:, -1] = ids[:, -1]
    return chosen


def shaped_inputs(model: nn.Module) -> dict[str, Any]:
    """Inputs of the right kind and size, from the config; their values mean nothing, so a skeleton will do.

    Raises:
        DeltaError: the model has no config to make inputs from.
    """
    import torch

    config = getattr(model, "config", None)
    if config is None:
        msg = f"{type(model).__name__} has no config, so no trial input can be made for it."
        raise DeltaError(msg, expected="A host whose size its own type tells (Linear, Embedding, LayerNorm, Conv1D).")
    device = next((p.device for p in model.parameters() if p.device.type != "meta"), torch.device("cpu"))
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    main = getattr(model, "main_input_name", "input_ids")
    ids = torch.ones(_BATCH, _LENGTH, dtype=torch.long, device=device)
    if main == "input_features":
        features = torch.zeros(_BATCH, config.num_mel_bins, 2 * config.max_source_positions, device=device, dtype=dtype)
        return {main: features, "decoder_input_ids": ids}
    if main == "input_values":
        return {main: torch.zeros(_BATCH, 8000, device=device, dtype=dtype)}
    end = getattr(config, "eos_token_id", None)
    ids[:, -1] = end if isinstance(end, int) else 1
    both = bool(getattr(config, "is_encoder_decoder", False)) and "Classification" not in type(model).__name__
    inputs = {"decoder_input_ids": ids} if both else {}
    seen = _what_sees(config, main)
    if seen is not None:
        side = seen.image_size if isinstance(seen.image_size, int) else seen.image_size[0]
        inputs["pixel_values"] = torch.zeros(_BATCH, seen.num_channels, side, side, device=device, dtype=dtype)
    return inputs if main == "pixel_values" and not hasattr(config, "text_config") else {"input_ids": ids, **inputs}


def _what_sees(config: Any, main: str) -> Any:
    """The config of the part that takes pictures, if it is to get one.

    Pictures that take the place of tokens in the text (Gemma 3, LLaVA) may be left out, and are: their tokens would have
    to be counted out.
    """
    if main == "pixel_values" and not hasattr(config, "text_config"):
        return getattr(config, "encoder", config)
    return None if _picture_token(config) is not None else getattr(config, "vision_config", None)


def _picture_token(config: Any) -> int | None:
    """The token that stands for a piece of a picture in the text, in models that mix both."""
    token: int | None = getattr(config, "image_token_id", getattr(config, "image_token_index", None))
    return token
