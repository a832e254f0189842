"""Who takes part in comparisons by itself, and the strokes that are made from a truth."""

from __future__ import annotations

import numpy as np

from napari_cutout import catalog, samples
from napari_cutout.comparison import _cuts, _strokes


def test_dark_objects_are_looked_for_where_that_is_said() -> None:
    found = {cut.title: cut for cut in _cuts.cuts(100.0, "dark")}
    assert found["threshold otsu"].settings == {"method": "otsu", "objects": "dark"}
    assert found["threshold_at"].settings == {"value": 100.0, "objects": "dark"}
    assert found["threshold_at"].note == "at Otsu's 100, dark objects"


def test_classes_are_not_split() -> None:
    titles = {cut.title for cut in _cuts.cuts(1.0, "bright", numbered=False)}
    assert not {title for title in titles if "after otsu" in title}
    assert {"threshold otsu", "back_projection"} <= titles


def test_splits_look_for_dark_objects_too() -> None:
    found = {cut.method: cut for cut in _cuts.cuts(None, "dark") if cut.first is not None}
    assert set(found) == {"watershed", "watershed_from_minima", "split_touching"}
    assert all(cut.first.settings["objects"] == "dark" for cut in found.values() if cut.first)
    assert found["watershed"].settings == {}  # dark objects are valleys as they are
    bright = {cut.method: cut for cut in _cuts.cuts(None, "bright") if cut.first is not None}
    assert bright["watershed"].settings == {"surface": "inverted"}


def test_regions_that_know_no_objects_are_chosen_from_by_strokes() -> None:
    found = {cut.title: cut for cut in _cuts.cuts_from_strokes()}
    divide = ("felzenszwalb", "superpixels", "merge_regions", "normalized_cut")
    there = [name for name in divide if name in catalog.methods()]
    assert [cut.of for cut in found.values() if cut.first is not None] == there
    for name in there:
        first, second = found[f"graph_cut on {name}"].steps({"one_per_object": True})
        assert (first.method, dict(first.inputs)) == (name, {"image": "image"})
        assert second.method == "graph_cut"
        assert dict(second.inputs) == {"image": "image", "markers": _cuts.CLASS_STROKES, "regions": "step_1"}
    assert found["graph_cut"].of == "graph_cut"
    assert not {cut.of for cut in _cuts.cuts(1.0, "bright")} & set(there)


def test_instances_are_told_from_classes() -> None:
    squares = np.zeros((20, 20), np.int32)
    squares[2:6, 2:6], squares[10:15, 10:15] = 1, 2
    stripes = np.repeat(np.arange(20) % 3, 20).reshape(20, 20)
    assert _strokes.one_kind(None, None)
    assert _strokes.one_kind(squares > 0, None)
    assert _strokes.one_kind(squares, None)
    assert _strokes.one_kind(np.arange(100).reshape(10, 10), None)
    assert not _strokes.one_kind(stripes, None)
    assert not _strokes.one_kind(squares, 0)  # strokes have classes


def test_strokes_lie_inside_what_they_stand_for() -> None:
    truth = samples.nuclei_2d(shape=(64, 64)).truth
    assert truth is not None
    strokes = _strokes.strokes_from(truth.data, None)
    assert set(np.unique(strokes)) == {0, 1, 2}
    assert (truth.data[strokes == 1] != 0).all()
    assert (truth.data[strokes == 2] == 0).all()
    assert 0 < len(np.unique(truth.data[strokes == 1])) <= _strokes.N_STROKES
    assert (strokes != 0).mean() < 0.6
    classes = np.repeat(np.arange(20) // 3 % 3, 20).reshape(20, 20)
    several = _strokes.strokes_from(classes, None)
    assert [set(classes[several == label]) for label in (1, 2, 3)] == [{1}, {2}, {0}]
    sparse = _strokes.strokes_from(classes, 0)
    assert [set(classes[sparse == label]) for label in (1, 2)] == [{1}, {2}]
    assert set(np.unique(sparse)) == {0, 1, 2}


def test_every_object_gets_a_stroke_inside_it() -> None:
    truth = np.zeros((12, 20), np.int32)
    truth[1:8, 1:8], truth[1:8, 8:13], truth[9:, 15:] = 40, 7, 300  # two that touch, one at the edge of the image
    middles = _strokes.middles_from(truth, None)
    assert {int(label): set(truth[middles == label]) for label in np.unique(middles)} == {
        0: {0, 7, 40},  # the small one is all core
        1: {7},
        2: {40},
        3: {300},
    }
    assert middles[4, 4] == 2
    assert (middles[1] == 0).all()  # no stroke reaches an edge of its object
    hidden = _strokes.middles_from(truth, 40)
    assert [set(truth[hidden == label]) for label in (1, 2)] == [{7}, {300}]
    pieces = _strokes.middles_from((truth == 7) | (truth == 300), None)
    assert [set(truth[pieces == label]) for label in (1, 2)] == [{7}, {300}]
