"""Comparing deltas: the same backbone, rows and order for each; what each gives, and what it takes.

>>> from deltanb.comparison import asked_for
>>> [one.kind for one in asked_for("adapter lora bitfit")]
['adapter', 'lora', 'bitfit']
"""

from __future__ import annotations

from deltanb.comparison._candidates import BASELINES, Asked, Candidate, asked_for
from deltanb.comparison._compare import compare
from deltanb.comparison._progress import ComparisonProgress

__all__ = ["BASELINES", "Asked", "Candidate", "ComparisonProgress", "asked_for", "compare"]
