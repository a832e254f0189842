"""A Points layer as markers: each point is the voxel under it, with its number or with the label it is given."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Points

from napari_cutout.widgets import _layers
from napari_cutout.widgets._points import LABEL, PlantedPoints, is_points, planted_points

AFFINE = np.array([[1, 0.1, 5], [0, 1.5, 6], [0, 0, 1]])
PLACES = [
    pytest.param({}, id="plain"),
    pytest.param({"scale": (2.0, 0.5), "translate": (3.0, -4.0)}, id="scale"),
    pytest.param({"rotate": 30.0, "scale": (2.0, 1.0)}, id="rotate"),
    pytest.param({"shear": (0.3,), "translate": (2, 3), "affine": AFFINE}, id="affine"),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_point_marks_the_voxel_under_it_wherever_both_layers_lie(place):
    image = Image(np.zeros((12, 20)), **place)
    voxels = np.array([[0, 0], [11, 19], [5, 7], [3, 12]])
    world = np.array([image.data_to_world(at) for at in voxels + 0.4])
    points = Points((world - (10, 20)) / (0.5, 4), scale=(0.5, 4), translate=(10, 20))
    found = planted_points(points, _layers.placement(image), (12, 20))
    np.testing.assert_array_equal(found.index, voxels)
    expected = np.zeros((12, 20), int)
    expected[tuple(voxels.T)] = 1, 2, 3, 4
    np.testing.assert_array_equal(found.whole(), expected)
    np.testing.assert_array_equal(found[slice(2, 8), slice(5, 14)], expected[2:8, 5:14])
    np.testing.assert_array_equal(found[3, slice(5, 14)], expected[3, 5:14])
    assert found.dtype == found.whole().dtype == found[0, slice(0, 1)].dtype == np.uint8


def place_of(shape):
    return _layers.placement(Image(np.zeros(shape)))


def test_a_feature_names_their_labels_and_hidden_ones_are_left_out():
    points = Points([(1, 1), (2, 2), (3, 3), (1, 2)], features={LABEL: [7, 9, 9, 300]}, shown=[True, True, False, True])
    found = planted_points(points, place_of((4, 4)), (4, 4))
    assert found.listed == ((7, 1, 1), (9, 2, 2), (300, 1, 2))
    assert found.whole().dtype == np.uint16
    points.features = {LABEL: [7.0, 9.0, 9.0, 1.0]}  # as a table from a file may hold them
    assert [label for label, *_ in planted_points(points, place_of((4, 4)), (4, 4)).listed] == [7, 9, 1]


@pytest.mark.parametrize("values", [[0, 1], [1.5, 1], ["a", "b"], [1, np.nan], [1, 2.0**31]])
def test_a_feature_that_holds_no_labels_is_refused(values):
    points = Points([(1, 1), (2, 2)], features={LABEL: values}, name="seeds")
    with pytest.raises(ValueError, match="feature 'label' of 'seeds' must hold a whole number from 1"):
        planted_points(points, place_of((4, 4)), (4, 4))


@pytest.mark.parametrize("values", [[5, 0, 7], [5, np.nan, 7], [5, "none", 7], [5, 2.0**40, 7]])
def test_the_label_of_a_point_that_is_hidden_does_not_matter(values):
    points = Points([(1, 1), (2, 2), (3, 3)], features={LABEL: np.array(values, object)}, shown=[True, False, True])
    assert planted_points(points, place_of((4, 4)), (4, 4)).listed == ((5, 1, 1), (7, 3, 3))
    points.features = {}
    assert planted_points(points, place_of((4, 4)), (4, 4)).listed == ((1, 1, 1), (3, 3, 3))


def test_those_beyond_the_image_are_counted_and_left_out():
    points = Points([(1, 1), (-0.6, 2), (3.6, 0), (3.4, 0)])
    found = planted_points(points, place_of((4, 4)), (4, 4))
    assert (found.listed, found.n_outside) == (((1, 1, 1), (4, 3, 0)), 2)


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (Points(ndim=3, name="seeds"), "'seeds' has no points; add some"),
        (Points([(1, 1)], name="seeds"), "'seeds' has points of 2 axes, and 3 are needed"),
        (Points([(9, 9, 9)], name="seeds"), "every point of 'seeds' lies outside the image"),
    ],
    ids=["none", "axes", "outside"],
)
def test_points_that_mark_nothing_are_refused(points, sentence):
    with pytest.raises(ValueError, match=sentence):
        planted_points(points, place_of((4, 5, 6)), (4, 5, 6))


def test_an_index_along_an_axis_that_the_image_lacks_does_not_matter():
    points = Points([(5, 1, 1), (0, 2, 3)])
    assert planted_points(points, place_of((4, 4)), (4, 4)).listed == ((1, 1, 1), (2, 2, 3))


def test_on_a_lower_level_no_point_is_lost():
    points = PlantedPoints(np.array([[1, 1], [7, 6], [6, 7]]), np.array([1, 2, 3]), (8, 8))
    low = points.lowered((4, 2), (2, 4))
    assert low.whole().tolist() == [[1, 0, 0, 0], [0, 0, 0, 2]]  # the first of two in a voxel
    assert points.without(0).listed == ((1, 1), (2, 6), (3, 7))


def test_only_points_are_points():
    assert is_points(Points(ndim=2))
    assert not is_points(Image(np.zeros((2, 2))))
