"""What a U-Net is trained on: opening, one sweep over annotations, what is held out, patches, grey levels."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage, stats

import napari_cutout as nc
from napari_cutout.unet import _measured, _pairs
from napari_cutout.unet._inputs import inputs_of
from napari_cutout.unet._measured import measured
from napari_cutout.unet._pairs import Blocks, Cells, Pair, annotated_in, split
from napari_cutout.unet._patches import Patches
from napari_cutout.unet._scaling import Scaling
from napari_cutout.unet._targets import targets_of

SHAPES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 9), st.integers(1, 17), st.integers(1, 17)),
)


def annotation(shape: tuple[int, ...], n: int, seed: int, share: float = 0.3) -> NDArray[np.uint8]:
    """Return labels 1 to n at random places, 0 elsewhere."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.integers(1, n + 1, shape), 0).astype(np.uint8)


def index_image(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return an image whose grey levels say where each voxel is."""
    return np.arange(math.prod(shape), dtype=np.float32).reshape(shape)


def pair_of(labels: Any, image: Any = None, name: str = "image") -> Pair:
    channels = (index_image(tuple(labels.shape)) if image is None else image,)
    return Pair(name, channels, labels, (Scaling(0.0, 1.0),))


def patches_of(labels: NDArray[Any], edge: int, held: Any = None, image: Any = None) -> Patches:
    """Return the patches of one image, of two cells along each axis, of some cells only."""
    pair = pair_of(labels, image)
    found = annotated_in([pair], (edge // 2,) * labels.ndim, 0)
    targets = targets_of(found.counts, 0, "classes")
    cells = found.cells(targets)
    return Patches.of([pair], cells if held is None else cells.chosen(held(cells)), targets, (edge,) * labels.ndim)


# Blocks ------------------------------------------------------------------------------------------------


@given(SHAPES, st.sampled_from(["numpy", "dask", "zarr"]), st.integers(1, 7), st.integers(1, 300))
@example((40, 40), "dask", 1, 100)
def test_blocks_cover_every_voxel_once_and_begin_at_chunks(
    shape: tuple[int, ...], library: str, chunk: int, voxels: int
) -> None:
    array: Any = np.zeros(shape, np.uint8)
    if library == "dask":
        array = da.from_array(array, chunks=chunk)
    if library == "zarr":
        array = zarr.array(array, chunks=(chunk,) * len(shape))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pairs, "BLOCK_VOXELS", voxels)
        blocks = list(Blocks.of(array))
    seen = np.zeros(shape, int)
    for block in blocks:
        seen[block] += 1
        if library != "numpy":
            assert all(s.start % chunk == 0 for s in block)
            assert math.prod(s.stop - s.start for s in block) <= max(voxels, chunk ** len(shape))
    assert (seen == 1).all()


# The sweep ---------------------------------------------------------------------------------------------


@given(
    SHAPES,
    st.integers(0, 1000),
    st.integers(1, 6),
    st.sampled_from([0, 2, None]),
    st.sampled_from([1, 10**12]),
    st.booleans(),
)
def test_a_sweep_counts_labels_in_boxes_as_a_loop_does(
    shape: tuple[int, ...], seed: int, edge: int, ignore: int | None, apart: int, lazy: bool
) -> None:
    labels = annotation(shape, 4, seed).astype(np.int64) * apart
    given: Any = da.from_array(labels, chunks=5) if lazy else labels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pairs, "BLOCK_VOXELS", 60)
        found = annotated_in([pair_of(given)], (edge,) * len(shape), ignore)
    expected = {}
    for box in itertools.product(*(range(-(-n // edge)) for n in shape)):
        inside = labels[tuple(slice(i * edge, (i + 1) * edge) for i in box)]
        for label in set(inside.ravel().tolist()) - {ignore}:
            expected[(*box, label)] = int((inside == label).sum())
    got = {(*i, v): n for i, v, n in zip(found.index.tolist(), found.label.tolist(), found.n.tolist(), strict=True)}
    assert got == expected


def test_a_sweep_reads_every_chunk_once_and_knows_the_annotation_again() -> None:
    labels = annotation((8, 12, 12), 2, 0)
    read: list[Any] = []

    def block(where: Any, block_info: Any = None) -> Any:
        read.append(block_info[None]["chunk-location"])
        return labels[tuple(slice(a, b) for a, b in block_info[None]["array-location"])]

    lazy = da.map_blocks(block, np.zeros(1), chunks=((4, 4), (6, 6), (6, 6)), dtype=np.uint8, meta=labels[:0])
    first = annotated_in([pair_of(lazy)], (1, 4, 4), 0)
    assert len(read) == 8
    assert len(set(read)) == 8
    changed = labels.copy()
    changed[7, 11, 11] += 1
    again, other = (annotated_in([pair_of(a)], (1, 4, 4), 0).contents for a in (labels, changed))
    assert again == annotated_in([pair_of(labels.copy())], (2, 2, 2), 0).contents != other
    assert first.counts == {1: int((labels == 1).sum()), 2: int((labels == 2).sum())}


def test_what_is_not_annotated_takes_no_place() -> None:
    # A volume of 10^15 voxels: chunks of 8 million voxels are read two by two.
    store = zarr.create_array({}, shape=(10**5, 10**5, 10**5), chunks=(200,) * 3, dtype="uint8", fill_value=0)
    assert len(Blocks.of(store)) == 500 * 500 * 250
    assert Blocks.of(store)[251] == (slice(0, 200), slice(200, 400), slice(400, 800))
    labels = np.zeros((400, 400), np.uint8)
    labels[7, 7:9], labels[300, 300] = 1, 2
    assert len(annotated_in([pair_of(labels)], (4, 4), 0).n) == 3
    cells = Cells((20, 20, 20), np.zeros(1, int), np.array([[4999, 4999, 4999]]), np.array([[3, 5]]))
    (numbers,) = cells.numbers([store.shape])
    assert numbers.tolist() == [5000**3 - 1]


# What is held out --------------------------------------------------------------------------------------


def cells_at(places: list[tuple[int, ...]], counts: list[list[int]], edges: tuple[int, ...] = (4, 4)) -> Cells:
    """Return cells by (image, *index) with the voxels of each class."""
    table = np.asarray(places, np.int64)
    return Cells(edges, table[:, 0], table[:, 1:], np.asarray(counts, np.int64))


def test_whole_images_are_held_out_where_there_are_enough() -> None:
    cells = cells_at([(i, 0, x) for i in range(10) for x in range(3)], [[5, 5]] * 30)
    held, what = split(cells, 0.2, 0)
    assert what == "2 of 10 images"
    assert held.sum() == 6
    assert not set(cells.pair[held]) & set(cells.pair[~held])


def test_slices_are_held_out_of_few_volumes_and_places_of_few_planes() -> None:
    volume = cells_at([(0, z, 0, x) for z in range(8) for x in range(3)], [[5, 5]] * 24, (1, 4, 4))
    held, what = split(volume, 0.2, 0)
    assert what == "2 of 8 slices"  # 0.25 of all is nearer to 0.2 than 0.125
    assert not set(volume.index[held, 0]) & set(volume.index[~held, 0])
    # Of two images one would be half of all: nobody paints to have half of it put away.
    planes = cells_at([(i, 0, x) for i in range(2) for x in range(10)], [[5, 5]] * 20)
    held, what = split(planes, 0.2, 0)
    assert (what, int(held.sum())) == ("4 of 20 places", 4)


def test_time_points_of_one_movie_are_not_images_of_their_own() -> None:
    cells = cells_at([(t, 0, x) for t in range(10) for x in range(3)], [[5, 5]] * 30)
    held, what = split(cells, 0.2, 0, [0] * 10)
    assert what == "2 of 10 time points"
    held, what = split(cells, 0.2, 0, [t // 2 for t in range(10)])  # five movies of two
    assert what == "1 of 5 images"
    assert set(cells.pair[held] // 2).isdisjoint(cells.pair[~held] // 2)
    movie = nc.Volume(np.zeros((4, 16, 16), np.uint8), "tyx")
    pairs = opened([movie, movie], [nc.Volume(annotation((4, 16, 16), 2, 0), "tyx")] * 2).pairs
    assert [p.source for p in pairs] == [0] * 4 + [1] * 4


def test_patches_are_as_long_as_the_guide_says_and_few_planes_are_told() -> None:
    labels = annotation((64, 64, 64), 2, 0)
    image = np.zeros(labels.shape, np.uint8)
    assert nc.unet_plan(image, labels, width=1).settings.patch == (40, 40, 40)
    labels[3:] = 0
    plan = nc.unet_plan(image, labels, width=1, channel=-1)
    assert plan.warnings == ("3 of 64 planes are annotated; dimensions=2 learns planes one by one, which is quicker",)
    assert plan.as_dict()["channel"] == -1
    assert nc.unet_plan(image, labels, width=1, dimensions=2).warnings == ()
    assert nc.unet_plan(image[0], labels[0], width=1).settings.patch == (64, 64)


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(2, 4), st.sampled_from([0.1, 0.2, 0.5]))
def test_a_split_leaves_every_class_on_both_sides(seed: int, n: int, n_classes: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 3, (n, n_classes)) * rng.integers(1, 50, (n, n_classes))
    counts[0] += 1
    cells = cells_at([(int(rng.integers(3)), 0, x) for x in range(n)], counts.tolist())
    held, what = split(cells, share, seed)
    assert bool(what) == bool(held.any())
    if what:
        assert (counts[held].sum(0) > 0).all()
        assert (counts[~held].sum(0) > 0).all()
        assert counts[held].sum() <= 0.5 * counts.sum()
    again, _ = split(cells, share, seed)
    np.testing.assert_array_equal(held, again)


def test_nothing_is_held_out_where_a_class_is_in_one_place_and_the_plan_says_so() -> None:
    labels = np.ones((64, 64), np.uint8)
    labels[2:5, 2:5] = 2
    plan = nc.unet_plan(index_image((64, 64)), labels, width=1, depth=1)
    assert plan.held_out == (0, 0)
    assert plan.validation == (
        "none, because class 2 is annotated in one place only; paint every class in several places"
    )
    assert plan.warnings == ("class 2 has 9 annotated voxels; paint more of it",)
    assert nc.unet_plan(index_image((64, 64)), labels, width=1, validation=0).validation == "none, as was asked for"


# Patches -----------------------------------------------------------------------------------------------


@given(SHAPES, st.integers(0, 1000), st.sampled_from([4, 8]))
def test_a_patch_shows_the_image_and_only_what_may_be_shown(shape: tuple[int, ...], seed: int, edge: int) -> None:
    labels = annotation(shape, 2, seed)
    labels.flat[0] = 1
    labels.flat[-1] = 2 if labels.size > 1 else 1
    if labels.size < 2:
        return

    def odd(cells: Cells) -> NDArray[np.bool_]:
        which = np.arange(len(cells)) % 2 == 1
        return which if which.any() else ~which

    shown = patches_of(labels, edge, odd)
    may = np.zeros(shape, bool)
    for cell in range(len(shown.cells)):
        may[shown.cells.region(cell, shape)] = True
    image, target = shown.batch(6, [seed])
    assert image.shape == (6, 1, *(edge,) * len(shape))
    assert target.shape == (6, *(edge,) * len(shape))
    at = image[:, 0].astype(int)  # where each voxel came from
    known = target >= 0
    assert (labels.flat[at[known]] == target[known] + 1).all()
    assert may.flat[at[known]].all()
    inside = tuple(slice(0, min(edge, n)) for n in shape)  # beyond it the image is 0, as in prediction
    for one, where in zip(target, at, strict=True):
        assert (one[inside] >= 0).tolist() == (may & (labels > 0)).flat[where[inside]].tolist()
        assert (one[inside] >= 0).sum() == (one >= 0).sum()
        beyond = np.ones(one.shape, bool)
        beyond[inside] = False
        assert (where[beyond] == 0).all()
        assert (one >= 0).any(), "a patch lies around a cell and holds what is annotated in it"


def test_what_is_held_out_is_never_learned_from() -> None:
    labels = annotation((40, 40), 2, 3)
    plan = nc.unet_plan(index_image((40, 40)), labels, depth=1, patch=(8, 8), width=1)
    assert sum(plan.held_out) > 0
    pair = pair_of(labels)
    learned, checked = (
        Patches.of([pair], plan.cells.chosen(which), plan.targets, (8, 8)) for which in (~plan.held, plan.held)
    )
    seen = [np.zeros(labels.size, bool) for _ in range(2)]
    batches = [learned.batch(50, [s]) for s in range(20)], [(i[None], t[None]) for i, t in checked.covering(999, 0)]
    for mask, some in zip(seen, batches, strict=True):
        for image, target in some:
            mask[image[:, 0][target >= 0].astype(int)] = True
    assert not (seen[0] & seen[1]).any()
    assert (seen[0] | seen[1]).sum() == (labels > 0).sum()  # and nothing is lost
    assert seen[1].sum() == sum(plan.held_out)


def test_classes_are_drawn_equally_and_cells_by_the_root_of_what_they_hold() -> None:
    labels = np.zeros((4, 24), np.uint8)
    labels[0, 0], labels[0:3, 8:11], labels[0, 16:20] = 1, 1, 2  # class 1: cells of 1 and of 9 voxels; class 2: one
    shown = patches_of(labels, 8)
    drawn = [cell for _, cell in shown.drawn(6000, np.random.default_rng(0))]
    # 1/2 for class 2; of the other half 1 : 3 for the two cells of class 1.
    counts = np.bincount(drawn, minlength=3)
    assert stats.chisquare(counts, [6000 / 8, 6000 * 3 / 8, 6000 / 2]).pvalue > 0.001


def test_places_in_a_cell_are_equally_likely() -> None:
    labels = np.zeros((32, 32), np.uint8)
    labels[12, 12], labels[13, 13] = 1, 2  # one cell, rows and columns 12 to 15
    shown = patches_of(labels, 8)
    image, _ = shown.batch(3200, [1])
    starts = image[:, 0, 0, 0].astype(int)
    rows, columns = np.unravel_index(starts, labels.shape)
    assert set(rows) == set(columns) == {8, 9, 10, 11}  # middle 12 to 15
    assert stats.chisquare(np.bincount((rows - 8) * 4 + columns - 8)).pvalue > 0.001


def test_voxels_that_are_not_finite_are_not_learned_from() -> None:
    labels = annotation((16, 16), 2, 0, 0.9)
    image = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    image[3:6, 2:9] = np.nan
    image[10, 10] = np.inf
    shown = patches_of(labels, 16, image=image)
    found, target = shown.patch(0, (8, 8))
    np.testing.assert_array_equal(target >= 0, (labels > 0) & np.isfinite(image))
    assert (found[0][~np.isfinite(image)] == 0).all()


def test_planes_of_a_volume_are_patches_of_one_plane() -> None:
    labels = annotation((6, 20, 20), 2, 0)
    plan = nc.unet_plan(index_image(labels.shape), labels, dimensions=2, depth=1, patch=(8, 8), width=1)
    assert plan.patch == (1, 8, 8)
    assert plan.cells.edges == (1, 4, 4)
    assert plan.validation.startswith("1 of 6 slices, ")


def test_the_labels_around_a_patch_tell_what_is_a_boundary() -> None:
    # An object of 8 x 8 voxels that goes on across the edge of the patch: the edge is no boundary of it.
    labels = np.ones((32, 32), np.int32)
    labels[4:20, 4:20] = 5
    found = annotated_in([pair_of(labels)], (4, 4), 0)
    targets = targets_of(found.counts, 0, "boundary", background=1)
    patches = Patches.of([pair_of(labels)], found.cells(targets), targets, (8, 8))
    _, target = patches.patch(0, (8, 8))  # rows and columns 4 to 11 of the image: the corner of the object
    assert target[0].tolist() == [2] * 8
    assert target[:, 0].tolist() == [2] * 8
    assert (target[1:, 1:] == 1).all()


# Grey levels -------------------------------------------------------------------------------------------


def test_grey_levels_of_images_are_measured_whole_and_of_huge_ones_in_blocks() -> None:
    values = np.random.default_rng(0).normal(3, 2, (40, 50, 50))
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    lazy = zarr.array(values, chunks=(5, 25, 25))
    finite = values[np.isfinite(values)]
    for image in (values, lazy, da.from_array(values, chunks=20)):
        (((grey),),) = measured([pair_of(np.zeros(values.shape, int), image)])
        assert grey.share == 1
        assert grey.scaling.shift == pytest.approx(finite.mean(), rel=1e-12)
        assert grey.scaling.factor == pytest.approx(finite.std(), rel=1e-12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pairs, "BLOCK_VOXELS", 1)
        some = [measured([pair_of(np.zeros(values.shape, int), lazy)], most=20_000)[0][0] for _ in range(2)]
    assert some[0] == some[1]
    assert some[0].share == pytest.approx(7 * 3125 / 100_000)  # chunks of 3,125 voxels until there are 20,000
    assert some[0].scaling.shift == pytest.approx(finite.mean(), abs=5 * 2 / 20_000**0.5)
    other = values.copy()
    other[1] += 1
    assert measured([pair_of(np.zeros(values.shape, int), other)])[0][0].contents != grey.contents


def test_images_that_say_nothing_are_refused() -> None:
    labels = np.zeros((4, 4), int)
    flat, none = pair_of(labels, np.ones((4, 4))), pair_of(labels, np.full((4, 4), np.nan), "left")
    with pytest.raises(ValueError, match="channel 0 of left has no finite voxel; leave the image out"):
        measured([none])
    with pytest.raises(ValueError, match="every image is constant"):
        measured([flat, flat])
    assert measured([flat, pair_of(labels)])[0][0].constant
    assert _measured.MOST_MEASURED == 134_217_728  # the docstring of unet_train says so


# Opening -----------------------------------------------------------------------------------------------


def opened(images: Any, annotations: Any, channel: int | None = None, axis: int | None = None) -> Any:
    return inputs_of(images, annotations, channel, axis, None)


def test_files_of_every_kind_are_opened(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (3, 20, 24)).astype(np.uint8)
    labels = annotation((3, 20, 24), 2, 0)
    volume = nc.Volume(image, "zyx", (2.0, 0.5, 0.5), "micrometer")
    nc.write(tmp_path / "a.tif", volume)
    nc.write(tmp_path / "a.zarr", volume, kind="image")
    np.savez(tmp_path / "set.npz", image=image, labels=labels)
    np.save(tmp_path / "labels.npy", labels)
    nc.write(tmp_path / "labels.zarr", nc.Volume(labels, "zyx"))
    for source in (tmp_path / "a.tif", tmp_path / "a.zarr", f"{tmp_path}/set.npz:image", volume, image):
        for strokes in (labels, f"{tmp_path}/set.npz:labels", tmp_path / "labels.npy", tmp_path / "labels.zarr"):
            found = opened(source, strokes)
            (one,) = found.pairs
            np.testing.assert_array_equal(np.asarray(one.channels[0][...]), image)
            np.testing.assert_array_equal(np.asarray(one.annotation[...]), labels)
            known = source is volume or str(source).endswith(("tif", "zarr"))
            assert found.spacing == ((2.0, 0.5, 0.5) if known else None)
    assert opened(tmp_path / "a.tif", labels).pairs[0].name == "a"


def test_channels_time_points_and_single_planes(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 10, 12)).astype(np.uint16)
    labels = annotation((2, 4, 10, 12), 2, 0)
    movie = nc.Volume(data, "tczyx", (1.0, 1.0, 1.0))
    found = opened(movie, nc.Volume(labels, "tzyx"))
    assert [p.name for p in found.pairs] == ["image, time point 0", "image, time point 1"]
    for t, one in enumerate(found.pairs):
        np.testing.assert_array_equal(np.stack(one.channels), data[t])
        np.testing.assert_array_equal(one.annotation, labels[t])
    (first, _) = opened(movie, nc.Volume(labels, "tzyx"), channel=2).pairs
    np.testing.assert_array_equal(first.channels[0], data[0, 2])
    assert len(first.channels) == 1
    # A z-stack of one plane is a plane.
    flat = opened(nc.Volume(data[:1, 0, :1, :, :], "tzyx", (3.0, 1.0, 1.0)), labels[0, 0])
    assert flat.pairs[0].shape == (10, 12)
    assert flat.spacing == (1.0, 1.0)
    picture = nc.Volume(data[0, :, 0].transpose(1, 2, 0).astype(np.uint8), "yxc")
    assert len(opened(picture, labels[0, 0]).pairs[0].channels) == 3
    for axis in (-1, 2):
        (one,) = opened(picture.data, labels[0, 0], axis=axis).pairs
        np.testing.assert_array_equal(one.channels[1], picture.data[..., 1])


def test_one_channel_of_a_zarr_array_is_read_when_it_is_asked_for() -> None:
    data = np.random.default_rng(0).integers(0, 255, (3, 6, 20, 20)).astype(np.uint8)
    (one,) = opened(zarr.array(data, chunks=(1, 2, 10, 10)), annotation((6, 20, 20), 2, 0), axis=0).pairs
    assert not isinstance(one.channels[1], np.ndarray)
    region = slice(1, 4), slice(3, 9), slice(0, 20)
    np.testing.assert_array_equal(one.channels[1][region], data[1][region])
    assert one.channels[1].chunks == (2, 10, 10)
    seen, _ = one.scaled([Scaling()] * 3).image(region)
    np.testing.assert_array_equal(seen, data[(slice(None), *region)])


def test_a_plan_reads_no_grey_level(tmp_path: Path) -> None:
    def refuse(_block: Any) -> Any:
        raise AssertionError("a plan reads no grey level")

    labels = annotation((16, 32, 32), 2, 0)
    image = da.zeros((16, 32, 32), chunks=8).map_blocks(refuse, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))
    plan = nc.unet_plan(image, da.from_array(labels, chunks=8), width=2)
    assert plan.counts == (int((labels == 1).sum()), int((labels == 2).sum()))
    assert plan.n_voxels == 16 * 32 * 32


def test_folders_are_paired_by_name(tmp_path: Path) -> None:
    for name in ("raw", "painted"):
        (tmp_path / name).mkdir()
    for n in range(3):
        nc.write(tmp_path / "raw" / f"cell_{n}.tif", nc.Volume(np.full((8, 8), n + 1, np.uint8), "yx"), kind="image")
    for n in (2, 0):
        nc.write(tmp_path / "painted" / f"cell_{n}.png", nc.Volume(np.full((8, 8), n, np.uint8), "yx"))
    for images in (tmp_path / "raw", str(tmp_path / "raw" / "*.tif")):
        found = opened(images, tmp_path / "painted")
        assert [p.name for p in found.pairs] == ["cell_0", "cell_2"]
        assert [int(np.asarray(p.channels[0])[0, 0]) for p in found.pairs] == [1, 3]
        assert [int(np.asarray(p.annotation)[0, 0]) for p in found.pairs] == [0, 2]
        assert found.warnings == ("1 images have no annotation and are left out: cell_1",)


PLANE, STROKES = index_image((16, 16)), annotation((16, 16), 2, 0)
TWO = np.zeros((2, 16, 16))
BAD: dict[str, tuple[type[Exception], Any, Any, dict[str, Any], str]] = {
    "shapes": (ValueError, PLANE, STROKES[:8], {}, r"must have the shape of image, \(16, 16\), but has \(8, 16\)"),
    "counts": (ValueError, [PLANE], [STROKES, STROKES], {}, "one annotation for each image, got 1 images and 2 annot"),
    "none at all": (ValueError, [], [], {}, "got 0 images and 0 annotations"),
    "one and many": (TypeError, [PLANE], STROKES, {}, "got a list of 1 and one"),
    "floats": (TypeError, PLANE, STROKES.astype(float), {}, "annotations must hold integers, got dtype float64"),
    "boolean": (TypeError, PLANE > 0, STROKES, {}, "image is boolean"),
    "colour": (ValueError, np.zeros((16, 16, 3), np.uint8), STROKES, {}, "looks like a colour image"),
    "channel": (ValueError, TWO, STROKES, {"channel_axis": 0, "channel": 2}, "or negative from the end, got 2"),
    "axis": (ValueError, TWO, STROKES, {"channel_axis": 3}, "channel_axis must be an axis of image"),
    "unequal": (ValueError, [PLANE, TWO], [STROKES, TWO.astype(int)], {}, "image 0 has 2, and image 1 has 3"),
    "empty": (ValueError, PLANE, STROKES * 0, {}, "nothing is annotated: every voxel is 0; paint a few strokes"),
    "one class": (ValueError, PLANE, (STROKES > 0).astype(int), {}, "only the label 1 is annotated; paint another"),
    "everywhere": (ValueError, PLANE, STROKES * 0 + 3, {}, "only the label 3 is annotated"),
    "dimensions": (ValueError, PLANE, STROKES, {"dimensions": 3}, "dimensions must be 2 for planes, got 3"),
    "too small": (ValueError, PLANE, STROKES, {"depth": 5}, r"an image of \(16, 16\) voxels is too small for depth 5"),
    "patch": (ValueError, PLANE, STROKES, {"depth": 2, "patch": (6, 8)}, r"2 multiples of \(4, 4\), got \(6, 8\)"),
    "batch": (ValueError, PLANE, STROKES, {"batch_size": 0}, "batch_size must be a whole number from 1 to 4096, got 0"),
    "one value": (ValueError, PLANE, STROKES, {"batch_size": 1, "depth": 2, "patch": (4, 4)}, "choose a larger patch"),
    "loss": (ValueError, PLANE, STROKES, {"loss": "mse"}, "there is no loss 'mse'"),
    "spacing": (ValueError, PLANE, STROKES, {"spacing": (1.0,)}, "spacing must have one length per axis, 2 of them"),
    "no file": (FileNotFoundError, "nowhere.tif", STROKES, {}, "there is no file 'nowhere.tif'"),
    "no array": (TypeError, None, STROKES, {}, "images must be arrays, Volumes, paths or lists of these, got None"),
    "frames": (ValueError, nc.Volume(TWO, "tyx"), STROKES, {}, "has 2 time points and the annotation 1"),
    "colours": (ValueError, PLANE, nc.Volume(np.zeros((16, 16, 3), np.uint8), "yxc"), {}, "has 3 channels"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_learned_from_is_refused(case: str) -> None:
    error, images, annotations, settings, message = BAD[case]
    with pytest.raises(error, match=message):
        nc.unet_plan(images, annotations, **settings)


def test_a_plan_can_be_read_and_stored() -> None:
    image, labels = index_image((64, 64)), annotation((64, 64), 2, 0)
    labels[:, 40:] = 0
    plan = nc.unet_plan([image, image], [labels, labels * 0], width=4, depth=2, spacing=(0.5, 0.5))
    assert json.loads(json.dumps(plan.as_dict()))["n_parameters"] == plan.architecture.n_parameters
    lines = plan.lines()
    n1, n2 = (int((labels == k).sum()) for k in (1, 2))
    assert lines[0] == "2 images of 64 x 64 voxels"
    assert lines[1] == f"1 channel, {(n1 + n2) / 8192:.3g} of the voxels annotated (1: {n1:,}, 2: {n2:,})"
    seen = plan.architecture.receptive_field
    n = plan.architecture.n_parameters
    assert lines[3] == f"2-D U-Net of depth 2, {n:,} parameters, each voxel sees {seen[0]} x {seen[1]}"
    assert lines[-1] == "note: nothing is annotated in image 1"
    assert plan.memory == plan.architecture.train_bytes(8 * 64 * 64)
    assert ndimage.label(labels)[1] > 0
