"""Pages that are alive without a kernel, as the widgets' ``save_html`` writes them, and the directive that shows one."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from deltanb import Explorer, load_backbone, preview

if TYPE_CHECKING:
    from deltanb_docs.writing import Folder

__all__ = ["directive", "write"]

# What the grammar's page lets one try: name of the page, patterns to begin with, what is left out.
EXAMPLES = (
    ("suffix", "fc2", ""),
    ("segments", "decoder.layers.0-1.self_attn.q_proj,v_proj", ""),
    ("wildcards", "layers.$.fc1 encoder.layers.*.fc2", ""),
    ("regex", r"[r]encoder\.layers\.\d\.fc[12]", ""),
    ("roles", "attn@.q@ ff@.w2@", ""),
    ("exclude", "out_proj", "decoder"),
)


def write(folder: Folder) -> None:
    """The pages that are no model's: the landing page's Explorer and the grammar's examples."""
    Explorer(load_backbone("bart-base", skeleton=True), pattern="fc2", view="both", delta_type="adapter").save_html(
        folder.path / "landing.html"
    )
    small = load_backbone("bart-tiny", skeleton=True)
    for name, pattern, exclude in EXAMPLES:
        preview(small, pattern, exclude).save_html(folder.path / f"grammar-{name}.html")


def directive() -> Any:
    """``{live} NAME`` with a title as its content and ``:height:`` in pixels; the page is ``live/NAME.html``."""
    from docutils import nodes
    from docutils.parsers.rst import directives
    from sphinx.util.docutils import SphinxDirective

    class Live(SphinxDirective):
        required_arguments = 1
        has_content = True
        option_spec = {"height": directives.nonnegative_int}  # noqa: RUF012 - docutils' way

        def run(self) -> list[nodes.Node]:
            depth = self.env.docname.count("/")
            address = f"{'../' * depth}live/{self.arguments[0]}.html"
            return [nodes.raw("", frame(address, " ".join(self.content), self.options.get("height", 720)), format="html")]

    return Live


def frame(address: str, title: str, height: int) -> str:
    """The HTML that embeds a page."""
    title = escape(title)
    inside = f'<iframe src="{address}" title="{title}" height="{height}" loading="lazy"></iframe>'
    words = f'{title}. It runs in this page, without Python. <a href="{address}">Open it by itself</a>'
    return f'<figure class="live">{inside}<figcaption>{words}</figcaption></figure>'
