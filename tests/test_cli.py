"""The command line: the labels of the API, one readable line on what ran, one sentence on what is wrong."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import _device, catalog, cli, doctor, io
from napari_cutout._code import as_command
from napari_cutout._monitor import watch
from napari_cutout._sources import Source
from napari_cutout.blockwise import _pyramid
from napari_cutout.cli import main
from napari_cutout.cli._said import what_was_found
from napari_cutout.io import Volume
from napari_cutout.recipe import Recipe, Step
from napari_cutout.running._batch import run
from napari_cutout.running._execute import Result

from .cases import settings_of
from .toys import channel_methods, strongest_by_hand

__all__ = ["channel_methods"]


@pytest.fixture
def image() -> np.ndarray:
    grey = np.random.default_rng(1).integers(10, 20, (24, 30)).astype(np.uint16)
    for number, (row, column, edge) in enumerate([(2, 2, 6), (2, 16, 8), (14, 4, 7), (20, 24, 1)]):
        grey[row : row + edge, column : column + edge] = 100 + 10 * number
    return grey


@pytest.fixture
def folder(tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with an image, its truth and strokes."""
    monkeypatch.chdir(tmp_path)
    truth = (image > 50).astype(np.uint8)
    io.write("image.tif", Volume(image, "yx", (0.5, 0.25), "micrometer"), kind="image")
    io.write("truth.tif", Volume(truth, "yx"))
    strokes = np.zeros_like(truth)
    strokes[3:5, 3:5], strokes[12, 20:24] = 1, 2
    io.write("strokes.tif", Volume(strokes, "yx", (0.5, 0.25), "micrometer"))
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *tokens: str) -> str:
    """Return the one sentence that a call ends with."""
    capsys.readouterr()
    assert main(tokens) == cli.BAD_INPUT
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("napari-cutout: ")
    return line.removeprefix("napari-cutout: ")


# One command per method ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalog.methods())
def test_the_command_gives_what_the_api_gives(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = catalog.find(name)
    settings = settings_of(entry)
    settings |= {"n_classes": 2} if name == "histogram_segmentation" else {}
    markers = ["--markers", "strokes.tif"] if entry.needs == "strokes" else []
    words = [w for key, value in settings.items() for w in (f"--{key.replace('_', '-')}", *map(str, np.ravel(value)))]
    file = "strokes.tif" if entry.source.name == "labels" else "image.tif"
    assert main([name, file, "labels.tif", *words, *markers]) == 0
    arrays = {"markers": io.read("strokes.tif").data} if markers else {}
    lengths = {"spacing": (0.5, 0.25)} if any(p.name == "spacing" for p in entry.settings) else {}
    expected = entry(io.read(file).data, **arrays, **settings, **lengths)
    written = io.read("labels.tif")
    np.testing.assert_array_equal(written.data, expected)
    assert written.spacing == (0.5, 0.25)
    assert Recipe.load("labels.tif.recipe.json") == Recipe([Step(name, settings, {m[2:]: m[2:] for m in markers[:1]})])
    said = capsys.readouterr().out
    assert re.fullmatch(rf"{name}: .*; on the CPU because .*; \d+\.\d\d s; written to labels\.tif\n", said)


@pytest.mark.parametrize("name", catalog.methods())
def test_every_setting_is_an_option_with_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name.replace("_", "-"), "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    entry = catalog.find(name)
    assert entry.summary in said
    for param in entry.params:
        if param.name not in (entry.source.name, "channel_axis"):  # the file says where its channels are
            assert f"--{param.name.replace('_', '-')}" in said
    assert not {p.name for p in entry.settings} & set(cli.RUN_OPTIONS)


def test_settings_reach_the_method(folder: Path, image: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--method", "li", "--objects", "dark", "--sigma", "0.5", "--fill-holes", "--min-size", "3"]
    words += ["--one-per-object", "--connectivity", "2", "--spacing", "1", "2", "--mask", "truth.tif"]
    assert main(["threshold", "image.tif", "labels.zarr", *words, "--recipe-out", "my.json"]) == 0
    expected = nc.threshold(
        image, io.read("truth.tif").data, method="li", objects="dark", sigma=0.5, fill_holes=True, min_size=3,
        one_per_object=True, connectivity=2, spacing=(1.0, 2.0),
    )  # fmt: skip
    np.testing.assert_array_equal(io.read("labels.zarr").data, expected)
    assert Recipe.load("my.json") == Recipe.load("labels.zarr.recipe.json")
    assert Recipe.load("my.json").steps[0].settings["spacing"] == (1.0, 2.0)
    assert f"threshold: {expected.max()} object" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [["--values", "-3.5", "60"], ["--values", "-3.5", "--values", "60"], ["--values=-3.5,60"]],
    ids=["one option", "two options", "commas"],
)
def test_several_numbers_may_be_given_in_any_usual_way(folder: Path, image: np.ndarray, words: list[str]) -> None:
    assert main(["classes-at", "image.tif", "labels.tif", *words]) == 0
    np.testing.assert_array_equal(io.read("labels.tif").data, nc.classes_at(image, values=(-3.5, 60.0)))
    assert Recipe.load("labels.tif.recipe.json").steps[0].settings["values"] == (-3.5, 60.0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--values", "9,x"], "Invalid value for --values"),
        (["--values", "9", "8"], "values must rise, each greater than the one before, got (9.0, 8.0)"),
    ],
    ids=["text", "falling"],
)
def test_what_is_not_right_in_several_numbers_is_said(
    folder: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in fails(capsys, "classes-at", "image.tif", "labels.tif", *words)


def test_negative_numbers_are_values(folder: Path, image: np.ndarray) -> None:
    assert main(["local-mean", "image.tif", "labels.tif", "--offset", "-5.5"]) == 0
    np.testing.assert_array_equal(io.read("labels.tif").data, nc.local_mean(image, offset=-5.5, spacing=(0.5, 0.25)))


@pytest.mark.usefixtures("folder")
def test_what_was_found_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    main(["threshold", "image.tif", "a.tif", "--one-per-object", "--device", "cpu"])
    assert re.match(
        r"threshold: 4 objects \(cut at \d+\); on the CPU because it was asked for; ", capsys.readouterr().out
    )
    main(["threshold-at", "image.tif", "b.tif", "--value", "105", "--one-per-object"])
    assert "threshold_at: 3 objects; " in capsys.readouterr().out
    main(["threshold-at", "image.tif", "c.tif", "--value", "1e9"])
    assert "threshold_at: nothing; " in capsys.readouterr().out
    main(["multi_otsu", "image.tif", "d.tif"])
    assert re.match(
        r"multi_otsu: class 1 \d\d\.\d%, class 2 .*, class 3 .* \(cut at \d+, \d+\); ", capsys.readouterr().out
    )


@pytest.mark.usefixtures("folder")
def test_a_truth_gives_a_score_and_says_how_it_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["threshold", "image.tif", "a.tif", "--truth", "truth.tif"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "IoU 1.0000, Dice 1.0000 (labels matched: value)"
    assert said[2] == (
        "Unpainted voxels of the truth (0, 79.2% of all) were read as background; if the truth holds strokes, "
        "where 0 means not annotated, give --ignore 0."
    )
    main(["threshold", "image.tif", "c.tif", "--truth", "strokes.tif", "--ignore", "0"])
    assert "Unpainted voxels of the truth (0) were read as not annotated, and left out." in capsys.readouterr().out
    main(["threshold", "image.tif", "d.tif", "--truth", "strokes.tif", "--ignore", "2"])
    assert (
        "Voxels of value 2 of the truth were left out as not annotated; 0 was read as back" in capsys.readouterr().out
    )


def test_colour_images_need_a_channel(folder: Path, image: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    Image.fromarray(np.stack([image, image[::-1], image * 0], -1).astype(np.uint8)).save("colour.png")
    sentence = fails(capsys, "threshold", "colour.png", "labels.tif")
    assert sentence == "'colour' has 3 channels and a method cuts one; choose --channel 0 to 2, or --channel mean"
    assert main(["threshold", "colour.png", "labels.tif", "--channel", "1"]) == 0
    np.testing.assert_array_equal(io.read("labels.tif").data, nc.threshold(image[::-1]))
    assert main(["threshold", "colour.png", "mean.tif", "--channel", "mean"]) == 0
    assert "channel must be a number or 'mean', got 'red'" in fails(
        capsys, "threshold", "colour.png", "x.tif", "--channel", "red"
    )


def test_all_channels_are_taken_together(folder: Path, image: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    channels = np.stack([image, image[::-1], np.full_like(image, 90)]).astype(np.uint8)
    io.write("stains.tif", Volume(channels, "cyx"), kind="image")
    expected = strongest_by_hand(channels)
    assert main(["strongest", "stains.tif", "labels.tif"]) == 0
    np.testing.assert_array_equal(io.read("labels.tif").data, expected)
    written = Recipe.load("labels.tif.recipe.json")
    assert written == Recipe([Step("strongest")], nc.Selection("cyx", "all"))
    Recipe([Step("strongest")]).save("plain.json")
    for recipe, more in (("plain.json", []), ("plain.json", ["--channel", "all"]), ("labels.tif.recipe.json", [])):
        assert main(["run", recipe, "stains.tif", "again.tif", "--overwrite", *more]) == 0
        np.testing.assert_array_equal(io.read("again.tif").data, expected)
    assert main(["strongest", "stains.tif", "one.tif", "--channel", "1"]) == 0
    assert io.read("one.tif").data.tolist() == np.ones_like(image).tolist()
    assert main(["strongest", "image.tif", "none.tif", "--channel", "all"]) == 0
    assert io.read("none.tif").data.tolist() == np.ones_like(image).tolist()
    sentence = fails(capsys, "threshold", "stains.tif", "x.tif", "--channel", "all")
    assert sentence.startswith(
        "threshold takes one channel, and all of them together were asked for; choose --channel 0 or another, or "
        "--channel mean, or run "
    )
    assert "'stains' has 3 channels and a method cuts one; choose --channel 0 to 2, or --channel mean" in fails(
        capsys, "threshold", "stains.tif", "x.tif"
    )
    assert "channel must be a number, 'mean' or 'all', got 'red'" in fails(
        capsys, "strongest", "stains.tif", "x.tif", "--channel", "red"
    )


@pytest.mark.parametrize("name", ["strongest", "threshold"])
def test_the_help_says_which_channels_a_method_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([name, "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--channel " in said
    assert "--channel-axis" not in said
    assert ("By default 'all' of them together" in said) is (name == "strongest")


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], {"parts": ("one",), "n": 3}),
        (["--parts", "two", "one", "--n", "auto"], {"parts": ("two", "one"), "n": "auto"}),
        (["--parts=two,three", "--n=5"], {"parts": ("two", "three"), "n": 5}),
    ],
    ids=["defaults", "spaces", "commas"],
)
def test_words_and_words_beside_numbers_are_options(folder: Path, words: list[str], settings: dict[str, Any]) -> None:
    assert main(["wordy", "image.tif", "labels.tif", *words]) == 0
    step = Recipe.load("labels.tif.recipe.json").steps[0]
    assert dict(step.settings) == settings
    recipe = Recipe([step])
    (line,) = as_command(recipe, {"image": Source("a layer", "image.tif", (24, 30), "uint16")}).splitlines()
    assert main([*shlex.split(line)[1:], "--overwrite"]) == 0
    assert Recipe.load("labels.tif.recipe.json") == recipe


def test_words_that_are_none_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "every entry of parts must be one of 'one', 'two', 'three', got 'four'" in fails(
        capsys, "wordy", "image.tif", "x.tif", "--parts", "one,four"
    )
    assert fails(capsys, "wordy", "image.tif", "x.tif", "--n", "some") == "n must be a number or 'auto', got 'some'"
    assert "n must be of type int, got 2.5" in fails(capsys, "wordy", "image.tif", "x.tif", "--n", "2.5")
    assert "n must be between 2 and 9, got 10" in fails(capsys, "wordy", "image.tif", "x.tif", "--n", "10")
    main(["wordy", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Of one, two, three. [default: one]" in said


@pytest.fixture
def stains(folder: Path) -> np.ndarray:
    """Two channels in a file, of voxels that are not square."""
    grey = np.random.default_rng(3).normal(100, 10, (2, 20, 30)).astype(np.float32)
    grey[0, 5:15], grey[1, :, 8:20] = grey[0, 5:15] + 50, grey[1, :, 8:20] + 80
    io.write("stains.tif", Volume(grey, "cyx", (0.5, 0.25), "micrometer"), kind="image")
    return grey


@pytest.mark.parametrize("ending", [".tif", ".zarr", ".npy"])
def test_images_of_the_classes_are_those_of_the_api(
    stains: np.ndarray, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--n-components", "2", "--features", "gaussian,intensity", "--scales", "1.5", "--fill-holes"]
    images = ["--probabilities", f"p{ending}", "--uncertainty", f"u{ending}"]
    part = ["--region", "y=2:18,x=4:30", "--mask", "inside.tif"]
    inside = np.ones(stains.shape[1:], np.uint8)
    inside[:5, :9] = 0
    io.write("inside.tif", Volume(inside, "yx"))
    assert main(["gaussian-mixture", "stains.tif", "labels.tif", *words, *images, *part]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"probabilities written to p{ending}",
        f"uncertainty written to u{ending}",
    ]
    settings: dict[str, Any] = {
        "n_components": 2,
        "features": ("gaussian", "intensity"),
        "scales": (1.5,),
        "channel_axis": 0,
        "spacing": (0.5, 0.25),
    }
    cut, where = stains[:, 2:18, 4:30], inside[2:18, 4:30]
    chances, doubt = io.read(f"p{ending}"), io.read(f"u{ending}")
    np.testing.assert_array_equal(chances.data, nc.probabilities(cut, where, **settings))
    np.testing.assert_array_equal(doubt.data, nc.uncertainty(cut, where, **settings))
    assert chances.data.dtype == doubt.data.dtype == np.float32
    if ending != ".npy":
        assert (chances.axes, doubt.axes) == ("cyx", "yx")
        assert chances.spacing == doubt.spacing == (0.5, 0.25)
        assert chances.origin == doubt.origin == io.read("labels.tif").origin == (1.0, 1.0)


def test_images_of_the_classes_are_of_one_channel_too(stains: np.ndarray) -> None:
    assert main(["gaussian-mixture", "stains.tif", "a.tif", "--channel", "1", "--uncertainty", "u.npy"]) == 0
    np.testing.assert_array_equal(np.load("u.npy"), nc.uncertainty(stains[1]))
    assert main(["gaussian-mixture", "stains.tif", "b.tif", "--axes", "zyx", "--probabilities", "p.npy"]) == 0
    np.testing.assert_array_equal(np.load("p.npy"), nc.probabilities(stains))
    assert (
        main(["gaussian-mixture", "stains.tif", "c.tif", "--axes", "tyx", "--frame", "1", "--uncertainty", "f.npy"])
        == 0
    )
    np.testing.assert_array_equal(np.load("f.npy"), nc.uncertainty(stains[1]))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["p.png"], "--probabilities writes .tif, .tiff, .npy, .zarr, not 'p.png'; choose one of them"),
        (["labels.tif"], "--probabilities would replace 'labels.tif', which is read or written too; choose another "),
        (["image.tif", "--overwrite"], "--probabilities would replace 'image.tif', which is read or written too; "),
        (["truth.tif"], "'truth.tif' exists already; choose another name, or give --overwrite"),
        (["p.tif", "--uncertainty", "p.tif"], "--uncertainty would replace 'p.tif', which is read or written too; "),
        (["p.tif", "--each", "z"], "--probabilities needs one image that is run as a whole, but several images, "),
        (["p.tif", "--region", "t=0:2"], "--probabilities needs one image that is run as a whole, but several "),
    ],
    ids=["png", "labels", "image", "there", "twice", "each", "frames"],
)  # fmt: skip
def test_images_of_the_classes_are_refused_before_anything_is_written(
    folder: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("image.tif").read_bytes()
    assert fails(capsys, "gaussian-mixture", "image.tif", "labels.tif", "--probabilities", *words).startswith(sentence)
    assert not Path("labels.tif").exists()
    assert Path("image.tif").read_bytes() == before


def test_images_of_the_classes_are_not_written_of_folders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["gaussian-mixture", ".", "out", "--uncertainty", "u.tif"]
    assert fails(capsys, *words).startswith("--uncertainty needs one image that is run as a whole, ")
    assert not Path("out").exists()


def test_what_is_to_be_known_of_a_fit_is_said(stains: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gaussian-mixture", "stains.tif", "a.tif", "--max-iterations", "1"]) == 0
    said = capsys.readouterr().out
    assert "; the mixture did not converge in 1 iterations; raise max_iterations; on the " in said
    assert "means" not in said
    io.write("flat.tif", Volume(np.stack([stains[0], np.ones_like(stains[0])]), "cyx"), kind="image")
    main(["kmeans", "flat.tif", "b.tif"])
    assert "%; left out: channel 1 intensity (constant); on the " in capsys.readouterr().out
    main(["gaussian-mixture", "stains.tif", "c.tif", "--channel", "0", "--n-components", "2"])
    means = nc.fit_gaussian_mixture(stains[0], n_components=2).means.ravel()
    assert f"% (means {means[0]:g}, {means[1]:g}); on the " in capsys.readouterr().out


@pytest.fixture
def walked(folder: Path, image: np.ndarray) -> list[str]:
    """Words that walk on the image from two strokes."""
    marks = np.zeros(image.shape, np.uint8)
    marks[0], marks[12, 14:16] = 1, 2
    io.write("marks.tif", Volume(marks, "yx"))
    return ["random-walker", "image.tif", "labels.tif", "--overwrite", "--markers", "marks.tif"]


def test_the_beta_that_was_taken_is_said(
    walked: list[str], image: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    marks = io.read("marks.tif").data
    assert main([*walked, "--beta", "auto"]) == 0
    with watch() as seen:
        nc.random_walker(image, marks, beta="auto")
    assert f"% (beta {seen.facts['beta']:g}); on the " in capsys.readouterr().out
    two = np.stack([image, np.where(image % 7 == 0, image // 3, image)])
    io.write("image.tif", Volume(two, "cyx"), kind="image", overwrite=True)
    assert main([*walked, "--beta", "auto"]) == 0
    with watch() as seen:
        nc.random_walker(two, marks, beta="auto", channel_axis=0)
    one, other = seen.facts["beta"]
    assert one != other
    assert f"% (beta {one:g}, {other:g}); on the " in capsys.readouterr().out


def test_regions_are_counted_and_not_listed(
    folder: Path, image: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    halves = np.zeros((8, 20), np.uint8)
    halves[:, 15:] = 200
    io.write("halves.tif", Volume(halves, "yx"), kind="image")
    assert main(["felzenszwalb", "halves.tif", "parts.tif", "--sigma", "0", "--scale", "300"]) == 0
    # 120 and 40 of 160 voxels: the largest is three quarters, the median (120 + 40) / 2
    said = "felzenszwalb: 2 regions, the largest 75.0%, half of them up to 80 voxels (scale 300); on the "
    assert capsys.readouterr().out.startswith(said)
    assert main(["felzenszwalb", "halves.tif", "one.tif", "--min-size", "161"]) == 0
    assert capsys.readouterr().out.startswith("felzenszwalb: 1 region, 100.0% (scale ")
    many = np.arange(1, 41, dtype=np.int32).reshape(4, 10)
    io.write("flat.tif", Volume(np.zeros((4, 10), np.uint8), "yx"), kind="image")
    io.write("many.tif", Volume(many, "yx"))
    assert main(["watershed", "flat.tif", "flooded.tif", "--markers", "many.tif"]) == 0
    assert capsys.readouterr().out.startswith(
        "watershed: 40 regions, the largest 2.5%, half of them up to 1 voxels; on"
    )


@pytest.mark.filterwarnings("default")
def test_a_warning_is_said_once(
    walked: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    from napari_cutout.methods import _gradients

    monkeypatch.setattr(_gradients, "MOST", 0)
    assert main([*walked, "--beta", "1e5"]) == 0
    said = capsys.readouterr()
    assert said.out.count("random walker stopped after") == 1
    assert said.err == ""
    assert not recwarn.list


def test_what_is_approximate_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pyramid, "memory", lambda: 1000)
    io.write("marks.tif", Volume(np.where(np.arange(24 * 30).reshape(24, 30) % 97 == 35, 1, 0).astype(np.uint8), "yx"))
    assert main(["random-walker", "image.tif", "a.tif", "--markers", "marks.tif"]) == 0
    assert "; approximate: the whole did not fit into memory: solved on " in capsys.readouterr().out


def test_of_parts_that_are_approximate_one_is_said(image: np.ndarray) -> None:
    step = {
        "method": "random_walker",
        "settings": {},
        "facts": {},
        "by_part": {"approximate": [None, "on 9 groups", "on 8 groups"]},
    }
    result = Result((image > 50).astype(np.uint8), {"steps": [step]})
    assert what_was_found(result).endswith("%; approximate in 2 of 3 parts, such as: on 9 groups")


# Folders -----------------------------------------------------------------------------------------------


def test_a_folder_and_a_pattern(folder: Path, image: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("set.npz", img_1=image, img_2=image[::-1], img_3=np.full_like(image, 7), gt_1=image > 50, gt_2=image > 50)
    assert main(["threshold", "set.npz:img_[12]", "out", "--truth", "set.npz:gt_*", "--suffix", ".png"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"set\.npz:img_1  CPU \d\.\d\d s  written to out/img_1\.png  IoU 1\.0000 Dice 1\.0000 \(value\)", said[0]
    )
    assert said[2] == "threshold: 2 images, 0 of them with errors"
    assert said[3].startswith("pooled of 2 scored images: IoU 0.")
    assert said[4].startswith("image-mean of 2 scored images: IoU 0.")
    assert said[5].startswith("Unpainted voxels of the truth (0, 79.2% of all)")
    assert (folder / "out" / "scores.csv").exists()
    np.testing.assert_array_equal(io.read("out/img_2.png").data, nc.threshold(image[::-1]))

    assert main(["threshold", "set.npz:img_*", "again"]) == cli.SOME_FAILED
    said_both = capsys.readouterr()
    assert said_both.err.startswith("napari-cutout: set.npz:img_3: ")
    assert said_both.out.splitlines()[-1] == "threshold: 3 images, 1 of them with errors"
    np.testing.assert_array_equal(io.read("again/img_1.tif").data, nc.threshold(image))


def test_keys_that_look_like_paths_stay_in_the_folder(folder: Path, image: np.ndarray) -> None:
    np.savez("set.npz", **{"../escaped": image, "sub/name": image})
    assert main(["threshold", "set.npz:*", "out/in"]) == 0
    assert sorted(path.name for path in Path("out/in").glob("*.tif")) == [".._escaped.tif", "sub_name.tif"]
    assert [path.name for path in Path("out").iterdir()] == ["in"]


# evaluate, run, methods, doctor --------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_evaluate(image: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    io.write("labels.tif", Volume((image > 105).astype(np.uint8), "yx"))
    assert main(["evaluate", "labels.tif", "truth.tif", "--csv", "s.csv", "--json", "s.json"]) == 0
    said = capsys.readouterr().out
    expected = nc.evaluate(image > 105, image > 50)
    assert f"mean of the classes: IoU {expected.mean_iou:.4f}, Dice {expected.mean_dice:.4f}" in said
    assert "Unpainted voxels of the truth (0, 79.2% of all) were read as background" in said
    assert json.loads(Path("s.json").read_text())["mean_iou"] == expected.mean_iou
    assert Path("s.csv").read_text().startswith("class,iou,dice,")
    assert "'s.csv' exists already; choose another name, or give --overwrite" in fails(
        capsys, "evaluate", "labels.tif", "truth.tif", "--csv", "s.csv"
    )
    assert main(["evaluate", "labels.tif", "truth.tif", "--csv", "s.csv", "--overwrite", "--match", "value"]) == 0
    assert "labels matched by value" in capsys.readouterr().out
    io.write("small.tif", Volume(np.ones((2, 3), np.uint8), "yx"))
    assert "(24, 30)" in fails(capsys, "evaluate", "labels.tif", "small.tif")


@pytest.mark.usefixtures("folder")
def test_evaluate_over_folders(image: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("p", "t"):
        Path(name).mkdir()
        for stem in "ab":
            io.write(f"{name}/{stem}.tif", Volume((image > 50).astype(np.uint8), "yx"))
    assert main(["evaluate", "p", "t/*.tif", "--csv", "s.csv"]) == 0
    assert "evaluate: 2 images, 0 of them with errors" in capsys.readouterr().out
    assert len(Path("s.csv").read_text().splitlines()) == 3
    both = Volume(np.where(image > 120, 2, image > 50).astype(np.uint8), "yx")
    io.write("t/b.tif", both, overwrite=True)
    capsys.readouterr()
    assert main(["evaluate", "p", "t", "--json", "s.json"]) == 0
    assert "any label but 0 is object (matched by binary)." in capsys.readouterr().out, "one rule for both"
    assert json.loads(Path("s.json").read_text())["match"] == "binary"
    assert main(["threshold", "p", "cut", "--truth", "t"]) == 0
    assert "different rules" not in capsys.readouterr().out, "a run scores by the rule that evaluate takes"
    with Path("cut/scores.csv").open(newline="") as file:
        assert [row["match"] for row in csv.DictReader(file)] == ["binary", "binary"]


@pytest.mark.usefixtures("folder")
def test_evaluate_lists_what_has_no_partner_on_either_side(
    image: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, stems in (("p", "abc"), ("t", "bcd")):
        Path(name).mkdir()
        for stem in stems:
            io.write(f"{name}/{stem}.tif", Volume((image > 50).astype(np.uint8), "yx"))
    io.write("p/c.png", Volume((image > 50).astype(np.uint8), "yx"))
    io.write("t/b.tif", Volume((image[1:] > 50).astype(np.uint8), "yx"), overwrite=True)
    io.write("p/e.tif", Volume((image > 50).astype(np.uint8), "yx"))
    io.write("t/e.tif", Volume((image > 90).astype(np.uint8), "yx"))
    assert main(["evaluate", "p", "t", "--csv", "s.csv"]) == cli.SOME_FAILED
    said = capsys.readouterr()
    assert "evaluate: 5 images, 4 of them with errors" in said.out
    assert "1 of 3 pairs scored, 2 not, for the reason in its row, 1 file of labels without a partner, " in said.out
    assert "1 truth without" in said.out
    with Path("s.csv").open(newline="") as file:
        errors = {Path(row["image"]).stem: row["error"] for row in csv.DictReader(file)}
    assert errors["e"] == ""
    assert errors["a"] == "no truth is named like it"
    assert errors["d"] == "no labels are named like it"
    assert "truth must have the shape of predicted, (24, 30), but has (23, 30)" in errors["b"]
    assert errors["c"].startswith("2 files of labels and 1 truths have this name")
    assert all(f"{name}: {error}" in said.err for name, error in errors.items() if name in "bc")


@pytest.mark.usefixtures("folder")
def test_evaluate_scores_surfaces_in_world_units(image: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    labels, truth = (image > 105).astype(np.uint8), (image > 50).astype(np.uint8)
    for name, array in (("p", labels), ("t", truth)):
        Path(name).mkdir()
        io.write(f"{name}/a.tif", Volume(array, "yx", (0.5, 0.25), "micrometer"))
        # the same in nanometres: lengths are those of the first image
        io.write(f"{name}/b.tif", Volume(array, "yx", (500.0, 250.0), "nanometer"))
    expected = nc.evaluate_boundaries(labels, truth, spacing=(0.5, 0.25))
    assert main(["evaluate", "p", "t", "--boundaries", "--csv", "s.csv"]) == 0
    with Path("s.csv").open(newline="") as file:
        assert [float(row["assd"]) for row in csv.DictReader(file)] == pytest.approx([expected.assd[0]] * 2)
    assert main(["evaluate", "p/a.tif", "t/a.tif", "--boundaries", "--spacing", "2,1", "--tolerance", "3"]) == 0
    twice = nc.evaluate_boundaries(labels, truth, spacing=(2, 1), tolerance=3)
    assert twice.summary() in capsys.readouterr().out
    io.write("t/b.tif", Volume(truth, "yx"), overwrite=True)
    io.write("p/b.tif", Volume(truth, "yx"), overwrite=True)
    assert main(["evaluate", "p", "t", "--boundaries"]) == cli.SOME_FAILED
    assert "b: its voxels have a size in no known unit, and those of the first image in micrometer" in (
        capsys.readouterr().err
    )
    assert "give --boundaries, too" in fails(capsys, "evaluate", "p", "t", "--tolerance", "2")


@pytest.fixture
def numbered(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels and a truth that number objects, each in its own order: one is split, two are merged. Written to files."""
    truth, labels = np.zeros((2, 12, 20), np.uint8)
    for number, (row, column) in enumerate([(0, 0), (0, 8), (0, 13), (7, 0), (7, 8)], start=1):
        truth[row : row + 5, column : column + 5] = number
    labels[:] = np.choose(truth, [0, 4, 3, 3, 2, 1])
    labels[0:2, 0:5] = 9
    for name, array in (("labels", labels), ("truth", truth)):
        Path(name).mkdir()
        io.write(f"{name}/a.tif", Volume(array, "yx"))
        io.write(f"{name}/b.tif", Volume(array * (name == "truth"), "yx"))  # nothing was found
    return labels, truth


def test_objects_are_scored_where_labels_number_them(
    numbered: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = nc.evaluate_objects(*numbered)
    assert (expected.split, expected.merged, expected.count_error) == ((1,), (3,), 0)
    words = ["evaluate", "labels/a.tif", "truth/a.tif", "--json", "s.json", "--objects", "o.csv"]
    assert main(words) == 0
    assert expected.summary() in capsys.readouterr().out
    assert json.loads(Path("s.json").read_text())["objects"] == json.loads(json.dumps(expected.as_dict()))
    assert Path("o.csv").read_text().splitlines()[:2] == [
        "kind,true,predicted,iou,dice,true_size,predicted_size,counted",
        "matched,1,4,0.6,0.75,25,15,True",
    ]
    assert "'o.csv' exists already" in fails(capsys, *words[:3], "--objects", "o.csv")
    assert "--objects holds the objects of one pair" in fails(
        capsys, "evaluate", "labels", "truth", "--objects", "x.csv"
    )


def test_a_table_of_images_has_objects_where_one_of_them_numbers_them(
    numbered: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = nc.evaluate_objects(*numbered).at(0.5)
    assert main(["evaluate", "labels", "truth", "--csv", "s.csv"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ap (IoU 0.5)")]
    # pooled: in the other image five more objects were missed; image-mean: AP is 0 there
    pooled = expected["tp"] / (expected["tp"] + expected["fp"] + expected["fn"] + 5)
    assert line.split()[3] == f"{pooled:.4f}"
    assert line.split()[6] == f"{expected['ap'] / 2:.4f}"
    with Path("s.csv").open(newline="") as file:
        a, b = csv.DictReader(file)
    assert (float(a["AP@0.5"]), float(a["F1@0.5"]), float(a["PQ@0.5"])) == (
        expected["ap"],
        expected["f1"],
        expected["pq"],
    )
    assert (a["count_error"], a["split"], a["merged"]) == ("0", "1", "1")
    assert (b["AP@0.5"], b["count_error"], b["split"]) == ("0.0", "-5", "0"), "an image where nothing was found counts"
    masks = ["evaluate", "truth", "truth", "--match", "value", "--csv", "m.csv"]
    assert main(masks) == 0
    assert "AP@0.5" not in Path("m.csv").read_text()


def test_a_run_scores_the_objects_that_it_numbers(
    numbered: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    labels, truth = numbered
    Path("in").mkdir()
    for name in "ab":
        io.write(f"in/{name}.tif", Volume((labels > 0).astype(np.uint16), "yx"), kind="image")
    assert main(["threshold", "in", "out", "--truth", "truth", "--one-per-object"]) == 0
    expected = nc.evaluate_objects(nc.components(labels > 0), truth.astype(np.int32)).at(0.5)
    said = capsys.readouterr().out
    assert f", AP@0.5 {expected['ap']:.4f}, " in said
    with Path("out/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["AP@0.5"]) for row in rows] == [expected["ap"]] * 2
    assert [(row["image"], row["folder"], row["source"]) for row in rows] == [
        ("a", "in", "in/a.tif"),
        ("b", "in", "in/b.tif"),
    ]
    assert main(["evaluate", "out", "truth", "--json", "pooled.json"]) == 0
    figures = {(one["figure"], one["of"]): one for one in json.loads(Path("pooled.json").read_text())["figures"]}
    for way, title in (("pooled", "pooled"), ("image_mean", "image-mean")):
        named = {"IoU": ("iou", ""), "AP@0.5": ("ap", "IoU 0.5"), "PQ@0.5": ("pq", "IoU 0.5")}
        line = next(one for one in said.splitlines() if one.startswith(f"{title} of 2 scored images: "))
        assert all(f"{name} {figures[key][way]:.4f}" in line for name, key in named.items()), line
    capsys.readouterr()
    assert main(["threshold", "in/a.tif", "a.tif", "--truth", "truth/a.tif", "--one-per-object"]) == 0
    assert f"objects: AP@0.5 {expected['ap']:.4f}, " in capsys.readouterr().out
    assert main(["threshold", "in/a.tif", "b.tif", "--truth", "truth/a.tif"]) == 0
    assert "objects: " not in capsys.readouterr().out, "a mask numbers nothing"
    io.write("same.tif", Volume(nc.components(labels > 0), "yx"))
    assert main(["threshold", "in/a.tif", "c.tif", "--truth", "same.tif", "--one-per-object"]) == 0
    said = capsys.readouterr().out
    assert "labels matched: value" in said, "numbers that agree could be classes"
    assert "objects: AP@0.5 1.0000, " in said, "but it is known that they are not"


@pytest.mark.usefixtures("folder")
def test_run_gives_what_the_recipe_gives(image: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe([Step("back_projection", {"fit": 0.5}, {"markers": "strokes", "mask": "mask"})])
    recipe.save("r.json")
    words = ["r.json", "image.tif", "labels.tif", "--input", "strokes=strokes.tif", "--mask", "truth.tif"]
    assert main(["run", *words]) == 0
    assert capsys.readouterr().out.startswith("r.json: class 1 ")
    result = run(recipe, "image.tif", inputs={"strokes": "strokes.tif", "mask": "truth.tif"})
    assert isinstance(result, Result)
    np.testing.assert_array_equal(io.read("labels.tif").data, result.labels)
    assert "the recipe needs the input 'strokes'" in fails(
        capsys, "run", "r.json", "image.tif", "x.tif", "--mask", "truth.tif"
    )
    assert "--input must be name=file, got 'strokes'" in fails(capsys, "run", *words[:2], "x.tif", "--input", "strokes")
    Path("bad.json").write_text("{}")
    assert "'bad.json': this is no recipe" in fails(capsys, "run", "bad.json", "image.tif", "x.tif")


def test_methods_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["method", "row", "needs", "agreement", "what", "it", "does"]
    assert [line.split()[0] for line in lines] == list(catalog.methods())
    for line, entry in zip(lines, catalog.methods().values(), strict=True):
        assert line.endswith(entry.summary)
        assert entry.needs in line.split()


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    missing = _device.GpuStatus(False, "CuPy is not installed", 'pip install "napari-cutout[cuda13]"', cuda="13.0")
    monkeypatch.setattr(_device, "gpu_status", lambda: missing)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    for name in (
        "napari-cutout",
        "Python",
        "platform",
        "free memory",
        "CUDA",
        "CuPy",
        "cuCIM",
        "PyTorch",
        "napari",
        "Qt",
    ):
        assert re.search(rf"^{re.escape(name)} .*\S", said, re.MULTILINE), name
    assert "GPU            not usable: CuPy is not installed" in said
    assert 'to use a GPU: pip install "napari-cutout[cuda13]"' in said

    monkeypatch.setattr(doctor, "version", lambda package: "" if package == "napari" else "1.0")
    assert 'to work in napari: pip install "napari-cutout[app]"' in doctor.diagnosis()

    monkeypatch.setattr(_device, "cupy_packages", lambda: ["cucim-cu13", "cupy-cuda13x"])
    usable = _device.GpuStatus(True, name="NVIDIA H200", driver="580", cuda="13.0", free=3 << 30, total=4 << 30)
    monkeypatch.setattr(_device, "gpu_status", lambda: usable)
    monkeypatch.setattr(doctor, "version", lambda package: "1.0")
    monkeypatch.setattr(doctor, "qt_binding", lambda: "PySide6 6.12")
    monkeypatch.setattr(doctor, "_what_torch_uses", lambda: "built for CUDA 13.0, U-Nets run on NVIDIA H200")
    lines = doctor.diagnosis()
    assert "GPU            NVIDIA H200, 3.0 GiB of 4.0 GiB free" in lines
    assert "PyTorch        1.0, built for CUDA 13.0, U-Nets run on NVIDIA H200" in lines
    assert lines[-1] == "nothing is missing"

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(_device, "cupy_packages", lambda: ["cupy-cuda12x"])
    assert doctor.diagnosis()[-1] == 'cuCIM is missing beside CuPy: pip install "napari-cutout[cuda12]"'
    monkeypatch.setattr(sys, "platform", "win32")  # there is no cuCIM for it
    assert doctor.diagnosis()[-1] == "nothing is missing"


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{nc.__version__}\n"
    assert main([]) == 0
    said = capsys.readouterr().out
    for name in ("threshold", "multi-otsu", "evaluate", "run", "methods", "demo", "doctor"):
        assert f" {name}" in said


# What is wrong -------------------------------------------------------------------------------------------


SENTENCES = {
    "no command": (["thresh", "image.tif", "x.tif"], 'Unknown command "thresh". Did you mean "threshold"?'),
    "no output": (["threshold", "image.tif"], "parameter OUTPUT"),
    "no option": (["threshold", "image.tif", "x.tif", "--sgima", "1"], "Unknown option: --sgima"),
    "no choice": (["threshold", "image.tif", "x.tif", "--method", "otto"], 'Invalid value "otto" for --method'),
    "no number": (["threshold", "image.tif", "x.tif", "--sigma", "big"], 'Invalid value for --sigma: unable'),
    "no required": (["threshold-at", "image.tif", "x.tif"], "--value requires an argument"),
    "no markers": (["back-projection", "image.tif", "x.tif"], "--markers requires an argument"),
    "range": (["threshold", "image.tif", "x.tif", "--sigma", "-1"], "sigma must be between 0 and 1000, got -1.0"),
    "spacing": (["threshold", "image.tif", "x.tif", "--spacing", "1", "0"], "spacing must be positive and finite"),
    "no file": (["threshold", "none.tif", "x.tif"], "there is no file 'none.tif'"),
    "no pattern": (["threshold", "none*.tif", "x"], "there is no file 'none*.tif'"),
    "broken": (["threshold", "broken.tif", "x.tif"], "cannot read 'broken.tif'"),
    "ending": (["threshold", "image.tif", "x.jpg"], "labels are written as .tif, .tiff, .png, .npy, .zarr, not as"),
    "exists": (["threshold", "image.tif", "truth.tif"], "exists already; choose another name, or give --overwrite"),
    "itself": (["threshold", "image.tif", "image.tif", "--overwrite"], "the labels would replace 'image.tif', which"),
    "no folder": (["threshold", "image.tif", "none/x.tif"], "there is no folder 'none'"),
    "gpu": (["threshold", "image.tif", "x.tif", "--device", "gpu"], "install one, or give --device cpu"),
    "recipe out": (["threshold", "image.tif", "x.tif", "--recipe-out", "truth.tif"], "'truth.tif' exists already"),
    "float mask": (["threshold", "image.tif", "x.tif", "--mask", "floats.npy"], "mask must hold booleans, got dtype"),
    "complex": (["threshold", "complex.npy", "x.tif"], "image must be real, got dtype complex128"),
    "constant": (["threshold", "constant.npy", "x.tif"], "grey level"),
    "objects": (["threshold", "objects.npy", "x.tif"], "Python objects, which are not loaded"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("python", "here"),
    [
        ("choose frame=0 to 4", "choose --frame 0 to 4"),
        ("choose channel=0 to 2, or channel='mean'", "choose --channel 0 to 2, or --channel mean"),
        ("'a.csv' exists already; or allow to overwrite it", "'a.csv' exists already; or give --overwrite"),
        ("set one_per_object=True, or use 'cpu'", "set --one-per-object, or give --device cpu"),
        ("give it as `ignore` or `xyz`", "give it as --ignore or `xyz`"),
        ("there is no file 'channel=0 mean.tif'", "there is no file 'channel=0 mean.tif'"),
        ("Otsu's even=3 of a=5", "Otsu's even=3 of a=5"),
        ("or channel_axis=-1 for all of them", "or --axes yxc for all of them"),
        ("has channel_axis=0; leave channel_axis out", "has channel_axis=0; leave channel_axis out"),
    ],
)
def test_the_way_out_is_spelled_as_options(python: str, here: str) -> None:
    assert cli.as_options(python) == here


@pytest.mark.parametrize(("tokens", "text"), SENTENCES.values(), ids=SENTENCES)
def test_bad_input_is_one_sentence(
    tokens: list[str], text: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = _device.GpuStatus(False, "there is no driver", "install one")
    monkeypatch.setattr(_device, "gpu_status", lambda: missing)
    Path("broken.tif").write_bytes(Path("image.tif").read_bytes()[:100])
    np.save("floats.npy", np.ones((24, 30)))
    np.save("complex.npy", np.ones((24, 30), complex))
    np.save("constant.npy", np.ones((24, 30), np.uint8))
    np.save("objects.npy", np.array([[None, 1]], object))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert text in fails(capsys, *tokens)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.usefixtures("folder")
def test_memory_and_cancelling(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def ending(error: BaseException) -> None:
        def execute(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("napari_cutout.running._batch.execute", execute)

    ending(MemoryError())
    assert fails(capsys, "threshold", "image.tif", "x.tif").startswith("memory ran out; crop the image")
    for error in (KeyboardInterrupt(), nc.Cancelled("cancelled")):
        ending(error)
        assert main(["threshold", "image.tif", "x.tif"]) == cli.CANCELLED
        assert capsys.readouterr().err == "cancelled; files that were complete stay\n"
    ending(ZeroDivisionError("a bug of ours"))
    with pytest.raises(ZeroDivisionError):
        main(["threshold", "image.tif", "x.tif"])


@pytest.mark.usefixtures("folder")
def test_the_traceback_can_be_had(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CUTOUT_TRACEBACK", "1")
    assert main(["threshold", "none.tif", "x.tif"]) == cli.BAD_INPUT
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert said.splitlines()[-1] == "napari-cutout: there is no file 'none.tif'"


@pytest.mark.usefixtures("folder")
def test_progress_is_shown_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["threshold", "image.tif", "a.tif"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["threshold", "image.tif", "b.tif"]) == 0
    assert "labelling voxels   0%" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_as_a_program() -> None:
    environment = {**os.environ, "NAPARI_CUTOUT_TRACEBACK": ""}

    def program(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "napari_cutout", *words]
        return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)

    bad = program("threshold", "none.tif", "x.tif")
    assert (bad.returncode, bad.stdout, bad.stderr) == (2, "", "napari-cutout: there is no file 'none.tif'\n")
    good = program("threshold", "image.tif", "x.tif")
    assert (good.returncode, good.stderr) == (0, "")
    assert Path("x.tif").exists()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from napari_cutout.cli import main; main(['--help']); "
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = said.splitlines()[-1].split()
    assert not {"numba", "scipy", "skimage", "dask", "zarr", "tifffile", "napari", "qtpy", "torch", "PIL"} & set(loaded)
