"""The widget Measure: its rules without a window, and what a user does with it in a real viewer."""

from __future__ import annotations

import csv
import threading
from dataclasses import replace
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import zarr

import napari_cutout as nc
from napari_cutout.widgets import _measurements
from napari_cutout.widgets._measurements import (
    Measured,
    _counted,
    begins_with_time,
    channel_axes,
    columns_of,
    csv_of,
    headline,
    image_problem,
    place_of,
    problems,
    resolve,
    row_of,
    voxel_size,
)

from ..patience import PATIENCE

PLACE = {"scale": (0.5, 0.25), "translate": (3, 4), "units": ("um", "um")}


@pytest.fixture
def model():
    """A viewer without a window."""
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def two(blobs):
    """Two objects, 1 and 2."""
    return nc.threshold(blobs, one_per_object=True)


def answer(question):
    return question.answer(lambda *_: None, lambda: False)


# Rules -----------------------------------------------------------------------------------------------


def test_the_answer_is_that_of_the_library(model, two, blobs):
    labels = model.add_labels(two, name="cut", **PLACE)
    images = [model.add_image(blobs, name="a", **PLACE), model.add_image(blobs / 2, name="b", **PLACE)]
    found = answer(resolve(labels, images, frames=False)).found
    expected = nc.measure(two, {"a": blobs, "b": blobs / 2}, spacing=(0.5, 0.25), units="µm")
    assert found.table == expected.table
    assert found.units == expected.units
    alone = answer(resolve(labels, images[:1], frames=False)).found
    assert alone.table == nc.measure(two, blobs, spacing=(0.5, 0.25)).table, "one channel needs no name"
    assert "mean" not in answer(resolve(labels, [], frames=False)).found.columns


def test_labels_may_be_painted_on_while_they_are_measured(model, two):
    labels = model.add_labels(two.copy(), name="cut")
    question = resolve(labels, [], frames=False)
    labels.data[...] = 7
    assert answer(question).found.table == nc.measure(two).table


def test_layers_that_are_not_in_memory_are_read_in_parts(model, two, blobs, monkeypatch):
    largest = []
    real = _measurements.measure

    def spy(labels, *args, **options):
        assert isinstance(labels, da.Array)
        largest.append(labels.chunksize)
        return real(labels, *args, **options)

    monkeypatch.setattr(_measurements, "measure", spy)
    stored = zarr.array(blobs, chunks=(8, 8))
    expected = nc.measure(two, blobs).table
    for data in (da.from_array(two, (16, 10)), zarr.array(two, chunks=(16, 10)), two):
        labels = model.add_labels(data, name="cut")
        for image in (model.add_image(stored), model.add_image(da.from_array(blobs, (5, 40)))):
            assert answer(resolve(labels, [image], frames=False)).found.table == expected
    assert largest[0] == largest[2] == (16, 10)


def test_multiscale_labels_are_measured_at_full_resolution(model, two):
    labels = model.add_labels([two, two[::2, ::2]], name="cut")
    assert answer(resolve(labels, [], frames=False)).found.table == nc.measure(two).table


def test_channels_along_an_axis_and_colours(model, two, blobs):
    labels = model.add_labels(two, name="cut")
    several = np.stack([blobs, blobs // 2])
    image = model.add_image(several, name="raw")
    assert channel_axes(labels, image) == (0,)
    found = answer(resolve(labels, [image], frames=False, axis=0)).found
    assert found.table == nc.measure(two, {"raw_0": blobs, "raw_1": blobs // 2}).table
    colour = model.add_image(np.stack([blobs] * 3, axis=-1), name="photo", rgb=True)
    assert channel_axes(labels, colour) == (2,)
    assert "mean_photo_g" in answer(resolve(labels, [colour], frames=False)).found.columns
    cube = model.add_labels(np.ones((5, 5), int))
    assert channel_axes(cube, model.add_image(np.ones((5, 5, 5)), rgb=False)) == (0, 1, 2), "asked, not guessed"


def test_frames_are_measured_apart_and_time_is_no_length(model):
    data = np.zeros((3, 6, 8), np.uint8)
    data[1, 2:4, 2:6] = 5
    data[2, 2:4, 2:8] = 5
    labels = model.add_labels(data, name="cut", scale=(60, 0.5, 0.5), units=("s", "um", "um"))
    assert voxel_size(labels, frames=True).lengths == (0.5, 0.5)
    measured = answer(resolve(labels, [], frames=True))
    assert measured.found.columns["frame"].tolist() == [1, 2]
    assert measured.found.columns["area"].tolist() == [2.0, 3.0]
    assert place_of(measured, 1) == (2.0, 2.5, 4.5)
    assert row_of(measured, 5, (1.9, 0, 0)) == 1
    assert row_of(measured, 5, (0.0, 0, 0)) is None
    assert headline(measured) == "'cut': 2 objects in 2 frames, 5 µm² in all"
    named = model.add_labels(data, axis_labels=("T", "y", "x"))
    assert (begins_with_time(named), begins_with_time(labels)) == (True, False)


def test_the_voxel_size_is_that_of_the_layer_else_that_which_is_given(model, two):
    from napari_cutout.widgets._layers import VoxelSize

    bare, sized = model.add_labels(two), model.add_labels(two, **PLACE)
    given = VoxelSize((2.0, 2.0), "nm")
    assert voxel_size(bare, frames=False) is None
    assert answer(resolve(bare, [], frames=False)).found.unit == ""
    assert answer(resolve(bare, [], frames=False, given=given)).found.spacing == (2.0, 2.0)
    assert answer(resolve(sized, [], frames=False, given=given)).found.spacing == (0.5, 0.25)
    assert voxel_size(model.add_labels(two, scale=(2, 2)), frames=False).unit == ""


def test_what_cannot_be_measured_says_why(model, two, blobs):
    assert "there is no Labels layer" in problems(None)[0].sentence
    deep = model.add_labels(np.ones((2, 2, 2, 3, 3), int), name="deep")
    assert "shape (2, 2, 2, 3, 3), and 2-D, 3-D, or frames" in problems(deep)[0].sentence
    labels = model.add_labels(two, name="cut", **PLACE)
    assert problems(labels) == ()
    small = model.add_image(blobs[:5], name="small", **PLACE)
    assert "'small' has shape (5, 40), and 'cut' has (32, 40)" in image_problem(labels, small)
    away = model.add_image(blobs, name="away")
    assert "'away' has the scale (1.0, 1.0) or lies elsewhere" in image_problem(labels, away)
    with pytest.raises(ValueError, match="'away' has the scale"):
        resolve(labels, [away], frames=False)
    with pytest.raises(ValueError, match="or frames of these are needed"):
        resolve(deep, [], frames=False)


def test_columns_asked_for_most_are_in_view_and_each_is_explained(two, blobs):
    found = nc.measure(two, blobs.astype(float), spacing=(0.5, 0.25), units="µm")
    columns = columns_of(found)
    assert [c.name for c in columns if c.shown] == [
        "label", "name", "area", "mean", "max", "sum", "equivalent_diameter", "elongation"
    ]  # fmt: skip
    assert {c.name for c in columns} == {*found.columns, "name"}
    assert next(c for c in columns if c.name == "area").heading == "area µm²"
    assert all(c.tooltip.endswith(".") for c in columns)
    assert [c.name for c in columns if c.editable] == ["name"]
    blobs = blobs.astype(float)
    blobs[5, 6] = np.nan
    assert next(c for c in columns_of(nc.measure(two, blobs)) if c.name == "n_nan").shown
    assert next(c for c in columns_of(nc.measure(two)) if c.name == "n_voxels").shown, "where there is no unit"


def test_csv_has_names_where_there_are_any(two):
    measured = Measured(nc.measure(two), False, "cut")
    assert csv_of(measured, ["", ""]) == measured.found.csv_text({"image": ["cut", "cut"]})
    assert csv_of(replace(measured, image="blobs"), ["", ""]).splitlines()[1].startswith("blobs,1,")
    rows = list(csv.DictReader(csv_of(measured, ["nuclei, large", ""]).splitlines()))
    assert [row["name"] for row in rows] == ["nuclei, large", ""]
    assert headline(measured) == "'cut': 2 objects, 220 pixels in all"
    assert [_counted(n) for n in (165060, 3.25, 12345.6)] == ["165,060", "3.25", "12,346"]


# In a window -----------------------------------------------------------------------------------------


@pytest.fixture
def opened(viewer, dock, two, blobs):
    """The widget on two objects and their image, which lie on each other."""
    viewer.add_image(blobs, name="blobs", **PLACE)
    viewer.add_labels(two.copy(), name="cut", **PLACE)
    return dock("Measure")


def shown(widget, name):
    at = [column.name for column in widget.table.columns if column.shown].index(name)
    return [row[at] for row in widget.table.texts()]


def event_at(layer, index):
    """What napari tells of a click on an index of the data."""
    position = tuple(layer.data_to_world(index))
    return SimpleNamespace(position=position, view_direction=None, dims_displayed=list(range(len(position))))


def click(viewer, layer, index):
    for callback in list(viewer.mouse_drag_callbacks):
        if getattr(callback, "__self__", None) is not None:
            callback(viewer, event_at(layer, index))


@pytest.mark.qt
def test_the_table_is_that_of_measure(opened, press, two, blobs):
    assert "voxel" not in opened._voxel.text()
    assert opened._voxel.text() == "pixel 0.5 × 0.25 µm"  # noqa: RUF001
    assert [layer.name for layer in opened.image_list.ticked] == ["blobs"], "the only image is measured"
    press(opened)
    expected = nc.measure(two, blobs, spacing=(0.5, 0.25), units="µm")
    assert opened.measured.found.table == expected.table
    assert shown(opened, "area") == ["10", "17.5"]
    assert shown(opened, "mean") == ["200", "180"]
    assert opened.headline.text() == "'cut': 2 objects, 27.5 µm² in all"


@pytest.mark.qt
def test_a_selected_row_is_shown_in_the_viewer(viewer, opened, press):
    press(opened)
    cut = viewer.layers["cut"]
    opened.table.selectRow(1)
    assert cut.selected_label == 2
    centre = cut.data_to_world((22.5, 26.5))
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], centre)
    opened.only_box.setChecked(True)
    assert cut.show_selected_label
    opened.table.selectRow(0)
    assert cut.selected_label == 1
    assert opened.table.selected == [0]


@pytest.mark.qt
def test_a_click_on_an_object_selects_its_row(viewer, opened, press):
    cut = viewer.layers["cut"]
    click(viewer, cut, (20, 25))  # nothing was measured yet
    press(opened)
    opened.table.sortByColumn(0, opened.table.horizontalHeader().sortIndicatorOrder().DescendingOrder)
    before = tuple(viewer.scene.camera.center)
    click(viewer, cut, (20, 25))
    assert opened.table.selected == [1]
    click(viewer, cut, (0, 0))
    assert opened.table.selected == [1], "the background selects nothing"
    cut.selected_label = 2
    cut.selected_label = 1  # as the picker of napari does
    assert opened.table.selected == [0]
    cut.selected_label = 77
    assert opened.table.selected == []
    assert tuple(viewer.scene.camera.center) == before, "who clicks looks at it already"


@pytest.mark.qt
def test_in_3d_the_sliders_go_to_the_object_and_in_frames_to_its_frame(viewer, dock, press, volume):
    labels = nc.threshold_at(volume, value=400.0, one_per_object=True)
    cut = viewer.add_labels(labels, name="cut", scale=(2, 1, 1), translate=(10, 0, 0), units=("um",) * 3)
    widget = dock("Measure")
    press(widget)
    assert "volume" in widget.measured.found.columns
    widget.table.selectRow(1)
    assert viewer.dims.point[0] == 10 + 2 * 3
    widget.first_axis_box.setCurrentIndex(1)
    assert widget._voxel.text() == "pixel 1 × 1 µm"  # noqa: RUF001
    press(widget)
    assert widget.measured.found.columns["frame"].tolist() == [1, 2, 2, 3, 3, 4]
    widget.table.selectRow(5)
    assert viewer.dims.point[0] == 10 + 2 * 4
    click(viewer, cut, (2, 12, 13))
    assert widget.table.selected == [2]
    viewer.dims.ndisplay = 3
    widget.table.selectRow(0)
    np.testing.assert_allclose(viewer.scene.camera.center, cut.data_to_world((1, 5, 6)))


@pytest.mark.qt
def test_a_name_given_in_one_table_stands_in_all(viewer, opened, dock, press, two):
    from qtpy.QtCore import Qt

    press(opened)
    viewer.add_labels(two, name="other", metadata={"napari_cutout": {"recipe": "{}"}})
    second = type(opened)(viewer)
    second.labels_box.choose(viewer.layers["other"])
    press(second)
    model = opened.table.model()
    opened.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    opened.table.select([0])
    at = [column.name for column in opened.table.columns].index("name")
    model.setData(model.index(0, at), "large")
    assert shown(opened, "name") == ["large", ""]
    assert shown(second, "name") == ["", "large"]
    assert opened.table.selected == [0]
    assert viewer.layers["other"].metadata["napari_cutout"]["class_names"] == {"2": "large"}
    second.let_go()
    second.deleteLater()


@pytest.mark.qt
def test_images_that_do_not_fit_cannot_be_ticked_and_say_why(viewer, opened, blobs):
    from qtpy.QtCore import Qt

    viewer.add_image(blobs[:5], name="small")
    viewer.add_image(blobs, name="second", **PLACE)
    flags = [opened.image_list.item(at).flags() for at in range(3)]
    assert [bool(flag & Qt.ItemFlag.ItemIsEnabled) for flag in flags] == [True, False, True]
    assert "'small' has shape (5, 40)" in opened.image_list.item(1).toolTip()
    assert [layer.name for layer in opened.image_list.ticked] == ["blobs"], (
        "what was ticked stays, and no other is added"
    )
    viewer.layers["blobs"].scale = (1, 1)
    assert opened.image_list.ticked == []


@pytest.mark.qt
def test_the_axis_of_channels_is_asked_for_where_there_is_one(viewer, opened, press, blobs):
    assert opened._form.isRowVisible(opened.channel_box) is False
    viewer.add_image(np.stack([blobs, 255 - blobs]), name="raw")
    opened.image_list.tick(viewer.layers["raw"])
    assert opened._form.isRowVisible(opened.channel_box)
    assert [opened.channel_box.itemText(at) for at in range(opened.channel_box.count())] == ["axis 0"]
    press(opened)
    assert shown(opened, "mean_raw_1") == ["55", "75"]


@pytest.mark.qt
def test_a_size_can_be_given_where_the_layer_has_none(viewer, dock, press, two):
    viewer.add_labels(two, name="cut")
    widget = dock("Measure")
    assert widget._voxel.text() == "pixel size not set: sizes and lengths are in pixels"
    assert widget._form.isRowVisible(widget.voxel_size)
    widget.voxel_size.set_value(0.5, 0.5)
    press(widget)
    assert shown(widget, "area") == ["20", "35"]
    assert widget.measured.found.unit == "µm"
    viewer.layers["cut"].scale = (2, 2)
    assert not widget._form.isRowVisible(widget.voxel_size)


@pytest.mark.qt
def test_painted_labels_outdate_the_table(viewer, opened, press):
    press(opened)
    viewer.layers["cut"].paint((0, 0), 3)
    assert "measure again" in opened.headline.text()
    press(opened)
    assert "measure again" not in opened.headline.text()
    assert opened.measured.found.columns["label"].tolist() == [1, 2, 3]


@pytest.mark.qt
def test_export_writes_all_columns_and_damages_no_file(opened, press, tmp_path, monkeypatch):
    assert not opened.csv_button.isEnabled()
    press(opened)
    opened.names.set(2, "large")
    target = tmp_path / "objects.csv"
    monkeypatch.setattr(
        "napari_cutout.widgets._measure.QFileDialog.getSaveFileName", lambda *_, **__: (str(target), "")
    )
    opened.csv_button.click()
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["", "large"]
    assert set(rows[0]) == {*opened.measured.found.headings, "image", "name"}
    assert opened.bar.status.text() == f"wrote {target}"
    once = target.read_bytes()
    for answer, expected in (("", once), ("add", once + once.split(b"\r\n", 1)[1]), ("replace", once)):
        monkeypatch.setattr(opened, "_ask_what_to_do", lambda _, answer=answer: answer)
        opened.csv_button.click()
        assert target.read_bytes() == expected
    target.write_text("mine")
    opened.export(target, add=True)
    assert opened.bar.status.text().startswith("'objects.csv' has other columns")
    opened.export(target)
    assert target.read_text() == "mine"
    assert "exists already" in opened.bar.status.text()


@pytest.mark.qt
def test_without_labels_it_says_what_to_do(viewer, dock, two):
    widget = dock("Measure")
    assert not widget.bar.button.isEnabled()
    assert "there is no Labels layer" in widget._lines["labels"].text()
    viewer.add_labels(two)
    assert widget.bar.button.isEnabled()
    assert widget._lines["labels"].isHidden()


@pytest.mark.qt
def test_an_error_is_one_line_and_the_table_stays(viewer, opened, press, monkeypatch):
    monkeypatch.setattr("napari.utils.notifications.show_error", lambda _: None)
    press(opened)
    viewer.layers["cut"].data = viewer.layers["cut"].data.astype(int) * -1
    press(opened)
    assert opened._lines["labels"].text().startswith("labels hold -2, and labels must be 0 or more")
    assert opened.table.n_rows == 2


@pytest.mark.qt
def test_cancel_leaves_what_was_there(opened, press, qtbot, monkeypatch):
    reached, go_on = threading.Event(), threading.Event()
    real = _measurements.measure

    def held(*args, **options):
        reached.set()
        assert go_on.wait(PATIENCE)
        return real(*args, **options)

    monkeypatch.setattr(_measurements, "measure", held)
    opened.bar.button.click()
    qtbot.waitUntil(reached.is_set)
    with qtbot.waitSignal(opened.bar.ended):
        opened.bar.button.click()
        go_on.set()
    assert opened.measured is None
    assert opened.table.n_rows == 0


@pytest.mark.qt
def test_layers_may_be_removed_and_the_widget_closed(viewer, opened, press):
    press(opened)
    before = len(viewer.mouse_drag_callbacks)
    viewer.layers.remove("cut")
    opened.table.selectRow(1)  # there is nothing to move to
    assert not opened.bar.button.isEnabled()
    viewer.window.remove_dock_widget(opened)
    assert len(viewer.mouse_drag_callbacks) == before - 1


@pytest.mark.qt
def test_it_fits_into_a_narrow_window(opened, press):
    press(opened)
    assert opened.minimumSizeHint().width() <= 350


@pytest.mark.qt
def test_an_image_without_a_voxel_size_is_given_the_place_of_the_labels(opened, viewer, blobs):
    assert opened.place_button.isHidden()
    viewer.add_image(blobs[:5], name="smaller")
    assert opened.place_button.isHidden()
    plain = viewer.add_image(blobs, name="plain")
    assert opened.place_button.text() == "Give the image the place of the labels"
    assert "'plain'" in opened.place_button.toolTip()
    opened.place_button.click()
    assert opened.place_button.isHidden()
    assert image_problem(viewer.layers["cut"], plain) == ""
