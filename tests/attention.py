"""Attention from its definition, with extra rows that everybody sees: the reference for prefixes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

__all__ = ["by_definition"]


def plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, scale: float | None, extra: Any) -> torch.Tensor:
    """Attention from its definition: the scores of the text, masked; those of the extra rows beside them, never masked."""
    times = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = query @ key.mT * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    if extra is None:
        return scores.softmax(-1) @ value
    heads = key.shape[1] // times
    extra_key, extra_value = ([*row.unflatten(-1, (heads, -1)).movedim(1, 0).repeat_interleave(times, 0)] for row in extra)
    seen = torch.stack([query[:, at] @ row.T * scale for at, row in enumerate(extra_key)], 1)
    weights = torch.cat([scores, seen], -1).softmax(-1)
    near, far = weights.split([scores.shape[-1], seen.shape[-1]], -1)
    return near @ value + torch.stack([far[:, at] @ row for at, row in enumerate(extra_value)], 1)


@contextmanager
def by_definition(model: Any, extra: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The model without a delta, with torch's attention exchanged for `plain`, which adds the extra rows."""
    current: list[str] = []
    handles = []
    for name, module in model.named_modules():
        if name in extra:
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: current.append(name)))
            handles.append(module.register_forward_hook(lambda *_: current.pop() and None))

    def attention(query: Any, key: Any, value: Any, attn_mask: Any = None, is_causal: Any = None, scale: Any = None, **_: Any) -> Any:
        if is_causal:
            attn_mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
        return plain(query, key, value, attn_mask, scale, extra[current[-1]] if current else None)

    with monkeypatch.context() as patch:
        patch.setattr(nn.functional, "scaled_dot_product_attention", attention)
        yield
    for handle in handles:
        handle.remove()
