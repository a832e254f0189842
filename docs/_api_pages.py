"""The pages of every public name, in groups; Sphinx fills them from the docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import napari_cutout as nc


@dataclass(frozen=True)
class Group:
    """A page of public names.

    Parameters
    ----------
    title : str
        What stands above it.
    modules : tuple of str
        Where its names are defined, below the package; a name belongs to the page with the longest that fits.
    """

    title: str
    modules: tuple[str, ...]


GROUPS = {
    "grey-levels": Group(
        "Grey levels", ("methods.threshold", "methods.local_threshold", "methods.histogram", "methods._grey")
    ),
    "classes": Group("Classes", ("methods.cluster", "methods._clusters", "methods._mixtures")),
    "regions": Group("Regions and strokes", ("methods",)),
    "unet": Group("U-Net", ("unet",)),
    "processing": Group("Before and after a cut", ("processing",)),
    "measure": Group("Measure", ("processing.measure",)),
    "evaluate": Group("Evaluate", ("evaluation",)),
    "compare": Group("Compare", ("comparison",)),
    "files": Group("Images, files and samples", ("io", "_volume", "_selection", "samples")),
    "runs": Group("Recipes and runs", ("recipe", "running", "_monitor", "_citations", "processing.segment")),
    "extend": Group("Methods of your own", ("_method", "catalog")),
}
"""Every page, by the name of its file."""


def members() -> dict[str, list[str]]:
    """Return the public names of each page, in the order of the stub.

    Raises
    ------
    LookupError
        If a public name belongs to no page.
    """
    found: dict[str, list[str]] = {page: [] for page in GROUPS}
    for name in nc.__all__:
        found[page_of(name)].append(name)
    return {
        page: sorted(names, key=lambda name: (inspect.isclass(getattr(nc, name)), name))
        for page, names in found.items()
    }


def page_of(name: str) -> str:
    """Return the page of a public name."""
    value = getattr(nc, name)
    module = value.__name__ if isinstance(value, ModuleType) else value.__module__
    home = module.removeprefix("napari_cutout.")
    fits = {start: page for page, group in GROUPS.items() for start in group.modules if home.startswith(start)}
    if not fits:
        raise LookupError(f"{name} of {module} belongs to no page; add its module to GROUPS in docs/_api_pages.py")
    return fits[max(fits, key=len)]


def api_pages() -> Iterator[tuple[str, str]]:
    """Yield name and text of every page, the table of all names first."""
    found = members()
    yield "README.md", "\n".join(["# Python", "", *overview(found)])
    for page, names in found.items():
        yield f"{page}.md", "\n".join([f"# {GROUPS[page].title}", "", *directives(names)])


def overview(found: dict[str, list[str]]) -> Iterator[str]:
    """Yield the lines of the page that leads to all others."""
    yield from ("Everything public is flat: `import napari_cutout as nc`, then `nc.threshold(image)`.", "")
    for page, names in found.items():
        yield from (f"- [{GROUPS[page].title}]({page}.md): {', '.join(f'`{name}`' for name in names)}",)
    yield ""


def directives(names: list[str]) -> Iterator[str]:
    """Yield what Sphinx fills from the docstrings, each name below a title that the sidebar shows."""
    for name in names:
        yield from (f"## {name}", "", "```{eval-rst}", *directive(name, getattr(nc, name)), "```", "")


def directive(name: str, value: Any) -> Iterator[str]:
    """Yield the lines for one name."""
    if isinstance(value, ModuleType):
        yield from (f".. automodule:: napari_cutout.{name}", "   :members:")
    elif inspect.isclass(value):
        yield from (f".. autoclass:: napari_cutout.{name}", "   :members:")
    else:
        yield f".. autofunction:: napari_cutout.{name}"
