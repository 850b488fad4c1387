"""Rows before the text: how they get into a model, and out of what it gives.

A model that is called on a text of T tokens computes on n + T rows. What the caller handed over is never changed: masks
and ids are lengthened as copies. Once the rows are in a cache they are not put in again; the mask stays longer.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from deltanb._errors import DeltaError
from deltanb.engine._insertion import Hook, PreHook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

__all__ = ["CutRows", "FixedPositions", "LongerLabels", "LongerMask", "PrependRows"]

_CUMULATED = ("opt", "biogpt")  # families that count positions by the attention mask
_PROMPTS = "_deltanb_soft_prompts"  # on a module: the `PrependRows` that are hooked into it


class _Named(Hook):
    """A hook that sees the arguments of a module by their names."""

    names: tuple[str, ...] = ()

    def register(self, module: nn.Module) -> Any:
        """Hook in, and note what the module calls its arguments."""
        self.names = tuple(inspect.signature(module.forward).parameters)
        return super().register(module)

    def given(self, args: Any, kwargs: Any) -> dict[str, Any]:
        """The arguments of one call by name."""
        return {**dict(zip(self.names, args, strict=False)), **kwargs}


class _Counted(_Named):
    """One that knows how many rows there are."""

    def __init__(self, count: int) -> None:
        self.count = count


class PrependRows(_Named, PreHook):
    """The rows before the text, with everything that has to be as long.

    Args:
        rows: gives them, [n, d].
        count: n.
        expand: arguments that get n more entries for each text, and the value of those.
        shift: whether the text's positions come after those of the rows; otherwise all rows stand at the first position.
    """

    def __init__(self, rows: nn.Module, count: int, expand: Mapping[str, int], *, shift: bool) -> None:
        self.rows = rows
        self.count = count
        self.expand = dict(expand)
        self.shift = shift

    def register(self, module: nn.Module) -> Any:
        """Hook in; the handle that comes back has a ``remove()``."""
        return _PromptHandle(module, self, super().register(module))

    def __call__(self, host: Any, args: Any, kwargs: Any, output: Any = None) -> Any:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_pre_hook``."""
        given = self.given(args, kwargs)
        ids, embeds = given.get("input_ids"), given.get("inputs_embeds")
        if (ids is None) == (embeds is None):
            return args, kwargs  # the model says what is wrong
        past = _cached(given)
        if "position_ids" in self.names:
            given["position_ids"] = self._positions(host, given, past)
            if given["position_ids"] is not None and not past and "attention_mask" in self.names and given.get("attention_mask") is None:
                # Without a mask, positions that do not go up by one are taken for several texts in a row that see nothing of each other.
                given["attention_mask"] = _all_seen(ids, embeds)
        for key, value in self.expand.items():
            if given.get(key) is not None and (not past or key == "attention_mask"):
                given[key] = _longer(given[key], self.count, value, key)
        if not past:
            texts: Any = embeds if ids is None else host.get_input_embeddings()(ids.view(-1, ids.shape[-1]))
            rows = self.rows().to(texts).expand(texts.shape[0], -1, -1)
            given |= {"input_ids": None, "inputs_embeds": torch.cat([rows, texts], 1)}
        return (), given

    def _positions(self, host: nn.Module, given: Mapping[str, Any], past: int) -> Any:
        """Positions of what the model is called on: the text's, and before them those of the rows."""
        text, count = given.get("position_ids"), self.count
        if self.shift and text is None:
            return None  # the model counts from the first row
        if text is None:
            text = _text_positions(host, given, past and past - _rows_of(host))
        if text.ndim != 2:  # noqa: PLR2004 - [batch, tokens]
            msg = f"position_ids are of shape {list(text.shape)}: what the rows of a soft prompt would have there is not known."
            raise DeltaError(msg, expected="One position for each token: [batch, tokens].")
        text = text + count if self.shift else text
        if past:
            return text
        first = _first_position(host)
        rows = torch.arange(count, device=text.device) + first if self.shift else torch.full((count,), first, device=text.device)
        return torch.cat([rows.to(text.dtype).expand(text.shape[0], -1), text], 1)


class _PromptHandle:
    """Keeps the list of a module's prompts: a compiler can follow that, and not torch's own list of hooks."""

    def __init__(self, module: nn.Module, hook: PrependRows, handle: Any) -> None:
        self.module, self.hook, self.handle = module, hook, handle
        module.__dict__.setdefault(_PROMPTS, []).append(hook)

    def remove(self) -> None:
        self.handle.remove()
        prompts = self.module.__dict__[_PROMPTS]
        prompts.remove(self.hook)
        if not prompts:
            del self.module.__dict__[_PROMPTS]


class FixedPositions(_Counted, PreHook):
    """For a stack that counts its positions itself (BART's encoder): the text's are what they would be without rows.

    Args:
        count: n, how many rows are before the text.
    """

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any = None) -> Any:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_pre_hook``."""
        given = self.given(args, kwargs)
        known = given.get("position_ids")
        if known is None:
            first = given[self.names[0]]
            length = first[1] if isinstance(first, (torch.Size, tuple)) else first.shape[1]
            known = torch.arange(length, device=host.weight.device)  # type: ignore[arg-type]
        return (), {**given, "position_ids": (known - self.count).clamp(min=0)}


class CutRows(_Counted):
    """Takes the rows out of what a module gives: hidden states are those of the text again.

    Args:
        count: n, how many.
    """

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """The hook; see ``torch.nn.Module.register_forward_hook``."""
        given = self.given(args, kwargs)
        embeds = given.get("inputs_embeds")
        if embeds is None:  # a stack inside the model (BERT's), or a call that finds the rows in the cache
            rows = given.get("hidden_states")
            return output if rows is None else _changed(output, lambda state: state[:, self.count :])
        if _cached(given) not in (0, embeds.shape[1]):
            return output
        text = embeds.shape[1] - _rows_of(host)
        return _changed(output, lambda state: state[:, -text:])


class LongerMask(_Counted, PreHook):
    """A decoder sees the rows before the text that its encoder read.

    Args:
        count: n, how many.
    """

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any = None) -> Any:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_pre_hook``."""
        given = self.given(args, kwargs)
        states, mask = given.get("encoder_hidden_states"), given.get("encoder_attention_mask")
        if states is None or mask is None or states.shape[1] == mask.shape[-1]:
            return args, kwargs
        return (), {**given, "encoder_attention_mask": _longer(mask, self.count, 1, "encoder_attention_mask")}


class LongerLabels(PreHook):
    """Where the logits keep the rows, labels of tokens get as many entries that do not count.

    Args:
        count: n, how many.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, host: nn.Module, args: Any, kwargs: Any, output: Any = None) -> Any:  # noqa: ARG002
        """The hook; see ``torch.nn.Module.register_forward_pre_hook``."""
        if kwargs.get("labels") is None:
            return args, kwargs
        return args, {**kwargs, "labels": _longer(kwargs["labels"], self.count, -100, "labels")}


def _changed(output: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """An output with its hidden states [batch, rows, d] changed, the last one and those of all layers; all else as it is."""
    if isinstance(output, dict):
        keys = [key for key in ("last_hidden_state", "hidden_states") if output.get(key) is not None]
        return type(output)(**{**output, **{key: _changed(output[key], change) for key in keys}})
    if isinstance(output, torch.Tensor):
        return change(output) if output.ndim == 3 else output  # noqa: PLR2004
    return tuple(_changed(part, change) for part in output) if type(output) is tuple else output


def _longer(value: Any, count: int, fill: int, key: str) -> torch.Tensor:
    """[batch, tokens] with ``count`` more entries in front."""
    if not isinstance(value, torch.Tensor) or value.ndim != 2:  # noqa: PLR2004
        shape = f"of shape {list(value.shape)}" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
        msg = f"{key} is {shape}: a soft prompt cannot be put before it."
        raise DeltaError(msg, expected="One entry for each token: [batch, tokens].")
    return torch.cat([value.new_full((value.shape[0], count), fill), value], 1)


def _all_seen(ids: torch.Tensor | None, embeds: torch.Tensor | None) -> torch.Tensor:
    """The mask [batch, tokens] of a text without padding."""
    if ids is not None:
        return torch.ones_like(ids.view(-1, ids.shape[-1]))
    assert embeds is not None  # noqa: S101 - one of them is there
    return torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)


def _cached(given: Mapping[str, Any]) -> int:
    """How many rows a cache holds."""
    cache = given.get("past_key_values")
    if getattr(cache, "is_compileable", False):
        msg = "A soft prompt does not work with a static cache: that has room for the text alone."
        raise DeltaError(msg, expected="The default cache.", try_="leave cache_implementation out")
    return 0 if cache is None else int(cache.get_seq_length())


def _rows_of(host: nn.Module) -> int:
    """All rows that soft prompts put before a module's text."""
    return sum(hook.count for hook in host.__dict__.get(_PROMPTS, ()))


def _first_position(host: nn.Module) -> int:
    """The position of a text's first token; RoBERTa's kind leaves out those up to the padding's."""
    model: Any = host
    embeddings: Any = getattr(getattr(model, "base_model", model), "embeddings", None)
    return int(embeddings.padding_idx) + 1 if hasattr(embeddings, "create_position_ids_from_input_ids") else 0


def _text_positions(host: Any, given: Mapping[str, Any], past: int) -> Any:
    """The positions that a model would give its text, [1 or batch, tokens].

    Args:
        host: the model.
        given: what it is called with.
        past: how many tokens of the text are in the cache.
    """
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    like = given["inputs_embeds"] if ids is None else ids
    first = _first_position(host)
    if first and ids is not None:
        seen = (ids != first - 1).long()
        return (seen.cumsum(1) + past) * seen + first - 1
    if getattr(host.config, "model_type", "") in _CUMULATED and mask is not None:
        counted = (mask.long().cumsum(1) * mask - 1).long()
        return counted[:, -like.shape[1] :]
    return torch.arange(past, past + like.shape[1], device=like.device)[None] + first
