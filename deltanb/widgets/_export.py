"""A widget as one self-contained HTML file: its script, its style and its state, and nothing from anywhere else."""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING

from deltanb.widgets._base import STATIC

if TYPE_CHECKING:
    from deltanb.widgets._base import DeltaWidget

__all__ = ["page"]

# How the bundler writes the end of a module. A module inside a page exports nothing, so it is handed over by name.
_EXPORT = re.compile(r"export\s*\{\s*([\w$]+) as default\s*\}\s*;?\s*$")
# What the page says of itself, the browser enforces: nothing is fetched from anywhere.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; worker-src blob:; img-src data: blob:"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="generator" content="deltanb">
<title>{title}</title>
<style>
{style}
body {{ margin: 0; padding: 16px; background: var(--dnb-page, #fff); color: var(--dnb-text, #1a1f2b); }}
</style>
</head>
<body class="dnb-page">
<main id="dnb-here"></main>
<noscript>This page previews patterns with JavaScript, which is switched off.</noscript>
<script type="application/json" id="dnb-state">{state}</script>
<script type="module">
{script}
{host}
</script>
</body>
</html>
"""


def page(widget: DeltaWidget, title: str = "") -> str:
    """The file's text.

    Args:
        widget: any of deltanb's.
        title: of the page; default: the widget's class and what it shows.
    """
    stem = widget.file_stem
    script = (STATIC / f"{stem}.js").read_text(encoding="utf-8")
    handed = _EXPORT.sub(r"globalThis.dnbWidget=\1;", script)
    exported = widget.export_state()
    state = json.dumps(exported, separators=(",", ":"), ensure_ascii=False)
    shown = exported.get("structure", {}).get("type", "")
    return _PAGE.format(
        policy=_POLICY,
        title=escape(title or " · ".join(filter(None, [shown, f"deltanb {stem}"]))),
        style=(STATIC / f"{stem}.css").read_text(encoding="utf-8"),
        # "<" can end a script or begin a comment in the middle of a text; the escape means the same to JSON and to JavaScript.
        state=state.replace("<", "\\u003c"),
        script=handed.replace("</script", "<\\/script"),
        host=(STATIC / "page.js").read_text(encoding="utf-8"),
    )
