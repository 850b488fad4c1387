"""Verbs that look and change nothing but the backbone in use: backbone, graph, match, params, log, code."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb.backbones import Backbone, load_backbone
from deltanb.engine import DELTA_TYPES, deltas, match, plan
from deltanb.reports import MatchReport, Outcome, ParameterTable, PlansReport, StructureReport
from deltanb.structure import snapshot
from deltanb.workbench._core import Core
from deltanb.workbench._python import script
from deltanb.workbench._snapshot import Snapshot
from deltanb.workbench._trial import trial_pass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.engine import DeltaModel
    from deltanb.structure import ModuleTree

__all__ = ["Look"]


class Look(Core):
    """The verbs of `Core` that look."""

    def backbone(self, spec: Any, *, variable: str = "", **options: Any) -> Outcome:
        """Take a backbone. The same again gives a fresh one; deltas of the old one are parked.

        Args:
            spec: a name, a folder, a hub id, or a model; see `deltanb.backbones.load_backbone`.
            variable: what a model of the user's is called, for the code.
            **options: of `deltanb.backbones.load_backbone`.
        """
        with self.step("backbone", f"%delta backbone {variable or spec}") as step:
            with step.shield.lifted():
                loaded = load_backbone(spec, **options)
            there = deltas(loaded.model)  # the user's own, or this workbench's where it is the same model again
            step.then.elsewhere = Snapshot.take(loaded, {})  # type: ignore[union-attr]
            old = dict.fromkeys([*self.attached.values(), *there.values()])
            for delta in reversed(list(there.values())):
                delta.detach()
            self._backbone = loaded
            names = [self.park(delta) for delta in old]
            self.before, self.result, self.first_values, self.frozen = snapshot(loaded.model), None, {}, None
            name = variable or ("your_model" if loaded.kind == "yours" else "")
            source = f"backbone = deltanb.load_backbone({name})  # {name}: your own" if name else _said(loaded.code, options)
            step.python = [source, "model = backbone.model"]
            notes = [f"parked with their weights: {', '.join(names)} (%delta reattach NAME puts one on this backbone)"] if names else []
            return self._about_backbone(loaded, notes)

    def adopt(self, model: Any) -> None:
        """Take a model as it is, as the backbone: deltas that it carries stay attached.

        Args:
            model: a module, or a `deltanb.backbones.Backbone`.
        """
        with self.step("backbone") as step:
            step.undoable = False  # there was nothing before it
            self._backbone = model if isinstance(model, Backbone) else load_backbone(model)
            self.before = snapshot(self.model)
            step.python = ["backbone = deltanb.load_backbone(your_model)  # your_model: your own", "model = backbone.model"]
            for name, delta in self.attached.items():
                step.python.append(f"{self._names.choose(delta, [*self.steps, step])} = deltanb.deltas(model)[{name!r}]")

    def _about_backbone(self, loaded: Backbone, notes: list[str]) -> Outcome:
        counts = self.before.counts
        facts = {
            "model": f"{type(loaded.model).__name__}, for {loaded.task}",
            "parameters": f"{counts.total:,} in {len(self.before) - 1} modules",
            "source": loaded.source,
        }
        return Outcome(f"Backbone {loaded.name}.", facts, notes, next="%delta graph", value=loaded)

    def graph(self, *, depth: int | None = None, empty: bool = False, flow: bool = False, picture: bool = True) -> StructureReport:
        """The folded structure.

        Args:
            depth: levels to show.
            empty: show modules without parameters too.
            flow: siblings in the order in which they are called.
            picture: with the drawing, not the tree alone.
        """
        tree = snapshot(self.model)
        if flow:
            from deltanb.probe import call_order

            tree = tree.in_order(call_order(self.model))
        return StructureReport(tree, depth=depth, empty=empty, picture=picture)

    def match(self, patterns: Sequence[str], exclude: Sequence[str] | None = None) -> MatchReport:
        """Which modules patterns hit, and what each delta type would cost there."""
        model = self.model
        found = match(model, patterns, exclude)
        plans = []
        for kind in DELTA_TYPES:
            with suppress(DeltaError):  # a type that cannot sit there is left out
                plans.append(plan(model, kind, list(patterns), exclude))
        return MatchReport(found, snapshot(model), plans=plans)

    def plans(self, types: Sequence[str] | None = None, **options: Any) -> PlansReport:
        """Which deltas fit a budget, and what each would cost; nothing is attached.

        Args:
            types: delta types; default: all.
            **options: of `deltanb.plans`.
        """
        from deltanb.planning import plans

        return plans(self.model, types, **options)

    def params(self, *, by: str = "module", depth: int | None = None, gradients: bool | None = None) -> ParameterTable:
        """Counts before and after, by module, type or delta; with what trains but receives no gradient.

        Args:
            by: ``module``, ``type`` or ``delta``.
            depth: levels to show.
            gradients: make a trial pass for them; default: where it is cheap.
        """
        if by not in ("module", "type", "delta"):
            msg = f"Parameters cannot be listed by {by!r}."
            raise DeltaError(msg, expected="They can be listed by module, type or delta.", try_="%delta params --by type")
        tree = snapshot(self.model)
        found = None if gradients is False else self._trial(tree, forced=bool(gradients))
        return ParameterTable(tree, self.before, by=by, depth=depth, gradients=found)  # type: ignore[arg-type]

    def _trial(self, tree: ModuleTree, *, forced: bool) -> dict[str, str] | str:
        try:
            with self.locked("A look at the gradients"):
                return trial_pass(self.model, tree, forced=forced)
        except DeltaError as error:
            if forced:
                raise
            return error.what

    def log(self, name: str | None = None) -> None:
        """Display structure and counts of a delta, as ``delta.log()`` does."""
        delta: DeltaModel = self.delta(name)
        delta.log()

    def code(self) -> str:
        """A Python script of what was done: it runs as it is."""
        still = self.training is not None and not self.training.done
        return script(self.steps) + ("# Training goes on in the background; its line comes here when it is done.\n" if still else "")


def _said(code: str, options: dict[str, Any]) -> str:
    """The line that loads a backbone by its name; a tokenizer of the user's own has no name there."""
    if options.get("tokenizer") is None:
        return f"backbone = {code}"
    return f"backbone = {code[:-1]}, tokenizer=your_tokenizer)  # your_tokenizer: your own"
