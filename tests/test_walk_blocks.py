"""The random walk on images that do not fit into memory: on groups of voxels, then tile by tile."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.sparse import coo_array, diags
from scipy.sparse.linalg import spsolve

import napari_cutout as nc
from napari_cutout._monitor import Cancelled, watch
from napari_cutout.blockwise import _pyramid
from napari_cutout.methods import _walk_blocks, _walk_graph, _walk_scene
from napari_cutout.methods._walk_graph import Edges
from napari_cutout.methods._walk_scales import WalkSettings, scales_from, scales_of

from .patience import PATIENCE


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing fit, and tiles be small; two levels are merged."""
    monkeypatch.setattr(_pyramid, "memory", lambda: 1000)
    monkeypatch.setattr(_pyramid, "TILE_VOXELS", 1 << 11)
    monkeypatch.setattr(_walk_blocks, "HALO", 5)
    monkeypatch.setattr(_walk_blocks, "MOST_LEVELS", 2)


def scene(shape: tuple[int, ...] = (20, 26, 23), noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return blobs with noise, and single voxels of both sides marked."""
    rng = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(rng.standard_normal(shape), 3) > 0
    image = (blobs + noise * rng.standard_normal(shape)).astype(np.float32)
    markers = np.zeros(shape, np.int32)
    chosen = rng.choice(image.size, 40, replace=False)
    markers.ravel()[chosen] = blobs.ravel()[chosen] + 1
    return image, markers


def coarse(
    image: Any, markers: Any, *others: Any, chunks: Any = 9, **settings: Any
) -> tuple[np.ndarray, dict[str, Any]]:
    lazy = [None if a is None else da.from_array(a, chunks) for a in (image, markers, *others)]
    with watch() as seen:
        labels = nc.random_walker(*lazy, **settings)
        assert isinstance(labels, da.Array)
        assert labels.chunks == lazy[0].chunks
        return labels.compute(), seen.facts


@pytest.mark.parametrize("shape", [(20, 26, 23), (61, 70)], ids=str)
@pytest.mark.parametrize("beta", [130.0, 2000.0, "auto"])
@pytest.mark.usefixtures("short_of_memory")
def test_labels_are_those_of_the_whole_where_one_is_clearly_likelier(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], beta: Any
) -> None:
    image, markers = scene(shape)
    labels, facts = coarse(image, markers, beta=beta)
    assert facts["approximate"].startswith("the whole did not fit into memory")
    assert facts["n_tiles"] > 2
    assert facts["level"] == 2
    assert facts["n_groups"] < image.size / 10
    monkeypatch.setattr(_pyramid, "memory", lambda: 10**12)
    with watch() as seen:
        whole = nc.random_walker(image, markers, beta=beta)
        likely = nc.random_walker_probabilities(image, markers, beta=beta)
    assert "approximate" not in seen.facts
    clear = np.abs(likely[0] - likely[1]) > 0.15
    assert (labels[clear] != whole[clear]).mean() < 0.005
    assert (labels != whole).mean() < 0.01
    assert labels.dtype == np.int32


def test_more_levels_are_merged_where_memory_is_short() -> None:
    assert _walk_blocks._n_levels(10**9, 2, 10**11) == 1
    assert _walk_blocks._n_levels(10**9, 2, 2 * 10**10) == 2
    assert _walk_blocks._n_levels(10**9, 2, 1) == _walk_blocks.MOST_LEVELS


@pytest.mark.usefixtures("short_of_memory")
def test_neither_chunks_nor_the_library_show_in_the_result() -> None:
    image, markers = scene()
    expected, _ = coarse(image, markers)
    others, _ = coarse(image, markers, chunks=(20, 4, 11))
    np.testing.assert_array_equal(others, expected)
    mixed = nc.random_walker(da.from_array(image, (7, 26, 5)), da.from_array(markers, 13)).compute()
    np.testing.assert_array_equal(mixed, expected)
    with watch() as seen:
        np.testing.assert_array_equal(nc.random_walker(image, markers), expected)
    assert "approximate" in seen.facts


@pytest.mark.usefixtures("short_of_memory")
def test_probabilities_are_near_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    image, markers = scene()
    markers[3, 4:9, 5] = 7
    found = nc.random_walker_probabilities(da.from_array(image, 9), da.from_array(markers, 11)).compute()
    labels, _ = coarse(image, markers)
    monkeypatch.setattr(_pyramid, "memory", lambda: 10**12)
    whole = nc.random_walker_probabilities(image, markers)
    assert found.shape == whole.shape == (3, *image.shape)
    assert found.dtype == np.float32
    assert np.abs(found - whole).mean() < 0.05
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(np.array([1, 2, 7])[found.argmax(axis=0)], labels)


@pytest.mark.usefixtures("short_of_memory")
def test_strokes_keep_their_labels_and_none_gets_lost() -> None:
    image, markers = scene()
    markers[8, 8, 8], markers[8, 8, 9], markers[8, 9, 8] = 11, 12, 13  # all in one group, were they not painted
    labels, _ = coarse(image, markers)
    np.testing.assert_array_equal(labels[markers > 0], markers[markers > 0])
    only, facts = coarse(image, np.where(markers == 11, markers, 0))
    assert facts["n_labels"] == 1
    assert (only == 11).all()


@pytest.mark.usefixtures("short_of_memory")
def test_what_no_walk_reaches_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    image, markers = scene()
    mask = rng.random(image.shape) < 0.45  # many parts that hold no marker
    image[rng.random(image.shape) < 0.05] = np.nan
    markers[rng.random(image.shape) < 0.05] = -1
    mask[5:9, 5:9, 5:9] = True
    labels, _ = coarse(image, markers, mask)
    likely = nc.random_walker_probabilities(*(da.from_array(a, 8) for a in (image, markers, mask))).compute()
    monkeypatch.setattr(_pyramid, "memory", lambda: 10**12)
    whole = nc.random_walker(image, markers, mask)
    assert 0.05 < (whole > 0).mean() < 0.4
    np.testing.assert_array_equal(labels > 0, whole > 0)
    np.testing.assert_array_equal(np.isnan(likely).any(axis=0), whole == 0)


@pytest.mark.usefixtures("short_of_memory")
def test_a_wall_that_is_one_voxel_thin_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.zeros((16, 18, 40), np.uint8)
    image[:, :, 21] = 200
    markers = np.zeros(image.shape, int)
    markers[3, 3, 19], markers[9, 9, 23] = 1, 2
    labels, _ = coarse(image, markers, beta=3000.0)
    np.testing.assert_array_equal(labels[:, :, :21], 1)
    np.testing.assert_array_equal(labels[:, :, 22:], 2)


@pytest.mark.usefixtures("short_of_memory")
def test_channels_and_voxels_that_are_no_cubes(monkeypatch: pytest.MonkeyPatch) -> None:
    image, markers = scene()
    image = np.stack([image, np.roll(image, 1, axis=1), image[::-1]], axis=-1)
    settings = {"channel_axis": 3, "spacing": (3.0, 1.0, 1.0), "beta": 300.0}
    labels = nc.random_walker(da.from_array(image, 9), da.from_array(markers, 9), **settings).compute()
    monkeypatch.setattr(_pyramid, "memory", lambda: 10**12)
    whole = nc.random_walker(image, markers, **settings)
    assert (labels != whole).mean() < 0.008
    assert (labels != nc.random_walker(image, markers, channel_axis=3, beta=300.0)).mean() > 0.01


@pytest.mark.usefixtures("short_of_memory")
def test_nothing_is_computed_while_the_graph_is_made() -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise OSError("read")

    image, markers = scene()
    broken = da.from_array(image, 9).map_blocks(fail, meta=np.empty((0, 0, 0), np.float32))
    labels = nc.random_walker(broken, da.from_array(markers, 9))
    with pytest.raises(OSError, match="read"):
        labels.compute()


@pytest.mark.usefixtures("short_of_memory")
def test_bad_strokes_are_refused_as_in_memory() -> None:
    image, markers = scene()
    for bad, text in ((np.zeros_like(markers), "no painted voxel"), (markers - 3, "got -3")):
        with pytest.raises(ValueError, match=text):
            coarse(image, bad)
    with pytest.raises(ValueError, match="lie outside mask"):
        coarse(image, markers, markers == 0)
    with pytest.raises(ValueError, match="no finite voxel"):
        coarse(image, markers, np.zeros_like(markers))
    with pytest.raises(ValueError, match="no painted voxel"):
        nc.random_walker_probabilities(da.from_array(image), da.from_array(markers * 0))


@pytest.mark.usefixtures("short_of_memory")
def test_it_tells_how_far_it_is_and_stops_when_asked() -> None:
    image, markers = scene()
    stages: list[str] = []
    with watch(lambda name, done: stages.append(name)):
        nc.random_walker(image, markers)
    known = list(dict.fromkeys(stages))
    assert known[-1] == "computing blocks" or "computing blocks" in known
    assert {"looking at grey levels", "merging voxels", "linking tiles"} <= set(known)
    asked = iter([False] * 40)
    with watch(is_cancelled=lambda: next(asked, True)), pytest.raises(Cancelled):
        nc.random_walker(image, markers)


def test_tiles_come_from_the_shape_and_make_up_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pyramid, "TILE_VOXELS", 1 << 9)
    cut = _pyramid.tiles_for((20, 9, 3), 2)
    tiles, grid = list(cut), tuple(map(len, cut.chunks))
    assert grid == (2, 2, 1)  # edges 16, 8 and 4: the shortest is doubled until it reaches as far as the image
    count = np.zeros((20, 9, 3), int)
    for tile in tiles:
        count[tuple(slice(o, o + n) for o, n in zip(tile.origin, tile.shape, strict=True))][tile.own] += 1
        near = _walk_blocks._near(tile, tiles)
        assert tile.number in near
    assert (count == 1).all()
    assert tiles[3].origin == (14, 6, 0)
    assert tiles[3].shape == (6, 3, 3)


@pytest.mark.parametrize("dtype", ["uint8", "float64", "int64"])
def test_weights_are_those_of_the_whole(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pyramid, "TILE_VOXELS", 1 << 9)
    image, markers = scene()
    image = (image * 50 + 60).astype(dtype)
    if dtype == "float64":
        image[2:5, 3] = np.inf
    mask = np.random.default_rng(1).random(image.shape) < 0.8
    inside = mask & np.isfinite(image)
    tiles = list(_pyramid.tiles_for(image.shape, 1))
    regions = [tuple(slice(o, o + n) for o, n in zip(t.origin, t.shape, strict=True)) for t in tiles]
    seen = [
        _walk_scene.seen_in(t, image[r], mask[r], markers[r], noisy=True) for t, r in zip(tiles, regions, strict=True)
    ]
    facts, lows = _walk_scene.facts_from(seen)
    for beta, within in ((130.0, 1e-9), ("auto", 0.1)):  # differences across tiles are not seen
        settings = WalkSettings(beta, 1e-3, None, 1.0)
        np.testing.assert_allclose(scales_from(facts, settings), scales_of([image], inside, settings), rtol=within)
    assert lows == [0]


@pytest.mark.usefixtures("short_of_memory")
def test_large_integers_that_lie_close_are_told_apart() -> None:
    image, markers = scene()
    levels = (image * 20).astype(np.int64)
    expected, _ = coarse(levels, markers, beta="auto")
    found, _ = coarse(levels + 2**60, markers, beta="auto")
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) == 2


# Graphs --------------------------------------------------------------------------------------------------


def test_groups_resist_walks_through_them() -> None:
    # Edges of 1 and 3 between groups 0 and 1 conduct 4, so they resist 1/4; the groups add 1/4 and 1/2: 1 in all.
    edges = Edges(np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([1, 3, 8], np.float32))
    first, second = np.array([0.25, 0.0], np.float32), np.array([0.0, 0.5], np.float32)
    found = _walk_graph.summed(edges, (first, second))
    assert found.one.tolist() == [0, 1]
    assert found.two.tolist() == [1, 0]
    np.testing.assert_allclose(found.weight, [1, 8])
    # A block of 2 x 2 x 2 has 12 edges inside; a voxel by itself has none, and adds nothing.
    np.testing.assert_allclose(_walk_graph.resistances(np.array([12.0, 0.0])), [_walk_graph.WITHIN / 12, 0])


def test_probabilities_on_a_graph_are_those_of_a_direct_solve() -> None:
    rng = np.random.default_rng(0)
    n = 900
    one, two = (rng.integers(0, n - 3, 4000) for _ in range(2))
    keep = one < two
    pairs = np.unique(np.stack([one[keep], two[keep]]), axis=1)
    pairs = np.concatenate([pairs, [[n - 3, n - 2], [n - 2, n - 1]]], axis=1)  # three nodes apart from all others
    weight = np.exp(-3 * rng.random(pairs.shape[1])).astype(np.float32)
    sinks = [np.where(rng.random(n) < 0.02, 1.0, 0.0).astype(np.float32) for _ in range(4)]
    for sink in sinks:
        sink[n - 3 :] = 0
    matrix = coo_array((weight, tuple(pairs)), shape=(n, n)).tocsr()
    matrix = (matrix + matrix.T).tocsr()
    lost = np.asarray(matrix.sum(axis=1)).ravel() == 0
    lost[n - 3 :] = True
    total = np.sum(sinks, axis=0)
    lost &= total == 0
    laplacian = (diags(np.asarray(matrix.sum(axis=1)).ravel() + total + lost) - matrix).tocsc()
    graph = _walk_graph.graph_of(Edges(pairs[0], pairs[1], weight), total)
    found = _walk_graph.probabilities(graph, sinks, np.arange(n, dtype=np.int32), (1, 30, 30), 1e-4)
    np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(lost, found.shape))
    for values, sink in zip(found, sinks, strict=True):
        np.testing.assert_allclose(values[~lost], spsolve(laplacian, sink.astype(float))[~lost], atol=2e-3)


# Whole ---------------------------------------------------------------------------------------------------


@given(st.data())
def test_any_chunks_give_the_labels_of_the_whole_where_it_fits(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.integers(2, 9)) for _ in range(data.draw(st.integers(2, 3))))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    image = rng.integers(0, 9, shape).astype(np.float32)
    markers = rng.integers(0, 4, shape) * (rng.random(shape) < 0.3)
    markers.ravel()[0] = 1
    chunks = [tuple(data.draw(st.integers(1, n)) for n in shape) for _ in range(2)]
    whole = nc.random_walker(image, markers)
    lazy = nc.random_walker(da.from_array(image, chunks[0]), da.from_array(markers, chunks[1]))
    assert lazy.chunks == da.from_array(image, chunks[0]).chunks
    np.testing.assert_array_equal(lazy.compute(), whole)
    likely = nc.random_walker_probabilities(da.from_array(image, chunks[0]), da.from_array(markers, chunks[1]))
    np.testing.assert_array_equal(likely.compute(), nc.random_walker_probabilities(image, markers))


def test_the_plan_says_what_a_run_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pyramid, "memory", lambda: 10**10)
    monkeypatch.setattr("napari_cutout.blockwise.memory", lambda: 10**10)
    assert _walk_blocks.bytes_needed({}, 10**6, 1) == 88
    assert _walk_blocks.bytes_needed({}, 10**9, 1) * 10**9 < 10**10 + 64e9
    assert _walk_blocks.bytes_needed({}, 10**9, 1) < 88


@pytest.mark.usefixtures("short_of_memory")
def test_a_cluster_gives_the_same_labels() -> None:
    distributed = pytest.importorskip("distributed")
    image, markers = scene((12, 20, 17))
    expected, _ = coarse(image, markers)
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        lazy = nc.random_walker(da.from_array(image, 9), da.from_array(markers, 12))
        np.testing.assert_array_equal(client.compute(lazy).result(timeout=PATIENCE), expected)
