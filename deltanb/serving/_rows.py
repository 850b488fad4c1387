"""What one delta does at one place of the backbone, in a form that several deltas can do together, each on its own rows.

The types fall into few families. A *bottleneck* is LoRA (no activation, no biases), the adapters, and those whose matrices
are products, multiplied out once. Bottlenecks of one activation are stacked, narrower ones filled up with zeros, and
computed by two batched products. Vectors that scale or shift are looked up by row. All else (DoRA, a classifier of its own)
is computed for each delta on all its rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

__all__ = ["Bottleneck", "Each", "Member", "Norm", "Part", "Scale", "Shift"]


class Part:
    """What a delta does to the rows of a tensor. Parts of one ``family`` are computed together."""

    family: tuple[Any, ...] = ()

    @staticmethod
    def together(members: Sequence[Member], taken: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """What becomes of some rows.

        Args:
            members: the parts, each with the places of its rows among these.
            taken: what the module takes, [rows, …].
            given: what is changed, [rows, …]: what the module gives, or again what it takes.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Member:
    """A part in a batch.

    Attributes:
        part: what is done.
        rows: to which rows of those that its family changes, [count].
    """

    part: Any
    rows: torch.Tensor


def _by_row(members: Sequence[Member], tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """For each row the tensor of its delta, [rows, …]."""
    if len(tensors) == 1:
        return tensors[0][None].expand(len(members[0].rows), *tensors[0].shape)
    which = torch.cat([torch.full_like(member.rows, at) for at, member in enumerate(members)])
    order = torch.cat([member.rows for member in members])
    return torch.stack(list(tensors))[which[torch.argsort(order)]]


def _wide(vectors: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """[rows, size] as [rows, 1, …, size], to go with a tensor [rows, …, size]."""
    return vectors.view(len(vectors), *[1] * (like.dim() - 2), -1)


class Bottleneck(Part):
    """``act(x · down + inner) · up + outer``, on what the module takes, or (``after``) on what it gives.

    Args:
        down: [in, b].
        up: [b, out].
        inner: [b], or None.
        outer: [out], or None.
        act: what lies between; None: nothing.
        after: whether x is what is changed itself.
        kept: give the product alone, for a later module to add.
    """

    def __init__(
        self,
        down: torch.Tensor,
        up: torch.Tensor,
        inner: torch.Tensor | None = None,
        outer: torch.Tensor | None = None,
        act: nn.Module | None = None,
        *,
        after: bool = False,
        kept: bool = False,
    ) -> None:
        self.down, self.up, self.act, self.after, self.kept = down.contiguous(), up.contiguous(), act, after, kept
        self.inner = down.new_zeros(down.shape[1]) if inner is None and act is not None else inner
        self.outer = up.new_zeros(up.shape[1]) if outer is None and act is not None else outer
        self.family = ("bottleneck", repr(act), after, kept, down.dtype)

    @staticmethod
    def together(members: Sequence[Member], taken: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """See `Part.together`."""
        first: Bottleneck = members[0].part
        parts: list[Bottleneck] = [member.part for member in members]
        width = max(part.down.shape[1] for part in parts)
        value = (given if first.after else taken).to(first.down.dtype)
        flat = value.reshape(len(value), -1, value.shape[-1])
        down = _by_row(members, [functional.pad(part.down, (0, width - part.down.shape[1])) for part in parts])
        up = _by_row(members, [functional.pad(part.up, (0, 0, 0, width - part.up.shape[0])) for part in parts])
        if first.act is None:
            added = torch.bmm(torch.bmm(flat, down), up)
        else:
            inner = [functional.pad(part.inner, (0, width - part.inner.shape[0])) for part in parts]  # type: ignore[arg-type,union-attr]
            outer = [part.outer for part in parts]
            low = torch.baddbmm(_by_row(members, inner)[:, None], flat, down)
            added = torch.baddbmm(_by_row(members, outer)[:, None], first.act(low), up)  # type: ignore[arg-type]
        added = added.view(*value.shape[:-1], -1)
        return added if first.kept else given + added.to(given.dtype)


class _Vector(Part):
    def __init__(self, vector: torch.Tensor) -> None:
        self.vector = vector
        self.family = (type(self).__name__, vector.dtype)

    @classmethod
    def _vectors(cls, members: Sequence[Member], like: torch.Tensor) -> torch.Tensor:
        return _wide(_by_row(members, [member.part.vector for member in members]), like)


class Scale(_Vector):
    """Times a vector [size]."""

    @staticmethod
    def together(members: Sequence[Member], taken: torch.Tensor, given: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
        """See `Part.together`."""
        return (given * Scale._vectors(members, given)).to(given.dtype)


class Shift(_Vector):
    """Plus a vector [size]."""

    @staticmethod
    def together(members: Sequence[Member], taken: torch.Tensor, given: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
        """See `Part.together`."""
        return (given + Shift._vectors(members, given)).to(given.dtype)


class Norm(Part):
    """A layer norm with a weight and a bias [size] of the delta's own."""

    def __init__(self, module: nn.LayerNorm, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self.module, self.weight, self.bias = module, weight, bias
        self.family = ("norm",)

    @staticmethod
    def together(members: Sequence[Member], taken: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """See `Part.together`."""
        norm: nn.LayerNorm = members[0].part.module
        plain = functional.layer_norm(taken, norm.normalized_shape, None, None, norm.eps)
        weights = _wide(_by_row(members, [member.part.weight for member in members]), plain)
        biases = _wide(_by_row(members, [member.part.bias for member in members]), plain)
        return (plain * weights + biases).to(given.dtype)


class Each(Part):
    """Anything: a function of what the module takes and what is changed, called once a delta with all its rows."""

    def __init__(self, change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        self.change = change
        self.family = ("each",)

    @staticmethod
    def together(members: Sequence[Member], taken: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """See `Part.together`."""
        found = given.clone()
        for member in members:
            found[member.rows] = member.part.change(taken[member.rows], given[member.rows]).to(given.dtype)
        return found
