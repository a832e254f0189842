"""The random walker: against a direct solution, against scikit-image, by hand, and what it does with bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import skimage.segmentation
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import napari_cutout as nc
from napari_cutout.cli import main
from napari_cutout.methods import _gradients

from .cases import scattered
from .reference.random_walk import probabilities as exact

WITHIN = 1e-2
"""The largest error of a probability that the definition allows."""

CLOSE = 5e-3
"""That of small images at the default tolerance of 1e-3, which is an estimate."""


def walked(image: Any, markers: Any, *args: Any, **settings: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Return labels, and what was noted of the run."""
    with nc.watch() as watched:
        labels = nc.random_walker(image, markers, *args, **settings)
    return labels, watched.facts


def noisy_blobs(shape: tuple[int, ...], seed: int, noise: float = 0.15) -> np.ndarray:
    """Return smooth objects of grey level 1 on 0, with noise."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 2.5, mode="wrap")
    return (smooth > np.quantile(smooth, 0.6)) + rng.normal(0, noise, shape)


def strokes_of(shape: tuple[int, ...], n_strokes: int, n_labels: int, seed: int) -> np.ndarray:
    """Return so many marked voxels, with labels that have gaps between them."""
    markers = scattered(shape, n_strokes, seed)
    return np.where(markers > 0, 3 * (markers % n_labels) + 2, 0)


def assert_same(found: np.ndarray, expected: np.ndarray, within: float = CLOSE) -> None:
    """Compare probabilities, NaN included."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=within)


def assert_most_likely(labels: np.ndarray, expected: np.ndarray, names: np.ndarray, within: float = CLOSE) -> None:
    """Compare labels with the most likely ones, except where two are as likely."""
    outside = np.isnan(expected[0])
    np.testing.assert_array_equal(labels == 0, outside)
    high = np.sort(np.nan_to_num(expected), axis=0)
    clear = ~outside & (high[-1] - (high[-2] if len(high) > 1 else 0) > 2 * within)
    np.testing.assert_array_equal(labels[clear], names[np.nan_to_num(expected).argmax(axis=0)][clear])
    assert (labels != names[np.nan_to_num(expected).argmax(axis=0)])[~outside].mean() < 1e-3


# Against a direct solution ------------------------------------------------------------------------------

SHAPES = [(41, 52), (13, 20, 18)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("n_labels", [2, 5])
@pytest.mark.parametrize("beta", [10.0, 130.0, 700.0, 2000.0])
@pytest.mark.parametrize("n_strokes", [6, 60])
def test_probabilities_are_those_of_a_direct_solution(
    shape: tuple[int, ...], n_labels: int, beta: float, n_strokes: int
) -> None:
    image, markers = noisy_blobs(shape, seed=n_strokes), strokes_of(shape, n_strokes, n_labels, seed=n_labels)
    expected = exact(image, markers, beta)
    found = nc.random_walker_probabilities(image, markers, beta=beta)
    assert found.dtype == np.float32
    assert_same(found, expected)
    labels = nc.random_walker(image, markers, beta=beta)
    assert labels.dtype == np.int32
    assert_most_likely(labels, expected, np.unique(markers[markers > 0]))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("options", ["spacing", "channels", "mask", "inactive", "all"])
def test_every_option_is_that_of_a_direct_solution(shape: tuple[int, ...], options: str) -> None:
    rng = np.random.default_rng(3)
    settings: dict[str, Any] = {"beta": 300.0}
    given = {"spacing": (3.0, 1.5, 2.0)[-len(shape) :]} if options in ("spacing", "all") else {}
    image, markers = noisy_blobs(shape, seed=1), strokes_of(shape, 12, 3, seed=4)
    mask = None
    if options in ("channels", "all"):
        image = np.stack([image, 3 * noisy_blobs(shape, seed=2), rng.normal(0, 0.1, shape)])
        settings["channel_axis"] = 0
    if options in ("mask", "all"):
        mask = (rng.random(shape) < 0.8) | (markers > 0)
    if options in ("inactive", "all"):
        markers[(rng.random(shape) < 0.1) & (markers == 0)] = -1
    expected = exact(image, markers, 300.0, mask=mask, channels=options in ("channels", "all"), **given)
    assert_same(nc.random_walker_probabilities(image, markers, mask, **settings, **given), expected)
    labels = nc.random_walker(image, markers, mask, **settings, **given)
    assert_most_likely(labels, expected, np.unique(markers[markers > 0]))


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-5])
def test_a_smaller_tolerance_is_a_smaller_error(tolerance: float) -> None:
    image, markers = noisy_blobs((40, 40), seed=5), strokes_of((40, 40), 8, 2, seed=5)
    found = nc.random_walker_probabilities(image, markers, tolerance=tolerance, beta=130.0)
    assert_same(found, exact(image, markers), within=5 * tolerance)


def test_a_volume_of_many_levels_is_solved_too() -> None:
    image, markers = noisy_blobs((24, 33, 30), seed=7, noise=0.3), strokes_of((24, 33, 30), 25, 2, seed=7)
    labels, facts = walked(image, markers, beta=2000.0)
    assert facts["converged"] is True
    assert 0 < facts["n_iterations"] < 100
    assert_most_likely(labels, exact(image, markers, 2000.0), np.array([2, 5]))


# Against scikit-image -----------------------------------------------------------------------------------


def box_with_a_gap(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noise with a hollow bright box that has a gap in one wall, and a stroke outside and inside of it."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 0.1, shape)
    outer = tuple(slice(n // 2 - n // 5, n // 2 + n // 5) for n in shape)
    inner = tuple(slice(part.start + 1, part.stop - 1) for part in outer)
    image[outer] = 1
    image[inner] = rng.normal(0, 0.1, image[inner].shape)
    gap = (outer[0].start, *(slice(n // 2 - n // 40, n // 2 + n // 40 + 1) for n in shape[1:]))
    image[gap] = 0
    markers = np.zeros(shape, np.int64)
    markers[tuple(n // 5 for n in shape)] = 1
    markers[tuple(n // 2 for n in shape)] = 2
    return image, markers


PEER_CASES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "2-D": ((70, 100), {"beta": 90.0}),
    "3-D": ((20, 24, 26), {"beta": 130.0}),
    "3-D of one plane": ((1, 40, 44), {"beta": 130.0}),
    "anisotropic": ((16, 24, 28), {"beta": 100.0, "spacing": (2.0, 1.0, 1.5)}),
    "strong": ((60, 64), {"beta": 2000.0}),
}


def peer(image: np.ndarray, markers: np.ndarray, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of scikit-image, by its direct solver."""
    run = skimage.segmentation.random_walker
    labels = run(image, markers.copy(), mode="bf", **settings)
    return labels, run(image, markers.copy(), mode="bf", return_full_prob=True, **settings)


@pytest.mark.parametrize("case", PEER_CASES)
def test_a_box_with_a_gap_is_cut_as_scikit_image_does(case: str) -> None:
    shape, settings = PEER_CASES[case]
    image, markers = box_with_a_gap(shape, seed=1234)
    if shape[0] == 1:
        image[0], markers[0] = box_with_a_gap(shape[1:], seed=1234)
    labels, probabilities = peer(image, markers, **settings)
    assert_same(nc.random_walker_probabilities(image, markers, **settings), probabilities)
    found = nc.random_walker(image, markers, **settings)
    assert (found != labels).mean() < 1e-3
    assert found[tuple(n // 2 + n // 10 for n in shape)] == 2  # the gap does not leak


def test_more_markers_and_inactive_voxels_are_those_of_scikit_image() -> None:
    image, markers = box_with_a_gap((70, 100), seed=2)
    markers[35:37, 60:62], markers[5, 80:90], markers[60:64, :30] = 5, 9, -1
    labels, probabilities = peer(image, markers)
    found = nc.random_walker(image, markers, beta=130.0)
    np.testing.assert_array_equal(labels == -1, found == 0)  # scikit-image keeps -1, ours is 0 outside
    assert (np.array([0, 1, 2, 5, 9])[np.maximum(labels, 0)] != found).mean() < 1e-3  # and it numbers labels anew
    shares = nc.random_walker_probabilities(image, markers, beta=130.0)
    assert np.isnan(shares[:, markers < 0]).all()
    np.testing.assert_allclose(np.nan_to_num(shares), probabilities * (markers >= 0), rtol=0, atol=CLOSE)


def test_channels_are_those_of_scikit_image() -> None:
    image, markers = box_with_a_gap((50, 60), seed=3)
    both = np.stack([image, np.random.default_rng(1).normal(0, 0.1, image.shape) + 0.5 * image], axis=-1)
    _, probabilities = peer(both, markers, channel_axis=-1)
    assert_same(nc.random_walker_probabilities(both, markers, channel_axis=-1, beta=130.0), probabilities)


def test_equal_channels_count_as_their_definition_says() -> None:
    image, markers = box_with_a_gap((40, 44), seed=4)
    thrice = np.stack([image] * 3)
    # Three equal squares over the root of three are as a beta that is sqrt(3) larger; "auto" takes it from noise.
    for beta, of_one in ((130.0, 130 * math.sqrt(3)), ("auto", "auto")):
        one = nc.random_walker_probabilities(image, markers, beta=of_one)
        assert_same(nc.random_walker_probabilities(thrice, markers, beta=beta, channel_axis=0), one)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int8", "int16", "float32"])
def test_integers_are_scaled_by_their_range_as_scikit_image_does(dtype: str) -> None:
    image, markers = box_with_a_gap((40, 50), seed=5)
    image = np.clip(image, 0, 1)
    given = image.astype(dtype) if dtype == "float32" else (image * np.iinfo(dtype).max).astype(dtype)
    _, probabilities = peer(given, markers)
    assert_same(nc.random_walker_probabilities(given, markers, beta=130.0), probabilities)


def test_isolated_markers_keep_their_label_and_isolated_voxels_have_none() -> None:
    image = np.random.default_rng(0).random((7, 7))
    markers = np.full((7, 7), -1)
    markers[3:, 3:] = 0
    markers[4, 4], markers[6, 6] = 2, 1
    markers[1, 1], markers[1, 5] = 0, 3  # a voxel and a marker on their own
    labels, facts = walked(image, markers, beta=130.0)
    assert facts["n_unreached"] == 1
    assert labels[1, 1] == 0
    assert labels[1, 5] == 3
    assert_most_likely(labels, exact(image, markers), np.array([1, 2, 3]))
    assert_same(nc.random_walker_probabilities(image, markers, beta=130.0), exact(image, markers))


# By hand ------------------------------------------------------------------------------------------------


def test_without_differences_only_distances_count() -> None:
    # All edges have the same resistance, so of 4 steps between the markers each is a quarter.
    markers = np.array([[1, 0, 0, 0, 2]])
    for image, beta in ((np.full((1, 5), 7.0), 130.0), (np.array([[3.0, 1, 4, 1, 5]]), 0.0)):
        found = nc.random_walker_probabilities(image, markers, beta=beta, tolerance=1e-5)
        np.testing.assert_allclose(found, [[[1, 0.75, 0.5, 0.25, 0]], [[0, 0.25, 0.5, 0.75, 1]]], atol=1e-5)
    # The middle is as likely 1 as 2: the smaller label wins where the sums are equal to the last bit.
    assert nc.random_walker(np.zeros((1, 3)), np.array([[2, 0, 5]]), beta=130.0).tolist() == [[2, 2, 5]]


def test_a_row_is_a_chain_of_resistances() -> None:
    # Grey levels 0 0 1 1 have a standard deviation of 1/2, so the edge in the middle has the exponent
    # beta * 1 / (10 / 2) = beta / 5: with beta = 5 ln 3 it weighs 1/3, its resistance is 3, that of the others 1.
    # From the first marker: 1, then 3, then 1, of 5 in all.
    image, markers = np.array([[0.0, 0, 1, 1]]), np.array([[4, 0, 0, 6]])
    found = nc.random_walker_probabilities(image, markers, beta=5 * math.log(3), tolerance=1e-5)
    np.testing.assert_allclose(found[0], [[1, 4 / 5, 1 / 5, 0]], atol=1e-5)
    # Voxels twice as long as wide have a quarter of the exponent along: 3^(1/4) is the resistance.
    column, r = np.repeat(image.T, 2, axis=1), 3**0.25
    found = nc.random_walker_probabilities(
        column, np.repeat(markers.T, 2, axis=1), beta=5 * math.log(3), spacing=(2.0, 1.0), tolerance=1e-5
    )
    np.testing.assert_allclose(found[0, :, 0], [1, (r + 1) / (r + 2), 1 / (r + 2), 0], atol=1e-5)


def test_a_crossing_of_three_markers() -> None:
    # The free middle has four neighbours, three of label 1, 2 and 2 and one free dead end: 1/3 and 2/3.
    markers = np.array([[-1, 1, -1], [2, 0, 0], [-1, 2, -1]])
    found = nc.random_walker_probabilities(np.zeros((3, 3)), markers, tolerance=1e-5, beta=130.0)
    np.testing.assert_allclose(found[:, 1, 1], [1 / 3, 2 / 3], atol=1e-5)
    np.testing.assert_allclose(found[:, 1, 2], [1 / 3, 2 / 3], atol=1e-5)
    assert np.isnan(found[:, 0, 0]).all()


def test_beyond_an_edge_everything_is_what_leads_there() -> None:
    # Voxels that one marker alone reaches over an edge of weight 1e-10 are wholly its own, however weak the edge.
    image, markers = np.array([[0.0, 0, 0, 9, 9, 9, 0, 0]]), np.array([[0, 0, 0, 0, 1, 0, 0, 2]])
    found = nc.random_walker_probabilities(image, markers, beta=130.0)
    np.testing.assert_allclose(found[0], [[1, 1, 1, 1, 1, 1, 0, 0]], atol=1e-3)


def test_auto_gives_a_difference_of_average_size_an_exponent_of_1() -> None:
    image = np.array([[0.0, 4, 2], [0, 1, 10]])  # differences 4, 2, 1, 9 along x and 0, 3, 8 along y: 27 / 7 on average
    markers = np.array([[1, 0, 0], [0, 0, 2]])
    _, facts = walked(image, markers, beta="auto")
    assert facts["beta"] == pytest.approx(10 * image.std() / (27 / 7) ** 2)
    expected = exact(image, markers, facts["beta"])
    assert_same(nc.random_walker_probabilities(image, markers, beta="auto"), expected)


def test_a_beta_that_walls_in_every_voxel_is_remarked_on() -> None:
    image = np.random.default_rng(0).normal(100, 15, (20, 20))
    markers = scattered((20, 20), 4, seed=0)
    # Neighbours differ by 17 on average: 130 * 17^2 / (10 * 15) is 250, and exp(-23) is 1e-10
    _, facts = walked(image, markers, beta=130.0)
    assert "beta=130.0 even an average difference of neighbours is a wall" in facts["warning"]
    for settings in ({"beta": "auto"}, {"beta": 10.0}):
        assert "warning" not in walked(image, markers, **settings)[1]
    assert "warning" not in walked(image / 255, markers, beta=130.0)[1]


def test_one_label_is_everywhere_and_that_is_remarked_on() -> None:
    image, markers = np.random.default_rng(0).normal(size=(8, 9)), np.zeros((8, 9), int)
    markers[2, 3], markers[5, 6] = 4, 7
    mask = np.ones(image.shape, bool)
    assert "warning" not in walked(image, markers, mask=mask)[1]
    mask[5:] = False
    _, facts = walked(image, markers, mask=mask)
    assert "one label only, 4, so it is everywhere" in facts["warning"]


@pytest.mark.parametrize("function", [nc.random_walker, nc.watershed])
def test_the_label_of_what_is_around_becomes_0(function: Any) -> None:
    image = np.array([[0.0, 0, 0, 9, 9, 9, 0, 0]] * 3)
    markers = np.zeros(image.shape, int)
    markers[1, 0], markers[1, 4], markers[0, 7] = 3, 1, 3
    plain = function(image, markers)
    assert set(np.unique(plain)) == {1, 3}
    np.testing.assert_array_equal(function(image, markers, background=3), np.where(plain == 3, 0, plain))
    lazy = function(da.from_array(image, (2, 3)), da.from_array(markers, (2, 3)), background=3)
    np.testing.assert_array_equal(lazy.compute(), np.where(plain == 3, 0, plain))


def test_auto_needs_no_noise_and_no_scale() -> None:
    image = np.zeros((20, 20))
    image[5:12, 4:9] = 0.3
    image[14, 14] = 1
    markers = scattered((20, 20), 4, seed=0)
    # Around the box are 2 * 7 + 2 * 5 differences of 0.3, around the voxel 4 of 1, among 2 * 20 * 19
    beta = 10 * image.std() / ((24 * 0.3 + 4) / 760) ** 2
    for scale in (1.0, 1e-6, 1e9):
        _, facts = walked(image * scale, markers, beta="auto")
        assert facts["beta"] * scale == pytest.approx(beta)
        assert_same(nc.random_walker_probabilities(image * scale, markers, beta="auto"), exact(image, markers, beta))


# What holds for any image -------------------------------------------------------------------------------


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Return a small image and strokes of up to four labels."""
    shape = draw(st.sampled_from([(1, 7), (2, 2), (5, 6), (9, 8), (3, 4, 5), (2, 1, 6), (20, 19)]))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    levels = draw(st.sampled_from([2, 4, 50]))
    image = rng.integers(0, levels, shape) / levels + rng.normal(0, draw(st.sampled_from([0.0, 0.02, 0.2])), shape)
    n = draw(st.integers(2, min(6, image.size)))
    markers = scattered(shape, n, seed=draw(st.integers(0, 99))) % 4 + 1
    return image, np.where(scattered(shape, n, seed=1) > 0, markers, 0)


BETAS = st.sampled_from([0.0, 10.0, 130.0, 2000.0])


@given(problems(), BETAS)
def test_probabilities_are_right_for_any_image(problem: tuple[np.ndarray, np.ndarray], beta: float) -> None:
    image, markers = problem
    found = nc.random_walker_probabilities(image, markers, beta=_counting(image, beta))
    assert_same(found, exact(image, markers, _counting(image, beta)), within=WITHIN)
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=WITHIN)
    labels = nc.random_walker(image, markers, beta=_counting(image, beta))
    np.testing.assert_array_equal(labels[markers > 0], markers[markers > 0])
    assert np.isin(labels, markers[markers > 0]).all()


def _counting(image: np.ndarray, beta: float) -> float:
    """Return beta, or 0 where with it no grey level would count, which is refused."""
    return beta if beta * np.ptp(image) ** 2 > 0.1 * 10 * image.std() else 0.0


@given(problems())
def test_no_free_voxel_is_an_extremum(problem: tuple[np.ndarray, np.ndarray]) -> None:
    image, markers = problem
    footprint = ndimage.generate_binary_structure(image.ndim, 1)
    footprint[(1,) * image.ndim] = False
    for share in nc.random_walker_probabilities(image, markers, beta="auto", tolerance=1e-4):
        above = ndimage.maximum_filter(share, footprint=footprint, mode="constant", cval=-1)
        below = ndimage.minimum_filter(share, footprint=footprint, mode="constant", cval=2)
        free = markers == 0
        assert (share[free] <= above[free] + 1e-3).all()
        assert (share[free] >= below[free] - 1e-3).all()


@given(problems(), st.permutations([7, 2, 2_147_483_647, 19]))
def test_names_of_labels_do_not_matter(problem: tuple[np.ndarray, np.ndarray], names: list[int]) -> None:
    image, markers = problem
    renamed = np.array([0, *names])[markers]
    before, after = np.unique(markers[markers > 0]), np.unique(renamed[renamed > 0])
    order = np.searchsorted(after, np.array([0, *names])[before])
    expected = nc.random_walker_probabilities(image, markers, beta="auto")
    found = nc.random_walker_probabilities(image, renamed, beta="auto")
    assert_same(found[order], expected, within=WITHIN)
    assert_most_likely(nc.random_walker(image, renamed, beta="auto"), found, after, within=WITHIN)


@given(problems(), st.integers(0, 10_000))
def test_another_stroke_never_lowers_the_probability_of_its_label(
    problem: tuple[np.ndarray, np.ndarray], place: int
) -> None:
    image, markers = problem
    free = np.flatnonzero(markers == 0)
    if not len(free):
        return
    label = int(markers.max())
    more = markers.copy()
    more.ravel()[free[place % len(free)]] = label
    before = nc.random_walker_probabilities(image, markers, beta="auto")[-1]
    after = nc.random_walker_probabilities(image, more, beta="auto")[-1]
    assert (after >= before - WITHIN).all()


@given(problems(), st.sampled_from([1e-30, 0.37, 255.0, 1e12, 1e300]), st.sampled_from([0.0, -3.0, 1000.0]))
def test_scale_and_offset_of_grey_levels_do_not_matter(
    problem: tuple[np.ndarray, np.ndarray], scale: float, offset: float
) -> None:
    image, markers = problem
    expected = nc.random_walker_probabilities(image, markers, beta="auto")
    found = nc.random_walker_probabilities((image + offset) * scale, markers, beta="auto")
    assert_same(found, expected, within=WITHIN)


# Bad input ----------------------------------------------------------------------------------------------

PLAIN = noisy_blobs((12, 14), seed=0)
CORNERS = np.zeros((12, 14), int)
CORNERS[1, 1], CORNERS[10, 12] = 1, 2


@pytest.mark.parametrize(
    ("markers", "settings", "sentence"),
    [
        (np.zeros((12, 14), int), {}, "markers have no painted voxel, none is above 0; paint"),
        (np.full((12, 14), -1), {}, "markers have no painted voxel, none is above 0; paint"),
        (
            np.where(CORNERS == 2, -2, CORNERS),
            {},
            r"from 1 to 2147483647, 0 .* -1 for outside, got -2; renumber",
        ),
        (np.where(CORNERS == 2, 2**31, CORNERS), {}, "labels from 1 to 2147483647.*got 2147483648; renumber"),
        (np.where(CORNERS == 2, 2**63, CORNERS.astype("uint64")), {}, "got 9223372036854775808; renumber"),
        (CORNERS[:5], {}, r"markers must have the shape of image, \(12, 14\), but has \(5, 14\)"),
        (CORNERS, {"mask": CORNERS == 9}, "no finite voxel to count inside mask|markers lie outside mask"),
        (CORNERS, {"mask": np.arange(14) + 0 * CORNERS == 5}, "markers lie outside mask.*paint at least one inside"),
        (CORNERS, {"beta": -1.0}, r"beta must be between 0 and 1000000000.0, got -1.0"),
        (CORNERS, {"beta": "much"}, "beta must be a number or 'auto', got 'much'"),
        (CORNERS, {"beta": math.nan}, "beta must be a finite number, got nan"),
        (CORNERS, {"tolerance": 0.0}, "tolerance must be between 1e-05 and 0.1, got 0.0"),
        (CORNERS, {"beta": 1e-5}, r"spans .* grey levels, so with beta=1e-05 .* pass beta='auto', or beta=0 if"),
    ],
)
def test_what_cannot_be_walked_on_is_refused(markers: np.ndarray, settings: dict[str, Any], sentence: str) -> None:
    for function in (nc.random_walker, nc.random_walker_probabilities):
        with pytest.raises(ValueError, match=sentence):
            function(PLAIN, markers, **settings)


def test_markers_that_are_floats_are_refused() -> None:
    with pytest.raises(TypeError, match="markers must hold integers, got dtype float64; convert it"):
        nc.random_walker(PLAIN, CORNERS.astype(float), beta=130.0)


def test_one_label_alone_is_everywhere_that_leads_to_it() -> None:
    mask = np.ones(PLAIN.shape, bool)
    mask[6] = False
    labels, facts = walked(PLAIN, np.where(CORNERS == 2, 0, CORNERS), mask, beta=130.0)
    np.testing.assert_array_equal(labels, np.where(np.arange(12)[:, None] < 6, 1, 0) * np.ones(14, int))
    assert (facts["converged"], facts["n_unreached"]) == (True, 5 * 14)
    shares = nc.random_walker_probabilities(PLAIN, np.where(CORNERS == 2, 0, CORNERS), mask, beta=130.0)
    np.testing.assert_array_equal(shares, np.where(labels == 1, 1, np.nan)[None])


@pytest.mark.parametrize("lonely", [1, 2, 3])
def test_a_label_without_a_path_to_a_free_voxel_keeps_its_own(lonely: int) -> None:
    mask = np.ones(PLAIN.shape, bool)
    mask[4:9, 4:9] = False
    mask[6, 6:8] = True
    markers = CORNERS.copy()
    markers[1, 10] = 3
    markers[markers == lonely] = 0
    markers[6, 6:8] = lonely
    labels, facts = walked(PLAIN, markers, mask, beta=130.0)
    assert facts["converged"] is True
    assert "n_unreached" not in facts
    np.testing.assert_array_equal(labels == lonely, markers == lonely)
    np.testing.assert_array_equal(labels == 0, ~mask)
    shares = nc.random_walker_probabilities(PLAIN, markers, mask, beta=130.0)
    np.testing.assert_array_equal(np.isnan(shares), np.broadcast_to(~mask, shares.shape))
    assert (shares[lonely - 1] > 0.5).sum() == 2


def test_voxels_that_are_not_finite_are_outside() -> None:
    image = PLAIN.copy()
    image[:, 6:8], image[3, 3], image[4, 3] = np.nan, np.inf, -np.inf
    for beta in (130.0, "auto"):
        labels = nc.random_walker(image, CORNERS, beta=beta)
        np.testing.assert_array_equal(labels == 0, ~np.isfinite(image))
        assert (labels[:, 8:] == 2).all()
        filled = np.where(np.isfinite(image), image, 1e300)
        expected = nc.random_walker(filled, CORNERS, np.isfinite(image), beta=beta)
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("factor", [1e300, 1.7e308, 1e30, 1e-30, 1e-300])
def test_grey_levels_of_any_size_are_walked_on(factor: float) -> None:
    plain = PLAIN / np.abs(PLAIN).max()
    image = plain * factor
    expected = nc.random_walker_probabilities(plain, CORNERS, beta="auto")
    assert_same(nc.random_walker_probabilities(image, CORNERS, beta="auto"), expected)
    if factor < 1:
        with pytest.raises(ValueError, match=f"spans {np.ptp(image):.3g} grey levels, so with beta=130.0 no edge"):
            nc.random_walker(image, CORNERS, beta=130.0)
    else:  # every difference is an edge of 1e-10, so distances alone are left
        flat = nc.random_walker_probabilities(image, CORNERS, beta=0.0)
        assert_same(nc.random_walker_probabilities(image, CORNERS, beta=130.0), flat)


def test_grey_levels_at_the_end_of_floats_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"with beta='auto' no edge weighs less .* multiply it by a constant"):
        nc.random_walker(PLAIN * 1e-318, CORNERS, beta="auto")


def test_uint16_at_full_scale_is_walked_on() -> None:
    image = np.where(PLAIN > 0.5, 65535, 0).astype(np.uint16)
    assert_same(nc.random_walker_probabilities(image, CORNERS, beta=130.0), exact(image / 65535, CORNERS))


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_integers_of_64_bits_are_walked_on(dtype: str) -> None:
    info = np.iinfo(dtype)
    both_ends = np.where(PLAIN > 0.5, info.max, info.min).astype(dtype)
    unit = 2.0 if dtype == "int64" else 1.0  # scaled to -1..1 or 0..1
    assert_same(nc.random_walker_probabilities(both_ends, CORNERS, beta=130.0), exact(unit * (PLAIN > 0.5), CORNERS))
    levels = np.round(100 * (PLAIN - PLAIN.min())).astype(np.int64)
    expected = nc.random_walker_probabilities(levels.astype(float), CORNERS, beta="auto")
    for low in (info.min, info.max - 1000, 2**60):
        near = (np.full(levels.shape, low, dtype) + levels.astype(dtype)).astype(dtype)
        assert_same(nc.random_walker_probabilities(near, CORNERS, beta="auto"), expected)
    far = near.copy()  # voxels outside do not show
    far[0, :] = 5
    mask = np.arange(12)[:, None] * np.ones(14, int) > 0
    expected = nc.random_walker_probabilities(levels.astype(float), CORNERS, mask, beta="auto")
    assert_same(nc.random_walker_probabilities(far, CORNERS, mask, beta="auto"), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (1, 1, 1), (1, 1, 9), (9, 1, 1), (1, 5, 1)])
def test_images_of_a_row_or_of_a_voxel(shape: tuple[int, ...]) -> None:
    image, markers = np.random.default_rng(1).random(shape), np.zeros(shape, int)
    markers.ravel()[-1] = 2
    markers.ravel()[0] = 1
    labels, facts = walked(image, markers, beta=130.0)
    assert facts["converged"] is True
    assert_most_likely(labels, exact(image, markers), np.unique(markers[markers > 0]))
    assert_same(nc.random_walker_probabilities(image, markers, beta=130.0), exact(image, markers))


@pytest.mark.parametrize("shape", [(30, 31), (20, 21, 22)])
def test_where_every_voxel_is_marked_markers_are_the_labels(shape: tuple[int, ...]) -> None:
    image, markers = noisy_blobs(shape, seed=1), np.random.default_rng(0).integers(1, 5, shape)
    labels, facts = walked(image, markers, beta=130.0)
    np.testing.assert_array_equal(labels, markers)
    assert (facts["converged"], facts["n_iterations"]) == (True, 0)
    markers[tuple(n // 2 for n in shape)] = 0  # one voxel is free
    assert_same(nc.random_walker_probabilities(image, markers, beta=130.0), exact(image, markers))


def test_markers_that_touch_keep_their_labels() -> None:
    markers = np.array([[0, 1, 2, 0], [0, 2147483647, 1, 0]])
    labels = nc.random_walker(np.random.default_rng(2).random((2, 4)), markers, beta=130.0)
    np.testing.assert_array_equal(labels[:, 1:3], markers[:, 1:3])


# Never a silent failure to converge -----------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every run stop after two iterations."""
    monkeypatch.setattr(_gradients, "MOST", 2)


@pytest.mark.usefixtures("hasty")
def test_a_tolerance_that_is_not_met_is_said_aloud() -> None:
    image, markers = noisy_blobs((60, 60), seed=0, noise=0.4), strokes_of((60, 60), 6, 3, seed=0)
    with nc.watch() as watched, pytest.warns(RuntimeWarning, match="stopped after 2 iterations") as warned:
        shares = nc.random_walker_probabilities(image, markers, beta=500.0)
    facts = watched.facts
    assert (facts["converged"], facts["n_iterations"]) == (False, 2)
    assert facts["estimated_error"] > 1e-3
    assert str(warned[0].message) == facts["warning"]
    assert f"error of {facts['estimated_error']:.2g}, above tolerance=0.001" in facts["warning"]
    assert np.abs(shares - exact(image, markers, 500.0)).max() > 1e-3
    assert np.isfinite(shares).all()


@pytest.mark.usefixtures("hasty")
@pytest.mark.filterwarnings("always")
def test_the_command_and_a_recipe_say_that_the_tolerance_is_not_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("image.tif", noisy_blobs((60, 60), seed=0, noise=0.4).astype(np.float32))
    tifffile.imwrite("strokes.tif", strokes_of((60, 60), 6, 3, seed=0).astype(np.uint8))
    words = ["image.tif", "labels.tif", "--markers", "strokes.tif", "--beta", "500", "--recipe-out", "recipe.json"]
    assert main(["random-walker", *words]) == 0  # which says it in its line, and not as a warning, too
    assert "; the random walker stopped after 2 iterations with an estimated error of" in capsys.readouterr().out
    facts = nc.io.read("labels.tif").metadata["provenance"]["facts"]
    assert facts["converged"] is False
    assert facts["estimated_error"] > 1e-3
    assert json.loads(Path("recipe.json").read_text())
    assert main(["run", "recipe.json", "image.tif", "again.tif", "--input", "markers=strokes.tif"]) == 0
    assert "the random walker stopped after 2 iterations" in capsys.readouterr().out


def test_an_error_that_is_no_number_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gradients._Lanczos, "smallest", lambda self: math.nan)
    with nc.watch() as watched, pytest.warns(RuntimeWarning, match="estimated error of nan"):
        nc.random_walker(PLAIN, CORNERS, beta=130.0)
    assert watched.facts["converged"] is False


# The command line, and comparisons -----------------------------------------------------------------------


def test_the_command_writes_labels_and_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    image, markers = PLAIN.astype(np.float32), CORNERS.copy()
    markers[:, 7], markers[0, 7] = -1, 0  # a voxel of the wall is not excluded
    markers[0, 6], markers[0, 8], markers[11, 0], markers[10, 0], markers[11, 1] = -1, -1, 0, -1, -1
    tifffile.imwrite("image.tif", image)
    tifffile.imwrite("strokes.tif", markers.astype(np.int32))
    words = ["image.tif", "labels.tif", "--markers", "strokes.tif", "--beta", "auto", "--probabilities", "shares.tif"]
    assert main(["random-walker", *words]) == 0
    assert "2 voxels have no path to a marker" in capsys.readouterr().out
    np.testing.assert_array_equal(tifffile.imread("labels.tif"), nc.random_walker(image, markers, beta="auto"))
    shares = nc.random_walker_probabilities(image, markers, beta="auto")
    np.testing.assert_array_equal(tifffile.imread("shares.tif"), shares)


def test_it_takes_part_in_comparisons_on_strokes() -> None:
    truth = np.zeros((48, 48), np.uint8)
    truth[8:40, 10:22], truth[8:40, 28:40] = 1, 1
    strokes = np.zeros_like(truth)
    for row in (12, 20, 28, 36):
        strokes[row, 12:20], strokes[row, 30:38] = 2, 2
        strokes[row, 2:7], strokes[row, 42:46] = 1, 1
    images = [(truth + np.random.default_rng(k).normal(0, 0.2, truth.shape)).astype(np.float32) for k in range(2)]
    found = nc.compare(images, [strokes] * 2, methods=["random_walker"], ignore=0, budget=6)
    assert [one.row.error for one in found.standings] == [""]
    assert found.winner.dice > 0.95


def test_trying_all_methods_leaves_out_those_that_need_strokes() -> None:
    names = [trial.name for trial in nc.try_all(PLAIN.astype(np.float32))]
    assert names
    assert not any("random_walker" in name for name in names)
