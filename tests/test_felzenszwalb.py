"""Graph-based segmentation: against its definition, against scikit-image, and whatever the groups of edges are."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.segmentation import felzenszwalb as skimage_felzenszwalb

import napari_cutout as nc
from napari_cutout import _array
from napari_cutout.methods import _edges, _edges_device, _felzenszwalb
from napari_cutout.methods._edges import blocks_of_rows

from . import strict
from .cases import same_partition, two_humps
from .conftest import read_only
from .reference.felzenszwalb import all_edges, regions

PLAIN: dict[str, Any] = {"sigma": 0.0, "min_size": 0}


# What comes out, by hand ------------------------------------------------------------------------------------


@pytest.mark.parametrize("least", [1, 100])
def test_a_weight_may_equal_the_internal_difference_and_the_share(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_felzenszwalb, "GROUP", 0)
    monkeypatch.setattr(_felzenszwalb, "LEAST", least)  # 1: a group for each edge, the third beginning with weight 3
    # Weights 1, 2, 3, 4, and scale 3. 1 <= 0 + 3/1 joins the first two: 1 + 3/2 = 2.5. 2 <= 2.5 and 2 <= 3 joins the
    # third: 2 + 3/3 = 3. 3 <= 3 and 3 <= 3 joins the fourth: 3 + 3/4 = 3.75. 4 > 3.75 leaves the fifth alone.
    image = np.array([[0, 1, 3, 6, 10]])
    assert nc.felzenszwalb(image, scale=3.0, **PLAIN).tolist() == [[1, 1, 1, 1, 2]]
    assert nc.felzenszwalb(image, scale=3.0, sigma=0.0, min_size=2).tolist() == [[1, 1, 1, 1, 1]]


def test_of_equal_weights_the_first_in_scan_order_counts() -> None:
    # Both edges weigh 1, and scale is 1. The first joins: 1 + 1/2. The second: 1 <= 1.5, but for the fourth voxel
    # 1 <= 0 + 1: joined. With scale 0.75 none is: 1 > 0.75. With 1 and weights 1, 1.25: 1.25 > 1 leaves the last alone.
    assert nc.felzenszwalb(np.array([[0, 1, 2]]), scale=1.0, **PLAIN).tolist() == [[1, 1, 1]]
    assert nc.felzenszwalb(np.array([[0, 1, 2]]), scale=0.75, **PLAIN).tolist() == [[1, 2, 3]]
    assert nc.felzenszwalb(np.array([[0.0, 1.0, 2.25]]), scale=1.0, **PLAIN).tolist() == [[1, 1, 2]]
    # The middle is 4 from either side, and both sides are large enough: it joins the first.
    halves = np.array([[0, 0, 4, 8, 8]])
    assert nc.felzenszwalb(halves, scale=0.0, sigma=0.0, min_size=2).tolist() == [[1, 1, 1, 2, 2]]


def test_a_step_over_a_long_edge_counts_for_less() -> None:
    # Down the rows 3 grey levels over 3 edges weigh 1, along them 2 weigh 2; with scale 1 only the first are joined.
    image = np.array([[0, 2], [3, 5]])
    more = PLAIN | {"scale": 1.0, "connectivity": 1}
    assert nc.felzenszwalb(image, spacing=(3.0, 1.0), **more).tolist() == [[1, 2], [1, 2]]
    assert nc.felzenszwalb(image, spacing=(0.3, 0.1), **more).tolist() == [[1, 2], [1, 2]]
    assert nc.felzenszwalb(image, **more).tolist() == [[1, 2], [3, 4]]


def test_neighbours_are_all_in_a_plane_and_faces_in_a_volume() -> None:
    diagonal = np.eye(3, dtype=np.uint8)
    more = PLAIN | {"scale": 0.0}
    assert len(np.unique(nc.felzenszwalb(diagonal, **more)[diagonal > 0])) == 1
    assert len(np.unique(nc.felzenszwalb(diagonal, connectivity=1, **more)[diagonal > 0])) == 3
    np.testing.assert_array_equal(
        nc.felzenszwalb(diagonal, connectivity=3, **more), nc.felzenszwalb(diagonal, connectivity=2, **more)
    )
    volume = diagonal[None]
    assert len(np.unique(nc.felzenszwalb(volume, **more)[volume > 0])) == 3


# Against the definition -------------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Return small images of a few grey levels, so that many edges tie, or of many, and how to segment them."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    n_channels, n_levels = draw(st.integers(1, 3)), draw(st.sampled_from([2, 4, 1000]))
    channels = rng.integers(0, n_levels, (n_channels, *shape)).astype(draw(st.sampled_from(["uint16", "float64"])))
    inside = np.ones(shape, bool)
    if draw(st.booleans()):
        inside = rng.random(shape) < 0.8
        inside.ravel()[0] = True
    return {
        "channels": channels,
        "inside": inside,
        "connectivity": draw(st.integers(1, len(shape))),
        "spacing": draw(st.sampled_from([None, (1.0, 1.0, 1.0), (3.0, 0.7, 1.0)])),
        "scale": draw(st.sampled_from([0.0, 0.5, 1.0, 3.0, 10.0, 2000.0])),
        "min_size": draw(st.sampled_from([0, 1, 2, 3, 20])),
    }


def expected_of(case: dict[str, Any]) -> np.ndarray:
    ndim = case["inside"].ndim
    spacing = (1.0,) * ndim if case["spacing"] is None else case["spacing"][:ndim]
    sides = tuple(round(s / min(spacing) * 1024) / 1024 for s in spacing)
    edges = all_edges(case["channels"], case["inside"], case["connectivity"], sides)
    return regions(edges, case["inside"], case["scale"], case["min_size"])


def found_of(case: dict[str, Any], move: Any = lambda array: array) -> np.ndarray:
    ndim, spacing = case["inside"].ndim, case["spacing"]
    more = {name: case[name] for name in ("scale", "min_size", "connectivity")}
    more["spacing"] = None if spacing is None else spacing[:ndim]
    given = move(read_only(case["channels"])), move(read_only(case["inside"]))
    return _array.to_numpy(nc.felzenszwalb(*given, sigma=0.0, channel_axis=0, **more))


@given(cases(), st.sampled_from([1, 3, 20, 1 << 20]), st.sampled_from([1, 7, 1 << 16]), st.integers(1, 3))
def test_regions_are_those_of_the_definition_whatever_the_groups_and_threads(
    case: dict[str, Any], least: int, block: int, n_threads: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_felzenszwalb, "GROUP", 0)
        patch.setattr(_felzenszwalb, "LEAST", least)
        patch.setattr(_edges, "BLOCK", block)
        patch.setattr(_edges, "n_threads", lambda: n_threads)
        patch.setattr("napari_cutout._plan.n_threads", lambda: n_threads)
        np.testing.assert_array_equal(found_of(case), expected_of(case))


@settings(max_examples=12)
@given(cases(), st.sampled_from([50, 200, 1 << 20]), st.sampled_from([70, 1 << 20]))
def test_a_device_gives_the_regions_of_the_definition(case: dict[str, Any], group: int, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_edges_device, "GROUP", group)
        patch.setattr(_edges_device, "CHUNK", chunk)
        patch.setattr(_edges_device, "SAMPLE", 3)
        np.testing.assert_array_equal(found_of(case, strict.on_device), expected_of(case))


@pytest.mark.gpu
@pytest.mark.parametrize("connectivity", [1, 3])
@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_a_gpu_gives_the_regions_of_the_host(dtype: str, connectivity: int, to_gpu: Any) -> None:
    channels = np.stack([two_humps((20, 30, 40), seed, dtype) for seed in range(2)])
    for image, axis in ((channels[0], None), (channels, 0)):
        more = {"channel_axis": axis, "connectivity": connectivity, "spacing": (2.0, 1.0, 1.0)}
        found = _array.to_numpy(nc.felzenszwalb(to_gpu(image), **more))
        np.testing.assert_array_equal(found, nc.felzenszwalb(image, **more))


@pytest.mark.parametrize("least", [50, 1 << 20])
def test_rows_longer_than_a_strip_and_buckets_of_many_edges(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_felzenszwalb, "GROUP", 0)
    monkeypatch.setattr(_felzenszwalb, "LEAST", least)
    stripes = np.arange(600) % 2 + np.zeros((4, 1))  # so that most weights lie near 1, in a few buckets
    image = (stripes + 0.01 * np.random.default_rng(0).random((4, 600))).astype(np.float32)
    image[1, 100:400] = 0.5  # and many tie
    inside = np.ones(image.shape, bool)
    expected = regions(all_edges(image[None], inside, 2, (1.0, 1.0)), inside, 1.005, 3)
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(nc.felzenszwalb(image, scale=1.005, sigma=0.0, min_size=3), expected)


# Against scikit-image ---------------------------------------------------------------------------------------


def smooth(shape: tuple[int, ...], seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape)
    return ndimage.gaussian_filter(noise, (1.0, 1.0, 0.0)[: len(shape)]).astype(np.float32)


def n_ties(image: np.ndarray) -> int:
    """Return how many edges weigh the same as another one."""
    channels = np.moveaxis(np.atleast_3d(image), -1, 0)
    edges = all_edges(channels, np.ones(channels.shape[1:], bool), 2, (1.0, 1.0))
    return len(edges) - len({edge.weight for edge in edges})


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("shape", [(30, 40), (27, 31, 3)], ids=["grey", "rgb"])
@pytest.mark.parametrize("min_size", [0, 12])
def test_where_no_two_edges_tie_regions_are_those_of_scikit_image(
    shape: tuple[int, ...], seed: int, min_size: int
) -> None:
    image = smooth(shape, seed)
    assert n_ties(image) == 0
    axis = -1 if len(shape) == 3 else None
    for scale in (0.05, 0.3, 2.0):  # it divides what it is given by 255, as images are floats
        more = {"scale": 255 * scale, "sigma": 0, "min_size": min_size, "channel_axis": axis}
        theirs = skimage_felzenszwalb(image.astype(np.float64), **more)
        ours = nc.felzenszwalb(image, scale=scale, sigma=0.0, min_size=min_size, channel_axis=axis)
        assert same_partition(ours, theirs)
        assert len(np.unique(ours)) > 1 + (scale < 1)


@pytest.mark.parametrize("move", [lambda a: a[::-1], lambda a: a[:, ::-1], np.transpose], ids=["y", "x", "T"])
def test_where_no_two_edges_tie_flips_and_transposition_move_the_regions(move: Any) -> None:
    image = smooth((30, 40), 2)
    assert n_ties(image) == 0
    ours = nc.felzenszwalb(image, scale=0.3, sigma=0.0)
    moved = nc.felzenszwalb(np.ascontiguousarray(move(image)), scale=0.3, sigma=0.0)
    assert same_partition(moved, move(ours))
    assert len(np.unique(ours)) > 5


# Settings and inputs ----------------------------------------------------------------------------------------


def test_smoothing_is_that_of_gaussian() -> None:
    image, spacing = two_humps((5, 20, 20)), (2.0, 1.0, 1.0)
    smoothed = nc.gaussian(image, sigma=1.5, spacing=spacing)
    more = {"scale": 3000.0, "spacing": spacing}
    found = nc.felzenszwalb(image, sigma=1.5, **more)
    np.testing.assert_array_equal(found, nc.felzenszwalb(smoothed, sigma=0.0, **more))


def test_the_usual_scale_is_the_range_of_grey_levels() -> None:
    image = np.random.default_rng(0).permutation(np.repeat(np.arange(10, 110), 200)).reshape(100, 200)
    with nc.watch() as monitor:
        found = nc.felzenszwalb(image, sigma=0.0)
    assert monitor.facts["scale"] == pytest.approx(99, rel=1e-4)  # levels are counted in bins
    assert monitor.facts["n_regions"] == found.max()
    np.testing.assert_array_equal(found, nc.felzenszwalb(image, scale=monitor.facts["scale"], sigma=0.0))
    colours = np.stack([image, image, image])
    with nc.watch() as monitor:
        found_in_colours = nc.felzenszwalb(colours, sigma=0.0, channel_axis=0)
    assert monitor.facts["scale"] == pytest.approx(99 * 3**0.5, rel=1e-4)
    assert len(np.unique(found_in_colours)) > 1


def test_scale_0_joins_equal_neighbours_only() -> None:
    image = np.random.default_rng(1).integers(0, 3, (20, 30)).astype(np.uint8)
    found = nc.felzenszwalb(image, scale=0.0, connectivity=1, **PLAIN)
    assert same_partition(found, nc.objects(image + np.uint8(1), connectivity=1))
    assert nc.felzenszwalb(image, scale=0.0, connectivity=1, sigma=0.0, min_size=30).max() < found.max()


def test_min_size_above_the_image_gives_a_region_for_each_part_that_hangs_together() -> None:
    image, mask = two_humps((12, 15)), np.ones((12, 15), bool)
    assert (nc.felzenszwalb(image, min_size=10**6) == 1).all()
    mask[:, 7] = False
    found = nc.felzenszwalb(image, mask, min_size=10**6)
    assert (found[:, :7] == 1).all()
    assert (found[:, 8:] == 2).all()
    assert not found[:, 7].any()


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_a_constant_image_is_one_region_and_so_is_a_voxel(dtype: str) -> None:
    assert (nc.felzenszwalb(np.full((6, 7), 9, dtype)) == 1).all()
    assert nc.felzenszwalb(np.full((1, 1, 1), 9, dtype)).tolist() == [[[1]]]


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_outside_and_do_not_count(spoilt: float) -> None:
    image = np.stack([two_humps((20, 25), seed, "float32") for seed in range(2)])
    mask = np.ones((20, 25), bool)
    mask[4:8, 3:9], mask[12, 20] = False, False
    holes = image.copy()
    holes[0, 4:8, 3:9], holes[1, 12, 20] = spoilt, spoilt
    found = nc.felzenszwalb(holes, channel_axis=0)
    np.testing.assert_array_equal(found == 0, ~mask)
    np.testing.assert_array_equal(found, nc.felzenszwalb(image, mask, channel_axis=0))
    image[:, ~mask] = 1e6
    np.testing.assert_array_equal(found, nc.felzenszwalb(image, mask.astype(np.uint8), channel_axis=0))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"scale": -1.0}, r"scale must be between 0 and 1000000000.0, got -1.0"),
        ({"scale": np.nan}, "scale must be a finite number, got nan"),
        ({"min_size": -1}, "min_size must be between 0 and 2147483647, got -1"),
        ({"connectivity": 0}, "connectivity must be between 1 and 3, got 0"),
        ({"mask": np.zeros((9, 9), bool)}, "no finite voxel"),
        ({"mask": np.zeros((9, 9), bool), "scale": 1.0}, "outside mask, at every voxel; .* widen the mask"),
    ],
)
def test_bad_settings_and_masks_of_nothing_are_refused(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        nc.felzenszwalb(two_humps((9, 9)), **more)


@pytest.mark.parametrize("wrapped", [np.asarray, da.from_array], ids=["numpy", "dask"])
@pytest.mark.parametrize(("dtype", "largest"), [("float32", 3.4e38), ("float64", 1.8e306), ("float32", -1.1e37)])
def test_grey_levels_whose_differences_are_infinite_are_refused(wrapped: Any, dtype: str, largest: float) -> None:
    image = np.zeros((6, 7), dtype)
    image[2, 3], image[5, 5] = largest, np.nan
    with pytest.raises(ValueError, match=r"grey levels up to .* no more than 1e\+37 .*; divide it by its largest"):
        np.asarray(nc.felzenszwalb(wrapped(image)))
    mask = np.ones(image.shape, bool)
    mask[2, 3] = False
    assert np.asarray(nc.felzenszwalb(wrapped(image), wrapped(mask))).max() == 1
    image[2, 3] = np.sign(largest) * 1e37
    assert np.asarray(nc.felzenszwalb(wrapped(image), sigma=0.0, min_size=0)).max() == 2


def test_no_block_of_rows_has_more_edges_than_int32_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_edges, "n_threads", lambda: 1)
    levels = np.broadcast_to(np.float32(0), (1, 900**3))  # 729 million voxels with 13 edges, in 4 bytes
    small = _felzenszwalb.lattice_of([np.zeros((2, 2, 2), np.float32)], 3, None)
    lattice = small._replace(levels=levels, shape=np.full(3, 900, np.int32))
    blocks = blocks_of_rows(lattice)
    assert [part.start for part in blocks] == [0, *(part.stop for part in blocks[:-1])]
    assert blocks[-1].stop == 900**2
    assert max(part.stop - part.start for part in blocks) * 900 * 13 < 2**31


def test_a_paper_says_that_small_regions_joined_a_neighbour() -> None:
    assert "Regions of fewer than 20 voxels were joined to the neighbour" in nc.cite(nc.Step("felzenszwalb")).text


def test_it_can_be_cancelled_between_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_felzenszwalb, "GROUP", 0)
    monkeypatch.setattr(_felzenszwalb, "LEAST", 100)
    seen: list[float] = []

    def progress(stage: str, share: float) -> None:
        if stage == "merging regions":
            seen.append(share)

    with nc.watch(progress, lambda: len(seen) > 3), pytest.raises(nc.Cancelled, match="while merging regions"):
        nc.felzenszwalb(two_humps((40, 40)))
    assert seen == sorted(seen)
