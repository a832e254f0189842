"""Boundary scores: by hand, against every pair of voxels, against other tools, and by what must always hold."""

from __future__ import annotations

import csv
import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.metrics import hausdorff_distance

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout.evaluation import _box_reads
from napari_cutout.evaluation._box_reads import groups_of_boxes
from napari_cutout.evaluation.boundaries import COUNTS, SCORES, BoundaryEvaluation, evaluate_boundaries

SPACINGS = [None, (2.0, 1.0, 1.0), (0.25, 0.5, 0.75), (3.0, 0.5, 1.25)]
"""Edges that are multiples of 1/1024 of the smallest, so that a test may measure without rounding."""

volumes = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.int16, shape, elements=st.integers(0, 2))] * 2)
)


def blobs(seed: int, shape: tuple[int, ...] = (30, 34)) -> np.ndarray:
    """Return numbered objects of a few sizes."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.2, mode="wrap")
    labels: np.ndarray = ndimage.label(smooth > smooth.std())[0]
    return labels


def moved(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return the objects frayed, half of the time a voxel off, under other numbers."""
    noise = np.random.default_rng(seed + 100).random(labels.shape) < 0.9
    return np.where(noise, np.roll(labels, seed % 2, axis=0), 0) * 7


def numbers(found: BoundaryEvaluation) -> np.ndarray:
    return np.stack([getattr(found, name).astype(float) for name in SCORES + COUNTS])


# By brute force --------------------------------------------------------------------------------------


def contour(mask: np.ndarray, known: np.ndarray) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the voxels on both sides of a contour, neighbour by neighbour; those outside may lie beyond the array."""
    inner, outer = [], []
    for at in zip(*np.nonzero(mask & known), strict=True):
        for axis in np.flatnonzero(np.array(mask.shape) > 1):
            for step in (-1, 1):
                other = tuple(int(x) + step * (a == axis) for a, x in enumerate(at))
                beyond = not 0 <= other[axis] < mask.shape[axis]
                if beyond or (known[other] and not mask[other]):
                    inner.append(tuple(map(int, at)))
                    outer.append(other)
    return list(dict.fromkeys(inner)), list(dict.fromkeys(outer))


def by_every_pair(
    predicted: np.ndarray, truth: np.ndarray, known: np.ndarray, spacing: Any, tolerance: float, width: float
) -> list[float]:
    """Return the scores of two masks by looking at all pairs of surface voxels, in the order of the columns."""
    steps = np.array(spacing if spacing is not None else (1.0,) * truth.ndim)
    sides = [contour(mask, known) for mask in (predicted, truth)]
    n, m = len(sides[0][0]), len(sides[1][0])
    if not n or not m:
        return [math.nan] * 3 + [math.nan if n == m else 0.0] * 2 + [n, m]
    apart = cdist(np.array(sides[0][0]) * steps, np.array(sides[1][0]) * steps)
    d, e = apart.min(axis=1), apart.min(axis=0)
    bands = []
    for mask, (_, outer) in zip((predicted, truth), sides, strict=True):
        voxels = np.argwhere(mask & known)
        near = cdist(voxels * steps, np.array(outer) * steps).min(axis=1) <= width + 1e-9
        bands.append({tuple(at) for at in voxels[near].tolist()})
    either = len(bands[0] | bands[1])
    return [
        max(d.max(), e.max()),
        max(np.percentile(d, 95), np.percentile(e, 95)),
        (d.sum() + e.sum()) / (n + m),
        ((d <= tolerance + 1e-9).sum() + (e <= tolerance + 1e-9).sum()) / (n + m),
        len(bands[0] & bands[1]) / either if either else math.nan,
        n,
        m,
    ]


@given(volumes, st.sampled_from(SPACINGS), st.sampled_from([0.0, 0.5, 1.0, 1.5]), st.sampled_from([1.0, 1.5, 4.0]))
def test_classes_equal_every_pair_of_voxels(
    pair: tuple[np.ndarray, np.ndarray], spacing: Any, tolerance: float, width: float
) -> None:
    predicted, truth = pair
    spacing = None if spacing is None else spacing[: truth.ndim]
    found = evaluate_boundaries(
        predicted, truth, spacing=spacing, tolerance=tolerance, width=width, match="value", by="classes"
    )
    known = np.ones(truth.shape, bool)
    assert found.truth.tolist() == sorted(({*predicted.flat} | {*truth.flat}) - {0})
    for row, label in zip(numbers(found).T, found.truth, strict=True):
        assert_allclose(row, by_every_pair(predicted == label, truth == label, known, spacing, tolerance, width))


@given(volumes, st.sampled_from(SPACINGS), st.integers(0, 2), st.booleans())
def test_what_is_not_annotated_is_left_out(
    pair: tuple[np.ndarray, np.ndarray], spacing: Any, ignore: int, is_negative: bool
) -> None:
    predicted, truth = pair
    known = truth != ignore
    if not known.any():
        return
    spacing = None if spacing is None else spacing[: truth.ndim]
    if is_negative:
        ignore, truth = -5, np.where(known, truth, -5)
    found = evaluate_boundaries(predicted, truth, spacing=spacing, ignore=ignore, match="value", tolerance=1, width=3)
    assert found.truth.tolist() == sorted(({*predicted[known].tolist()} | {*truth[known].tolist()}) - {0})
    assert found.n_ignored == np.count_nonzero(~known)
    for row, label in zip(numbers(found).T, found.truth, strict=True):
        assert_allclose(row, by_every_pair(predicted == label, truth == label, known, spacing, 1, 3))


@pytest.mark.parametrize("ignore", [None, 3], ids=["all annotated", "one object not annotated"])
@pytest.mark.parametrize(("shape", "seed"), [((30, 34), 0), ((30, 34), 3), ((9, 18, 16), 2)], ids=str)
def test_objects_equal_every_pair_of_voxels_of_the_whole(shape: tuple[int, ...], seed: int, ignore: int | None) -> None:
    truth = blobs(seed, shape)
    predicted = moved(truth, seed)
    predicted[predicted == 2 * 7] = 0
    predicted[(slice(0, 1),) * truth.ndim] = 500
    spacing = (1.5, 0.5, 1.0)[-truth.ndim :]
    found = evaluate_boundaries(
        predicted, truth, spacing=spacing, tolerance=1, width=1.5, ignore=ignore, by="objects", threshold=0.3
    )
    known = np.ones(shape, bool) if ignore is None else truth != ignore
    assert len(found) > 2
    assert_array_equal(found.predicted, found.truth * 7)
    assert found.truth.tolist() == sorted(found.truth.tolist())
    for row, iou, p, t in zip(numbers(found).T, found.iou, found.predicted, found.truth, strict=True):
        a, b = (predicted == p) & known, (truth == t) & known
        assert iou == (a & b).sum() / (a | b).sum() >= 0.3
        assert_allclose(row, by_every_pair(predicted == p, truth == t, known, spacing, 1, 1.5))
    objects = nc.evaluate_objects(predicted, truth, ignore=ignore, thresholds=(0.3,))
    assert len(found) == objects.tp[0]
    assert found.n_left_over_predicted == objects.fp[0] >= 1
    assert found.n_left_over_true == objects.fn[0] >= 1


def test_labels_may_be_as_large_as_they_like() -> None:
    truth = blobs(1).astype(np.int64)
    predicted = moved(truth, 1)
    small = evaluate_boundaries(predicted, truth, by="objects", threshold=0.3)
    large = evaluate_boundaries(
        np.where(predicted, 2**40 - predicted, 0), np.where(truth, truth * 2**35, 0), by="objects", threshold=0.3
    )
    assert_array_equal(numbers(large), numbers(small))
    assert_array_equal(large.truth, small.truth * 2**35)
    assert_array_equal(large.predicted, 2**40 - small.predicted)
    as_classes = evaluate_boundaries(np.where(predicted, 2**40 - predicted, 0), truth, match="binary")
    assert_array_equal(numbers(as_classes), numbers(evaluate_boundaries(predicted > 0, truth > 0)))


# By hand ---------------------------------------------------------------------------------------------


def squares() -> tuple[np.ndarray, np.ndarray]:
    """Return a square of 5 x 5 voxels, three voxels too far to the right, and the true one."""
    truth = np.zeros((11, 12), np.uint8)
    truth[3:8, 2:7] = 1
    return np.roll(truth, 3, axis=1), truth


def test_two_squares_by_hand() -> None:
    found = evaluate_boundaries(*squares(), width=1)
    # Each ring has 16 voxels. From the true one, at columns 2 to 6, to the other, at 5 to 9:
    #   column 2: 5 voxels, 3 away;  3: 2 voxels, 2 away;  4: 2 voxels, 1 away;  5: 2 voxels, 0 away;
    #   column 6: the 2 at top and bottom, 0 away; the 3 between, 1 from column 5.
    # So 4 at 0, 5 at 1, 2 at 2, 5 at 3, and as many from the other side.
    assert (found.n_predicted_surface.tolist(), found.n_true_surface.tolist()) == ([16], [16])
    assert found.hausdorff.tolist() == [3.0]
    assert found.hd95.tolist() == [3.0]  # place 0.95 * 15 = 14.25 of 0 to 15, among the last five
    assert found.assd.tolist() == [2 * (5 * 1 + 2 * 2 + 5 * 3) / 32]
    assert found.tolerance == 1.0
    assert found.surface_dice.tolist() == [(9 + 9) / 32]
    assert found.boundary_iou.tolist() == [4 / (16 + 16 - 4)]  # both rings hold 4 voxels, of columns 5 and 6
    # Two voxels deep a boundary is all of a square but its middle, and the squares share 2 columns of 5.
    assert evaluate_boundaries(*squares(), width=2).boundary_iou.tolist() == [10 / (24 + 24 - 10)]
    assert evaluate_boundaries(*squares(), tolerance=0).surface_dice.tolist() == [8 / 32]
    assert evaluate_boundaries(*squares(), tolerance=2.99).surface_dice.tolist() == [22 / 32]
    assert evaluate_boundaries(*squares(), tolerance=3).surface_dice.tolist() == [1.0]


def test_two_squares_of_long_voxels_by_hand() -> None:
    flat = evaluate_boundaries(*squares(), spacing=(2.0, 0.5))
    assert (flat.hausdorff[0], flat.assd[0], flat.tolerance) == (1.5, 0.75, 2.0)  # all ways go along the rows
    tall = evaluate_boundaries(*squares(), spacing=(0.5, 2.0))
    # As above, with columns 2 apart: 5 at 6, 2 at 4, 2 at 2. The 3 between top and bottom of column 6 are now nearer to
    # the top and the bottom of the other ring: 0.5, 1 and 0.5 instead of 2.
    assert (tall.hausdorff[0], tall.assd[0]) == (6.0, 2 * (5 * 6 + 2 * 4 + 2 * 2 + 0.5 + 1 + 0.5) / 32)
    assert tall.width == 2.0  # 2 % of the diagonal is less than a voxel


def test_default_lengths_by_hand() -> None:
    labels = np.ones((1, 150, 200), np.uint8)
    found = evaluate_boundaries(labels, labels, spacing=(99.0, 2.0, 2.0))
    assert found.width == pytest.approx(0.02 * 2 * 250)  # 150, 200 and 250 make a right angle
    assert found.tolerance == 2.0  # the first axis has one voxel, so nothing is measured along it


def test_percentiles_by_hand() -> None:
    predicted, truth = np.zeros((2, 1, 40), np.uint8)
    truth[0, 0], predicted[0, :21:2] = 1, 1
    found = evaluate_boundaries(predicted, truth, tolerance=4)
    # An axis of one voxel is none, so each voxel is a surface of its own. From 0, 2, ... 20 to 0: place 0.95 * 10 = 9.5
    # lies halfway between 18 and 20. From 0 to 0, 2, ...: 0.
    assert found.n_predicted_surface.tolist() == [11]
    assert (found.hausdorff[0], found.hd95[0]) == (20.0, 19.0)
    assert found.assd[0] == sum(range(0, 21, 2)) / 12
    assert found.surface_dice[0] == (3 + 1) / 12
    assert evaluate_boundaries(truth, predicted).hd95.tolist() == [19.0]


def test_the_edge_of_the_image_is_a_surface_and_what_is_not_annotated_is_none() -> None:
    truth = np.ones((4, 5), np.uint8)
    found = evaluate_boundaries(truth, truth)
    assert found.n_true_surface.tolist() == [20 - 6]  # 2 x 3 voxels have four neighbours of the object
    partly = np.where(np.arange(5) < 4, truth, 9)  # the last column is not annotated: it bounds nothing
    found = evaluate_boundaries(truth, partly, ignore=9)
    assert found.n_true_surface.tolist() == [4 + 2 + 2 + 2]  # column 0, and both ends of columns 1, 2 and 3
    assert found.n_ignored == 4
    assert (found.hausdorff[0], found.surface_dice[0], found.boundary_iou[0]) == (0, 1, 1)


def test_no_boundary_begins_at_what_is_not_annotated() -> None:
    predicted, truth = np.zeros((2, 1, 20), np.uint8)
    truth[0, :10], predicted[0, 2:10] = 1, 1
    truth[0, 10], predicted[0, 15] = 9, 1
    found = evaluate_boundaries(predicted, truth, ignore=9, width=2)
    # The background at 11 is two voxels from 9, but the objects may go on in between: surfaces are 2 and 15 against 0.
    assert (found.n_predicted_surface.tolist(), found.n_true_surface.tolist()) == ([2], [1])
    assert (found.hausdorff[0], found.assd[0]) == (15, (2 + 15 + 2) / 3)
    assert found.boundary_iou.tolist() == [0]  # voxels 2, 3 and 15 against 0 and 1


def test_rows_without_a_surface() -> None:
    predicted, truth = np.array([[[1, 0, 0, 3, 0, 5]], [[1, 0, 2, 0, 0, 5]]])
    found = evaluate_boundaries(predicted, np.where(truth == 5, 9, truth), ignore=9, match="value")
    assert found.truth.tolist() == [1, 2, 3]
    assert found.missing == ("", "predicted", "truth")
    assert_array_equal(found.hausdorff, [0, math.nan, math.nan])
    assert_array_equal(found.surface_dice, [1, 0, 0])
    assert_array_equal(found.boundary_iou, [1, 0, 0])
    assert found.n_scored == {"hausdorff": 1, "hd95": 1, "assd": 1, "surface_dice": 3, "boundary_iou": 3}
    assert found.means["hausdorff"] == 0
    assert found.means["surface_dice"] == 1 / 3
    # Class 1 borders on nothing that is annotated but itself, and class 2 on class 1 alone, so there is one contour.
    nothing = evaluate_boundaries(np.ones((1, 3), int), np.array([[9, 1, 9]]), ignore=9)
    assert nothing.missing == ("both",)
    assert np.isnan(numbers(nothing)[:5]).all()


@pytest.mark.parametrize("by", ["classes", "objects"])
def test_images_without_objects_have_no_rows(by: Any) -> None:
    found = evaluate_boundaries(np.zeros((4, 4), int), np.zeros((4, 4), int), by=by)
    assert len(found) == 0
    assert found.table == []
    assert all(math.isnan(mean) for mean in found.means.values())
    assert "means" in str(found)


def test_strokes_are_scored_along_the_contours_between_them() -> None:
    truth, predicted = np.zeros((8, 12), int), np.full((8, 12), 2)
    truth[2:6, 2:6], truth[2:6, 6:10] = 1, 2
    predicted[:, :7] = 1  # one column too far
    found = evaluate_boundaries(predicted, truth, ignore=0)
    assert found.truth.tolist() == [1, 2]
    assert found.n_predicted_surface.tolist() == found.n_true_surface.tolist() == [4, 4]
    assert found.hausdorff.tolist() == found.assd.tolist() == [1, 1]


@pytest.mark.parametrize(("match", "classes"), [("value", [1, 2, 3]), ("binary", [1]), ("overlap", [1, 2])])
def test_classes_are_matched_as_evaluate_does(match: Any, classes: list[int]) -> None:
    predicted, truth = np.zeros((2, 10, 20), int)
    truth[2:6, 2:8], truth[2:6, 10:16] = 1, 2
    predicted[2:6, 2:5], predicted[2:6, 5:8], predicted[2:6, 11:17] = 2, 3, 1
    found = evaluate_boundaries(predicted, truth, match=match)
    assert found.truth.tolist() == classes
    assert f"matched by {match}" in found.match_reason
    if match == "overlap":  # 2 and 3 together are class 1, and 1 is class 2, a column off
        assert found.hausdorff.tolist() == [0, 1]


def test_background_may_count_as_a_class() -> None:
    # Most of 0 lies on class 2: matched by overlap, what was not found is class 2, and has no box of its own.
    truth = np.full((6, 9), 2)
    truth[:, :3] = 1
    predicted = np.where(truth == 1, 5, 0)
    predicted[0, 8] = 6
    found = evaluate_boundaries(predicted, truth, match="overlap")
    assert found.truth.tolist() == [1, 2]
    assert found.hausdorff.tolist() == [0, 0]
    assert found.n_predicted_surface.tolist() == found.n_true_surface.tolist() == [6 + 6 + 2, 6 + 6 + 8]


# Other tools -----------------------------------------------------------------------------------------


def surface(mask: np.ndarray) -> np.ndarray:
    eroded: np.ndarray = ndimage.binary_erosion(mask, border_value=0)
    return mask & ~eroded


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.29, 0.2, 0.2), (3.0, 0.7, 1.1)], ids=str)
def test_equals_scipy_on_a_volume(spacing: tuple[float, ...]) -> None:
    truth = blobs(5, (20, 33, 28)) > 0
    predicted = moved(truth.astype(int), 5) > 0
    found = evaluate_boundaries(predicted, truth, spacing=spacing)
    a, b = surface(predicted), surface(truth)
    d = ndimage.distance_transform_edt(~b, sampling=spacing)[a]
    e = ndimage.distance_transform_edt(~a, sampling=spacing)[b]
    assert_allclose(found.hausdorff[0], max(d.max(), e.max()), rtol=1 / 1024)
    assert_allclose(found.hd95[0], max(np.percentile(d, 95), np.percentile(e, 95)), rtol=1 / 1024)
    assert_allclose(found.assd[0], (d.sum() + e.sum()) / (d.size + e.size), rtol=1 / 1024)
    slack = max(spacing) * 1.001  # a step along the longest edge is within the default tolerance, however it is rounded
    assert found.surface_dice[0] == (np.count_nonzero(d <= slack) + np.count_nonzero(e <= slack)) / (d.size + e.size)
    width = 0.02 * np.linalg.norm(np.array(truth.shape) * spacing)
    assert found.width == pytest.approx(max(width, *spacing))
    bands = [
        mask
        & (
            ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
            <= max(width, *spacing) * 1.001
        )
        for mask in (predicted, truth)
    ]
    assert_allclose(found.boundary_iou[0], (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum())


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@pytest.mark.parametrize("n_steps", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "spacing",
    [(1.0, 0.37, 0.37), (2.0, 0.65, 0.65), (1.5, 0.9, 0.9), (0.29, 0.26, 0.26), (0.3, 0.1, 0.1), (0.2, 0.065, 0.065)],
    ids=str,
)
def test_a_tolerance_of_some_steps_reaches_that_many(spacing: tuple[float, ...], n_steps: int) -> None:
    # edges are rounded to 1/1024 of the smallest: a tolerance that is rounded once falls short of so many of them
    tools = pytest.importorskip("surface_distance")
    truth = np.zeros((18, 6, 7), bool)
    truth[4:9] = True
    predicted, reach = np.roll(truth, n_steps, axis=0), n_steps * spacing[0]
    found = evaluate_boundaries(predicted, truth, spacing=spacing, tolerance=reach, width=reach)
    sides = [surface(mask) for mask in (predicted, truth)]
    far = [ndimage.distance_transform_edt(~b, sampling=spacing)[a] for a, b in (sides, sides[::-1])]
    assert max(d.max() for d in far) == pytest.approx(reach)
    assert all((d <= reach * (1 + 1e-9)).all() for d in far)
    theirs = tools.compute_surface_distances(truth, predicted, spacing)
    assert tools.compute_surface_dice_at_tolerance(theirs, reach * (1 + 1e-9)) == found.surface_dice[0] == 1
    less = evaluate_boundaries(predicted, truth, spacing=spacing, tolerance=reach * 0.99)
    near = sum(np.count_nonzero(d <= reach * 0.99) for d in far)
    assert less.surface_dice[0] == near / sum(d.size for d in far) < 1
    bands = [
        mask & (ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1] <= reach * 1.0001)
        for mask in (predicted, truth)
    ]
    assert found.boundary_iou[0] == (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()


def test_a_tolerance_may_be_the_diagonal_of_a_voxel_or_endless() -> None:
    truth = np.zeros((5, 5, 5), int)
    truth[2, 2, 2] = 1
    predicted = np.roll(truth, (1, 1, 1), axis=(0, 1, 2))
    for tolerance, share in ((math.sqrt(3), 1.0), (1.732, 0.0), (1e300, 1.0)):  # sqrt(3) = 1.73205, its square below 3
        assert evaluate_boundaries(predicted, truth, tolerance=tolerance).surface_dice.tolist() == [share]


@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_image_on_surfaces(seed: int) -> None:
    truth = blobs(seed) > 0
    predicted = moved(blobs(seed), seed) > 0
    found = evaluate_boundaries(predicted, truth)
    assert found.hausdorff[0] == pytest.approx(hausdorff_distance(surface(predicted), surface(truth)))


@pytest.mark.parametrize("seed", range(3))
def test_equals_simple_itk_on_surfaces(seed: int) -> None:
    # It measures between all voxels of two objects, which are those of their surfaces if only they are passed.
    sitk = pytest.importorskip("SimpleITK")
    truth, spacing = blobs(seed, (9, 16, 14)) > 0, (2.0, 1.0, 0.5)
    predicted = moved(truth.astype(int), seed) > 0
    images = [sitk.GetImageFromArray(surface(mask).astype(np.uint8)) for mask in (predicted, truth)]
    for image in images:
        image.SetSpacing(spacing[::-1])
    measure = sitk.HausdorffDistanceImageFilter()
    measure.Execute(*images)
    found = evaluate_boundaries(predicted, truth, spacing=spacing)
    assert found.hausdorff[0] == pytest.approx(measure.GetHausdorffDistance())


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)], ids=str)
def test_stays_near_the_authors_of_surface_dice(spacing: tuple[float, ...]) -> None:
    """Their surface runs through the corners where voxels of both kinds meet.

    Among the voxels that share such a corner are two face neighbours of both kinds, and a face between voxels of both
    kinds has such corners. So each of their points is half a voxel's diagonal from one of ours at most, and the other
    way round; distances differ by a diagonal at most.
    """
    theirs = pytest.importorskip("surface_distance")
    z, y, x = np.indices((22, 24, 26))
    truth = (z - 10) ** 2 + (y - 11) ** 2 + (x - 11) ** 2 <= 7**2
    predicted = (z - 11) ** 2 + (y - 11) ** 2 + (x - 13) ** 2 <= 6**2
    found = evaluate_boundaries(predicted, truth, spacing=spacing)
    distances = theirs.compute_surface_distances(truth, predicted, spacing)
    apart = float(np.linalg.norm(spacing))
    assert abs(found.hausdorff[0] - theirs.compute_robust_hausdorff(distances, 100)) <= apart
    assert abs(found.hd95[0] - theirs.compute_robust_hausdorff(distances, 95)) <= apart
    far = found.hausdorff[0] + apart
    assert theirs.compute_surface_dice_at_tolerance(distances, far) == 1.0
    assert evaluate_boundaries(predicted, truth, spacing=spacing, tolerance=far).surface_dice.tolist() == [1.0]


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
def test_equals_the_authors_of_surface_dice_on_shifted_squares() -> None:
    # Wherever a surface runs, that of a square and the same three voxels on are no farther than 3 apart, and the column
    # that is left behind is not nearer; both surfaces of two squares inside each other are the gap or more apart.
    theirs = pytest.importorskip("surface_distance")
    predicted, truth = (mask.astype(bool) for mask in squares())
    distances = theirs.compute_surface_distances(truth, predicted, (1.0, 0.5))
    found = evaluate_boundaries(predicted, truth, spacing=(1.0, 0.5))
    assert found.hausdorff[0] == theirs.compute_robust_hausdorff(distances, 100) == 1.5
    inside = np.zeros((30, 30), bool)
    inside[10:20, 10:20] = True
    around = ndimage.binary_dilation(inside, np.ones((3, 3)), iterations=4)
    distances = theirs.compute_surface_distances(around, inside, (1.0, 1.0))
    for tolerance, share in ((3.9, 0.0), (4 * math.sqrt(2), 1.0)):
        assert theirs.compute_surface_dice_at_tolerance(distances, tolerance) == share
        assert evaluate_boundaries(inside, around, tolerance=tolerance).surface_dice.tolist() == [share]


# What must hold --------------------------------------------------------------------------------------


@given(volumes, st.sampled_from(SPACINGS))
def test_sides_can_be_swapped(pair: tuple[np.ndarray, np.ndarray], spacing: Any) -> None:
    spacing = None if spacing is None else spacing[: pair[0].ndim]
    found = evaluate_boundaries(*pair, spacing=spacing, match="value")
    back = evaluate_boundaries(*pair[::-1], spacing=spacing, match="value")
    assert_array_equal(numbers(back)[:5], numbers(found)[:5])
    assert_array_equal(back.n_true_surface, found.n_predicted_surface)


@given(volumes, st.integers(1, 3), st.integers(1, 3))
def test_more_background_around_changes_nothing(pair: tuple[np.ndarray, np.ndarray], before: int, after: int) -> None:
    if 1 in pair[0].shape:  # it would get neighbours along that axis
        return
    wide = [np.pad(labels, (before, after)) for labels in pair]
    found, moved_ = (evaluate_boundaries(*p, match="value", width=2.0) for p in (pair, wide))
    assert_array_equal(numbers(moved_), numbers(found))


@given(volumes, st.randoms(use_true_random=False))
def test_axes_can_be_exchanged(pair: tuple[np.ndarray, np.ndarray], random: Any) -> None:
    ndim = pair[0].ndim
    spacing, order = (0.5, 1.0, 2.25)[:ndim], random.sample(range(ndim), ndim)
    found = evaluate_boundaries(*pair, spacing=spacing, match="value")
    other = evaluate_boundaries(*(p.transpose(order) for p in pair), spacing=[spacing[a] for a in order], match="value")
    assert_array_equal(numbers(other), numbers(found))


@given(volumes, st.sampled_from(SPACINGS))
def test_perfect_labels(pair: tuple[np.ndarray, np.ndarray], spacing: Any) -> None:
    truth = pair[0]
    if max(truth.shape) == 1:  # a single voxel has no neighbour, and so no surface
        return
    spacing = None if spacing is None else spacing[: truth.ndim]
    for by in ("classes", "objects"):
        found = evaluate_boundaries(truth, truth, spacing=spacing, match="value", by=by)  # type: ignore[arg-type]
        assert found.truth.tolist() == np.setdiff1d(truth, [0]).tolist()
        assert_array_equal(numbers(found)[:5], np.repeat([[0.0], [0], [0], [1], [1]], len(found), axis=1))


@given(volumes)
def test_units_do_not_show(pair: tuple[np.ndarray, np.ndarray]) -> None:
    spacing = np.array((0.3, 0.1, 0.2)[: pair[0].ndim])
    found = evaluate_boundaries(*pair, spacing=spacing, match="value", tolerance=0.3, width=0.3)
    nm = evaluate_boundaries(*pair, spacing=spacing * 1000, match="value", tolerance=300, width=300)
    assert_allclose(nm.hausdorff, found.hausdorff * 1000)
    assert_array_equal(numbers(nm)[3:], numbers(found)[3:])


@pytest.mark.parametrize("by", ["classes", "objects"])
@pytest.mark.parametrize("ignore", [None, 2])
def test_chunks_give_what_the_whole_gives(by: Any, ignore: int | None) -> None:
    truth = blobs(2, (9, 14, 12))
    predicted = moved(truth, 2)
    whole = evaluate_boundaries(predicted, truth, by=by, ignore=ignore, threshold=0.2)
    chunked = evaluate_boundaries(
        da.from_array(predicted, chunks=(4, 5, 6)),
        da.from_array(truth, chunks=(9, 3, 12)),
        by=by,
        ignore=ignore,
        threshold=0.2,
    )
    assert chunked.as_dict() == whole.as_dict()
    assert len(whole)


def test_objects_are_read_from_their_boxes_alone() -> None:
    read: list[tuple[int, ...]] = []

    def chunk(block_info: Any = None) -> np.ndarray:
        at = block_info[None]["chunk-location"]
        read.append(at)
        block = np.zeros((8, 8), np.int32)
        block[2:5, 2:6] = 1 if at == (0, 1) else 0
        return block

    labels = da.map_blocks(chunk, chunks=((8,) * 3, (8,) * 3), dtype=np.int32, meta=np.zeros((0, 0), np.int32))
    truth = np.zeros((24, 24), np.int32)
    truth[2:5, 11:15] = 4
    found = evaluate_boundaries(labels, da.from_array(truth, chunks=8), by="objects")
    assert found.hausdorff.tolist() == [1]
    assert {at: read.count(at) for at in set(read)} == {
        (y, x): 1 + ((y, x) == (0, 1)) for y in range(3) for x in range(3)
    }


def counted(labels: np.ndarray, chunks: tuple[int, ...]) -> tuple[da.Array, list[tuple[int, ...]]]:
    """Return labels in chunks, and a list to which every chunk that is read adds its place."""
    read: list[tuple[int, ...]] = []

    def chunk(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        read.append(tuple(block_info[0]["chunk-location"]))
        return block

    lazy = da.from_array(labels, chunks=chunks).map_blocks(chunk, dtype=labels.dtype, meta=np.zeros((0, 0), int))
    return lazy, read


def test_a_chunk_is_read_once_for_all_of_its_objects() -> None:
    truth = np.kron(np.arange(1, 401).reshape(20, 20), np.ones((4, 4), int))
    truth[::4], truth[:, ::4] = 0, 0
    predicted, read = counted(np.roll(truth, 1, axis=0), (20, 20))
    lazy, read_of_truth = counted(truth, (16, 40))
    found = evaluate_boundaries(predicted, lazy, by="objects", threshold=0.3)
    whole = evaluate_boundaries(np.roll(truth, 1, axis=0), truth, by="objects", threshold=0.3)
    assert found.as_dict() == whole.as_dict()
    assert len(found) == 400
    assert max(map(read.count, read)) == max(map(read_of_truth.count, read_of_truth)) == 2  # counted, then measured


@given(
    st.lists(st.tuples(*[st.tuples(st.integers(0, 29), st.integers(1, 30))] * 2), min_size=1, max_size=12),
    st.sampled_from([1, 40, 300, 10**4]),
)
def test_groups_of_boxes_are_bounded_and_read_no_more_chunks(boxes: list[Any], most: int) -> None:
    low = np.array([[start for start, _ in box] for box in boxes])
    high = np.minimum(low + [[length for _, length in box] for box in boxes], 30)
    predicted, truth = (da.zeros((30, 30), chunks=chunks) for chunks in (7, (30, 4)))

    def n_chunks(start: np.ndarray, stop: np.ndarray) -> int:
        cut = tuple(map(slice, start.tolist(), stop.tolist()))
        return sum(
            math.prod(len({at // width for at in range(s.start, s.stop)}) for s, width in zip(cut, widths, strict=True))
            for widths in ((7, 7), (30, 4))
        )

    groups = list(groups_of_boxes(low, high, predicted, truth, most))
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(boxes)))
    for rows in groups:
        start, stop = low[rows].min(axis=0), high[rows].max(axis=0)
        assert len(rows) == 1 or (stop - start).prod() <= most
        assert n_chunks(start, stop) <= sum(n_chunks(low[row], high[row]) for row in rows)


@pytest.mark.parametrize("by", ["classes", "objects"])
def test_boxes_beyond_memory_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch, by: Any) -> None:
    monkeypatch.setattr(_box_reads, "MOST_VOXELS", 60)
    monkeypatch.setattr(_box_reads, "MOST_CHUNKS", 1)
    truth = blobs(2, (9, 14, 12))
    predicted = moved(truth, 2)
    whole = evaluate_boundaries(predicted, truth, by=by, threshold=0.2, ignore=2)
    lazy = (da.from_array(labels, chunks=(4, 3, 3)) for labels in (predicted, truth))
    assert evaluate_boundaries(*lazy, by=by, threshold=0.2, ignore=2).as_dict() == whole.as_dict()


@pytest.mark.parametrize("by", ["classes", "objects"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_every_library_gives_the_same(to_library: Callable[[Any], Any], by: Any, dtype: Any) -> None:
    truth = (blobs(3, (5, 12, 11)) % 4).astype(dtype)
    predicted = np.roll(truth, 1, axis=1)
    for ignore in (None, 0 if dtype is bool else 3):
        settings: dict[str, Any] = {"by": by, "ignore": ignore, "threshold": 0.1, "spacing": (2.0, 1.0, 1.0)}
        found = evaluate_boundaries(to_library(predicted), to_library(truth), **settings)
        assert found.as_dict() == evaluate_boundaries(predicted, truth, **settings).as_dict()


def test_many_labels_of_one_class(to_library: Callable[[Any], Any]) -> None:
    truth = np.zeros((12, 12), int)
    truth[2:10, 2:6], truth[2:10, 6:10] = 1, 2
    predicted = np.where(truth, np.arange(1, 145).reshape(12, 12), 0)
    found = evaluate_boundaries(to_library(predicted), to_library(truth), match="overlap")
    assert found.hausdorff.tolist() == [0, 0]


def test_memory_of_a_class_is_what_the_docstring_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 1 << 14)  # small beside the box
    truth = np.zeros((96, 96, 96), np.int64)
    truth[4:-4, 4:-4, 4:-4] = 1
    predicted, uneven = np.roll(truth, 1, axis=0), (2.13, 1.0, 1.01)
    evaluate_boundaries(predicted, truth)
    for spacing, ignore, most in ((None, None, 12), (uneven, None, 16), (uneven, 5, 20)):
        truth[0, 0, 0] = 5
        tracemalloc.start()
        evaluate_boundaries(predicted, truth, spacing=spacing, ignore=ignore)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 0.75 * most < peak / truth.size < most


@pytest.mark.parametrize("by", ["classes", "objects"])
def test_progress_is_told_and_cancelling_is_heard(by: Any) -> None:
    truth = blobs(3, (30, 34)) % 5
    told: list[tuple[str, float]] = []
    with nc.watch(lambda *at: told.append(at)):
        found = evaluate_boundaries(truth, truth, by=by)
    done = [share for stage, share in told if stage == "measuring boundaries"]
    assert done == sorted(done)
    assert len({*done}) == len(found) == 4
    stages: list[str] = []
    with (
        nc.watch(lambda stage, _: stages.append(stage), lambda: "measuring boundaries" in stages),
        pytest.raises(nc.Cancelled, match="cancelled while measuring boundaries"),
    ):
        evaluate_boundaries(truth, truth, by=by)


# Results ---------------------------------------------------------------------------------------------


def test_definitions_name_every_figure_and_its_settings() -> None:
    found = evaluate_boundaries(*squares(), spacing=(0.5, 0.25), tolerance=0.75, width=1.25)
    assert {*SCORES, "prevalence", "background", "empty"} < set(found.definitions)
    objects = evaluate_boundaries(*squares(), by="objects", threshold=0.2).definitions
    assert {*SCORES, "iou", "surface_dice_all", "boundary_iou_all", "left_over", "background", "empty"} < set(objects)
    assert "0.75 or less" in found.definitions["surface_dice"]
    assert "1.25 or less" in found.definitions["boundary_iou"]
    assert "0.5 x 0.25" in found.definitions["distance"]
    assert found.match_reason == found.definitions["rows"]


@pytest.mark.parametrize("by", ["classes", "objects"])
def test_results_are_written(tmp_path: Path, by: Any) -> None:
    predicted, truth = np.array([[[1, 1, 0, 3, 0, 0]], [[1, 1, 2, 0, 0, 0]]])
    found = evaluate_boundaries(predicted, truth, by=by, match="value")
    rows = list(csv.DictReader(found.to_csv(tmp_path / "rows.csv").read_text().splitlines()))
    assert [{k: str(v) for k, v in row.items()} for row in found.table] == rows
    content = json.loads(found.to_json(tmp_path / "rows.json").read_text())
    assert content == found.as_dict()
    assert [row["hausdorff"] for row in content["rows"]] == ([0.0, None, None] if by == "classes" else [0.0])
    assert content["means"]["hausdorff"] == 0.0
    assert content["threshold"] == (None if by == "classes" else 0.5)
    with pytest.raises(FileExistsError):
        found.to_csv(tmp_path / "rows.csv")
    with pytest.raises(FileExistsError):
        found.to_json(tmp_path / "rows.json")


def test_objects_that_were_missed_count_in_means_of_all() -> None:
    truth = np.zeros((9, 20), int)
    truth[2:7, 2:7], truth[2:7, 12:17] = 1, 2
    found = evaluate_boundaries(np.where(truth == 1, 8, 0), truth, by="objects")
    # one of two true objects was found, perfectly: means over pairs are 1, those over true objects (1 + 0) / 2
    assert (found.means["surface_dice"], found.means["boundary_iou"]) == (1, 1)
    assert (found.means["surface_dice_all"], found.means["boundary_iou_all"]) == (0.5, 0.5)
    assert (found.n_scored["surface_dice"], found.n_scored["surface_dice_all"]) == (1, 2)
    assert found.as_dict()["means"]["surface_dice_all"] == 0.5
    assert "surface_dice_all 0.5000 (2)" in str(found)
    assert "0 predicted and 1 true objects without a partner" in str(found)
    nothing = evaluate_boundaries(np.zeros_like(truth), truth, by="objects")
    assert (nothing.means["surface_dice_all"], math.isnan(nothing.means["surface_dice"])) == (0, True)
    neither = evaluate_boundaries(np.zeros_like(truth), np.zeros_like(truth), by="objects")
    assert math.isnan(neither.means["surface_dice_all"])
    assert "surface_dice_all" not in evaluate_boundaries(truth, truth).means


@pytest.mark.parametrize(("match", "shares"), [("value", [0.25, 0.125]), ("binary", [0.375])])
def test_prevalence_stands_beside_classes(match: Any, shares: list[float]) -> None:
    # 16 of 20 voxels are annotated: 4 hold class 1, 2 hold class 2, 10 background
    truth = np.repeat([[1, 2, 0, 5]], [4, 2, 10, 4]).reshape(4, 5)
    found = evaluate_boundaries(np.where(truth == 5, 1, truth), truth, ignore=5, match=match)
    assert [row["prevalence"] for row in found.table] == found.prevalence.tolist() == shares
    assert np.isnan(evaluate_boundaries(truth, truth, by="objects").prevalence).all()


def test_the_summary_says_what_was_measured() -> None:
    text = str(evaluate_boundaries(*squares(), spacing=(0.5, 0.25), by="objects", threshold=0.2))
    assert "hausdorff 0.7500 (1)" in text
    assert "surface Dice within 0.5" in text
    assert "0 predicted and 0 true objects without a partner" in text
    many = np.arange(50 * 50).reshape(50, 50) % 46
    assert "... and 5 more rows" in str(evaluate_boundaries(many, many, match="value"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"by": "slices"}, "by must be one of 'classes', 'objects', got 'slices'"),
        ({"threshold": 0}, "threshold must be an IoU above 0 and at most 1, got 0"),
        ({"threshold": math.nan}, "threshold must be an IoU"),
        ({"threshold": "a"}, "threshold must be an IoU above 0 and at most 1, got 'a'; pass for example 0.5"),
        ({"tolerance": "a"}, "tolerance must be a number, a length in the unit of spacing, got 'a'; leave it out"),
        ({"width": [1, 2]}, r"width must be a number, a length in the unit of spacing, got \[1, 2\]; leave it out"),
        ({"tolerance": -1}, "tolerance must be a length of 0 or more in the unit of spacing, got -1"),
        ({"tolerance": math.inf}, "tolerance must be a length"),
        ({"width": 0.4}, "at least the smallest edge of a voxel, 1, .* got 0.4"),
        ({"width": math.nan}, "width must be a length"),
        ({"spacing": (1, 0)}, "spacing must be positive and finite"),
        ({"spacing": (1, 1, 1)}, "spacing must have one length per axis, 2 of them"),
        ({"match": "name"}, "match must be one of"),
        ({"ignore": 1}, "nothing to score"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    labels = np.ones((3, 4), int)
    with pytest.raises(ValueError, match=words):
        evaluate_boundaries(labels, labels, **settings)


def test_bad_labels_are_refused() -> None:
    labels = np.ones((3, 4), int)
    with pytest.raises(ValueError, match="must be 2-D"):
        evaluate_boundaries(np.ones(5, int), np.ones(5, int))
    with pytest.raises(ValueError, match="truth must have the shape of predicted"):
        evaluate_boundaries(labels, labels.T)
    with pytest.raises(ValueError, match="predicted holds the label -1"):
        evaluate_boundaries(-labels, labels)
    with pytest.raises(TypeError, match="integer labels"):
        evaluate_boundaries(labels * 1.0, labels)
    with pytest.raises(ValueError, match="is exact; check spacing"):
        evaluate_boundaries(np.ones((9, 9), int), np.ones((9, 9), int), spacing=(1, 1e9))
