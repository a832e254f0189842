"""Selections: what is cut out is what NumPy's indexing gives, and running on it is running on that."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import re
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout import _device
from napari_cutout._method import Labels, Mask, method
from napari_cutout._reading import read_image
from napari_cutout._selection import Selection, placed, where
from napari_cutout.recipe import Recipe, Step
from napari_cutout.running._execute import keeps_labels, renumbered

from .cases import two_humps
from .toys import channel_methods, strongest_by_hand

__all__ = ["channel_methods"]

AXES = ["yx", "zyx", "cyx", "yxc", "zyxc", "czyx", "tyx", "tzyx", "tcyx", "tczyx", "zcyx", "cztyx"]


@st.composite
def selections(draw: st.DrawFn, boxed: bool | None = None) -> tuple[Selection, tuple[int, ...]]:
    """Return a selection and the shape of an image that it fits."""
    axes = draw(st.sampled_from(AXES))
    shape = tuple(draw(st.integers(2, 5)) for _ in axes)
    kept = [n for axis, n in zip(axes, shape, strict=True) if axis != "c"]
    box: list[tuple[int, int]] = []
    if draw(st.booleans()) if boxed is None else boxed:
        for n in kept:
            start = draw(st.integers(0, n - 1))
            box.append((start, draw(st.integers(start + 1, n))))
    channel = draw(st.sampled_from([0, shape[axes.index("c")] - 1, "grey", "all"])) if "c" in axes else None
    each = ("t" if "t" in axes else "") + ("z" if "z" in axes and draw(st.booleans()) else "")
    pooled = bool(each) and draw(st.booleans())
    return Selection(axes, channel, draw(st.integers(0, 3)), tuple(box), each, pooled), shape


@given(selections())
def test_parts_cover_the_box_once(drawn: tuple[Selection, tuple[int, ...]]) -> None:
    selection, shape = drawn
    bounds, labels_shape = selection.bounds(shape), selection.shape(shape)
    kept = [n for axis, n in zip(selection.axes, shape, strict=True) if axis != "c"]
    seen, in_image = np.zeros(labels_shape, int), np.zeros(kept, int)
    for part in selection.parts(shape):
        seen[placed(part, bounds)] += 1
        in_image[part] += 1
        assert seen[placed(part, bounds)].ndim == len(selection.run_axes)
    assert (seen == 1).all()
    assert in_image.sum() == seen.size
    box = tuple(slice(*ends) for ends in bounds)
    assert (in_image[box] == 1).all()


@given(selections(), st.sampled_from(["numpy", "dask", "zarr"]))
def test_what_is_cut_is_what_indexing_gives(drawn: tuple[Selection, tuple[int, ...]], library: str) -> None:
    selection, shape = drawn
    image = np.arange(np.prod(shape)).reshape(shape).astype(np.float32)
    at_last = np.moveaxis(image, selection.axes.index("c"), -1) if "c" in selection.axes else image[..., None]
    plane = at_last[..., : 3 if at_last.shape[-1] == 4 else None].mean(-1) if selection.channel == "grey" else None
    number = selection.channel if isinstance(selection.channel, int) else 0
    expected = at_last[..., number] if plane is None else plane
    held: Any = image
    if library == "dask":
        held = da.from_array(image, chunks=2)
    elif library == "zarr":
        held = zarr.array(image, chunks=(2,) * image.ndim)
    for part in selection.parts(shape):
        cut = np.asarray(selection.cut(held, part))
        if selection.channel == "all":
            n = 3 if image.shape[-1] == 4 and selection.axes[-1] == "c" else at_last.shape[-1]
            np.testing.assert_array_equal(np.moveaxis(cut, selection.channel_axis or 0, -1), at_last[part][..., :n])
            assert selection.n_channels(shape) == n
        else:
            assert selection.channel_axis is None
            np.testing.assert_allclose(cut, expected[part], rtol=1e-6)
    labels = expected.astype(np.int32)
    for part in selection.parts(shape):
        np.testing.assert_array_equal(selection.cut(labels, part), labels[part])


@given(selections())
def test_a_selection_survives_json_copying_and_pickling(drawn: tuple[Selection, tuple[int, ...]]) -> None:
    selection, shape = drawn
    recipe = Recipe([Step("strongest" if selection.channel == "all" else "threshold")], selection)
    for again in (Recipe.from_json(recipe.to_json()), copy.deepcopy(recipe), pickle.loads(pickle.dumps(recipe))):
        assert again == recipe
        assert (again.selection or Selection(selection.axes)).bounds(shape) == selection.bounds(shape)
    assert Selection.from_dict(selection.as_dict()) == selection
    assert recipe.source == "image"


def test_by_hand() -> None:
    selection = Selection("tcyx", channel=1, box=((1, 3), (0, 2), (1, 2)), each="t")
    assert selection.kept_axes == "tyx"
    assert selection.run_axes == "yx"
    assert selection.parts((4, 2, 5, 6)) == [(1, slice(0, 2), slice(1, 2)), (2, slice(0, 2), slice(1, 2))]
    assert selection.shape((4, 2, 5, 6)) == (2, 2, 1)
    assert placed(selection.parts((4, 2, 5, 6))[1], selection.box) == (1, slice(0, 2), slice(0, 1))
    assert where((3, slice(0, 2), 0), "tyz") == "t=3, z=0"
    numbers = Selection("cyx", np.int64(1), np.int32(2), ((np.int64(0), 1), (0, 1)))  # type: ignore[arg-type]
    assert json.dumps(numbers.as_dict())
    assert numbers == Selection("cyx", 1, 2, ((0, 1), (0, 1)))
    assert Recipe([Step("threshold")], Selection("zyx")).selection is None
    assert Recipe([Step("threshold")], Selection("zyx", each="z")).selection is not None


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "letter": ({"axes": "qyx"}, "axes must be different letters of 'tczyx', but are 'qyx'"),
    "twice": ({"axes": "yyx"}, "axes must be different letters of 'tczyx', but are 'yyx'"),
    "no plane": ({"axes": "zy"}, "axes must hold y and x, in the order z, y, x, but are 'zy'"),
    "order": ({"axes": "yzx", "each": "z"}, "axes must hold y and x, in the order z, y, x, but are 'yzx'"),
    "time": ({"axes": "tyx"}, "axes 'tyx' hold time, which is run frame by frame; put 't' into each, got ''"),
    "each": ({"axes": "zyx", "each": "t"}, "each must name axes of 'tz' that the image has, 'zyx', got 't'"),
    "each twice": ({"axes": "zyx", "each": "zz"}, "each must name axes of 'tz' that the image has"),
    "each y": ({"axes": "yx", "each": "y"}, "each must name axes of 'tz' that the image has"),
    "no channel": ({"axes": "cyx"}, "channel is None for the axes 'cyx'; name one, 'grey' or 'all'"),
    "channel": ({"axes": "yx", "channel": 0}, "channel is 0 for the axes 'yx'; it must be None"),
    "below": ({"axes": "cyx", "channel": -1}, "channel must be a whole number from 0, 'grey' or 'all', got -1"),
    "word": ({"axes": "cyx", "channel": "red"}, "channel must be a whole number from 0, 'grey' or 'all', got 'red'"),
    "bool": ({"axes": "cyx", "channel": True}, "channel must be a whole number from 0, 'grey' or 'all', got True"),
    "level": ({"axes": "yx", "level": -1}, "level must be a whole number from 0, got -1"),
    "level kind": ({"axes": "yx", "level": 1.5}, "level must be a whole number from 0, got 1.5"),
    "pooled": ({"axes": "yx", "pooled": True}, "pooled=True shares statistics between frames or slices"),
    "pairs": ({"axes": "yx", "box": [(0, 1)]}, "box must have a pair for each of the axes 'yx', but has 1"),
    "empty": ({"axes": "yx", "box": [(0, 1), (2, 2)]}, "box must have 0 <= start < stop, but is 2, 2 along 'x'"),
    "start": ({"axes": "yx", "box": [(-1, 1), (0, 2)]}, "box must have 0 <= start < stop, but is -1, 1 along 'y'"),
    "no pair": ({"axes": "yx", "box": [(0, 1, 2), (0, 2)]}, "box must be pairs of whole numbers, got [(0, 1, 2)"),
    "no numbers": ({"axes": "yx", "box": 5}, "box must be pairs of whole numbers, got 5"),
    "no axes": ({"axes": 3}, "axes must be letters of 'tczyx', got 3"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "text"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_when_it_is_made(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        Selection(**given)
    with pytest.raises(ValueError, match=re.escape(text)):
        Selection.from_dict(given)


@pytest.mark.parametrize("entry", [[], {}, {"axes": "yx", "levels": 1}, {"channel": 1}], ids=str)
def test_json_that_is_no_selection_is_refused(entry: Any) -> None:
    with pytest.raises(ValueError, match="a selection has the entries axes, channel, level, box, each, pooled, got"):
        Selection.from_dict(entry)


def test_images_that_do_not_fit_are_refused() -> None:
    selection = Selection("cyx", channel=2, box=((0, 4), (0, 9)))
    with pytest.raises(ValueError, match=re.escape("with the axes 'cyx', but this one has the shape (5, 6)")):
        selection.bounds((5, 6))
    with pytest.raises(ValueError, match="the recipe runs on channel 2, but the image has 2, from 0"):
        selection.bounds((2, 9, 9))
    with pytest.raises(ValueError, match="region ends at 9 along 'x', but the image has 8 there; run it with whole"):
        selection.bounds((3, 9, 8))


# Running on a selection --------------------------------------------------------------------------------


@pytest.fixture
def movie() -> np.ndarray:
    """Three frames of two channels, each brighter than the one before."""
    frames = [np.stack([two_humps((24, 30), seed=2 * t + c) + 500 * t for c in range(2)]) for t in range(3)]
    return np.stack(frames)


@pytest.mark.parametrize("library", ["numpy", "dask", "zarr"])
def test_each_frame_is_as_if_it_ran_by_itself(movie: np.ndarray, library: str) -> None:
    selection = Selection("tcyx", channel=1, box=((1, 3), (2, 20), (0, 30)), each="t")
    held = {"numpy": movie, "dask": da.from_array(movie, chunks=(1, 1, 8, 8)), "zarr": zarr.array(movie)}[library]
    result = nc.execute(Recipe([Step("threshold", {"sigma": 1.0})], selection), {"image": held})
    expected = np.stack([nc.threshold(movie[t, 1, 2:20], sigma=1.0) for t in (1, 2)])
    np.testing.assert_array_equal(result.labels, expected)
    (step,) = result.provenance["steps"]
    cuts = step["by_part"]["threshold"]
    assert len(cuts) == 2
    assert cuts[0] != cuts[1]
    assert "threshold" not in step["facts"]
    assert result.provenance["tiling"] == "one index of 't' at a time"
    assert result.provenance["recipe"]["selection"]["each"] == "t"


def test_only_what_is_selected_is_read(movie: np.ndarray) -> None:
    read = []

    def block(of: np.ndarray, block_id: tuple[int, ...] = ()) -> np.ndarray:
        read.append(block_id)
        return of

    lazy = da.from_array(movie, chunks=(1, 1, 24, 30)).map_blocks(block, dtype=movie.dtype, meta=np.zeros((0,) * 4))
    selection = Selection("tcyx", channel=0, box=((1, 2), (0, 24), (0, 30)), each="t")
    nc.execute(Recipe([Step("threshold")], selection), {"image": lazy})
    assert {at for at in read if at} == {(1, 0, 0, 0)}


def test_a_region_alone_stays_lazy_until_it_is_run(movie: np.ndarray) -> None:
    lazy = da.from_array(movie[:, 0], chunks=(1, 8, 8))
    selection = Selection("zyx", box=((0, 3), (4, 20), (4, 20)))
    result = nc.execute(Recipe([Step("multi_otsu", {"sigma": 1.0})], selection), {"image": lazy})
    np.testing.assert_array_equal(result.labels, nc.multi_otsu(movie[:, 0, 4:20, 4:20], sigma=1.0))
    assert result.provenance["tiling"] == "blocks"


@pytest.mark.parametrize("selection", [None, Selection("zyx", box=((0, 3), (4, 20), (4, 20)))], ids=["whole", "region"])
@pytest.mark.parametrize("lazy", ["image", "mask"])
def test_arrays_in_memory_run_beside_those_that_are_not(
    movie: np.ndarray, lazy: str, selection: Selection | None
) -> None:
    arrays = {"image": movie[:, 0], "mask": movie[:, 1] % 2 > 0}
    recipe = Recipe([Step("threshold", {"sigma": 1.0}, {"mask": "mask"})], selection)
    held = {**arrays, lazy: da.from_array(arrays[lazy], chunks=(1, 7, 8))}
    np.testing.assert_array_equal(nc.execute(recipe, held).labels, nc.execute(recipe, arrays).labels)


def test_a_zarr_array_runs_whole_too(movie: np.ndarray) -> None:
    result = nc.execute(Recipe([Step("threshold")]), {"image": zarr.array(movie[:, 0])})
    np.testing.assert_array_equal(result.labels, nc.threshold(movie[:, 0]))


def test_objects_are_numbered_on_and_on(movie: np.ndarray) -> None:
    selection = Selection("tyx", each="t")
    recipe = Recipe([Step("threshold", {"one_per_object": True, "min_size": 3})], selection)
    labels = nc.execute(recipe, {"image": movie[:, 0]}).labels
    n_before = 0
    for frame, image in zip(labels, movie[:, 0], strict=True):
        alone = nc.threshold(image, one_per_object=True, min_size=3)
        assert alone.max() > 0
        np.testing.assert_array_equal(frame, np.where(alone > 0, alone + n_before, 0))
        n_before += int(alone.max())
    assert labels.dtype == np.int32


def test_a_frame_without_objects_keeps_the_count(movie: np.ndarray) -> None:
    image = movie[:, 0].copy()
    image[1] = 0
    recipe = Recipe([Step("threshold_at", {"value": 10_000.0, "one_per_object": True})], Selection("tyx", each="t"))
    labels = nc.execute(recipe, {"image": image}).labels
    assert labels[1].max() == 0
    assert labels[2][labels[2] > 0].min() == labels[0].max() + 1


SIDES = np.array([[7, 7, 9, 9], [7, 7, 9, 9]])
EACH = Selection("zyx", each="z")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
def test_lines_in_every_slice_keep_the_labels_of_an_input(dtype: str) -> None:
    labels = np.stack([SIDES] * 3).astype(dtype)
    found = nc.execute(Recipe([Step("draw_lines")], EACH), {"labels": labels}).labels
    assert found.tolist() == [[[7, 0, 9, 9]] * 2] * 3
    assert found.dtype == dtype


def test_lines_in_every_slice_keep_the_labels_of_markers() -> None:
    image, markers = np.zeros((3, 2, 4), np.uint8), np.zeros((3, 2, 4), np.uint8)
    markers[:, :, 0], markers[:, :, 3] = 1, 2
    recipe = Recipe([Step("watershed"), Step("draw_lines", {}, {"labels": "step_1"})], EACH)
    found = nc.execute(recipe, {"image": image, "markers": markers}).labels
    assert found.tolist() == [[[1, 0, 2, 2]] * 2] * 3


@pytest.mark.parametrize(
    ("steps", "keeps"),
    [
        ([Step("objects")], False),
        ([Step("objects"), Step("draw_lines", {}, {"labels": "step_1"})], False),
        ([Step("objects"), Step("draw_lines", {}, {"labels": "labels"})], True),
        ([Step("draw_lines"), Step("draw_lines", {}, {"labels": "step_1"})], True),
        ([Step("draw_lines"), Step("objects", {}, {"labels": "step_1"})], False),
        ([Step("multi_otsu"), Step("draw_lines", {}, {"labels": "step_1"})], True),
        ([Step("threshold", {"one_per_object": True}), Step("draw_lines", {}, {"labels": "step_1"})], False),
        ([Step("markers_from_minima"), Step("watershed", {}, {"markers": "step_1"})], False),
        ([Step("draw_lines"), Step("watershed", {}, {"markers": "step_1"})], True),
        ([Step("back_projection")], True),
        ([Step("back_projection", {"one_per_object": True})], False),
    ],
    ids=lambda value: " ".join(step.method for step in value) if isinstance(value, list) else None,
)
def test_labels_stay_that_mean_the_same_in_every_slice(steps: list[Step], keeps: bool) -> None:
    assert keeps_labels(Recipe(steps, EACH)) is keeps


def test_numbers_go_on_through_steps_that_keep_labels() -> None:
    recipe = Recipe([Step("objects"), Step("draw_lines", {}, {"labels": "step_1"})], EACH)
    found = nc.execute(recipe, {"labels": np.stack([SIDES, SIDES * 0, SIDES])}).labels
    assert [np.unique(part[part > 0]).tolist() for part in found] == [[1, 2], [], [3, 4]]


def test_objects_of_strokes_are_numbered_on_and_on() -> None:
    strokes = np.stack([SIDES] * 2)
    recipe = Recipe([Step("back_projection", {"one_per_object": True})], EACH)
    found = nc.execute(recipe, {"image": strokes.astype(np.uint8), "markers": strokes}).labels
    assert found.tolist() == [[[1, 1, 0, 0]] * 2, [[2, 2, 0, 0]] * 2]  # those of the lowest label painted


def test_more_objects_than_a_dtype_can_number_are_refused() -> None:
    assert renumbered(np.array([0, 55], np.uint8), 200).tolist() == [0, 255]
    with pytest.raises(ValueError, match="are 256 objects, and at most 255 can be numbered in uint8; choose fewer"):
        renumbered(np.array([0, 56], np.uint8), 200)


def test_what_keeps_labels_names_an_array_that_it_needs() -> None:
    def lines(labels: Labels, mask: Mask | None = None) -> Labels:
        """Draw nothing."""
        return labels

    for name in ("mask", "markers"):
        with pytest.raises(ValueError, match=f"lines cannot keep the labels of '{name}'; it needs: labels"):
            method("Objects", keeps=name)(lines)


def test_masks_and_markers_are_cut_alike(movie: np.ndarray) -> None:
    inside = np.zeros(movie[:, 0].shape, bool)
    inside[:, 3:20, 3:25] = True
    strokes = (movie[:, 0] > np.quantile(movie[:, 0], 0.9)).astype(np.int32)
    selection = Selection("tcyx", channel=0, box=((0, 2), (1, 24), (0, 30)), each="t")
    recipe = Recipe([Step("back_projection", {}, {"mask": "mask"})], selection)
    result = nc.execute(recipe, {"image": movie, "markers": strokes, "mask": inside})
    expected = [nc.back_projection(movie[t, 0, 1:], strokes[t, 1:], inside[t, 1:]) for t in (0, 1)]
    np.testing.assert_array_equal(result.labels, np.stack(expected))


@pytest.mark.parametrize("shape", [(3, 25, 30), (2, 24, 30), (24, 30), (4, 2, 24, 30)], ids=str)
def test_an_input_of_another_shape_is_never_cut(movie: np.ndarray, shape: tuple[int, ...]) -> None:
    recipe = Recipe([Step("threshold", {}, {"mask": "mask"})], Selection("tcyx", channel=0, each="t"))
    with pytest.raises(ValueError, match=re.escape(f"mask must have the shape of image, (3, 24, 30), but has {shape}")):
        nc.execute(recipe, {"image": movie, "mask": np.ones(shape, bool)})


@pytest.mark.parametrize("selection", [None, EACH], ids=["whole", "slices"])
@pytest.mark.parametrize(("method", "name"), [("threshold", "image"), ("draw_lines", "labels")])
def test_the_mask_of_a_masked_array_is_never_lost(selection: Selection | None, method: str, name: str) -> None:
    masked = np.ma.masked_equal(np.stack([SIDES] * 3), 7)
    with pytest.raises(TypeError, match=rf"'{name}' is a masked array, .* labels as {name}.filled\(0\)"):
        nc.execute(Recipe([Step(method)], selection), {name: masked})


def test_an_error_says_where_it_was(movie: np.ndarray) -> None:
    image = movie[:, 0].copy()
    image[2] = 7
    recipe = Recipe([Step("threshold")], Selection("tyx", each="t"))
    with pytest.raises(ValueError, match=r"^at t=2: .*every voxel is 7"):
        nc.execute(recipe, {"image": image})


def test_slices_take_the_spacing_of_their_axes(movie: np.ndarray) -> None:
    recipe = Recipe([Step("local_mean", {"window": 9.0})], Selection("zyx", each="z"))
    result = nc.execute(recipe, {"image": movie[:, 0]}, spacing=(2.0, 1.0))
    expected = [nc.local_mean(plane, window=9.0, spacing=(2.0, 1.0)) for plane in movie[:, 0]]
    np.testing.assert_array_equal(result.labels, np.stack(expected))


def test_progress_of_parts_is_progress_of_all(movie: np.ndarray) -> None:
    seen: list[tuple[str, float]] = []
    recipe = Recipe([Step("threshold")], Selection("tyx", each="t"))
    nc.execute(recipe, {"image": movie[:, 0]}, on_progress=lambda stage, done: seen.append((stage, done)))
    assert {stage.rpartition(", ")[2] for stage, _ in seen} == {f"part {n} of 3" for n in (1, 2, 3)}
    shares = [done for stage, done in seen if stage.startswith("labelling voxels")]
    assert shares == sorted(shares)
    polls = itertools.count()
    with pytest.raises(nc.Cancelled):
        nc.execute(recipe, {"image": movie[:, 0]}, is_cancelled=lambda: next(polls) > 3)


# All channels together ------------------------------------------------------------------------------------


def at_place(channels: np.ndarray, axes: str) -> np.ndarray:
    """Return an image of channels, which come first, with the axis of the channels where `axes` say."""
    return np.moveaxis(channels, 0, axes.index("c"))


@pytest.mark.parametrize("library", ["numpy", "dask", "zarr"])
@pytest.mark.parametrize("axes", ["cyx", "ycx", "yxc", "czyx", "zcyx", "zyxc"])
def test_a_method_sees_all_channels_together(axes: str, library: str) -> None:
    rng = np.random.default_rng(3)
    channels = rng.integers(1, 200, (3, 16, 18) if len(axes) == 3 else (3, 5, 16, 18)).astype(np.uint16)
    image = at_place(channels, axes)
    held = {"numpy": image, "dask": da.from_array(image, chunks=4), "zarr": zarr.array(image, chunks=4)}[library]
    result = nc.execute(Recipe([Step("strongest")], Selection(axes, "all")), {"image": held})
    np.testing.assert_array_equal(result.labels, strongest_by_hand(channels))
    (step,) = result.provenance["steps"]
    assert step["settings"]["channel_axis"] == axes.index("c")
    assert result.provenance["recipe"]["version"] == 3
    assert result.provenance["recipe"]["selection"] == {"axes": axes, "channel": "all"}
    assert "channel_axis" not in result.provenance["recipe"]["steps"][0]["settings"], "that is a property of the image"


@pytest.mark.parametrize("library", ["numpy", "dask", "zarr"])
def test_all_channels_frame_by_frame_in_a_region_inside_a_mask(movie: np.ndarray, library: str) -> None:
    held = {"numpy": movie, "dask": da.from_array(movie, chunks=(1, 1, 8, 8)), "zarr": zarr.array(movie)}[library]
    inside = np.random.default_rng(0).random(movie[:, 0].shape) < 0.5
    selection = Selection("tcyx", channel="all", box=((1, 3), (2, 20), (0, 30)), each="t")
    recipe = Recipe([Step("strongest", {}, {"mask": "mask"})], selection)
    found = nc.execute(recipe, {"image": held, "mask": inside}).labels
    for frame, t in zip(found, (1, 2), strict=True):
        cut = inside[t, 2:20]
        expected = strongest_by_hand(np.where(cut, movie[t, :, 2:20], 0)) * cut
        np.testing.assert_array_equal(frame, expected)


def test_frames_of_all_channels_share_their_statistics(movie: np.ndarray) -> None:
    selection = Selection("tcyx", channel="all", each="t", pooled=True)
    found = nc.execute(Recipe([Step("strongest")], selection), {"image": movie}).labels
    np.testing.assert_array_equal(found, strongest_by_hand(np.moveaxis(movie, 1, 0)))
    alone = nc.execute(Recipe([Step("strongest")], Selection("tcyx", "all", each="t")), {"image": movie}).labels
    assert (found != alone).any(), "the case says nothing"


def test_each_slice_of_all_channels(movie: np.ndarray) -> None:
    found = nc.execute(Recipe([Step("strongest")], Selection("zcyx", "all", each="z")), {"image": movie}).labels
    np.testing.assert_array_equal(found, np.stack([strongest_by_hand(plane) for plane in movie]))


def test_alpha_is_no_channel_but_a_fourth_stain_is_one() -> None:
    four = np.random.default_rng(0).integers(1, 200, (4, 12, 14)).astype(np.uint8)
    colours, stains = np.moveaxis(four, 0, -1), four
    found = nc.execute(Recipe([Step("strongest")], Selection("yxc", "all")), {"image": colours}).labels
    np.testing.assert_array_equal(found, strongest_by_hand(four[:3]))
    found = nc.execute(Recipe([Step("strongest")], Selection("cyx", "all")), {"image": stains}).labels
    np.testing.assert_array_equal(found, strongest_by_hand(four))


def test_a_step_on_labels_may_follow(movie: np.ndarray) -> None:
    steps = [Step("strongest"), Step("objects", {}, {"labels": "step_1"})]
    found = nc.execute(Recipe(steps, Selection("tcyx", "all", each="t")), {"image": movie}).labels
    assert found.shape == (3, 24, 30)


def test_every_step_that_reads_the_image_must_take_channels(movie: np.ndarray) -> None:
    words = "threshold takes one channel, and all of them together were asked for; choose channel=0 or another, or ch"
    both = [Step("strongest"), Step("threshold", {}, {"mask": "step_1"})]
    for steps in ([Step("threshold")], both):
        assert not Recipe(steps).takes_channels
        with pytest.raises(ValueError, match=f"{words}.* or run .*strongest"):
            Recipe(steps, Selection("cyx", "all"))
    assert Recipe([Step("strongest")]).takes_channels
    other = [Step("threshold", {}, {"image": "other"}), Step("strongest", {}, {"mask": "step_1"})]
    recipe = Recipe(other, Selection("cyx", "all"))
    with pytest.raises(ValueError, match=words):
        nc.execute(recipe, {"image": movie[0], "other": movie[0]})
    assert nc.execute(recipe, {"image": movie[0], "other": movie[0, 1]}).labels.shape == (24, 30)


def test_the_place_of_the_channels_is_said_once() -> None:
    step = Step("strongest", {"channel_axis": 0})
    with pytest.raises(ValueError, match="step 1, strongest, has channel_axis=0, and the selection says by its axes"):
        Recipe([step], Selection("cyx", "all"))
    channels = np.random.default_rng(0).integers(1, 200, (2, 12, 14))
    np.testing.assert_array_equal(nc.execute(Recipe([step]), {"image": channels}).labels, strongest_by_hand(channels))
    assert Step("strongest", {"channel_axis": None}) == Step("strongest")


def test_a_recipe_of_frames_takes_all_channels_where_it_is_asked_to(movie: np.ndarray) -> None:
    recipe = Recipe([Step("strongest")], Selection("tyx", each="t", box=((0, 3), (2, 20), (0, 30))))
    result = nc.run(recipe, nc.Volume(movie, "tcyx"), channel="all")
    assert isinstance(result, nc.Result)
    expected = np.stack([strongest_by_hand(frame[:, 2:20]) for frame in movie])
    np.testing.assert_array_equal(result.labels, expected)
    one = nc.run(recipe, nc.Volume(movie, "tcyx"), channel=1)
    assert isinstance(one, nc.Result)
    assert (one.labels == 1).all()


def test_a_recipe_of_all_channels_runs_on_images_of_any_number_of_them() -> None:
    recipe = Recipe([Step("strongest")], Selection("cyx", "all"))
    channels = np.random.default_rng(0).integers(1, 200, (4, 12, 14))
    for image in (nc.Volume(channels, "cyx"), nc.Volume(channels[:2].transpose(1, 2, 0), "yxc")):
        found = nc.run(recipe, image)
        assert isinstance(found, nc.Result)
        held = channels if image.axes == "cyx" else channels[:2]
        np.testing.assert_array_equal(found.labels, strongest_by_hand(held))
    found = nc.run(recipe, nc.Volume(channels[0], "yx"))
    assert isinstance(found, nc.Result)
    assert (found.labels == 1).all()
    assert found.provenance["recipe"]["selection"] == {"axes": "cyx", "channel": 0}


def test_a_recipe_of_all_channels_is_saved_with_strokes_as_what_an_older_program_cannot_read(tmp_path: Path) -> None:
    recipe = Recipe([Step("strongest", {}, {"mask": "mask"})], Selection("cyx", "all"))
    inside = np.ones((12, 14), np.uint8)
    recipe.save(tmp_path / "recipe.json", arrays={"mask": inside})
    assert json.loads((tmp_path / "recipe.json").read_text())["version"] == 3
    assert Recipe.load(tmp_path / "recipe.json") == recipe
    Recipe([Step("threshold", {}, {"mask": "mask"})]).save(tmp_path / "two.json", arrays={"mask": inside})
    assert json.loads((tmp_path / "two.json").read_text())["version"] == 2


def test_the_device_is_chosen_for_all_channels(movie: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    choose = _device.choose

    def noted(n_voxels: int, n_bytes: int, device: Any) -> Any:
        asked.append(n_voxels)
        return choose(n_voxels, n_bytes, device)

    monkeypatch.setattr(_device, "choose", noted)
    for channel in (1, "all"):
        nc.execute(Recipe([Step("strongest")], Selection("tcyx", channel, each="t")), {"image": movie})
    assert asked == [24 * 30, 2 * 24 * 30]


def test_a_colour_image_is_told_of_its_ways_out() -> None:
    photo = np.zeros((20, 22, 3), np.uint8)
    ways = "pass one channel, image[..., 0], or grey(image)"
    with pytest.raises(ValueError, match=re.escape(f"{ways}, or channel_axis=-1 for all of them together")):
        nc.kmeans(photo)
    with pytest.raises(ValueError, match=f"{re.escape(ways)}$"):
        nc.threshold(photo)


def test_what_reads_one_grey_image_takes_no_channels_together(movie: np.ndarray) -> None:
    with pytest.raises(ValueError, match="channel must be a number or 'mean', got 'all'"):
        read_image(nc.Volume(movie[0], "cyx"), channel="all")
