"""The IPython side: ``%delta``, its parsing, its completion, its help. Importing it imports neither torch nor transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deltanb.magics._complete import matcher_for
from deltanb.magics._delta import DeltaMagics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["DeltaMagics", "register", "unregister"]

_MATCHER = "_deltanb_matcher"


def register(shell: InteractiveShell) -> None:
    """Add ``%delta`` and its completion to a shell."""
    unregister(shell)
    magics = DeltaMagics(shell)
    shell.register_magics(magics)
    completer: Any = getattr(shell, "Completer", None)
    if completer is not None:
        matcher = matcher_for(magics)
        setattr(shell, _MATCHER, matcher)
        completer.custom_matchers.append(matcher)


def unregister(shell: InteractiveShell) -> None:
    """Take away everything that `register` added."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("delta", None)
    magics = shell.magics_manager.registry.pop("DeltaMagics", None)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
    matcher = shell.__dict__.pop(_MATCHER, None)
    completer: Any = getattr(shell, "Completer", None)
    if matcher is not None and completer is not None and matcher in completer.custom_matchers:
        completer.custom_matchers.remove(matcher)
