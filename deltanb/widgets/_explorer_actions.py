"""What the Explorer's buttons do: each is a verb of the workbench, with the ``%delta`` line that would have done it.

So a click is a step as any other: ``%delta undo`` takes it back, ``%delta code`` has it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import traitlets

from deltanb._errors import DeltaError
from deltanb._foreign import foreign_deltas
from deltanb.engine import describe_types, match, plan
from deltanb.widgets._code import attach_line, done, freeze_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from deltanb.reports import Outcome
    from deltanb.workbench import Workbench

__all__ = ["ExplorerActions"]

_HEADS = ("classifier", "classification_head", "score", "qa_outputs")


class ExplorerActions(traitlets.HasTraits):
    """Answers to the panel; mixed into a `DeltaWidget` that has ``bench`` and ``refresh()``.

    Attributes:
        delta_type: the type chosen in the panel.
        delta_name: its name; empty: the type's own.
        delta_options: the options that differ from their defaults.
        freeze_exclude: what *Freeze* leaves trainable, as on a ``%delta freeze --exclude`` line.
        batch: examples in a batch, for the memory that training would take.
        length: tokens in an example, likewise.
        types: the delta types with their options.
        done: what was done on the workbench, as code.
    """

    bench: Workbench

    delta_type = traitlets.Unicode("adapter").tag(sync=True)
    delta_name = traitlets.Unicode("").tag(sync=True)
    delta_options = traitlets.Dict().tag(sync=True)
    freeze_exclude = traitlets.Unicode("deltas").tag(sync=True)
    batch = traitlets.Int(8).tag(sync=True)
    length = traitlets.Int(64).tag(sync=True)
    types: traitlets.List[Any] = traitlets.List().tag(sync=True)
    done = traitlets.Dict().tag(sync=True)

    @traitlets.default("types")
    def _every_type(self) -> list[dict[str, Any]]:
        return describe_types()

    def refresh(self) -> None:
        """Read the structure anew; the widget has its own."""
        self.remember()

    def remember(self) -> None:
        """Put what was done on the workbench into `done`."""
        self.done = done(self.bench)

    def propose_freezing(self) -> None:
        """Propose to leave the deltas trainable, and a head that has to be learned."""
        heads = [name for name, _ in self.bench.model.named_children() if name in _HEADS]
        self.freeze_exclude = " ".join(["deltas", *heads])

    @contextmanager
    def _as_line(self, line: str) -> Iterator[None]:
        """Do something as if that line had been run, and show what has become of the model, error or not."""
        before, self.bench.line = self.bench.line, line
        try:
            yield
        finally:
            self.bench.line = before
            self.refresh()

    def on_attach(
        self,
        delta_type: str,
        patterns: Sequence[str] = (),
        exclude: Sequence[str] = (),
        name: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Attach a delta, as ``%delta attach`` does."""
        self._refuse_foreign(patterns, exclude)
        told = dict(options or {})
        with self._as_line(attach_line(delta_type, patterns, exclude=exclude, name=name, options=told)):
            found = self.bench.attach(delta_type, list(patterns) or None, name=name or None, exclude=list(exclude) or None, **told)
        return _told(found)

    def on_freeze(self, exclude: Sequence[str] = ("deltas",)) -> dict[str, Any]:
        """Freeze all but ``exclude``, as ``%delta freeze --exclude`` does."""
        with self._as_line(freeze_line(exclude)):
            return _told(self.bench.freeze(list(exclude)))

    def on_undo(self) -> dict[str, Any]:
        """Take the last step back."""
        with self._as_line(""):
            return _told(self.bench.undo())

    def on_redo(self) -> dict[str, Any]:
        """Take it again."""
        with self._as_line(""):
            return _told(self.bench.redo())

    def on_plan(
        self, delta_type: str, patterns: Sequence[str] = (), exclude: Sequence[str] = (), options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """What a delta would cost, counted by the engine itself."""
        found = plan(self.bench.model, delta_type, list(patterns) or None, list(exclude) or None, **(options or {}))
        return {"hosts": found.hosts, "parameters": found.parameters, "share": found.share, "bytes": found.bytes}

    def on_match(self, patterns: Sequence[str], exclude: Sequence[str] = ()) -> dict[str, Any]:
        """Which modules patterns hit: the grammar's own answer."""
        found = match(self.bench.model, list(patterns), list(exclude) or None)
        foreign = foreign_deltas(self.bench.model)
        return {
            "names": [name for name in found.names if name not in foreign],
            "per_pattern": dict(found.per_pattern),
            "hints": found.hints,
        }

    def on_save_html(self, path: str = "explorer.html") -> dict[str, Any]:
        """Write the page."""
        target: Path = self.save_html(path)  # type: ignore[attr-defined]
        return {"title": f"Saved {target}.", "facts": {"size": f"{target.stat().st_size / 1000:.0f} kB"}, "notes": [], "next": ""}

    def _refuse_foreign(self, patterns: Sequence[str], exclude: Sequence[str]) -> None:
        foreign = foreign_deltas(self.bench.model)
        if not foreign or not patterns:
            return
        inner = next((name for name in match(self.bench.model, list(patterns), list(exclude) or None).names if name in foreign), None)
        if inner is not None:
            owner = foreign[inner]
            msg = f"{inner} belongs to {owner.kind} {owner.name!r} of {owner.origin}, and is no module of the backbone."
            raise DeltaError(msg, expected="Patterns that hit the backbone's own modules.", try_=f"exclude {inner.rpartition('.')[2]}")


def _told(outcome: Outcome) -> dict[str, Any]:
    return {"title": outcome.title, "facts": dict(outcome.facts), "notes": list(outcome.notes), "next": outcome.next}
