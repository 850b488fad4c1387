"""The colours of the structure on a light card, each with a contrast of at least 4.5 to the card and to its own tint.

No meaning hangs on them alone: frozen is dashed, a delta has a double border, a match has a word.
"""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["BORDER", "CARD", "INK", "TINT"]

CARD = "#ffffff"
INK = MappingProxyType(
    {
        "": "#5a6373",
        "text": "#1a1f2b",
        "muted": "#5a6373",
        "type": "#0a6b35",
        "folded": "#b42318",
        "trainable": "#1d4ed8",
        "frozen": "#5a6373",
        "partly": "#1a1f2b",
        "delta": "#6d28d9",
        "matched": "#8f4a00",
    }
)
TINT = MappingProxyType(
    {
        "": "#ffffff",
        "trainable": "#eaf1fe",
        "frozen": "#f3f4f6",
        "partly": "#f7f9fd",
        "delta": "#f3ecfe",
        "matched": "#fff0d2",
    }
)
BORDER = MappingProxyType(
    {
        "": "#aab2bf",
        "trainable": "#2f63e0",
        "frozen": "#868f9e",
        "partly": "#5a6373",
        "delta": "#6d28d9",
        "matched": "#d97706",
    }
)
