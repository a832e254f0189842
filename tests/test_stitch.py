"""Floods in tiles give the labels of the whole, whatever the image, the markers and the tiles."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import napari_cutout as nc
from napari_cutout._monitor import quiet, tick
from napari_cutout._plan import Tile
from napari_cutout.blockwise import Stored, Threads, _plans, _stitch, keep, source_of, sweeping
from napari_cutout.blockwise import lazy as seen
from napari_cutout.blockwise._tiled import Tiles
from napari_cutout.methods import _flooding, _tiles, _voxel_grid

from .patience import PATIENCE

WATERSHED_DTYPES = ("uint8", "uint16", "int16", "float32", "float64", "int64")


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    with dask.config.set(scheduler="sync"):
        yield


def tiled(array: np.ndarray | None, chunks: Any) -> Any:
    return None if array is None else da.from_array(array, chunks)


@st.composite
def scenes(draw: Any) -> dict[str, Any]:
    """Draw an image from none to many ties, markers, perhaps a mask, and chunks."""
    ndim = draw(st.integers(2, 3))
    shape = tuple(draw(st.integers(1, 13 if ndim == 2 else 7)) for _ in range(ndim))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_levels = draw(st.sampled_from([1, 2, 3, 12, 200]))
    image = rng.integers(0, n_levels, shape).astype(draw(st.sampled_from(WATERSHED_DTYPES)))
    if draw(st.booleans()):
        image = ndimage.uniform_filter(image, 3)  # plateaus
    if image.dtype.kind == "f" and draw(st.booleans()):
        image[rng.random(shape) < 0.1] = np.nan
    markers = np.zeros(shape, np.int32)
    chosen = rng.choice(image.size, min(draw(st.integers(1, 6)), image.size), replace=False)
    markers.ravel()[chosen] = rng.integers(1, 9, len(chosen))
    mask = rng.random(shape) < 0.75 if draw(st.booleans()) else None
    chunks = tuple(draw(st.integers(max(n // 3, 1), n)) for n in shape)
    return {
        "image": image,
        "markers": markers,
        "mask": mask,
        "chunks": chunks,
        "connectivity": draw(st.integers(1, ndim)),
    }


@given(scenes())
def test_a_flood_in_tiles_is_that_of_the_whole(scene: dict[str, Any]) -> None:
    chunks, connectivity = scene["chunks"], scene["connectivity"]
    arrays = [scene["image"], scene["markers"], scene["mask"]]
    try:
        whole = nc.watershed(*arrays, connectivity=connectivity)
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)[:40]):
            nc.watershed(*(tiled(a, chunks) for a in arrays), connectivity=connectivity).compute()
        return
    labels = nc.watershed(*(tiled(a, chunks) for a in arrays), connectivity=connectivity)
    assert labels.dtype == whole.dtype
    np.testing.assert_array_equal(labels.compute(), whole)


@given(scenes(), st.sampled_from([0.0, 0.7, 2.0, 60.0]))
def test_minima_in_tiles_are_those_of_the_whole(scene: dict[str, Any], depth: float) -> None:
    chunks, more = scene["chunks"], {"connectivity": scene["connectivity"], "depth": depth}
    lazy = nc.markers_from_minima(tiled(scene["image"], chunks), tiled(scene["mask"], chunks), **more)
    if not np.isfinite(scene["image"][scene["mask"] if scene["mask"] is not None else ...]).any():
        with pytest.raises(ValueError, match="so it has no minimum"):
            nc.markers_from_minima(scene["image"], scene["mask"], **more)
        with pytest.raises(ValueError, match="so it has no minimum"):
            lazy.compute()
        return
    whole = nc.markers_from_minima(scene["image"], scene["mask"], **more)
    np.testing.assert_array_equal(lazy.compute(), whole)


@given(scenes(), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 3.0]), st.sampled_from([None, 2.0]))
def test_objects_split_in_tiles_are_those_of_the_whole(
    scene: dict[str, Any], depth: float, min_separation: float, thickness: float | None
) -> None:
    labels = scene["markers"] + (scene["mask"] if scene["mask"] is not None else 0)
    labels = ndimage.grey_dilation(labels, 3)
    labels.ravel()[0] = 0  # there is always some background
    spacing = None if thickness is None else (thickness, *(1.0,) * (labels.ndim - 1))
    settings = {
        "depth": depth,
        "min_separation": min_separation,
        "connectivity": scene["connectivity"],
        "spacing": spacing,
        "smoothing": 0.5,
    }
    whole = nc.split_touching(labels, **settings)
    np.testing.assert_array_equal(nc.split_touching(tiled(labels, scene["chunks"]), **settings).compute(), whole)


@pytest.mark.parametrize("surface", ["intensity", "inverted", "gradient"])
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_every_step_around_a_flood_works_in_tiles(surface: Any, scheduler: str) -> None:
    rng = np.random.default_rng(0)
    image = (ndimage.gaussian_filter(rng.standard_normal((18, 26, 31)), 1.2) * 900).astype(np.int16)
    settings = {"surface": surface, "sigma": 0.6, "min_size": 9, "depth": 40.0}
    settings["clear_border"] = surface != "intensity"  # regions that reach the edges hold all dark voxels
    whole = nc.watershed_from_minima(image, **settings)
    assert len(np.unique(whole)) > 3
    assert whole[0].any() != settings["clear_border"]
    lazy = nc.watershed_from_minima(da.from_array(image, (9, 13, 16)), **settings)
    np.testing.assert_array_equal(lazy.compute(scheduler=scheduler), whole)


def test_distances_cross_tiles_as_often_as_a_zone_does() -> None:
    # A corridor of one level that winds through nine tiles; the two ends are its entries.
    corridor = np.zeros((12, 12), bool)
    corridor[::2] = True
    corridor[1::4, -1] = corridor[3::4, 0] = True
    markers = np.zeros(corridor.shape, int)
    corridor[11] = False
    markers[0, 0], markers[10, 0] = 1, 2
    image = np.zeros(corridor.shape, np.uint8)
    whole = nc.watershed(image, markers, corridor)
    length = int(corridor.sum())
    assert abs(int((whole == 1).sum()) - length // 2) <= 1  # halves of the corridor
    tiles = nc.watershed(*(da.from_array(a, 4) for a in (image, markers, corridor)))
    np.testing.assert_array_equal(tiles.compute(), whole)


def test_a_shorter_way_through_more_tiles_wins_in_the_end() -> None:
    # Two ways of one level to the lower end: a long one inside the left tile, which is known at once, and a shorter
    # one that changes tiles at every second row. Its distances come later, and must replace what was known.
    path = np.zeros((19, 12), bool)
    path[:, 0] = path[18, 0:3] = path[:, 2] = path[0, 2:5] = path[:, 4] = path[18, 4:7] = True
    for row in range(0, 16, 4):
        path[row : row + 3, 6] = path[row + 2, 6:10] = path[row + 2 : row + 5, 9] = path[row + 4, 6:10] = True
    path[16:, 6] = True
    markers = np.zeros(path.shape, int)
    markers[0, 0], markers[0, 6] = 1, 2
    image = np.zeros(path.shape, np.uint8)
    whole = nc.watershed(image, markers, path)
    assert whole[18, 6] == 2
    assert (whole == 1).sum() > 30
    tiles = nc.watershed(*(da.from_array(a, (19, (8, 4))) for a in (image, markers, path)))
    np.testing.assert_array_equal(tiles.compute(), whole)
    with sweeping(Threads((19, 8), 1)):  # where distances are kept
        swept = nc.watershed(*(seen(Stored(a)) for a in (image, markers, path)))
        np.testing.assert_array_equal(keep(source_of(swept), "writing").array, whole)


@pytest.mark.parametrize("seed", range(3))
def test_water_that_comes_over_high_passes_floods_other_tiles_as_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.standard_normal((60, 70)), 1.5).astype(np.float32)
    markers = np.zeros(image.shape, int)
    markers.ravel()[rng.choice(image.size, 3, replace=False)] = 1, 2, 3
    lazy = nc.watershed(da.from_array(image, (13, 16)), da.from_array(markers, (13, 16)))
    np.testing.assert_array_equal(lazy.compute(), nc.watershed(image, markers))


@pytest.mark.parametrize("seed", [14, 22])
def test_noise_floods_tiles_in_sweeps_as_the_whole(seed: int) -> None:
    # Nodes whose lowest way out lies where another one was joined to them: few images have one that matters.
    rng = np.random.default_rng(seed)
    image, markers = rng.random((60, 60)).astype(np.float32), np.zeros((60, 60), int)
    markers.ravel()[rng.choice(image.size, 2, replace=False)] = 1, 2
    with sweeping(Threads((15, 15), 1)):
        labels = nc.watershed(seen(Stored(image)), seen(Stored(markers)))
        np.testing.assert_array_equal(keep(source_of(labels), "writing").array, nc.watershed(image, markers))


@pytest.mark.parametrize(
    ("markers", "mask", "sentence"),
    [
        ([0, 0], None, "markers have no painted voxel"),
        ([1, 0], [False, True], "markers lie outside mask"),
        ([-1, 1], None, "labels from 0 to 2147483647, got -1"),
        ([2**31, 1], None, "labels from 0 to 2147483647, got 2147483648"),
    ],
    ids=["none", "outside", "negative", "too-large"],
)
def test_bad_markers_are_refused_when_they_are_computed(markers: Any, mask: Any, sentence: str) -> None:
    arrays = [np.zeros((2, 6)), np.repeat(markers, 6).reshape(2, 6), mask and np.repeat(mask, 6).reshape(2, 6)]
    lazy = nc.watershed(*(tiled(a, (1, 3)) for a in arrays))
    with pytest.raises(ValueError, match=sentence):
        lazy.compute()
    with pytest.raises(ValueError, match=sentence):
        nc.watershed(*arrays)


def test_labels_without_an_outside_are_refused_in_tiles_too() -> None:
    full = np.ones((6, 9), int)
    for split in (nc.split_touching, nc.markers_from_distance):
        with pytest.raises(ValueError, match="no voxel is outside"):
            split(full)
        with pytest.raises(ValueError, match="no voxel is outside"):
            split(da.from_array(full, 4)).compute()


@pytest.mark.parametrize("method", ["watershed_from_minima", "markers_from_minima", "split_touching"])
@pytest.mark.parametrize("settings", [{}, {"depth": 0.4}, {"depth": 0.4, "min_separation": 4.0}], ids=str)
def test_what_was_found_is_noted_of_the_whole_and_of_tiles(method: str, settings: dict[str, float]) -> None:
    if method != "split_touching" and "min_separation" in settings:
        settings = {"depth": 0.7}
    smooth = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((40, 44)), 2) * 9
    array = smooth > 0.4 if method == "split_touching" else smooth
    facts = []
    for image in (array, da.from_array(array, (17, 23))):
        with nc.watch() as monitor:
            np.asarray(getattr(nc, method)(image, **settings))
        facts.append(monitor.facts)
    assert facts[0]["n_objects" if method == "split_touching" else "n_minima"] > 2
    assert "depth" in facts[0] or method == "split_touching"
    assert facts[0] == facts[1]


def test_facts_are_those_of_the_whole() -> None:
    image = np.arange(60, dtype=np.uint8).reshape(6, 10)
    markers = np.zeros(image.shape, int)
    markers[0, 0], markers[5, 9], markers[5, 8] = 4, 7, 7
    facts = []
    for arrays in ([image, markers], [da.from_array(image, 4), da.from_array(markers, 4)]):
        with nc.watch() as monitor:
            np.asarray(nc.watershed(*arrays))
        facts.append(monitor.facts)
    assert facts[0]["n_markers"] == 2
    assert facts[0] == facts[1]


def test_an_array_that_is_too_large_is_flooded_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    image, markers = rng.integers(0, 9, (20, 30)), np.zeros((20, 30), int)
    markers[3, 4], markers[15, 20] = 1, 2
    whole, minima = nc.watershed(image, markers), nc.watershed_from_minima(image, depth=2.0)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("it was flooded whole")

    monkeypatch.setattr(_voxel_grid, "MAX_PLACES", 500)
    monkeypatch.setattr(_stitch, "TILE_VOXELS", 64)
    for name in ("_flooded_whole", "_filled_whole", "_minima_whole"):
        monkeypatch.setattr(_flooding, name, forbidden)
    np.testing.assert_array_equal(nc.watershed(image, markers), whole)
    np.testing.assert_array_equal(nc.watershed_from_minima(image, depth=2.0), minima)


@pytest.mark.parametrize(
    ("chunks", "limit", "tiles"),
    [
        (((4, 4), (6,)), 24, ((4, 4), (6,))),
        (((4, 4), (6,)), 23, ((4, 4), (3, 3))),
        (((7,), (1,)), 3, ((2, 2, 2, 1), (1,))),
        (((1,), (26000,), (26000,)), 1 << 22, ((1,), (1625,) * 16, (1625,) * 16)),
        (((5, 2), (5, 1)), 1, ((1,) * 7, (1,) * 6)),
    ],
    ids=str,
)
def test_large_chunks_are_split_along_their_longest_edges(
    chunks: Any, limit: int, tiles: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stitch, "TILE_VOXELS", limit)
    assert _stitch._tile_chunks(chunks) == tiles


def test_a_chunk_that_is_too_large_is_many_tiles_and_one_chunk_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stitch, "TILE_VOXELS", 50)
    sizes: list[int] = []
    contracted = _tiles.contracted

    def spied(tile: Tile, *arrays: Any, **more: Any) -> Any:
        sizes.append(int(np.prod([s.stop - s.start for s in tile.own])))
        return contracted(tile, *arrays, **more)

    monkeypatch.setattr(_tiles, "contracted", spied)
    image, markers = np.random.default_rng(2).integers(0, 5, (20, 30)), np.zeros((20, 30), int)
    markers[2, 2], markers[17, 28] = 1, 2
    lazy = nc.watershed(*(da.from_array(a, ((15, 5), (30,))) for a in (image, markers)))
    assert lazy.chunks == ((15, 5), (30,))
    np.testing.assert_array_equal(lazy.compute(), nc.watershed(image, markers))
    assert max(sizes) <= 50
    assert sum(sizes) == image.size


def winding_path() -> tuple[np.ndarray, np.ndarray]:
    """Return a mask and markers at the two ends of a path that changes tiles of 4 voxels again and again."""
    path = np.zeros((11, 12), bool)
    path[::2] = True
    path[1::4, -1] = path[3::4, 0] = True
    markers = np.zeros(path.shape, int)
    markers[0, 0], markers[10, 0] = 1, 2
    return path, markers


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_progress_rises_in_every_stage(scheduler: str) -> None:
    path, markers = winding_path()
    seen: list[tuple[str, float]] = []
    lazy_arrays = [da.from_array(a, 4) for a in (path.astype(np.uint8), markers, path)]
    with nc.watch(on_progress=lambda name, done: seen.append((name, done))), dask.config.set(scheduler=scheduler):
        _plans.compute(nc.watershed(*lazy_arrays))
    stages = {name: [done for other, done in seen if other == name] for name, _ in seen}
    exchanges = {
        "finding the lowest passes of tiles",
        "joining tiles across their faces",
        "finding flood levels of tiles",
        "measuring distances across tiles",
        "following floods in tiles",
        "following floods across tiles",
    }
    assert set(stages) == {"computing blocks"} | exchanges
    for name, done in stages.items():
        assert done == sorted(done), name
        assert len(done) > 9, name
        assert done[-1] == 1.0, name


def test_a_repeated_look_can_be_cancelled() -> None:
    path, markers = winding_path()
    seen: list[str] = []
    polls: list[bool] = []

    def cancelled() -> bool:
        polls.append(seen[-1:] == ["measuring distances across tiles 1.0"])
        return polls[-1]

    lazy_arrays = [da.from_array(a, 4) for a in (path.astype(np.uint8), markers, path)]
    watched = nc.watch(lambda name, done: seen.append(f"{name} {done}"), cancelled)
    with watched, pytest.raises(nc.Cancelled, match="measuring distances across tiles"):
        _plans.compute(nc.watershed(*lazy_arrays))


def test_what_is_quiet_is_cancelled_all_the_same() -> None:
    seen: list[float] = []
    with nc.watch(lambda name, done: seen.append(done), lambda: len(seen) > 1), quiet():
        tick(1, 2)
    assert seen == []
    with nc.watch(is_cancelled=lambda: True), quiet(), pytest.raises(nc.Cancelled):
        tick(1, 2)


def test_a_driver_asks_another_once_and_forgets_the_answer() -> None:
    calls: list[str] = []
    answers = _stitch._Answers()

    def inner() -> list[Any]:
        calls.append("inner")
        return [1]

    def outer() -> list[Any]:
        return [answers.get("b", inner)[0] + answers.get("b", inner)[0]]

    assert answers.get("a", outer) == [2]
    assert calls == ["inner"]
    assert answers.get("a", outer) == [2]
    assert calls == ["inner", "inner"]


def test_tiles_know_which_voxels_they_share() -> None:
    image = da.zeros((5, 6), chunks=((2, 3), (1, 5)))
    tiles = list(Tiles(image.chunks))
    seen = np.zeros((4, *image.shape), int)
    for tile in tiles:
        inside = tuple(slice(o, o + n) for o, n in zip(tile.origin, tile.shape, strict=True))
        seen[(tile.number, *inside)] = 1
    for tile, other in itertools.product(tiles, tiles):
        if tile.number == other.number:
            continue
        both = np.argwhere(seen[tile.number] & seen[other.number])
        index = set(np.ravel_multi_index(tuple(both.T), image.shape).tolist())
        shared = set(tile.index(np.flatnonzero(tile.shared())).tolist())
        assert index <= shared
    first = Tile(0, (0, 0), (3, 2), (slice(0, 2), slice(0, 1)), (5, 6))
    assert first.shared().tolist() == [[True, True]] * 3
    assert first.index(np.array([0, 5])).tolist() == [0, 13]


def test_a_cluster_gives_the_labels_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stitch, "TILE_VOXELS", 600)  # chunks are split
    distributed = pytest.importorskip("distributed")
    rng = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter(rng.standard_normal((10, 24, 26)), 2)
    whole = nc.split_touching(smooth > 0, depth=0.3)
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        lazy = nc.split_touching(da.from_array(smooth > 0, (6, 12, 14)), depth=0.3)
        np.testing.assert_array_equal(client.compute(lazy).result(timeout=PATIENCE), whole)


came = threading.Event()


def asks_as_well() -> int:
    came.set()
    return _stitch.answers.get("shared", lambda: 2)


def finds_with_tasks() -> int:
    """Find the answer with a task that starts after another has asked for the same answer."""

    def solve() -> int:
        with distributed.worker_client() as client:
            other = client.submit(asks_as_well, pure=False)
            assert came.wait(PATIENCE)
            (found,) = _stitch.computed([dask.delayed(int)(7)])
            del other  # kept until here, so that it is not forgotten before it asks
        return found

    import distributed

    return _stitch.answers.get("shared", solve)


def test_a_task_that_waits_for_an_answer_leaves_its_thread_to_those_who_find_it() -> None:
    distributed = pytest.importorskip("distributed")
    came.clear()
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        assert client.submit(finds_with_tasks, pure=False).result(timeout=PATIENCE) == 7
