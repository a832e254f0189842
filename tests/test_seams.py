"""Labels of tiles become labels of the whole: objects that were cut are one again, and no others."""

from __future__ import annotations

import itertools
from typing import Any

import dask.array as da
import numpy as np
import pytest
from dask.array.overlap import overlap as overlapping
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import napari_cutout as nc
from napari_cutout.blockwise import Stored, Threads, keep, lazy, source_of, sweeping


@st.composite
def cut(draw: Any) -> dict[str, Any]:
    """Draw an image of connected objects, the tiles it is cut into, and a generator of numbers."""
    ndim = draw(st.integers(2, 3))
    shape = tuple(draw(st.integers(4, 14 if ndim == 2 else 8)) for _ in range(ndim))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    objects, _ = ndimage.label(rng.random(shape) < draw(st.sampled_from([0.3, 0.6, 0.8])))
    if draw(st.booleans()):  # objects that touch
        seeds = rng.permutation(np.arange(1, 2 * objects.size + 1))[: objects.size].reshape(shape)
        objects = connected(ndimage.grey_dilation(np.where(rng.random(shape) < 0.1, seeds, 0), 3))
    edges = tuple(draw(st.integers(2, max(n - 1, 2))) for n in shape)
    chunks = tuple(lengths(e, n) for e, n in zip(edges, shape, strict=True))
    return {"objects": objects.astype(np.int32), "chunks": chunks, "rng": rng}


def lengths(edge: int, n: int) -> tuple[int, ...]:
    """Return tiles of this length, the last one longer where it would be a single voxel."""
    full, rest = divmod(n, edge)
    if rest == 0:
        return (edge,) * full
    return (edge,) * full + (rest,) if rest > 1 else (*(edge,) * (full - 1), edge + rest)


def connected(labels: np.ndarray) -> np.ndarray:
    """Return labels in which every number is one connected object."""
    found, n = np.zeros(labels.shape, int), 0
    for value in np.unique(labels[labels > 0]):
        parts, k = ndimage.label(labels == value)
        found[parts > 0] = parts[parts > 0] + n
        n += k
    return found


def numbered_anew(block: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the labels of a tile with other numbers, as a program that sees this tile alone gives them."""
    values = np.unique(block[block > 0])
    table = np.zeros(int(block.max(initial=0)) + 1, np.int64)
    table[values] = rng.permutation(np.arange(1, 3 * len(values) + 1))[: len(values)]
    return table[block]


def by_first_voxel(labels: np.ndarray) -> np.ndarray:
    values, first = np.unique(labels[labels > 0], return_index=True)
    table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    table[values[np.argsort(first)]] = np.arange(1, len(values) + 1)
    return table[labels]


def in_tiles(objects: np.ndarray, chunks: Any, depth: int, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
    """Return an array of tiles with overlap, numbered tile by tile, and the lengths of its tiles."""
    wide = overlapping(da.from_array(objects, chunks), depth, boundary="none", allow_rechunk=False)
    given = wide.map_blocks(lambda block: numbered_anew(block, rng), dtype=np.int64)
    return given.compute(scheduler="sync"), given.chunks


@given(cut(), st.sampled_from([1, 2]))
def test_tiles_that_overlap_give_the_objects_of_the_whole(scene: dict[str, Any], depth: int) -> None:
    objects, chunks = scene["objects"], scene["chunks"]
    tiles, lengths = in_tiles(objects, chunks, depth, scene["rng"])
    np.testing.assert_array_equal(
        nc.stitch(tiles, chunks=lengths, overlap=depth, threshold=1.0, partners="all"), by_first_voxel(objects)
    )
    lazily = nc.stitch(da.from_array(tiles, lengths), overlap=depth)
    assert lazily.chunks == chunks
    np.testing.assert_array_equal(lazily.compute(scheduler="sync"), by_first_voxel(objects))


@given(cut())
def test_connected_components_of_tiles_are_those_of_the_whole(scene: dict[str, Any]) -> None:
    objects, chunks = scene["objects"], scene["chunks"]
    mask = objects > 0
    tiles = da.from_array(mask, chunks).map_blocks(lambda block: ndimage.label(block)[0], dtype=np.int64)
    whole, _ = ndimage.label(mask)
    found = nc.stitch(tiles.compute(scheduler="sync"), chunks=chunks, threshold=0.0, partners="all")
    np.testing.assert_array_equal(found, by_first_voxel(whole))


@given(cut(), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.sampled_from(["union", "smaller"]), st.booleans())
def test_the_rule_is_that_of_plain_python(scene: dict[str, Any], threshold: float, share: Any, one: bool) -> None:
    chunks, rng = scene["chunks"], scene["rng"]
    tiles, _ = in_tiles(rng.integers(0, 4, scene["objects"].shape).astype(np.int32), chunks, 0, rng)
    partners: Any = "one" if one else "all"
    settings: dict[str, Any] = {"threshold": threshold, "share": share, "partners": partners}
    found = nc.stitch(tiles, chunks=chunks, **settings)
    np.testing.assert_array_equal(found, plainly(tiles, chunks, threshold, share, partners))
    with sweeping(Threads(tuple(c[0] for c in chunks), 2)):
        swept = nc.stitch(lazy(Stored(tiles), chunks), **settings)
        np.testing.assert_array_equal(keep(source_of(swept), "writing").array, found)
    regions = regions_of(chunks)
    shuffled = [(regions[i], numbered_anew(tiles[regions[i]], rng)) for i in rng.permutation(len(regions))]
    np.testing.assert_array_equal(nc.stitch_regions(shuffled, tiles.shape, **settings), found)


def regions_of(chunks: Any) -> list[tuple[slice, ...]]:
    along = [[slice(e - n, e) for n, e in zip(sizes, np.cumsum(sizes), strict=True)] for sizes in chunks]
    return list(itertools.product(*along))


def opposite(tiles: np.ndarray, tile_of: np.ndarray) -> dict[Any, list[tuple[int, int]]]:
    """Return the labels of voxels that lie opposite, for every two tiles."""
    seams: dict[Any, list[tuple[int, int]]] = {}
    for axis, n in enumerate(tiles.shape):
        ends = [np.take(x, np.arange(s, n - 1 + s), axis).flat for x in (tile_of, tiles) for s in (0, 1)]
        for one, two, a, b in zip(*ends, strict=True):
            if one != two:
                seams.setdefault((one, two), []).append((int(a), int(b)))
    return seams


def plainly(tiles: np.ndarray, chunks: Any, threshold: float, share: str, partners: str) -> np.ndarray:
    """Stitch as `nc.stitch` says it does, voxel by voxel."""
    tile_of = np.zeros(tiles.shape, int)
    for number, region in enumerate(regions_of(chunks)):
        tile_of[region] = number
    group = {(int(t), int(v)): {(int(t), int(v))} for t, v in zip(tile_of.flat, tiles.flat, strict=True) if v}
    for (one, two), voxels in opposite(tiles, tile_of).items():
        worth: dict[tuple[int, int], Any] = {}
        for a, b in [pair for pair in voxels if all(pair)]:
            common = voxels.count((a, b))
            n_a, n_b = sum(v[0] == a for v in voxels), sum(v[1] == b for v in voxels)
            of = n_a + n_b - common if share == "union" else min(n_a, n_b)
            if common >= threshold * of:
                worth[a, b] = (-common / of, -common, voxels.index((a, b)))
        for (a, b), value in worth.items():
            rivals = [w for (x, y), w in worth.items() if x == a or y == b]
            if partners == "all" or value == min(rivals):
                both = group[one, a] | group[two, b]
                for member in both:
                    group[member] = both
    names = {id(g): n for n, g in enumerate(group.values(), 1)}
    joined = np.array(
        [names[id(group[int(t), int(v)])] if v else 0 for t, v in zip(tile_of.flat, tiles.flat, strict=True)]
    )
    return by_first_voxel(joined.reshape(tiles.shape))


def test_what_a_tile_has_told_apart_stays_apart() -> None:
    tiles = np.array([[1, 1, 1, 5, 5], [1, 1, 1, 5, 5], [1, 1, 1, 6, 6], [0, 0, 0, 0, 0]])
    found = nc.stitch(tiles, chunks=((4,), (3, 2)), threshold=0.2)
    assert found.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 2, 2], [0, 0, 0, 0, 0]]
    assert nc.stitch(tiles, chunks=((4,), (3, 2)), threshold=0.2, partners="all").max() == 1
    assert nc.stitch(tiles, chunks=((4,), (3, 2)), threshold=0.7).max() == 3
    assert nc.stitch(tiles, chunks=((4,), (3, 2)), threshold=0.7, share="smaller").max() == 2


def test_tiles_may_lie_anywhere_and_overlap_as_they_do() -> None:
    rng = np.random.default_rng(0)
    objects, _ = ndimage.label(ndimage.gaussian_filter(rng.standard_normal((40, 50)), 2) > 0.02)
    starts = [(0, 0), (0, 18), (0, 30), (14, 0), (14, 21), (14, 30), (22, 5)]
    boxes = [(slice(y, min(y + 26, 40)), slice(x, min(x + 22, 50))) for y, x in starts]
    tiles = [(box, numbered_anew(objects[box], rng)) for box in boxes]
    found = nc.stitch_regions(tiles, objects.shape)
    np.testing.assert_array_equal(found, by_first_voxel(objects))
    np.testing.assert_array_equal(nc.stitch_regions(tiles[::-1], objects.shape), found)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda a: nc.stitch(a), ValueError, "pass chunks"),
        (lambda a: nc.stitch(a.astype(float), chunks=3), TypeError, "labels must be integers, got float64"),
        (lambda a: nc.stitch(a, chunks=(3, (4, 1))), ValueError, "do not add up to the shape of labels, \\(6, 6\\)"),
        (lambda a: nc.stitch(a, chunks=(3,)), ValueError, "along each of 2 axes"),
        (lambda a: nc.stitch(a, chunks=3, overlap=2), ValueError, "1 voxels of its own along axis 0"),
        (lambda a: nc.stitch(a, chunks=3, overlap=-1), ValueError, "overlap must be 0 or more"),
        (lambda a: nc.stitch(a, chunks=3, threshold=1.5), ValueError, "threshold"),
        (lambda a: nc.stitch(a, chunks=3, share="all"), ValueError, "share must be one of union, smaller, got 'all'"),
        (lambda a: nc.stitch(a - 1, chunks=3), ValueError, "labels must be 0 or more, got -1"),
        (lambda a: nc.stitch_regions([(np.s_[0:5, 0:6], a)], (6, 6)), ValueError, "labels must have the shape"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call: Any, error: Any, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call(np.zeros((6, 6), int))
