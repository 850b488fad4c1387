"""Before anything is attached: which deltas fit a budget, and what they would cost."""

from deltanb.planning._limits import Limits, limits_of, read_bytes, read_count
from deltanb.planning._plans import plans

__all__ = ["Limits", "limits_of", "plans", "read_bytes", "read_count"]
