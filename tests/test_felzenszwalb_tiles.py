"""Graph-based segmentation in tiles is what its rule says, and that of the whole where one tile is the whole."""

from __future__ import annotations

import math
from typing import Any
from unittest import mock

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout._monitor import Cancelled, watch
from napari_cutout._plan import Tile
from napari_cutout.blockwise import _tile_sizes
from napari_cutout.methods import _felzenszwalb, _felzenszwalb_tiles, partition

from .reference import felzenszwalb as reference


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    with dask.config.set(scheduler="sync"):
        yield


def in_tiles_of(voxels: int) -> Any:
    """Let a tile have at most so many voxels."""
    plan = _felzenszwalb_tiles.felzenszwalb_plan
    return mock.patch.object(partition, "felzenszwalb_plan", lambda *given: plan(*given, tile_voxels=voxels))


def tile_of_each_voxel(shape: tuple[int, ...], voxels: int) -> np.ndarray:
    """Return the number of the tile of each voxel, in scan order of the tiles."""
    sizes = _tile_sizes.tile_edges(shape, voxels)
    chunks = _tile_sizes.tiles_evenly(shape, sizes)
    along = [np.repeat(np.arange(len(c)), c) for c in chunks]
    return np.ravel_multi_index(np.meshgrid(*along, indexing="ij"), [len(c) for c in chunks]).ravel()


@st.composite
def scenes(draw: Any) -> dict[str, Any]:
    """Draw an image with none to many ties, perhaps holes, and how to segment it in which tiles."""
    ndim = draw(st.integers(2, 3))
    shape = tuple(draw(st.integers(1, 10 if ndim == 2 else 5)) for _ in range(ndim))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_levels = draw(st.sampled_from([1, 2, 4, 30, 1000]))
    channels = rng.integers(0, n_levels, (draw(st.integers(1, 2)), *shape)).astype(np.float32)
    if draw(st.booleans()):
        channels[:, rng.random(shape) < 0.2] = np.nan
    return {
        "channels": channels,
        "scale": draw(st.sampled_from([0.0, 1.0, n_levels / 2, n_levels * 3.0, n_levels * 10.0])),
        "min_size": draw(st.sampled_from([0, 2, 3, 5, 9, 30])),
        "connectivity": draw(st.integers(1, ndim)),
        "spacing": draw(st.sampled_from([None, (1.0, 2.0, 3.0)[:ndim], (2.0, 1.0, 1.0)[:ndim]])),
        "voxels": draw(st.sampled_from([8, 16, 32])),
        "chunks": tuple(draw(st.integers(1, n)) for n in shape),
        "room": draw(st.sampled_from([1, 7, 1 << 19])),
    }


@given(scenes())
def test_regions_in_tiles_are_those_of_the_rule(scene: dict[str, Any]) -> None:
    """Edges in tiles are visited first and then those across; small regions are joined in the order of all edges."""
    channels, connectivity, spacing = scene["channels"], scene["connectivity"], scene["spacing"]
    inside = ~np.isnan(channels[0])
    sides = spacing or (1.0,) * inside.ndim
    tile = tile_of_each_voxel(inside.shape, scene["voxels"])
    edges = reference.all_edges(channels, inside, connectivity, sides)
    across = [tile[e.one] != tile[e.two] for e in edges]
    order = [e for e, out in zip(edges, across, strict=True) if not out]
    order += [e for e, out in zip(edges, across, strict=True) if out]
    again = sorted(
        zip(edges, across, strict=True), key=lambda e: (e[0].weight, e[1], tile[e[0].one] * (not e[1]), e[0])
    )
    expected = reference.regions(order, inside, scene["scale"], scene["min_size"], [e for e, _ in again])
    with (
        in_tiles_of(scene["voxels"]),
        mock.patch.object(_felzenszwalb, "LEAST", scene["room"]),
        mock.patch.object(_felzenszwalb, "GROUP", 0.0),
    ):
        found = nc.felzenszwalb(
            da.from_array(channels, (1, *scene["chunks"])),
            scale=scene["scale"],
            sigma=0.0,
            min_size=scene["min_size"],
            connectivity=connectivity,
            channel_axis=0,
            spacing=spacing,
        )
        np.testing.assert_array_equal(found.compute(), expected)


def noisy(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 250, shape).astype(np.uint8)


def test_neither_chunks_nor_threads_show() -> None:
    image = noisy((9, 20, 31))
    mask = np.ones(image.shape, bool)
    mask[2:5, 4:9] = False
    with in_tiles_of(1024):
        results = [
            nc.felzenszwalb(da.from_array(image, chunks), da.from_array(mask, 40), scale=40.0, min_size=4).compute(
                scheduler=scheduler, num_workers=workers
            )
            for chunks, scheduler, workers in [(40, "sync", 1), ((4, 7, 31), "threads", 1), ((9, 3, 5), "threads", 5)]
        ]
    assert results[0].max() > 10
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])
    assert not results[0][~mask].any()
    firsts = np.unique(results[0], return_index=True)[1]
    assert (np.diff(firsts[1:]) > 0).all()  # by first voxel of the whole


@pytest.mark.parametrize("voxels", [9 * 20 * 31, 9 * 20 * 31 - 1])
def test_what_fits_into_a_tile_is_the_whole(voxels: int) -> None:
    image = noisy((9, 20, 31))
    more: dict[str, Any] = {"scale": 40.0, "min_size": 4, "sigma": 0.5}
    with in_tiles_of(voxels), watch() as seen:
        found = nc.felzenszwalb(da.from_array(image, 8), **more).compute()
    alike = np.array_equal(found, nc.felzenszwalb(image, **more))
    assert alike == (voxels == image.size) == ("tiled" not in seen.facts)


def test_the_usual_scale_is_that_of_the_whole_and_is_noted() -> None:
    image = noisy((20, 31, 3))
    with watch() as whole:
        nc.felzenszwalb(image, channel_axis=2)
    for voxels in (256, 1024):
        with in_tiles_of(voxels), watch() as seen:
            found = nc.felzenszwalb(da.from_array(image, 7), channel_axis=2).compute()
        assert seen.facts["scale"] == whole.facts["scale"]
        assert seen.facts["n_regions"] == found.max()
        # tiles of 16 x 16 voxels in an image of 20 x 31, where 4 rows that are left make two halves of 10
        assert ("in 4 tiles first" in seen.facts.get("tiled", "")) == (voxels == 256)


def test_a_region_that_crosses_many_tiles_is_one() -> None:
    image = np.zeros((33, 50), np.uint8)
    image[5:30, 7] = 200  # a wall
    with in_tiles_of(256):
        found = nc.felzenszwalb(da.from_array(image, 16), scale=50.0, sigma=0.0, min_size=0).compute()
    np.testing.assert_array_equal(found, 1 + (image > 0))


def test_a_tile_without_a_voxel_inside_is_skipped() -> None:
    image, mask = noisy((16, 32)), np.zeros((16, 32), bool)
    mask[:8, 8:16] = True  # one of 8 tiles of 8 x 8
    with in_tiles_of(64), mock.patch.object(_felzenszwalb_tiles, "begun", wraps=_felzenszwalb_tiles.begun) as begun:
        found = nc.felzenszwalb(da.from_array(image, 8), da.from_array(mask, 8), scale=20.0, sigma=0.0).compute()
    assert begun.call_count == 2  # to tell, and to label
    np.testing.assert_array_equal(found > 0, mask)


def test_an_image_without_a_voxel_inside_is_refused() -> None:
    lazy = da.from_array(np.full((20, 31), np.nan, np.float32), 10)
    for voxels in (64, 1024):
        with in_tiles_of(voxels), pytest.raises(ValueError, match="NaN or infinite, or lies outside mask, at every"):
            nc.felzenszwalb(lazy, scale=1.0).compute()


def test_a_tile_tells_no_more_than_its_faces_and_components() -> None:
    image = noisy((64, 64)).astype(np.float32)
    own = (slice(1, 63), slice(1, 63))
    tile = Tile(0, (0, 0), (64, 64), own, (64, 64))
    settings = _felzenszwalb_tiles.Settings(20, 1, None)
    told = _felzenszwalb_tiles._told(settings, tile, _felzenszwalb_tiles.Known(30.0), image)
    assert len(told.shell) == 4 * 61
    assert len(told.across) == 2 * 62  # to the right and down
    assert len(told.firsts) - len(told.speakers) <= 62 * 62 / 20
    known = {"firsts": 8, "speakers": 4, "sizes": 8, "limits": 4, "ends": 8, "keys": 4, "shell": 8, "of_shell": 4}
    known |= {"across": 16, "across_keys": 4}
    for name, width in known.items():
        assert getattr(told, name).nbytes == width * len(getattr(told, name))
    assert len(told.speakers) < len(told.shell) + len(told.ends)


def test_progress_is_told_and_a_run_can_be_cancelled() -> None:
    lazy = da.from_array(noisy((40, 40)), 20)
    stages: list[str] = []
    with in_tiles_of(256), watch(lambda name, _: stages.append(name)):
        labels = nc.felzenszwalb(lazy, scale=30.0)
        labels.compute()
    assert "merging regions in tiles" in stages
    with in_tiles_of(256), watch(is_cancelled=lambda: len(stages) > 0):
        stages.clear()
        labels = nc.felzenszwalb(lazy, scale=30.0)
        stages.append("now")
        with pytest.raises(Cancelled, match="cancelled while"):
            labels.compute()


def test_an_array_that_is_too_large_is_segmented_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noisy((20, 31))
    with in_tiles_of(256):
        expected = nc.felzenszwalb(da.from_array(image, 10), scale=30.0).compute()
        monkeypatch.setattr(_felzenszwalb_tiles, "MAX_VOXELS", 500)
        found = nc.felzenszwalb(image, scale=30.0)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, expected)


def test_more_regions_than_labels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_felzenszwalb_tiles, "MAX_LABEL", 20)
    with in_tiles_of(64), pytest.raises(ValueError, match=r"there are \d+ regions, and labels go to 20; raise scale"):
        nc.felzenszwalb(da.from_array(noisy((20, 31)), 10), scale=0.0, min_size=0).compute()


@given(st.lists(st.integers(1, 700), min_size=2, max_size=3).map(tuple), st.integers(4, 4096))
def test_tiles_make_up_the_whole_and_none_is_a_sliver(shape: tuple[int, ...], voxels: int) -> None:
    edges = _tile_sizes.tile_edges(shape, voxels)
    chunks = _tile_sizes.tiles_evenly(shape, edges)
    assert tuple(map(sum, chunks)) == shape
    assert math.prod(map(max, chunks)) <= voxels
    for sizes in chunks:
        assert len(sizes) == 1 or 2 * min(sizes) >= max(sizes)
