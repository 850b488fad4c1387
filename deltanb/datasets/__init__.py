"""Real text to train on: three small sets that travel with the package, and whatever the user has.

>>> from deltanb import datasets
>>> datasets.names()
['movie_reviews', 'product_reviews', 'news_editorials']
"""

from __future__ import annotations

from deltanb.datasets._anything import as_text_data
from deltanb.datasets._shipped import load, names
from deltanb.datasets._text_data import TextData

__all__ = ["TextData", "as_text_data", "load", "names"]
