"""The page that shows every widget, as the manifest and the catalog have them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from napari_cutout import catalog
from napari_cutout.widgets.manifest import class_name, manifest

HERE = Path(__file__).parent
PICTURES = HERE / "pictures" / "widgets"
SOURCES = HERE.parent / "src" / "napari_cutout" / "widgets"
THEMES = ("dark", "light")


def names() -> list[str]:
    """Return the names of all widgets, in the order of the manifest."""
    return [widget["display_name"] for widget in manifest()["contributions"]["widgets"]]


def picture(name: str, theme: str) -> Path:
    """Return where the picture of a widget is, or would be."""
    return PICTURES / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}-{theme}.png"


def montage(theme: str) -> Path:
    """Return where the picture of all widgets beside each other is."""
    return PICTURES / f"all-{theme}.png"


def widget_page() -> str:
    """Return the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# All widgets"
    yield ""
    yield "<!-- Made by docs/make_pages.py; pictures by docs/make_widget_pictures.py. -->"
    yield ""
    yield (
        "Widgets look alike: the method and what it is good for, the layers, the settings that matter, what is done "
        "before and after the cut, *Run*, and what came out. What is needed less often is folded into lines that say "
        "what is in them, so that nothing has to be scrolled for in a window of 1280 x 720."
    )
    yield ""
    for theme in THEMES:
        yield f"![All widgets in the {theme} theme](pictures/widgets/{montage(theme).name})"
    for name in names():
        yield from ("", f"## {name}", "", _sentence(name), "")
        there = [(theme, path) for theme in THEMES if (path := picture(name, theme)).exists()]
        yield from (f"![{name}, {theme}](pictures/widgets/{path.name})" for theme, path in there)


def _sentence(name: str) -> str:
    """Say what a widget is for: of a row its methods, of another what its class says of itself."""
    if (row := catalog.rows().get(name)) is None:
        return _documented(class_name(name))
    methods = [f"[{m.name.replace('_', ' ')}](methods/{m.name}.md): {m.summary[0].lower()}{m.summary[1:]}" for m in row]
    return methods[0] if len(methods) == 1 else "\n".join(f"- {words}" for words in methods)


def _documented(name: str) -> str:
    """Return the first line of the docstring of a class, without importing what draws windows."""
    for source in sorted(SOURCES.glob("_*.py")):
        for node in ast.parse(source.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return (ast.get_docstring(node) or "").splitlines()[0]
    raise LookupError(f"there is no class {name!r} in {SOURCES}")
