"""Superpixels: by hand, against plain NumPy and scikit-image, and what no cutting into blocks may change."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage import segmentation
from skimage.io import imread

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout._monitor import Cancelled, watch
from napari_cutout.catalog import find
from napari_cutout.methods import _fragments_anywhere as anywhere
from napari_cutout.methods import _slic_blocks
from napari_cutout.methods._fragments import connected_on_host, label_parts
from napari_cutout.methods._slic import grid_for
from napari_cutout.methods._slic_sums import Sums, Table

from .reference import superpixels as reference


def scene(shape: tuple[int, ...], n_channels: int = 1, seed: int = 0, noise: float = 0.4) -> np.ndarray:
    """Return channels of smooth noise, and some that is not, without ties."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal((n_channels, *shape)), (0, *(2.5,) * len(shape)))
    return np.asarray(100 + 20 * (smooth / smooth.std() + rng.normal(0, noise, smooth.shape)), np.float32)


def ragged(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return a mask with holes and islands, about half of it."""
    smooth: np.ndarray = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return np.asarray(smooth > 0)


# By hand -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        # The grid: two cells of three voxels.
        ({"max_iterations": 1}, [[1, 1, 1, 2, 2, 2]]),
        # Centres at x = 1 with grey level 8/3, and at x = 4 with 8; a step is 3 voxels, and the variance
        # (2 (16/3)^2 + 4 (8/3)^2) / 6 = 128/9. Voxel 2 has (1/3)^2 + (16/3)^2 / (128/9) = 2.11 to the first and
        # (2/3)^2 = 0.44 to the second, so it changes; voxel 1 has 0.5 and 1 + 64 / (128/9) = 5.5, and stays.
        ({"max_iterations": 2}, [[1, 1, 2, 2, 2, 2]]),
        # With 3 for the compactness it is 9/9 + 2 = 3 and 9 * 4/9 = 4.
        ({"max_iterations": 2, "compactness": 3.0}, [[1, 1, 1, 2, 2, 2]]),
        # Distance does not count: every voxel goes to the grey level that is closest.
        ({"compactness": 0.0}, [[1, 1, 2, 2, 2, 2]]),
    ],
)
def test_six_voxels_by_hand(settings: dict[str, Any], labels: list[list[int]]) -> None:
    image = np.array([[0, 0, 8, 8, 8, 8]], np.uint8)
    found = nc.superpixels(image, n_superpixels=2, **settings)
    assert found.dtype == np.int32
    assert found.tolist() == labels


@pytest.mark.parametrize(
    ("labels", "least", "regions"),
    [
        ([[5, 5, 5, 1], [5, 2, 5, 1], [5, 5, 5, 1]], 2, [[1, 1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 2]]),
        ([[5, 5, 5, 1], [5, 2, 5, 1], [5, 5, 5, 1]], 0, [[1, 1, 1, 2], [1, 3, 1, 2], [1, 1, 1, 2]]),
        ([[3, 3, 7, 4, 4]], 2, [[1, 1, 1, 2, 2]]),  # as many faces to both sides: the first
        ([[3, 3, 4], [9, 9, 4], [9, 9, 4]], 3, [[1, 1, 2], [1, 1, 2], [1, 1, 2]]),  # one face with 4, two with 9
        ([[0, 1, 2, 3]], 2, [[1, 1, 1, 1]]),  # 0 joins 1, as there is no other; 2 joins 1 as the first; 3 joins 2
        # 6 has two faces with 7 and two with 9, and joins 7, which has no other neighbour. The next time it joins 9.
        ([[6, 7], [6, 6], [9, 9], [9, 9], [9, 9]], 5, [[1, 1]] * 5),
        ([[0, -1, 1]], 2, [[1, 0, 2]]),  # nothing to join
        ([[0, 1, 0]], 1, [[1, 2, 3]]),  # one label, two parts
    ],
)
def test_small_parts_join_by_hand(labels: list[list[int]], least: float, regions: list[list[int]]) -> None:
    found = connected_on_host(np.array(labels, np.int32), least)
    assert found.tolist() == regions


@pytest.mark.parametrize(
    ("sizes", "edges", "wanted", "counts"),
    [
        ((128, 128, 128), (1024, 1024, 1024), 1000, (10, 10, 10)),
        ((1, 1024, 1024), (1024, 1024, 1024), 1000, (1, 31, 32)),  # 992 is closer to 1000 than 1024 and 961
        ((30, 120, 120), (4096, 1024, 1024), 64, (4, 4, 4)),  # 120 x 120 x 120 in edges of the smallest voxel
        ((5, 100, 100), (1024, 1024, 1024), 25, (1, 5, 5)),  # thinner than a cell
        ((3, 4, 5), (1024, 1024, 1024), 1000, (3, 4, 5)),  # no more cells than voxels
        ((3, 4, 5), (1024, 1024, 1024), 1, (1, 1, 1)),
    ],
)
def test_cells_are_about_as_long_along_every_axis(
    sizes: tuple[int, int, int], edges: tuple[int, int, int], wanted: float, counts: tuple[int, int, int]
) -> None:
    assert grid_for((0, 0, 0), sizes, edges, wanted).counts == counts


# Against plain NumPy -------------------------------------------------------------------------------------

CASES: dict[str, tuple[tuple[int, ...], int, bool, dict[str, Any]]] = {
    "plane": ((24, 30), 1, False, {"n_superpixels": 20}),
    "loose": ((24, 30), 1, False, {"n_superpixels": 20, "compactness": 0.2}),
    "two sweeps": ((24, 30), 1, False, {"n_superpixels": 12, "max_iterations": 2, "min_size": 0.0}),
    "volume": ((12, 18, 24), 1, False, {"n_superpixels": 24, "compactness": 0.5}),
    "anisotropic": ((6, 18, 24), 1, False, {"n_superpixels": 24, "spacing": (3.0, 1.0, 1.0)}),
    "channels": ((24, 30), 3, False, {"n_superpixels": 20}),
    "masked": ((30, 36), 1, True, {"n_superpixels": 25}),
    "masked, an earlier grid": ((24, 30), 1, True, {"n_superpixels": 35}),  # 48, 36, 33 and 40 cells hold a voxel
    "masked volume": ((12, 18, 24), 2, True, {"n_superpixels": 24, "spacing": (2.0, 1.0, 1.0)}),
}
every_case = pytest.mark.parametrize("case", CASES)


def case_of(case: str) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    shape, n_channels, masked, settings = CASES[case]
    return scene(shape, n_channels), ragged(shape) if masked else None, settings


@every_case
def test_superpixels_are_what_their_definition_says(case: str) -> None:
    channels, mask, settings = case_of(case)
    expected = reference.superpixels(channels, mask, **settings)
    found = nc.superpixels(channels, mask, channel_axis=0, **settings)
    assert found.max() > 8
    np.testing.assert_array_equal(found, expected)


def test_a_long_row_is_cut_where_its_parts_are() -> None:
    image = scene((3, 1300))[0]  # longer than what is compared at a time
    expected = reference.superpixels(image[None], n_superpixels=60)
    np.testing.assert_array_equal(nc.superpixels(image, n_superpixels=60), expected)


parts = hnp.arrays(np.int32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.integers(-1, 3))


@given(parts, st.sampled_from([0.0, 1.5, 3.0, 7.0, 300.0]))
def test_parts_join_in_blocks_as_they_do_in_memory(labels: np.ndarray, least: float) -> None:
    labels.flat[0] = 0
    found = connected_on_host(labels.copy(), least)
    np.testing.assert_array_equal(found, reference.connected(labels, least))
    numbers, sizes = label_parts(labels)
    known, numbers = anywhere.Known(least, sizes), numbers + 1
    touching = anywhere._touching(known, anywhere._list_pairs(known, *anywhere._with_previous(numbers)))
    np.testing.assert_array_equal(anywhere.numbers_of(touching)[numbers], found)


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=st.integers(0, 9)),
    st.integers(1, 30),
    st.sampled_from([0.1, 1.0, 10.0]),
)
def test_regions_are_connected_cover_the_image_and_follow_each_other(
    image: np.ndarray, n_superpixels: int, compactness: float
) -> None:
    found = nc.superpixels(image, n_superpixels=n_superpixels, compactness=compactness)
    assert found.min() == 1
    np.testing.assert_array_equal(found, reference.by_first(found))
    for label in range(1, found.max() + 1):
        assert ndimage.label(found == label)[1] == 1


# What cannot show ----------------------------------------------------------------------------------------


@every_case
def test_blocks_and_threads_do_not_show(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    channels, mask, settings = case_of(case)
    expected = nc.superpixels(channels, mask, channel_axis=0, **settings)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 500)
    monkeypatch.setattr(_plan, "n_threads", lambda: 3)
    np.testing.assert_array_equal(nc.superpixels(channels, mask, channel_axis=0, **settings), expected)


@pytest.mark.parametrize("case", ["plane", "anisotropic", "masked volume"])
def test_tiles_do_not_show(case: str) -> None:
    channels, mask, settings = case_of(case)
    settings = settings | {"max_iterations": 3}
    expected = nc.superpixels(channels, mask, channel_axis=0, **settings)
    lazy = da.from_array(channels, (1, *(n // 2 + 1 for n in channels.shape[1:])))
    masked = None if mask is None else da.from_array(mask, 9)
    found = nc.superpixels(lazy, masked, channel_axis=0, **settings)
    assert isinstance(found, da.Array)
    np.testing.assert_array_equal(found.compute(scheduler="sync"), expected)


@pytest.mark.parametrize("factor", [2, 256])
def test_neither_the_unit_of_grey_levels_nor_that_of_lengths_shows(factor: int) -> None:
    image = scene((24, 30))[0].astype(np.uint8)
    expected = nc.superpixels(image, n_superpixels=20, spacing=(1.5, 1.0))
    found = nc.superpixels(image.astype(np.uint32) * factor, n_superpixels=20, spacing=(1.5 * factor, 1.0 * factor))
    np.testing.assert_array_equal(found, expected)


def test_a_channel_that_does_not_vary_does_not_count() -> None:
    image = scene((24, 30))
    both = np.concatenate([image, np.full_like(image, 7)])
    found = nc.superpixels(both, channel_axis=0, n_superpixels=20)
    np.testing.assert_array_equal(found, nc.superpixels(image[0], n_superpixels=20))


def test_a_channel_counts_in_its_own_unit() -> None:
    image = scene((24, 30), 2)
    expected = nc.superpixels(image, channel_axis=0, n_superpixels=20)
    image[1] *= 1024
    np.testing.assert_array_equal(nc.superpixels(image, channel_axis=0, n_superpixels=20), expected)


# Bad and odd input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_constant_image_is_divided_into_the_cells(dtype: str) -> None:
    found = nc.superpixels(np.full((4, 6), 7, dtype), n_superpixels=6)
    assert found.tolist() == [[1, 1, 2, 2, 3, 3]] * 2 + [[4, 4, 5, 5, 6, 6]] * 2


def test_anisotropic_cells_are_as_long_in_the_world() -> None:
    found = nc.superpixels(np.ones((4, 16, 16), np.uint8), n_superpixels=8, spacing=(4.0, 1.0, 1.0))
    assert found.max() == 8
    assert (found == 1).sum() == 2 * 8 * 8
    assert (found[:2, :8, :8] == 1).all()


def test_more_superpixels_than_voxels_are_the_voxels() -> None:
    found = nc.superpixels(np.arange(12).reshape(3, 4), n_superpixels=10_000_000)
    np.testing.assert_array_equal(found, np.arange(1, 13).reshape(3, 4))


def test_one_superpixel_is_all_that_hangs_together() -> None:
    image = scene((9, 11))[0]
    assert (nc.superpixels(image, n_superpixels=1) == 1).all()
    mask = np.ones(image.shape, bool)
    mask[:, 5] = False
    np.testing.assert_array_equal(nc.superpixels(image, mask, n_superpixels=1), ndimage.label(mask)[0])


def test_what_is_outside_does_not_count() -> None:
    image, mask = scene((24, 30))[0], ragged((24, 30))
    expected = nc.superpixels(image, mask, n_superpixels=20)
    assert (expected > 0).tolist() == mask.tolist()
    for spoilt in (np.nan, np.inf, 1e9):
        image[~mask] = spoilt
        np.testing.assert_array_equal(nc.superpixels(image, mask, n_superpixels=20), expected)
        np.testing.assert_array_equal(nc.superpixels(image, mask.astype(np.uint8), n_superpixels=20), expected)
    image[~mask] = np.nan
    np.testing.assert_array_equal(nc.superpixels(image, n_superpixels=20), expected)
    smoothed = nc.superpixels(image, n_superpixels=20, sigma=1.0)
    image[~mask] = 1e9
    np.testing.assert_array_equal(nc.superpixels(image, mask, n_superpixels=20, sigma=1.0), smoothed)


@pytest.mark.parametrize("n_superpixels", [20, 100])
def test_a_thin_mask_has_about_as_many_as_asked_for(n_superpixels: int) -> None:
    y, x = np.indices((128, 128)) - 64
    ring = np.abs(np.hypot(y, x) - 50) < 4
    with watch() as monitor:
        found = nc.superpixels(scene(ring.shape)[0], ring, n_superpixels=n_superpixels, compactness=10.0)
    assert 0.85 <= monitor.facts["n_centres"] / n_superpixels <= 1.15
    assert monitor.facts["n_regions"] == found.max()
    assert 0.7 <= found.max() / n_superpixels <= 1.15


def test_a_mask_that_is_sparse_in_its_box_takes_no_more_memory() -> None:
    image, mask = np.zeros((48, 48, 48), np.uint8), np.zeros((48, 48, 48), bool)
    mask[0, 0, 0] = mask[-1, -1, -1] = True  # a box of 110,592 voxels
    image[mask] = 1, 2
    nc.superpixels(image[:2, :2, :2], n_superpixels=2)  # what is loaded once does not count
    tracemalloc.start()
    try:
        found = nc.superpixels(image, mask, n_superpixels=100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[mask].tolist() == [1, 2]
    assert peak / image.size < 20


def test_blocks_return_sums_of_the_centres_that_they_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[Table] = []

    def table(*summed: Any) -> Table:
        tables.append(tabled(*summed))
        return tables[-1]

    tabled = _slic_blocks._table
    monkeypatch.setattr(_slic_blocks, "_table", table)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 4096)
    nc.superpixels(scene((400, 40))[0], n_superpixels=250, max_iterations=3)  # 50 x 5 cells of 8 voxels
    assert max(len(each.numbers) for each in tables) <= 5 * (2 + 14 + 2)  # 102 rows are in 14 cells at most
    assert all(each.sums.counts.min() > 0 for each in tables)


def test_sums_of_blocks_add_centre_by_centre() -> None:
    def table(*numbers: int) -> Table:
        at = np.array(numbers)
        return Table(at, Sums(at + 1, np.stack([at] * 3, axis=1), 10 * at[:, None]))

    both = (table(1, 4) + table(0, 4)).dense(6)
    assert both.counts.tolist() == [1, 2, 0, 0, 10, 0]
    assert both.places[:, 2].tolist() == [0, 1, 0, 0, 8, 0]
    assert both.colours.tolist() == [[0], [10], [0], [0], [80], [0]]


def test_a_mask_that_is_sparse_in_its_box_has_no_more_cells_than_are_of_use() -> None:
    image, mask = scene((1, 4000))[0], np.zeros((1, 4000), bool)
    mask[0, [0, 5, 1990, 3000, 3999]] = True  # 5 in 5 of 4,000 cells, but there are 5 * 128 = 640, of 6.25 voxels
    with watch() as monitor:
        found = nc.superpixels(image, mask, n_superpixels=5)
    assert monitor.facts["n_centres"] == 4
    assert (found > 0).tolist() == mask.tolist()


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="no finite voxel to count"):
        nc.superpixels(scene((8, 9))[0], np.zeros((8, 9), bool))


def test_a_run_can_be_cancelled() -> None:
    with watch(is_cancelled=lambda: True), pytest.raises(Cancelled, match="finding what is inside"):
        nc.superpixels(scene((24, 30))[0])


# Beside scikit-image -------------------------------------------------------------------------------------


def ends(labels: np.ndarray) -> np.ndarray:
    """Return the voxels whose next one along some axis has another label."""
    found = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        changes = np.moveaxis(np.diff(labels.astype(np.int64), axis=axis) != 0, axis, 0)
        np.moveaxis(found, axis, 0)[:-1] |= changes
    return found


def recall(regions: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of true boundaries that have one within 2 voxels."""
    return float((ndimage.distance_transform_edt(~ends(regions))[ends(truth)] <= 2).mean())


def leakage(regions: np.ndarray, truth: np.ndarray) -> float:
    """Return the under-segmentation error: what of regions lies on the smaller side of a true boundary."""
    at = np.unique(truth, return_inverse=True)[1].reshape(-1)
    table = np.zeros((regions.max() + 1, at.max() + 1), np.int64)
    np.add.at(table, (regions.reshape(-1), at), 1)
    return float(np.minimum(table, table.sum(axis=1, keepdims=True) - table).sum() / truth.size)


def patches(shape: tuple[int, ...], seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy patches of different grey, and which they are."""
    rng = np.random.default_rng(seed)
    points = np.zeros(shape, np.int64)
    points.flat[rng.choice(points.size, 12, replace=False)] = np.arange(1, 13)
    truth = points[tuple(ndimage.distance_transform_edt(points == 0, return_indices=True)[1])]
    levels = rng.permutation(12) * 20 + 10.0
    return levels[truth - 1] + rng.normal(0, 8, shape), truth


def assert_no_worse(
    scenes: list[tuple[np.ndarray, np.ndarray]], n: int, compactness: float, peers_compactness: float, **kind: Any
) -> None:
    """Compare with scikit-image, whose unit of compactness is its own, at about the same number of regions."""
    ours = [nc.superpixels(image, n_superpixels=n, compactness=compactness, **kind) for image, _ in scenes]
    kind = {"channel_axis": None} | kind
    peers = [segmentation.slic(image, n, peers_compactness, **kind) for image, _ in scenes]
    assert sum(regions.max() for regions in ours) <= 1.12 * sum(regions.max() for regions in peers)
    pairs = list(zip(ours, peers, (truth for _, truth in scenes), strict=True))
    recalls = np.mean([(recall(our, truth), recall(peer, truth)) for our, peer, truth in pairs], axis=0)
    leakages = np.mean([(leakage(our, truth), leakage(peer, truth)) for our, peer, truth in pairs], axis=0)
    assert recalls[0] >= 0.96 * recalls[1]
    assert leakages[0] <= 1.05 * leakages[1]


@pytest.mark.parametrize(("shape", "n"), [((120, 140), 150), ((20, 48, 48), 100)], ids=str)
def test_edges_of_patches_are_kept_as_well_as_by_scikit_image(shape: tuple[int, ...], n: int) -> None:
    image, truth = patches(shape)
    assert_no_worse([(image, truth)], n, 0.4, 0.1)
    assert recall(nc.superpixels(image, n_superpixels=n), truth) > 0.9


def test_edges_of_nuclei_are_kept_as_well_as_by_scikit_image(data_dir: Path) -> None:
    data = np.load(data_dir / "dsb2018_fluo.npz")
    assert_no_worse([(data[f"img_{i:03}"], data[f"gt_{i:03}"]) for i in range(3)], 400, 1.0, 0.1)


def test_edges_of_nuclei_in_a_volume_are_kept_as_well_as_by_scikit_image(data_dir: Path) -> None:
    volume = np.load(data_dir / "stardist3d_crop.npz")
    assert_no_worse([(volume["image"], volume["labels"])], 400, 1.0, 0.1)


def test_edges_of_natural_images_are_kept_as_well_as_by_scikit_image(data_dir: Path) -> None:
    folder = data_dir / "bsds500_test"
    truths = np.load(folder / "ground_truth.npz")
    names = sorted(path.stem for path in folder.glob("*.jpg"))[:2]
    scenes = [(imread(folder / f"{name}.jpg"), truths[f"seg_{name}"][0]) for name in names]
    assert_no_worse(scenes, 300, 0.75, 20.0, channel_axis=-1)  # L*a*b* there, RGB here


@pytest.mark.parametrize("method", ["superpixels", "merge_regions", "normalized_cut", "graph_cut"])
def test_all_who_begin_with_superpixels_ask_for_no_more_than_there_may_be(method: str) -> None:
    (setting,) = (one for one in find(method).settings if one.name == "n_superpixels")
    with pytest.raises(ValueError, match="n_superpixels must be between 1 and 10000000, got 10000001"):
        setting.check(10_000_001)
    setting.check(10_000_000)
