"""How is the site built?  ``python -m sphinx -W --keep-going -n docs docs/_build``, without a network.

The API reference is written first, from the docstrings (`reference.py`). Formulas become MathML, which browsers draw by
themselves; the search is Sphinx's own, an index that the page loads as a script: both work from a folder.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import latex2mathml.converter
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import funcgrad  # noqa: E402  (the path comes first)
from docs import public, reference  # noqa: E402

project, author, version = "funcgrad", "the authors of funcgrad", funcgrad.__version__
release, language = version, "en"
project_copyright = ""
extensions = ["myst_parser"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
default_role = "literal"
nitpicky = True
suppress_warnings = ["misc.highlighting_failure"]  # listings with signs that no language has

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

html_theme = "pydata_sphinx_theme"
html_title = "funcgrad"
html_static_path = ["_static"]
html_css_files = ["funcgrad.css"]
html_show_sourcelink = html_copy_source = html_show_copyright = False
html_show_search_summary = False  # summaries are fetched, which browsers refuse from a folder
html_math_renderer = "mathml"
html_theme_options = {
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["sphinx-version"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "logo": {"text": "funcgrad"},
}
html_sidebars = {"index": []}
html_context = {"default_mode": "auto"}

# where other projects' names are described: ``:func:`numpy.sin``` leads there, and no inventory has to be fetched
OTHERS = {
    "numpy": "https://numpy.org/doc/stable/reference/generated/{}.html",
    "scipy": "https://docs.scipy.org/doc/scipy/reference/generated/{}.html",
    "jax": "https://docs.jax.dev/en/latest/_autosummary/{}.html",
}


def elsewhere(app: Sphinx, env: Any, node: Any, content: nodes.Element) -> nodes.Element | None:
    """A link to another project's page for a name of its own."""
    target = node.get("reftarget", "")
    address = OTHERS.get(target.split(".")[0])
    if node.get("refdomain") != "py" or address is None:
        return None
    link = nodes.reference("", "", internal=False, refuri=address.format(target))
    link += content
    return link


def every_name_is_there(app: Sphinx, env: Any) -> None:
    """A warning, which fails the build, for each public name without an entry."""
    known = env.get_domain("py").objects
    for module in public.MODULES:
        for name in public.names(module):
            if f"{module}.{name}" not in known:
                logging.getLogger(__name__).warning("%s.%s has no entry in the reference", module, name)


def formula(visitor: Any, node: Any, display: str) -> None:
    """A formula as MathML."""
    text = latex2mathml.converter.convert(node.astext().strip(), display=display)
    visitor.body.append(f'<div class="formula">{text}</div>' if display == "block" else text)
    raise nodes.SkipNode


def sized_tables(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Tables scroll by themselves where the screen is narrow."""
    body = context.get("body")
    if body:
        body = re.sub(r'(<table class="(?:docutils|table)[^>]*>)', r'<div class="wide" tabindex="0">\1', body)
        if 'class="wide"' in body:
            body = body.replace("</table>", "</table></div>")
        context["body"] = body


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx asks an extension for."""
    reference.write(HERE / "api")
    app.connect("missing-reference", elsewhere)
    app.connect("env-updated", every_name_is_there)
    app.add_html_math_renderer(
        "mathml",
        (lambda visitor, node: formula(visitor, node, "inline"), None),
        (lambda visitor, node: formula(visitor, node, "block"), None),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
