"""The house: what is public, what it costs to import, and which way imports go."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import napari_cutout as nc

SOURCE = Path(nc.__file__).parent
LAYERS = {
    "_arithmetic": 0, "_compiled": 0, "_monitor": 0, "_array": 0, "_writing": 0, "_own_folder": 0, "kernels": 0,
    "_statistics": 0, "_shelf": 0, "_place": 0, "_held": 0, "_memory": 0, "_references": 0, "_plan": 1, "_checks": 1,
    "_method": 1, "_volume": 1, "_coins": 1, "_membranes": 1, "_sources": 1, "processing": 2, "_tiff": 2, "stores": 2,
    "methods": 3, "io": 3, "catalog": 4, "evaluation": 4, "blockwise": 4, "samples": 4, "_device": 4, "_selection": 4,
    "_stored": 4, "_wanted": 5, "recipe": 5, "_citations": 6, "_chain": 6, "_recipe_edits": 6, "_reading": 6,
    "_demo_tiles": 6, "_pairs": 6, "_kept_code": 6, "_scoring": 6, "_pictures": 6, "unet": 6, "doctor": 6, "running": 6,
    "_class_images": 7, "comparison": 7, "reporting": 7, "demo": 7, "_code": 8, "cli": 8, "widgets": 8, "__main__": 9,
    "__init__": 9, "_compiling": 0,
}  # fmt: skip
"""Modules may import from their own layer or a lower one. Imports inside functions count too."""

UPWARD = {("_plan", "blockwise"), ("processing", "blockwise"), ("methods", "blockwise")}
"""Arrays decide at run time who runs a plan, so these three look up, inside a function."""


def part_of(module: str) -> str:
    return module.removeprefix("napari_cutout").lstrip(".").partition(".")[0] or "__init__"


def imports_of(path: Path) -> set[str]:
    package = ["napari_cutout", *path.relative_to(SOURCE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module.startswith("napari_cutout"):
                names = [f"{module}.{a.name}" for a in node.names] if module == "napari_cutout" else [module]
                found |= {part_of(name) for name in names}
    return found - {"__init__", "__version__"}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    here = part_of(".".join(["napari_cutout", *path.relative_to(SOURCE).with_suffix("").parts]))
    for other in imports_of(path):
        assert LAYERS[other] <= LAYERS[here] or (here, other) in UPWARD, f"{here} may not import {other}"


def test_public_names_load_and_are_sorted() -> None:
    for name in nc.__all__:
        assert getattr(nc, name) is not None
    assert set(nc.__all__) <= set(dir(nc))


def test_every_public_function_of_the_library_is_exported() -> None:
    for module in (
        "methods.threshold",
        "methods.local_threshold",
        "methods.histogram",
        "methods.cluster",
        "processing.features",
        "processing.filters",
        "processing.distance",
    ):
        namespace = import_module(f"napari_cutout.{module}")
        assert set(namespace.__all__) <= set(nc.__all__)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="No napari_cutout attribute watersheds"):
        _ = nc.watersheds


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, napari_cutout; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "cupy", "napari", "numba", "scipy", "skimage", "dask", "zarr", "numpy", "magicgui", "qtpy"}
    assert not heavy & set(loaded)


def test_calling_a_method_does_not_load_the_gui_or_torch() -> None:
    code = (
        "import sys, numpy, napari_cutout as nc; nc.threshold(numpy.eye(9)); "
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "napari", "magicgui", "qtpy", "dask", "zarr"} & set(loaded)


def test_manifest_at_the_top_is_the_one_in_the_package() -> None:
    top = SOURCE.parents[1] / "napari.yaml"
    if not top.exists():
        pytest.skip("not a checkout")
    assert top.read_bytes() == (SOURCE / "napari.yaml").read_bytes()
