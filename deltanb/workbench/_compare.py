"""The verb that compares: compare. What is on the workbench is there afterwards as it was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltanb.workbench._core import Core
from deltanb.workbench._python import call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltanb.reports import ComparisonReport

__all__ = ["Compare"]

_UNSPOKEN = frozenset({"display", "stop"})  # what a line of Python cannot say


class Compare(Core):
    """The verb of `Core` that compares."""

    def compare_deltas(
        self,
        candidates: str | Sequence[Any],
        source: Any = None,
        *,
        variable: str = "",
        options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> ComparisonReport:
        """Train several deltas on this backbone, and show what each gives and takes; nothing of the workbench changes.

        Args:
            candidates: as for `deltanb.compare`.
            source: data; default: the set in use.
            variable: what the user calls it, for the code.
            options: of the types.
            **settings: the rest of what `deltanb.compare` takes.
        """
        from deltanb.comparison import compare

        undone = list(self.undone)
        with self.step("compare", "%delta compare") as step:
            step.undoable = False
            backbone = self.backbone_in_use
            data = self.data_in_use() if source is None else source
            given = {**({"options": dict(options)} if options else {}), **settings}
            with step.shield.lifted():
                report = compare(backbone, candidates, data, **given)
            name = variable or ("data" if source is None else "" if isinstance(source, str | Path) else "your_data")
            shown = {key: value for key, value in given.items() if key not in _UNSPOKEN}
            words = candidates if isinstance(candidates, str) else list(candidates)
            line = call("deltanb.compare", "backbone", repr(words), name or repr(str(source)), **shown)
            step.python.append(f"comparison = {line}" + (f"  # {name}: your own" if name not in ("", "data") else ""))
        self.undone = undone  # nothing was changed, so what was undone can still be done again
        return report
