"""Every public docstring is complete numpydoc, as it is read at run time: shared options included."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from numpydoc.validate import validate

import napari_cutout as nc

ROOT = Path(__file__).parents[1]
LEFT_OUT = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]["checks"]) - {"all"}
MODULES = ["io", "samples", "recipe", "demo"]


def public_names() -> list[str]:
    values = {name: getattr(nc, name) for name in nc.__all__}
    names = [f"{value.__module__}.{name}" for name, value in values.items() if callable(value)]
    for module in MODULES:
        namespace = import_module(f"napari_cutout.{module}")
        for name in namespace.__all__:
            value = getattr(namespace, name)
            if callable(value) and value.__module__ == namespace.__name__:
                names.append(f"napari_cutout.{module}.{name}")
    return sorted(set(names))


@pytest.mark.parametrize("name", public_names())
def test_docstring_is_complete(name: str) -> None:
    wrong = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in LEFT_OUT]
    assert not wrong
