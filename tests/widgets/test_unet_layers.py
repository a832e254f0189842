"""From layers to what a U-Net learns from: axes, channels, frames, slices, what unpainted means; and its example."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Image, Labels

from napari_cutout.widgets._training_job import example_of, time_left
from napari_cutout.widgets._training_layers import IGNORED, SLICES, PairOfLayers, guess_of, read

from .unet_parts import form_on


def pair(image, labels, *, scale=None, rgb=False, **choice):
    """Return a pair of layers of two arrays that lie on each other."""
    place = {} if scale is None else {"scale": scale}
    layer = Image(image, name="cells", rgb=rgb, **place)
    ndim = np.ndim(labels)
    annotation = Labels(labels, name="strokes", **({} if scale is None else {"scale": scale[-ndim:]}))
    return PairOfLayers(form_on(layer, **choice), annotation)


def strokes(shape):
    """Return one voxel of label 1, and one of 2."""
    labels = np.zeros(shape, np.uint8)
    labels.flat[3], labels.flat[-2] = 1, 2
    return labels


def test_a_plane_is_read_as_it_is_and_its_annotation_is_copied():
    image = np.arange(80.0).reshape(8, 10)
    one = pair(image, strokes((8, 10)), scale=(2.0, 0.5))
    found = read([one], "not annotated")
    one.annotation.data[:] = 7  # painted while it trains
    assert len(found.images) == 1
    np.testing.assert_array_equal(found.images[0], image)
    np.testing.assert_array_equal(found.annotations[0], strokes((8, 10)))
    assert dict(found.options) == {"channel_axis": None, "spacing": (2.0, 0.5), "ignore": 0}


def test_a_layer_without_a_size_says_no_spacing():
    assert read([pair(np.zeros((8, 10)), strokes((8, 10)))], "background").options["spacing"] is None


def test_channels_are_learned_together_or_one_is_chosen():
    image = np.stack([np.zeros((8, 10)), np.ones((8, 10))])
    letters = {"letters": "cyx"}
    both = read([pair(image, strokes((8, 10)), channel="all", **letters)], "background")
    assert both.images[0].shape == (2, 8, 10)
    assert both.options["channel_axis"] == 0
    one = read([pair(image, strokes((8, 10)), channel=1, **letters)], "background")
    assert one.options["channel_axis"] is None
    np.testing.assert_array_equal(one.images[0], image[1])


def test_colours_are_channels_along_the_last_axis():
    image = np.random.default_rng(0).integers(0, 255, (8, 10, 4), np.uint8)
    found = read([pair(image, strokes((8, 10)), rgb=True, channel="all")], "background")
    np.testing.assert_array_equal(found.images[0], image[..., :3])  # alpha is no colour
    assert found.options["channel_axis"] == 2


def test_frames_are_images_and_those_without_paint_are_left_out():
    image = np.arange(3 * 8 * 10.0).reshape(3, 8, 10)
    labels = np.zeros((3, 8, 10), np.uint8)
    labels[1] = strokes((8, 10))
    some = pair(image, labels, letters="tyx")
    found = read([some], "not annotated")
    assert len(found.images) == 1
    np.testing.assert_array_equal(found.images[0], image[1])
    assert len(read([some], "background").images) == 3
    some.annotation.data[:] = 0
    with pytest.raises(ValueError, match="nothing is painted on 'strokes'; paint strokes of two labels"):
        read([some], "not annotated")


@pytest.mark.parametrize("store", ["dask", "zarr"])
def test_what_is_not_in_memory_is_not_read(store):
    shape = (4, 16, 16)
    touched = []

    def block(block_info=None):
        touched.append(block_info[None]["chunk-location"])
        return np.zeros(block_info[None]["chunk-shape"])

    if store == "dask":
        image = da.map_blocks(block, chunks=((1,) * 4, (16,), (16,)), dtype=float, meta=np.empty((0,) * 3))
    else:
        image = zarr.create_array(store={}, shape=shape, chunks=(1, 16, 16), dtype="f4")
    one = pair(image, strokes(shape), letters="zyx")
    touched.clear()  # napari looks at a slice for its contrast
    found = read([one], "not annotated")
    assert isinstance(found.images[0], da.Array)
    assert found.images[0].shape == shape
    assert not touched


def test_slices_that_are_painted_are_annotated_completely():
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 2, 2] = 1
    found = read([pair(np.zeros((3, 4, 5)), labels, letters="zyx")], SLICES)
    expected = np.full((3, 4, 5), -1)
    expected[1] = labels[1]
    np.testing.assert_array_equal(found.annotations[0], expected)
    assert found.options["ignore"] == IGNORED[SLICES] == -1


def test_images_that_differ_are_not_learned_together():
    first = pair(np.zeros((8, 10)), strokes((8, 10)))
    other = pair(np.zeros((2, 8, 10)), strokes((8, 10)), letters="cyx", channel="all")
    with pytest.raises(ValueError, match="image 'cells' has the channels 2, and 'cells' 1; images of one training"):
        read([first, other], "background")
    assert len(read([first, first], "background").images) == 2


def test_an_annotation_has_to_lie_on_its_image():
    with pytest.raises(ValueError, match=r"annotation must have the shape .*\(8, 10\).* but has \(8, 9\)"):
        _ = pair(np.zeros((8, 10)), strokes((8, 9))).target
    apart = PairOfLayers(form_on(Image(np.zeros((8, 10)), name="cells")), Labels(strokes((8, 10)), scale=(2, 2)))
    with pytest.raises(ValueError, match="annotation 'Labels' has the scale"):
        _ = apart.target


def test_the_region_that_is_run_on_says_nothing_of_what_is_learned():
    image = np.arange(3 * 8 * 10.0).reshape(3, 8, 10)
    found = read([pair(image, strokes((3, 8, 10)), letters="zyx", depth="this")], "background")
    assert found.images[0].shape == (3, 8, 10)


def labels_of(share, n_labels, shape=(4, 20, 20)):
    labels = np.zeros(shape, np.uint8)
    flat = labels.reshape(-1)
    flat[: int(share * flat.size)] = np.arange(int(share * flat.size)) % n_labels + 1
    return Labels(labels)


@pytest.mark.parametrize(
    ("share", "n_labels", "volume", "guess"),
    [
        (0.01, 2, True, "not annotated"),  # strokes of two labels
        (0.25, 1, True, SLICES),  # one slice of four, completely
        (0.25, 1, False, "background"),  # the same array as frames
        (1.0, 2, True, "background"),
        (0.0, 1, True, "background"),
    ],
)
def test_what_unpainted_means_is_guessed_from_what_is_painted(share, n_labels, volume, guess):
    found, words = guess_of(labels_of(share, n_labels), volume=volume)
    assert found == guess
    assert words.startswith(f"{100 * share:.3g} % painted")
    if guess == SLICES:
        assert words.endswith("in 1 of 4 slices")


# The example ----------------------------------------------------------------------------------------------


def test_an_example_is_the_plane_in_view_and_lies_on_its_image():
    image = np.arange(5 * 600 * 8.0).reshape(5, 600, 8)
    one = pair(image, strokes(image.shape), letters="zyx", scale=(3.0, 0.5, 0.5))
    found = example_of(one, (4, 500, 3), flat=True)
    # 512 of 600 rows around row 500: they begin at min(500 - 256, 600 - 512) = 88.
    np.testing.assert_array_equal(found.image, image[4:5, 88:600])
    labels = Labels(found.as_layer(np.zeros((1, 512, 8), np.uint8)), **found.place)
    np.testing.assert_allclose(labels.data_to_world((0, 0, 0)), (4 * 3.0, 88 * 0.5, 0))
    assert tuple(labels.scale) == (3.0, 0.5, 0.5)


def test_an_example_of_a_volume_has_slices_around_the_one_in_view():
    image = np.zeros((40, 200, 30))
    found = example_of(pair(image, strokes(image.shape), letters="zyx"), (39, 100, 10), flat=False)
    assert found.image.shape == (24, 128, 30)
    np.testing.assert_allclose(found.place["translate"], (16, 36, 0))


def test_an_example_of_a_frame_has_the_axes_of_a_frame():
    image = np.arange(3 * 8 * 10.0).reshape(3, 8, 10)
    found = example_of(pair(image, strokes(image.shape), letters="tyx"), (2, 0, 0), flat=True)
    np.testing.assert_array_equal(found.image, image[2])
    assert found.as_layer(np.zeros((8, 10), np.uint8)).shape == (1, 8, 10)
    np.testing.assert_allclose(found.place["translate"], (2, 0, 0))


# Time left ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "first", "fraction", "words"),
    [
        (10.0, 0.0, 0.5, "at most 10 s left"),
        (60.0, 0.0, 0.25, "at most 3 min left"),  # 60 s for a quarter
        (60.0, 0.5, 0.75, "at most 1 min left"),  # one that goes on at a half
        (7200.0, 0.0, 0.5, "at most 2.0 h left"),
        (10.0, 0.0, 0.01, ""),
    ],
)
def test_time_left_follows_from_the_time_it_took(seconds, first, fraction, words):
    assert time_left(seconds, first, fraction) == words


@given(st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1))
def test_time_left_is_never_wrong_by_its_words(seconds, first, fraction):
    assert "-" not in time_left(seconds, first, fraction)
