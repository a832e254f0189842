"""Every kind of layer in a real viewer: a widget gives the labels of the API on what was cut by hand, in place."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
import zarr

import napari_cutout as nc
from napari_cutout.processing.filters import grey

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")]


@pytest.fixture
def widget(dock):
    return dock("Threshold")


@pytest.fixture
def cut(viewer, widget, press):
    """Choose rows, run, and return the layer of the result."""

    def cut(*, region="whole", method="threshold", settings=None, **rows):
        widget.choose_method(method)
        widget.set(**(settings or {}))
        widget.target_rows.choose(**rows)
        widget.target_rows.choose_region(region)
        press(widget)
        return viewer.layers[-1]

    return cut


def noise(*shape, dtype=np.uint16, seed=0, high=1000):
    """Random grey levels, so that labels of another part would not be the same."""
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def assert_labels(layer, expected):
    """The labels are these, and not all the same."""
    np.testing.assert_array_equal(np.asarray(layer.data), expected)
    assert 0 < np.count_nonzero(expected) < expected.size, "or this test shows nothing"


def assert_lies(labels, at, image, there):
    """A voxel of the labels lies on a point of the image, in those axes of the world that they share."""
    mine, theirs = labels.data_to_world(at), image.data_to_world(there)
    np.testing.assert_allclose(mine, theirs[len(theirs) - len(mine) :], atol=1e-9)


# Axes ---------------------------------------------------------------------------------------------


def test_2d(viewer, cut):
    image = viewer.add_image(noise(20, 30), scale=(0.5, 0.2), translate=(3, 4), units=("um", "um"))
    labels = cut()
    assert_labels(labels, nc.threshold(image.data))
    assert_lies(labels, (19, 29), image, (19, 29))
    assert labels.units == image.units


def test_3d_whole_each_slice_and_this_slice(viewer, cut):
    image = viewer.add_image(noise(5, 16, 18) + 300 * np.arange(5, dtype=np.uint16)[:, None, None], scale=(3, 0.5, 0.5))
    spaced = {"sigma": 1.0}
    assert_labels(cut(settings=spaced), nc.threshold(image.data, sigma=1.0, spacing=(3, 0.5, 0.5)))
    slices = np.stack([nc.threshold(z, sigma=1.0, spacing=(0.5, 0.5)) for z in image.data])
    assert_labels(cut(settings=spaced, depth="each"), slices)
    viewer.dims.set_current_step(0, 3)
    labels = cut(settings=spaced, depth="this")
    assert_labels(labels, slices[3:4])
    assert_lies(labels, (0, 15, 17), image, (3, 15, 17))


def test_time_series_are_asked_for_and_never_guessed(viewer, widget, cut):
    movie = noise(4, 3, 14, 16) + 250 * np.arange(4, dtype=np.uint16)[:, None, None, None]
    image = viewer.add_image(movie, scale=(30, 2, 0.5, 0.5), units=("s", "um", "um", "um"))
    rows, button = widget.target_rows, widget.bar.button
    assert "axis 0 of 4 may be time, channels or slices" in widget._lines["axes"].text()
    assert "border" in rows.axis_boxes[0].parentWidget().styleSheet()
    assert not button.isEnabled()
    choose(rows.axis_boxes[0], "T")
    assert widget._lines["axes"].isHidden()
    assert "say whether each frame is cut by itself" in widget._lines["time"].text()
    assert "border" in rows.time_box.styleSheet()
    assert not button.isEnabled()
    choose(rows.time_box, "each frame by itself")
    assert widget._lines["time"].isHidden()
    assert button.isEnabled()

    each = np.stack([nc.threshold(t) for t in movie])
    labels = cut(time="each")
    assert_labels(labels, each)
    assert_lies(labels, (3, 2, 13, 15), image, (3, 2, 13, 15))
    whole = nc.threshold(movie.reshape(4 * 3 * 14, 16)).reshape(movie.shape)
    assert_labels(cut(time="pooled"), whole)
    assert (whole != each).any(), "one threshold for all is another thing than one for each"
    viewer.dims.set_current_step(0, 2)
    labels = cut(time="this")
    assert_labels(labels, each[2:3])
    assert_lies(labels, (0, 0, 0, 0), image, (2, 0, 0, 0))
    viewer.dims.set_current_step(1, 1)
    labels = cut(time="this", depth="this")
    assert_labels(labels, nc.threshold(movie[2, 1])[None, None])
    assert_lies(labels, (0, 0, 5, 6), image, (2, 1, 5, 6))


def choose(box, text):
    """Choose an entry as the user does."""
    box.setCurrentText(text)
    box.activated.emit(box.currentIndex())


def test_named_axes_fill_the_rows(viewer, widget, cut):
    movie = noise(3, 2, 12, 14)
    viewer.add_image(movie, axis_labels=("t", "c", "y", "x"))
    assert widget.target_rows.choice.letters == "tcyx"
    assert [box.currentText() for box in widget.target_rows.axis_boxes] == ["T", "C"]
    labels = cut(time="each", channel=1)
    assert_labels(Squeezed(labels, 1), np.stack([nc.threshold(t[1]) for t in movie]))


class Squeezed:
    """A layer without one of its axes, of length 1."""

    def __init__(self, layer, axis):
        assert layer.data.shape[axis] == 1
        self.data = np.squeeze(layer.data, axis)


@pytest.mark.parametrize("channel", [0, 1, 2, "grey"])
def test_colours(viewer, widget, cut, channel):
    photo = noise(20, 22, 3, dtype=np.uint8, high=255)
    image = viewer.add_image(photo, rgb=True, scale=(2, 3), translate=(5, 7))
    box = widget.target_rows.channel_box
    assert [box.itemText(n) for n in range(box.count())] == ["red", "green", "blue", "grey (mean of all)"]
    labels = cut(channel=channel)
    assert_labels(labels, nc.threshold(grey(photo, channel_axis=2) if channel == "grey" else photo[..., channel]))
    assert_lies(labels, (19, 21), image, (19, 21))


def test_channels_first(viewer, cut):
    image = viewer.add_image(noise(3, 4, 12, 14), scale=(1, 3, 0.5, 0.25), translate=(0, 1, 2, 3))
    labels = cut(letters="czyx", channel=2)
    assert_labels(labels, nc.threshold(image.data[2]))
    assert_lies(labels, (3, 11, 13), image, (2, 3, 11, 13))


def test_channels_in_the_middle(viewer, cut):
    image = viewer.add_image(noise(4, 3, 12, 14), scale=(3, 1, 0.5, 0.25), translate=(1, 0, 2, 3))
    labels = cut(letters="zcyx", channel=1)
    assert labels.data.shape == (4, 1, 12, 14)
    assert_labels(Squeezed(labels, 1), nc.threshold(image.data[:, 1]))
    assert_lies(labels, (3, 0, 11, 13), image, (3, 1, 11, 13))
    viewer.dims.set_current_step(0, 3)
    y, x = np.argwhere(labels.data[3, 0])[0]
    for channel in range(3):  # the labels are in view at every one
        viewer.dims.set_current_step(1, channel)
        assert labels.get_value(image.data_to_world((3, channel, y, x)), world=True) == 1


def test_two_axes_of_one_name_are_red(viewer, widget):
    viewer.add_image(noise(3, 4, 12, 14))
    widget.target_rows.choose(letters="zzyx")
    assert "two axes are called 'z' in 'zzyx'" in widget._lines["axes"].text()
    assert not widget.bar.button.isEnabled()


def test_several_images_are_all_offered(viewer, widget, cut):
    stack = noise(3, 16, 18)
    layers = viewer.add_image(stack, channel_axis=0, name=["red", "green", "blue"])
    box = widget.boxes["image"]
    assert [box.itemText(n) for n in range(box.count())] == ["red", "green", "blue"]
    for layer, data in zip(layers, stack, strict=True):
        box.choose(layer)
        assert_labels(cut(), nc.threshold(data))
    assert [layer.name for layer in viewer.layers[-3:]] == ["red threshold", "green threshold", "blue threshold"]


# Grey levels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_every_dtype(viewer, cut, dtype):
    image = viewer.add_image(noise(16, 18, dtype=dtype, high=120) - np.array(60, dtype if dtype[0] != "u" else "uint8"))
    labels = cut()
    assert_labels(labels, nc.threshold(image.data))
    assert labels.data.dtype == np.uint8


def test_nan_is_background(viewer, cut):
    data = noise(16, 18, dtype=np.float32)
    data[3:6, 4:9] = np.nan
    viewer.add_image(data, contrast_limits=(0, 1000))
    labels = cut()
    assert_labels(labels, nc.threshold(data))
    assert not labels.data[3:6, 4:9].any()


def test_a_bool_image_is_told_that_it_is_cut_already(viewer, widget):
    viewer.add_image(noise(16, 18) > 500)
    assert "image is boolean, so it is cut already" in widget._lines["image"].text()
    assert not widget.bar.button.isEnabled()


# Labels as mask and markers -----------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "value"), [("uint64", 3), ("int64", 10**9), ("uint32", 2**31 + 5), ("int8", 7)])
def test_any_label_masks(viewer, widget, cut, dtype, value):
    image = viewer.add_image(noise(16, 18))
    mask = np.zeros((16, 18), dtype)
    mask[:9] = value
    widget.boxes["mask"].choose(viewer.add_labels(mask))
    labels = cut()
    assert_labels(labels, nc.threshold(image.data, mask=mask != 0))


def test_uint64_strokes(viewer, dock, press, blobs):
    viewer.add_image(blobs)
    strokes = np.zeros(blobs.shape, np.uint64)
    strokes[6:8, 7:9], strokes[0:2] = 1, 2
    layer = viewer.add_labels(strokes)
    histogram = dock("Histogram")
    histogram.choose_method("back_projection")
    histogram.boxes["markers"].choose(layer)
    press(histogram)
    assert_labels(viewer.layers[-1], nc.back_projection(blobs, strokes.astype(np.uint8)))


def test_strokes_beside_channels_in_the_middle_are_painted_where_they_fit(viewer, widget, cut):
    image = viewer.add_image(noise(4, 3, 12, 14))
    widget.target_rows.choose(letters="zcyx", channel=1)
    widget.add_layer("mask")
    mask = widget.boxes["mask"].layer
    assert mask.data.shape == (4, 1, 12, 14)
    mask.data[:2] = 1
    mask.refresh()
    labels = cut()
    inside = np.broadcast_to((np.arange(4) < 2)[:, None, None], (4, 12, 14))
    assert_labels(Squeezed(labels, 1), nc.threshold(image.data[:, 1], mask=inside))


# Pyramids and arrays that are not in memory -------------------------------------------------------


def test_levels(viewer, widget, cut):
    full = noise(33, 40)
    levels = [full, full[::2, ::2], full[::4, ::4]]
    image = viewer.add_image(levels, multiscale=True, scale=(0.5, 0.25), translate=(3, 4))
    box = widget.target_rows.level_box
    assert [box.itemText(n).partition(":")[0] for n in range(box.count())] == ["0", "1", "2"]
    for level, factor in enumerate((1, 2, 4)):
        labels = cut(level=level)
        assert_labels(labels, nc.threshold(levels[level]))
        half = (factor - 1) / 2
        assert_lies(labels, (0, 0), image, (half, half))
        assert_lies(labels, (7, 9), image, (7 * factor + half, 9 * factor + half))


def test_the_full_resolution_is_cut_unless_another_level_is_chosen(viewer, widget, cut):
    full = noise(32, 40)
    viewer.add_image([full, full[::2, ::2]], multiscale=True)
    assert widget.target_rows.choice.level == 0
    assert_labels(cut(), nc.threshold(full))


class Counted:
    """Counts which chunks of an array are read, from any thread."""

    def __init__(self, array, chunks):
        self.array, self.chunks, self.lock, self.read = array, chunks, threading.Lock(), []

    def dask(self):
        def load(block_info=None):
            where = block_info[None]["array-location"]
            with self.lock:
                self.read.append(tuple(where))
            return self.array[tuple(slice(*ends) for ends in where)]

        return da.map_blocks(
            load, chunks=da.core.normalize_chunks(self.chunks, self.array.shape), dtype=self.array.dtype
        )

    def zarr(self):
        counted = self

        class Store(zarr.storage.MemoryStore):
            async def get(self, key, *args, **kwargs):
                if "/c/" in f"/{key}" and "zarr.json" not in key:
                    with counted.lock:
                        counted.read.append(key)
                return await super().get(key, *args, **kwargs)

        held = zarr.create_array(Store(), shape=self.array.shape, chunks=self.chunks, dtype=self.array.dtype)
        held[:] = self.array
        return held


@pytest.mark.parametrize("kind", ["dask", "zarr"])
def test_what_is_not_in_memory_is_read_only_where_it_is_asked_for(viewer, widget, cut, qtbot, kind):
    data = noise(6, 32, 32) + 400 * np.arange(6, dtype=np.uint16)[:, None, None]
    counted = Counted(data, (1, 32, 32))
    viewer.add_image(getattr(counted, kind)(), contrast_limits=(0, 3000))
    viewer.dims.set_current_step(0, 4)
    plot = widget.extras["histogram"].view.plot  # it samples a layer in the background when that is chosen
    qtbot.waitUntil(lambda: "voxels" in plot.line.text())
    counted.read.clear()
    labels = cut(depth="this")
    assert_labels(labels, nc.threshold(data[4])[None])
    assert len(set(counted.read)) == 1, "this slice is one chunk"
    counted.read.clear()
    assert_labels(cut(depth="together"), nc.threshold(data))
    assert len(set(counted.read)) == 6, "all of it was asked for"


def test_choosing_a_layer_reads_no_more_of_it_than_its_histogram_samples(viewer, widget):
    counted = Counted(noise(6, 32, 32), (1, 32, 32))
    image = viewer.add_image(counted.dask(), contrast_limits=(0, 3000), visible=False)
    counted.read.clear()
    widget.boxes["image"].choose(image)
    widget.target_rows.choose(depth="each")
    widget.set(sigma=2.0)
    widget.refresh()
    assert len(set(counted.read)) < 6, "no more than some slices, in the background"
    assert "needs about" in widget.bar.plan.text()


def test_a_level_of_a_lazy_pyramid_is_read_alone(viewer, cut):
    full = noise(64, 64)
    top, low = Counted(full, (32, 32)), Counted(full[::2, ::2], (32, 32))
    viewer.add_image([top.dask(), low.dask()], multiscale=True, contrast_limits=(0, 1000), visible=False)
    top.read.clear()
    assert_labels(cut(level=1), nc.threshold(full[::2, ::2]))
    assert top.read == []


# Places -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        {"scale": (3, 0.5, 0.25)},
        {"rotate": (10, 20, 30), "scale": (2, 1, 1)},
        {"shear": (0.1, 0.2, 0.3)},
        {"affine": np.array([[1, 0.1, 0, 5], [0, 1.5, 0, 6], [0.2, 0, 1, 7], [0, 0, 0, 1]])},
    ],
    ids=["scale", "rotate", "shear", "affine"],
)
def test_places(viewer, cut, place):
    image = viewer.add_image(
        noise(5, 12, 14), translate=(1, 2, 3), units=("um",) * 3, axis_labels=("z", "y", "x"), **place
    )
    labels = cut()
    assert_labels(labels, nc.threshold(image.data))
    for at in ((0, 0, 0), (4, 11, 13), (2, 5, 0)):
        assert_lies(labels, at, image, at)
    assert (labels.units, labels.axis_labels) == (image.units, image.axis_labels)


def test_a_layer_that_ends_before_the_slice_is_cut_whole_and_asks_for_this_slice_back(viewer, widget, cut):
    image = viewer.add_image(noise(4, 12, 14), name="short")
    viewer.add_image(noise(9, 12, 14), name="long")
    widget.boxes["image"].choose(image)
    viewer.dims.set_current_step(0, 8)
    assert_labels(cut(), nc.threshold(image.data))
    widget.target_rows.choose_region("view")
    assert "'short' is not in view: it ends before this slice" in widget._lines["region"].text()
    assert not widget.bar.button.isEnabled()


# Regions ------------------------------------------------------------------------------------------


def test_the_field_of_view(viewer, cut, widget):
    image = viewer.add_image(noise(4, 40, 50), scale=(2, 0.5, 0.5))
    image.corner_pixels = np.array([[1, 10, 20], [1, 24, 33]])  # what a zoomed camera leaves in view
    labels = cut(region="view")
    assert_labels(labels, nc.threshold(image.data[:, 10:25, 20:34]))
    assert_lies(labels, (0, 0, 0), image, (0, 10, 20))
    image.corner_pixels = np.array([[1, 0, 5], [1, 9, 16]])
    labels = cut(region="view")
    assert_labels(labels, nc.threshold(image.data[:, :10, 5:17]))
    assert_lies(labels, (3, 9, 11), image, (3, 9, 16))


def test_inside_shapes(viewer, cut):
    image = viewer.add_image(noise(4, 40, 50), scale=(2, 0.5, 0.5))
    triangle = np.array([[4.5, 4.5], [4.5, 30.7], [30.7, 4.5]]) * 0.5
    shapes = viewer.add_shapes([triangle], shape_type="polygon")
    labels = cut(region=shapes)
    y, x = np.mgrid[:40, :50]
    inside = (y > 4.5) & (x > 4.5) & (y + x < 35.2)
    expected = nc.threshold(image.data, mask=np.broadcast_to(inside, image.data.shape))
    assert not expected[:, ~inside].any()
    box = expected[:, 5:32, 5:32]
    assert_labels(labels, box)
    assert_lies(labels, (0, 0, 0), image, (0, 5, 5))
    viewer.dims.set_current_step(0, 2)
    labels = cut(region=shapes, depth="this")
    assert_labels(labels, nc.threshold(image.data[2], mask=inside)[None, 5:32, 5:32])
    assert_lies(labels, (0, 0, 0), image, (2, 5, 5))


def test_inside_a_rectangle_on_a_level(viewer, cut):
    full = noise(40, 48)
    image = viewer.add_image([full, full[::2, ::2]], multiscale=True, scale=(0.5, 0.5))
    corners = np.array([[7.5, 9.5], [7.5, 29.5], [27.5, 29.5], [27.5, 9.5]]) * 0.5
    shapes = viewer.add_shapes([corners], shape_type="rectangle")
    labels = cut(region=shapes, level=1)
    assert_labels(labels, nc.threshold(full[::2, ::2][4:14, 5:15]))
    assert_lies(labels, (0, 0), image, (8.5, 10.5))


# What happens meanwhile ---------------------------------------------------------------------------


def test_the_image_may_be_renamed_while_it_runs(viewer, widget, qtbot, gate):
    image = viewer.add_image(noise(20, 30), name="first")
    widget.bar.button.click()
    qtbot.waitUntil(gate.reached.is_set)
    image.name = "second"
    with qtbot.waitSignal(widget.bar.ended):
        gate.opened.set()
    assert [layer.name for layer in viewer.layers] == ["second", "first threshold"]
    assert_labels(viewer.layers[-1], nc.threshold(image.data))


def test_the_mask_may_be_painted_on_and_removed_while_it_runs(viewer, widget, qtbot, gate):
    image = viewer.add_image(noise(20, 30), name="image")
    mask = np.zeros((20, 30), np.uint8)
    mask[:9] = 1
    layer = viewer.add_labels(mask.copy())
    widget.boxes["mask"].choose(layer)
    widget.bar.button.click()
    layer.data[...] = 0
    qtbot.waitUntil(gate.reached.is_set)
    viewer.layers.remove(layer)
    with qtbot.waitSignal(widget.bar.ended):
        gate.opened.set()
    assert_labels(viewer.layers[-1], nc.threshold(image.data, mask=mask))


def test_the_image_may_move_while_it_runs(viewer, widget, qtbot, gate):
    image = viewer.add_image(noise(20, 30), scale=(2, 2))
    widget.bar.button.click()
    qtbot.waitUntil(gate.reached.is_set)
    image.scale = (5, 5)
    with qtbot.waitSignal(widget.bar.ended):
        gate.opened.set()
    np.testing.assert_array_equal(viewer.layers[-1].scale, (2, 2), "layers are read when Run is pressed")


def test_the_data_may_be_replaced_by_those_of_another_kind(viewer, widget, cut):
    image = viewer.add_image(noise(4, 3, 12, 14))
    cut(letters="tcyx", time="each", channel=2)
    image.data = noise(16, 18)
    assert widget.target_rows.choice.letters == "yx"
    labels = cut()
    assert_labels(labels, nc.threshold(image.data))
