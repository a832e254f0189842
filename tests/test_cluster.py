"""k-means: the optimum of one channel, Lloyd's fixed point of several, in any tiling, and what cannot be clustered."""

from __future__ import annotations

import itertools
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.cluster import KMeans

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout.methods._clusters import Clustering, ClusterSettings
from napari_cutout.methods._columns import SAMPLE, column_passes, source_of
from napari_cutout.methods._lloyd import Centres, moved, nearest, started, sweep

from .cases import blobs, same_partition, two_humps
from .reference.clusters import inertia_of, least_inertia, standardised

small_blocks = pytest.mark.parametrize("voxels", [50, 333])


def facts_of(method: Any, *args: Any, **settings: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the labels of a method and what it has noted."""
    with nc.watch() as watched:
        labels = method(*args, **settings)
        labels = np.asarray(labels.compute() if isinstance(labels, da.Array) else labels)
    return labels, watched.facts


# One channel: the optimum -----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40), min_size=4, max_size=12), st.integers(2, 3))
@example([0, 1, 2, 3, 4, 5], 3)
@example([0, 0, 0, 0, 0, 0, 0, 1, 100], 2)
def test_one_channel_has_the_least_inertia_that_there_is(values: list[int], n_clusters: int) -> None:
    if not n_clusters <= len(set(values)) <= 7:
        return
    image = np.asarray([values], np.int16)
    labels = nc.kmeans(image, n_clusters=n_clusters)
    best = least_inertia(values, n_clusters)
    assert inertia_of(values, labels[0].tolist()) == best
    found = nc.fit_kmeans(image, n_clusters=n_clusters)
    assert found.inertia == pytest.approx(float(best), rel=1e-12, abs=1e-12)
    assert found.converged
    assert found.n_iterations == 0


@pytest.mark.parametrize("n_clusters", [2, 3, 5, 8])
@pytest.mark.parametrize("seed", range(5))
def test_one_channel_is_never_worse_than_scikit_learn(n_clusters: int, seed: int) -> None:
    image = two_humps((20, 30), seed, "uint8")
    peer = KMeans(n_clusters, n_init=10, random_state=seed, tol=1e-9).fit(image.reshape(-1, 1).astype(float))
    found = nc.fit_kmeans(image, n_clusters=n_clusters)
    assert found.inertia <= peer.inertia_ * (1 + 1e-9)
    labels = nc.kmeans(image, n_clusters=n_clusters)
    assert found.counts.tolist() == np.bincount(labels.ravel())[1:].tolist()
    means = [image[labels == c].mean() for c in range(1, n_clusters + 1)]
    np.testing.assert_allclose(found.centres[:, 0], means, rtol=1e-12)
    assert means == sorted(means)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_clusters", [2, 3])
def test_centres_of_floats_are_within_a_bin_of_scikit_learn(n_clusters: int, dtype: str) -> None:
    (image,), _ = blobs((60, 80), n_clusters, 1, seed=3, apart=8.0, dtype=dtype)
    peer = KMeans(n_clusters, n_init=10, random_state=0, tol=1e-9).fit(image.reshape(-1, 1).astype(np.float64))
    bin_width = (image.max() - image.min()) / 65_536
    found = nc.fit_kmeans(image, n_clusters=n_clusters).centres[:, 0]
    np.testing.assert_allclose(found, np.sort(peer.cluster_centers_[:, 0]), rtol=0, atol=bin_width)


def test_one_channel_notes_what_it_found() -> None:
    labels, facts = facts_of(nc.kmeans, np.array([[10, 12, 50], [11, 90, 52]], np.uint8))
    assert labels.tolist() == [[1, 1, 2], [1, 3, 2]]
    assert facts["centres"] == [11.0, 51.0, 90.0]
    assert facts["counts"] == [3, 2, 1]
    assert facts["thresholds"] == [12.0, 52.0]
    assert facts["inertia"] == pytest.approx(2 + 2)
    assert facts["converged"]
    assert "warning" not in facts


def test_settings_of_the_iteration_do_not_change_one_channel() -> None:
    image = two_humps((20, 20), dtype="float32")
    plain = nc.kmeans(image)
    for more in ({"seed": 7}, {"n_init": 1}, {"max_iterations": 1}, {"standardise": False}, {"tolerance": 1.0}):
        np.testing.assert_array_equal(nc.kmeans(image, **more), plain)


# Several columns: the fixed point ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(24, 25), (6, 10, 10)], ids=str)
@pytest.mark.parametrize("n_channels", [2, 5])
@pytest.mark.parametrize("apart", [0.0, 2.0])
def test_voxels_are_with_their_nearest_centre_and_centres_amid_their_voxels(
    shape: tuple[int, ...], n_channels: int, apart: float
) -> None:
    image, _ = blobs(shape, 3, n_channels, seed=1, apart=apart)
    settings = {"channel_axis": 0, "n_clusters": 4, "tolerance": 0.0}
    labels, found = nc.kmeans(image, **settings), nc.fit_kmeans(image, **settings)
    table, numbers = standardised(image), labels.ravel() - 1
    centres = np.stack([table[numbers == c].mean(axis=0) for c in range(4)])
    distances = ((table[:, None] - centres) ** 2).sum(axis=2)
    own = distances[np.arange(len(table)), numbers]
    assert (own <= distances.min(axis=1) + 1e-5).all()
    columns = image.reshape(n_channels, -1)
    np.testing.assert_allclose(
        found.centres, [[column[numbers == c].mean() for column in columns] for c in range(4)], rtol=1e-6
    )
    assert found.inertia == pytest.approx(own.sum(), rel=1e-6)
    assert found.counts.tolist() == np.bincount(numbers).tolist()
    assert found.converged
    assert (np.diff(centres.mean(axis=1)) > 0).all()  # the mean of all channels rises


@pytest.mark.parametrize("n_clusters", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_several_channels_are_not_worse_than_scikit_learn(n_clusters: int, seed: int) -> None:
    image, _ = blobs((15, 20), n_clusters, 2, seed=seed, apart=2.5)
    peer = KMeans(n_clusters, n_init=10, random_state=seed).fit(standardised(image))
    found = nc.fit_kmeans(image, channel_axis=0, n_clusters=n_clusters)
    assert found.inertia <= peer.inertia_ * (1 + 1e-6)


def test_columns_that_are_not_standardised_keep_their_variances_beside_each_other() -> None:
    image, _ = blobs((20, 30), 4, 2, seed=2, apart=3.0)
    image[1] *= 50
    for standardise, scale in ((True, image.std(axis=(1, 2))), (False, np.sqrt(image.var(axis=(1, 2)).mean()))):
        table = ((image - image.mean(axis=(1, 2), keepdims=True)).reshape(2, -1).T) / scale
        peer = KMeans(4, n_init=20, random_state=0, tol=1e-12).fit(table)
        labels, facts = facts_of(nc.kmeans, image, channel_axis=0, n_clusters=4, standardise=standardise, n_init=20)
        assert facts["inertia"] == pytest.approx(peer.inertia_, rel=1e-5)
        assert same_partition(labels.ravel(), peer.labels_)


@pytest.mark.parametrize("shape", [(25, 30), (9, 12, 10)], ids=str)
def test_features_are_the_columns_that_features_makes(shape: tuple[int, ...]) -> None:
    image = two_humps(shape, dtype="float32")
    names, scales = ("intensity", "gaussian", "hessian", "position"), (0.7, 1.5)
    labels, facts = facts_of(nc.kmeans, image, features=names, scales=scales, n_clusters=4)
    columns = nc.features(image, features=names, scales=scales)
    as_channels = nc.kmeans(columns, channel_axis=0, n_clusters=4)
    assert same_partition(labels, as_channels)
    assert facts["columns"] == list(nc.feature_names(names, scales, len(shape)))
    assert np.shape(facts["centres"]) == (4, len(columns))
    means = [float(image[labels == c].mean()) for c in range(1, 5)]
    assert means == sorted(means)


def test_classes_rise_in_grey_level_also_where_it_is_no_feature() -> None:
    image = two_humps((40, 40), dtype="float32")
    for sign in (1, -1):
        labels = nc.kmeans(sign * image, features=("variance",), scales=(1.0,), n_clusters=3)
        means = [(sign * image)[labels == c].mean() for c in (1, 2, 3)]
        assert means == sorted(means)


# Lloyd's sweeps by hand -------------------------------------------------------------------------------


def centres_of(*rows: list[float], n_used: int | None = None) -> Centres:
    centres = np.asarray(rows, np.float64)
    return Centres(centres, centres.shape[1] if n_used is None else n_used, np.zeros(len(centres), np.int64))


def test_a_sweep_by_hand() -> None:
    rows = np.array([[0, 1, 4, 5, 2.5], [0, 0, 0, 1, 0]], np.float32)
    found = centres_of([0.0, 0.0], [5.0, 0.0])
    sums = sweep(found, rows)
    assert sums.counts.tolist() == [3, 2]  # the voxel half-way goes to the first
    assert (sums.sums / 2**24).tolist() == [[3.5, 0], [9, 1]]
    assert sums.inertia / 2**24 == 0 + 1 + 1 + 1 + 6.25
    after = moved(found, sums, 0.0, rows)
    np.testing.assert_allclose(after.centres, [[3.5 / 3, 0], [4.5, 0.5]])
    assert not after.converged
    assert after.n_iterations == 1
    assert moved(found, sums, 10.0, rows).converged


def test_a_sweep_by_hand_on_every_library(to_library: Any) -> None:
    rows = np.array([[0, 1, 4, 5, 2.5, 7], [0, 0, 0, 1, 0, 9]], np.float32)
    found = centres_of([0.0, 0.0], [5.0, 0.0], [5.0, 0.0])
    sums = sweep(found, [to_library(row) for row in rows])
    expected = sweep(found, rows)
    assert sums.counts.tolist() == expected.counts.tolist() == [3, 3, 0]
    assert (sums.sums == expected.sums).all()
    assert sums.inertia == expected.inertia
    at = nearest(found, [to_library(row) for row in rows])
    assert nc._array.to_numpy(at).tolist() == nearest(found, rows).tolist() == [0, 0, 1, 1, 0, 1]


def test_columns_that_are_not_used_are_summed_and_nothing_more() -> None:
    rows = np.array([[0, 1, 4, 5], [9, 9, -9, 9]], np.float32)
    found = centres_of([0.0, 0.0], [5.0, 0.0], n_used=1)
    assert nearest(found, rows).tolist() == [0, 0, 1, 1]
    after = moved(found, sweep(found, rows), 1.0, rows)
    assert after.centres.tolist() == [[0.5, 9], [4.5, 0]]
    assert after.converged  # moves along them do not count


def test_a_cluster_without_voxels_begins_again_farthest_from_every_centre() -> None:
    rows = np.array([[0, 1, 2, 10, 30, 31]], np.float32)
    found = centres_of([-100.0], [1.0], [-200.0], [30.0])
    after = moved(found, sweep(found, rows), 1e9, rows)
    assert after.counts.tolist() == [0, 4, 0, 2]
    assert not after.converged  # whatever the tolerance
    # 10 is farthest from the means 3.25 and 30.5, then 0 from these and 10
    assert after.centres[:, 0].tolist() == [10.0, 3.25, 0.0, 30.5]


def test_of_voxels_as_far_the_first_begins_again() -> None:
    rows = np.array([[0, 5, -5, 5]], np.float32)
    found = centres_of([0.0], [50.0])
    after = moved(found, sweep(found, rows), 0.0, rows)
    assert after.centres[1, 0] == -5.0  # farthest from the mean of all, 1.25
    rows = np.array([[0, 5, -5]], np.float32)
    assert moved(found, sweep(found, rows), 0.0, rows).centres[1, 0] == 5.0


def test_a_start_ends_with_as_many_clusters_as_there_are_values() -> None:
    values = np.array([[0, 0, 0, 0, 0, 0, 1, 100]], np.float32)
    for seed in range(20):
        found = started(values, 1, 3, n_init=1, seed=seed, tolerance=0.0)
        assert sorted(found.centres[:, 0].tolist()) == [0, 1, 100]
        assert found.inertia == 0
        assert found.n_iterations == 0
        assert not found.converged


def test_more_starts_are_never_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cutout.methods._lloyd.N_SWAPS", 0)  # which would mend most of them
    image, _ = blobs((20, 20), 6, 2, seed=5, apart=1.0)
    inertias = [nc.fit_kmeans(image, channel_axis=0, n_clusters=7, n_init=n).inertia for n in (1, 2, 5, 20, 50)]
    assert inertias[-1] < inertias[0]
    assert all(a >= b * (1 - 1e-9) for a, b in itertools.pairwise(inertias))


@given(st.integers(1, 700), st.integers(1, 4), st.integers(1, 5), st.data())
def test_sums_of_parts_are_those_of_the_whole_in_any_order(n: int, n_columns: int, k: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    rows = (rng.standard_normal((n_columns, n)) * 10.0 ** rng.integers(-6, 4, (n_columns, 1))).astype(np.float32)
    found = centres_of(*rng.standard_normal((k, n_columns)).tolist(), n_used=data.draw(st.integers(1, n_columns)))
    whole = sweep(found, rows)
    cut = data.draw(st.integers(0, n))
    order = rng.permutation(n)
    for parts in ((rows[:, :cut], rows[:, cut:]), (rows[:, order[:cut]], rows[:, order[cut:]])):
        a, b = (sweep(found, np.ascontiguousarray(part)) for part in parts)
        total = b + a
        assert total.counts.tolist() == whole.counts.tolist()
        assert (total.sums == whole.sums).all()
        assert total.inertia == whole.inertia


# In any tiling ----------------------------------------------------------------------------------------

COLUMNS: dict[str, dict[str, Any]] = {
    "channels": {"channel_axis": 0},
    "features": {"channel_axis": 0, "features": ("intensity", "gaussian"), "scales": (0.8,)},
    "no intensity": {"channel_axis": 0, "features": ("gradient", "position"), "scales": (1.0,)},
}
columns = pytest.mark.parametrize("more", COLUMNS.values(), ids=COLUMNS)


@columns
@small_blocks
def test_small_blocks_give_the_labels_and_facts_of_large_ones(
    more: dict[str, Any], voxels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = blobs((13, 15, 11), 3, 2, seed=4, apart=1.5, dtype="float32")
    image[0, 3, 4, 5] = np.nan
    whole, facts = facts_of(nc.kmeans, image, **more)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", voxels)
    monkeypatch.setattr(_plan, "_fewer", lambda array, n: max(voxels // n, 1))
    tiled, facts_of_tiles = facts_of(nc.kmeans, image, **more)
    np.testing.assert_array_equal(tiled, whole)
    assert facts_of_tiles == facts


@given(st.data())
def test_any_chunks_give_the_labels_and_facts_of_the_whole(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(9, 14), (5, 8, 6), (1, 7, 9)]))
    more = COLUMNS[data.draw(st.sampled_from(sorted(COLUMNS)))]
    image, _ = blobs(shape, 3, 2, seed=data.draw(st.integers(0, 99)), apart=2.0, dtype="float32")
    mask = np.random.default_rng(1).random(shape) < 0.9
    chunks = tuple(data.draw(st.integers(1, n)) for n in (2, *shape))
    whole, facts = facts_of(nc.kmeans, image, mask, **more)
    lazy = da.from_array(image, chunks), da.from_array(mask, chunks[:0:-1])
    tiled, facts_of_tiles = facts_of(nc.kmeans, *lazy, **more)
    np.testing.assert_array_equal(tiled, whole)
    assert facts_of_tiles == facts


@pytest.mark.parametrize("voxels", [60_000, 65_536, 65_537, 70_000, 300_000])
def test_a_sample_is_all_voxels_or_about_as_many_as_it_should_be(voxels: int) -> None:
    image = np.zeros((2, 100, -(-voxels // 100)))
    mask = np.arange(image[0].size).reshape(image[0].shape) < voxels
    image[:, mask] = np.random.default_rng(0).random((2, voxels))
    seen: list[int] = []

    def counted_start(sample: np.ndarray, *args: Any, **more: Any) -> Any:
        seen.append(sample.shape[1])
        return started(sample, *args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_cutout.methods._clusters.started", counted_start)
        nc.kmeans(image, mask, channel_axis=0, n_init=1)
    (n,) = seen
    assert n == voxels if voxels <= SAMPLE else abs(n - SAMPLE) < 5 * np.sqrt(SAMPLE)


# What does not change the classes ---------------------------------------------------------------------


@given(st.integers(0, 2**16), st.integers(-10, 10), st.sampled_from(["float64", "float32"]))
def test_powers_of_two_times_a_channel_change_nothing(seed: int, power: int, dtype: str) -> None:
    image, _ = blobs((8, 12), 3, 3, seed=seed, apart=1.0, dtype=dtype)
    scaled = image.copy()
    scaled[1] *= 2.0**power
    whole = nc.kmeans(image, channel_axis=0, n_clusters=4)
    np.testing.assert_array_equal(nc.kmeans(scaled, channel_axis=0, n_clusters=4), whole)


@given(st.integers(0, 2**16), st.sampled_from([3, 7, 1000]), st.integers(-100_000, 100_000))
def test_a_channel_times_a_number_plus_another_changes_nothing(seed: int, factor: int, offset: int) -> None:
    image, _ = blobs((8, 12), 3, 2, seed=seed, apart=2.0, dtype="int64")
    scaled = image.copy()
    scaled[0] = scaled[0] * factor + offset
    whole = nc.kmeans(image, channel_axis=0)
    np.testing.assert_array_equal(nc.kmeans(scaled, channel_axis=0), whole)


def test_channels_in_another_order_change_nothing() -> None:
    image, _ = blobs((15, 20), 4, 3, seed=6, apart=2.0)
    whole, facts = facts_of(nc.kmeans, image, channel_axis=0, n_clusters=4)
    labels, permuted = facts_of(nc.kmeans, image[[2, 0, 1]], channel_axis=0, n_clusters=4)
    np.testing.assert_array_equal(labels, whole)
    np.testing.assert_allclose(np.asarray(permuted["centres"])[:, [1, 2, 0]], facts["centres"], rtol=1e-9)


def test_a_mask_of_a_box_gives_the_labels_of_the_box() -> None:
    image, _ = blobs((10, 14, 12), 3, 2, seed=7, apart=2.0)
    box = (slice(2, 9), slice(3, 14), slice(0, 7))
    mask = np.zeros(image.shape[1:], bool)
    mask[box] = True
    for more in ({}, {"channel_axis": 0}):
        given_image, cut = (image, image[:, *box]) if more else (image[0], image[0][box])
        labels = nc.kmeans(given_image, mask, **more)
        assert not labels[~mask].any()
        np.testing.assert_array_equal(labels[box], nc.kmeans(cut, **more))


def test_a_seed_gives_the_same_and_another_may_not() -> None:
    image, _ = blobs((20, 20), 1, 2, apart=0.0)
    found = {seed: nc.kmeans(image, channel_axis=0, n_clusters=7, n_init=1, seed=seed) for seed in range(6)}
    for seed, labels in found.items():
        np.testing.assert_array_equal(nc.kmeans(image, channel_axis=0, n_clusters=7, n_init=1, seed=seed), labels)
    assert len({labels.tobytes() for labels in found.values()}) > 1


# What is told on the way ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [nc.kmeans, nc.gaussian_mixture], ids=["kmeans", "gaussian_mixture"])
def test_the_search_for_a_start_tells_how_far_it_is_and_can_be_cancelled(method: Any) -> None:
    image, _ = blobs((20, 25), 3, 2, seed=1, apart=2.0)
    told: list[tuple[str, float]] = []
    with nc.watch(on_progress=lambda stage, done: told.append((stage, done))):
        method(image, channel_axis=0)
    fractions = [done for stage, done in told if stage == "finding a start"]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 50
    assert 0.9 < fractions[-1] <= 1
    half = [0.0]
    with (
        nc.watch(lambda stage, done: half.append(done * (stage == "finding a start")), lambda: half[-1] > 0.5),
        pytest.raises(nc.Cancelled, match="cancelled while finding a start; nothing was changed"),
    ):
        method(image, channel_axis=0)


# How columns are standardised -------------------------------------------------------------------------


@pytest.mark.parametrize("tall", [False, True])
def test_means_and_deviations_are_those_of_numpy_also_beside_extreme_voxels(tall: bool) -> None:
    rng = np.random.default_rng(0)
    image = 0.3331 + 0.003 * (rng.random((2, 1200, 1200)) < 0.4)
    image[:, 3, 4], image[:, 5, 6] = 0.0, 1e4 if tall else 1.0
    source, others = source_of([image[0], image[1]], ("intensity",), (1.0,), None)
    settings = ClusterSettings(2, n_init=1, max_iterations=1, seed=0, tolerance=1.0, standardise=True)
    passes = column_passes(source, "moving")
    fit = _plan.reduce_passes(Clustering(source, settings), passes, image[0], None, *others)
    assert fit.scaling.n == 1_440_000
    np.testing.assert_allclose(fit.scaling.mean, image.mean(axis=(1, 2)), rtol=1e-6 if tall else 1e-9)
    np.testing.assert_allclose(fit.scaling.deviation, image.std(axis=(1, 2)), rtol=1e-6)


# What is hard, and what cannot be done ----------------------------------------------------------------


def test_more_clusters_than_different_voxels_are_refused() -> None:
    image = np.zeros((2, 6, 7), np.uint8)
    image[0, 2:, :], image[1, :, 3:] = 5, 9
    assert len(np.unique(nc.kmeans(image, channel_axis=0, n_clusters=4))) == 4
    with pytest.raises(ValueError, match="kmeans needs at least 5 different voxels, but among all 42 there are 4;"):
        nc.kmeans(image, channel_axis=0, n_clusters=5)
    with pytest.raises(ValueError, match="needs at least 5 grey levels in the image, but there are 2"):
        nc.kmeans(image[0], n_clusters=5)
    minus = np.array([[[-1.0, 0.0, -0.0, 1.0]], [[3.0, 3.0, 3.0, 3.0]]])  # the mean is 0, so that the sign stays
    with pytest.raises(ValueError, match=r"at least 4 different voxels, but .* 3;"):
        nc.kmeans(minus, channel_axis=0, n_clusters=4)  # -0.0 is 0.0


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
def test_constant_channels_are_refused_or_left_out(dtype: str) -> None:
    image, _ = blobs((12, 15), 3, 3, dtype="uint8")
    image = image.astype(dtype)
    image[1] = 7
    labels, facts = facts_of(nc.kmeans, image, channel_axis=0)
    assert facts["left_out"] == ["channel 1 intensity (constant)"]
    np.testing.assert_array_equal(labels, nc.kmeans(image[[0, 2]], channel_axis=0))
    assert np.asarray(facts["centres"])[:, 1].tolist() == [7, 7, 7]
    with pytest.raises(ValueError, match=r"every column to be clustered is constant \(every voxel is 7\)"):
        nc.kmeans(np.full_like(image, 7), channel_axis=0)


def test_voxels_that_are_not_finite_in_one_channel_do_not_count() -> None:
    image, _ = blobs((12, 15), 3, 2, dtype="float32")
    spoilt = image.copy()
    spoilt[0, 2, 3], spoilt[1, 4, 5], spoilt[1, 6, 7], spoilt[0, 8, 9] = np.nan, np.inf, -np.inf, np.nan
    keep = np.isfinite(spoilt).all(axis=0)
    labels = nc.kmeans(spoilt, channel_axis=0)
    np.testing.assert_array_equal(labels == 0, ~keep)
    np.testing.assert_array_equal(labels, nc.kmeans(image, keep, channel_axis=0))
    with pytest.raises(ValueError, match="no finite voxel to count"):
        nc.kmeans(np.stack([image[0], np.full_like(image[0], np.nan)]), channel_axis=0)


def test_one_voxel_is_refused_and_two_are_two_clusters() -> None:
    with pytest.raises(ValueError, match="constant"):
        nc.kmeans(np.ones((2, 1, 1)), channel_axis=0)
    two = np.array([[[5.0, 6.0]], [[9.0, 1.0]]])
    for dtype in ("float64", "int16"):
        labels = nc.kmeans(two.astype(dtype), channel_axis=0, n_clusters=2)
        assert sorted(labels.ravel().tolist()) == [1, 2]
    assert nc.kmeans(two[0], n_clusters=2).tolist() == [[1, 2]]


@pytest.mark.parametrize("offset", [0.0, 1e6, -3e5])
def test_a_small_contrast_far_from_0_is_seen(offset: float) -> None:
    image, numbers = blobs((20, 25), 2, 2, seed=9, apart=8.0)
    image = (image / image.max() * 200 + offset).astype(np.float32)
    labels = nc.kmeans(image, channel_axis=0, n_clusters=2)
    assert same_partition(labels, numbers)


@pytest.mark.parametrize("height", [1e3, 1e6, 1e12, -1e9])
def test_a_hot_pixel_takes_one_cluster_and_leaves_the_others(height: float) -> None:
    image, numbers = blobs((20, 25), 2, 2, seed=9, apart=10.0)
    image[0, 4, 5] = height
    labels = nc.kmeans(image, channel_axis=0, n_clusters=3)
    others = np.ones(labels.shape, bool)
    others[4, 5] = False
    assert labels[4, 5] not in labels[others]
    assert same_partition(labels[others], numbers[others])


def test_numbers_near_the_ends_of_a_dtype() -> None:
    rng = np.random.default_rng(0)
    other = rng.normal(size=(10, 40))
    ramp = np.linspace(-1, 1, 400).reshape(10, 40)
    expected = nc.kmeans(np.stack([ramp, other]), channel_axis=0)
    for factor in (2.0**1000, 2.0**-1000):
        np.testing.assert_array_equal(nc.kmeans(np.stack([ramp * factor, other]), channel_axis=0), expected)
    with pytest.raises(ValueError, match=r"spans -1.7e.308 to 1.7e.308, which float64 cannot standardise; rescale"):
        nc.kmeans(np.stack([ramp * 1.7e308, other]), channel_axis=0)
    with pytest.raises(ValueError, match="which float64 cannot standardise; rescale"):
        nc.kmeans(np.stack([ramp * 1e-310, other]), channel_axis=0)
    whole_range = (ramp * (2.0**63 - 1024)).astype(np.int64)
    whole_range[0, 0], whole_range[-1, -1] = np.iinfo("int64").min, np.iinfo("int64").max
    assert nc.kmeans(np.stack([whole_range, (other * 50).astype(np.int64)]), channel_axis=0).all()


def test_integers_that_floats_cannot_tell_apart_are_refused_in_any_channel() -> None:
    fine = np.arange(100).reshape(10, 10)
    for channels in ([2**60 + fine, fine], [fine, fine - 2**60]):
        image = np.stack(channels)
        with pytest.raises(ValueError, match=r"channel . intensity spans the integers .* which float64 cannot tell"):
            nc.kmeans(image, channel_axis=0)
        with pytest.raises(ValueError, match="which float64 cannot tell apart; subtract"):
            nc.kmeans(da.from_array(image, (1, 3, 4)), channel_axis=0).compute()
    assert nc.kmeans(np.stack([2**60 + fine * 2**20, fine]), channel_axis=0).all()


def test_a_run_that_stops_early_says_so_and_labels_all_the_same() -> None:
    image, _ = blobs((300, 400), 5, 2, seed=3, apart=0.5)
    labels, facts = facts_of(nc.kmeans, image, channel_axis=0, n_clusters=6, max_iterations=1, tolerance=0.0, n_init=1)
    assert not facts["converged"]
    assert facts["n_iterations"] == 1
    assert facts["warning"] == "k-means did not converge in 1 iterations; raise max_iterations"
    assert labels.all()
    _, facts = facts_of(nc.kmeans, image, channel_axis=0, n_clusters=6, n_init=1, max_iterations=10_000)
    assert facts["converged"]
    assert "warning" not in facts


def test_grey_levels_that_an_extreme_one_hides_are_refused_and_not_one_class_short() -> None:
    image = np.ones((2, 2, 5), np.float32)
    image[0, 0, :2] = 0, 4.5343828e7
    with pytest.raises(ValueError, match=r"there are 2; .* extreme value hides the rest: values closer than 6e-8"):
        nc.kmeans(image, channel_axis=0, n_clusters=3)


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6)),
        elements=st.floats(width=32) | st.sampled_from([0.0, 1.0, -1.0]),
    ),
    st.integers(2, 4),
)
@example(np.array([[[-1.0] * 12], [[0.0, 7.5100216e7] + [-1.0] * 10]], np.float32), 3)  # 0 and -1 are a quantum apart
def test_whatever_the_voxels_every_finite_one_has_a_class_or_there_is_an_error(image: np.ndarray, k: int) -> None:
    with np.errstate(all="raise", under="ignore"):
        try:
            labels = nc.kmeans(image, channel_axis=0, n_clusters=k)
        except ValueError as error:
            assert any(s in str(error) for s in ("different voxels", "constant", "no finite voxel", "grey levels"))  # noqa: PT017
            return
    known = np.isfinite(image).all(axis=0) if len(image) > 1 else ~np.isnan(image[0])
    np.testing.assert_array_equal(labels > 0, known)
    assert set(np.unique(labels[known])) == set(range(1, k + 1))
