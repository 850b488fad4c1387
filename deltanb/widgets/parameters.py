"""The parameter table, live: what is where, what trained before and trains now, what gets no gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from deltanb._errors import DeltaError
from deltanb._suggest import close
from deltanb.reports import ParameterTable
from deltanb.structure import snapshot
from deltanb.widgets._base import DeltaWidget
from deltanb.widgets._parameter_rows import first_open, parameter_rows
from deltanb.workbench import Workbench
from deltanb.workbench._trial import trial_pass

if TYPE_CHECKING:
    from torch import nn

    from deltanb.structure import ModuleTree

__all__ = ["ParameterView"]

GROUPS = ("module", "type", "delta")
COLUMNS = ("name", "total", "before", "trainable", "dead", "frozen", "delta")


class ParameterView(DeltaWidget):
    """A table of parameters to sort, filter and open; its totals are the model's.

    Args:
        model: any module, or a workbench: the table then follows each of its steps.
        before: the model as it was (`deltanb.snapshot`); default: as it is now, or when the workbench took it.
        gradients: make a trial pass for what trains and gets no gradient; default: where it is cheap.
        depth: levels below the root to begin with; default: as many as stay short.
        **traits: first values of the attributes below.

    Attributes:
        by: a row for each ``module``, ``type`` or ``delta``.
        sort: a column (``name``, ``total``, ``before``, ``trainable``, ``dead``, ``frozen``, ``delta``), the smallest first; with
            ``-`` before it the largest first; ``""`` for the model's order. In the tree siblings stay together.
        filter: words; shown is what has each of them in its name or type, in capitals or not.
        expanded: addresses of the rows that are open.
        members: addresses of the folds whose members stand one by one.
        rows: the numbers.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        >>> view = ParameterView(model, sort="-total")
        >>> _ = model[0].requires_grad_(False)
        >>> view.refresh()
        >>> view.rows["totals"]  # total, before, trainable, without gradient, delta
        [26, 26, 10, 0, 0]
    """

    file_stem = "parameters"

    by = traitlets.Enum(GROUPS, default_value="module").tag(sync=True)
    sort = traitlets.Unicode("").tag(sync=True)
    filter = traitlets.Unicode("").tag(sync=True)
    expanded = traitlets.List(traitlets.Unicode()).tag(sync=True)
    members = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        model: nn.Module | Workbench,
        before: ModuleTree | None = None,
        *,
        gradients: bool | None = None,
        depth: int | None = None,
        **traits: Any,
    ) -> None:
        if (by := traits.get("by", "module")) not in GROUPS:
            raise DeltaError(f"Parameters cannot be listed by {by!r}.", expected="They can be listed by module, type or delta.")
        self._model = model
        self._gradients = gradients
        self._before = before if before is not None or isinstance(model, Workbench) else snapshot(model)
        table = self._look()
        rows = parameter_rows(table)
        super().__init__(rows=rows, **{"expanded": first_open(rows["module"], depth=depth), **traits})
        self._table = table
        if isinstance(model, Workbench):
            model.listeners.add(self._follow)

    @traitlets.validate("sort")
    def _known_column(self, proposal: dict[str, Any]) -> str:
        sort: str = proposal["value"]
        if sort and sort.removeprefix("-") not in COLUMNS:
            msg = f"A parameter table has no column {sort.removeprefix('-')!r}."
            near = close(sort.removeprefix("-"), COLUMNS)
            raise DeltaError(msg, expected=f"One of: {', '.join(COLUMNS)}.", nearest=near, try_='view.sort = "-total"')
        return sort

    def refresh(self) -> None:
        """Count anew; what is sorted, filtered and open stays so."""
        self._table = self._look()
        self.rows = parameter_rows(self._table)

    def _follow(self) -> None:
        """Count anew after a step that changed what is counted: a trial pass after each step of another kind would be a waste."""
        bench = self._model
        if isinstance(bench, Workbench) and (snapshot(bench.model), self._before or bench.before) != (
            self._table.after,
            self._table.before,
        ):
            self.refresh()

    def close(self) -> None:
        """Close the widget; it no longer follows the workbench."""
        if isinstance(bench := getattr(self, "_model", None), Workbench):
            bench.listeners.remove(self._follow)
        super().close()

    def on_refresh(self, *, gradients: bool = False) -> None:
        """Answer the buttons *Refresh* and *Look for gradients*.

        Args:
            gradients: make the trial pass, though the model is large; from now on.
        """
        self._gradients = gradients or self._gradients
        self.refresh()

    def static_form(self) -> ParameterTable:
        """The table as a plain result, grouped as the view is."""
        table = self._table
        return ParameterTable(table.after, table.before, by=self.by, gradients=table.gradients)  # type: ignore[arg-type]

    def _look(self) -> ParameterTable:
        if isinstance(self._model, Workbench):
            table = self._model.params(gradients=self._gradients)
            return ParameterTable(table.after, self._before or table.before, gradients=table.gradients)
        tree = snapshot(self._model)
        found: dict[str, str] | str | None = None
        if self._gradients is not False:
            try:
                found = trial_pass(self._model, tree, forced=bool(self._gradients))
            except DeltaError as error:
                if self._gradients:
                    raise
                found = error.what
        return ParameterTable(tree, self._before, gradients=found)
