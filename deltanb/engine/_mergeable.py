"""The part of a `DeltaModel` that goes into its hosts' weights and comes out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from deltanb.engine import _merging

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from deltanb.engine._merging import Effect

__all__ = ["Mergeable"]


class Mergeable:
    """Merge and unmerge.

    Attributes:
        merges: whether its hosts' weights can take the place of a delta of this type.
        merged: whether it is in its hosts' weights now, instead of beside them.
    """

    merges: ClassVar[bool] = False
    merged: bool

    def merged_tensors(self, host: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What a host's own tensors become, for the host alone to compute what both compute now.

        Args:
            host: its name.
            tensors: its ``weight``, ``bias``, … without this delta.

        Returns:
            Those that change, in float32 at least.

        Raises:
            DeltaError: this type, or such a host, does not merge.
        """
        raise NotImplementedError

    def merge(self, batch: Any = None) -> Effect:
        """Put the delta into its hosts' weights: they compute with changed weights, and no hook runs.

        The originals are kept, which costs as much memory as the hosts' weights. What is merged does not train. Saving
        writes the delta as before; detach unmerges first. Merged already: nothing happens.

        Args:
            batch: inputs by name, or a tensor, to measure the change on; default: a small trial batch.

        Returns:
            The largest absolute change of a logit: rounding alone.

        Raises:
            DeltaError: its type does not merge (LoRA, (IA)³, BitFit and LayerNorm tuning do); a host's weight is tied,
                quantised or owned; another delta on a host would compute something else; the backbone is a skeleton.

        Example:
            >>> import torch
            >>> from torch import nn
            >>> from deltanb import LoraModel
            >>> model = nn.Sequential(nn.Linear(4, 4))
            >>> delta = LoraModel(model, modified_modules=["0"])
            >>> delta.merge(torch.ones(1, 4)).largest < 1e-6, delta.merged
            (True, True)
        """
        return _merging.merge(self, batch)  # type: ignore[arg-type]

    def unmerge(self, batch: Any = None) -> Effect:
        """Take a merged delta out of its hosts' weights, which are bit for bit as before; it acts beside them again.

        Args:
            batch: as for ``merge``.

        Returns:
            The largest absolute change of a logit.

        Raises:
            DeltaError: another delta is merged into a host, and this one beside it would compute something else.
        """
        return _merging.unmerge(self, batch)  # type: ignore[arg-type]
