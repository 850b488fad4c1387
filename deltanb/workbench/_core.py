"""The heart of a workbench: what it holds, and how a step is taken, undone and redone.

A step either happens whole or not at all: an error, or an interrupt, brings back the state before it. One lock keeps a
second step from changing a model while the first is still at work.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deltanb._errors import DeltaError
from deltanb._shield import Shield
from deltanb._suggest import close
from deltanb.engine import deltas, free_name, set_apart
from deltanb.workbench._listeners import Listeners
from deltanb.workbench._names import Names
from deltanb.workbench._runs import Runs
from deltanb.workbench._snapshot import Snapshot
from deltanb.workbench._step import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

    from deltanb.backbones import Backbone
    from deltanb.datasets import TextData
    from deltanb.engine import DeltaModel
    from deltanb.training import FrozenCache
    from deltanb.workbench._background import BackgroundRun

__all__ = ["Core"]

_BACKBONES = 2  # this one and the one before, for undo
_FIELDS = ("_backbone", "parked", "data_set", "before", "result", "first_values")


class Core:
    """State and steps; the verbs are in the classes built on it."""

    def __init__(self) -> None:
        self._backbone: Backbone | None = None
        self.parked: dict[str, DeltaModel] = {}
        self.data_set: Any = None
        self.before: Any = None
        self.result: Any = None
        self.first_values: dict[str, tuple[int, torch.Tensor]] = {}
        self.frozen: FrozenCache | None = None
        self.steps: list[Step] = []
        self.undone: list[Step] = []
        self.saved_to: dict[int, set[str]] = {}
        self.recipes: dict[int, tuple[tuple[int, float], ...]] = {}  # of deltas that are sums: serial numbers and weights
        self.training: BackgroundRun | None = None  # the last that was started
        self._runs = Runs()
        self._names = Names()
        self.listeners = Listeners()
        self.line = ""
        self._lock = threading.Lock()

    @property
    def model(self) -> nn.Module:
        """The backbone's module.

        Raises:
            DeltaError: there is no backbone yet.
        """
        return self.backbone_in_use.model

    @property
    def backbone_in_use(self) -> Backbone:
        """The backbone.

        Raises:
            DeltaError: there is none yet.
        """
        if self._backbone is None:
            msg = "There is no backbone yet."
            raise DeltaError(msg, expected="It comes first: the model that everything else works on.", try_="%delta backbone minilm")
        return self._backbone

    @property
    def has_backbone(self) -> bool:
        """Whether there is one yet."""
        return self._backbone is not None

    @property
    def attached(self) -> dict[str, DeltaModel]:
        """The attached deltas by name; empty without a backbone."""
        return {} if self._backbone is None else deltas(self._backbone.model)

    def delta(self, name: str | None = None) -> DeltaModel:
        """An attached delta: the one of that name, or the one last attached.

        Raises:
            DeltaError: there is none.
        """
        attached = self.attached
        if name is None and attached:
            return list(attached.values())[-1]
        if name in attached:
            return attached[name]
        model = self.model
        del model
        if name is None:
            msg = "No delta is attached."
            parked = f"Parked: {', '.join(self.parked)}." if self.parked else "A delta first."
            try_ = f"%delta reattach {next(reversed(self.parked))}" if self.parked else "%delta attach adapter output.dense"
            raise DeltaError(msg, expected=parked, try_=try_)
        where = " It is parked." if name in self.parked else ""
        msg = f"No attached delta is called {name!r}.{where}"
        names = list(attached) or ["none"]
        try_ = f"%delta reattach {name}" if name in self.parked else "%delta params"
        raise DeltaError(msg, expected=f"Attached: {', '.join(names)}.", nearest=close(name, [*attached, *self.parked]), try_=try_)

    def only(self, name: str | None, why: str) -> DeltaModel:
        """An attached delta, which must be named where there are several: a line that is run again then means the same.

        Args:
            name: of the delta, or None.
            why: the line up to the name, for the error.

        Raises:
            DeltaError: there is none, or there are several and none is named.
        """
        if name is None and len(self.attached) > 1:
            msg = f"Several deltas are attached: {', '.join(self.attached)}."
            raise DeltaError(msg, expected="Name the one that is meant.", try_=f"{why} {next(reversed(self.attached))}")
        return self.delta(name)

    def park(self, delta: DeltaModel) -> str:
        """Put a delta aside with its weights, under its name, or a new one where a trained delta waits under that.

        Returns:
            The name to reattach it by.
        """
        waiting = {name for name, other in self.parked.items() if other is not delta and not self._names.is_new(other)}
        key = free_name(delta.name, waiting | (self.attached.keys() - {delta.name}))
        self.parked[key] = delta
        return key

    def data_in_use(self) -> TextData:
        """The data set.

        Raises:
            DeltaError: none was chosen yet.
        """
        if self.data_set is None:
            from deltanb.datasets import names

            msg = "There is no data yet."
            raise DeltaError(msg, expected=f"One of {', '.join(names())}, or data of your own.", try_="%delta train movie_reviews")
        return self.data_set  # type: ignore[no-any-return]

    @contextmanager
    def locked(self, verb: str) -> Iterator[None]:
        """Hold the workbench for the time of a verb.

        Raises:
            DeltaError: another verb holds it.
        """
        if not self._lock.acquire(blocking=False):
            raise self._busy(verb)
        try:
            yield
        finally:
            self._lock.release()

    def _busy(self, verb: str) -> DeltaError:
        if self.training is None or self.training.done:
            msg = f"{verb} has to wait: another step is still at work on this model."
            return DeltaError(msg, expected="One step at a time.", try_="stop it, or wait until it is done")
        msg = f"{verb} has to wait: training goes on in the background ({self.training.status})."
        return DeltaError(msg, expected="Stop it and keep what was learned, or wait until it is done.", try_="%delta stop, or %delta wait")

    @property
    def runs(self) -> Runs:
        """The training runs of this session, oldest first; those that were undone say so."""
        return self._runs.marked({step.run for step in self.steps})

    @contextmanager
    def step(self, verb: str, line: str = "") -> Iterator[Step]:
        """Take a step: whole, or not at all.

        An interrupt waits until the step is done and then takes it back, but where work takes long (`Shield.lifted`).

        Args:
            verb: for messages.
            line: the ``%delta`` line, unless the magic has set it.
        """
        entry = Step(verb, self.line or line)
        with self.locked(verb), entry.shield as shield:
            entry.then = self._snapshot()
            try:
                yield entry
                entry.now = self._snapshot()
                shield.check()
            except BaseException as error:
                entry.then.values = entry.values_then
                self._go(entry.then)
                if not isinstance(error, KeyboardInterrupt):
                    raise
                msg = f"{verb} was interrupted."
                raise DeltaError(msg, expected="The workbench is as it was before it.", try_=entry.line) from None
            entry.then.values, entry.now.values = entry.values_then, entry.values_now
            self.steps.append(entry)
            self.undone.clear()
            self._forget_old_backbones()
        self.listeners.tell()

    def _snapshot(self) -> Snapshot:
        fields = {name: dict(value) if isinstance(value := getattr(self, name), dict) else value for name in _FIELDS}
        return Snapshot.take(self._backbone, fields)

    def _go(self, moment: Snapshot) -> None:
        moment.restore()
        for name, value in moment.fields.items():
            setattr(self, name, dict(value) if isinstance(value, dict) else value)

    def _forget_old_backbones(self) -> None:
        """Keep one earlier backbone for undo, not all of them: each is a whole model in memory."""
        kept: list[Any] = []
        for entry in reversed(self.steps):
            for moment in (entry.now, entry.then):
                if moment is not None and moment.backbone is not None and all(moment.backbone is not other for other in kept):
                    kept.append(moment.backbone)
            if len(kept) > _BACKBONES:
                entry.undoable = False
                entry.then = entry.now = None
        gone = [backbone.model for backbone in kept[_BACKBONES:] if backbone.kind != "yours"]
        for delta in self.parked.values():
            if any(delta.backbone_model is model for model in gone):
                set_apart(delta)

    def undo_step(self) -> Step | None:
        """Go back before the last step that changed something; None if there is none."""
        with self.locked("undo"), Shield():
            at = next((i for i in reversed(range(len(self.steps))) if self.steps[i].undoable), None)
            if at is None or self.steps[at].then is None:
                return None
            entry = self.steps[at]
            entry.after = self.steps[at + 1 :]
            self.undone = [entry, *self.undone]
            del self.steps[at:]
            self._go(entry.then)  # type: ignore[arg-type]
        self.listeners.tell()
        return entry

    def redo_step(self) -> Step | None:
        """Take the step again that was undone last; None if there is none."""
        with self.locked("redo"), Shield():
            if not self.undone or self.undone[0].now is None:
                return None
            entry = self.undone.pop(0)
            self.steps += [entry, *entry.after]
            self._go(entry.now)  # type: ignore[arg-type]
        self.listeners.tell()
        return entry
