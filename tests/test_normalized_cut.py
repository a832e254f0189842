"""Normalized cuts: against scikit-image, against all cuts there are, many at once, and graphs with nothing to cut."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.sparse import csr_array
from skimage import graph as peer

import napari_cutout as nc
from napari_cutout.methods import _k_way, _spectrum, _two_way
from napari_cutout.methods._k_way import cut_at_once, discrete
from napari_cutout.methods._likeness import Group, similarities, usual_contrast, whole
from napari_cutout.methods._ncut import cut_regions
from napari_cutout.methods._spectrum import smallest
from napari_cutout.methods._two_way import best_cut, cut_again_and_again, low_vectors

from .cases import same_partition
from .reference.normalized_cuts import least_ncut, matrix_of, ncut

ROW = np.repeat(np.arange(1, 7), 2)[None] * np.ones((2, 1), np.int64)
"""Six regions beside each other, of 2 x 2 voxels."""


def row_of(*levels: float, dtype: str = "float64") -> np.ndarray:
    """Return the image of so many regions of `ROW`."""
    return np.repeat(np.asarray(levels, dtype), 2)[None] * np.ones((2, 1), dtype)


def tiles(shape: tuple[int, ...], side: int) -> np.ndarray:
    """Return square regions, numbered from 1 in scan order."""
    counts = tuple(-(-n // side) for n in shape)
    return 1 + np.ravel_multi_index(tuple(np.indices(shape) // side), counts)


def noisy_things(seed: int, shape: tuple[int, ...] = (48, 60), noise: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of a few things that stand out, and which is where; tiles of 6 lie inside one thing each."""
    rng = np.random.default_rng(seed)
    coarse = tuple(-(-n // 12) for n in shape)
    things = np.kron(rng.permutation(int(np.prod(coarse))).reshape(coarse) % 4, np.ones((12,) * len(shape), np.int64))
    things = things[tuple(slice(0, n) for n in shape)]
    return 60.0 * things + rng.normal(0, noise, shape), things


def clique(members: list[int]) -> list[tuple[int, int]]:
    return [(a, b) for a in members for b in members if a < b]


def group_of(n: int, pairs: list[tuple[int, int]], weights: Any = 1.0) -> Group:
    return whole(n, np.asarray(pairs, np.int64).reshape(-1, 2), np.broadcast_to(np.float64(weights), len(pairs)))


@st.composite
def graphs(draw: st.DrawFn, most: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Return graphs that hang together: a tree, and some pairs more."""
    n = draw(st.integers(2, most))
    tree = {(draw(st.integers(0, b - 1)), b) for b in range(1, n)}
    more = draw(st.sets(st.sampled_from(clique(list(range(n)))), max_size=n))
    pairs = np.array(sorted(tree | more), np.int64)
    levels = st.floats(1e-3, 1.0)
    return n, pairs, np.array(draw(st.lists(levels, min_size=len(pairs), max_size=len(pairs))))


def noted(*args: Any, **settings: Any) -> tuple[np.ndarray, dict[str, Any]]:
    with nc.watch() as watched:
        labels = nc.normalized_cut(*args, **settings)
    return labels, watched.facts


# Against scikit-image ---------------------------------------------------------------------------------


def of_scikit_image(image: np.ndarray, regions: np.ndarray, contrast: float, threshold: float = 1e-3) -> np.ndarray:
    """Return its normalized cut of the same graph; it wants three channels, and numbers from 0."""
    colours = np.stack([image, 0 * image, 0 * image], axis=-1)
    graph = peer.rag_mean_color(colours, regions, connectivity=1, mode="similarity", sigma=contrast**2)
    return np.asarray(peer.cut_normalized(regions, graph, thresh=threshold, rng=0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(48, 60), (24, 24, 24)], ids=str)
def test_things_that_stand_out_are_those_of_scikit_image(seed: int, shape: tuple[int, ...]) -> None:
    image, things = noisy_things(seed, shape)
    regions = tiles(shape, 6)
    found = nc.normalized_cut(image, regions, contrast=16.0)
    assert same_partition(found, of_scikit_image(image, regions, 16.0))
    pieces = sum(ndimage.label(things == thing)[0] * 10 + (things == thing) * thing for thing in range(4))
    assert same_partition(found, pieces)


def test_no_cut_of_scikit_image_is_better_where_nothing_stands_out() -> None:
    # Both cut in two once. Along the same graph, the best of all places of y cannot be worse than ten places of a
    # vector that is not divided by the root of the degree, unless that is no second eigenvector.
    rng = np.random.default_rng(5)
    regions = tiles((30, 36), 6)
    image = ndimage.gaussian_filter(rng.normal(0, 1, regions.shape), 5) * 400
    graph = nc.region_graph(image, regions)
    weights = similarities(np.abs(np.diff(graph.means[graph.pairs, 0], axis=1)).ravel(), 20.0)
    group = whole(len(graph), graph.pairs, weights)
    first, value = best_cut(group, low_vectors(group, np.inf)[0])
    found = of_scikit_image(image, regions, 20.0, threshold=value * 1.001)
    sides = [found == name for name in np.unique(found)]
    similar = matrix_of(len(graph), graph.pairs, weights)
    assert value == pytest.approx(ncut(similar, first), rel=1e-12)
    one = [np.array([side[regions == label].all() for label in graph.labels]) for side in sides]
    assert all(ncut(similar, side) >= value * (1 - 1e-12) for side in one if 0 < side.sum() < len(graph))


def test_two_regions_are_cut_apart_which_scikit_image_never_does() -> None:
    image, regions = row_of(0, 255), ROW[:, :4]
    assert of_scikit_image(image, regions, 16.0).max() == of_scikit_image(image, regions, 16.0).min()
    assert nc.normalized_cut(image, regions, contrast=16.0).tolist() == [[1, 1, 2, 2]] * 2
    # w = exp(-(10 / 4)^2) = 0.00193, and the normalized cut is 2 w / (1 + w) = 0.00385
    near = row_of(0, 10)
    assert nc.normalized_cut(near, regions, contrast=4.0, threshold=0.0038).max() == 1
    assert nc.normalized_cut(near, regions, contrast=4.0, threshold=0.0039).max() == 2


# Against all cuts there are ---------------------------------------------------------------------------


@given(graphs(8))
@example((2, np.array([[0, 1]]), np.array([0.5])))
def test_a_cut_is_what_it_says_and_not_better_than_the_best(graph: tuple[int, np.ndarray, np.ndarray]) -> None:
    group, similar = whole(*graph), matrix_of(*graph)
    y = low_vectors(group, np.inf)[0]
    first, value = best_cut(group, y)
    assert value == pytest.approx(ncut(similar, first), rel=1e-9)
    least = least_ncut(similar)
    assert value >= least * (1 - 1e-9)
    places = [y > t for t in y if (y > t).any()]
    assert value <= min(ncut(similar, side) for side in places) * (1 + 1e-6)
    values, _ = smallest(group, 1, without_first=True)
    assert values[0] <= least * (1 + 1e-9)  # the second eigenvalue is a lower bound


@pytest.mark.parametrize("sizes", [(4, 4), (3, 6), (5, 2)])
def test_two_cliques_fall_apart_into_what_is_best(sizes: tuple[int, int]) -> None:
    a, b = list(range(sizes[0])), list(range(sizes[0], sum(sizes)))
    pairs = [*clique(a), *clique(b), (a[-1], b[0])]
    weights = np.array([*[1.0] * (len(pairs) - 1), 0.01])
    group, similar = group_of(sum(sizes), pairs, weights), matrix_of(sum(sizes), np.array(pairs), weights)
    first, value = best_cut(group, low_vectors(group, np.inf)[0])
    assert sorted([first.sum(), (~first).sum()]) == sorted(sizes)
    assert value == pytest.approx(least_ncut(similar), rel=1e-12)
    # across is 0.01; a clique of n has n^2 inside, itself included, and 0.01 across
    assert value == pytest.approx(0.01 / (sizes[0] ** 2 + 0.01) + 0.01 / (sizes[1] ** 2 + 0.01), rel=1e-12)


@given(graphs(7), st.floats(0, 0.5))
def test_what_is_left_has_no_cut_below_the_threshold_along_its_vector(
    graph: tuple[int, np.ndarray, np.ndarray], threshold: float
) -> None:
    group = whole(*graph)
    found = cut_again_and_again(group, threshold)
    for name in np.unique(found):
        (part,) = group.part(np.flatnonzero(found == name)).parts()  # it hangs together
        if len(part) > 1:
            _, value = best_cut(part, low_vectors(part, np.inf)[0])
            assert value >= threshold * (1 - 1e-6)


def test_entries_that_differ_by_rounding_stay_together() -> None:
    group = group_of(4, [(0, 1), (1, 2), (2, 3)])
    y = np.array([-1.0, 1e-13, 0.0, 1.0])
    first, value = best_cut(group, y)
    assert first.tolist() == [True, False, False, False]
    assert value == pytest.approx(1 / 2 + 1 / 8)  # degrees are 2, 3, 3, 2
    assert best_cut(group, np.ones(4))[1] == np.inf


def test_the_first_of_the_largest_entries_is_positive() -> None:
    for n in (4, 5):
        group = group_of(n, [(i, i + 1) for i in range(n - 1)])
        assert low_vectors(group, np.inf)[0][0] > 0


# What the result does not depend on ---------------------------------------------------------------------


@pytest.mark.parametrize("n_regions", [None, 5])
def test_names_of_regions_do_not_matter(n_regions: int | None) -> None:
    image, _ = noisy_things(1, noise=20.0)
    regions = tiles(image.shape, 6)
    names = np.random.default_rng(0).permutation(10**6)[: regions.max() + 1] + 1
    found = nc.normalized_cut(image, regions, n_regions=n_regions)
    assert found.max() > 2
    np.testing.assert_array_equal(nc.normalized_cut(image, names[regions], n_regions=n_regions), found)


@pytest.mark.parametrize("n_regions", [None, 5])
def test_the_unit_of_grey_levels_does_not_matter(n_regions: int | None) -> None:
    image, _ = noisy_things(2, noise=20.0)
    regions = tiles(image.shape, 6)
    found = nc.normalized_cut(image, regions, contrast=20.0, n_regions=n_regions)
    for factor, offset in ((0.25, 0.0), (8.0, 512.0), (1e150, 0.0)):
        scaled = {"contrast": min(20.0 * factor, 1e18)} if factor < 1e9 else {}
        plain = found if scaled else nc.normalized_cut(image, regions, n_regions=n_regions)
        again = nc.normalized_cut(image * factor + offset, regions, n_regions=n_regions, **scaled)
        np.testing.assert_array_equal(again, plain)


def test_axes_do_not_matter() -> None:
    image, _ = noisy_things(3, noise=20.0)
    regions = tiles(image.shape, 6)
    found = nc.normalized_cut(image, regions)
    assert same_partition(nc.normalized_cut(image[::-1], regions[::-1]), found[::-1])
    assert same_partition(nc.normalized_cut(image.T, regions.T), found.T)


def test_channels_are_compared_together() -> None:
    # apart by 3 in one channel and by 4 in the other: by 5 in both
    one, other = row_of(0, 3, 3), row_of(0, 4, 0)
    image, regions = np.stack([one, other]), ROW[:, :6]
    _, facts = noted(image, regions, channel_axis=0)
    assert facts["contrast"] == pytest.approx(4.5)  # of 5 and 4
    np.testing.assert_array_equal(
        nc.normalized_cut(np.moveaxis(image, 0, -1), regions, channel_axis=-1, contrast=2.0),
        nc.normalized_cut(image, regions, channel_axis=0, contrast=2.0),
    )


def test_chunks_do_not_matter() -> None:
    image, _ = noisy_things(4, noise=20.0)
    regions = tiles(image.shape, 6)
    lazy = nc.normalized_cut(da.from_array(image, chunks=(24, 31)), da.from_array(regions, chunks=40))
    assert isinstance(lazy, da.Array)
    np.testing.assert_array_equal(lazy.compute(), nc.normalized_cut(image, regions))


def test_it_begins_with_superpixels() -> None:
    image, _ = noisy_things(0)
    regions = nc.superpixels(image, n_superpixels=60)
    found, facts = noted(image, n_superpixels=60)
    np.testing.assert_array_equal(found, nc.normalized_cut(image, regions))
    assert facts["method"] == "normalized_cut"
    assert facts["n_regions"] == found.max()


# Contrast -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "contrast"),
    [
        pytest.param([0, 10, 30, 30, 60, 100], 20.0, id="mean"),  # 10 20 0 30 40: median of four is 25, mean 20
        pytest.param([0, 10, 10, 20, 20, 900], 10.0, id="median"),  # 10 0 10 0 880: one bright region moves nothing
        pytest.param([5, 5, 5, 5, 5, 5], 0.0, id="constant"),
    ],
)
def test_contrast_is_taken_from_the_graph(levels: list[float], contrast: float) -> None:
    _, facts = noted(row_of(*levels), ROW)
    assert facts["contrast"] == pytest.approx(contrast, abs=1e-12)
    assert usual_contrast(np.abs(np.diff(np.float64(levels)))) == pytest.approx(contrast)
    _, facts = noted(row_of(*levels), ROW, n_regions=2)
    assert facts["contrast"] == pytest.approx(2 * contrast)
    _, facts = noted(row_of(*levels), ROW, contrast=7.5)
    assert facts["contrast"] == pytest.approx(7.5)


def test_a_contrast_of_nothing_joins_only_what_is_equal() -> None:
    assert nc.normalized_cut(row_of(1, 1, 2, 2, 2, 1), ROW, contrast=0.0)[0, ::2].tolist() == [1, 1, 2, 2, 2, 3]


def test_means_that_differ_by_rounding_are_the_same() -> None:
    # of a constant times many voxels, divided by their number
    graph = nc.region_graph(row_of(0.1, 0.1, 0.1, 0.1, 0.3, 0.3), ROW)
    rounded = replace(graph, means=graph.means * (1 + 1e-15 * np.arange(6)[:, None]))
    assert (rounded.means[:4] != rounded.means[0]).any()
    assert cut_regions(None, 1e-3, 0.0, rounded).tolist() == [1, 1, 1, 1, 2, 2]


def test_clean_things_come_out_by_default() -> None:
    image = np.zeros((60, 60), np.uint8)
    image[12:36, 18:42] = 7
    assert same_partition(nc.normalized_cut(image, tiles(image.shape, 6)), image)


# Many at once ---------------------------------------------------------------------------------------------


@given(graphs(12), st.integers(1, 11))
def test_there_are_as_many_as_wanted_and_each_hangs_together(
    graph: tuple[int, np.ndarray, np.ndarray], n_groups: int
) -> None:
    group, n_groups = whole(*graph), min(n_groups, graph[0] - 1)
    found = cut_at_once(group, n_groups)
    assert sorted(set(found.tolist())) == list(range(n_groups))
    for name in range(n_groups):
        assert len([*group.part(np.flatnonzero(found == name)).parts()]) == 1


@pytest.mark.parametrize("n_regions", [2, 3, 5])
def test_cliques_are_found_at_once(n_regions: int) -> None:
    members = np.split(np.random.default_rng(n_regions).permutation(6 * n_regions), n_regions)
    links = [(int(a[0]), int(b[1])) for a, b in itertools.pairwise(members)]
    inside = [pair for part in members for pair in clique(sorted(part.tolist()))]
    group = group_of(6 * n_regions, inside + links, [1.0] * len(inside) + [0.02] * len(links))
    truth = np.empty(6 * n_regions, np.int64)
    for name, part in enumerate(members):
        truth[part] = name
    assert same_partition(cut_at_once(group, n_regions), truth)


def test_regions_that_are_not_alike_at_all_are_still_neighbours() -> None:
    image = row_of(0, 0, 0, 255, 255, 255)
    assert nc.normalized_cut(image, ROW, contrast=1.0).max() == 2
    assert nc.normalized_cut(image, ROW, contrast=1.0, n_regions=1).max() == 1
    assert nc.normalized_cut(image, ROW, contrast=0.0, n_regions=2)[0, ::2].tolist() == [1, 1, 1, 2, 2, 2]


def test_things_are_found_at_once() -> None:
    image, _ = noisy_things(0)
    found = nc.normalized_cut(image, tiles(image.shape, 6))
    again, facts = noted(image, tiles(image.shape, 6), n_regions=int(found.max()))
    assert same_partition(again, found)
    assert facts["n_regions"] == found.max()


def test_parts_get_as_many_as_their_eigenvalues() -> None:
    # a clique of five, whose second eigenvalue is 1, and a chain of three cliques of three with two weak links
    chain = [*clique([5, 6, 7]), *clique([8, 9, 10]), *clique([11, 12, 13]), (7, 8), (10, 11)]
    pairs = [*clique([0, 1, 2, 3, 4]), *chain]
    group = group_of(14, pairs, [1.0] * (len(pairs) - 2) + [0.01] * 2)
    names = {n: cut_at_once(group, n) for n in (1, 2, 3, 4)}
    assert same_partition(names[1], np.repeat([0, 1], [5, 9]))
    assert same_partition(names[2], np.repeat([0, 1], [5, 9]))
    assert same_partition(names[4], np.repeat([0, 1, 2, 3], [5, 3, 3, 3]))
    assert len(set(names[3][:5].tolist())) == 1
    assert len(set(names[3][5:].tolist())) == 2


@given(st.integers(0, 1000))
def test_signs_and_order_of_vectors_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(12) % 3)
    vectors = np.eye(3)[truth] + rng.normal(0, 0.05, (12, 3))
    turned = vectors @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert same_partition(discrete(turned), truth)


ROWS = ([0.9, 0.9, 0.9, 0.9, 0.1], [1.0, 0.3, 0.2, 1.0], [1.0, 0.2, 0.3, 1.0], [1.0, 1.0, 0.3, 1.0, 0.2, 1.0, 1.0])
"""How alike neighbours in a row are. Degrees of the first are 1.9, 2.8, 2.8, 2.8, 2.0, 1.1."""


@pytest.mark.parametrize(
    ("row", "numbers", "n", "mended"),
    [
        pytest.param(0, [0, 1, 1, 1, 1, 0], 2, [0, 1, 1, 1, 1, 1], id="the lesser piece joins"),
        pytest.param(0, [0, 1, 2, 2, 1, 0], 3, [0, 0, 1, 1, 2, 2], id="the least first"),  # 5 to 4, and then 0 to 1
        pytest.param(1, [0, 0, 1, 2, 2], 2, [0, 0, 0, 2, 2], id="joins what it is more alike"),
        pytest.param(2, [0, 0, 1, 2, 2], 2, [0, 0, 2, 2, 2], id="joins what it is more alike, mirrored"),
        pytest.param(3, [0, 0, 0, 1, 1, 2, 2, 2], 2, [0, 0, 0, 0, 0, 2, 2, 2], id="joins another, not itself"),
        pytest.param(0, [0, 0, 0, 0, 0, 0], 2, [0, 0, 0, 0, 0, 1], id="cut where it is weakest"),
        pytest.param(0, [0, 0, 1, 1, 1, 1], 3, [0, 0, 1, 1, 1, 2], id="cut what is cut best"),
    ],
)
def test_groups_in_pieces_are_mended(row: int, numbers: list[int], n: int, mended: list[int]) -> None:
    group = group_of(len(numbers), [(i, i + 1) for i in range(len(numbers) - 1)], ROWS[row])
    assert same_partition(_k_way._mended(group, np.array(numbers), n), np.array(mended))


# Solvers ----------------------------------------------------------------------------------------------------


def lattice_graph(seed: int = 0) -> tuple[int, np.ndarray, np.ndarray]:
    """Return 12 x 13 regions of some scatter."""
    image = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(12, 13)), 1.5).ravel() * 100
    at = np.arange(12 * 13).reshape(12, 13)
    pairs = np.concatenate(
        [np.stack([at[1:], at[:-1]], -1).reshape(-1, 2), np.stack([at[:, 1:], at[:, :-1]], -1).reshape(-1, 2)]
    )
    return at.size, pairs, similarities(np.abs(np.diff(image[pairs], axis=1)).ravel(), 8.0)


def test_dense_and_sparse_solvers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    group = whole(*lattice_graph())
    monkeypatch.setattr(_spectrum, "DENSE", 1000)
    dense = [smallest(group, 5), smallest(group, 5, without_first=True)]
    cuts = cut_again_and_again(group, 0.05), cut_at_once(group, 6)
    monkeypatch.setattr(_spectrum, "DENSE", 5)
    for (values, vectors), first in zip(dense, (False, True), strict=True):
        again, others = smallest(group, 5, without_first=first)
        np.testing.assert_allclose(again, values, atol=1e-9)
        cosines = (
            np.abs(np.sum(vectors * others, axis=0)) / np.linalg.norm(vectors, axis=0) / np.linalg.norm(others, axis=0)
        )
        np.testing.assert_allclose(cosines, 1, atol=1e-6)
    assert dense[0][0][0] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(dense[1][0][:4], dense[0][0][1:], atol=1e-12)
    assert cuts[0].max() > 3
    assert same_partition(cut_again_and_again(group, 0.05), cuts[0])
    assert same_partition(cut_at_once(group, 6), cuts[1])


def test_vectors_that_are_not_found_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    group = whole(*lattice_graph())
    with monkeypatch.context() as patch:
        patch.setattr(_spectrum, "MAX_ITERATIONS", 1)
        patch.setattr(_spectrum, "TOLERANCE", 0.0)
        with pytest.raises(RuntimeError, match=r"the 16 smallest eigenvectors of 156 regions .*`merge_regions`"):
            smallest(group, 16)
    monkeypatch.setattr(_spectrum, "RESIDUAL", 0.0)
    with pytest.raises(RuntimeError, match=r"the 16 smallest eigenvectors"):
        low_vectors(group, 1.0)


def test_it_can_be_stopped() -> None:
    group = whole(*lattice_graph())
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 5  # in the middle of the solver

    with pytest.raises(nc.Cancelled, match="cutting the graph"), nc.watch(is_cancelled=stop):
        cut_again_and_again(group, 0.05)


def test_vectors_that_are_found_together_are_all_used(monkeypatch: pytest.MonkeyPatch) -> None:
    cliques = [clique([3 * i, 3 * i + 1, 3 * i + 2]) for i in range(5)]
    links = [(3 * i + 2, 3 * i + 3) for i in range(4)]
    group = group_of(15, [*itertools.chain(*cliques), *links], [1.0] * 15 + [1e-4, 2e-4, 3e-4, 4e-4])
    counted: list[int] = []
    solve = _two_way.smallest
    monkeypatch.setattr(_two_way, "smallest", lambda g, n, **more: counted.append(len(g)) or solve(g, n, **more))
    assert same_partition(cut_again_and_again(group, 1e-2), np.repeat(np.arange(5), 3))
    assert sorted(counted) == [3, 3, 3, 3, 3, 15]


# Nothing to cut ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"n_regions": 1}, {"n_regions": 7}], ids=str)
def test_one_region_stays_one(settings: dict[str, Any]) -> None:
    image = np.random.default_rng(0).random((6, 8))
    found, facts = noted(image, np.full((6, 8), 9), **settings)
    assert (found == 1).all()
    assert found.dtype == np.int32
    assert facts["n_regions"] == 1


@pytest.mark.parametrize("settings", [{}, {"n_regions": 3}], ids=str)
def test_no_region_is_no_result(settings: dict[str, Any]) -> None:
    found, facts = noted(np.full((3, 4), np.nan), np.ones((3, 4), np.int64), **settings)
    assert not found.any()
    assert facts["n_regions"] == 0


def test_what_is_all_alike_stays_one_region_or_is_cut_by_its_shape() -> None:
    regions = tiles((60, 60), 6)
    assert nc.normalized_cut(np.full((60, 60), 0.1, np.float32), regions).max() == 1
    halves = nc.normalized_cut(np.zeros((60, 30), np.uint8), regions[:, :30], n_regions=2)
    assert same_partition(halves, np.repeat([[1] * 30, [2] * 30], 30, axis=0))


def test_what_does_not_touch_is_never_one() -> None:
    regions = ROW * (ROW != 3)
    image = row_of(1, 1, 1, 1, 1, 1)
    truth = np.array([1, 1, 0, 2, 2, 2])
    for settings in ({}, {"n_regions": 1}, {"n_regions": 2}):
        assert nc.normalized_cut(image, regions, **settings)[0, ::2].tolist() == truth.tolist()
    assert nc.normalized_cut(image, regions, n_regions=5)[0, ::2].tolist() == [1, 2, 0, 3, 4, 5]
    assert nc.normalized_cut(image, regions, n_regions=6)[0, ::2].tolist() == [1, 2, 0, 3, 4, 5]


def test_a_cut_must_lie_below_the_threshold() -> None:
    group = group_of(3, [(0, 1), (1, 2)], [0.5, 0.2])
    _, value = best_cut(group, low_vectors(group, np.inf)[0])
    assert value == pytest.approx(0.2 / 1.2 + 0.2 / (1.5 + 1.7))
    assert cut_again_and_again(group, value).tolist() == [0, 0, 0]
    assert same_partition(cut_again_and_again(group, value * (1 + 1e-9)), np.array([0, 0, 1]))


def test_thresholds_at_the_ends() -> None:
    image = row_of(0, 1, 2, 3, 4, 90)
    assert nc.normalized_cut(image, ROW, contrast=50.0, threshold=0.0).max() == 1
    assert nc.normalized_cut(image, ROW, contrast=50.0, threshold=2.0).max() == 6
    counts = [nc.normalized_cut(image, ROW, contrast=10.0, threshold=t).max() for t in (1e-9, 0.01, 0.5, 1.0)]
    assert counts == sorted(counts)


def test_voxels_that_do_not_count_are_0() -> None:
    image = row_of(0, 0, 0, 200, 200, 200)
    image[0, 0], image[1, 11] = np.nan, np.inf
    mask = np.ones(image.shape, bool)
    mask[0, 6] = False
    found = nc.normalized_cut(image, ROW, mask, contrast=16.0)
    assert found.tolist() == [[0, 1, 1, 1, 1, 1, 0, 2, 2, 2, 2, 2], [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0]]


def test_bad_settings_are_errors() -> None:
    image = row_of(0, 1, 2, 3, 4, 5)
    with pytest.raises(ValueError, match="threshold must be between 0 and 2, got"):
        nc.normalized_cut(image, ROW, threshold=2.5)
    with pytest.raises(ValueError, match="n_regions must be between 1"):
        nc.normalized_cut(image, ROW, n_regions=0)
    with pytest.raises(ValueError, match="contrast must be between 0"):
        nc.normalized_cut(image, ROW, contrast=-1.0)
    with pytest.raises(ValueError, match="regions"):
        nc.normalized_cut(image, ROW[:, :4])


@pytest.mark.parametrize(("n", "wanted", "needed"), [(20_000, 5000, 8), (2_000_000, 400, 11)], ids=["dense", "sparse"])
def test_more_eigenvectors_than_memory_holds_are_refused_before_they_are_made(n: int, wanted: int, needed: int) -> None:
    row = Group(np.arange(n), None, np.full(n, 3.0))
    with pytest.raises(ValueError, match=rf"need {needed} GB, .* may take 8; ask for fewer .*`merge_regions`"):
        smallest(row, wanted)


def test_a_group_that_is_missing_is_looked_for_in_what_was_cut_last_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = np.stack([np.arange(11), np.arange(1, 12)], axis=1)
    weights = np.array([1.0, 1, 0.2, 1, 1, 0.1, 1, 1, 0.3, 1, 1])  # four threes in a row
    alike = csr_array((np.tile(weights, 2), (pairs.T.ravel(), pairs.T[::-1].ravel())), shape=(12, 12))
    sizes: list[int] = []
    monkeypatch.setattr(
        _k_way, "low_vectors", lambda group, *more: sizes.append(len(group)) or low_vectors(group, *more)
    )
    found = _k_way._more(Group.of(np.arange(12), alike), np.zeros(12, np.int64), 4)
    assert same_partition(found, np.repeat(np.arange(4), 3))
    assert sorted(sizes) == [3, 3, 6, 6, 12]  # 12 into 6 and 6, of which one falls in two, and then the other
