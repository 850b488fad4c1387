"""The live preview: which modules a pattern hits, while it is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltanb.widgets._patterns import PatternWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from deltanb.backbones import Backbone
    from deltanb.workbench import Workbench

__all__ = ["Preview", "preview"]


class Preview(PatternWidget):
    """The pattern boxes and the modules that they hit, small enough for a slide.

    Args:
        model: a module, a backbone, or a workbench, which the preview then follows.
        **traits: first values of the attributes below.

    Attributes:
        pattern: what stands in the *Pattern* box; several patterns are separated by blanks.
        exclude: what stands in the *Exclude* box.
        matched: the modules that these hit, by name; empty while they are not valid.
        selected: the modules that were clicked.

    Example:
        >>> from torch import nn
        >>> view = Preview(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), pattern="$", exclude="1")
        >>> view.matched
        ['0']
    """

    file_stem = "preview"


def preview(
    model: nn.Module | Backbone | Workbench,
    pattern: str | Sequence[str] = "",
    exclude: str | Sequence[str] = "",
    *,
    projector: bool = False,
) -> Preview:
    """A live preview of patterns: type, and see at once which modules are hit.

    Args:
        model: a module, a backbone, or a workbench, which the preview then follows.
        pattern: to begin with.
        exclude: what is left out.
        projector: larger letters.

    Example:
        >>> from torch import nn
        >>> preview(nn.Sequential(nn.Linear(3, 4)), ["0"]).matched
        ['0']
    """
    return Preview(model, pattern=pattern, exclude=exclude, projector=projector)
