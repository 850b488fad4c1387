"""Deltas that fit a budget, as a table: what each would train, store, take in memory and cost a step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltanb.reports._base import Report
from deltanb.reports._html import MONO, note, table, tag
from deltanb.reports._text import columns, megabytes, number, percent, plural

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PlannedRow", "PlansReport"]

_HEADER = ["", "layers", "trainable", "of all", "file", "memory", "a step", "to attach it"]
_RIGHT = [False, False, True, True, True, True, True, False]


@dataclass(frozen=True)
class PlannedRow:
    """One delta that could be attached.

    Attributes:
        delta_type: which type.
        options: those that decide its size.
        layers: which layers it would sit in, in words; "" where layers do not matter.
        exclude: patterns that keep it there.
        hosts: how many modules it would sit on.
        parameters: how many it would train.
        share: of the backbone's parameters.
        file_bytes: size of its file.
        memory: estimated bytes of training beside the process: ``weights``, ``gradients``, …, ``total``.
        step_cost: estimated arithmetic of a step; 1 is a step that trains everything.
        fits: whether it stays within the budget.
        model_class: the class that makes it.

    Example:
        >>> row = PlannedRow("lora", {"lora_r": 2}, "last 1 of 4", ["layer.0-2"], 2, 64, 0.01, 900, {"total": 5}, 0.5, True, "LoraModel")
        >>> row.line
        '%delta attach lora lora_r=2 --exclude layer.0-2'
        >>> row.code
        "deltanb.LoraModel(model, lora_r=2, exclude_modules=['layer.0-2'])"
    """

    delta_type: str
    options: dict[str, Any]
    layers: str
    exclude: list[str]
    hosts: int
    parameters: int
    share: float
    file_bytes: int
    memory: dict[str, int]
    step_cost: float
    fits: bool
    model_class: str

    @property
    def name(self) -> str:
        """Type and options."""
        return " ".join([self.delta_type, *(f"{key}={value}" for key, value in self.options.items())])

    @property
    def line(self) -> str:
        """The line that attaches it."""
        return f"%delta attach {self.name}" + (f" --exclude {' '.join(self.exclude)}" if self.exclude else "")

    @property
    def code(self) -> str:
        """The Python that does the same."""
        given = {**self.options, **({"exclude_modules": self.exclude} if self.exclude else {})}
        return f"deltanb.{self.model_class}({', '.join(['model', *(f'{key}={value!r}' for key, value in given.items())])})"

    def needs(self, process: int) -> str:
        """What it takes, in words.

        Args:
            process: bytes of the process itself.
        """
        memory = megabytes(self.memory["total"] + process, 0)
        return f"{plural(self.parameters, 'parameter')}, a file of {megabytes(self.file_bytes, 2)}, {memory} of memory"


@dataclass(frozen=True, repr=False)
class PlansReport(Report):
    """The deltas, those that fit first, and among them those in all layers and the largest.

    Attributes:
        rows: one a delta type.
        budget: what was asked for, in words; "" for nothing.
        batch: texts a step.
        length: tokens a text.
        process: bytes of the process itself, which the column ``memory`` counts too.
        left_out: types that have no place in the model, with the reason.
        code: the Python that makes this report.

    Example:
        >>> row = PlannedRow("ia3", {}, "all 4", [], 12, 96, 0.002, 2048, {"total": 5_000_000}, 0.7, True, "IA3Model")
        >>> print(PlansReport([row], "0.5% of the parameters", 8, 128, 450_000_000, {}, "").text().splitlines()[0])
        1 of 1 delta type fits 0.5% of the parameters.
    """

    rows: list[PlannedRow]
    budget: str
    batch: int
    length: int
    process: int
    left_out: dict[str, str] = field(default_factory=dict)
    code: str = ""

    @property
    def df(self) -> pd.DataFrame:
        """A row a delta.

        Its columns: ``type``, ``options``, ``layers``, ``hosts``, ``parameters``, ``share``, ``file_bytes``, ``memory_bytes`` (the process
        among them), ``step_cost``, ``fits``, ``line``, ``code``.
        """
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "type": row.delta_type,
                    "options": ", ".join(f"{key}={value}" for key, value in row.options.items()),
                    **{key: getattr(row, key) for key in ("layers", "hosts", "parameters", "share", "file_bytes")},
                    "memory_bytes": row.memory["total"] + self.process,
                    **{key: getattr(row, key) for key in ("step_cost", "fits", "line", "code")},
                }
                for row in self.rows
            ]
        )

    @property
    def verdict(self) -> str:
        """How many fit."""
        if not self.budget:
            return "No budget was given: each delta type at its usual size."
        good = sum(row.fits for row in self.rows)
        return f"{good} of {plural(len(self.rows), 'delta type')} {'fits' if good == 1 else 'fit'} {self.budget}."

    def text(self) -> str:
        """Verdict, table, notes."""
        return "\n".join([self.verdict, *columns([_HEADER, *self._cells()], _RIGHT), *self._notes()])

    def html(self) -> str:
        """The same, with the lines to copy."""
        cells = [[*cells[:-1], tag("code", cells[-1], style=MONO)] for cells in self._cells()]
        body = table(_HEADER, cells, _RIGHT)
        head = tag("div", self.verdict, style="font-weight:bold;margin:4px 0px")
        code = [tag("div", tag("code", self.code, style=MONO), style="margin:4px 0px;font-size:13px")] if self.code else []
        return tag("div", head, body, *map(note, self._notes()), *code)

    def _cells(self) -> list[list[str]]:
        return [
            [
                row.name,
                row.layers,
                number(row.parameters),
                percent(row.share, 3),
                megabytes(row.file_bytes, 2),
                megabytes(row.memory["total"] + self.process, 0),
                "" if math.isnan(row.step_cost) else f"{row.step_cost:.2f}",
                row.line if row.fits else "does not fit: this is its smallest",
            ]
            for row in self.rows
        ]

    def _notes(self) -> list[str]:
        shape = f"{self.batch} texts of {self.length} tokens"
        process = f"{megabytes(self.process, 0)} of the process itself among it"
        return [
            f"memory: an estimate for {shape} a step, {process}; a step: an estimate of its arithmetic, 1 is training everything.",
            "Each is counted by itself, with all else frozen (%delta freeze --exclude deltas); a classifier that trains too comes on top.",
            *(f"{kind} is left out: {why}" for kind, why in self.left_out.items()),
        ]
