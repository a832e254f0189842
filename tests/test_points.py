"""Points become labels: the voxel under each, in their order or with the labels that are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import napari_cutout as nc


def nearest(x: float, n: int) -> int:
    """Return the index from -2 to n + 2 that is nearest to x, the higher of two."""
    return min(range(-2, n + 3), key=lambda i: (abs(x - i), -i))


def marked_one_by_one(points: Any, shape: tuple[int, ...], labels: Any) -> np.ndarray:
    """Return the same, point by point: the voxel whose middle is nearest, a tie going up; the first point stays."""
    found = np.zeros(shape, int)
    for point, label in zip(points, labels, strict=True):
        at = tuple(nearest(x, n) for x, n in zip(point, shape, strict=True))
        if all(0 <= i < n for i, n in zip(at, shape, strict=True)) and not found[at]:
            found[at] = label
    return found


@pytest.mark.parametrize("shape", [(7, 9), (4, 5, 6)])
def test_every_point_marks_the_voxel_in_which_it_lies(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    points = np.round(rng.uniform(-1.5, max(shape) + 0.5, (60, len(shape))) * 2) / 2  # many on borders and twice
    labels = rng.integers(1, 99, 60)
    expected = marked_one_by_one(points, shape, labels)
    assert 5 < np.count_nonzero(expected) < 60
    np.testing.assert_array_equal(nc.markers_from_points(points, shape, labels=labels), expected)
    numbered = marked_one_by_one(points, shape, range(1, 61))
    np.testing.assert_array_equal(nc.markers_from_points(points, shape), numbered)


@pytest.mark.parametrize(("n", "dtype"), [(255, "uint8"), (256, "uint16"), (65536, "uint32")])
def test_labels_take_no_more_than_they_need(n: int, dtype: str) -> None:
    assert nc.markers_from_points([(1, 1)], (3, 3), labels=[n]).dtype == dtype


@pytest.mark.parametrize(
    ("points", "labels", "sentence"),
    [
        ([(5, 1)], None, r"all 1 points lie outside the shape \(4, 4\); place at least one inside"),
        ([], None, "there are no points to mark; give at least one, a row of 2 numbers"),
        (np.zeros((0, 2)), None, "there are no points to mark"),
        (
            [(1, 1, 1)],
            None,
            r"rows of 2 numbers for the shape \(4, 4\), got an array of shape \(1, 3\); give one index",
        ),
        ([(1, np.nan, 1)], None, r"got an array of shape \(1, 3\)"),
        (1.0, None, r"got an array of shape \(\)"),
        ([(1, 1), (1, np.nan)], None, r"points must be finite, got \(1.0, nan\) in row 1; correct it or leave it out"),
        ([(np.inf, 2), (1, np.nan)], None, r"got \(inf, 2.0\) in row 0"),
        ([(1, 1)], [0], "labels must be from 1 to 2147483647, got 0; 0 is not marked"),
        ([(1, 1)], [2**31], "got 2147483648"),
        ([(1, 1)], [1, 2], r"labels must be 1 integers, one per point, got int64 of shape \(2,\)"),
        ([(1, 1)], [1.0], "got float64"),
    ],
    ids=["outside", "none", "no-rows", "axes", "axes-nan", "number", "nan", "inf", "zero", "large", "two", "float"],
)
def test_what_is_wrong_is_said(points: Any, labels: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        nc.markers_from_points(points, (4, 4), labels=labels)


def test_a_point_at_the_end_of_the_world_is_outside() -> None:
    assert nc.markers_from_points([(1e300, 0), (0, 0)], (2, 2)).tolist() == [[2, 0], [0, 0]]
