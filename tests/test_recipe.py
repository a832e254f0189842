"""Recipes: checked when made, the same after JSON, the same labels as the API, on arrays, files and folders."""

from __future__ import annotations

import copy
import csv
import json
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout import _device, catalog, io
from napari_cutout._method import Param
from napari_cutout.io import Volume
from napari_cutout.recipe import Recipe, Step
from napari_cutout.running import _batch
from napari_cutout.running._batch import Batch, run
from napari_cutout.running._execute import Result, execute

from .cases import arrays_of, settings_of

OTSU = Recipe([Step("threshold")])


@pytest.fixture
def image() -> np.ndarray:
    """Four squares, of which the last is one voxel, on a noisy ground."""
    grey = np.random.default_rng(0).integers(10, 20, (24, 30)).astype(np.uint16)
    for number, (row, column, edge) in enumerate([(2, 2, 6), (2, 16, 8), (14, 4, 7), (20, 24, 1)]):
        grey[row : row + edge, column : column + edge] = 100 + 10 * number
    return grey


@pytest.fixture
def truth(image: np.ndarray) -> np.ndarray:
    return (image > 50).astype(np.uint8)


def save(path: Path, array: np.ndarray, axes: str = "", spacing: tuple[float, ...] | None = None) -> Path:
    volume = Volume(array, axes or "zyx"[-array.ndim :], spacing, "micrometer" if spacing else None)
    return io.write(path, volume, kind="image")


# Steps and recipes -------------------------------------------------------------------------------------


def values_of(param: Param) -> st.SearchStrategy[Any]:
    """Return values that a setting allows."""
    if param.choices:
        values: st.SearchStrategy[Any] = st.sampled_from(param.choices)
    elif param.folder:
        values = st.text(min_size=1).filter(lambda path: path.strip("\0 "))
    elif param.type is bool:
        values = st.booleans()
    elif param.type is tuple:
        words = get_args(param.item)
        item = st.sampled_from(words) if words else st.integers(1, 100) if param.item is int else st.floats(0.1, 100)
        values = st.lists(item, min_size=2, max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
    elif param.type is int:
        values = st.integers(int(param.range.min), int(param.range.max)) if param.range else st.integers()
    else:
        low, high = (param.range.min, param.range.max) if param.range else (None, None)
        values = st.floats(low, high, allow_nan=False, allow_infinity=False)
    return values | st.none() if param.optional else values


@st.composite
def steps(draw: st.DrawFn) -> Step:
    entry = catalog.find(draw(st.sampled_from(list(catalog.methods()))))
    optional = draw(st.sets(st.sampled_from([p.name for p in entry.settings])))
    settings = {p.name: draw(values_of(p)) for p in entry.settings if p.required or p.name in optional}
    masked = draw(st.booleans()) and any(p.name == "mask" for p in entry.arrays)
    inputs = {"mask": draw(st.sampled_from(["mask", "where"]))} if masked else {}
    return Step(entry.name, settings, inputs)


@given(st.lists(steps(), min_size=1, max_size=3).map(Recipe))
def test_a_recipe_survives_json_copying_and_pickling(recipe: Recipe) -> None:
    for again in (Recipe.from_json(recipe.to_json()), copy.deepcopy(recipe), pickle.loads(pickle.dumps(recipe))):
        assert again == recipe
        assert again.to_json() == recipe.to_json()


def test_equal_settings_make_equal_steps() -> None:
    ours = Step("sauvola", {"window": np.float64(25), "spacing": np.array([2, 1]), "min_size": np.int32(3)})
    assert ours == Step("sauvola", {"window": 25.0, "spacing": [2.0, 1.0], "min_size": 3})
    assert ours != Step("sauvola", {"window": 27.0})
    with pytest.raises(TypeError):
        ours.settings["window"] = 1  # type: ignore[index]


def test_settings_in_full() -> None:
    complete = Step("niblack", {"k": 0.5}).complete_settings
    assert complete["k"] == 0.5
    assert complete["window"] == 25.0
    assert set(complete) == {p.name for p in catalog.find("niblack").settings}


BAD_STEPS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "method": (lambda: Step("threshhold"), ValueError, "there is no method 'threshhold'; there are: threshold, "),
    "setting": (lambda: Step("sauvola", {"widnow": 25}), ValueError, "sauvola has no setting 'widnow'; it has: window"),
    "missing": (
        lambda: Step("threshold_at"),
        ValueError,
        "threshold_at needs the setting 'value', which has no default",
    ),
    "range": (lambda: Step("threshold", {"sigma": -1}), ValueError, "sigma must be between 0 and 1000, got -1"),
    "kind": (lambda: Step("threshold", {"fill_holes": 1}), TypeError, "fill_holes must be of type bool, got 1"),
    "choice": (lambda: Step("threshold", {"method": "otto"}), ValueError, "method must be one of 'otsu', "),
    "spacing": (lambda: Step("threshold", {"spacing": (1, -1)}), ValueError, "spacing must be positive and finite"),
    "spacing length": (lambda: Step("threshold", {"spacing": [1]}), ValueError, "two or three of them, got (1,)"),
    "spacing text": (lambda: Step("threshold", {"spacing": "1"}), ValueError, "spacing must be one length per axis"),
    "array": (
        lambda: Step("threshold", {}, {"marks": "a"}),
        ValueError,
        "threshold takes no array 'marks'; it takes: image",
    ),
    "source": (lambda: Step("threshold", {}, {"mask": ""}), ValueError, "the source of 'mask' must be the name of an"),
    "no step": (lambda: Recipe([]), ValueError, "a recipe needs at least one step, got none"),
    "no Step": (lambda: Recipe(["otsu"]), TypeError, "the steps of a recipe must be Step, got 'otsu' of type str"),  # type: ignore[list-item]
    "order": (
        lambda: Recipe([Step("threshold", {}, {"mask": "step_1"})]),
        ValueError,
        "step 1, threshold, reads 'step_1', which does not come before it; reorder the steps",
    ),
}


@pytest.mark.parametrize(("make", "kind", "text"), BAD_STEPS.values(), ids=BAD_STEPS)
def test_what_is_wrong_is_said_when_it_is_made(make: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        make()


def content(**changes: Any) -> str:
    whole = {"format": "napari-cutout recipe", "version": 1, "steps": [{"method": "threshold"}]}
    return json.dumps({k: v for k, v in {**whole, **changes}.items() if v is not None})


BAD_JSON = {
    "no JSON": ("{", "this is no recipe, because it is no JSON (Expecting property name"),
    "deep": ("[" * 100_000, "this is no recipe, because it is no JSON ("),
    "list": ("[]", "this is no recipe, because it has no entry 'format': 'napari-cutout recipe'"),
    "other": (content(format="x"), "this is no recipe, because it has no entry 'format'"),
    "no version": (content(version=None), "the recipe's version must be a whole number from 1, got None"),
    "newer": (content(version=4), "the recipe has version 4 and this program reads up to 3; update napari-cutout"),
    "no steps": (content(steps=None), "the recipe's steps must be a list, got None"),
    "empty": (content(steps=[]), "a recipe needs at least one step, got none"),
    "unknown entry": (content(stops=[]), "the recipe has an entry 'stops'; it may have format, version, "),
    "step": (content(steps=["otsu"]), "step 1 of the recipe is not right: it must be an object with method, settings"),
    "step entry": (
        content(steps=[{"method": "threshold", "sigma": 1}]),
        "step 1 of the recipe is not right: it must be",
    ),
    "settings": (
        content(steps=[{"method": "threshold", "settings": [1]}]),
        "step 1 of the recipe is not right: settings and inputs must be objects, got [1]",
    ),
    "value": (
        content(steps=[{"method": "threshold"}, {"method": "sauvola", "settings": {"k": "x"}}]),
        "step 2 of the recipe is not right: k must be of type float, got 'x' of type str",
    ),
    "NaN": (
        content(steps=[{"method": "threshold", "settings": {"sigma": float("nan")}}]),
        "step 1 of the recipe is not right: sigma must be a finite number, got nan",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_JSON.values(), ids=BAD_JSON)
def test_json_that_is_no_recipe_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe.from_json(text)
    path = tmp_path / "recipe.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"{str(path)!r}: {message}")):
        Recipe.load(path)


def test_recipes_in_files(tmp_path: Path) -> None:
    path = OTSU.save(tmp_path / "otsu.json")
    assert Recipe.load(path) == OTSU
    with pytest.raises(FileExistsError, match="exists already; choose another name"):
        Recipe([Step("niblack")]).save(path)
    assert Recipe.load(path) == OTSU
    Recipe([Step("niblack")]).save(path, overwrite=True)
    assert Recipe.load(path) == Recipe([Step("niblack")])
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is no text, so it is no recipe"):
        Recipe.load(path)
    with pytest.raises(FileNotFoundError, match=r"there is no file .* to read a recipe from"):
        Recipe.load(tmp_path / "none.json")
    assert [p.name for p in tmp_path.iterdir()] == ["otsu.json"]


# Running on arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalog.methods())
def test_a_recipe_gives_what_the_api_gives(name: str, image: np.ndarray) -> None:
    entry = catalog.find(name)
    settings = settings_of(entry)
    settings |= {"n_classes": 2} if name == "histogram_segmentation" else {}
    arrays = arrays_of(entry, image)
    if entry.needs == "strokes":
        arrays["markers"] = 1 + (image > 115).astype(np.uint8)
    for array in arrays.values():
        array.flags.writeable = False
    result = execute(Recipe([Step(name, settings)]), arrays, spacing=(2.0, 1.0))
    lengths = {"spacing": (2.0, 1.0)} if any(p.name == "spacing" for p in entry.settings) else {}
    expected = entry(**arrays, **settings, **lengths)
    np.testing.assert_array_equal(result.labels, expected)
    assert result.labels.dtype == expected.dtype
    assert result.provenance == json.loads(json.dumps(result.provenance))


def test_steps_read_what_earlier_steps_returned(image: np.ndarray) -> None:
    recipe = Recipe(
        [
            Step("threshold", {"min_size": 4}),
            Step("multi_otsu", {"n_classes": 2}, {"mask": "step_1"}),
        ]
    )
    assert recipe.inputs == ("image",)
    result = execute(recipe, {"image": image})
    inside = nc.threshold(image, min_size=4)
    np.testing.assert_array_equal(result.labels, nc.multi_otsu(image, inside, n_classes=2))
    assert [step["method"] for step in result.provenance["steps"]] == ["threshold", "multi_otsu"]
    assert set(result.provenance["facts"]) >= {"threshold", "thresholds"}


def test_provenance_says_what_ran(image: np.ndarray) -> None:
    result = execute(OTSU, {"image": image}, spacing=(0.5, 0.5), device="cpu")
    ran = result.provenance
    assert Recipe.from_json(json.dumps(ran["recipe"])) == OTSU
    assert ran["device"] | {"name": ""} == {"asked": "cpu", "used": "cpu", "reason": "it was asked for", "name": ""}
    assert ran["device"]["name"]
    assert ran["versions"]["napari-cutout"] == nc.__version__
    assert ran["versions"]["numpy"] == np.__version__
    assert ran["inputs"] == {"image": {"shape": [24, 30], "dtype": "uint16"}}
    assert ran["tiling"] == "whole"
    assert ran["seconds"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", ran["time"])
    (step,) = ran["steps"]
    assert step["settings"]["spacing"] == [0.5, 0.5]
    assert step["settings"]["method"] == "otsu"
    assert step["facts"] == ran["facts"] == {"threshold": ran["facts"]["threshold"]}


def test_a_spacing_in_the_recipe_wins(image: np.ndarray) -> None:
    recipe = Recipe([Step("local_mean", {"spacing": (4.0, 1.0)})])
    result = execute(recipe, {"image": image}, spacing=(1.0, 1.0))
    np.testing.assert_array_equal(result.labels, nc.local_mean(image, spacing=(4.0, 1.0)))
    assert (result.labels != nc.local_mean(image, spacing=(1.0, 1.0))).any()


def test_inputs_are_checked(image: np.ndarray) -> None:
    masked = Recipe([Step("threshold", {}, {"mask": "cells"})])
    with pytest.raises(ValueError, match="the recipe needs the input 'cells'; it reads: image, cells"):
        execute(masked, {"image": image})
    with pytest.raises(ValueError, match="does not read the input 'mask'; it reads: image"):
        execute(OTSU, {"image": image, "mask": image > 50})
    with pytest.raises(TypeError, match=r"the input 'image' must be an array, got list; pass numpy\.asarray"):
        execute(OTSU, {"image": [[1, 2]]})


def test_a_missing_gpu_is_an_error_where_it_was_asked_for(image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = _device.GpuStatus(False, "there is no NVIDIA driver", "install one")
    monkeypatch.setattr(_device, "gpu_status", lambda: missing)
    with pytest.raises(ValueError, match="device='gpu' cannot be used because there is no NVIDIA driver; install one"):
        execute(OTSU, {"image": image}, device="gpu")
    assert execute(OTSU, {"image": image}).provenance["device"]["reason"] == "there is no NVIDIA driver"


@pytest.fixture
def failing_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is found, and runs out of memory as soon as it is used."""
    place = _device.place

    def failing(array: Any, used: str) -> Any:
        if used == "gpu":
            raise MemoryError("out of memory allocating 64 bytes")
        return place(array, used)  # type: ignore[arg-type]

    monkeypatch.setattr(_device, "place", failing)
    monkeypatch.setattr(
        _device, "choose", lambda n, b, asked: _device.Choice(asked, "cpu" if asked == "cpu" else "gpu", "it is there")
    )
    monkeypatch.setattr(_device, "gpu_status", lambda: _device.GpuStatus(True, name="a GPU", free=1 << 34))


@pytest.mark.usefixtures("failing_gpu")
def test_a_gpu_that_fails_on_the_way_is_replaced_and_that_is_said(image: np.ndarray) -> None:
    result = execute(OTSU, {"image": image})
    np.testing.assert_array_equal(result.labels, nc.threshold(image))
    device = result.provenance["device"]
    assert device["used"] == "cpu"
    assert device["reason"] == "the GPU failed (MemoryError: out of memory allocating 64 bytes)"
    with pytest.raises(MemoryError, match="out of memory"):
        execute(OTSU, {"image": image}, device="gpu")


@pytest.mark.gpu
def test_a_real_gpu_runs_a_recipe_and_says_so(image: np.ndarray, to_gpu: Any) -> None:
    steps = [Step("threshold", settings={"one_per_object": True}), Step("split_touching", inputs={"labels": "step_1"})]
    recipe = Recipe(steps)
    result = execute(recipe, {"image": image}, device="gpu")
    np.testing.assert_array_equal(result.labels, execute(recipe, {"image": image}, device="cpu").labels)
    assert result.provenance["device"]["used"] == "gpu"
    assert result.provenance["device"]["name"] == _device.gpu_status().name
    assert "cupy" in result.provenance["versions"]


@pytest.fixture
def gpu_limit(to_gpu: Any) -> Iterator[Callable[[int], None]]:
    """Return a function that lets CuPy take so many bytes beyond what it holds."""
    import cupy

    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    yield lambda n_bytes: pool.set_limit(size=pool.used_bytes() + n_bytes)
    pool.set_limit(size=0)


@pytest.mark.gpu
def test_a_real_gpu_that_runs_out_of_memory_goes_on_in_tiles(gpu_limit: Callable[[int], None]) -> None:
    large = np.random.default_rng(0).integers(0, 999, (96, 128, 128), np.uint16)
    gpu_limit(4 * large.nbytes)
    result = execute(OTSU, {"image": large}, device="gpu")
    assert result.provenance["device"]["used"] == "gpu"
    assert "went on in tiles of" in result.provenance["out_of_memory"]
    np.testing.assert_array_equal(result.labels, nc.threshold(large))


@pytest.mark.gpu
def test_a_real_gpu_too_small_for_any_tile_is_replaced(gpu_limit: Callable[[int], None]) -> None:
    large = np.random.default_rng(0).integers(0, 999, (96, 128, 128), np.uint16)
    gpu_limit(64 << 10)
    with pytest.raises(MemoryError):
        execute(OTSU, {"image": large}, device="gpu")
    result = execute(OTSU, {"image": large})
    assert result.provenance["device"]["used"] == "cpu"
    assert result.provenance["device"]["reason"].startswith("the GPU failed (")
    np.testing.assert_array_equal(result.labels, nc.threshold(large))


def test_dask_arrays_run_in_blocks(image: np.ndarray) -> None:
    dask = pytest.importorskip("dask.array")
    lazy = dask.from_array(image, chunks=(7, 11))
    result = execute(OTSU, {"image": lazy})
    np.testing.assert_array_equal(result.labels, nc.threshold(image))
    assert result.provenance["tiling"] == "blocks"
    with pytest.raises(ValueError, match=r"device='gpu' cannot be used on dask arrays .*; name a store as the target"):
        execute(OTSU, {"image": lazy}, device="gpu")


def test_progress_and_cancelling(image: np.ndarray) -> None:
    seen: list[tuple[str, float]] = []
    execute(OTSU, {"image": image}, on_progress=lambda stage, share: seen.append((stage, share)))
    assert {stage for stage, _ in seen} >= {"labelling voxels"}
    assert all(0 <= share <= 1 for _, share in seen)
    with pytest.raises(nc.Cancelled, match="nothing was changed"):
        execute(OTSU, {"image": image}, is_cancelled=lambda: True)


# Running on files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".tif", ".npy", ".png", ".zarr"])
def test_the_labels_are_the_same_for_an_array_a_volume_and_a_file(
    ending: str, image: np.ndarray, tmp_path: Path
) -> None:
    spacing = None if ending == ".npy" else (0.25, 0.5)
    file = save(tmp_path / f"image{ending}", image, spacing=spacing)
    recipe = Recipe([Step("local_mean", {"one_per_object": True})])
    expected = nc.local_mean(image, one_per_object=True, spacing=spacing)
    target = tmp_path / f"labels{ending}"
    result = run(recipe, file, target)
    assert isinstance(result, Result)
    assert result.target == target
    assert result.provenance["source"] == str(file)
    written = io.read(target)
    np.testing.assert_array_equal(written.data, expected)
    np.testing.assert_array_equal(result.labels, expected)
    volume = Volume(image, "yx", spacing, "micrometer" if spacing else None)
    np.testing.assert_array_equal(run(recipe, volume).labels, expected)  # type: ignore[union-attr]
    if spacing:
        assert written.spacing == spacing
        assert written.metadata["provenance"]["recipe"] == json.loads(recipe.to_json())
    else:
        np.testing.assert_array_equal(run(recipe, image).labels, expected)  # type: ignore[union-attr]


def test_the_recipe_beside_the_labels_runs_again(image: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    file, answer = save(tmp_path / "image.tif", image), save(tmp_path / "truth.tif", truth)
    first = run(Step("threshold", {"fill_holes": True}), file, tmp_path / "labels.ome.tif", truth=answer)
    assert isinstance(first, Result)
    assert first.evaluation is not None
    assert first.evaluation.mean_iou == 1
    beside = tmp_path / "labels.ome.tif.recipe.json"
    assert json.loads(beside.read_text())["provenance"]["facts"] == first.provenance["facts"]
    (tmp_path / "out").mkdir()
    again = run(beside, file, tmp_path / "out")
    assert isinstance(again, Result)
    assert again.target == tmp_path / "out" / "image.tif"
    np.testing.assert_array_equal(again.labels, first.labels)


def test_masks_and_markers_come_from_files(image: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    where = np.zeros_like(truth)
    where[:14] = 1
    mask, strokes = save(tmp_path / "mask.png", where * 255), save(tmp_path / "strokes.npy", truth)
    recipe = Recipe([Step("back_projection", {}, {"mask": "mask"})])
    assert recipe.inputs == ("image", "markers", "mask")
    result = run(recipe, image, inputs={"mask": mask, "markers": str(strokes)})
    assert isinstance(result, Result)
    np.testing.assert_array_equal(result.labels, nc.back_projection(image, truth, where))


def test_nothing_is_replaced_unless_it_is_asked_for(image: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    file = save(tmp_path / "image.tif", image)
    for name in ("labels.tif", "labels.tif.recipe.json"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(FileExistsError, match=f"{name}' exists already; choose another name"):
            run(OTSU, file, tmp_path / "labels.tif")
        assert (tmp_path / name).read_text() == "precious"
        assert len(list(tmp_path.glob("labels.*"))) == 1
        (tmp_path / name).unlink()
    for name in ("labels.tif", "labels.tif.recipe.json"):
        (tmp_path / name).write_text("worthless")
    run(OTSU, file, tmp_path / "labels.tif", overwrite=True)
    np.testing.assert_array_equal(io.read(tmp_path / "labels.tif").data, truth)
    assert Recipe.load(tmp_path / "labels.tif.recipe.json") == OTSU


@pytest.mark.parametrize("role", ["source", "truth", "mask"])
def test_what_is_read_is_never_replaced(role: str, image: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    files = {"source": save(tmp_path / "image.tif", image), "truth": save(tmp_path / "truth.tif", truth)}
    files["mask"] = save(tmp_path / "mask.tif", truth)
    before = files[role].read_bytes()
    recipe = Recipe([Step("threshold", {}, {"mask": "mask"})])
    target = tmp_path / "." / files[role].name
    with pytest.raises(ValueError, match=r"the labels would replace .*, which is read; choose another name"):
        run(recipe, files["source"], target, truth=files["truth"], inputs={"mask": files["mask"]}, overwrite=True)
    assert files[role].read_bytes() == before


def test_nothing_is_run_for_a_target_that_cannot_be_written(image: np.ndarray, tmp_path: Path) -> None:
    for bad in ("labels.jpg", "labels"):
        with pytest.raises(ValueError, match=f"written as .tif, .tiff, .png, .npy, .zarr, not as '{bad}'"):
            run(OTSU, image, tmp_path / bad)
    with pytest.raises(ValueError, match=r"not as 'labels\.jpg'"):
        run(OTSU, image, suffix=".jpg")
    assert not list(tmp_path.iterdir())


def test_truth_must_fit(image: np.ndarray, truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match=re.escape("truth must have the shape of image, (24, 30), but has (23, 30)")):
        run(OTSU, image, truth=truth[1:])
    with pytest.raises(TypeError, match="float"):
        run(OTSU, image, truth=truth.astype(float))
    colour = Volume(np.stack([truth] * 3, -1), "yxc", name="answer")
    with pytest.raises(ValueError, match=r"truth 'answer' has 3 channels \(is it a colour picture\?\)"):
        run(OTSU, image, truth=colour)


def test_what_is_run_on_is_what_the_last_step_cuts(image: np.ndarray, truth: np.ndarray) -> None:
    by_name = run(Step("threshold", {}, {"image": "nuclei"}), image)
    assert isinstance(by_name, Result)
    np.testing.assert_array_equal(by_name.labels, nc.threshold(image))
    steps = [Step("threshold", {}, {"image": "cells"}), Step("multi_otsu", {}, {"image": "nuclei", "mask": "step_1"})]
    recipe = Recipe(steps)
    assert recipe.source == "nuclei"
    assert recipe.roles == {"cells": "image", "nuclei": "image"}
    both = run(recipe, image, inputs={"cells": image[::-1]})
    assert isinstance(both, Result)
    np.testing.assert_array_equal(both.labels, nc.multi_otsu(image, nc.threshold(image[::-1])))


def test_a_source_must_be_something_to_read(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="source must be an array, a Volume or a path, got 3 of type int"):
        run(OTSU, 3)
    with pytest.raises(ValueError, match="image must be 2-D"):
        run(OTSU, np.zeros((2, 2, 2, 2), np.uint8))
    with pytest.raises(FileNotFoundError, match="there is no file"):
        run(OTSU, tmp_path / "none.tif")


# Channels and time points --------------------------------------------------------------------------------


@pytest.fixture
def colour(image: np.ndarray) -> Volume:
    channels = [image, image[::-1], np.full_like(image, 7)]
    return Volume(np.stack(channels, -1).astype(np.uint8), "yxc", name="stain")


def test_a_channel_must_be_chosen(colour: Volume, image: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="'stain' has 3 channels and a method cuts one; choose channel=0 to 2, or chann"
    ):
        run(OTSU, colour)
    with pytest.raises(ValueError, match="channel must be between 0 and 2 for 'stain', got 3"):
        run(OTSU, colour, channel=3)
    with pytest.raises(ValueError, match="channel must be a number or 'mean', got 'red'"):
        run(OTSU, colour, channel="red")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="channel 1 was asked for, but 'the image' has no channels"):
        run(OTSU, Volume(image, "yx"), channel=1)
    flipped = run(OTSU, colour, tmp_path / "labels.tif", channel=1)
    assert isinstance(flipped, Result)
    np.testing.assert_array_equal(flipped.labels, nc.threshold(image[::-1]))
    assert io.read(tmp_path / "labels.tif").axes == "yx"
    mean = run(OTSU, colour, channel="mean")
    assert isinstance(mean, Result)
    np.testing.assert_array_equal(mean.labels, nc.threshold(nc.grey(colour.data)))
    grey = run(OTSU, Volume(image, "yx"), channel="mean")
    assert isinstance(grey, Result)
    np.testing.assert_array_equal(grey.labels, nc.threshold(image))


def test_a_time_point_must_be_chosen(image: np.ndarray) -> None:
    series = Volume(np.stack([image, image[:, ::-1]])[:, None], "tcyx", name="movie")
    with pytest.raises(
        ValueError, match=r"'movie' has 2 time points and a method cuts one; choose frame=0 to 1, or each='t' "
    ):
        run(OTSU, series)
    result = run(OTSU, series, frame=1)
    assert isinstance(result, Result)
    np.testing.assert_array_equal(result.labels, nc.threshold(image[:, ::-1]))
    with pytest.raises(ValueError, match="frame must be between 0 and 1 for 'movie', got -1"):
        run(OTSU, series, frame=-1)


# Folders -----------------------------------------------------------------------------------------------


@pytest.fixture
def plate(tmp_path: Path, image: np.ndarray, truth: np.ndarray) -> Path:
    """A folder of three images of which one is constant and cannot be cut, and a folder of two truths."""
    images, truths = tmp_path / "images", tmp_path / "truths"
    images.mkdir()
    truths.mkdir()
    save(images / "a.tif", image)
    save(images / "b.png", image[::-1])
    save(images / "c.npy", np.full_like(image, 5))
    save(truths / "a.png", truth)
    save(truths / "b.tif", np.zeros_like(truth))
    return tmp_path


def test_a_folder_is_run_to_its_end(plate: Path, image: np.ndarray) -> None:
    batch = run(OTSU, plate / "images", plate / "out", truth=plate / "truths")
    assert isinstance(batch, Batch)
    assert [Path(row.source).name for row in batch.rows] == ["a.tif", "b.png", "c.npy"]
    assert [Path(row.source).name for row in batch.failed] == ["c.npy"]
    assert "fewer than" in batch.failed[0].error or "grey level" in batch.failed[0].error
    np.testing.assert_array_equal(io.read(plate / "out" / "a.tif").data, nc.threshold(image))
    assert sorted(p.name for p in (plate / "out").iterdir()) == [
        "a.tif", "a.tif.recipe.json", "b.tif", "b.tif.recipe.json", "scores.csv",
    ]  # fmt: skip
    with (plate / "out" / "scores.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["mean_iou"] for row in table] == ["1.0", "0.0", ""]
    assert [bool(row["error"]) for row in table] == [False, False, True]
    assert table[0]["backend"] == "cpu"
    assert batch.rows[0].labels is None  # written, so not kept in memory


def test_a_pattern_without_a_target_keeps_the_labels(plate: Path, image: np.ndarray) -> None:
    batch = run(OTSU, str(plate / "images" / "[ab].*"))
    assert isinstance(batch, Batch)
    np.testing.assert_array_equal(batch.rows[1].labels, nc.threshold(image[::-1]))
    assert not batch.failed
    path = batch.to_csv(plate / "table.csv")
    assert path.read_text().startswith("image,folder,source,labels,seconds,backend,error\n")
    with pytest.raises(FileExistsError, match="exists already"):
        batch.to_csv(path)


def test_scores_of_another_run_are_not_replaced(plate: Path) -> None:
    (plate / "out").mkdir()
    (plate / "out" / "scores.csv").write_text("precious")
    with pytest.raises(FileExistsError, match=r"scores\.csv' exists already; choose another folder"):
        run(OTSU, plate / "images", plate / "out", truth=plate / "truths")
    assert [p.name for p in (plate / "out").iterdir()] == ["scores.csv"]
    run(OTSU, plate / "images", plate / "out", truth=plate / "truths", overwrite=True)
    assert (plate / "out" / "scores.csv").read_text() != "precious"


def test_labels_that_are_there_are_a_row(plate: Path) -> None:
    (plate / "out").mkdir()
    (plate / "out" / "a.tif").write_text("precious")
    batch = run(OTSU, plate / "images", plate / "out")
    assert isinstance(batch, Batch)
    assert "exists already" in batch.rows[0].error
    assert (plate / "out" / "a.tif").read_text() == "precious"
    assert batch.rows[1].target == plate / "out" / "b.tif"
    (plate / "out" / "c.tif").write_text("precious")
    with pytest.raises(FileExistsError, match=r"all 3 images are in .*; pass resume=True to keep them"):
        run(OTSU, plate / "images", plate / "out", table=plate / "objects.csv")
    assert not (plate / "objects.csv").exists()


def test_an_image_without_a_truth_is_cut_and_said(plate: Path) -> None:
    (plate / "truths" / "b.tif").unlink()
    batch = run(OTSU, str(plate / "images" / "[ab].*"), plate / "out", truth=plate / "truths")
    assert isinstance(batch, Batch)
    assert batch.rows[1].error == "no truth is named like it, so it was cut but not scored; add one or take it out"
    assert (plate / "out" / "b.tif").exists()


def test_masks_of_a_folder_are_paired_too(plate: Path, image: np.ndarray, truth: np.ndarray) -> None:
    recipe = Recipe([Step("threshold", {}, {"mask": "mask"})])
    batch = run(recipe, plate / "images", inputs={"mask": plate / "truths"})
    assert isinstance(batch, Batch)
    assert [row.error.partition(";")[0] for row in batch.rows][::2] == [
        batch.rows[0].error.partition(";")[0],
        "no mask is named like it, so it was left out",
    ]
    one_for_all = run(recipe, str(plate / "images" / "[ab].*"), inputs={"mask": np.ones_like(truth)})
    assert isinstance(one_for_all, Batch)
    np.testing.assert_array_equal(one_for_all.rows[0].labels, nc.threshold(image))


def test_folders_that_cannot_be_run(plate: Path, image: np.ndarray) -> None:
    with pytest.raises(
        ValueError, match=r"3 images need a folder to write to, but .*labels\.tif' is the name of one file"
    ):
        run(OTSU, plate / "images", plate / "labels.tif")
    with pytest.raises(ValueError, match="one truth was given for 3 images; give a folder or a pattern of truths"):
        run(OTSU, plate / "images", truth=plate / "truths" / "a.png")
    (plate / "other").mkdir()
    save(plate / "other" / "z.tif", image)
    with pytest.raises(ValueError, match="no truth is named like an image: images are a, b, c, the others are z; give"):
        run(OTSU, plate / "images", truth=plate / "other")
    save(plate / "images" / "a.png", image)
    with pytest.raises(ValueError, match=r"a\.png' and '.*a\.tif' would both be written to .* under one name"):
        run(OTSU, plate / "images", plate / "out")
    with pytest.raises(ValueError, match=r"a\.png' and '.*a\.tif' have one name, so that no truth can be told"):
        run(OTSU, plate / "images", truth=plate / "truths")
    assert not (plate / "out").exists()


def test_cancelling_a_folder_stops_it(plate: Path) -> None:
    with pytest.raises(nc.Cancelled):
        run(OTSU, plate / "images", plate / "out", is_cancelled=lambda: True)
    assert not list((plate / "out").iterdir())


def test_a_folder_that_is_cancelled_says_what_stays(plate: Path) -> None:
    seen: list[str] = []
    with pytest.raises(nc.Cancelled, match=r"the labels of 1 of 3 images stay: pass resume=True to go on"):
        run(
            OTSU,
            plate / "images",
            plate / "out",
            table=plate / "out" / "objects.csv",
            on_progress=lambda stage, _: seen.append(stage),
            is_cancelled=lambda: any(stage.startswith("image 2") for stage in seen),
        )
    assert len(list((plate / "out").iterdir())) == 2, "labels and their recipe; no table, and nothing half written"
    with pytest.raises(nc.Cancelled, match="nothing was changed"):
        run(OTSU, plate / "images", is_cancelled=lambda: True)


def test_memory_errors_have_a_sentence() -> None:
    assert _batch.sentence(MemoryError()) == "memory ran out; crop the image, or use a machine with more memory"
    assert _batch.sentence(ValueError("a\n  b")) == "a b"
    assert _batch.sentence(ValueError()) == "ValueError"
