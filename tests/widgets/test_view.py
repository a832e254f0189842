"""What the viewer shows of a layer is read off in voxels of full resolution, without a window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cutout.widgets._view import View, camera_of, kept_in_view, view_of

napari = pytest.importorskip("napari")


@pytest.fixture
def model():
    """A viewer without a window."""
    return napari.components.ViewerModel()


def drawn(layer, corners):
    """Tell a layer what the canvas shows of it, as napari does when it draws."""
    layer.corner_pixels = np.array(corners)


def test_before_it_was_ever_drawn_the_whole_plane_is_in_view(model):
    layer = model.add_image(np.zeros((7, 20, 30)))
    model.dims.set_current_step(0, 2)
    assert view_of(model, layer) == View((1, 2), (2, *view_of(model, layer).point[1:]), ((2, 3), (0, 20), (0, 30)))


def test_zoomed_in_the_box_is_what_the_canvas_shows(model):
    layer = model.add_image(np.zeros((7, 20, 30)))
    model.dims.set_current_step(0, 5)
    drawn(layer, [[0, 4, 10], [0, 8, 29]])
    assert view_of(model, layer).box == ((5, 6), (4, 9), (10, 30))


def test_scale_and_place_of_a_layer_are_taken_off(model):
    layer = model.add_image(np.zeros((7, 20, 30)), scale=(2.5, 1, 1), translate=(10, 0, 0))
    model.dims.set_point(0, 10 + 3 * 2.5)
    assert view_of(model, layer).point[0] == 3
    assert view_of(model, layer).box[0] == (3, 4)


def test_a_flipped_affine_is_taken_off(model):
    affine = np.diag([-1.0, 1, 1, 1])
    affine[0, 3] = 6
    layer = model.add_image(np.zeros((7, 20, 30)), affine=affine)
    model.dims.set_point(0, 1)
    assert view_of(model, layer).point[0] == 5


def test_transposed_axes_are_named_in_the_order_of_the_screen(model):
    layer = model.add_image(np.zeros((7, 20, 30)))
    model.dims.order = (1, 2, 0)
    model.dims.set_current_step(1, 11)
    view = view_of(model, layer)
    assert view.displayed == (2, 0)
    assert view.box == ((0, 7), (11, 12), (0, 30))


def test_layers_share_their_last_axes(model):
    model.add_image(np.zeros((4, 7, 20, 30)))
    flat = model.add_image(np.zeros((20, 30)))
    assert view_of(model, flat).displayed == (0, 1)
    assert view_of(model, flat).box == ((0, 20), (0, 30))


def test_in_3d_the_whole_volume_is_in_view(model):
    layer = model.add_image(np.zeros((4, 7, 20, 30)))
    model.dims.ndisplay = 3
    model.dims.set_current_step(0, 3)
    assert view_of(model, layer).displayed == (1, 2, 3)
    assert view_of(model, layer).box == ((3, 4), (0, 7), (0, 20), (0, 30))


def test_a_pyramid_is_read_off_at_full_resolution(model):
    layer = model.add_image([np.zeros((64, 64)), np.zeros((32, 32)), np.zeros((16, 16))], multiscale=True)
    layer._data_level = 1
    drawn(layer, [[4, 8], [15, 31]])
    assert view_of(model, layer).box == ((8, 32), (16, 64))


def test_a_layer_that_ends_before_this_slice_is_not_in_view(model):
    model.add_image(np.zeros((9, 20, 30)))
    short = model.add_image(np.zeros((4, 20, 30)), name="short")
    model.dims.set_current_step(0, 6)
    assert view_of(model, short).problem.startswith("'short' is not in view")
    model.dims.set_current_step(0, 3)
    assert not view_of(model, short).problem


def test_a_colour_layer_has_no_axis_of_colours(model):
    layer = model.add_image(np.zeros((20, 30, 3), np.uint8), rgb=True)
    assert view_of(model, layer).box == ((0, 20), (0, 30))


def test_an_axis_can_be_left_out():
    view = View((0, 2), (4, 1, 7), ((0, 9), (1, 2), (3, 8)), "out of view")
    assert view.without(1) == View((0, 1), (4, 7), ((0, 9), (3, 8)), "out of view")
    assert view.without(0) == View((1,), (1, 7), ((1, 2), (3, 8)), "out of view")


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_a_layer_that_is_scaled_stays_where_it_is_on_the_canvas(model, ndisplay):
    layer = model.add_image(np.zeros((20, 30, 40)), scale=(1, 2, 2), translate=(0, 5, 7))
    model.dims.ndisplay = ndisplay
    model.dims.current_step = (12, 9, 8)
    camera = camera_of(model)
    camera.center, camera.zoom = (0, 25, 47), 4
    with kept_in_view(model, layer):
        layer.scale = (3, 0.5, 0.5)
    assert model.dims.current_step == (12, 9, 8)
    assert camera.center == (0, 5 + 20 / 4, 7 + 40 / 4)
    larger = {2: 1 / 4, 3: (3 / 16) ** (1 / 3)}[ndisplay]
    assert camera.zoom == pytest.approx(4 / larger)
