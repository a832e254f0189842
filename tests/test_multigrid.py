"""Levels of a weighted lattice against sparse algebra, and what is solved with them against a direct solution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.sparse.linalg import spsolve

from napari_cutout.methods import _aggregates, _levels
from napari_cutout.methods._aggregates import Lattice, coarser
from napari_cutout.methods._gradients import solve
from napari_cutout.methods._levels import Graph
from napari_cutout.methods._multigrid import Multigrid, lattice_of

ONE, TWO = np.ones(1, np.uint8), np.ones(2, np.uint8)


def lattice(shape: tuple[int, int, int], contrast: float, n_fixed: int = 3, seed: int = 0) -> Lattice:
    """Return the lattice of noise: the larger the contrast, the rarer two neighbours hold together."""
    random = np.random.default_rng(seed)
    image = (contrast * random.standard_normal(shape)).astype(np.float32)
    free = np.ones(math.prod(shape), bool)
    free[random.choice(free.size, min(n_fixed, free.size), replace=False)] = False
    blocked = random.random(shape) < 0.02 if contrast > 3 else np.zeros(shape, bool)
    return lattice_of(iter([image]), shape, (1.0, 1.0, 0.5), blocked, free.reshape(shape) & ~blocked)


def weights_of(level: Lattice | Graph) -> tuple[sp.csr_array, np.ndarray]:
    """Return weights between nodes that are free, and of each what leaks to fixed ones."""
    if isinstance(level, Graph):
        rows = [np.arange(a, b) for a, b in zip(level.start, level.stop, strict=True)]
        index = np.concatenate([*rows, np.zeros(0, int)]).astype(int)
        one = np.repeat(np.arange(level.n), level.stop - level.start)
        return sp.csr_array((level.weight[index].astype(float), (one, level.to[index])), (level.n,) * 2), level.sink
    plane, numbers = level.plane, np.arange(level.n).reshape(level.shape)
    free = level.inverse[plane:-plane] > 0
    one, two, weight = [], [], []
    for axis, padded in enumerate(level.weights):
        n = level.shape[axis] - 1
        one.append(np.take(numbers, range(n), axis).ravel())
        two.append(np.take(numbers, range(1, n + 1), axis).ravel())
        weight.append(padded[plane:-plane][one[-1]].astype(float))
    ends = np.concatenate(one + two), np.concatenate(two + one)
    every = sp.csr_array((np.concatenate(weight * 2), ends), (level.n, level.n))
    keep = sp.diags_array(free.astype(float))
    sink = np.where(free, every @ ~free, 0)
    inside = (keep @ every @ keep).tocsr()
    inside.eliminate_zeros()
    return inside, sink


def laplacian_of(level: Lattice | Graph) -> sp.csr_array:
    weights, sink = weights_of(level)
    return (sp.diags_array(weights.sum(axis=1) + sink) - weights).tocsr()


CASES = {
    "faint": ((9, 10, 11), 0.3),
    "noise": ((12, 10, 11), 2.0),
    "barriers": ((12, 13, 14), 8.0),
    "plane": ((31, 1, 33), 2.0),
    "row": ((400, 1, 1), 1.0),
}


@pytest.mark.parametrize("name", CASES)
def test_a_level_is_galerkins_product(name: str) -> None:
    level: Lattice | Graph = lattice(*CASES[name])
    places, shape, done = None, level.shape, 0
    for _ in range(2):
        before = laplacian_of(level)
        merged, level, places = coarser(level, places, shape, done)
        done += _aggregates.PASSES
        kept = np.flatnonzero(merged.number < merged.n)
        prolong = sp.csr_array((np.ones(len(kept)), (kept, merged.number[kept])), (len(merged.number), merged.n))
        left_out = np.setdiff1d(np.arange(len(merged.number)), kept)
        assert np.all(abs(before[left_out][:, kept]).sum(axis=1) == 0)  # who is merged with none has no neighbour
        expected, found = (prolong.T @ before @ prolong).toarray(), laplacian_of(level).toarray()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * abs(expected).max(initial=1e-30))
        assert np.all(np.diff(places) > 0)


@pytest.mark.parametrize("name", CASES)
def test_what_is_merged_holds_together(name: str) -> None:
    """No two parts of an aggregate that each hold more to others hang together by much less."""
    level = lattice(*CASES[name], n_fixed=20)
    weights, sink = weights_of(level)
    merged, _, _ = coarser(level, None, level.shape, 0)
    edges = weights.tocoo()
    one, two = edges.coords
    same = (merged.number[one] == merged.number[two]) & (merged.number[one] < merged.n)
    inside = sp.csr_array((edges.data[same], (one[same], two[same])), weights.shape)
    assert connected_components(inside)[0] == merged.n + np.count_nonzero(merged.number == merged.n)
    outward = sink.copy()
    np.maximum.at(outward, one[~same], edges.data[~same])
    inside.data = -inside.data
    tree = minimum_spanning_tree(inside).tocoo()
    for a, b, weight in zip(*tree.coords, -tree.data, strict=True):
        cut = sp.coo_array((tree.data, tree.coords), tree.shape).tolil()
        cut[a, b] = 0
        part = connected_components(cut.tocsr(), directed=False)[1] if weight < 1e-3 else None
        if part is not None:
            held = min(outward[part == part[a]].max(), outward[part == part[b]].max())
            assert held <= 64 * weight


@pytest.mark.parametrize("name", CASES)
def test_the_preconditioner_is_symmetric_and_near_the_inverse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cutout.methods._multigrid.COARSEST", 20)
    monkeypatch.setattr(_levels, "COARSEST", 20)
    own = lattice(*CASES[name], n_fixed=30)
    grid = Multigrid(own)
    assert len(grid.levels.slots) > 1
    free = own.inverse[own.plane : -own.plane] > 0
    random = np.random.default_rng(1)
    x, y = (grid.vectors([np.where(free, random.standard_normal(own.n), 0)]) for _ in range(2))
    bx, by, spaces = grid.like(x), grid.like(y), grid.spaces(1)
    (xbx,), largest = grid.precondition(x, bx, spaces, ONE)
    grid.precondition(y, by, spaces, ONE)
    assert xbx == pytest.approx(float(np.vdot(x, bx)), rel=1e-5)
    assert xbx > 0
    assert largest[0] == abs(bx).max()
    size = math.sqrt(abs(xbx) * abs(float(np.vdot(y, by))))
    assert float(np.vdot(x, by)) == pytest.approx(float(np.vdot(y, bx)), abs=1e-5 * size)
    exact = laplacian_of(own)[free][:, free]
    energy = float(bx[0, own.plane : -own.plane][free] @ (exact @ bx[0, own.plane : -own.plane][free]))
    assert 0 < energy < 2.5 * xbx  # no eigenvalue of the product is far above 1
    flat = exact @ np.ones(np.count_nonzero(free))  # what leaves the same error everywhere
    x[0, own.plane : -own.plane][free] = flat
    (xbx,), _ = grid.precondition(x, bx, spaces, ONE)
    assert xbx > 0.8 * flat.sum()  # most of which goes


def solved(own: Lattice, values: np.ndarray, tolerance: float = 1e-3) -> tuple[np.ndarray, Any]:
    grid = Multigrid(own)
    x = grid.vectors([values])
    reached = solve(grid, x, tolerance)
    return grid.values(x)[0], reached


def exact_values(own: Lattice, values: np.ndarray) -> np.ndarray:
    """Return the values of free voxels by a direct solution, from those that are fixed."""
    free = own.inverse[own.plane : -own.plane] > 0
    everywhere = own._replace(inverse=np.ones_like(own.inverse))
    whole = laplacian_of(everywhere)
    found = values.astype(float)
    right = -(whole[free][:, ~free] @ found[~free])
    found[free] = spsolve(whole[free][:, free].tocsc(), right)
    return found


@pytest.mark.parametrize("contrast", [0.3, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("n_fixed", [4, 200])
def test_solutions_are_within_the_tolerance(contrast: float, n_fixed: int) -> None:
    shape = (17, 18, 19)
    image = np.add(*np.mgrid[:17, :18][:, :, :, None]) * np.ones(19)
    image = contrast * (2 * (image > 16) + 0.5 * np.random.default_rng(3).standard_normal(shape))
    free = np.ones(shape, bool)
    free.flat[np.random.default_rng(4).choice(free.size, n_fixed, replace=False)] = False
    own = lattice_of(iter([image.astype(np.float32)]), shape, (1.0, 1.0, 1.0), np.zeros(shape, bool), free)
    values = np.where(free, 0, image > contrast).ravel().astype(np.float32)
    found, reached = solved(own, values)
    assert reached.errors[0] <= 1e-3
    assert reached.n_iterations < 60
    assert np.abs(found - exact_values(own, values)).max() < 1.5e-3


@settings(max_examples=60, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 7)] * 3), contrast=st.sampled_from([0.1, 1.0, 4.0]), seed=st.integers(0, 99))
def test_any_shape_is_solved(shape: tuple[int, int, int], contrast: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    own = lattice(shape, contrast, random.integers(1, 5), seed)
    values = np.where(own.inverse[own.plane : -own.plane] > 0, 0, random.random(own.n)).astype(np.float32)
    weights, sink = weights_of(own)
    part = connected_components(weights, directed=False)[1]
    free = own.inverse[own.plane : -own.plane] > 0
    held = np.isin(part, part[sink > 0])
    lost = free & ~held  # their equations have no solution, as in images they are left out
    if lost.any():
        own.inverse[own.plane : -own.plane][lost] = 0
        values[lost] = 0
    found, _ = solved(own, values, 1e-4)
    np.testing.assert_allclose(found, exact_values(own, values), atol=1e-3)


def test_all_fixed_or_alone() -> None:
    for free in (np.zeros((2, 3, 4), bool), np.indices((2, 3, 4)).sum(axis=0) % 2 == 0):
        own = lattice_of(iter([np.zeros((2, 3, 4), np.float32)]), (2, 3, 4), (1.0,) * 3, np.zeros_like(free), free)
        values = np.where(free, 0, 1).ravel().astype(np.float32)
        np.testing.assert_allclose(solved(own, values)[0], 1, atol=1e-3)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what sets the number of threads, for work of any size."""
    monkeypatch.setattr(_levels, "MANY", 1)
    monkeypatch.setattr(_aggregates, "MANY", 1)

    def use(n: int) -> None:
        for module in (_levels, _aggregates):
            monkeypatch.setattr(module, "n_threads", lambda: n)

    return use


def test_the_number_of_threads_changes_no_bit(threads: Any) -> None:
    found = []
    for n in (1, 2, 3):
        threads(n)
        own = lattice((37, 36, 36), 1.0, 40)
        values = np.random.default_rng(5).random(own.n) * (own.inverse[own.plane : -own.plane] == 0)
        x, reached = solved(own, values.astype(np.float32))
        found.append((x.copy(), reached))
    assert found[0][1].n_iterations > 2
    for x, reached in found[1:]:
        np.testing.assert_array_equal(x, found[0][0])
        np.testing.assert_array_equal(reached.errors, found[0][1].errors)


def test_labels_solved_together_are_as_alone() -> None:
    own = lattice((12, 13, 14), 1.0, 40)
    fixed = own.inverse[own.plane : -own.plane] == 0
    values = [(np.random.default_rng(k).random(own.n) * fixed).astype(np.float32) for k in range(2)]
    grid = Multigrid(own)
    both = grid.vectors(values)
    solve(grid, both, 1e-3)
    for together, alone in zip(grid.values(both), values, strict=True):
        np.testing.assert_array_equal(together, solved(own, alone)[0])


def test_a_last_level_that_is_too_large_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cutout.methods._multigrid.LEAST_SHRINKAGE", 0.0)  # no second level is small enough
    monkeypatch.setattr("napari_cutout.methods._multigrid.COARSEST", 20)
    monkeypatch.setattr(_levels, "COARSEST", 20)
    own = lattice((12, 12, 12), 1.0, 40)
    levels = Multigrid(own).levels
    assert len(levels.slots) == 1
    assert len(levels.places[0]) > 20
    values = np.random.default_rng(5).random(own.n) * (own.inverse[own.plane : -own.plane] == 0)
    found, reached = solved(own, values.astype(np.float32))
    assert reached.n_iterations < 20
    np.testing.assert_allclose(found, exact_values(own, values), atol=1.5e-3)
