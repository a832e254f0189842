"""What is published: the wheel and the sdist, the recipe of conda, the changelog, and where the project lives."""

from __future__ import annotations

import ast
import email
import importlib.util
import re
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "napari_cutout"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

OF_NAPARI = {
    "napari",
    "npe2",
    "pint",
    "app_model",
    "magicgui",
    "pydantic",
    "psygnal",
    "qtpy",
    "superqt",
    "vispy",
    "yaml",
    "IPython",
}
"""What a plugin need not bring, since the napari that it is installed into has it."""

MODULES = {"docstring-parser": "docstring_parser", "pillow": "PIL", "scikit-image": "skimage"}
"""Modules that are called otherwise than their distribution, beyond a dash that is an underscore."""

CONDA = {
    "dask": "dask-core",
    "docstring-parser": "docstring_parser",
    "matplotlib": "matplotlib-base",
    "torch": "pytorch",
    "typing-extensions": "typing_extensions",
    **{f"cupy-cuda{n}x": "cupy" for n in (12, 13)},
    **{f"cucim-cu{n}": "cucim" for n in (12, 13)},
}
"""What packages are called on conda-forge where it is something else."""

EXTRAS = ("cuda12", "cuda13", "unet", "zoo", "cluster", "s3")
"""Extras of users whose bounds the recipe of conda repeats; napari is beside them."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel of the tree as it lies."""
    from hatchling.builders.wheel import WheelBuilder

    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def notes() -> ModuleType:
    """The script that cuts the part of a release out of the changelog."""
    spec = importlib.util.spec_from_file_location("release_notes", ROOT / ".ci" / "release_notes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    package = {name for name in wheel.namelist() if ".dist-info/" not in name}
    there = (path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert package == {path.relative_to(SOURCE.parent).as_posix() for path in there}
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())


def test_indexes_and_the_hub_find_what_they_show(wheel: zipfile.ZipFile) -> None:
    said = metadata(wheel)
    assert "Framework :: napari" in (said.get_all("Classifier") or [])
    urls = dict(entry.split(", ") for entry in said.get_all("Project-URL") or [])
    assert {"Homepage", "Documentation", "Source Code", "Bug Tracker", "User Support", "Changelog"} == set(urls)
    readme = str(said.get_payload(decode=True), "utf-8")
    assert readme.startswith("# napari-cutout\n")
    links = re.findall(r"\]\(([^)\s]+)\)", readme)
    assert len(links) > 30
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert f"/raw.githubusercontent.com/napari-cutout/napari-cutout/v{said['Version']}/docs/pictures/" in readme


def test_the_sdist_holds_the_repository_and_nothing_beside_it(tmp_path: Path) -> None:
    from hatchling.builders.sdist import SdistBuilder

    (path,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.partition("/")[0] for name in names}
    hidden = {".ci", ".github", ".gitignore"}
    assert {top for top in tops if top.startswith(".")} == hidden
    assert tops - hidden == {
        "CHANGELOG.md", "CITATION.cff", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "PKG-INFO",
        "README.md", "SECURITY.md", "benchmarks", "changes", "conda.recipe", "constraints.txt", "docs", "napari.yaml",
        "pyproject.toml", "src", "tests",
    }  # fmt: skip
    assert {"tests/conftest.py", "tests/wheel/smoke.py", "napari.yaml", ".ci/run"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".so"))]


def imported(path: Path) -> set[str]:
    """Return what a module needs to be imported, and what its functions import without asking whether it is there."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    plain |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in plain} - set(sys.stdlib_module_names) - {"__future__"}


def test_an_installation_without_extras_has_what_the_widgets_import() -> None:
    base = {Requirement(line).name for line in PROJECT["dependencies"]}
    there = {MODULES.get(name, name.replace("-", "_")) for name in base} | OF_NAPARI | {"napari_cutout"}
    optional = {"torch", "safetensors", "cupy", "cupyx", "cucim", "onnx", "onnxruntime", "distributed", "s3fs"}
    lost = {
        f"{path.relative_to(SOURCE)}: {name}"
        for path in (SOURCE / "widgets").rglob("*.py")
        for name in imported(path) - there - optional
    }
    assert lost == set()
    assert {"pyqtgraph", "matplotlib"} <= there


def test_no_binding_of_qt_and_no_napari_is_required() -> None:
    names = {Requirement(line).name.lower() for line in PROJECT["dependencies"]}
    assert not names & {"napari", "pyqt5", "pyqt6", "pyside2", "pyside6", "pyside6-essentials"}


def conda_name(requirement: Requirement) -> str:
    return CONDA.get(requirement.name, requirement.name)


def bounds(lines: list[str]) -> dict[str, str]:
    """Return the bound of every package of a list of conda, by name."""
    return dict((*line.split(" ", 1), "")[:2] for line in lines)


def test_the_recipe_of_conda_follows_the_project() -> None:
    yaml = pytest.importorskip("yaml")
    recipe = yaml.safe_load((ROOT / "conda.recipe" / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["context"]["python_min"] == PROJECT["requires-python"].removeprefix(">=")
    needs = recipe["requirements"]
    run = bounds(needs["run"])
    assert run.pop("python") == ">=${{ python_min }}"
    assert run == {conda_name(r): str(r.specifier) for r in map(Requirement, PROJECT["dependencies"])}
    extras = [Requirement(line) for extra in EXTRAS for line in PROJECT["optional-dependencies"][extra]]
    extras += [r for r in map(Requirement, PROJECT["optional-dependencies"]["app"]) if r.name == "napari"]
    assert bounds(needs["run_constraints"]) == {conda_name(r): str(r.specifier) for r in extras}
    assert recipe["build"]["python"]["entry_points"] == [f"{k} = {v}" for k, v in PROJECT["scripts"].items()]


def test_the_home_of_the_project_is_said_once_and_repeated_everywhere() -> None:
    home = PROJECT["urls"]["Homepage"].removeprefix("https://github.com/")
    files = [
        path for folder in (".github", "conda.recipe", "docs", "src", "changes") for path in files_of(ROOT / folder)
    ]
    files += [path for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".cff"}]
    said = {
        (path.name, match)
        for path in files
        for match in re.findall(
            r"(?:github\.com|githubusercontent\.com)/([\w-]+/napari-cutout)\b", path.read_text("utf-8")
        )
    }
    assert {name for name, _ in said} >= {"pyproject.toml", "recipe.yaml"}
    assert {match for _, match in said} == {home}


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in {".md", ".py", ".yml", ".yaml"}]


def test_changes_are_named_as_the_changelog_needs_them() -> None:
    for path in (ROOT / "changes").iterdir():
        assert re.fullmatch(r"README\.md|(\d+|\+[\w-]+)\.(added|changed|fixed|removed)(\.\d+)?\.md", path.name), (
            path.name
        )
        assert path.read_text(encoding="utf-8").strip()


def test_a_release_needs_one_version_everywhere_and_its_changes_written(notes: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "src" / "napari_cutout").mkdir(parents=True)
    (tmp_path / "conda.recipe").mkdir()
    (tmp_path / "changes").mkdir()
    (tmp_path / "src" / "napari_cutout" / "__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("title: a\nversion: 1.2.0\n")
    (tmp_path / "conda.recipe" / "recipe.yaml").write_text('context:\n  version: "1.2.0"\n')
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("# C\n\n## 1.2.0, 2026-12-01\n\n### Added\n\n- This.\n\n## 1.1.0, 2026-11-01\n\n- That.\n")
    assert notes.release_notes("v1.2.0", tmp_path) == "### Added\n\n- This.\n"
    with pytest.raises(ValueError, match=r"for 1\.3\.0, and src/napari_cutout/__init__\.py says 1\.2\.0"):
        notes.release_notes("v1.3.0", tmp_path)
    (tmp_path / "changes" / "7.added.md").write_text("More.\n")
    with pytest.raises(ValueError, match=r"changes wait: \['7\.added\.md'\]; run make changelog VERSION=1\.2\.0"):
        notes.release_notes("v1.2.0", tmp_path)


def test_all_that_says_a_version_says_the_same(notes: ModuleType) -> None:
    import napari_cutout

    with pytest.raises(ValueError, match=r"changes wait|has no part") as refused:
        notes.release_notes(f"v{napari_cutout.__version__}", ROOT)
    assert "make them agree" not in str(refused.value)
