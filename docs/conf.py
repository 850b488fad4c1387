"""Sphinx's settings. `make docs` builds with warnings as errors; what is generated is written by `_ext/deltanb_docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from deltanb import __version__  # noqa: E402 - needs the path

project = "deltanb"
author = "deltanb contributors"
copyright = author  # noqa: A001 - Sphinx's own name
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "deltanb_docs"]
exclude_patterns = ["_build", "_ext", "**/.ipynb_checkpoints"]
html_extra_path = ["_build/extra"]
(HERE / html_extra_path[0]).mkdir(parents=True, exist_ok=True)
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_js_files = ["live.js"]
html_theme = "furo"
html_title = "deltanb"
html_copy_source = False
html_show_sphinx = False
nitpicky = False

# The code in these pages runs in the tests; pages that are generated hold what it gave.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# A lesson's headings may skip a level, and its cells hold %magics, which no highlighter of Python knows.
suppress_warnings = ["myst.header", "misc.highlighting_failure"]

default_role = "literal"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
