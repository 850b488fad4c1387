"""The structure of a model in one call, under the names that bigmodelvis and OpenDelta's scripts use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from deltanb._errors import DeltaError
from deltanb.reports import StructureReport, show
from deltanb.structure import snapshot

if TYPE_CHECKING:
    from torch import nn

    from deltanb.structure import ModuleTree

__all__ = ["Visualization"]


class Visualization:
    """Shows a model's structure.

    Args:
        model: any module, on any device, meta too.
        plot: whether a notebook shows the picture above the tree.

    Raises:
        DeltaError: ``model`` is no module.

    Example:
        >>> from torch import nn
        >>> Visualization(nn.Sequential(nn.Linear(3, 4))).structure_graph()
                                                parameters
        root (Sequential)                               16  T
        └── 0 (Linear) weight:[4, 3] bias:[4]           16  T
        <BLANKLINE>
        16 parameters, 16 trainable (100 %)
        T trains
    """

    def __init__(self, model: nn.Module, plot: bool = True) -> None:  # noqa: FBT001, FBT002 (positional in bigmodelvis)
        from torch import nn

        if not isinstance(model, nn.Module):
            raise DeltaError(f"A structure is drawn of a torch module, not of {type(model).__name__}.", expected="A model.")
        self.model = model
        self.plot = plot

    def structure_graph(  # noqa: PLR0913 (bigmodelvis's arguments)
        self,
        rootname: str = "root",
        expand_params: bool = False,  # noqa: FBT001, FBT002
        keep_non_params: bool = False,  # noqa: FBT001, FBT002
        common_structure: bool = False,  # noqa: FBT001, FBT002
        mapping: Any = None,
        only_common: bool = False,  # noqa: FBT001, FBT002
        printTree: bool = True,  # noqa: FBT001, FBT002, N803
        *,
        depth: int | None = None,
        order: Literal["registration", "flow"] = "registration",
    ) -> StructureReport | None:
        """Display the structure: drawn in a notebook, printed in a script.

        Args:
            rootname: a name for the model itself.
            expand_params: every parameter on a line of its own.
            keep_non_params: also modules without parameters, such as activations and dropout.
            common_structure: not here; roles are part of a pattern (``attn@.q@``).
            mapping: as ``common_structure``.
            only_common: as ``common_structure``.
            printTree: False gives the report back instead of displaying it.
            depth: levels below the model to show; None for all.
            order: siblings in order of ``registration``, or of their first call (``flow``).

        Returns:
            None; the report with ``printTree=False``.

        Raises:
            DeltaError: an option that does not exist here, an unknown order, or a depth below 0.
        """
        if common_structure or mapping or only_common:
            raise DeltaError(
                "structure_graph() shows a model under its own names; common names are written in patterns instead.",
                expected="Roles, segments that end in @, such as attn@.q@ or ff@.w2@.",
                try_="deltanb.match(model, 'attn@.q@')",
            )
        if depth is not None and depth < 0:
            raise DeltaError(f"A depth of {depth} shows nothing.", expected="0 for the model alone, or more.")
        report = StructureReport(
            self._tree(order), depth=depth, empty=keep_non_params, picture=self.plot, root=rootname, expand_parameters=expand_params
        )
        if not printTree:
            return report
        show(report)
        return None

    def _tree(self, order: str) -> ModuleTree:
        tree = snapshot(self.model)
        if order == "registration":
            return tree
        if order != "flow":
            raise DeltaError(f"Unknown order {order!r}.", expected="One of: registration, flow.")
        from deltanb.probe import call_order

        return tree.in_order(call_order(self.model))
