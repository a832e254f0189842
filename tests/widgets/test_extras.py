"""The histogram inside a real form: what it counts, where its lines stand, and what dragging them does."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_cutout.widgets._extras import make_extra

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")]


@pytest.fixture
def plot_of(qtbot):
    """Return the plot of a widget, once it shows so many voxels."""

    def found(widget, n_voxels):
        plot = widget.extras["histogram"].view.plot
        qtbot.waitUntil(lambda: f"{n_voxels:,} voxels" in plot.line.text())
        return plot

    return found


def preview(widget, qtbot):
    """Switch the preview on and wait for its answer."""
    with qtbot.waitSignal(widget.preview.answered):
        widget.preview_box.setChecked(True)


def test_it_counts_the_image_that_is_chosen_inside_the_mask(viewer, dock, blobs, plot_of):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    plot_of(widget, blobs.size)
    mask = np.zeros(blobs.shape, np.uint8)
    mask[:5] = 1
    widget.boxes["mask"].choose(viewer.add_labels(mask))
    plot_of(widget, 5 * 40)
    widget.boxes["mask"].choose(None)
    widget.boxes["image"].choose(viewer.add_image(blobs[:10], name="part"))
    plot_of(widget, 400)


def test_it_counts_the_channel_that_is_chosen(viewer, dock, plot_of):
    image = np.zeros((3, 8, 9), np.uint8)
    image[1], image[2] = 50, np.arange(72).reshape(8, 9)
    viewer.add_image(image, name="channels")
    widget = dock("Threshold")
    widget.target_rows.choose(letters="cyx", channel=2)
    plot = plot_of(widget, 72)
    assert plot.line.text().startswith("72 levels")


def test_lines_stand_where_the_preview_and_the_run_cut(viewer, dock, press, qtbot, blobs, plot_of):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    plot = plot_of(widget, blobs.size)
    assert plot.levels == ()
    preview(widget, qtbot)
    qtbot.waitUntil(lambda: plot.levels == (10.0,))
    widget.preview_box.setChecked(False)
    widget.choose_method("multi_otsu")
    press(widget)
    found = viewer.layers["blobs multi otsu"].metadata["napari_cutout"]["provenance"]["facts"]["thresholds"]
    qtbot.waitUntil(lambda: plot.levels == tuple(found))


@pytest.mark.parametrize(
    ("method", "moved_to", "by_hand", "setting"),
    [("threshold", 150.0, "threshold_at", 150.0), ("multi_otsu", 20.0, "classes_at", (20.0, 180.0))],
    ids=["one level", "several levels"],
)
def test_a_line_that_is_let_go_is_what_the_form_says(
    method, moved_to, by_hand, setting, viewer, dock, press, qtbot, blobs, plot_of
):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.choose_method(method)
    plot = plot_of(widget, blobs.size)
    press(widget)
    qtbot.waitUntil(lambda: bool(plot.levels))
    plot.canvas.set_level(0, moved_to)
    assert widget.method.name == by_hand
    (value,) = (v for name, v in widget.settings.items() if name in ("value", "values"))
    assert value == setting
    assert plot.levels == (setting if isinstance(setting, tuple) else (setting,))


def test_dragging_previews_and_leaves_the_form_alone(viewer, dock, qtbot, blobs, plot_of):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    plot = plot_of(widget, blobs.size)
    preview(widget, qtbot)
    qtbot.waitUntil(lambda: bool(plot.levels))
    plot._line_moving(0, 190.0)  # what the mouse does while it holds the line
    qtbot.waitUntil(lambda: np.array_equal(viewer.layers["preview"].data, blobs > 190))
    assert widget.method.name == "threshold"


def test_strokes_are_drawn_on_top(viewer, dock, qtbot, blobs, plot_of):
    viewer.add_image(blobs, name="blobs")
    strokes = np.zeros(blobs.shape, np.uint8)
    strokes[6, 6:9], strokes[0, :4] = 1, 2
    layer = viewer.add_labels(strokes, name="strokes")
    widget = dock("Histogram")
    widget.choose_method("back_projection")
    widget.boxes["markers"].choose(layer)
    plot = plot_of(widget, blobs.size)
    qtbot.waitUntil(lambda: "1" in plot.legend.text() and "2" in plot.legend.text())
    widget.choose_method("histogram_segmentation")
    qtbot.waitUntil(lambda: plot.legend.isHidden())


def test_a_layer_that_is_not_in_memory_is_said_to_be_approximate(viewer, dock, qtbot):
    random = np.random.default_rng(0)
    levels = [random.integers(0, 255, (side, side), np.uint8) for side in (1024, 512, 256)]
    viewer.add_image([da.from_array(level, chunks=256) for level in levels], name="lazy", multiscale=True)
    widget = dock("Threshold")
    plot = widget.extras["histogram"].view.plot
    qtbot.waitUntil(lambda: "voxels" in plot.line.text())
    assert plot.line.text().endswith("262,144 voxels · level 1"), "a smaller level stands for the image, and is named"


def test_settings_that_are_wrong_take_no_histogram_away(viewer, dock, blobs, plot_of):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    widget.choose_method("classes_at")  # it has no level yet, so its setting is wrong
    plot_of(widget, blobs.size)
    assert not widget.bar.button.isEnabled()


def test_closing_stops_it_and_forgets_the_viewer(viewer, dock, blobs, plot_of):
    viewer.add_image(blobs, name="blobs")
    widget = dock("Threshold")
    extra = widget.extras["histogram"]
    plot_of(widget, blobs.size)
    before = len(viewer.events.theme.callbacks)
    viewer.window.remove_dock_widget(widget)
    assert len(viewer.events.theme.callbacks) == before - 1
    assert extra.view._theme._closed


def test_an_extra_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ValueError, match=r"there is no extra 'plot'; a method may declare: histogram"):
        make_extra("plot", None)
