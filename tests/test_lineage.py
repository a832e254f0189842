"""Labels made of labels in files: what is written beside them begins with the steps that made the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import io
from napari_cutout.cli import main
from napari_cutout.io import Volume


@pytest.fixture
def cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Two discs that touch, cut by one command and split by another."""
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:24, :40]
    image = np.where(((y - 12) ** 2 + (x - 12) ** 2 < 81) | ((y - 12) ** 2 + (x - 27) ** 2 < 81), 200, 20)
    io.write("image.tif", Volume(image.astype(np.uint8), "yx"), kind="image")
    assert main(["threshold", "image.tif", "cut.tif", "--one-per-object"]) == 0
    return image


@pytest.mark.usefixtures("cut")
def test_two_commands_make_one_recipe_from_the_image_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["split-touching", "cut.tif", "split.tif"]) == 0
    assert "split_touching: 2 objects; on the" in capsys.readouterr().out
    recipe = nc.Recipe.load("split.tif.recipe.json")
    assert [step.method for step in recipe.steps] == ["threshold", "split_touching"]
    assert recipe.inputs == ("image",)
    split = nc.read("split.tif")
    assert split.metadata["provenance"]["sources"]["image"]["path"] == "image.tif"
    np.testing.assert_array_equal(nc.run(recipe, "image.tif").labels, split.data)
    assert main(["split-touching", "cut.tif", "split.tif", "--resume"]) == 0, "it is the same run"
    assert main(["cite", "split.tif.recipe.json"]) == 0
    assert "the method threshold" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["edited", "alone", "damaged"])
def test_what_gives_other_pixels_or_is_not_known_stays_an_input(cut: np.ndarray, how: str) -> None:
    beside = Path("cut.tif.recipe.json")
    if how == "edited":
        labels = nc.read("cut.tif")
        labels.data[0, 0] = 9
        io.write("cut.tif", labels, overwrite=True)
    elif how == "alone":
        beside.unlink()
    else:
        beside.write_text("[")
    assert main(["split-touching", "cut.tif", "split.tif"]) == 0
    recipe = nc.Recipe.load("split.tif.recipe.json")
    assert [step.method for step in recipe.steps] == ["split_touching"]
    assert recipe.inputs == ("labels",)


def test_labels_in_a_store_begin_with_what_made_them(cut: np.ndarray) -> None:
    io.write("image.zarr", Volume(cut.astype(np.uint8), "yx"), kind="image")
    nc.run(nc.Step("threshold", {"one_per_object": True}), "image.zarr", "cut.zarr")
    split = nc.Step("split_touching")
    told = nc.run(split, "cut.zarr", "split.zarr").provenance
    assert told["sources"]["image"]["path"] == "image.zarr"
    assert nc.run(split, "cut.zarr", "split.zarr", resume=True).provenance["resumed"] == "it was complete"
    assert [step.method for step in nc.Recipe.load("split.zarr.recipe.json").steps] == ["threshold", split.method]
    assert nc.run(split, "cut.zarr").provenance["recipe"] == told["recipe"]
    metadata = Path("cut.zarr/zarr.json")
    metadata.write_text(metadata.read_text().replace('"n_labels"', '"edits": 1, "n_labels"'))
    assert "labels" in nc.run(split, "cut.zarr").provenance["sources"], "they were edited there"


@pytest.mark.filterwarnings("always:.*looks like an image")
def test_an_image_in_the_place_of_labels_is_warned_of(cut: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).normal(cut, 3).clip(0, 255).astype(np.uint8)
    io.write("noise.tif", Volume(noise, "yx"), kind="image")
    capsys.readouterr()
    for words in (["split-touching", "noise.tif", "out.tif"], ["measure", "noise.tif", "out.csv"]):
        assert main(words) == 0
        said = capsys.readouterr().err
        assert "napari-cutout: warning: 'noise' looks like an image and not like labels, because only" in said
    spots = np.where(noise > 230, np.arange(noise.size).reshape(noise.shape), 0)
    io.write("spots.tif", Volume(spots.astype(np.int32), "yx"))
    assert main(["measure", "spots.tif", "spots.csv"]) == 0
    assert capsys.readouterr().err == ""


def test_results_and_recipes_print_in_a_line(cut: np.ndarray) -> None:
    recipe = nc.Recipe([nc.Step("threshold", {"sigma": 1.0}), nc.Step("objects", {}, {"labels": "step_1"})])
    assert repr(recipe.steps[0]) == "Step('threshold', {'sigma': 1.0})"
    assert eval(repr(recipe.steps[1]), {"Step": nc.Step}) == recipe.steps[1]
    assert repr(nc.read("image.tif")) == "<Volume 'image': yx 24x40 uint8>"
    result = nc.run(recipe, "image.tif", "out.tif", truth="cut.tif")
    assert repr(result).startswith("<Result of threshold > objects: labels 24x40 int32, CPU ")
    assert repr(result).endswith(" s, written to out.tif, mean IoU 1.0000>")
    with pytest.raises(TypeError, match=r"got a Volume; pass its \.data"):
        nc.threshold(nc.read("image.tif"))
    with pytest.raises(TypeError, match=r"got a Result; pass its \.labels"):
        nc.evaluate(result, cut > 50)
