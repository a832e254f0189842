"""The widgets Watershed and Split touching: points and strokes as markers, what is counted, previews, and the chain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import napari_cutout as nc
from napari_cutout.cli import main
from napari_cutout.widgets import _preview_job

pytestmark = [pytest.mark.qt, pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")]

MIDDLES = [(8, 10), (9, 31), (24, 14), (25, 36)]


@pytest.fixture
def bowls():
    """Four bowls with walls between them, each with a floor of its own, uint8."""
    away = [np.hypot(*(np.indices((34, 46)) - np.array(at)[:, None, None])) for at in MIDDLES]
    return (10 + 6 * np.min(away, axis=0)).astype(np.uint8)


@pytest.fixture
def discs():
    """Two discs that touch, and one by itself."""
    y, x = np.mgrid[:40, :60]
    centres = ((14, 14), (14, 31), (30, 50))
    return np.any([(y - a) ** 2 + (x - b) ** 2 < 81 for a, b in centres], axis=0).astype(np.uint8)


@pytest.fixture
def widget(dock):
    return dock("Watershed")


@pytest.fixture
def flooding(viewer, widget, bowls):
    """The widget with four bowls, and a point in three of them."""
    viewer.add_image(bowls, name="bowls", scale=(0.5, 0.5), units=("um", "um"))
    points = viewer.add_points(MIDDLES[:3], name="seeds", scale=(0.5, 0.5), units=("um", "um"))
    widget.boxes["markers"].choose(points)
    return widget


def labels_at(shape, points, labels=None):
    """Return labels at points, by hand."""
    marked = np.zeros(shape, np.uint8)
    for number, at in enumerate(points):
        marked[at] = number + 1 if labels is None else labels[number]
    return marked


def remark(widget):
    return widget._remarks["markers"].text()


# Markers ------------------------------------------------------------------------------------------


def test_each_point_grows_into_an_object(viewer, flooding, press, bowls):
    assert remark(flooding) == "3 points mark 3 objects"
    press(flooding)
    labels = viewer.layers["bowls watershed"]
    np.testing.assert_array_equal(labels.data, nc.watershed(bowls, labels_at(bowls.shape, MIDDLES[:3])))
    assert len(np.unique(labels.data)) == 3
    assert flooding.bar.status.text().startswith("3 objects from 3 markers · CPU")
    np.testing.assert_array_equal(labels.scale, (0.5, 0.5))


def test_points_follow_the_layer_and_their_feature_names_labels(viewer, flooding, press, bowls):
    points = viewer.layers["seeds"]
    points.add([MIDDLES[3]])
    assert remark(flooding) == "4 points mark 4 objects"
    points.features = {"label": [5, 5, 2, 2]}
    assert remark(flooding) == "4 points mark 2 objects"
    press(flooding)
    expected = nc.watershed(bowls, labels_at(bowls.shape, MIDDLES, [5, 5, 2, 2]))
    np.testing.assert_array_equal(viewer.layers["bowls watershed"].data, expected)
    assert set(np.unique(expected)) == {2, 5}


def test_points_outside_the_image_or_the_mask_are_said_and_left_out(viewer, flooding, press, bowls):
    viewer.layers["seeds"].add([(-5, 3)])
    mask = np.zeros(bowls.shape, np.uint8)
    mask[:, :30] = 1
    layer = viewer.add_labels(mask, name="inside", scale=(0.5, 0.5), units=("um", "um"))
    flooding.boxes["mask"].choose(layer)
    said = "4 points mark 2 objects; 1 lies outside the image and is left out; 1 lies outside the mask and is left out"
    assert remark(flooding) == said
    press(flooding)
    expected = nc.watershed(bowls, labels_at(bowls.shape, MIDDLES[:3]), mask)
    np.testing.assert_array_equal(viewer.layers["bowls watershed"].data, expected)
    assert set(np.unique(expected)) == {0, 1, 3}


def test_every_slice_of_a_volume_has_its_points(viewer, dock, press):
    rng = np.random.default_rng(0)
    volume = ndimage.gaussian_filter(rng.random((5, 20, 24)), 1).astype(np.float32)
    viewer.add_image(volume, name="volume", scale=(3, 1, 1))
    at = [(0, 3, 4), (4, 15, 20), (2, 10, 2)]
    seeds = viewer.add_points(at, name="seeds", scale=(3, 1, 1))
    widget = dock("Watershed")
    widget.boxes["markers"].choose(seeds)
    press(widget)
    expected = nc.watershed(volume, labels_at(volume.shape, at), spacing=(3.0, 1.0, 1.0))
    np.testing.assert_array_equal(viewer.layers["volume watershed"].data, expected)


def test_a_label_means_the_same_in_every_slice(viewer, dock, press, qtbot):
    volume = np.random.default_rng(0).random((3, 20, 24)).astype(np.float32)
    strokes = np.zeros(volume.shape, np.uint8)
    for at, label in {(0, 2, 2): 7, (0, 9, 20): 2, (1, 5, 5): 2, (2, 3, 4): 7, (2, 18, 9): 9}.items():
        strokes[at] = label
    viewer.add_image(volume, name="volume")
    layer = viewer.add_labels(strokes, name="strokes")
    widget = dock("Watershed")
    widget.boxes["markers"].choose(layer)
    widget.target_rows.choose(depth="each")
    press(widget)
    expected = np.stack([nc.watershed(*one) for one in zip(volume, strokes, strict=True)])
    np.testing.assert_array_equal(widget.results.last.data, expected)
    assert set(np.unique(expected)) == {2, 7, 9}
    viewer.dims.set_current_step(0, 2)
    viewer.dims.order = (1, 0, 2)  # a part of every slice
    with qtbot.waitSignal(widget.preview.answered) as told:
        widget.preview_box.setChecked(True)
    assert told.args[0].approximate == ""
    y = viewer.dims.current_step[1]
    np.testing.assert_array_equal(viewer.layers["preview"].data[:, 0], expected[:, y])


def test_histogram_takes_points_for_strokes_as_well(viewer, dock, press, bowls):
    viewer.add_image(bowls, name="bowls")
    points = viewer.add_points([(0, 0), (8, 10)], name="seeds")
    widget = dock("Histogram")
    widget.choose_method("back_projection")
    widget.boxes["markers"].choose(points)
    press(widget)
    expected = nc.back_projection(bowls, labels_at(bowls.shape, [(0, 0), (8, 10)]))
    np.testing.assert_array_equal(viewer.layers[-1].data, expected)


# Bad input ----------------------------------------------------------------------------------------


def is_red(widget, name):
    return "border" in widget.boxes[name].styleSheet()


def test_without_markers_there_is_a_hint_and_no_run(viewer, widget, bowls):
    viewer.add_image(bowls)
    assert "watershed needs strokes; press + beside the field" in widget._lines["markers"].text()
    assert "or choose a Points layer" in widget._lines["markers"].text()
    assert not is_red(widget, "markers")
    assert widget._lines["markers"].styleSheet() == ""
    assert not widget.bar.button.isEnabled()


@pytest.mark.parametrize("why", ["outside the image", "outside the mask", "no points", "axes", "shape", "elsewhere"])
def test_markers_that_do_not_fit_turn_the_field_red(viewer, flooding, bowls, why):
    assert flooding.bar.button.isEnabled()
    plain = {"scale": (0.5, 0.5), "units": ("um", "um")}
    if why == "outside the image":
        layer, sentence = viewer.add_points([(-9, 3)], **plain), "lies outside the image; place at least one inside"
    elif why == "outside the mask":
        mask = viewer.add_labels(np.zeros(bowls.shape, np.uint8), **plain)
        flooding.boxes["mask"].choose(mask)
        layer, sentence = viewer.layers["seeds"], "lies outside the mask; place at least one inside, or widen it"
    elif why == "no points":
        layer, sentence = viewer.add_points(ndim=2, name="none", **plain), "'none' has no points; add some"
    elif why == "axes":
        viewer.layers["bowls"].data = np.stack([bowls] * 3)
        layer, sentence = viewer.layers["seeds"], "'seeds' has points of 2 axes, and 3 are needed"
    elif why == "shape":
        layer, sentence = viewer.add_labels(np.ones((4, 5), np.uint8), **plain), "must have the shape of image"
    else:
        layer, sentence = viewer.add_labels(np.ones(bowls.shape, np.uint8)), "lies elsewhere than 'bowls'"
    flooding.boxes["markers"].choose(layer)
    assert sentence in flooding._lines["markers"].text()
    assert is_red(flooding, "markers")
    assert not flooding.bar.button.isEnabled()
    assert remark(flooding) == ""
    flooding.boxes["mask"].choose(None)
    if why == "outside the mask":
        assert flooding.bar.button.isEnabled()


def test_strokes_that_are_empty_are_said_below_the_field(viewer, flooding, press):
    flooding.add_layer("markers")
    press(flooding)
    assert "markers have no painted voxel, all are 0" in flooding._lines["markers"].text()
    assert is_red(flooding, "markers")


# Methods, the chain, and how it is made again ---------------------------------------------------------


def test_the_methods_say_what_they_are_good_for(widget):
    box = widget.method_box
    assert [box.itemText(n) for n in range(box.count())] == [
        "watershed",
        "watershed from minima",
        "markers from minima",
    ]
    widget.choose_method("watershed_from_minima")
    assert "every minimum that is deep enough" in widget._summary.text()
    assert not widget.boxes["markers"].isVisibleTo(widget)
    surface = widget.editors["surface"].field
    assert [surface.itemText(n) for n in range(surface.count())] == ["intensity", "inverted", "gradient"]


def test_minima_become_markers_are_edited_and_are_flooded(viewer, widget, press, bowls):
    viewer.add_image(bowls, name="bowls")
    widget.choose_method("markers_from_minima")
    press(widget)
    minima = viewer.layers["bowls markers from minima"]
    assert minima.data.max() == 4
    assert " · 4 minima · CPU" in widget.bar.status.text()
    widget.result_bar.use_menu.aboutToShow.emit()
    (menu,) = (one.menu() for one in widget.result_bar.use_menu.actions() if one.text() == "Markers")
    next(action for action in menu.actions() if action.text() == "Watershed").trigger()
    assert widget.method.name == "watershed"
    assert widget.boxes["markers"].layer.name == minima.name
    press(widget)
    first = viewer.layers["bowls watershed"]
    np.testing.assert_array_equal(first.data, nc.watershed(bowls, nc.markers_from_minima(bowls)))
    assert "markers_from_minima" in first.metadata["napari_cutout"]["recipe"]
    minima.data[minima.data == 4] = 1
    minima.refresh()
    edited = minima.data.copy()
    press(widget)
    again = widget.results.last
    np.testing.assert_array_equal(again.data, nc.watershed(bowls, edited))
    assert len(np.unique(again.data)) == 3
    assert "markers_from_minima" not in again.metadata["napari_cutout"]["recipe"]


@pytest.fixture
def copied(qtbot):
    """Return what a press on Copy puts on the clipboard."""

    def copy(widget, form):
        with qtbot.waitSignal(widget.result_bar.copied) as told:
            widget.result_bar.copy(form)
        return told.args[0]

    return copy


@pytest.mark.parametrize("labels", [None, [4, 4, 9]], ids=["numbered", "named"])
def test_points_are_kept_with_the_recipe(viewer, widget, press, bowls, copied, tmp_path, monkeypatch, labels):
    monkeypatch.chdir(tmp_path)
    nc.write("bowls.tif", nc.Volume(bowls, "yx"), kind="image")
    viewer.open("bowls.tif", plugin="napari", layer_type="image", name="bowls")
    features = {} if labels is None else {"label": labels}
    points = viewer.add_points(MIDDLES[:3], name="seeds", features=features)
    widget.boxes["markers"].choose(points)
    press(widget)
    expected = widget.results.last.data.copy()
    points.data = [(0, 0)]  # what was clicked since does not matter
    names = {}
    script = copied(widget, "python")
    exec(compile(script, "copied.py", "exec"), names)
    np.testing.assert_array_equal(names["labels"], expected)
    assert "nc.markers_from_points([(8, 10), (9, 31), (24, 14)], (34, 46)" in script
    command = copied(widget, "command")
    assert command.splitlines()[0] == "# save the recipe as 'recipe.json' first, with markers beside it"
    widget.result_bar.save("recipe.json")
    assert main([*command.splitlines()[-1].split()[1:], "--overwrite"]) == 0
    np.testing.assert_array_equal(nc.read("labels.tif").data, expected)


# Previews and counts ------------------------------------------------------------------------------


@pytest.fixture
def previewed(qtbot):
    """Switch the preview on, or change the form, and return the line below Run once it has said so."""

    def preview(widget, change, *, until):
        change()
        qtbot.waitUntil(lambda: until in widget.bar.status.text())
        return widget.bar.status.text()

    return preview


def test_what_is_counted_is_shown_while_settings_change(viewer, widget, press, bowls, previewed):
    viewer.add_image(bowls, name="bowls")
    widget.choose_method("markers_from_minima")
    line = previewed(widget, lambda: widget.preview_box.setChecked(True), until="minima")
    assert line.startswith("preview · depth ")
    assert line.endswith(" · 4 minima")
    deepest = int(bowls.max())
    line = previewed(widget, lambda: widget.set(depth=float(deepest)), until="1 minimum")
    assert line == f"preview · depth {deepest} · 1 minimum"
    widget.set(depth=None)
    press(widget)
    assert " · 4 minima · CPU" in widget.bar.status.text()


def test_the_preview_of_a_small_volume_is_that_of_the_run(viewer, widget, previewed):
    rng = np.random.default_rng(1)
    volume = ndimage.gaussian_filter(rng.random((6, 30, 32)), 1.5).astype(np.float32)
    viewer.add_image(volume, name="volume")
    viewer.dims.set_current_step(0, 2)
    widget.choose_method("watershed_from_minima")
    line = previewed(widget, lambda: widget.preview_box.setChecked(True), until="in this slice")
    whole = nc.watershed_from_minima(volume)
    np.testing.assert_array_equal(viewer.layers["preview"].data, whole[2:3])
    assert line.endswith(f" · {whole.max()} minima, {len(np.unique(whole[2]))} in this slice")


def test_a_slice_of_a_large_volume_is_flooded_by_itself_and_says_so(viewer, widget, previewed, monkeypatch):
    monkeypatch.setattr(_preview_job, "FLOODED_VOXELS", 1000)
    rng = np.random.default_rng(1)
    volume = ndimage.gaussian_filter(rng.random((6, 30, 32)), 1.5).astype(np.float32)
    viewer.add_image(volume, name="volume")
    viewer.dims.set_current_step(0, 2)
    widget.choose_method("watershed_from_minima")
    line = previewed(widget, lambda: widget.preview_box.setChecked(True), until="approximate: this slice by itself")
    alone = nc.watershed_from_minima(volume[2], depth=0.05)
    widget.set(depth=0.05)
    line = previewed(widget, lambda: widget.set(depth=0.05), until="depth 0.05 ")
    np.testing.assert_array_equal(viewer.layers["preview"].data[0], alone)
    assert line == f"preview · depth 0.05 · {alone.max()} minima in this slice · approximate: this slice by itself"


def test_a_slice_without_markers_is_left_blank(viewer, widget, previewed, monkeypatch):
    monkeypatch.setattr(_preview_job, "FLOODED_VOXELS", 1000)
    volume = np.random.default_rng(1).random((6, 30, 32)).astype(np.float32)
    viewer.add_image(volume, name="volume")
    points = viewer.add_points([(2, 4, 5), (2, 20, 25)], name="seeds")
    widget.boxes["markers"].choose(points)
    viewer.dims.set_current_step(0, 2)
    line = previewed(widget, lambda: widget.preview_box.setChecked(True), until="by itself")
    assert line == "preview · 2 markers in this slice · approximate: this slice by itself"
    alone = nc.watershed(volume[2], labels_at((30, 32), [(4, 5), (20, 25)]))
    np.testing.assert_array_equal(viewer.layers["preview"].data[0], alone)
    line = previewed(widget, lambda: viewer.dims.set_current_step(0, 4), until="no markers in this slice")
    assert not viewer.layers["preview"].data.any()


# Split touching -----------------------------------------------------------------------------------


def test_touching_objects_are_cut_where_they_are_narrow(viewer, dock, press, discs, previewed):
    viewer.add_image(discs * 100.0, name="an image")
    layer = viewer.add_labels(discs, name="nuclei", scale=(0.5, 0.5), units=("um", "um"))
    widget = dock("Split touching")
    assert [one.name for one in widget.boxes["labels"].offered] == ["nuclei"]
    assert widget.editors["smoothing"].world.text() == "= 0.5 µm"
    assert widget.editors["depth"].world.text() == "= 0.5 µm"
    assert widget.more.isHidden()
    line = previewed(widget, lambda: widget.preview_box.setChecked(True), until="objects")
    assert line == "preview · 3 objects"
    press(widget)
    labels = widget.results.last
    np.testing.assert_array_equal(labels.data, nc.split_touching(discs, spacing=(0.5, 0.5)))
    assert widget.bar.status.text().startswith("3 objects · CPU")
    assert (labels.data > 0).sum() == (layer.data > 0).sum()


def test_the_spacing_of_the_layer_counts(viewer, dock, press):
    z, y, x = np.mgrid[:9, :21, :41]
    pair = np.any([(4 * (z - 4)) ** 2 + (y - 10) ** 2 + (x - at) ** 2 < 90 for at in (12, 28)], axis=0)
    viewer.add_labels(pair.astype(np.uint8), name="pair", scale=(4, 1, 1), units=("um",) * 3)
    widget = dock("Split touching")
    press(widget)
    result = widget.results.last
    np.testing.assert_array_equal(result.data, nc.split_touching(pair, spacing=(4.0, 1.0, 1.0)))
    assert result.data.max() == 2
    assert result.metadata["napari_cutout"]["provenance"]["steps"][0]["settings"]["spacing"] == [4.0, 1.0, 1.0]


def test_labels_without_background_are_refused_below_their_field(viewer, dock, press):
    viewer.add_labels(np.ones((9, 9), np.uint8), name="full")
    widget = dock("Split touching")
    press(widget)
    assert "labels cover the whole image with one label" in widget._lines["labels"].text()
    assert is_red(widget, "labels")
