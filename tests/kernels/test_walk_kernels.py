"""The kernels of the random walker: levels and cycles against plain loops, whole solutions against the host."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import ndimage

from napari_cutout import kernels
from napari_cutout._array import to_numpy
from napari_cutout.methods import _multigrid, _multigrid_device
from napari_cutout.methods._aggregates_device import Graph, Lattice
from napari_cutout.methods._walk import Answer, Walk, WalkSettings

from .. import strict
from ..reference import walk as reference

ALL = np.ones(2, np.uint8)
GPU = pytest.param("cupy", marks=pytest.mark.gpu)


@pytest.fixture(params=[pytest.param("strict", marks=pytest.mark.kernels), GPU])
def move(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Return what takes an array to where the kernels run; a hidden way back raises."""
    if request.param == "cupy":
        return request.getfixturevalue("to_gpu")
    request.getfixturevalue("on_cpu")
    return strict.on_device


@pytest.fixture(params=[(32, "int"), (1024, "int"), (32, "long long")], ids=["many blocks", "one block", "64 bits"])
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run small images as many blocks or as one, and name voxels in 64 bits as volumes that need them."""
    threads, index = request.param
    if request.node.callspec.params.get("move") == "cupy":  # a card has not the registers for larger blocks
        threads = min(threads, kernels.THREADS)
    monkeypatch.setattr(kernels, "THREADS", threads)
    monkeypatch.setattr(kernels, "MAX_NARROW", 0 if index == "long long" else kernels.MAX_NARROW)


class Case(NamedTuple):
    """Weights to the next voxel along each axis, and where values are sought."""

    weights: list[np.ndarray]
    free: np.ndarray

    def moved(self, move: Callable[[Any], Any]) -> Lattice:
        plane = self.free.shape[1] * self.free.shape[2]
        padded = [np.pad(w.ravel(), plane) for w in self.weights]
        degrees = sum(p + np.roll(p, s) for p, s in zip(padded, (plane, self.free.shape[2], 1), strict=True))
        inverse = np.where(np.pad(self.free.ravel(), plane), 1 / np.maximum(degrees, 2**-20), 0)
        inverse[degrees == 0] = 0
        wz, wy, wx = map(move, padded)
        return Lattice(self.free.shape, (wz, wy, wx), move(inverse.astype(np.float32)))

    @property
    def net(self) -> reference.Net:
        return reference.net_of(self.weights, self.free)


SHAPES = [(1, 1, 1), (9, 1, 1), (13, 1, 11), (1, 6, 7), (5, 6, 7), (8, 9, 10)]
WEIGHTS = {
    "alike": (1,),
    "some": (1, 1, 1, 1.25, 1.5, 1.75),
    "any": tuple(2.0**-e * m for e in range(7) for m in (1, 1.25, 1.5, 1.75)),
    "holes": (0, 1, 1, 1, 2**-5),
}
"""Sums of these are exact in float32, in any order."""


@cache
def random_case(shape: tuple[int, int, int], weights: str) -> Case:
    rng = np.random.default_rng(math.prod(shape))
    drawn = [rng.choice(WEIGHTS[weights], shape).astype(np.float32) for _ in range(3)]
    for axis, w in enumerate(drawn):
        w[tuple(-1 if a == axis else slice(None) for a in range(3))] = 0
    return Case(drawn, rng.random(shape) < 0.85)


def graph_of(graph: Graph) -> tuple[list[dict[int, float]], np.ndarray]:
    start, to, weight, sink, _ = map(to_numpy, graph)
    rows = [dict(zip(to[b:e].tolist(), weight[b:e].tolist(), strict=True)) for b, e in pairwise(start)]
    return rows, sink


# -- levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_levels_follow_the_definition(
    shape: tuple[int, int, int], weights: str, move: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_multigrid_device, "COARSEST", 20)
    case = random_case(shape, weights)
    grid = _multigrid_device.Multigrid(case.moved(move))
    nets = reference.levels(case.net, 20)
    assert len(grid.graphs) == len(nets) - 1
    for graph, merged, net in zip(grid.graphs, grid.merged, nets[1:], strict=True):
        n = len(net.rows)
        assert (graph.n, merged.n) == (n, n)
        expected = np.array([n if a is None else a for a in net.number])
        np.testing.assert_array_equal(to_numpy(merged.number), expected)
        order = np.argsort(expected, kind="stable")
        np.testing.assert_array_equal(to_numpy(merged.members), order[: np.count_nonzero(expected < n)])
        np.testing.assert_array_equal(to_numpy(merged.begins), np.searchsorted(expected[order], np.arange(n + 1)))
        rows, sink = graph_of(graph)
        assert rows == net.rows
        np.testing.assert_array_equal(sink, [sum(leak) for leak in net.leaks])
        np.testing.assert_allclose(to_numpy(graph.inverse), _inverse(net), rtol=1e-6)
    assert sum(graph.to.shape[0] for graph in grid.graphs) == sum(len(row) for net in nets[1:] for row in net.rows)


def _inverse(net: reference.Net) -> np.ndarray:
    degrees = np.diag(net.laplacian())
    return np.divide(1.0, degrees, out=np.zeros_like(degrees), where=degrees > 0)


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_weights_follow_the_definition(
    shape: tuple[int, int, int], n_channels: int, move: Callable[[Any], Any]
) -> None:
    rng = np.random.default_rng(n_channels)
    channels = [(3 * rng.standard_normal(shape)).astype(np.float32) for _ in range(n_channels)]
    channels[0][rng.random(shape) < 0.1] = 1e30  # squares overflow: such an edge weighs least
    shares, blocked = (0.25, 1.0, 0.5), rng.random(shape) < 0.1
    free = (rng.random(shape) < 0.8) & ~blocked
    given = (move(c) for c in channels)
    lattice = _multigrid_device.lattice_of(given, shape, shares, move(blocked), move(free))
    plane, degrees = shape[1] * shape[2], np.zeros(shape)
    for axis, (found, share) in enumerate(zip(lattice.weights, shares, strict=True)):
        expected = np.zeros(shape)
        here, there = (tuple(s if a == axis else slice(None) for a in range(3)) for s in (slice(-1), slice(1, None)))
        squares = sum((c[there].astype(float) - c[here]) ** 2 for c in channels)
        expected[here] = np.where(blocked[here] | blocked[there], 0, np.exp(-squares * share) + 1e-10)
        padded = to_numpy(found)
        assert not padded[:plane].any()
        assert not padded[-plane:].any()
        np.testing.assert_allclose(padded[plane:-plane].reshape(shape), expected, rtol=3e-5)  # of float32 exponents
        degrees += expected
        degrees[there] += expected[here]
    inverse = np.divide(1, degrees, out=np.zeros(shape), where=free & (degrees > 0))
    np.testing.assert_allclose(to_numpy(lattice.inverse)[plane:-plane].reshape(shape), inverse, rtol=3e-5)
    twin = _multigrid.lattice_of(iter(channels), shape, shares, blocked, free)
    for ours, theirs in zip((*lattice.weights, lattice.inverse), (*twin.weights, twin.inverse), strict=True):
        np.testing.assert_array_equal(to_numpy(ours), theirs)


# -- one iteration -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("weights", ["some", "any"])
@pytest.mark.parametrize("shape", SHAPES[2:], ids=str)
def test_steps_of_an_iteration_follow_the_definition(
    shape: tuple[int, int, int], weights: str, move: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_multigrid_device, "COARSEST", 5)
    monkeypatch.setattr(_multigrid_device, "SUMMANDS", 37)
    case = random_case(shape, weights)
    grid, nets = _multigrid_device.Multigrid(case.moved(move)), reference.levels(case.net, 5)
    rng = np.random.default_rng(1)
    given = [np.where(case.free, v, 0).astype(np.float32) for v in rng.standard_normal((3, *shape))]
    r, out, active = grid.vectors([move(v) for v in given]), grid.like(grid.vectors([move(given[0])] * 3)), [1, 0, 1]
    on = np.array(active, np.uint8)
    product, largest = grid.precondition(r, out, grid.spaces(3), on)
    energy = grid.apply(out, q := grid.like(out), on)
    for k, is_active in enumerate(active):
        values = to_numpy(grid.values(out)[k])
        if not is_active:
            assert not values.any()
            assert (product[k], largest[k], energy[k]) == (0, 0, 0)
            continue
        expected = reference.cycle(nets, given[k].ravel().astype(float), 5)
        np.testing.assert_allclose(values, expected, atol=1e-5 * np.abs(expected).max())
        np.testing.assert_allclose(product[k], given[k].ravel().astype(float) @ values, rtol=1e-12)
        assert largest[k] == np.abs(values).max()
        flow = _flow(case, values)
        np.testing.assert_allclose(to_numpy(grid.values(q)[k]), flow, atol=1e-6 * np.abs(flow).max())
        np.testing.assert_allclose(energy[k], values.astype(float) @ to_numpy(grid.values(q)[k]), rtol=1e-12)


def _flow(case: Case, values: np.ndarray) -> np.ndarray:
    """Return what flows out of free voxels, also to fixed ones of value 0 here."""
    net = case.net
    return net.laplacian() @ np.where(case.free.ravel(), values, 0).astype(float)


@pytest.mark.usefixtures("build")
def test_vectors_advance_and_turn(move: Callable[[Any], Any]) -> None:
    shape = (4, 5, 6)
    grid = _multigrid_device.Multigrid(random_case(shape, "some").moved(move))
    rng = np.random.default_rng(0)
    x, p, r, q = rng.standard_normal((4, 3, *shape)).astype(np.float32)
    vectors = [grid.vectors([move(v) for v in group]) for group in (x, p, r, q)]
    steps, on = np.array([0.5, 2, -3], np.float32), np.array([1, 0, 1], np.uint8)
    grid.advance(*vectors, steps, on)
    factors = np.where(on, steps, 0)[:, None, None, None]
    for vector, expected in zip(vectors, (x + factors * p, p, r - factors * q, q), strict=True):
        _check_vectors(grid, vector, expected)
    grid.turn(vectors[1], vectors[3], steps, on)
    _check_vectors(grid, vectors[1], np.where(on[:, None, None, None], q + factors * p, p))


def _check_vectors(grid: Any, vectors: Any, expected: np.ndarray) -> None:
    plane, found = grid.lattice.plane, to_numpy(vectors)
    np.testing.assert_allclose(found[:, plane:-plane], expected.reshape(len(expected), -1), rtol=1e-5, atol=1e-6)
    assert not found[:, :plane].any()
    assert not found[:, -plane:].any()


def test_the_residual_is_what_flows_in_from_fixed_voxels(move: Callable[[Any], Any]) -> None:
    shape = (1, 1, 3)
    weights = [np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.array([[[2, 5, 0]]], np.float32)]
    grid = _multigrid_device.Multigrid(Case(weights, np.array([[[False, True, False]]])).moved(move))
    x = grid.vectors([move(np.array([[[1, 0.25, 0]]], np.float32))])
    r = grid.like(x)
    grid.residual(x, r, ALL[:1])
    np.testing.assert_array_equal(to_numpy(grid.values(r)[0]), [0, 2 * (1 - 0.25) + 5 * (0 - 0.25), 0])


@pytest.mark.parametrize("n_labels", [1, 2, 5])
def test_a_last_level_that_is_too_large_is_swept(
    n_labels: int, move: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One level, and nothing below: Jacobi steps come near what a direct solution finds."""
    case = random_case((5, 6, 7), "some")
    lattice, given = case.moved(move), np.random.default_rng(0).standard_normal((n_labels, 5, 6, 7)) * case.free
    found = []
    for coarsest in (300, 0):
        monkeypatch.setattr(_multigrid_device, "COARSEST", coarsest)
        monkeypatch.setattr(_multigrid_device, "LEAST_SHRINKAGE", 0.9 if coarsest else 0.0)
        grid = _multigrid_device.Multigrid(lattice)
        assert (len(grid.graphs), grid.direct is None) == (1, coarsest == 0)
        r = grid.vectors([move(v.astype(np.float32)) for v in given])
        out = grid.like(r)
        grid.precondition(r, out, grid.spaces(n_labels), np.ones(n_labels, np.uint8))
        found.append(to_numpy(out))
    assert 0 < np.abs(found[0] - found[1]).max() < 1e-3 * np.abs(found[0]).max()


# -- whole solutions ---------------------------------------------------------------------------------------------------


class Walked(NamedTuple):
    """What is walked on."""

    channels: list[np.ndarray]
    mask: np.ndarray | None
    markers: np.ndarray
    beta: float = 130.0


@cache
def walked(name: str) -> Walked:
    """Return a noisy image with some strokes."""
    shape = {"2-D": (40, 50), "flat": (1, 40, 30)}.get(name, (10, 12, 14))
    rng = np.random.default_rng(len(name))
    channels = [_noisy(rng, shape) for _ in range(3 if name == "channels" else 1)]
    n_labels = {"one of two": 2, "labels": 6}.get(name, 3)
    markers = np.where(rng.random(shape) < 0.01, rng.integers(1, n_labels + 1, shape), 0)
    if name == "outside":
        markers[rng.random(shape) < 0.15] = -1
    mask = ndimage.gaussian_filter(rng.standard_normal(shape), 1.5) > -0.05 if name == "mask" else None
    return Walked(channels, mask, markers.astype(np.int32), 2000.0 if name == "steep" else 130.0)


def _noisy(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 2)
    return (smooth / smooth.std() + 0.3 * rng.standard_normal(shape)).astype(np.float32)


TOLERANCE = 2e-5
CASES = ["2-D", "3-D", "flat", "mask", "outside", "labels", "channels", "steep", "one of two"]


def answer(case: Walked, move: Callable[[Any], Any]) -> tuple[Answer, Any]:
    mask = None if case.mask is None else move(case.mask)
    walk = Walk([move(c) for c in case.channels], mask, WalkSettings(case.beta, TOLERANCE, None))
    return walk.solve(move(case.markers), keep=True), walk.engine


@pytest.mark.parametrize("name", CASES)
def test_device_and_host_find_the_same(name: str, move: Callable[[Any], Any]) -> None:
    case = walked(name)
    (ours, engine), (theirs, host) = answer(case, move), answer(case, lambda array: array)
    assert (engine, host) == (_multigrid_device, _multigrid)
    assert type(ours.best) is type(move(case.markers))
    assert max(ours.error, theirs.error) <= TOLERANCE
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    found, expected = to_numpy(ours.probabilities), theirs.probabilities
    np.testing.assert_allclose(found, expected, atol=2 * TOLERANCE * len(ours.labels))  # the last is what others leave
    two = np.sort(np.nan_to_num(expected), axis=0)[-2:]
    clear = two[1] - two[0] > 1e-3
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(to_numpy(ours.best)[clear], theirs.best[clear])


def levels_of(case: Walked, move: Callable[[Any], Any]) -> Any:
    shape, channels = case.markers.shape, iter([move(2 * case.channels[0])])
    blocked, free = move(case.markers < 0), move(case.markers == 0)
    lattice = _multigrid_device.lattice_of(channels, shape, (1.0, 0.5, 1.0), blocked, free)
    return _multigrid_device.Multigrid(lattice)


def test_racing_threads_change_nothing(move: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The sanitizers run this one: small enough for a CPU thread to each of the GPU's."""
    monkeypatch.setattr(kernels, "THREADS", 13)
    monkeypatch.setattr(_multigrid_device, "COARSEST", 5)
    whole, part = walked("outside"), (slice(4), slice(5), slice(6))
    case = Walked([whole.channels[0][part]], None, whole.markers[part])
    grid, free = levels_of(case, move), case.markers == 0
    plane = grid.lattice.plane
    weights = [to_numpy(w)[plane:-plane].reshape(free.shape) for w in grid.lattice.weights]
    nets = reference.levels(reference.net_of(weights, free), 5)
    for merged, net in zip(grid.merged, nets[1:], strict=True):
        expected = [merged.n if a is None else a for a in net.number]
        np.testing.assert_array_equal(to_numpy(merged.number), expected)
    given = [np.where(free, v, 0) for v in (case.channels[0], case.channels[0] ** 2)]
    r = grid.vectors([move(v) for v in given])
    out, q = grid.like(r), grid.like(r)
    grid.precondition(r, out, grid.spaces(2), ALL)
    grid.apply(out, q, ALL)
    for k, values in enumerate(given):
        expected = reference.cycle(nets, values.ravel().astype(float), 5)
        flow = nets[0].laplacian() @ expected
        np.testing.assert_allclose(to_numpy(grid.values(out)[k]), expected, atol=1e-5 * np.abs(expected).max())
        np.testing.assert_allclose(to_numpy(grid.values(q)[k]), flow, atol=1e-5 * np.abs(flow).max())
    grid.advance(out, out, q, q, np.ones(2, np.float32), ALL)
    grid.turn(r, q, np.zeros(2, np.float32), ALL)
    assert not to_numpy(r).any()


@pytest.mark.kernels
@pytest.mark.usefixtures("on_cpu")
def test_memory() -> None:
    """What stays, and the most that is held while levels are made: in bytes per voxel, beyond the image."""
    shape = (48, 48, 48)
    case = Walked([_noisy(np.random.default_rng(0), shape)], None, np.zeros(shape, np.int32))
    case.markers[::16, ::16, ::16] = 1
    levels_of(case, strict.on_device)  # what is loaded once does not count
    tracemalloc.start()
    try:
        grid = levels_of(case, strict.on_device)
        stays, most = tracemalloc.get_traced_memory()
        solving = [grid.spaces(2), *(grid.vectors([strict.on_device(case.channels[0])] * 2) for _ in range(4))]
        each = (tracemalloc.get_traced_memory()[0] - stays) / len(solving[0][0].x.shape)
    finally:
        tracemalloc.stop()
    n = math.prod(shape)
    assert stays / n < 48
    assert each / n < 20
    assert most / n < 48 + 2 * 20
