"""The method of the page that tells how one is added, put into the catalog as its module would be."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import napari_cutout as nc
from napari_cutout import catalog

PAGE = Path(__file__).parents[1] / "docs" / "add-a-method.md"


def blocks() -> list[str]:
    """Return the pieces of Python of the page: the method, and its test."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@contextmanager
def added() -> Iterator[None]:
    """Add the method of the page for a while: as a module of methods, and to what is public."""
    module = types.ModuleType("napari_cutout.methods.brightest")
    module.__package__ = "napari_cutout.methods"
    exec(compile(blocks()[0], str(PAGE), "exec"), module.__dict__)
    sys.modules[module.__name__] = module
    try:
        with (
            mock.patch.object(catalog, "MODULES", (*catalog.MODULES, "methods.brightest")),
            mock.patch.object(nc, "brightest", module.brightest, create=True),
        ):
            catalog.methods.cache_clear()
            yield
    finally:
        del sys.modules[module.__name__]
        catalog.methods.cache_clear()
