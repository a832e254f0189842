"""What an installed wheel must do, with nothing of the repository near: run by a fresh environment's own Python.

``python smoke.py`` needs no pytest; each check is a function, and the first that fails ends the run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib import metadata, resources
from pathlib import Path


def it_comes_from_the_environment() -> None:
    """The package is the installed one, and its version is that of its metadata."""
    import napari_cutout as nc

    assert Path(sys.prefix) in Path(nc.__file__).parents, f"{nc.__file__} is not in {sys.prefix}"
    assert nc.__version__ == metadata.version("napari-cutout")


def its_data_is_there() -> None:
    """Kernels, templates, types and the manifest came along; tests and docs did not."""
    files = resources.files("napari_cutout")
    for name in ("napari.yaml", "py.typed", "__init__.pyi", "kernels/basins.cu", "kernels/portable.cuh"):
        assert files.joinpath(name).is_file(), f"{name} is not in the wheel"
    assert list(files.joinpath("reporting/templates").iterdir())
    listed = {str(path).partition("/")[0] for path in metadata.files("napari-cutout") or ()}
    assert not listed & {"tests", "docs", "benchmarks"}, listed


def no_binding_of_qt_is_required() -> None:
    """A plugin takes the Qt that napari has; requiring one would break the windows of others."""
    base = [line for line in metadata.requires("napari-cutout") or () if "extra ==" not in line]
    bindings = ("pyqt5", "pyqt6", "pyside2", "pyside6", "napari")
    assert not [line for line in base if line.lower().startswith(bindings)], base


def every_public_name_loads() -> None:
    """The list of what is public is in the wheel, and each name leads somewhere, torch or not."""
    import napari_cutout as nc

    assert len(nc.__all__) > 40
    for name in nc.__all__:
        assert getattr(nc, name) is not None


def commands_cut_and_score() -> None:
    """The command line cuts a sample, scores it and lists the methods."""
    import napari_cutout as nc

    sample = nc.samples.nuclei_2d()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nc.io.write(folder / "nuclei.tif", nc.io.Volume(sample.image.data, "yx"))
        nc.io.write(folder / "truth.tif", nc.io.Volume((sample.truth.data > 0).astype("uint8"), "yx"))
        run("threshold", "nuclei.tif", "labels.tif", "--sigma", "1", folder=folder)
        scores = run("evaluate", "labels.tif", "truth.tif", folder=folder)
    assert "Dice" in scores, scores
    assert "threshold" in run("methods")
    assert nc.__version__ in run("--version")
    run("doctor")


def a_report_is_written() -> None:
    """The templates that travelled make a page."""
    import napari_cutout as nc

    sample = nc.samples.nuclei_2d(shape=(64, 64))
    board = nc.compare(sample.image.data, (sample.truth.data > 0).astype("uint8"), methods=["threshold"])
    with tempfile.TemporaryDirectory() as name:
        board.report(Path(name) / "report")
        assert json.loads((Path(name) / "report" / "report.json").read_text(encoding="utf-8"))
        assert (Path(name) / "report" / "index.html").exists() or list(Path(name).rglob("*.html"))


def run(*arguments: str, folder: Path | None = None) -> str:
    """Run the installed command, and return what it prints."""
    command = Path(sys.executable).with_name("napari-cutout" + (".exe" if sys.platform == "win32" else ""))
    result = subprocess.run([command, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"napari-cutout {' '.join(arguments)}: {result.stdout}\n{result.stderr}"
    return result.stdout


CHECKS = (
    it_comes_from_the_environment,
    its_data_is_there,
    no_binding_of_qt_is_required,
    every_public_name_loads,
    commands_cut_and_score,
    a_report_is_written,
)

if __name__ == "__main__":
    for check in CHECKS:
        check()
        print("ok", check.__name__.replace("_", " "), flush=True)
