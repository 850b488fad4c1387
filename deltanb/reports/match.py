"""What a pattern hits, and what a delta there would cost."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from deltanb.folding import FoldedNode, fold, join_labels
from deltanb.graph import full_names
from deltanb.reports._base import Report
from deltanb.reports._html import MONO, Html, address, badge, ink, join, note, table, tag
from deltanb.reports._text import columns, megabytes, number, percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deltanb.addressing import MatchResult
    from deltanb.engine import Plan
    from deltanb.structure import ModuleTree

__all__ = ["MatchReport"]


@dataclass(frozen=True, slots=True)
class _Hit:
    """Matched modules that are alike, as one line."""

    address: str
    type: str
    shape: str
    count: int


class MatchReport(Report):
    """The modules that patterns hit, folded.

    Args:
        result: from `deltanb.match` or `deltanb.addressing.match_names`.
        tree: the model that was matched against.
        title: what was asked; the patterns by default.
        plans: what deltas there would cost, from `deltanb.plan`.

    Example:
        >>> from torch import nn
        >>> from deltanb.addressing import match_names
        >>> from deltanb.structure import module_names, snapshot
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> MatchReport(match_names(module_names(model), "$"), snapshot(model))
        2 of 2 modules match $
          0-1  Linear  [2, 2]  ×2
    """

    def __init__(self, result: MatchResult, tree: ModuleTree, title: str = "", *, plans: Sequence[Plan] = ()) -> None:
        self.result = result
        self.tree = tree
        self.title = title or ", ".join(result.per_pattern)
        self.plans = list(plans)

    @property
    def names(self) -> list[str]:
        """The matched modules in model order."""
        return self.result.names

    @property
    def per_pattern(self) -> dict[str, int]:
        """For each pattern how many modules it hits before ``exclude``."""
        return self.result.per_pattern

    @property
    def excluded(self) -> list[str]:
        """Modules that ``exclude`` took out."""
        return self.result.excluded

    @property
    def hints(self) -> list[str]:
        """What a careful colleague would point out."""
        return self.result.hints

    def __len__(self) -> int:
        return len(self.result)

    def __iter__(self) -> Iterator[str]:
        return iter(self.result)

    def __contains__(self, name: object) -> bool:
        return name in self.result

    def _headline(self) -> str:
        return f"{number(len(self))} of {plural(self.result.total, 'module')} match"

    def _folded(self, names: Iterable[str]) -> list[_Hit]:
        wanted = set(names)
        rows = fold(self.tree, empty=True)
        home = full_names(rows)
        hits: list[_Hit] = []
        for row in rows.walk():
            mine = [name for name in home[row.address] if name in wanted]
            hits += [_Hit(address, row.first.type, _shape(row), count) for address, count in _addresses(mine)]
        return hits

    def text(self) -> str:
        """Headline, the folded addresses, what was excluded, cost and hints."""
        cells = [[f"  {hit.address}", hit.type, hit.shape, f"×{hit.count}"] for hit in self._folded(self.names)]
        lines = [f"{self._headline()} {self.title}", *columns(cells, [False, False, False, False])]
        if len(self.per_pattern) > 1:
            lines.append("  ".join(f"{pattern}: {count}" for pattern, count in self.per_pattern.items()))
        lines += [f"excluded: {hit.address} ×{hit.count}" for hit in self._folded(self.excluded)]
        lines += columns([[f"  {cell}" for cell in _said(entry)] for entry in self.plans], [False, True, True, True])
        return "\n".join([*lines, *[f"Hint: {hint}" for hint in self.hints]])

    def html(self) -> str:
        """The same as a table, with the patterns and their hits as badges."""
        chips = [badge(f"{pattern} ×{count}", "matched") for pattern, count in self.per_pattern.items()]
        head = [tag("b", self._headline(), style="font-size:16px"), *chips]
        parts = [tag("div", join(head, "&nbsp; "), style="margin:4px 0px;line-height:1.8")]
        if self.title != ", ".join(self.per_pattern):
            parts.insert(0, tag("div", self.title, style="font-size:16px;font-weight:bold"))
        parts.append(_table(self._folded(self.names)))
        if self.plans:
            parts.append(
                table(
                    ["a delta there", "parameters", "of the backbone", "as a file"],
                    [_said(entry) for entry in self.plans],
                    [False, True, True, True],
                )
            )
        if self.excluded:
            parts.append(note(f"Excluded: {', '.join(f'{hit.address} ×{hit.count}' for hit in self._folded(self.excluded))}"))
        parts += [tag("div", badge("hint", "partly"), f" {hint}", style="margin:4px 0px") for hint in self.hints]
        return tag("div", *parts)


def _said(entry: Plan) -> list[str]:
    """A delta's type with default options, and its cost there."""
    return [entry.delta_type, f"+{number(entry.parameters)}", percent(entry.share), megabytes(entry.bytes)]


def _table(hits: Sequence[_Hit]) -> Html:
    body = [
        [
            address(hit.address),
            tag("span", hit.type, style=ink("type")),
            tag("span", hit.shape, style=f"{MONO};opacity:0.75"),
            tag("b", f"×{hit.count}", style=ink("folded")) if hit.count > 1 else join(["1"]),
        ]
        for hit in hits
    ]
    return table(["module", "type", "shape", "modules"], body, [False, False, False, True])


def _shape(row: FoldedNode) -> str:
    return str(list(row.first.parameters[0].shape)) if row.first.parameters else ""


def _addresses(names: Sequence[str]) -> list[tuple[str, int]]:
    """Names of alike modules, which differ in some segments only, as few addresses that stand for exactly these names."""
    if not names:
        return []
    split = [name.split(".") for name in names]
    choices = [list(dict.fromkeys(segments)) for segments in zip(*split, strict=True)]
    size = 1
    for choice in choices:
        size *= len(choice)
    if size == len(names):
        return [(".".join(join_labels(choice) for choice in choices), size)]
    at = next(place for place, choice in enumerate(choices) if len(choice) > 1)
    found: list[tuple[str, int]] = []
    for _, group in groupby(sorted(names, key=lambda name: choices[at].index(name.split(".")[at])), key=lambda name: name.split(".")[at]):
        found += _addresses(list(group))
    return found
