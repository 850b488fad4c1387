"""Plain results that draw themselves: as text in a terminal, as safe HTML in a notebook, saved or not, trusted or not."""

from deltanb.reports._base import Report, in_notebook, show
from deltanb.reports.anatomy import AnatomyReport, AnatomyRow, Comparison
from deltanb.reports.comparison import ComparisonReport, Contender
from deltanb.reports.log import show_log
from deltanb.reports.match import MatchReport
from deltanb.reports.outcome import CodeReport, Outcome, Page
from deltanb.reports.parameters import ParameterTable
from deltanb.reports.plans import PlannedRow, PlansReport
from deltanb.reports.tree import StructureReport

__all__ = [
    "AnatomyReport",
    "AnatomyRow",
    "CodeReport",
    "Comparison",
    "ComparisonReport",
    "Contender",
    "MatchReport",
    "Outcome",
    "Page",
    "ParameterTable",
    "PlannedRow",
    "PlansReport",
    "Report",
    "StructureReport",
    "in_notebook",
    "show",
    "show_log",
]
