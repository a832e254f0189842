"""The site: ``make docs`` builds it from the same Markdown that is read in the repository.

Its source is the whole repository, so that a link from a guide to a page of the benchmarks leads there in both.
A page that only leads to others, named index or README, is a list or a table of links: each of them becomes an entry of
the contents, below the title that it stands under, so that nothing is listed twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath

from sphinx.application import Sphinx

import napari_cutout

project = "napari-cutout"
author = "the napari-cutout developers"
copyright = f"{datetime.now(UTC):%Y}, {author}"
version = release = napari_cutout.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
source_suffix = {".md": "markdown"}
root_doc = "docs/index"
include_patterns = ["C*.md", "SECURITY.md", "changes/README.md", "docs/**", "benchmarks/**"]
exclude_patterns = [".*", "**/.*", "build"]

myst_heading_anchors = 4

autodoc_typehints = "none"  # docstrings say types in words
autodoc_member_order = "bysource"
autosummary_generate = False  # numpydoc brings it
numpydoc_show_class_members = False
default_role = "py:obj"
nitpick_ignore_regex = [("py:obj", ".*")]  # backticks name parameters as well as functions

html_theme = "pydata_sphinx_theme"
html_title = f"napari-cutout {version}"
html_static_path = ["site/static"]
templates_path = ["site/templates"]
html_additional_pages = {"index": "to-the-front-page.html"}
html_css_files = ["site.css"]
html_copy_source = False
html_sidebars = {"**": ["contents.html"]}
toc_object_entries = False
html_theme_options = {
    "logo": {"text": project, "link": "index"},
    "navbar_center": [],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}

LEADS = {"index", "README"}
"""Pages that lead to others."""

ENTRY = re.compile(r"^(?:- |\| )\[(.+?)\]\(([^):#]+\.md)\)", re.MULTILINE)
"""An item of a list, or a row of a table, that begins with a link to a page."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Let pages that lead to others say what the contents are; pages are read and written side by side."""
    app.connect("source-read", add_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the contents to the text of a page that leads to others."""
    if PurePosixPath(docname).name in LEADS:
        source[0] = "\n".join([source[0], *contents(source[0])])


def contents(text: str) -> Iterator[str]:
    """Yield a hidden table of contents for each part of a page."""
    for part in re.split(r"^## ", f"\n{text}", flags=re.MULTILINE):
        title, _, rest = part.partition("\n")
        if entries := ENTRY.findall(rest):
            caption = [f":caption: {title}"] if title else []
            pages = (f"{words.strip('`')} <{page}>" for words, page in entries)
            yield from ("", "```{toctree}", ":hidden:", *caption, "", *pages, "```")
