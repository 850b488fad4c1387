"""A model and patterns against it: what the Explorer and the preview have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from deltanb._errors import DeltaError
from deltanb._foreign import as_deltas, foreign_deltas
from deltanb._suggest import close
from deltanb.addressing._split import split_patterns
from deltanb.engine import match
from deltanb.reports import StructureReport
from deltanb.roles import known_families
from deltanb.structure import module_names, snapshot
from deltanb.widgets._base import DeltaWidget
from deltanb.widgets._payload import payload
from deltanb.widgets._traits import Names, Patterns
from deltanb.workbench import Core, Workbench

if TYPE_CHECKING:
    from torch import nn

    from deltanb.addressing import MatchResult
    from deltanb.backbones import Backbone
    from deltanb.reports._base import Report
    from deltanb.structure import ModuleTree

__all__ = ["PatternWidget", "bench_of"]


def bench_of(model: nn.Module | Backbone | Workbench) -> Workbench:
    """The workbench that was given, or a new one around a model; deltas that it carries stay where they are."""
    if isinstance(model, Core):
        model.model  # noqa: B018 - says so if there is no backbone yet
        return model
    bench = Workbench()
    bench.adopt(model)
    return bench


class PatternWidget(DeltaWidget):
    """A model, a pattern, and what it hits.

    Attributes:
        structure: the model's structure, for the browser.
        pattern: what is typed; several patterns are separated by blanks. A list of patterns can be given, too.
        exclude: the same, for what is left out.
        selected: the modules that were clicked.
        matched: the modules that the patterns hit, by name; empty while they are not valid.
        problem: why they are not, or "".
        bench: the workbench that the view follows and acts on.
    """

    structure = traitlets.Dict().tag(sync=True)
    pattern = Patterns("").tag(sync=True)
    exclude = Patterns("").tag(sync=True)
    selected = Names().tag(sync=True)
    matched = Names()  # the browser works it out by itself, and a saved notebook stays small
    problem = traitlets.Unicode("")

    bench: Workbench
    _tree: ModuleTree
    _seen: dict[str, Any] | None = None

    def __init__(self, model: nn.Module | Backbone | Workbench, **traits: Any) -> None:
        surplus = [name for name in traits if not self.has_trait(name) or name == "structure"]
        if surplus:
            known = [name for name in self.trait_names(sync=True) if not name.startswith("_")]
            msg = f"{type(self).__name__} has no option {surplus[0]!r}."
            raise DeltaError(msg, nearest=close(surplus[0], known), try_=f"deltanb.{type(self).__name__}(model, pattern='fc2')")
        self.bench = bench_of(model)
        structure = self._look()
        super().__init__(structure=structure, **traits)
        self._find()
        self.bench.listeners.add(self.refresh)

    @property
    def model(self) -> nn.Module:
        """The backbone."""
        return self.bench.model

    @property
    def result(self) -> MatchResult | None:
        """What the patterns hit, in full; None while nothing is typed.

        Raises:
            DeltaError: a pattern is malformed, or hits nothing.
        """
        patterns, exclude = split_patterns(self.pattern), split_patterns(self.exclude)
        return match(self.model, patterns, exclude) if patterns else None

    def refresh(self) -> None:
        """Look at the model again: something may have been done to it elsewhere. After a verb this happens by itself."""
        if not self.bench.has_backbone:
            return
        structure = self._look()
        if structure != self.structure:
            with self.hold_trait_notifications():
                known = set(module_names(self.model))
                self.selected = [name for name in self.selected if name in known]
                self._changed(self.structure)
                self.structure = structure
        self._find()

    def _changed(self, before: dict[str, Any]) -> None:
        """Called with the old structure when a new one comes."""

    def _look(self) -> dict[str, Any]:
        tree = as_deltas(snapshot(self.model), foreign_deltas(self.model))
        structure = payload(self.model, tree)
        if "roles" not in structure:
            structure["families"] = list(known_families())
        if structure != self._seen:
            self._tree, self._seen = tree, structure
        return structure

    @traitlets.observe("pattern", "exclude")
    def _typed(self, _change: object) -> None:
        if hasattr(self, "bench"):
            self._find()

    def _find(self) -> None:
        try:
            found = self.result
        except DeltaError as error:
            self.problem, self.matched = str(error), []
        else:
            self.problem, self.matched = "", found.names if found else []

    @traitlets.validate("selected")
    def _known_names(self, proposal: Any) -> list[str]:
        names = module_names(self.model)
        unknown = next((name for name in proposal["value"] if name not in names), None)
        if unknown is not None:
            msg = f"There is no module called {unknown!r}."
            raise DeltaError(msg, expected="Full names of modules.", nearest=close(unknown, names), try_="view.selected = view.matched")
        chosen = set(proposal["value"])
        return [name for name in names if name in chosen]

    def on_match(self, patterns: list[str]) -> dict[str, Any]:
        """What patterns hit, for expressions that only Python can run."""
        return {"names": match(self.model, patterns).names}

    def static_form(self) -> Report:
        """What the patterns hit and would cost; the structure while nothing is typed, or while what is typed is wrong."""
        try:
            patterns, exclude = split_patterns(self.pattern), split_patterns(self.exclude)
            if patterns:
                return self.bench.match(patterns, exclude)
        except DeltaError as error:
            return StructureReport(self._tree, said=error.what)
        return StructureReport(self._tree)

    def close(self) -> None:
        """Take the widget away; the workbench is told to forget it."""
        if hasattr(self, "bench"):
            self.bench.listeners.remove(self.refresh)
        super().close()
