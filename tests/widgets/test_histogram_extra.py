"""Which lines stand in the histogram of a widget, and what dragging them does to its form."""

from __future__ import annotations

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout.widgets._histogram_levels import (
    Change,
    Lines,
    change_for,
    description,
    lines_of,
    stroke_histograms,
    tint_colours,
)

THRESHOLDS = catalog.rows()["Threshold"]
HISTOGRAMS = [m for m in catalog.rows()["Histogram"] if m.row == "Histogram"]
IMAGE = np.arange(100, dtype=np.uint8).repeat(3).reshape(10, 30)


def find(name):
    return catalog.find(name)


def colour_of(label):
    return f"#0000{label:02x}"


# Lines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "facts", "lines"),
    [
        ("threshold", {"method": "otsu"}, {}, Lines()),
        ("threshold", {"method": "otsu"}, {"threshold": 13.0}, Lines((13.0,))),
        ("multi_otsu", {}, {"thresholds": [3.0, 9.0]}, Lines((3.0, 9.0), into_classes=True)),
        ("threshold_at", {"value": 60.0}, {"threshold": 13.0}, Lines((60.0,), ("value",))),
        ("classes_at", {"values": (1.0, 2.0)}, {}, Lines((1.0, 2.0), ("values", "values"), True)),
        ("classes_at", {"values": (2.0, 1.0)}, {}, Lines()),
        ("classes_at", {"values": (1.0, "x")}, {}, Lines()),
        ("hysteresis", {"low": None, "high": None}, {}, Lines()),
        ("hysteresis", {"low": None, "high": None}, {"low": 1.0, "high": 2.0}, Lines((1.0, 2.0), ("low", "high"))),
        ("hysteresis", {"low": 1.5, "high": None}, {"low": 1.5, "high": 2.0}, Lines((1.5, 2.0), ("low", "high"))),
        ("hysteresis", {"low": 9.0, "high": 2.0}, {}, Lines()),
    ],
    ids=[
        "nothing run yet",
        "found",
        "several found",
        "given, not what an older run found",
        "several given",
        "falling",
        "no number",
        "automatic",
        "automatic and found",
        "one given",
        "crossed",
    ],
)
def test_lines_are_the_levels_that_are_set_or_were_found(name, settings, facts, lines):
    assert lines_of(find(name), settings, facts) == lines


def test_facts_of_a_run_are_lines():
    with nc.watch() as seen:
        nc.hysteresis(IMAGE)
    low, high = seen.facts["low"], seen.facts["high"]
    assert lines_of(find("hysteresis"), {"low": None, "high": None}, seen.facts).levels == (low, high)


@pytest.mark.parametrize(
    ("name", "lines", "levels", "change"),
    [
        ("threshold", Lines((13.0,)), (20.0,), Change("threshold_at", {"value": 20.0}, (20.0,))),
        (
            "multi_otsu",
            Lines((3.0,), into_classes=True),
            (4.0,),
            Change("classes_at", {"values": (4.0,)}, (4.0,)),
        ),
        (
            "multi_otsu",
            Lines((3.0, 9.0), into_classes=True),
            (3.0, 8.0),
            Change("classes_at", {"values": (3.0, 8.0)}, (3.0, 8.0)),
        ),
        ("threshold_at", Lines((60.0,), ("value",)), (61.0,), Change("threshold_at", {"value": 61.0}, (61.0,))),
        (
            "classes_at",
            Lines((1.0, 2.0), ("values", "values"), True),
            (1.0, 3.0),
            Change("classes_at", {"values": (1.0, 3.0)}, (1.0, 3.0)),
        ),
        (
            "hysteresis",
            Lines((1.0, 2.0), ("low", "high")),
            (1.0, 3.0),
            Change("hysteresis", {"high": 3.0}, (1.0, 3.0)),  # low stays automatic
        ),
    ],
    ids=["one found", "two classes", "three classes", "given", "several given", "one of two"],
)
def test_dragging_sets_levels_or_goes_to_the_method_that_takes_them(name, lines, levels, change):
    assert change_for(find(name), THRESHOLDS, lines, levels) == change
    find(change.method).check_settings(change.settings)


def test_lines_of_a_row_without_a_method_by_hand_stay():
    lines = Lines((3.0, 9.0), into_classes=True)
    assert change_for(find("histogram_segmentation"), HISTOGRAMS, lines, (3.0, 8.0)) is None
    assert change_for(find("threshold"), THRESHOLDS, Lines(), ()) is None


def test_a_dragged_threshold_cuts_as_the_one_that_was_found():
    with nc.watch() as seen:
        labels = nc.multi_otsu(IMAGE, n_classes=3)
    lines = lines_of(find("multi_otsu"), {"n_classes": 3}, seen.facts)
    change = change_for(find("multi_otsu"), THRESHOLDS, lines, lines.levels)
    np.testing.assert_array_equal(find(change.method)(IMAGE, **change.settings), labels)


def test_classes_have_the_colours_of_their_labels():
    assert tint_colours(Lines(), "bright", colour_of) == ()
    assert tint_colours(Lines((5.0,)), "bright", colour_of) == ("", "#000001")
    assert tint_colours(Lines((5.0,)), "dark", colour_of) == ("#000001", "")
    assert tint_colours(Lines((5.0, 6.0)), "bright", colour_of) == ("", "", "#000001")
    assert tint_colours(Lines((5.0, 6.0)), "dark", colour_of) == ("#000001", "", "")
    assert tint_colours(Lines((5.0,), into_classes=True), "dark", colour_of) == ("#000001", "#000002")


# Histograms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float16"])
@pytest.mark.parametrize("masked", [False, True])
def test_strokes_are_counted_as_the_image_inside_them(dtype, masked):
    rng = np.random.default_rng(2)
    image = (rng.random((12, 30, 40)) * 200).astype(dtype)
    strokes = rng.choice([0, 0, 0, 3, 250], image.shape).astype(np.uint8)
    mask = rng.random(image.shape) < 0.5 if masked else None
    found = stroke_histograms(image, strokes, mask)
    assert list(found) == [3, 250]
    for label, counted in found.items():
        inside = strokes == label if mask is None else (strokes == label) & mask
        expected = nc.histogram(image, inside)
        np.testing.assert_array_equal(counted.counts, expected.counts)
        np.testing.assert_array_equal(counted.edges, expected.edges)


def test_strokes_on_nothing_finite_are_left_out():
    image = np.array([[np.nan, 1.0, np.inf]], np.float32)
    assert list(stroke_histograms(image, np.array([[1, 2, 3]]))) == [2]
    assert stroke_histograms(image, np.zeros((1, 3), int)) == {}


def test_many_labels_are_cut_off():
    image = np.arange(30.0).reshape(5, 6)
    assert list(stroke_histograms(image, np.arange(30).reshape(5, 6))) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_line_says_what_is_counted():
    assert description(nc.histogram(IMAGE), {}) == "100 levels · 300 voxels"
    assert description(nc.histogram(np.array([[2, 9, 9, 212]], np.uint8)), {}) == "3 levels · 4 voxels"
    assert (
        description(nc.histogram(np.zeros((40, 40), np.int8)), {}, "from level 2")
        == "1 level · 1,600 voxels · from level 2"
    )
    assert description(nc.histogram(np.linspace(0, 1, 10_000).reshape(100, 100)), {}).startswith("65,536 bins")
    said = description(nc.histogram(IMAGE), {"sigma": 1.0, "background_radius": 5.0, "median_radius": 0})
    assert said.endswith("the cut is made after the image was freed of background and smoothed")
    hot = np.random.default_rng(0).random((100, 100))
    hot[0, 0] = 1e9
    assert "a few extreme voxels are counted in the first and the last" in description(nc.histogram(hot), {})


# In the window -----------------------------------------------------------------------------------------


@pytest.fixture
def extra(qtbot):
    from napari.components import ViewerModel

    from napari_cutout.widgets._histogram_extra import HistogramExtra

    viewer = ViewerModel()
    viewer.theme = "dark"
    made = HistogramExtra(viewer, THRESHOLDS)
    made.viewer = viewer
    qtbot.addWidget(made)
    made.resize(320, 220)
    made.show()
    made.show_histogram(nc.histogram(IMAGE), {}, about="approximate, from level 2")
    return made


@pytest.mark.qt
def test_moving_a_line_that_was_found_asks_for_the_method_by_hand(extra, qtbot):
    from qtpy.QtCore import Qt

    extra.show_levels(find("threshold"), {"objects": "bright"}, {"threshold": 49.0}, colour_of)
    seen, changing, changed = [], [], []
    extra.levels_moved.connect(seen.append)
    extra.changing.connect(changing.append)
    extra.changed.connect(changed.append)
    qtbot.keyClick(extra.plot.canvas, Qt.Key.Key_Right)
    assert seen == [(50.0,)]
    assert changing == changed == [Change("threshold_at", {"value": 50.0}, (50.0,))]
    assert extra.plot.line.text() == "100 levels · 300 voxels · approximate, from level 2"


@pytest.mark.qt
def test_lines_that_no_method_of_the_row_takes_do_not_move(extra, qtbot):
    from qtpy.QtCore import Qt

    extra._row = tuple(HISTOGRAMS)
    extra.show_levels(find("histogram_segmentation"), {}, {"thresholds": [20.0, 40.0]}, colour_of)
    qtbot.keyClick(extra.plot.canvas, Qt.Key.Key_Right)
    assert extra.plot.levels == (20.0, 40.0)


@pytest.mark.qt
def test_strokes_have_the_names_of_their_classes(extra):
    extra.show_strokes(
        stroke_histograms(IMAGE, (IMAGE > 50).astype(np.uint8) + 1), colour_of, {1: "ground", 2: ""}.__getitem__
    )
    assert "1 ground" in extra.plot.legend.text()
    assert extra.plot.legend.text().endswith("2")


@pytest.mark.qt
def test_an_empty_one_says_why(extra):
    extra.show_histogram(None, {}, why="choose an image layer")
    assert extra.plot.empty.text() == "choose an image layer"
    assert not extra.plot.line.isVisible()


@pytest.mark.qt
def test_it_follows_the_theme_until_it_is_let_go(extra):
    from napari_cutout.widgets._theme import plot_colours

    extra.viewer.theme = "light"
    assert extra.plot.canvas.backgroundBrush().color().name() == plot_colours("light").background
    extra.let_go()
    extra.viewer.theme = "dark"
    assert extra.plot.canvas.backgroundBrush().color().name() == plot_colours("light").background


def test_valleys_of_the_histogram_widget_can_be_moved_by_hand() -> None:
    row = catalog.rows()["Histogram"]
    assert row[0].name == "histogram_segmentation"
    lines = lines_of(row[0], {}, {"thresholds": [20.0, 40.0]})
    change = change_for(row[0], row, lines, (25.0, 40.0))
    assert change is not None
    assert (change.method, change.settings["values"]) == ("classes_at", (25.0, 40.0))
