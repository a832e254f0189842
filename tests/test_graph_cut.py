"""Graph cuts: the cheapest of all labellings, found by trying them all; what they cost; strokes that are in the way."""

from __future__ import annotations

import gc
import itertools
import math
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import napari_cutout as nc
from napari_cutout import _array, _monitor, _plan
from napari_cutout.catalog import find
from napari_cutout.methods import _min_cut, _stroke_graph
from napari_cutout.methods._colour_models import QUANTUM, bins_for, costs_of
from napari_cutout.methods._max_flow import reached_from_source
from napari_cutout.methods._min_cut import Energy, cheapest, source_side

from .cases import two_humps

# The cheapest labelling ----------------------------------------------------------------------------------


def random_energy(seed: int, n_labels: int, most: int = 7) -> Energy:
    """Return a small graph with costs that tie often."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, most + 1))
    pairs = np.array([*itertools.combinations(range(n), 2)], int).reshape(-1, 2)
    pairs = rng.permuted(pairs[rng.random(len(pairs)) < 0.6], axis=1)
    fixed = np.where(rng.random(n) < 0.2, rng.integers(0, n_labels, n), -1)
    return Energy(rng.integers(0, 10, (n, n_labels)), pairs, rng.integers(0, 6, len(pairs)), fixed)


def allowed(energy: Energy) -> Iterator[np.ndarray]:
    """Yield all labellings that keep what is fixed."""
    n, n_labels = energy.costs.shape
    for labels in itertools.product(range(n_labels), repeat=n):
        if all(f in (-1, label) for f, label in zip(energy.fixed, labels, strict=True)):
            yield np.array(labels)


def spelt_out(energy: Energy, labels: np.ndarray) -> int:
    """Return what a labelling costs, term by term."""
    alone = sum(int(energy.costs[node, label]) for node, label in enumerate(labels))
    return alone + sum(int(w) for (a, b), w in zip(energy.pairs, energy.weights, strict=True) if labels[a] != labels[b])


@given(st.integers(0, 10_000))
def test_two_labels_are_the_cheapest_and_the_fewest_of_the_second(seed: int) -> None:
    energy = random_energy(seed, 2)
    found = cheapest(energy)
    best = min(allowed(energy), key=lambda labels: (spelt_out(energy, labels), labels.sum()))
    assert energy.of(found) == spelt_out(energy, best)
    np.testing.assert_array_equal(found, best)  # the smallest source side is unique


@given(st.integers(0, 10_000), st.integers(3, 4))
def test_no_expansion_makes_several_labels_cheaper(seed: int, n_labels: int) -> None:
    energy = random_energy(seed, n_labels, most=5)
    found = cheapest(energy)
    spent = spelt_out(energy, found)
    assert any((found == labels).all() for labels in allowed(energy))
    assert spent <= 2 * min(spelt_out(energy, labels) for labels in allowed(energy))  # Boykov et al., theorem 6.1
    for labels in allowed(energy):
        for label in range(n_labels):
            if ((labels == found) | (labels == label)).all():
                assert spelt_out(energy, labels) >= spent


def test_expansions_find_what_is_best_alone_only_where_it_does_not_pay() -> None:
    # Alone the middle of five nodes in a row would be 2 (cost 0). Its two boundaries cost 3 + 3, so it becomes 0 for 5.
    costs = np.array([[0, 9, 9], [0, 9, 9], [5, 9, 0], [0, 9, 9], [0, 9, 9]])
    row = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    free = np.full(5, -1)
    assert cheapest(Energy(costs, row, np.full(4, 3), free)).tolist() == [0, 0, 0, 0, 0]
    assert cheapest(Energy(costs, row, np.full(4, 2), free)).tolist() == [0, 0, 2, 0, 0]  # 2 + 2 are less than 5


def random_network(seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    pairs = np.unique(np.sort(rng.integers(0, n, (int(rng.integers(1, 90)), 2)), axis=1), axis=0)
    pairs = rng.permuted(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    there, back = rng.integers(0, 9, (2, len(pairs)))
    return pairs[:, 0].copy(), pairs[:, 1].copy(), there, back, rng.integers(-15, 16, n)


def cut_value(network: tuple[np.ndarray, ...], side: np.ndarray) -> int:
    tails, heads, there, back, gains = network
    a, b = side[tails], side[heads]
    return int(
        there[a & ~b].sum() + back[b & ~a].sum() + gains[(gains > 0) & ~side].sum() - gains[(gains < 0) & side].sum()
    )


@given(st.integers(0, 10_000))
def test_both_maximum_flows_leave_the_same_cut_as_networkx(seed: int) -> None:
    network = random_network(seed)
    graph = networkx.DiGraph()
    graph.add_nodes_from(["source", "sink"])
    for a, b, there, back in zip(*network[:4], strict=True):
        graph.add_edge(a, b, capacity=there)
        graph.add_edge(b, a, capacity=back)
    for node, gain in enumerate(network[4]):
        ends = ("source", node) if gain > 0 else (node, "sink")
        graph.add_edge(*ends, capacity=abs(gain))
    value, _ = networkx.minimum_cut(graph, "source", "sink")
    by_scipy, by_trees = source_side(*network), reached_from_source(*network)
    assert cut_value(network, by_scipy) == value
    np.testing.assert_array_equal(by_trees, by_scipy)


def grid(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return a grid with noise, on which long paths are needed."""
    rng = np.random.default_rng(seed)
    number = np.arange(math.prod(shape)).reshape(shape)
    tails = [np.take(number, range(n - 1), axis).ravel() for axis, n in enumerate(shape)]
    heads = [np.take(number, range(1, n), axis).ravel() for axis, n in enumerate(shape)]
    gains = np.where(ndimage.gaussian_filter(rng.standard_normal(shape), 3).ravel() > 0, 30, -30)
    weights = rng.integers(0, 90, sum(map(len, tails)))
    return np.concatenate(tails), np.concatenate(heads), weights, weights, gains + rng.integers(-60, 60, number.size)


@pytest.mark.parametrize("shape", [(50, 60), (12, 14, 16)], ids=str)
def test_both_maximum_flows_cut_grids_alike(shape: tuple[int, ...]) -> None:
    network = grid(shape)
    side = source_side(*network)
    assert 0.1 < side.mean() < 0.9
    np.testing.assert_array_equal(reached_from_source(*network), side)


def test_capacities_beyond_int32_are_cut_as_they_are() -> None:
    # 2^33 + 1 into the first node, 2^33 on to the second, 2^34 out of it: all that is free is left in front of the arc.
    network = (np.array([0]), np.array([1]), np.array([2**33]), np.array([0]), np.array([2**33 + 1, -(2**34)]))
    assert source_side(*network).tolist() == [True, False]


def test_a_cut_of_voxels_can_be_cancelled_between_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cutout.methods._max_flow.PATHS", 10)
    with _monitor.watch(is_cancelled=lambda: True), pytest.raises(_monitor.Cancelled):
        reached_from_source(*grid((30, 30)))


# What colours cost -----------------------------------------------------------------------------------------


def test_one_voxel_of_each_label_costs_what_the_kernel_says() -> None:
    # 1 voxel in bin 2 of 8: its spread is 0, so the Gaussian is half a bin wide: exp(-2 k^2) over its sum. One voxel
    # more is spread over 8 bins, and both are divided by 2.
    kernel = np.exp(-2.0 * np.arange(-2, 3) ** 2)
    expected = (np.concatenate([kernel / kernel.sum(), np.zeros(3)]) + 1 / 8) / 2
    costs = costs_of(np.array([[0, 0, 1, 0, 0, 0, 0, 0]]), (8,))
    np.testing.assert_array_equal(costs[0], np.rint(-np.log(expected) * QUANTUM))


def test_likelihoods_sum_up_to_one_and_are_wider_with_more_spread() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (3, 64))
    counts[1, 8:] = 0
    costs = costs_of(counts, (8, 8))
    np.testing.assert_allclose(np.exp(-costs / QUANTUM).sum(axis=1), 1, atol=1e-3)
    narrow, wide = costs_of(np.array([[0, 0, 0, 8, 0, 0, 0, 0], [0, 0, 4, 0, 4, 0, 0, 0]]), (8,))
    assert narrow[3] < wide[3]
    assert wide[0] < narrow[0]


def test_bins_hold_all_that_is_beyond_the_strokes() -> None:
    bins = bins_for([10.0], [20.0])
    found = bins.of([np.array([-1e300, 10.0, 14.9, 20.0, 1e300])])[0]
    assert found.tolist() == [0, 0, 125, 255, 255]  # 4.9 / 10 * 256 = 125.4
    assert bins_for([7.0], [7.0]).of([np.array([3.0, 7.0, 9.0])])[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("n_channels", "n_bins"), [(1, [256]), (2, [4096]), (3, [4096]), (4, [4096]), (5, [256] * 5)])
def test_up_to_four_channels_are_counted_together(n_channels: int, n_bins: list[int]) -> None:
    bins = bins_for([0.0] * n_channels, [1.0] * n_channels)
    assert [math.prod(shape) for shape in bins.shapes] == n_bins
    found = bins.of([np.array([0.0, 1.0])] * n_channels)
    assert [int(row[1]) for row in found] == [n - 1 for n in n_bins]


# The whole, against all labellings ---------------------------------------------------------------------------


def likelihood_costs(image: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """Return the cost of each label at each voxel of an image of one channel, as the docstring defines it."""
    under = image[markers > 0].astype(float)
    low, high = under.min(), under.max()
    bins = np.clip((image - low) / (high - low) * 256, 0, 255).astype(int)
    found = []
    for label in np.unique(markers[markers > 0]):
        there = bins[markers == label]
        sigma = max(there.std() * len(there) ** (-1 / 5), 0.5)
        reach = int(4 * sigma + 0.5)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        counts = np.bincount(there, minlength=256)
        smooth = np.convolve(np.pad(counts.astype(float), reach, mode="symmetric"), kernel / kernel.sum(), "valid")
        found.append(-np.log((smooth + 1 / 256) / (len(there) + 1))[bins])
    return np.stack(found, axis=-1)


def neighbours(shape: tuple[int, ...], lengths: tuple[float, ...]) -> Iterator[tuple[Any, Any, float]]:
    """Yield all pairs of neighbours and their distance: faces, in 2-D also corners."""
    most = 2 if len(shape) == 2 else 1
    for here in np.ndindex(*shape):
        for step in itertools.product((-1, 0, 1), repeat=len(shape)):
            there = tuple(h + s for h, s in zip(here, step, strict=True))
            inside = all(0 <= t < n for t, n in zip(there, shape, strict=True))
            if here < there and inside and sum(map(abs, step)) <= most:
                yield here, there, math.hypot(*(s * e for s, e in zip(step, lengths, strict=True)))


def whole_cost(labels: np.ndarray, image: np.ndarray, markers: np.ndarray, smoothness: float, lengths: Any) -> float:
    """Return what a labelling by 1, 2... costs, as the docstring defines it."""
    pairs = [*neighbours(image.shape, lengths)]
    squares = [float(image[a] - image[b]) ** 2 for a, b, _ in pairs]
    costs = likelihood_costs(image, markers)
    alone = sum(costs[at][labels[at] - 1] for at in np.ndindex(*image.shape))
    return alone + sum(
        smoothness * math.exp(-d / (2 * np.mean(squares))) / r
        for (a, b, r), d in zip(pairs, squares, strict=True)
        if labels[a] != labels[b]
    )


@pytest.mark.parametrize(
    ("shape", "spacing"), [((3, 4), None), ((3, 4), (2.0, 1.0)), ((2, 2, 3), (3.0, 1.0, 1.0))], ids=str
)
def test_voxels_are_cut_as_the_best_of_all_labellings(shape: tuple[int, ...], spacing: Any) -> None:
    lengths = spacing or (1.0,) * len(shape)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 40, shape).astype(float)
        markers = np.zeros(shape, int)
        markers.flat[rng.permutation(image.size)[:6]] = 1, 1, 1, 2, 2, 2
        with _monitor.watch() as monitor:
            found = nc.graph_cut(image, markers, on="voxels", smoothness=1.5, spacing=spacing)
        free = np.argwhere(markers == 0)
        trials = np.repeat(markers[None], 2 ** len(free), axis=0)
        trials[(slice(None), *free.T)] = [*itertools.product((1, 2), repeat=len(free))]
        costs = [whole_cost(trial, image, markers, 1.5, lengths) for trial in trials]
        assert monitor.facts["energy"] == pytest.approx(min(costs), abs=40 * 0.5 / QUANTUM)  # 40 terms are rounded
        assert whole_cost(found, image, markers, 1.5, lengths) <= min(costs) + 80 * 0.5 / QUANTUM
        assert 0 < (found == 1).mean() < 1


def test_regions_are_voxels_that_have_one_label() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 40, (4, 5)).astype(float)
    regions = np.array([[1, 1, 2, 2, 3], [1, 4, 4, 2, 3], [5, 5, 4, 6, 3], [5, 7, 7, 6, 6]])
    markers = np.zeros((4, 5), int)
    markers[0, 0], markers[3, 4] = 1, 2
    with _monitor.watch() as monitor:
        found = nc.graph_cut(image, markers, regions, smoothness=3.0)
    costs = []
    for chosen in itertools.product((1, 2), repeat=5):
        table = np.array([0, 1, *chosen[:4], 2, chosen[4]])  # regions 1 and 6 are painted
        costs.append((whole_cost(table[regions], image, markers, 3.0, (1.0, 1.0)), table[regions]))
    least, best = min(costs, key=lambda pair: pair[0])
    assert monitor.facts["energy"] == pytest.approx(least, abs=60 * 0.5 / QUANTUM)
    np.testing.assert_array_equal(found, best)
    np.testing.assert_array_equal(nc.graph_cut(image, markers, regions * 10**12, smoothness=3.0), best)


def test_every_voxel_may_be_a_region() -> None:
    image, markers = two_humps((20, 24)), np.zeros((20, 24), int)
    markers[4:8, 3:6], markers[12:15, 14:20], markers[0, :5] = 1, 2, 3
    regions = np.random.default_rng(0).permutation(image.size).reshape(image.shape) + 1
    as_regions = nc.graph_cut(image, markers, regions)
    assert len(np.unique(as_regions)) == 3
    np.testing.assert_array_equal(nc.graph_cut(image, markers, on="voxels"), as_regions)


# Settings ----------------------------------------------------------------------------------------------------


def scene(seed: int = 0, shape: tuple[int, ...] = (40, 44)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image of a bright blob in noise, strokes on both, and what is bright."""
    rng = np.random.default_rng(seed)
    where = np.zeros(shape, bool)
    where[tuple(slice(n // 4, 3 * n // 4) for n in shape)] = True
    image = np.where(where, 120, 80) + rng.normal(0, 15, shape)
    markers = np.zeros(shape, np.int32)
    markers[tuple(slice(n // 2 - 2, n // 2 + 2) for n in shape)] = 5
    markers[(0,) * (len(shape) - 1)] = 2
    return image, markers, where


def test_smoothness_of_zero_goes_by_likelihood_alone() -> None:
    image, markers, _ = scene()
    costs = likelihood_costs(image, markers)
    expected = np.where(
        markers > 0, markers, np.where(costs[..., 1] < costs[..., 0], 5, 2)
    )  # of equal costs the smaller
    sure = np.abs(costs[..., 0] - costs[..., 1]) > 1 / QUANTUM
    found = nc.graph_cut(image, markers, on="voxels", smoothness=0)
    np.testing.assert_array_equal(found[sure], expected[sure])
    assert sure.mean() > 0.8


def n_parts(labels: np.ndarray) -> int:
    return sum(ndimage.label(labels == v, np.ones((3,) * labels.ndim))[1] for v in np.unique(labels))


def test_more_smoothness_leaves_fewer_pieces_down_to_the_strokes() -> None:
    image, markers, where = scene()
    pieces = [n_parts(nc.graph_cut(image, markers, on="voxels", smoothness=s)) for s in (0, 5, 50, 1e6)]
    assert pieces == sorted(pieces, reverse=True)
    assert pieces[0] > 20
    assert pieces[-1] == 2
    found = nc.graph_cut(image, markers, on="voxels", smoothness=5)
    assert ((found == 5) != where).mean() < 0.03


@pytest.mark.parametrize("on", ["voxels", "superpixels"])
def test_contrast_of_none_is_that_of_neighbours(on: Any) -> None:
    image, markers, _ = scene()
    expected = math.sqrt(np.mean([(image[a] - image[b]) ** 2 for a, b, _ in neighbours(image.shape, (1, 1))]))
    with _monitor.watch() as monitor:
        usual = nc.graph_cut(image, markers, on=on)
    assert monitor.facts["contrast"] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_array_equal(nc.graph_cut(image, markers, on=on, contrast=expected), usual)


def test_contrast_of_zero_holds_only_equal_neighbours_together() -> None:
    image = np.array([[1, 1, 1, 2, 3, 3]] * 2, np.uint8)
    markers = np.array([[1, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0]])
    assert nc.graph_cut(image, markers, on="voxels", contrast=0.0)[:, [1, 4]].tolist() == [[1, 2], [1, 2]]


def test_scale_and_offset_of_grey_levels_do_not_show() -> None:
    image, markers, _ = scene()
    image = np.rint(image)
    found = nc.graph_cut(image, markers, on="voxels")
    np.testing.assert_array_equal(nc.graph_cut(image * 4 - 1024, markers, on="voxels"), found)
    np.testing.assert_array_equal(nc.graph_cut(image.astype(np.uint8), markers, on="voxels"), found)
    huge = nc.graph_cut((image - 100) * 2.0**1015, markers, on="voxels")  # whose squares are infinite
    np.testing.assert_array_equal(huge, nc.graph_cut(image - 100, markers, on="voxels"))


def test_background_becomes_zero() -> None:
    image, markers, _ = scene()
    found = nc.graph_cut(image, markers)
    np.testing.assert_array_equal(nc.graph_cut(image, markers, background=2), np.where(found == 2, 0, found))


def test_colours_tell_apart_what_channels_alone_do_not() -> None:
    # Two textures with the same levels in each channel: equal in both, or opposite.
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, (20, 40)) * 100 + rng.normal(0, 3, (20, 40))
    second = np.where(np.arange(40) < 20, first, 100 - first)
    markers = np.zeros((20, 40), int)
    markers[:, 3], markers[:, 36] = 1, 2
    found = nc.graph_cut(np.stack([first, second]), markers, on="voxels", smoothness=1.0, channel_axis=0)
    assert (found[:, :20] == 1).mean() > 0.95
    assert (found[:, 20:] == 2).mean() > 0.95


def test_five_channels_are_independent() -> None:
    image, markers, where = scene()
    many = np.stack([np.random.default_rng(s).permuted(image) if s else image for s in range(5)], axis=-1)
    found = nc.graph_cut(many, markers, on="voxels", smoothness=5, channel_axis=-1)
    assert ((found == 5) != where).mean() < 0.1


# Regions, blocks, libraries -----------------------------------------------------------------------------------


def cells(shape: tuple[int, ...], edge: int = 5) -> np.ndarray:
    """Return small boxes, numbered from 3 in an order that is not that of the voxels."""
    at = np.indices(shape) // edge
    flat = np.ravel_multi_index(tuple(at), tuple(-(-n // edge) for n in shape))
    return np.random.default_rng(0).permutation(int(flat.max()) + 1)[flat] + 3


CASES: dict[str, dict[str, Any]] = {
    "regions": {"shape": (20, 31)},
    "in 3-D": {"shape": (7, 12, 16), "spacing": (2.5, 1.0, 1.0)},
    "channels": {"shape": (20, 31), "n_channels": 3},
    "voxels": {"shape": (12, 15), "on": "voxels"},
    "superpixels": {"shape": (24, 31), "n_superpixels": 60},
}


def call_of(case: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return arrays with a mask and NaN, and settings."""
    more = dict(CASES[case])
    image, markers, _ = scene(shape=more.pop("shape"))
    mask = np.ones(image.shape, bool)
    mask[..., -3:] = False
    image.flat[::37] = np.nan
    markers[-1, ..., :3] = 9
    arrays = {"image": image.astype(np.float32), "markers": markers, "mask": mask}
    if n := more.pop("n_channels", 0):
        arrays["image"] = np.stack([arrays["image"] + np.float32(10 * c * c) for c in range(n)])
        more["channel_axis"] = 0
    if "on" not in more and "n_superpixels" not in more:
        arrays["regions"] = cells(image.shape)
    return arrays, more


@pytest.mark.parametrize("case", CASES)
def test_every_library_gives_the_same_labels_and_keeps_its_inputs(case: str, to_library: Any) -> None:
    arrays, more = call_of(case)
    given_arrays = {name: to_library(array) for name, array in arrays.items()}
    labels = nc.graph_cut(**given_arrays, **more)
    assert type(labels) is type(given_arrays["image"])
    assert labels.device == given_arrays["image"].device
    assert _array.dtype_name(labels) == "int32"
    expected = nc.graph_cut(**arrays, **more)
    np.testing.assert_array_equal(_array.to_numpy(labels), expected)
    level = arrays["image"][0] if "channel_axis" in more else arrays["image"]
    np.testing.assert_array_equal(expected == 0, ~(arrays["mask"] & np.isfinite(level)))
    assert set(np.unique(expected)) == {0, 2, 5, 9}
    for name, array in arrays.items():
        np.testing.assert_array_equal(_array.to_numpy(given_arrays[name]), array)


@pytest.mark.parametrize("case", [case for case in CASES if case != "voxels"])
def test_dask_gives_the_labels_of_the_whole(case: str) -> None:
    arrays, more = call_of(case)
    lazy = {name: da.from_array(a, tuple(3 if n == 3 else -(-n // 2) for n in a.shape)) for name, a in arrays.items()}
    labels = nc.graph_cut(**lazy, **more)
    assert isinstance(labels, da.Array)
    np.testing.assert_array_equal(labels.compute(scheduler="sync"), nc.graph_cut(**arrays, **more))


@pytest.mark.parametrize("case", ["channels", "in 3-D", "voxels"])
def test_neither_blocks_nor_the_solver_show(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, more = call_of(case)
    expected = nc.graph_cut(**arrays, **more)
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 100)
    np.testing.assert_array_equal(nc.graph_cut(**arrays, **more), expected)
    monkeypatch.setattr(_min_cut, "FEW", 0)
    np.testing.assert_array_equal(nc.graph_cut(**arrays, **more), expected)


@pytest.mark.parametrize("move", [lambda a: a[::-1], lambda a: a[..., ::-1], np.transpose], ids=["z", "x", "T"])
def test_flips_and_transposition_move_the_labels(move: Any) -> None:
    image, markers, _ = scene(shape=(9, 12, 14))
    expected = move(nc.graph_cut(image, markers, on="voxels", smoothness=3))
    np.testing.assert_array_equal(nc.graph_cut(move(image), move(markers), on="voxels", smoothness=3), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_gpu_gives_the_labels_of_the_host(case: str, to_gpu: Any) -> None:
    arrays, more = call_of(case)
    labels = nc.graph_cut(**{name: to_gpu(a) for name, a in arrays.items()}, **more)
    np.testing.assert_array_equal(_array.to_numpy(labels), nc.graph_cut(**arrays, **more))


def test_a_cut_of_voxels_takes_the_memory_that_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 1 << 12)
    image, markers, _ = scene(shape=(150, 160))
    nc.graph_cut(image, markers, on="voxels")
    gc.collect()
    tracemalloc.start()
    try:
        nc.graph_cut(image, markers, on="voxels")
        taken = tracemalloc.get_traced_memory()[1] / image.size
    finally:
        tracemalloc.stop()
    assert 0.75 <= find("graph_cut").bytes_per_voxel({"on": "voxels"}, image.size) / taken <= 1.35


def test_voxels_share_the_costs_of_their_bins_so_that_labels_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Energy] = []

    def spy(energy: Energy) -> np.ndarray:
        asked.append(energy)
        return cheapest(energy)

    monkeypatch.setattr(_stroke_graph, "cheapest", spy)
    image, markers, _ = scene(shape=(20, 22))
    markers[0, :20] = np.arange(20) + 1
    nc.graph_cut(image, markers, on="voxels")
    assert asked[0].costs.shape == (256, 20)
    assert asked[0].rows is not None


@given(st.integers(0, 10_000), st.integers(2, 4))
def test_nodes_that_share_costs_are_labelled_as_if_each_had_its_own(seed: int, n_labels: int) -> None:
    energy = random_energy(seed, n_labels)
    rows = np.random.default_rng(seed).integers(0, len(energy.costs), len(energy.fixed))
    apart, together = (replace(energy, costs=c, rows=r) for c, r in ((energy.costs[rows], None), (energy.costs, rows)))
    labels = cheapest(together)
    assert labels.tolist() == cheapest(apart).tolist()
    assert together.of(labels) == apart.of(labels) == spelt_out(apart, labels)


def test_a_contrast_beyond_all_grey_levels_is_a_large_one() -> None:
    image, markers, _ = scene(shape=(20, 22))
    faint = image.astype(np.float64) * 1e-300
    found = nc.graph_cut(faint, markers, on="voxels", contrast=1e9)  # was (1e9 / 1e-298) ** 2, which is no float
    np.testing.assert_array_equal(found, nc.graph_cut(image, markers, on="voxels", contrast=1e9))


# Strokes that are in the way ------------------------------------------------------------------------------------


def test_strokes_that_contradict_each_other_leave_a_region_to_the_majority() -> None:
    image = np.array([[10, 10, 10, 10, 90, 90, 90, 90]] * 2, np.uint8)
    regions = np.array([[1, 1, 1, 1, 2, 2, 2, 2]] * 2)
    markers = np.array([[7, 7, 3, 0, 7, 3, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]])
    with _monitor.watch() as monitor:
        found = nc.graph_cut(image, markers, regions)
    assert found.tolist() == [[7, 7, 3, 7, 7, 3, 3, 3], [7, 7, 7, 7, 3, 3, 3, 3]]  # 2 to 1, and 1 to 1: the smaller
    assert monitor.facts["n_contested"] == 2


def test_a_part_without_strokes_goes_by_its_colours() -> None:
    image = np.array([[10, 12, 90, 91, 0, 11, 12, 11, 0, 92, 90]] * 2, np.uint8)
    markers = np.zeros(image.shape, int)
    markers[0, 0], markers[0, 3] = 4, 6
    mask = image > 0
    expected = np.where(mask, np.where(image > 50, 6, 4), 0)
    np.testing.assert_array_equal(nc.graph_cut(image, markers, mask=mask, on="voxels"), expected)


def test_strokes_outside_are_left_out() -> None:
    image, markers, _ = scene()
    mask = np.ones(image.shape, bool)
    mask[:3] = False
    more = markers.copy()
    more[1] = 77  # outside the mask
    image[20, 3] = np.nan
    more[20, 3] = 78
    markers[3, :] = more[3, :] = 2
    found = nc.graph_cut(image, more, mask=mask, on="voxels")
    assert set(np.unique(found)) == {0, 2, 5}
    assert found[20, 3] == 0
    np.testing.assert_array_equal(found, nc.graph_cut(image, markers, mask=mask, on="voxels"))


ONE = np.eye(6, dtype=int)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no strokes": ({"markers": np.zeros((6, 6), int)}, "no painted voxel, all are 0; paint at least two labels"),
    "one label": ({"markers": ONE * 3}, "one label only inside, 3, and a cut needs two at least; paint another"),
    "one label inside": (
        {"markers": np.diag([1, 1, 1, 2, 2, 2]), "mask": np.arange(36).reshape(6, 6) < 18},
        "one label only inside, 1",
    ),
    "strokes outside mask": (
        {"markers": np.diag([1, 0, 2, 0, 0, 0]), "mask": np.arange(36).reshape(6, 6) > 20},
        "markers lie outside mask or regions, or where image is not finite",
    ),
    "strokes outside regions": (
        {"markers": np.diag([1, 0, 2, 0, 0, 0]), "regions": ONE[::-1]},
        "markers lie outside mask or regions",
    ),
    "strokes on NaN": (
        {"image": np.where(ONE, np.nan, 1.0), "markers": np.diag([1, 2] * 3)},
        "markers lie outside mask or regions, or where image is not finite",
    ),
    "NaN": ({"image": np.full((6, 6), np.nan), "on": "voxels"}, "no finite voxel to count inside mask or regions"),
    "empty mask": ({"mask": np.zeros((6, 6), bool), "on": "voxels"}, "no finite voxel to count"),
    "negative marker": ({"markers": -ONE}, "markers must be labels from 0 to 2147483647, got -1"),
    "large marker": ({"markers": ONE * 2**31}, "markers must be labels from 0 to 2147483647, got 2147483648"),
    "negative region": ({"regions": ONE - 2}, "regions hold -2, and labels must be 0 or more"),
    "regions of another shape": ({"regions": np.ones((6, 7), int)}, r"regions must have the shape of image, \(6, 6\)"),
    "regions of floats": ({"regions": np.ones((6, 6))}, "regions must hold integers, got dtype float64"),
    "on": ({"on": "pixels"}, "on must be one of 'superpixels', 'voxels', got 'pixels'"),
    "smoothness": ({"smoothness": -1.0}, "smoothness must be between 0 and 1000000.0, got -1.0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_a_way_out(case: str) -> None:
    more, sentence = BAD[case]
    arrays = {"image": np.arange(36.0).reshape(6, 6), "markers": np.diag([1, 2] * 3)}
    with pytest.raises((ValueError, TypeError), match=sentence):
        nc.graph_cut(**arrays | more)


def test_voxels_of_dask_arrays_are_refused_with_a_way_out() -> None:
    image, markers, _ = scene()
    with pytest.raises(ValueError, match=r"on='voxels' needs the whole .* call .compute\(\) .* on='superpixels'"):
        nc.graph_cut(da.from_array(image), da.from_array(markers), on="voxels")


def test_a_constant_image_has_no_edges() -> None:
    markers = np.zeros((5, 9), int)
    markers[2, 0], markers[2, 8] = 1, 2
    found = nc.graph_cut(np.full((5, 9), 7, np.uint8), markers, on="voxels")
    assert (found == 1).sum() == 44  # the shortest boundary is that around one voxel; the smaller label wins
    assert nc.graph_cut(np.full((5, 9), 7, np.uint8), markers, np.ones((5, 9), int)).tolist() == found.tolist()


# Real images -----------------------------------------------------------------------------------------------------


def test_scribbles_on_a_photograph_find_the_object(data_dir: Path) -> None:
    with np.load(data_dir / "grabcut20_scribbles.npz") as file:
        name = sorted(n[4:] for n in file if n.startswith("img_"))[0]
        image, truth, strokes = (file[f"{kind}_{name}"][::2, ::2] for kind in ("img", "gt", "seeds2"))
    found = nc.graph_cut(image, strokes.astype(np.int32), channel_axis=-1, n_superpixels=300)
    known = truth != 255
    both = (found == 2)[known], (truth == 1)[known]
    assert (both[0] & both[1]).sum() / (both[0] | both[1]).sum() > 0.5


def test_strokes_in_a_volume_find_the_nuclei(data_dir: Path) -> None:
    with np.load(data_dir / "embryo3d_8cell.npz") as file:
        image, truth = file["image"][:, ::2, ::2], file["labels"][:, ::2, ::2]
    markers = np.zeros(image.shape, np.int32)
    for label in np.unique(truth[truth > 0]):
        z, y, x = (int(c) for c in np.argwhere(ndimage.binary_erosion(truth == label)).mean(axis=0).round())
        markers[z, y - 1 : y + 2, x - 1 : x + 2] = label
    markers[::10, :3] = 99
    found = nc.graph_cut(image, markers, background=99, spacing=(2.0, 1.0, 1.0), n_superpixels=1500, smoothness=10)
    painted = markers > 0
    np.testing.assert_array_equal(found[painted], np.where(markers == 99, 0, markers)[painted])
    dice = [
        2 * ((found == v) & (truth == v)).sum() / ((found == v).sum() + (truth == v).sum()) for v in np.unique(truth)
    ]
    assert np.mean(dice) > 0.5
