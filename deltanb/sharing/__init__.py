"""Sharing deltas over the model hub: push with a card, pull, load by ``user/name``.

Only JSON and safetensors are ever read from there. Tokens are sent to the hub and kept nowhere; none is ever shown.
"""

from deltanb.sharing._fetch import MOST_BYTES
from deltanb.sharing._pull import load, located, pull
from deltanb.sharing._push import About, Pushed, push

__all__ = ["MOST_BYTES", "About", "Pushed", "load", "located", "pull", "push"]
