"""Scores of many images: what is pooled, what is a mean of images, what is a mean of objects, and what is left out."""

from __future__ import annotations

import csv
import doctest
import json
import math
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import adapted_rand_error, variation_of_information

import napari_cutout as nc
from napari_cutout.evaluation._estimates import Figure
from napari_cutout.evaluation._images import Loaded, Pair
from napari_cutout.evaluation.pooled import pooled_scores

CROWDED_TRUTH = np.repeat([1, 2, 3, 0], 4)[None]
CROWDED = np.repeat([5, 9, 0, 0], 4)[None]
"""Three objects of four voxels, of which two were found exactly and one not at all."""

LONELY_TRUTH = np.repeat([7, 0], [8, 2])[None]
LONELY = np.repeat([3, 0], [6, 4])[None]
"""One object of eight voxels, of which six were found."""

EMPTY = np.zeros((1, 6), int)


def images(**options: Any) -> nc.PooledEvaluation:
    return nc.evaluate_images([CROWDED, LONELY], [CROWDED_TRUTH, LONELY_TRUTH], names=["crowded", "lonely"], **options)


def values(figure: Figure) -> tuple[float, float, float]:
    return figure.pooled.value, figure.image_mean.value, figure.object_mean.value


def assert_same(found: nc.PooledEvaluation, other: nc.PooledEvaluation) -> None:
    """All figures are the same, with their intervals."""
    for one, two in zip(found.figures, other.figures, strict=True):
        for name, value in one.row.items():
            np.testing.assert_equal(value, two.row[name], err_msg=f"{name} of {one.label}")


NAN = math.nan
HAND_WORKED = {
    # voxels: crowded TP 8 FN 4, lonely TP 6 FN 2; together 14 and 6. Best fits of objects: 1, 1, 0, 6/8
    ("iou", ""): (14 / 20, (8 / 12 + 6 / 8) / 2, 2.75 / 4),
    # Dice of the same: 16/20 and 12/14; together 28/34; of objects 1, 1, 0, 12/14
    ("dice", ""): (28 / 34, (16 / 20 + 12 / 14) / 2, (2 + 12 / 14) / 4),
    # objects at 0.5: crowded TP 2 FN 1, lonely TP 1; together 3 and 1
    ("ap", "IoU 0.5"): (3 / 4, (2 / 3 + 1) / 2, NAN),
    # at 0.8 the lonely one, of IoU 0.75, is no longer found, and both sides of it are wrong: TP 2, FP 1, FN 2
    ("ap", "IoU 0.8"): (2 / 5, (2 / 3 + 0) / 2, NAN),
    # six thresholds up to 0.75 and four above it
    ("mean_ap", ""): ((6 * 3 / 4 + 4 * 2 / 5) / 10, (2 / 3 + 6 / 10) / 2, NAN),
    ("f1", "IoU 0.5"): (6 / 7, (4 / 5 + 1) / 2, NAN),
    # sum of IoU over TP + FP / 2 + FN / 2: 2.75 / 3.5; 2 / 2.5 and 0.75 / 1
    ("pq", "IoU 0.5"): (2.75 / 3.5, (2 / 2.5 + 0.75) / 2, NAN),
    ("sq", "IoU 0.5"): (2.75 / 3, (1 + 0.75) / 2, NAN),
    ("recall", "IoU 0.5"): (3 / 4, (2 / 3 + 1) / 2, 3 / 4),
    ("precision", "IoU 0.5"): (1, 1, NAN),
    # 6 of 8 voxels are more than half
    ("seg", ""): (2.75 / 4, (2 / 3 + 0.75) / 2, 2.75 / 4),
    # common voxels 8 + 6; unions 8, the missed 4, and 8
    ("aji", ""): (14 / 20, (8 / 12 + 6 / 8) / 2, NAN),
    ("count_error", ""): (-1, -1 / 2, NAN),
    ("absolute_count_error", ""): (NAN, 1 / 2, NAN),
    ("prevalence", ""): (20 / 26, (12 / 16 + 8 / 10) / 2, NAN),
    ("accuracy", ""): (20 / 26, (12 / 16 + 8 / 10) / 2, NAN),
    # the eight voxels of predicted background hold two true regions of four: one bit each, for 8 of 16 voxels. Of the
    # lonely one 6 of 8 and 2 of 8 voxels lie apart: (6 log2(8/6) + 2 log2(8/2)) / 10
    ("vi_merge", ""): ((8 + 2 * 1 + 2 * 1) / 26, (8 / 16 + 4 / 10) / 2, NAN),
    ("vi_split", ""): ((6 * math.log2(8 / 6) + 4) / 26, (0 + (6 * math.log2(8 / 6) + 4) / 10) / 2, NAN),
    # A, B, C in pairs of voxels: 4 x 6, 12 + 28, 4 x 6; and 15 + 1 + 1, 15 + 6, 28 + 1
    ("adapted_rand_error", ""): (1 - 2 * 41 / (40 + 24 + 21 + 29), (1 - 48 / 64 + 1 - 34 / 50) / 2, NAN),
}


@pytest.mark.parametrize(("name", "of"), HAND_WORKED)
def test_the_three_ways_by_hand(name: str, of: str) -> None:
    found = images()
    np.testing.assert_allclose(values(found.figure(name, of)), HAND_WORKED[name, of], rtol=1e-12)
    assert found.figure(name, of).n_undefined == 0


def test_of_one_image_pooled_is_the_mean_and_there_is_no_interval() -> None:
    found = nc.evaluate_images([CROWDED], [CROWDED_TRUTH], boundaries=True)
    alone = nc.evaluate(CROWDED, CROWDED_TRUTH, match="binary")
    for figure in found.figures:
        assert math.isnan(figure.pooled.low)
        assert math.isnan(figure.image_mean.high)
        if not math.isnan(figure.pooled.value):
            assert figure.pooled.value == pytest.approx(figure.image_mean.value, rel=1e-12), figure.label
    assert found.figure("dice").pooled.value == alone.mean_dice
    assert found.figure("pq", "IoU 0.5").pooled.value == alone.objects.at(0.5)["pq"]
    assert found.figure("vi").image_mean.value == alone.partition.vi
    assert found.notes[-1].startswith("One image has no interval")


def test_intervals_by_hand() -> None:
    """Of two images a quarter of the draws are one of them twice: 2.5 % lie at the worse one, 97.5 % at the better."""
    found = images()
    dice, aji = found.figure("dice"), found.figure("aji")
    assert (dice.image_mean.low, dice.image_mean.high) == pytest.approx((16 / 20, 12 / 14))
    assert (dice.pooled.low, dice.pooled.high) == pytest.approx((16 / 20, 12 / 14))
    # of objects: the three of the one image, 2 / 3, or the one of the other, 12 / 14
    assert (dice.object_mean.low, dice.object_mean.high) == pytest.approx((2 / 3, 12 / 14))
    assert (aji.pooled.low, aji.pooled.high) == pytest.approx((8 / 12, 6 / 8))


def test_draws_are_those_of_the_seed() -> None:
    rng = np.random.default_rng(0)
    truth = [np.ones((1, 40), int)] * 12
    predicted = [(rng.random((1, 40)) < share).astype(int) for share in np.linspace(0.2, 0.9, 12)]
    one, same, other = (nc.evaluate_images(predicted, truth, seed=seed).figure("dice") for seed in (1, 1, 2))
    assert one == same
    assert one.pooled.value == other.pooled.value
    assert one.pooled.low != other.pooled.low
    # the spread of a mean is that of its parts over sqrt(n): 1.96 standard errors to either side, within a sixth
    scores = [nc.evaluate(p, t).mean_dice for p, t in zip(predicted, truth, strict=True)]
    assert one.image_mean.high - one.image_mean.low == pytest.approx(2 * 1.96 * np.std(scores) / 12**0.5, rel=1 / 6)


def test_images_without_objects_are_counted_and_said() -> None:
    found = nc.evaluate_images([CROWDED, EMPTY, LONELY], [CROWDED_TRUTH, EMPTY, LONELY_TRUTH])
    both = images()
    for name, of in HAND_WORKED:
        if name not in ("count_error", "absolute_count_error", "prevalence", "accuracy", "adapted_rand_error"):
            group = found.figure(name, of).group
            if group != "regions":
                assert found.figure(name, of).image_mean.value == both.figure(name, of).image_mean.value, name
                assert found.figure(name, of).pooled.value == both.figure(name, of).pooled.value, name
                assert found.figure(name, of).n_undefined == 1
                assert found.figure(name, of).image_mean.n == 2
    assert found.figure("prevalence").image_mean.value == pytest.approx((12 / 16 + 8 / 10 + 0) / 3), "nothing is 0 of 6"
    (said,) = [note for note in found.notes if "no object on either side" in note]
    assert said.startswith("1 of the images hold no object on either side, as '2'")
    assert math.isnan(found.table[1]["mean_dice"]), "a background that agrees is no object that was found"
    assert [row["image"] for row in found.worst_images()] == ["3", "1"]


def test_what_is_found_in_an_empty_image_counts() -> None:
    found = nc.evaluate_images([CROWDED, np.repeat([1, 0], 3)[None]], [CROWDED_TRUTH, EMPTY])
    assert found.figure("ap", "IoU 0.5").pooled.value == 2 / 4, "TP 2, FN 1, FP 1"
    assert found.figure("ap", "IoU 0.5").image_mean.value == pytest.approx((2 / 3 + 0) / 2)
    assert found.figure("dice").pooled.value == 16 / (20 + 3)
    assert found.figure("recall", "IoU 0.5").n_undefined == 1


def test_nothing_anywhere_is_not_defined() -> None:
    found = nc.evaluate_images([EMPTY, EMPTY], [EMPTY, EMPTY], numbered=True)
    assert all(math.isnan(value) for value in values(found.figure("pq", "IoU 0.5")))
    assert found.figure("pq", "IoU 0.5").n_undefined == 2
    assert found.figure("dice").pooled.value == 1, "the background, if there is no other class"
    assert found.figure("count_error").pooled.value == 0


@st.composite
def pairs_of_labels(draw: st.DrawFn) -> list[tuple[np.ndarray, np.ndarray]]:
    shapes = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(2, 5)), min_size=1, max_size=4))
    labels = [(st.integers(0, 4), shape) for shape in shapes for _ in range(2)]
    arrays = [draw(hnp.arrays(np.int64, shape, elements=elements)) for elements, shape in labels]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def joined(arrays: list[np.ndarray], step: int, *, background: bool) -> np.ndarray:
    """Return all arrays as one row, each with labels of its own; 0 stays 0 unless it is a region, too."""
    return np.concatenate([np.where((a > 0) | background, a + 1 + step * i, 0).ravel() for i, a in enumerate(arrays)])


@given(pairs_of_labels())
def test_pooled_is_the_score_of_one_image_of_them_all(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    predicted, truth = ([pair[i] for pair in pairs] for i in range(2))
    found = nc.evaluate_images(predicted, truth, numbered=True)
    whole = nc.evaluate_objects(*(joined(side, 10, background=False) for side in (predicted, truth)))
    classes = nc.evaluate(*(joined(side, 10, background=False) for side in (predicted, truth)), match="binary")
    at = whole.at(0.5)
    for name in ("ap", "f1", "pq", "precision", "recall"):
        np.testing.assert_allclose(found.figure(name, "IoU 0.5").pooled.value, at[name], rtol=1e-12)
    for name in ("mean_ap", "seg", "aji", "over_segmentation", "under_segmentation", "count_error"):
        np.testing.assert_allclose(found.figure(name).pooled.value, getattr(whole, name), rtol=1e-12)
    np.testing.assert_allclose(found.figure("iou").pooled.value, classes.mean_iou, rtol=1e-12)
    np.testing.assert_allclose(
        found.figure("iou").object_mean.value, np.mean(list(nc.iou_per_item(whole).values()) or [np.nan]), rtol=1e-12
    )
    regions = [joined(side, 10, background=True) for side in (predicted, truth)]
    merge, split = variation_of_information(*regions)  # as its order of arguments has it
    np.testing.assert_allclose(
        (found.figure("vi_split").pooled.value, found.figure("vi_merge").pooled.value), (split, merge), atol=1e-12
    )
    if all(len(np.unique(side)) < side.size for side in regions):  # scikit-image divides by 0 elsewhere
        error, *_ = adapted_rand_error(regions[1], regions[0], ignore_labels=())
        np.testing.assert_allclose(found.figure("adapted_rand_error").pooled.value, error, atol=1e-12)


@given(pairs_of_labels(), st.integers(0, 10))
def test_the_order_of_images_does_not_show(pairs: list[tuple[np.ndarray, np.ndarray]], turn: int) -> None:
    turned = pairs[turn % len(pairs) :] + pairs[: turn % len(pairs)]
    first, second = (nc.evaluate_images(*zip(*order, strict=True), numbered=True) for order in (pairs, turned))
    for one, other in zip(first.figures, second.figures, strict=True):
        np.testing.assert_allclose(values(one), values(other), rtol=1e-12, err_msg=one.label)


def test_chunks_do_not_show() -> None:
    predicted, truth = (
        [da.from_array(array, chunks=(1, 3)) for array in side]
        for side in ([CROWDED, LONELY], [CROWDED_TRUTH, LONELY_TRUTH])
    )
    assert_same(nc.evaluate_images(predicted, truth), images())


def test_classes_have_figures_of_their_own() -> None:
    truth = [np.array([[0, 1, 1, 2]]), np.array([[0, 0, 1, 1]])]
    predicted = [np.array([[0, 1, 2, 2]]), np.array([[0, 0, 1, 0]])]
    found = nc.evaluate_images(predicted, truth, match="value")
    # class 1: TP 1 FN 1, then TP 1 FN 1: 2/4. Class 2: TP 1 FP 1, and not there
    assert values(found.figure("iou", "class 1"))[:2] == (2 / 4, 1 / 2)
    assert values(found.figure("iou", "class 2"))[:2] == (1 / 2, 1 / 2)
    assert found.figure("iou", "class 2").n_undefined == 1
    assert found.figure("dice").pooled.value == pytest.approx((4 / 6 + 2 / 3) / 2)
    assert found.figure("iou", "class 1").prevalence == 4 / 8
    assert found.figure("iou").prevalence == 5 / 8


@pytest.mark.parametrize(
    ("predicted", "truth", "rule"),
    [
        # one finds nothing, the others know one kind of object: what its label is does not matter
        ([[1, 0, 0], [0, 0, 0], [3, 3, 0]], [[1, 1, 0], [1, 0, 0], [3, 0, 0]], "binary"),
        # labels that agree name classes, also where nothing was found
        ([[1, 2, 0], [0, 0, 0]], [[1, 2, 2], [1, 2, 0]], "value"),
        # numbers that do not agree are objects
        ([[2, 1, 0], [1, 0, 0]], [[1, 2, 0], [1, 0, 0]], "binary"),
        ([[1, 2, 2], [1, 0, 0]], [[2, 1, 1], [2, 0, 0]], "auto"),
    ],
)
def test_one_rule_matches_the_labels_of_all_images(predicted: Any, truth: Any, rule: str) -> None:
    found = nc.evaluate_images(*([np.array([row]) for row in side] for side in (predicted, truth)))
    assert found.match == rule
    used = {one.evaluation.match for one in found.scored if one.evaluation is not None}
    assert (len(used) > 1) == (rule == "auto")
    assert any("different rules (overlap for 1, binary for 1 of the images)" in n for n in found.notes) == (
        rule == "auto"
    )


def test_an_image_that_cannot_be_scored_is_a_row_with_its_reason(tmp_path: Path) -> None:
    found = nc.evaluate_images([CROWDED, CROWDED, LONELY], [CROWDED_TRUTH, LONELY_TRUTH, LONELY_TRUTH], names="abc")
    assert [one.name for one in found.failed] == ["b"]
    assert "truth must have the shape of predicted, (1, 16), but has (1, 10)" in found.table[1]["error"]
    assert found.notes[0] == "2 of 3 pairs scored, 1 not, for the reason in its row."
    assert_same(found, images())
    none = nc.evaluate_images([CROWDED], [LONELY_TRUTH])
    assert (none.figures, none.notes) == ((), ["0 of 1 pair scored, 1 not, for the reason in its row."])
    assert none.to_csv(tmp_path / "none.csv").read_text().splitlines()[0] == "image,error"


def test_files_without_a_partner_are_listed_everywhere(tmp_path: Path) -> None:
    pairs = [Pair("a", lambda: Loaded(CROWDED, CROWDED_TRUTH))]
    found = pooled_scores(pairs, unpaired=(["p/x.tif"], ["t/y.tif", "t/z.tif"]))
    assert found.notes[0] == "1 of 1 pair scored, 1 file of labels without a partner, 2 truths without a partner."
    with found.to_csv(tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["error"]) for row in rows] == [
        ("a", ""),
        ("p/x.tif", "no truth is named like it"),
        ("t/y.tif", "no labels are named like it"),
        ("t/z.tif", "no labels are named like it"),
    ]
    assert found.as_dict()["unpaired_truth"] == ["t/y.tif", "t/z.tif"]


def test_strokes_leave_undefined_what_asks_for_the_background() -> None:
    found = images(ignore=0, numbered=True)
    assert all(math.isnan(value) for value in values(found.figure("ap", "IoU 0.5")))
    assert found.figure("ap", "IoU 0.5").n_undefined == 2
    assert found.figure("recall", "IoU 0.5").pooled.value == 3 / 4
    assert math.isnan(found.figure("count_error").pooled.value)
    assert any(note.startswith("precision, F1, AP, PQ and AJI are not defined") for note in found.notes)


def test_a_region_that_is_annotated_completely() -> None:
    """Left of the twelfth voxel every object is annotated: there object 3 is missed and nothing is in excess."""
    zones = [np.arange(16)[None] < 12, np.ones((1, 10), bool)]
    found = images(ignore=0, complete=zones)
    expected = [
        nc.evaluate_objects(p, t, ignore=0, complete=z).at(0.5)["pq"]
        for p, t, z in zip((CROWDED, LONELY), (CROWDED_TRUTH, LONELY_TRUTH), zones, strict=True)
    ]
    assert found.numbered
    assert found.figure("pq", "IoU 0.5").image_mean.value == pytest.approx(np.mean(expected))
    assert found.figure("iou").pooled.value == 14 / 20
    assert found.table[0]["n_ignored"] == 4
    assert any("in the region that is annotated completely" in note for note in found.notes)


def test_surfaces_where_some_of_the_background_is_known() -> None:
    """What lies right of the tenth column is not annotated: what is found there is no error, and ends no surface."""
    truth = np.zeros((12, 20), int)
    truth[3:8, 2:7] = 1
    predicted = np.where(np.arange(20) < 10, np.roll(truth, 1, axis=0), 9)
    zone = np.broadcast_to(np.arange(20) < 10, truth.shape)
    found = nc.evaluate_images([predicted], [truth], ignore=0, complete=[zone], boundaries=True)
    alone = nc.evaluate_boundaries(predicted[:, :9], truth[:, :9], by="objects", width=1.0)
    assert found.figure("assd").pooled.value == pytest.approx(alone.assd[0], rel=1e-12)
    assert math.isnan(nc.evaluate_images([predicted], [truth], ignore=0, boundaries=True).figure("assd").pooled.value)


def test_surfaces_pooled_are_those_of_both_images_side_by_side() -> None:
    """A gap of 40 voxels keeps the nearest surface in its own image."""
    truth = np.zeros((2, 20, 20), int)
    truth[0, 3:9, 3:9], truth[0, 11:17, 4:16], truth[1, 5:14, 5:12] = 1, 2, 1
    predicted = np.stack([np.roll(truth[0], (1, 1), (0, 1)), truth[1]])
    predicted[1, 13, 5:12] = 0
    apart = [
        np.concatenate([a[0], np.zeros((20, 40), int), np.where(a[1], a[1] + 5, 0)], axis=1) for a in (predicted, truth)
    ]
    settings: dict[str, Any] = {"spacing": (2.0, 1.0), "tolerance": 1.0, "width": 3.0}
    found = nc.evaluate_images(predicted, truth, numbered=True, boundaries=True, **settings)
    whole = nc.evaluate_boundaries(*apart, by="objects", **settings)
    both = whole.n_predicted_surface + whole.n_true_surface
    assert found.figure("assd").pooled.value == pytest.approx(np.average(whole.assd, weights=both), rel=1e-12)
    assert found.figure("assd").object_mean.value == pytest.approx(whole.means["assd"], rel=1e-12)
    assert found.figure("hd95").object_mean.n == 3
    binary = nc.evaluate_boundaries(*(a > 0 for a in apart), **settings)
    classes = nc.evaluate_images(list(predicted > 0), list(truth > 0), boundaries=True, **settings)
    for name in ("assd", "surface_dice"):
        assert classes.figure(name).pooled.value == pytest.approx(getattr(binary, name)[0], rel=1e-12)
    assert math.isnan(classes.figure("hausdorff").pooled.value)
    assert math.isnan(classes.figure("assd").object_mean.value)
    assert "1 or less" in classes.definitions["surface_dice"]


class Watched(list[Any]):
    """Images that say how often each was read."""

    def __init__(self, items: Any) -> None:
        super().__init__(items)
        self.read: list[int] = []

    def __getitem__(self, at: Any) -> Any:
        self.read.append(at)
        return super().__getitem__(at)


@pytest.mark.parametrize(("boundaries", "reads"), [(False, [0, 1]), (True, [0, 1, 0, 1])])
def test_images_are_read_one_at_a_time(boundaries: bool, reads: list[int]) -> None:
    predicted, truth = Watched([CROWDED, LONELY]), Watched([CROWDED_TRUTH, LONELY_TRUTH])
    nc.evaluate_images(predicted, truth, boundaries=boundaries)
    assert predicted.read == truth.read == reads


def test_scoring_can_be_watched_and_cancelled() -> None:
    said: list[tuple[str, float]] = []
    with nc.watch(lambda stage, done: said.append((stage, done))):
        images()
    assert said == [("counting labels", 0.0), ("counting labels", 0.0), ("counting labels", 0.5)]
    with nc.watch(is_cancelled=lambda: True), pytest.raises(nc.Cancelled):
        images()


def test_the_worst_objects_of_all_images() -> None:
    rows = images().worst_objects(2)
    assert [(row["image"], row["true"], row["kind"], row["iou"]) for row in rows] == [
        ("crowded", 3, "missed", 0.0),
        ("lonely", 7, "matched", 0.75),
    ]
    assert nc.evaluate_images([CROWDED > 0], [CROWDED_TRUTH > 0]).worst_objects() == []


def test_every_figure_has_a_definition() -> None:
    truth = np.zeros((20, 20), int)
    truth[2:8, 2:8], truth[10:18, 10:18] = 1, 2
    found = nc.evaluate_images([np.where(truth, 3 - truth, 0)], [truth], boundaries=True)
    assert {one.group for one in found.figures} == {"overlap", "objects", "regions", "boundaries"}
    rows = list(csv.DictReader(found.figures_csv.splitlines()))
    assert all(len(row["definition"]) > 12 for row in rows)
    voxels, objects = (row["definition"] for row in rows if row["figure"] == "precision")
    assert "voxels" in voxels
    assert "voxels" not in objects
    assert {"pooled", "image_mean", "object_mean", "interval", "prevalence", "empty"} <= set(found.definitions)


def test_files_hold_what_there_is_and_nothing_is_replaced(tmp_path: Path) -> None:
    found = images()
    content = json.loads(found.to_json(tmp_path / "s.json").read_text())
    assert content["figures"][0]["pooled"] == found.figure("dice").pooled.value
    assert content["figures"][0]["object_mean"] == found.figure("dice").object_mean.value
    assert {row["figure"]: row["object_mean"] for row in content["figures"]}["aji"] is None
    for write in (found.to_json, found.to_csv, found.figures_to_csv):
        with pytest.raises(FileExistsError):
            write(tmp_path / "s.json")
    lines = found.summary().splitlines()
    assert lines[0].split() == ["pooled", "image-mean", "object-mean", "images"]
    assert lines[1].split()[:4] == ["dice", "0.8235", "[0.8000,", "0.8571]"]


@pytest.mark.parametrize(
    ("predicted", "truth", "options", "message"),
    [
        ([CROWDED], [], {}, "equally many, got \\[1, 0\\]"),
        ([], [], {}, "holds no image"),
        ([CROWDED], [CROWDED_TRUTH], {"names": ["a", "b"]}, "equally many"),
        ([CROWDED], [CROWDED_TRUTH], {"match": "best"}, "match must be one of"),
    ],
)
def test_bad_arguments(predicted: Any, truth: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nc.evaluate_images(predicted, truth, **options)


def test_a_figure_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="there is no figure 'ap' of ''; there are: dice"):
        images().figure("ap")


def test_the_page_on_many_images_does_what_it_says() -> None:
    page = Path(__file__).parents[1] / "docs" / "many-images.md"
    lines = doctest.DocTestParser().get_doctest(page.read_text(encoding="utf-8"), {}, page.name, None, None)
    said: list[str] = []
    results = doctest.DocTestRunner().run(lines, out=said.append)
    assert results.attempted >= 6
    assert results.failed == 0, "".join(said)
