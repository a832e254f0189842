"""Gaussian mixtures: the likelihood that scikit-learn reaches, every shape, probabilities, smoothness, bad input."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, get_args

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy
from sklearn.mixture import GaussianMixture

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout.methods import _mean_field
from napari_cutout.methods._lloyd import Centres, started
from napari_cutout.methods._mixture import (
    FLOOR,
    Components,
    Covariance,
    expected,
    from_clusters,
    log_densities,
    maximised,
    most_likely,
    posteriors,
    settled,
)
from napari_cutout.methods._mixtures import strange_classes

from .cases import blobs, same_partition, two_humps
from .reference.clusters import log_weighted_densities, standardised
from .test_cluster import COLUMNS, facts_of

KINDS: tuple[Covariance, ...] = get_args(Covariance)
PEERS = {"full": "full", "tied": "tied", "diagonal": "diag", "spherical": "spherical"}
every_kind = pytest.mark.parametrize("kind", KINDS)


def rows_and_start(kind: Covariance, n_columns: int, k: int, seed: int) -> tuple[np.ndarray, Components]:
    """Return overlapping classes as rows of standardised values, and a start that is not the end."""
    image, numbers = blobs((30, 40), k, n_columns, seed=seed, apart=2.0)
    rows = np.ascontiguousarray(standardised(image).T, np.float32)
    rng = np.random.default_rng(seed)
    mixed = np.where(rng.random(numbers.size) < 0.5, numbers.ravel(), rng.integers(0, k, numbers.size))
    return rows, from_clusters(mixed, rows, k, n_columns, kind)


def peer_of(start: Components, **more: Any) -> GaussianMixture:
    """Return scikit-learn's mixture that begins where ours does."""
    kind, inverse = start.kind, np.linalg.inv(start.covariances)
    precisions = {
        "full": inverse,
        "tied": inverse[0],
        "diagonal": np.diagonal(inverse, axis1=1, axis2=2),
        "spherical": inverse[:, 0, 0],
    }[kind]
    return GaussianMixture(
        len(start.weights), covariance_type=PEERS[kind], weights_init=start.weights, means_init=start.means,
        precisions_init=precisions, reg_covar=0.0, **more,
    )  # fmt: skip


# Expectation and maximisation -------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize(("n_columns", "k"), [(1, 2), (2, 3), (4, 3)])
def test_from_the_same_start_the_likelihood_is_that_of_scikit_learn(kind: Covariance, n_columns: int, k: int) -> None:
    rows, start = rows_and_start(kind, n_columns, k, seed=3)
    peer = peer_of(start, tol=1e-9, max_iter=2000).fit(rows.T)
    found = settled(start, rows, tolerance=1e-9, max_iterations=2000)
    assert found.converged
    assert found.n_iterations > 5
    assert found.log_likelihood >= peer.score(rows.T.astype(np.float64)) - 1e-6
    np.testing.assert_allclose(found.means, peer.means_, atol=5e-3)
    np.testing.assert_allclose(found.weights, peer.weights_, atol=5e-3)


@every_kind
def test_one_iteration_is_that_of_scikit_learn(kind: Covariance) -> None:
    rows, start = rows_and_start(kind, 3, 3, seed=4)
    with pytest.warns(match="did not converge"):
        peer = peer_of(start, max_iter=1).fit(rows.T.astype(np.float64))
    found = maximised(start, expected(start, rows), rows.shape[1], 0.0)
    np.testing.assert_allclose(found.weights, peer.weights_, atol=1e-6)
    np.testing.assert_allclose(found.means, peer.means_, atol=1e-6)
    shape = {"tied": (1, 3, 3), "diagonal": (3, 3, 1), "spherical": (3, 1, 1)}.get(kind, (3, 3, 3))
    expected_covariances = np.broadcast_to(peer.covariances_.reshape(shape), (3, 3, 3))
    eye = np.eye(3) if kind in ("diagonal", "spherical") else np.ones((3, 3))
    np.testing.assert_allclose(found.covariances, expected_covariances * eye, atol=1e-6)
    assert found.n_iterations == 1


@every_kind
def test_densities_and_posteriors_are_what_their_definitions_say(kind: Covariance) -> None:
    rows, start = rows_and_start(kind, 3, 4, seed=5)
    logs = log_weighted_densities(rows.T.astype(np.float64), start.weights, start.means, start.covariances)
    np.testing.assert_allclose(np.stack(log_densities(start, rows), axis=1), logs, rtol=1e-9, atol=1e-9)
    shares, log_density = posteriors(log_densities(start, rows))
    total = np.logaddexp.reduce(logs, axis=1)
    np.testing.assert_allclose(np.stack(shares, axis=1), np.exp(logs - total[:, None]), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(log_density, total, atol=1e-8)
    sums = expected(start, rows)
    assert int(sums.log_likelihood) / 2**24 == pytest.approx(total.sum(), abs=1e-3)
    np.testing.assert_array_equal(most_likely(start, rows), logs.argmax(axis=1))


@given(st.integers(1, 900), st.sampled_from(KINDS), st.integers(1, 3), st.integers(0, 2**20))
def test_sums_of_parts_are_those_of_the_whole_in_any_order(n: int, kind: Covariance, n_columns: int, seed: int) -> None:
    _, start = rows_and_start(kind, n_columns, 2, seed=seed % 5)
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal((n_columns, n)) * 10.0 ** rng.integers(-4, 2)).astype(np.float32)
    whole, cut, order = expected(start, rows), int(rng.integers(0, n + 1)), rng.permutation(n)
    for parts in ((rows[:, :cut], rows[:, cut:]), (rows[:, order[:cut]], rows[:, order[cut:]])):
        a, b = (expected(start, np.ascontiguousarray(part)) for part in parts)
        total = b + a
        for name in ("counts", "firsts", "seconds", "log_likelihood"):
            np.testing.assert_array_equal(getattr(total, name), getattr(whole, name), err_msg=name)


@every_kind
def test_sums_of_parts_are_those_of_the_whole_far_outside_of_narrow_components(kind: Covariance) -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(2, 40_000)) * 1e-3).astype(np.float32)
    rows[:, ::100] = rng.normal(size=(2, 400)) * 10.0 ** rng.uniform(0, 3, 400)  # 1e3 to 1e6 deviations away
    covariances = np.stack([np.eye(2) * 1e-6] * 2)
    found = Components(np.array([0.3, 0.7]), np.array([[0.0, 0.0], [1e-3, 1e-3]]), covariances, kind)
    whole = expected(found, rows)
    assert int(whole.log_likelihood) < -(2**53)  # more than float64 counts
    for rest in (rows, rows[:, rng.permutation(rows.shape[1])]):
        parts = [expected(found, np.ascontiguousarray(rest[:, at : at + 999])) for at in range(0, rest.shape[1], 999)]
        total = sum(parts[1:], start=parts[0])
        for name in ("counts", "firsts", "seconds", "log_likelihood"):
            np.testing.assert_array_equal(getattr(total, name), getattr(whole, name), err_msg=name)
    logs = log_weighted_densities(rows.T.astype(np.float64), found.weights, found.means, found.covariances)
    exact = math.fsum(np.logaddexp.reduce(logs, axis=1))
    assert int(whole.log_likelihood) / 2**24 == pytest.approx(exact, rel=1e-9)


@every_kind
def test_arrays_of_any_library_have_the_sums_of_the_compiled_loop(kind: Covariance, to_library: Any) -> None:
    rows, start = rows_and_start(kind, 3, 3, seed=6)
    rows = rows[:, :301]
    start = Components(start.weights, start.means, start.covariances[:, :2, :2], kind)  # the last one is summed only
    a, b = expected(start, rows), expected(start, [to_library(row) for row in rows])
    for name in ("counts", "firsts", "seconds", "log_likelihood"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_values_that_are_there_often_count_as_often() -> None:
    rows, start = rows_and_start("full", 1, 2, seed=7)
    often = np.random.default_rng(0).integers(1, 5, 100).astype(np.float64)
    few = rows[:, :100].astype(np.float64)
    a = expected(start, few, often)
    b = expected(start, np.repeat(few, often.astype(int), axis=1))
    for name in ("counts", "firsts", "seconds", "log_likelihood"):
        a_sum, b_sum = (np.asarray(getattr(sums, name), np.float64) for sums in (a, b))
        np.testing.assert_allclose(a_sum, b_sum, atol=2000)


@every_kind
def test_no_component_is_narrower_than_the_floor_in_any_direction(kind: Covariance) -> None:
    line = np.random.default_rng(0).normal(size=200).astype(np.float32)
    rows = np.stack([line, line, np.zeros_like(line)])
    found = from_clusters((line > 0).astype(np.int64), rows, 2, 3, kind)
    for covariance in found.covariances:
        assert np.linalg.eigvalsh(covariance).min() >= FLOOR * (1 - 1e-6)
    after = settled(found, rows, tolerance=1e-6, max_iterations=50)
    assert all(np.isfinite(part).all() for part in (after.weights, after.means, after.covariances))


def test_a_component_that_no_voxel_belongs_to_keeps_its_place_and_fades() -> None:
    rows = np.array([[0.0, 0.1, -0.1, 0.05]], np.float32)
    start = Components(np.array([0.5, 0.5]), np.array([[0.0], [1000.0]]), np.ones((2, 1, 1)) * 0.01, "full")
    found = maximised(start, expected(start, rows), 4, 0.0)
    assert found.weights.tolist() == [1.0, 0.0]
    assert found.means[1, 0] == 1000
    assert found.covariances[1, 0, 0] == 0.01
    again = maximised(found, expected(found, rows), 4, 0.0)  # the logarithm of no weight is minus infinity
    assert again.weights.tolist() == [1.0, 0.0]
    assert np.isfinite(again.log_likelihood)


@every_kind
def test_the_likelihood_rises_in_every_iteration(kind: Covariance) -> None:
    rows, found = rows_and_start(kind, 2, 3, seed=8)
    seen = []
    for _ in range(30):
        found = maximised(found, expected(found, rows), rows.shape[1], 0.0)
        seen.append(found.log_likelihood)
    assert (np.diff(seen) > -1e-6).all()
    assert seen[-1] > seen[0]


# One channel ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("apart", [2.5, 4.0])
def test_one_channel_is_as_likely_as_scikit_learn_makes_it(dtype: str, k: int, apart: float) -> None:
    (image,), _ = blobs((80, 100), k, 1, seed=10, apart=apart)
    image = (image * (100 if dtype == "uint16" else 2)).astype(dtype)
    settings: dict[str, Any] = {"n_components": k, "tolerance": 1e-9, "max_iterations": 5000}
    found = nc.fit_gaussian_mixture(image, **settings)
    values = image.reshape(-1, 1).astype(np.float64)
    peer = GaussianMixture(
        k, tol=1e-9, max_iter=5000, means_init=nc.fit_kmeans(image, n_clusters=k).centres, reg_covar=0.0
    ).fit(values)
    scale = image.std()
    assert found.converged
    assert found.log_likelihood >= peer.score(values) - 1e-5
    order = np.argsort(peer.means_[:, 0])
    np.testing.assert_allclose(found.means, peer.means_[order], atol=0.02 * scale)
    np.testing.assert_allclose(found.weights, peer.weights_[order], atol=0.02)
    np.testing.assert_allclose(found.covariances, peer.covariances_[order], atol=0.03 * scale**2)
    # what is published is what the labels and the likelihood are of
    logs = log_weighted_densities(values, found.weights, found.means, found.covariances)
    assert found.log_likelihood == pytest.approx(np.logaddexp.reduce(logs, axis=1).mean(), abs=1e-5)
    labels = nc.gaussian_mixture(image, **settings)
    near = np.sort(logs, axis=1)
    sure = near[:, -1] - near[:, -2] > 0.01
    np.testing.assert_array_equal(labels.ravel()[sure], logs.argmax(axis=1)[sure] + 1)


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_criterion_finds_how_many_there_are(k: int, n_channels: int) -> None:
    image, numbers = blobs((60, 80), k, n_channels, seed=11, apart=8.0)
    found = nc.fit_gaussian_mixture(image, channel_axis=0, n_components="auto")
    assert len(found.weights) == k
    labels, facts = facts_of(nc.gaussian_mixture, image, channel_axis=0, n_components="auto")
    assert same_partition(labels, numbers)
    assert facts["n_components"] == k
    table = np.moveaxis(image, 0, -1).reshape(-1, n_channels)
    peer = GaussianMixture(k, n_init=3, random_state=0, tol=1e-6).fit(table)
    assert found.bic == pytest.approx(peer.bic(table), rel=1e-4)


@every_kind
def test_shapes_cost_what_they_have_parameters(kind: Covariance) -> None:
    image, _ = blobs((30, 40), 3, 3, seed=12, apart=6.0)
    found = nc.fit_gaussian_mixture(image, channel_axis=0, covariance=kind)
    n_parameters = GaussianMixture(3, covariance_type=PEERS[kind]).fit(np.moveaxis(image, 0, -1).reshape(-1, 3))
    n = image[0].size
    expected_cost = n_parameters._n_parameters() * math.log(n)
    assert found.bic == pytest.approx(expected_cost - 2 * n * found.log_likelihood, rel=1e-12)
    for covariance in found.covariances:
        off = covariance[~np.eye(3, dtype=bool)]
        assert np.any(off) == (kind in ("full", "tied"))
    scaled = found.covariances / image.var(axis=(1, 2))
    if kind == "spherical":  # round among standardised channels
        np.testing.assert_allclose(
            np.diagonal(scaled, axis1=1, axis2=2), np.repeat(scaled[:, :1, 0], 3, axis=1), rtol=1e-6
        )
    same = np.allclose(found.covariances, found.covariances[:1])
    assert same == (kind == "tied")


def test_rare_grey_levels_far_apart_are_two_classes() -> None:
    image = np.full((100, 100), 10, np.uint8)
    image[0, :5] = 200
    for dtype in ("uint8", "float32", "int32"):
        np.testing.assert_array_equal(nc.gaussian_mixture(image.astype(dtype), n_components=2), (image == 200) + 1)


def test_saturated_voxels_are_a_class_of_their_own_and_no_error() -> None:
    (image,), numbers = blobs((60, 60), 2, 1, seed=13, apart=9.0)
    image = np.clip(image, 0, 255).astype(np.uint8)
    image[:20] = 255
    found = nc.fit_gaussian_mixture(image, n_components=3)
    assert found.means[2, 0] == pytest.approx(255, abs=0.5)
    assert found.covariances[2, 0, 0] == pytest.approx(1 / 12, rel=0.01)  # a bin is as wide as a grey level
    labels = nc.gaussian_mixture(image, n_components=3)
    assert (labels[:20] == 3).all()
    assert same_partition(labels[20:], numbers[20:])


# Several columns --------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("n_channels", [2, 4])
def test_several_channels_are_as_likely_as_scikit_learn_makes_them(kind: Covariance, n_channels: int) -> None:
    image, _ = blobs((40, 50), 3, n_channels, seed=14, apart=2.0)
    table = standardised(image)
    settings: dict[str, Any] = {"channel_axis": 0, "covariance": kind, "tolerance": 1e-9, "max_iterations": 3000}
    found = nc.fit_gaussian_mixture(image, **settings)
    peer = GaussianMixture(3, covariance_type=PEERS[kind], tol=1e-9, max_iter=3000, n_init=3, random_state=0)
    score = peer.fit(table).score(table) - np.log(image.std(axis=(1, 2))).sum()
    assert found.converged
    assert found.log_likelihood >= score - 1e-6
    raw = image.reshape(n_channels, -1).T
    logs = log_weighted_densities(raw, found.weights, found.means, found.covariances)
    assert found.log_likelihood == pytest.approx(np.logaddexp.reduce(logs, axis=1).mean(), abs=1e-6)
    labels = nc.gaussian_mixture(image, **settings).ravel()
    near = np.sort(logs, axis=1)
    sure = near[:, -1] - near[:, -2] > 1e-3
    np.testing.assert_array_equal(labels[sure], logs.argmax(axis=1)[sure] + 1)
    rising = (found.means / image.std(axis=(1, 2))).mean(axis=1)
    assert (np.diff(rising) > 0).all()


def test_several_channels_note_what_was_found() -> None:
    image, _ = blobs((20, 30), 2, 2, apart=5.0)
    _, facts = facts_of(nc.gaussian_mixture, image, channel_axis=0, n_components=2)
    assert facts["columns"] == ["channel 0 intensity", "channel 1 intensity"]
    assert np.shape(facts["means"]) == (2, 2)
    assert sum(facts["weights"]) == pytest.approx(1)
    assert facts["converged"]
    assert "warning" not in facts
    _, facts = facts_of(nc.gaussian_mixture, image[0], n_components=2)
    assert np.shape(facts["means"]) == np.shape(facts["variances"]) == (2,)


@every_kind
def test_channels_that_depend_on_each_other_do_no_harm(kind: Covariance) -> None:
    image, numbers = blobs((20, 30), 2, 1, seed=15, apart=6.0)
    dependent = np.concatenate([image, image * 3 + 1, image])
    labels, facts = facts_of(nc.gaussian_mixture, dependent, channel_axis=0, n_components=2, covariance=kind)
    assert same_partition(labels, numbers)
    assert np.isfinite(facts["log_likelihood"])
    probabilities = nc.probabilities(dependent, channel_axis=0, n_components=2, covariance=kind)
    assert np.isfinite(probabilities).all()


@every_kind
def test_a_constant_channel_is_left_out_and_changes_nothing(kind: Covariance) -> None:
    image, _ = blobs((20, 30), 3, 3, seed=16, apart=2.0)
    image[1] = -4
    labels, facts = facts_of(nc.gaussian_mixture, image, channel_axis=0, covariance=kind)
    assert facts["left_out"] == ["channel 1 intensity (constant)"]
    without, facts_without = facts_of(nc.gaussian_mixture, image[[0, 2]], channel_axis=0, covariance=kind)
    np.testing.assert_array_equal(labels, without)
    assert facts["log_likelihood"] == facts_without["log_likelihood"]
    assert facts["bic"] == facts_without["bic"]


# Probabilities and uncertainty ------------------------------------------------------------------------


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("smoothness", [0.0, 3.0])
@pytest.mark.parametrize("k", [2, 4])
def test_probabilities_agree_with_labels_and_uncertainty(n_channels: int, smoothness: float, k: int) -> None:
    image, _ = blobs((8, 15, 16), k, n_channels, seed=17, apart=1.0, dtype="float32")
    image[0, 2, 3, 4] = np.nan
    mask = np.random.default_rng(0).random(image.shape[1:]) < 0.9
    settings: dict[str, Any] = {"channel_axis": 0, "n_components": k, "smoothness": smoothness}
    labels = nc.gaussian_mixture(image, mask, **settings)
    probabilities = nc.probabilities(image, mask, **settings)
    uncertainty = nc.uncertainty(image, mask, **settings)
    assert probabilities.shape == (k, *mask.shape)
    assert probabilities.dtype == uncertainty.dtype == np.float32
    unknown = ~mask | np.isnan(image).any(axis=0)
    np.testing.assert_array_equal(labels == 0, unknown)
    np.testing.assert_array_equal(np.isnan(uncertainty), unknown)
    assert np.isnan(probabilities[:, unknown]).all()
    known = probabilities[:, ~unknown].astype(np.float64)
    assert known.min() >= 0
    np.testing.assert_allclose(known.sum(axis=0), 1, atol=1e-6)
    first, second = np.sort(known, axis=0)[[-1, -2]]
    clear = first > second
    np.testing.assert_array_equal(known.argmax(axis=0)[clear] + 1, labels[~unknown][clear])
    expected_entropy = entropy(known, axis=0, base=k)
    np.testing.assert_allclose(uncertainty[~unknown], expected_entropy, atol=1e-6)
    assert expected_entropy.max() <= uncertainty[~unknown].max() + 1e-6 <= 1 + 2e-6
    assert expected_entropy.max() > 0.5


def test_one_component_is_certain() -> None:
    (image,), _ = blobs((20, 20), 1, 1, apart=0.0)
    image[3, 4] = np.nan
    settings: dict[str, Any] = {"n_components": "auto"}
    assert len(nc.probabilities(image, **settings)) == 1
    uncertainty = nc.uncertainty(image, **settings)
    assert np.isnan(uncertainty[3, 4])
    assert not np.nan_to_num(uncertainty).any()


def test_probabilities_of_dask_arrays_need_a_number_of_components() -> None:
    image = da.from_array(two_humps((20, 20)), 7)
    with pytest.raises(ValueError, match="n_components='auto' of a dask array is known only when it was read"):
        nc.probabilities(image, n_components="auto")
    assert nc.uncertainty(image, n_components="auto").compute().shape == (20, 20)


# Smoothness -------------------------------------------------------------------------------------------


def test_smoothness_flattens_noise_and_keeps_what_is_large() -> None:
    truth = np.zeros((60, 60), int)
    truth[20:40, 10:50] = 1
    image = truth * 2.0 + np.random.default_rng(0).normal(size=truth.shape)
    wrong = [(nc.gaussian_mixture(image, n_components=2, smoothness=s) != truth + 1).mean() for s in (0.0, 2.0, 4.0)]
    assert wrong[0] > 0.1
    assert wrong[1] < wrong[0] / 3
    assert wrong[2] < 0.02


def mean_field_by_hand(logs: np.ndarray, known: np.ndarray, strength: float, steps: tuple[float, ...]) -> np.ndarray:
    """Return probabilities of shape (k, ...) after all rounds, each voxel of its own neighbours."""
    near = np.asarray([min(steps) / step for step in steps])
    factors = strength * near / (2 * near.sum())
    shares = np.exp(logs - np.logaddexp.reduce(logs, axis=0))
    for _ in range(10):
        seen = np.pad(np.where(known, shares, 0), [(0, 0)] + [(1, 1)] * known.ndim)
        inner = [slice(1, -1)] * known.ndim
        field = np.zeros_like(logs)
        for axis, factor in enumerate(factors):
            for shift in (slice(0, -2), slice(2, None)):
                field += factor * seen[(slice(None), *inner[:axis], shift, *inner[axis + 1 :])]
        moved = logs + field
        shares = np.exp(moved - np.logaddexp.reduce(moved, axis=0))
    return shares


@pytest.mark.parametrize(
    ("shape", "edges"), [((9, 7), (1024, 1024)), ((5, 6, 4), (3072, 1024, 1024)), ((1, 8), (1024, 2048))]
)
def test_the_mean_field_by_hand(shape: tuple[int, ...], edges: tuple[int, ...], to_library: Any) -> None:
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(3, *shape)) * 2
    known = rng.random(shape) < 0.8
    given_logs, given_known = [to_library(one) for one in logs], to_library(known)
    found = _mean_field.mean_field(given_logs, given_known, 2.5, edges)
    by_hand = mean_field_by_hand(logs, known, 2.5, tuple(float(e) for e in edges))
    host = np.stack([nc._array.to_numpy(one) for one in found])
    np.testing.assert_allclose(host, by_hand, atol=1e-9)
    np.testing.assert_array_equal(host, np.stack(_mean_field.mean_field(list(logs), known, 2.5, edges)))
    alone = _mean_field.mean_field(list(logs), None, 0.0, edges)
    np.testing.assert_array_equal(alone, posteriors(list(logs))[0])


# In any tiling ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothness", [0.0, 2.0])
@pytest.mark.parametrize("more", [{}, *COLUMNS.values()], ids=["one channel", *COLUMNS])
def test_small_blocks_and_chunks_give_the_labels_and_facts_of_large_ones(
    more: dict[str, Any], smoothness: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = blobs((13, 15, 11), 3, 2, seed=18, apart=1.5, dtype="float32")
    image[0, 3, 4, 5] = np.nan
    if not more:
        image = image[0]
    settings = more | {"smoothness": smoothness, "max_iterations": 20}
    whole, facts = facts_of(nc.gaussian_mixture, image, **settings)
    shares, unsure = nc.probabilities(image, **settings), nc.uncertainty(image, **settings)
    chunks = ((1,) if more else ()) + (5, 4, 11)
    lazy = da.from_array(image, chunks)
    labels, facts_of_chunks = facts_of(nc.gaussian_mixture, lazy, **settings)
    np.testing.assert_array_equal(labels, whole)
    assert facts_of_chunks == facts
    np.testing.assert_array_equal(nc.probabilities(lazy, **settings).compute(), shares)
    np.testing.assert_array_equal(nc.uncertainty(lazy, **settings).compute(), unsure)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 77)
    monkeypatch.setattr(_plan, "_fewer", lambda array, n: max(77 // n, 1))
    tiled, facts_of_tiles = facts_of(nc.gaussian_mixture, image, **settings)
    np.testing.assert_array_equal(tiled, whole)
    assert facts_of_tiles == facts
    np.testing.assert_array_equal(nc.probabilities(image, **settings), shares)
    np.testing.assert_array_equal(nc.uncertainty(image, **settings), unsure)


# What is hard, and what cannot be done ----------------------------------------------------------------


def test_more_components_than_different_voxels_are_refused() -> None:
    image = np.zeros((2, 6, 7), np.uint8)
    image[0, 2:, :], image[1, :, 3:] = 5, 9
    with pytest.raises(ValueError, match="mixture needs at least 5 different voxels, but among all 42 there are 4;"):
        nc.gaussian_mixture(image, channel_axis=0, n_components=5)
    with pytest.raises(ValueError, match="gaussian_mixture needs at least 5 grey levels in the image, but there are 2"):
        nc.gaussian_mixture(image[0], n_components=5)
    labels = nc.gaussian_mixture(image, channel_axis=0, n_components="auto", max_components=9)
    assert same_partition(labels, image[0] + image[1])
    with pytest.raises(ValueError, match="every column to be clustered is constant"):
        nc.gaussian_mixture(np.full((2, 3, 4), 7), channel_axis=0)


@every_kind
@pytest.mark.parametrize("height", [1e6, -1e12])
def test_a_hot_pixel_is_a_component_of_its_own(kind: Covariance, height: float) -> None:
    image, numbers = blobs((20, 25), 2, 2, seed=9, apart=10.0)
    image[0, 4, 5] = height
    labels, facts = facts_of(nc.gaussian_mixture, image, channel_axis=0, n_components=3, covariance=kind)
    assert labels.all()
    assert np.isfinite(facts["log_likelihood"])
    others = np.ones(labels.shape, bool)
    others[4, 5] = False
    assert labels[4, 5] not in labels[others]
    if kind in ("full", "diagonal"):  # round ones are as narrow as the channel without the hot pixel asks
        assert same_partition(labels[others], numbers[others])


def test_a_small_contrast_far_from_0_is_seen() -> None:
    image, numbers = blobs((20, 25), 2, 2, seed=9, apart=8.0)
    image = (image / image.max() * 200 + 1e6).astype(np.float32)
    assert same_partition(nc.gaussian_mixture(image, channel_axis=0, n_components=2), numbers)
    assert same_partition(nc.gaussian_mixture(image[0], n_components=2), numbers)


def test_a_run_that_stops_early_says_so_and_labels_all_the_same() -> None:
    image, _ = blobs((60, 60), 3, 2, seed=3, apart=0.5)
    for part, axis in ((image, 0), (image[0], None)):
        settings: dict[str, Any] = {"channel_axis": axis, "max_iterations": 1, "tolerance": 0.0}
        labels, facts = facts_of(nc.gaussian_mixture, part, **settings)
        assert not facts["converged"]
        assert facts["n_iterations"] == 1
        assert facts["warning"] == "the mixture did not converge in 1 iterations; raise max_iterations"
        assert labels.all()


def test_starts_are_those_of_k_means_with_the_settings_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, int]] = []

    def asked_started(sample: np.ndarray, n_used: int, k: int, *, n_init: int, seed: int, tolerance: float) -> Centres:
        asked.append((k, n_init, seed))
        return started(sample, n_used, k, n_init=n_init, seed=seed, tolerance=tolerance)

    monkeypatch.setattr("napari_cutout.methods._mixtures.started", asked_started)
    image, _ = blobs((20, 20), 3, 2, seed=5, apart=1.5)
    nc.fit_gaussian_mixture(image, channel_axis=0, n_components=3, n_init=7, seed=4)
    nc.fit_gaussian_mixture(image, channel_axis=0, n_components="auto", max_components=4, n_init=2)
    assert asked == [(3, 7, 4), (2, 2, 0), (3, 2, 0), (4, 2, 0)]


# What is strange about a mixture ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "n", "sentences"),
    [
        ([1, 1, 2, 3], 3, []),
        ([2, 2, 1, 1, 2], 2, ["class 2 is so wide that it lies on both sides of class 1"]),
        ([3, 1, 2, 3, 3], 3, ["class 3 is so wide that it lies on both sides of class 1, 2"]),
        ([1, 1, 3], 3, ["no grey level is most likely in class 2; ask for fewer classes"]),
        ([1, 2, 1], 4, ["class 1 is so", "no grey level is most likely in class 3", "no grey .* class 4"]),
    ],
    ids=["rising", "wide", "around two", "empty", "all at once"],
)
def test_strange_classes_by_hand(classes: list[int], n: int, sentences: list[str]) -> None:
    found = strange_classes(np.asarray(classes), n)
    assert len(found) == len(sentences)
    for said, sentence in zip(found, sentences, strict=True):
        assert re.match(sentence, said)


def test_a_wide_class_around_a_narrow_one_is_warned_of() -> None:
    rng = np.random.default_rng(0)
    image = np.where(rng.random((80, 80)) < 0.5, rng.normal(100, 2, (80, 80)), rng.normal(140, 40, (80, 80)))
    labels, facts = facts_of(nc.gaussian_mixture, image, n_components=2)
    assert set(labels[(image < 80) | (image > 120)]) == {2}
    assert set(labels[np.abs(image - 100) < 2]) == {1}
    assert facts["warning"].startswith("class 2 is so wide that it lies on both sides of class 1; kmeans cuts")
    _, facts = facts_of(nc.gaussian_mixture, image, n_components=2, max_iterations=1, tolerance=0.0)
    assert facts["warning"].startswith("the mixture did not converge in 1 iterations; raise max_iterations; class 2 is")


@pytest.mark.parametrize("n_channels", [1, 2])
def test_the_criterion_of_every_number_that_was_tried_is_noted(n_channels: int) -> None:
    image, _ = blobs((50, 60), 3, n_channels, seed=19, apart=5.0)
    _, facts = facts_of(nc.gaussian_mixture, image, channel_axis=0, n_components="auto", max_components=4)
    criteria = facts["criteria"]
    assert list(criteria) == [1, 2, 3, 4]
    assert min(criteria, key=criteria.__getitem__) == facts["n_components"] == 3
    table = standardised(image)
    for k in (1, 2, 3):
        peer = GaussianMixture(k, n_init=5, random_state=0, tol=1e-6).fit(table)
        assert criteria[k] == pytest.approx(peer.bic(table), rel=1e-3)
    _, facts = facts_of(nc.gaussian_mixture, image, channel_axis=0, n_components=2)
    assert "criteria" not in facts


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6)),
        elements=st.floats(width=32) | st.sampled_from([0.0, 1.0, -1.0]),
    ),
    st.sampled_from([2, 3, "auto"]),
    st.sampled_from(KINDS),
    st.sampled_from([0.0, 2.0]),
)
def test_whatever_the_voxels_every_finite_one_has_a_class_or_there_is_an_error(
    image: np.ndarray, k: Any, kind: Covariance, smoothness: float
) -> None:
    with np.errstate(all="raise", under="ignore"):
        try:
            labels = nc.gaussian_mixture(image, channel_axis=0, n_components=k, covariance=kind, smoothness=smoothness)
        except ValueError as error:
            assert any(s in str(error) for s in ("different voxels", "constant", "no finite voxel", "grey levels"))  # noqa: PT017
            return
    known = np.isfinite(image).all(axis=0) if len(image) > 1 else ~np.isnan(image[0])
    np.testing.assert_array_equal(labels > 0, known)
    assert labels.max() <= (6 if k == "auto" else k)


@pytest.mark.parametrize("function", [nc.probabilities, nc.uncertainty, nc.fit_gaussian_mixture, nc.fit_kmeans])
def test_what_does_not_belong_to_a_fit_is_refused_by_name(function: Callable[..., Any]) -> None:
    image, name = np.arange(12.0).reshape(3, 4), function.__name__
    sentence = f"^{name} has no one_per_object, a step after the cut, which changes labels alone; leave it out$"
    with pytest.raises(TypeError, match=sentence):
        function(image, one_per_object=True)
    with pytest.raises(TypeError, match=f"^{name}: got an unexpected keyword argument 'n_classes'$"):
        function(image, n_classes=2)
