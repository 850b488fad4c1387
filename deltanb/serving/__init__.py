"""Serving many deltas from one backbone: a pool whose batches mix them, and a small web app on it.

>>> from deltanb.serving import DeltaPool
>>> DeltaPool.__name__
'DeltaPool'
"""

from deltanb.serving._pool import DeltaPool

__all__ = ["DeltaPool"]
