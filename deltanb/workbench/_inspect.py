"""The verb that looks into a delta: inspect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.workbench._core import Core
from deltanb.workbench._python import call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltanb.engine import DeltaModel
    from deltanb.reports import AnatomyReport, Comparison

__all__ = ["Inspect"]


class Inspect(Core):
    """The verb of `Core` that shows what a delta has learned."""

    def inspect(self, name: str | None = None, texts: str | Sequence[str] | None = None) -> AnatomyReport:
        """What a delta has learned: how much it changes weights, moves activations, and turns answers. Nothing is changed.

        Args:
            name: of an attached delta; default: the one attached last.
            texts: example sentences; default: a few held-out rows of the data in use, else built-in ones.
        """
        from deltanb.training import anatomy

        delta, given = self.delta(name), texts if texts is None or isinstance(texts, str) else list(texts)
        undone = list(self.undone)
        with self.step("inspect", f"%delta inspect {delta.name}") as step:
            step.undoable = False
            report = anatomy(self.backbone_in_use, delta, given, data=self.data_set, on_text=lambda _: step.shield.check())
            words = [repr(delta.name), *([] if given is None else [repr(given)]), *(["data=data"] if self.data_set is not None else [])]
            line = f"print({call('deltanb.anatomy', 'backbone', *words)})"
            if [known for entry in self.steps for known in entry.python][-1:] != [line]:  # looked at twice, said once
                step.python.append(line)
        self.undone = undone  # nothing was changed, so what was undone can still be done again
        if self.is_untrained(delta):
            report.untrained = True
        return report

    def is_untrained(self, delta: DeltaModel) -> bool:
        """Whether a delta that was made here still has the values it was made with."""
        return self._names.is_new(delta)

    def compare(self, text: str, name: str | None = None) -> tuple[Comparison | None, dict[str, float]]:
        """One sentence with a delta and without it.

        Args:
            text: the sentence.
            name: of an attached delta; default: the one attached last.

        Returns:
            The answers, and how far each place moved.
        """
        from deltanb.training import Reader

        names = self.data_set.label_names if self.data_set is not None else None
        with self.locked("compare"):
            return Reader(self.backbone_in_use, self.delta(name), label_names=names).compare(text)
