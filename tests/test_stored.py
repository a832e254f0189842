"""Strokes beside a recipe: taken from there while they are as they were, else it is said what to pass."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import cli, io
from napari_cutout._selection import Selection
from napari_cutout._sources import fingerprint
from napari_cutout.io import Volume
from napari_cutout.recipe import Recipe, Step
from napari_cutout.running._batch import run
from napari_cutout.running._execute import Result

from .cases import strokes, two_humps

RECIPE = Recipe([Step("back_projection")])


@pytest.fixture
def painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A folder to stand in, with an image, and a recipe with strokes beside it."""
    monkeypatch.chdir(tmp_path)
    image = two_humps((24, 30))
    io.write("image.tif", Volume(image, "yx"), kind="image")
    markers = strokes(image)
    RECIPE.save("recipe.json", arrays={"markers": Volume(markers, "yx", (0.5, 0.25), "micrometer")})
    return markers


def labels_of(result: Any) -> np.ndarray:
    assert isinstance(result, Result)
    return result.labels


def test_strokes_are_taken_from_beside_the_recipe(painted: np.ndarray) -> None:
    expected = nc.back_projection(io.read("image.tif").data, painted)
    np.testing.assert_array_equal(labels_of(run("recipe.json", "image.tif")), expected)
    assert cli.main(["run", "recipe.json", "image.tif", "labels.tif"]) == 0
    np.testing.assert_array_equal(io.read("labels.tif").data, expected)
    assert io.read("recipe.markers.tif").spacing == (0.5, 0.25)
    loaded = Recipe.load("recipe.json")
    assert loaded == RECIPE
    assert loaded.to_json() == RECIPE.to_json()
    assert loaded.arrays["markers"].sha256 == fingerprint(painted)
    content = json.loads(Path("recipe.json").read_text())
    assert content["version"] == 2
    assert content["arrays"] == {"markers": {"file": "recipe.markers.tif", "sha256": fingerprint(painted)}}


def test_the_same_strokes_of_another_dtype_are_the_same(painted: np.ndarray) -> None:
    io.write("recipe.markers.tif", Volume(painted.astype(np.int32), "yx"), overwrite=True)
    assert labels_of(run("recipe.json", "image.tif")).any()


def test_strokes_that_were_changed_or_lost_are_refused(painted: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    known, other = fingerprint(painted)[:8], fingerprint(painted[::-1])[:8]
    io.write("recipe.markers.tif", Volume(painted[::-1].copy(), "yx"), overwrite=True)
    with pytest.raises(
        ValueError, match=f"begins with {other}, not with {known}; put the saved file back, or pass inp"
    ):
        run("recipe.json", "image.tif")
    assert cli.main(["run", "recipe.json", "image.tif", "x.tif"]) == cli.BAD_INPUT
    assert "or pass --markers recipe.markers.tif to run with other markers" in capsys.readouterr().err
    Path("recipe.markers.tif").unlink()
    assert cli.main(["run", "recipe.json", "image.tif", "x.tif"]) == cli.BAD_INPUT
    said = capsys.readouterr().err
    assert f"is not there; pass --markers recipe.markers.tif, the file whose hash begins with {known}" in said
    io.write("mine.tif", Volume(painted, "yx"))
    assert cli.main(["run", "recipe.json", "image.tif", "x.tif", "--markers", "mine.tif"]) == 0
    assert not Path("recipe.markers.tif").exists()


@pytest.mark.usefixtures("painted")
def test_strokes_of_one_image_are_not_put_over_many(capsys: pytest.CaptureFixture[str]) -> None:
    Path("images").mkdir()
    for name in "ab":
        io.write(f"images/{name}.tif", io.read("image.tif"), kind="image")
    assert cli.main(["run", "recipe.json", "images", "out"]) == cli.BAD_INPUT
    assert "was saved with markers of one image, and 2 are to be run; pass --markers markers, a folder" in (
        capsys.readouterr().err
    )
    RECIPE.save("bare.json")
    assert cli.main(["run", "bare.json", "image.tif", "x.tif"]) == cli.BAD_INPUT
    assert "the recipe needs the input 'markers'; it reads: image, markers; pass --markers markers.tif" in (
        capsys.readouterr().err
    )


def test_nothing_is_replaced_or_written_by_half(painted: np.ndarray) -> None:
    before = {path: path.read_bytes() for path in Path().iterdir()}
    with pytest.raises(FileExistsError, match=r"'recipe\.json' exists already"):
        RECIPE.save("recipe.json", arrays={"markers": painted})
    Path("recipe.json").rename("other.json")
    with pytest.raises(FileExistsError, match=r"'recipe\.markers\.tif' exists already"):
        RECIPE.save("recipe.json", arrays={"markers": painted})
    with pytest.raises(ValueError, match="the recipe does not read the input 'mask'; it reads: image, markers"):
        RECIPE.save("new.json", arrays={"mask": painted})
    with pytest.raises(TypeError, match="fingerprint takes integers or booleans, got dtype float64"):
        RECIPE.save("new.json", arrays={"markers": painted * 1.0})
    Path("other.json").rename("recipe.json")
    assert {path: path.read_bytes() for path in Path().iterdir()} == before
    with pytest.raises(ValueError, match="would replace"):
        run("recipe.json", "image.tif", "recipe.markers.tif", overwrite=True)


def test_strokes_over_frames_keep_their_axes(tmp_path: Path) -> None:
    image = np.stack([two_humps((12, 14), seed=t) for t in range(3)])
    recipe = Recipe([Step("back_projection")], Selection("tyx", each="t"))
    recipe.save(tmp_path / "r.json", arrays={"markers": strokes(image)})
    assert io.read(tmp_path / "r.markers.tif").axes == "tyx"
    found = labels_of(run(tmp_path / "r.json", Volume(image, "tyx")))
    np.testing.assert_array_equal(found, nc.execute(recipe, {"image": image, "markers": strokes(image)}).labels)


HASH = "0" * 64
BAD = {
    "list": [],
    "elsewhere": {"markers": {"file": "../secret.tif", "sha256": HASH}},
    "absolute": {"markers": {"file": "/tmp/secret.tif", "sha256": HASH}},
    "no hash": {"markers": {"file": "a.tif"}},
    "hash": {"markers": {"file": "a.tif", "sha256": "12"}},
    "number": {"markers": {"file": 1, "sha256": HASH}},
}


@pytest.mark.parametrize("entry", BAD.values(), ids=BAD)
def test_only_files_beside_the_recipe_are_read(entry: Any) -> None:
    text = json.dumps({**json.loads(RECIPE.to_json()), "version": 2, "arrays": entry})
    with pytest.raises(ValueError, match=re.escape("must be")):
        Recipe.from_json(text)


# What is asked for over the recipe ---------------------------------------------------------------------


@pytest.fixture
def movie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.chdir(tmp_path)
    frames = np.stack([np.stack([two_humps((20, 26), seed=2 * t + c) + 700 * t for c in (0, 1)]) for t in range(3)])
    frames = frames.astype(np.uint16)
    volume = Volume(frames, "tcyx", (0.5, 0.25), "micrometer", origin=(3.0, 4.0))
    io.write("movie.tif", volume, kind="image")
    return frames


def test_a_region_lies_where_it_was_cut(movie: np.ndarray) -> None:
    words = ["threshold", "movie.tif", "x.tif", "--channel", "1", "--each", "t", "--region", "t=1:3,y=4:20"]
    assert cli.main(words) == 0
    written = io.read("x.tif")
    expected = np.stack([nc.threshold(movie[t, 1, 4:], spacing=(0.5, 0.25)) for t in (1, 2)])
    np.testing.assert_array_equal(written.data, expected)
    assert (written.axes, written.spacing, written.origin) == ("tyx", (0.5, 0.25), (3.0 + 4 * 0.5, 4.0))
    recipe = Recipe.load("x.tif.recipe.json")
    assert recipe.selection == Selection("tcyx", 1, 0, ((1, 3), (4, 20), (0, 26)), "t")
    again = labels_of(run(recipe, "movie.tif"))
    np.testing.assert_array_equal(again, expected)
    whole = labels_of(run(recipe, "movie.tif", whole=True, pooled=True, channel=0))
    np.testing.assert_array_equal(whole, nc.threshold(movie[:, 0]))


def test_a_frame_is_recorded_and_has_no_time(movie: np.ndarray) -> None:
    mask = np.zeros((3, 20, 26), np.uint8)
    mask[2, 5:] = 1
    io.write("mask.tif", Volume(mask, "tyx"))
    io.write("truth.tif", Volume(mask[2], "yx"))
    words = ["threshold", "movie.tif", "x.tif", "--channel", "0", "--frame", "2", "--mask", "mask.tif"]
    assert cli.main([*words, "--truth", "truth.tif"]) == 0
    expected = nc.threshold(movie[2, 0], mask[2])
    np.testing.assert_array_equal(io.read("x.tif").data, expected)
    recipe = Recipe.load("x.tif.recipe.json")
    assert recipe.selection == Selection("tcyx", 0, 0, ((2, 3), (0, 20), (0, 26)), "t")
    np.testing.assert_array_equal(labels_of(run(recipe, "movie.tif", inputs={"mask": "mask.tif"}))[0], expected)


def test_axes_are_arranged_or_named(movie: np.ndarray) -> None:
    recipe = Recipe([Step("threshold")], Selection("tcyx", channel=1, each="t"))
    expected = nc.execute(recipe, {"image": movie}).labels
    moved = Volume(movie.transpose(1, 2, 3, 0), "cyxt", name="moved")
    np.testing.assert_array_equal(labels_of(run(recipe, moved)), expected)
    single = labels_of(run(recipe, Volume(movie[1], "cyx")))
    np.testing.assert_array_equal(single, expected[1:2])
    stack = Volume(movie[:, 0], "zyx", (1.0, 0.5, 0.5), name="stack")
    frames = Recipe([Step("threshold")], Selection("tyx", each="t"))
    with pytest.raises(ValueError, match=r"axes 'tyx', but 'stack' has 'zyx' of the lengths .*, give axes='tyx'"):
        run(frames, stack)
    named = labels_of(run(frames, stack, axes="tyx"))
    np.testing.assert_array_equal(named, nc.execute(frames, {"image": movie[:, 0]}).labels)
    with pytest.raises(ValueError, match="axes must be one letter per axis of 'stack'"):
        run(frames, stack, axes="yx")


WRONG = {
    "region": ({"region": {"q": (0, 1)}}, "the region names 'q'; it may name t, y, x"),
    "beyond": ({"region": {"y": (0, 99)}}, "the recipe's region ends at 99 along 'y', but the image has 20 there"),
    "each": ({"each": "tz"}, "each='tz' was asked for, but 'movie' has no 'z' to go along"),
    "no axis": ({"each": "tq"}, "has no 'q' to go along; its axes are 'tcyx'"),
}


@pytest.mark.usefixtures("movie")
@pytest.mark.parametrize(("asked", "text"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused(asked: dict[str, Any], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        run(Recipe([Step("threshold")]), "movie.tif", channel=0, **{"each": "t", **asked})
    boxed = Recipe([Step("threshold")], Selection("yx", box=((0, 9), (0, 9))))
    with pytest.raises(ValueError, match="region is one of level 0, and level 1 was asked for; give a region of that"):
        run(boxed, "movie.tif", level=1)
    assert cli.main(["threshold", "movie.tif", "x.tif", "--region", "y=1-4"]) == cli.BAD_INPUT
    assert "--region must be such as y=0:64,x=10:90" in capsys.readouterr().err
