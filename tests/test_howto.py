"""The page that tells how a method is added does what it says: one function, and it is everywhere."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import Recipe, Step, catalog, cli

from .cases import two_humps
from .howto import PAGE, added, blocks

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def method() -> Iterator[None]:
    with added():
        yield


def test_the_function_and_its_test_run() -> None:
    exec(compile(blocks()[1], "add-a-method.md", "exec"), {})
    image = two_humps((11, 17, 19))
    whole = nc.brightest(image, share=0.2, one_per_object=True)  # type: ignore[attr-defined]
    assert whole.max() > 1
    assert 0.1 < (whole > 0).mean() <= 0.2
    lazy = nc.brightest(da.from_array(image, (4, 6, 7)), share=0.2, one_per_object=True)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), whole)
    with pytest.raises(ValueError, match="brightest needs at least 2 grey levels in the image, but every voxel is 7;"):
        nc.brightest(np.full((4, 5), 7))  # type: ignore[attr-defined]


def test_it_is_a_step_and_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = two_humps((30, 40))
    recipe = Recipe.from_json(Recipe([Step("brightest", {"share": 0.3})]).to_json())
    np.save(tmp_path / "image.npy", image)
    words = ["brightest", str(tmp_path / "image.npy"), str(tmp_path / "out.tif")]
    assert cli.main([*words, "--share", "0.3"]) == 0
    labels = nc.read(tmp_path / "out.tif").data
    np.testing.assert_array_equal(labels, nc.execute(recipe, {"image": image}).labels)
    assert 0.25 < labels.mean() <= 0.3
    assert cli.main([*words, "--overwrite", "--share", "3"]) == cli.BAD_INPUT
    assert "share must be between 0.0 and 1.0, got 3.0" in capsys.readouterr().err
    assert cli.main(["brightest", "--help"]) == 0
    assert "At most this part of the voxels is object." in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_its_page_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    spec = importlib.util.spec_from_file_location("make_pages_of_howto", ROOT / "docs" / "make_pages.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    page = made.page(catalog.find("brightest"))
    assert page.startswith("# brightest")
    assert "share" in page
    assert any("brightest" in line for line in made.table().splitlines())


def test_the_page_counts_its_lines_right() -> None:
    code = blocks()[0].partition("@method(")[2]
    prose = code.split('"""')[1]
    n_lines, n_prose = (sum(bool(line.strip()) for line in text.splitlines()) for text in (code, f"{prose}."))
    assert f"{n_lines} lines, of which {n_prose} are prose" in PAGE.read_text(encoding="utf-8")
