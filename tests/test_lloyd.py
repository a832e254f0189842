"""Starts of k-means: compiled iterations and swaps are those of the definition, and few starts end in poor optima."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

import napari_cutout as nc
from napari_cutout.methods import _lloyd
from napari_cutout.methods._lloyd import Centres, moved, started, sweep

from .reference.clusters import standardised


def centres_at(centres: np.ndarray, n_used: int | None = None) -> Centres:
    counts = np.zeros(len(centres), np.int64)
    return Centres(centres.astype(np.float64), centres.shape[1] if n_used is None else n_used, counts)


def iterated_by_hand(found: Centres, rows: np.ndarray, tolerance: float, most: int) -> Centres:
    while not found.converged and found.n_iterations < most:
        found = moved(found, sweep(found, rows), tolerance, rows)
    return found


def assert_same_centres(found: Centres, expected: Centres) -> None:
    np.testing.assert_array_equal(found.centres, expected.centres)
    np.testing.assert_array_equal(found.counts, expected.counts)
    assert (found.inertia, found.n_iterations) == (expected.inertia, expected.n_iterations)
    assert (found.converged, found.n_used) == (expected.converged, expected.n_used)


# Iterations on a sample -------------------------------------------------------------------------------


@given(st.integers(20, 400), st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**32), st.data())
def test_compiled_iterations_are_sweeps_and_moves(
    n: int, n_columns: int, k: int, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_columns, n)).astype(np.float32)
    start = rng.normal(size=(k, n_columns))
    start[rng.random(k) < 0.3] += 50.0  # no voxel is nearest to these, unless all are there
    found = centres_at(start, data.draw(st.integers(1, n_columns)))
    tolerance, most = data.draw(st.sampled_from([0.0, 1e-3, 1.0])), data.draw(st.sampled_from([1, 2, 5, 300]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lloyd, "MAX_SAMPLE_ITERATIONS", most)
        assert_same_centres(_lloyd._iterated(found, rows, tolerance), iterated_by_hand(found, rows, tolerance, most))


def test_more_centres_than_different_voxels_do_not_chase_them() -> None:
    rows = np.repeat(np.array([[0.1, 0.7, 2.3], [1.1, 1.3, 0.2]], np.float32), 7, axis=1)
    start = np.vstack([rows.T[::7].astype(np.float64) + 0.01, np.full((2, 2), 50.0)])
    found = _lloyd._iterated(centres_at(start), rows, 0.0)
    assert found.n_iterations < 9
    np.testing.assert_allclose(np.unique(_lloyd.nearest(found, rows), return_counts=True)[1], 7)
    assert started(rows, 2, 5, n_init=1, seed=0, tolerance=0.0).inertia == 0


def test_iterations_begin_a_cluster_without_voxels_again() -> None:
    rows = np.array([[0, 1, 2, 10, 30, 31]], np.float32)
    centres, counts = np.array([[-100.0], [1.0], [30.0]]), np.zeros(3, np.int64)
    n, _, converged = _lloyd._iterate(rows, 1, centres, counts, 0.0, 9)
    assert (n, converged) == (0, False)
    assert centres[:, 0].tolist() == [-100, 1, 30]  # left for `moved`, which sees the sample
    found = _lloyd._iterated(centres_at(np.array([[-100.0], [1.0], [30.0]])), rows, 0.0)
    assert sorted(found.centres[:, 0].tolist()) == [1, 10, 30.5]
    assert sorted(found.counts.tolist()) == [1, 2, 3]
    assert found.converged


# Swaps ------------------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 3), st.integers(1, 6), st.integers(0, 2**32))
def test_the_two_nearest_centres_are_those_of_a_table_of_distances(n: int, n_used: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    used = rng.integers(-4, 5, (n_used, n)).astype(np.float64)  # integers, so that ties are ties
    centres = rng.integers(-4, 5, (k, n_used + 1)).astype(np.float64)  # the last column is not used
    first, second, at = np.empty(n), np.empty(n), np.empty(n, np.int64)
    _lloyd._two_nearest(used, centres, first, second, at)
    distances = ((used.T[:, None] - centres[:, :n_used]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(at, distances.argmin(axis=1))
    ordered = np.sort(np.pad(distances, [(0, 0), (0, 1)], constant_values=np.inf), axis=1)
    np.testing.assert_array_equal(first, ordered[:, 0])
    np.testing.assert_array_equal(second, ordered[:, 1])


class Fixed:
    """A source of random numbers that always gives the same one."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        """Return it."""
        return self.number


@given(st.integers(3, 40), st.integers(2, 5), st.integers(0, 2**32), st.floats(0, 1, exclude_max=True))
def test_a_swap_gives_up_the_centre_that_costs_least(n: int, k: int, seed: int, number: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-9, 10, (2, n)).astype(np.float32)
    centres = rng.integers(-9, 10, (k, 2)).astype(np.float64)
    swapped = _lloyd._swapped(centres_at(centres), rows.astype(np.float64), rows, Fixed(number))  # type: ignore[arg-type]
    points = rows.T.astype(np.float64)

    def cost(of: np.ndarray) -> np.ndarray:
        return np.asarray(((points[:, None] - of) ** 2).sum(axis=2).min(axis=1))

    reach = np.cumsum(cost(centres))
    if reach[-1] == 0:
        return
    voxel = int(np.argmax(reach > number * reach[-1]))  # far voxels take a large share of what is drawn from
    choices = []
    for c in range(k):
        choices.append(centres.copy())
        choices[c][c] = points[voxel]
    best = int(np.argmin([cost(choice).sum() for choice in choices]))
    np.testing.assert_array_equal(swapped.centres, choices[best])


def test_swaps_leave_a_poor_optimum() -> None:
    rng = np.random.default_rng(0)
    middles = np.array([[0, 0], [0, 6], [40, 0], [40, 6]], float)
    rows = np.ascontiguousarray((middles[np.arange(400) % 4] + rng.normal(0, 0.3, (400, 2))).T, np.float32)
    stuck = _lloyd._iterated(centres_at(np.array([[0.0, 0], [0.2, 6.0], [-0.2, 6.0], [40.0, 3.0]])), rows, 0.0)
    assert stuck.inertia > 1000
    tries = [
        _lloyd._iterated(_lloyd._swapped(stuck, rows.astype(np.float64), rows, Fixed(u)), rows, 0.0)  # type: ignore[arg-type]
        for u in (0.1, 0.5, 0.9)
    ]
    for found in tries:
        assert found.inertia < 100
        assert found.counts.tolist() == [100] * 4


def test_swaps_are_kept_where_they_help(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(3).normal(size=(2, 500)).astype(np.float32)  # no clusters, so many optima
    found: dict[int, list[float]] = {}
    for n_swaps in (0, 10):
        monkeypatch.setattr(_lloyd, "N_SWAPS", n_swaps)
        inertias = [started(rows, 2, 9, n_init=1, seed=seed, tolerance=0.0).inertia for seed in range(20)]
        found[n_swaps] = inertias
    assert all(b <= a for a, b in zip(found[0], found[10], strict=True))
    assert np.mean(found[10]) < 0.99 * np.mean(found[0])


def test_more_voxels_than_starts_are_tried_on_change_the_centres_all_the_same() -> None:
    rng = np.random.default_rng(0)
    n = 3 * _lloyd.N_TRIED + 7
    rows = rng.normal(size=(2, n)).astype(np.float32)
    found = started(rows, 2, 5, n_init=2, seed=0, tolerance=0.0)
    assert found.counts.sum() == n
    again = moved(replace(found), sweep(found, rows), 0.0, rows)
    np.testing.assert_array_equal(again.centres, found.centres)  # a fixed point of all of them
    assert again.inertia == found.inertia


# Against scikit-learn ---------------------------------------------------------------------------------


def inertia(table: np.ndarray, numbers: np.ndarray) -> float:
    """Return the sum of squared distances of the rows of a table to the mean of their cluster."""
    clusters = [table[numbers == number] for number in np.unique(numbers)]
    return float(sum(((own - own.mean(axis=0)) ** 2).sum() for own in clusters))


def losses(n_init: int) -> np.ndarray:
    """Return by how much our inertia is above that of scikit-learn, as a share, of small tables of many kinds."""
    found = []
    for seed in range(9):
        for k in (2, 3, 5, 8):
            for spread in (1.0, 2.5):
                rng, n_channels = np.random.default_rng(seed), 2 + seed % 3
                middles = rng.normal(size=(k, n_channels)) * spread
                image = (middles[rng.integers(0, k, 600)] + rng.normal(size=(600, n_channels))).T
                table = standardised(image)
                peer = KMeans(k, n_init=n_init, random_state=seed).fit(table)
                labels = nc.kmeans(image.reshape(n_channels, 20, 30), channel_axis=0, n_clusters=k)
                found.append(inertia(table, labels.ravel()) / inertia(table, peer.labels_) - 1)
    return np.asarray(found)


def test_defaults_are_never_worse_than_the_defaults_of_scikit_learn() -> None:
    above = losses(n_init=1)
    assert above.max() <= 1e-9
    assert above.min() < -0.01  # the peer often stops at an optimum nearby


def test_defaults_are_hardly_ever_worse_than_ten_starts_of_scikit_learn() -> None:
    above = losses(n_init=10)
    assert (above > 1e-6).mean() <= 0.05
    assert above.max() <= 0.01
