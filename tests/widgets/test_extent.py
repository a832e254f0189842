"""Where a run is to look, read off a viewer without a window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cutout.widgets._extent import extent_of
from napari_cutout.widgets._target import Choice, target

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")


@pytest.fixture
def viewer():
    return ViewerModel()


def rectangle(top, left, bottom, right):
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]], float)


def looked_into(viewer, image, shapes, letters="yx", level=0):
    """Return what of the image is looked into, as True and False at that level."""
    extent = extent_of(viewer, image, letters, shapes)
    aim = target(image, Choice(letters, time="each", level=level), extent)
    inside = np.zeros(aim.shape, bool)
    box = aim.selection.box or tuple((0, n) for n in aim.shape)
    inside[tuple(slice(*ends) for ends in box)] = True
    return inside if extent.outline is None else inside & extent.outline.mask(aim.shape, aim.factor)


def drawn(text):
    """Return a picture of dots and crosses as False and True."""
    return np.array([[c == "#" for c in line.strip()] for line in text.strip().splitlines()])


def test_the_whole(viewer):
    image = viewer.add_image(np.zeros((4, 5, 8, 9)))
    viewer.dims.current_step = (3, 2, 0, 0)
    extent = extent_of(viewer, image, "tzyx", "whole")
    assert (extent.box, extent.outline) == (None, None)
    assert extent.point[:2] == (3, 2)


def test_the_axis_of_channels_is_left_out(viewer):
    image = viewer.add_image(np.zeros((4, 3, 8, 9)))
    viewer.dims.current_step = (3, 2, 0, 0)
    extent = extent_of(viewer, image, "tcyx", "view")
    assert extent.point[0] == 3
    assert extent.box == ((0, 4), (0, 8), (0, 9))


def test_what_is_shown_of_a_plane_goes_through_all_slices(viewer):
    image = viewer.add_image(np.zeros((5, 20, 30)))
    image.corner_pixels = np.array([[2, 3, 4], [2, 9, 14]])  # as the canvas sets it: first and last voxel in view
    assert extent_of(viewer, image, "zyx", "view").box == ((0, 5), (3, 10), (4, 15))


def test_nothing_in_view_says_so(viewer):
    image = viewer.add_image(np.zeros((5, 20, 30)))
    viewer.add_image(np.zeros((9, 20, 30)))
    viewer.dims.current_step = (8, 0, 0)
    with pytest.raises(ValueError, match="is not in view: it ends before this slice; move the slider back onto it"):
        extent_of(viewer, image, "zyx", "view")
    assert extent_of(viewer, image, "zyx", "whole").box is None


def test_an_upright_rectangle_is_a_box(viewer):
    image = viewer.add_image(np.zeros((8, 10)))
    shapes = viewer.add_shapes([rectangle(1.5, 2.5, 5.5, 6.5)], shape_type="rectangle")
    extent = extent_of(viewer, image, "yx", shapes)
    assert extent.outline is None
    assert extent.box == ((2, 6), (3, 7)), "voxels are a square around their index"


def test_a_rectangle_holds_every_voxel_that_it_touches(viewer):
    image = viewer.add_image(np.zeros((6, 7)))
    shapes = viewer.add_shapes([rectangle(1, 2, 3.4, 4.6)], shape_type="rectangle")
    expected = drawn("""
        .......
        ..####.
        ..####.
        ..####.
        .......
        .......
    """)
    np.testing.assert_array_equal(looked_into(viewer, image, shapes), expected)


def test_a_turned_rectangle_is_no_box(viewer):
    image = viewer.add_image(np.zeros((7, 7)))
    diamond = np.array([[-0.4, 3], [3, 6.4], [6.4, 3], [3, -0.4]])
    shapes = viewer.add_shapes([diamond], shape_type="rectangle")
    expected = drawn("""
        ...#...
        ..###..
        .#####.
        #######
        .#####.
        ..###..
        ...#...
    """)
    np.testing.assert_array_equal(looked_into(viewer, image, shapes), expected)


def test_a_polygon(viewer):
    image = viewer.add_image(np.zeros((6, 6)))
    shapes = viewer.add_shapes([np.array([[0.6, 0.6], [0.6, 4.9], [4.9, 0.6]])], shape_type="polygon")
    expected = drawn("""
        ......
        .####.
        .###..
        .##...
        .#....
        ......
    """)
    np.testing.assert_array_equal(looked_into(viewer, image, shapes), expected)


def test_an_ellipse(viewer):
    image = viewer.add_image(np.zeros((9, 15)))
    shapes = viewer.add_shapes([rectangle(1, 1, 7, 13)], shape_type="ellipse")
    y, x = np.mgrid[:9, :15]
    distance = ((y - 4) / 3) ** 2 + ((x - 7) / 6) ** 2
    inside = looked_into(viewer, image, shapes)
    assert inside[distance < 0.98].all(), "within a polygon of 128 corners"
    assert not inside[distance > 1.0].any()


def test_several_shapes_are_joined_and_lines_are_not_areas(viewer):
    image = viewer.add_image(np.zeros((6, 9)))
    line = np.array([[0.0, 0], [5, 8]])
    shapes = viewer.add_shapes(
        [rectangle(0.5, 0.5, 2.5, 2.5), line, rectangle(3.5, 5.5, 5.5, 7.5)],
        shape_type=["rectangle", "line", "rectangle"],
    )
    expected = drawn("""
        .........
        .##......
        .##......
        .........
        ......##.
        ......##.
    """)
    np.testing.assert_array_equal(looked_into(viewer, image, shapes), expected)


def test_only_the_selected_shapes_count(viewer):
    image = viewer.add_image(np.zeros((6, 9)))
    two = [rectangle(0.5, 0.5, 2.5, 2.5), rectangle(3.5, 5.5, 5.5, 7.5)]
    shapes = viewer.add_shapes(two, shape_type="rectangle")
    shapes.selected_data = {1}
    extent = extent_of(viewer, image, "yx", shapes)
    assert (extent.box, extent.outline) == (((4, 6), (6, 8)), None)


@pytest.mark.parametrize("kind", ["nothing", "line"])
def test_no_area_says_so(viewer, kind):
    image = viewer.add_image(np.zeros((6, 9)))
    shapes = viewer.add_shapes(None if kind == "nothing" else [np.array([[0.0, 0], [5, 8]])], shape_type="line")
    shapes.name = "cells"
    with pytest.raises(ValueError, match="'cells' has no rectangle, polygon or ellipse to look into; draw one"):
        extent_of(viewer, image, "yx", shapes)


def test_selected_lines_alone_are_no_area(viewer):
    image = viewer.add_image(np.zeros((6, 9)))
    both = [rectangle(0.5, 0.5, 2.5, 2.5), np.array([[0.0, 0], [5, 8]])]
    shapes = viewer.add_shapes(both, shape_type=["rectangle", "line"])
    shapes.selected_data = {1}
    with pytest.raises(ValueError, match="no rectangle, polygon or ellipse"):
        extent_of(viewer, image, "yx", shapes)


def test_shapes_of_another_scale_are_brought_to_the_image(viewer):
    image = viewer.add_image(np.zeros((8, 10)), scale=(0.1, 0.2), translate=(1, 2))
    # Voxels 2 to 4 and 3 to 6 of the image, in a layer of half the scale that begins elsewhere.
    world = rectangle(1 + 0.1 * 1.5, 2 + 0.2 * 2.5, 1 + 0.1 * 4.5, 2 + 0.2 * 6.5)
    shapes = viewer.add_shapes([(world - (0.5, 0.5)) / 0.05], shape_type="rectangle", scale=(0.05, 0.05))
    shapes.translate = (0.5, 0.5)
    extent = extent_of(viewer, image, "yx", shapes)
    assert (extent.box, extent.outline) == (((2, 5), (3, 7)), None)


def test_an_upright_rectangle_on_a_turned_image_is_no_box(viewer):
    image = viewer.add_image(np.zeros((20, 20)), rotate=45)
    middle = np.asarray(image.data_to_world((9.5, 9.5)))
    shapes = viewer.add_shapes([rectangle(-4, -4, 4, 4) + middle], shape_type="rectangle")
    y, x = np.mgrid[:20, :20] - 9.5
    diamond = np.abs(y) + np.abs(x) < 4 * np.sqrt(2)
    np.testing.assert_array_equal(looked_into(viewer, image, shapes), diamond)


@pytest.mark.parametrize(("letters", "start"), [("zyx", (5,)), ("tzyx", (3, 5)), ("czyx", (5,))])
def test_a_flat_shapes_layer_looks_through_all_slices(viewer, letters, start):
    image = viewer.add_image(np.zeros((3, 5, 8, 10)[-len(letters) :]))
    shapes = viewer.add_shapes([rectangle(1.5, 2.5, 5.5, 6.5)], shape_type="rectangle")
    extent = extent_of(viewer, image, letters, shapes)
    assert extent.box == (*((0, n) for n in start), (2, 6), (3, 7))


def test_a_shape_that_was_drawn_on_a_slice_looks_through_all(viewer):
    image = viewer.add_image(np.zeros((5, 8, 10)), scale=(2, 1, 1))
    flat = rectangle(1.5, 2.5, 5.5, 6.5)
    shapes = viewer.add_shapes([np.column_stack([np.full(4, 3.0), flat])], shape_type="rectangle", scale=(2, 1, 1))
    assert extent_of(viewer, image, "zyx", shapes).box == ((0, 5), (2, 6), (3, 7))


def test_a_shape_that_was_drawn_from_the_side(viewer):
    image = viewer.add_image(np.zeros((5, 8, 10)))
    side = rectangle(0.5, 2.5, 3.5, 6.5)  # along z and x
    shapes = viewer.add_shapes([np.column_stack([side[:, 0], np.full(4, 4.0), side[:, 1]])], shape_type="polygon")
    inside = looked_into(viewer, image, shapes, "zyx")
    expected = np.zeros((5, 8, 10), bool)
    expected[1:4, :, 3:7] = True
    np.testing.assert_array_equal(inside, expected)


def test_shapes_with_more_axes_than_the_image(viewer):
    image = viewer.add_image(np.zeros((8, 10)))
    flat = rectangle(1.5, 2.5, 5.5, 6.5)
    shapes = viewer.add_shapes([np.column_stack([np.full(4, 3.0), flat])], shape_type="rectangle")
    assert extent_of(viewer, image, "yx", shapes).box == ((2, 6), (3, 7))


def test_a_colour_image(viewer):
    image = viewer.add_image(np.zeros((8, 10, 3), np.uint8), rgb=True)
    shapes = viewer.add_shapes([rectangle(1.5, 2.5, 5.5, 6.5)], shape_type="rectangle")
    assert extent_of(viewer, image, "yxc", shapes).box == ((2, 6), (3, 7))


def test_a_region_on_a_lower_level(viewer):
    full = np.zeros((16, 20))
    image = viewer.add_image([full, full[::2, ::2]], multiscale=True)
    # Blocks 1 to 3 and 2 to 4 of the second level: voxels 2 to 7 and 4 to 9.
    shapes = viewer.add_shapes([rectangle(1.5, 3.5, 7.5, 9.5)], shape_type="rectangle")
    expected = np.zeros((8, 10), bool)
    expected[1:4, 2:5] = True
    np.testing.assert_array_equal(looked_into(viewer, image, shapes, level=1), expected)
    polygon = viewer.add_shapes([rectangle(1.5, 3.5, 7.5, 9.5)], shape_type="polygon")
    np.testing.assert_array_equal(looked_into(viewer, image, polygon, level=1), expected)
