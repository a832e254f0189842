"""Scores per slice: by hand, against `evaluate` of each slice, and by what must hold for any labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

import napari_cutout as nc
from napari_cutout import Cancelled, watch
from napari_cutout.evaluation.overlap import Evaluation, evaluate
from napari_cutout.evaluation.slices import (
    SliceEvaluation,
    centres_of,
    evaluate_slices,
    slices_along,
    tables_along,
)

COUNTS = ("tp", "fp", "fn", "tn")


def pair(seed: int, n_labels: int, shape: tuple[int, ...] = (5, 6, 7), dtype: Any = "int64") -> list[np.ndarray]:
    """Return two label arrays that agree in about two thirds of their voxels."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_labels, shape)
    predicted = np.where(rng.random(shape) < 0.5, rng.integers(0, n_labels, shape), truth)
    return [predicted.astype(dtype), truth.astype(dtype)]


def counts(result: SliceEvaluation | Evaluation) -> np.ndarray:
    return np.stack([getattr(result, name) for name in COUNTS])


def counted_apart(result: SliceEvaluation, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Count with NumPy alone, slice by slice and class by class, by the matching of the whole."""
    whole = result.whole
    known = np.ones(truth.shape, bool) if whole.ignore is None else truth != whole.ignore
    classes = np.vectorize(lambda label: whole.mapping.get(label, -7), otypes=[np.int64])(predicted)
    there = (truth != 0).astype(int) if whole.match == "binary" else truth
    other = tuple(a for a in range(truth.ndim) if a != result.axis)
    found = [
        [known & (a == c) & (b == c), known & (a == c) & (b != c), known & (a != c) & (b == c)]
        for c, a, b in ((c, classes, there) for c in result.classes)
    ]
    tp, fp, fn = np.array([[mask.sum(axis=other) for mask in masks] for masks in found]).transpose(1, 2, 0)
    return np.stack([tp, fp, fn, known.sum(axis=other)[:, None] - tp - fp - fn])


def test_counts_by_hand_along_both_axes() -> None:
    predicted, truth = np.array([[0, 1, 1], [0, 0, 0]]), np.array([[0, 1, 1], [0, 1, 0]])
    rows = evaluate_slices(predicted, truth)
    assert (rows.axis, len(rows), rows.classes.tolist()) == (0, 2, [0, 1])
    # Row 0 is right. In row 1 one object voxel is missed, which the background has in excess.
    assert rows.tp.tolist() == [[1, 2], [2, 0]]
    assert rows.fp.tolist() == [[0, 0], [1, 0]]
    assert rows.fn.tolist() == [[0, 0], [0, 1]]
    assert rows.tn.tolist() == [[2, 1], [0, 2]]
    assert rows.n_voxels.tolist() == [3, 3]
    assert_allclose(rows.iou, [[1, 1], [2 / 3, 0]])
    assert_allclose(rows.dice, [[1, 1], [4 / 5, 0]])
    assert rows.mean_iou.tolist() == rows.mean_dice.tolist() == [1, 0]
    assert_allclose(rows.prevalence, [[1 / 3, 2 / 3], [2 / 3, 1 / 3]])
    assert_allclose(rows.balanced_accuracy, [[1, 1], [1 / 2, 1 / 2]])  # row 1: (2/2 + 0/1) / 2 and (0/1 + 2/2) / 2
    assert_array_equal(rows.mcc, [[1, 1], [np.nan, np.nan]])  # predicted row 1 is background everywhere
    columns = evaluate_slices(predicted, truth, axis=-1)
    assert columns.axis == 1
    assert columns.iou[:, 1].tolist()[1:] == [1 / 2, 1]
    assert np.isnan(columns.iou[0, 1]), "the first column holds no object"
    assert np.isnan(columns.mean_iou[0]), "and background is no object"
    assert columns.tp.dtype == columns.n_voxels.dtype == np.int64


def test_background_alone_is_scored_where_there_is_nothing_else() -> None:
    result = evaluate_slices(np.zeros((2, 3), int), np.zeros((2, 3), int))
    assert result.mean_iou.tolist() == result.mean_dice.tolist() == [1, 1]


def test_labels_are_matched_once_on_the_whole() -> None:
    # In slice 0 alone, label 5 lies mostly on class 2; in the whole it lies mostly on class 1.
    predicted, truth = np.array([[5, 5, 5], [5, 5, 5]]), np.array([[2, 2, 1], [1, 1, 1]])
    result = evaluate_slices(predicted, truth, match="overlap")
    assert result.whole.mapping == {5: 1}
    assert result.tp.tolist() == [[1, 0], [3, 0]]
    assert evaluate(predicted[0], truth[0], match="overlap").mapping == {5: 2}


def test_a_slice_without_annotation_is_not_scored() -> None:
    predicted, truth = np.array([[1, 2, 1], [1, 2, 2]]), np.array([[0, 0, 0], [1, 0, 2]])
    result = evaluate_slices(predicted, truth, ignore=0, match="value")
    assert result.n_voxels.tolist() == [0, 2]
    assert np.isnan(result.mean_iou).tolist() == [True, False]
    assert np.isnan(result.prevalence).tolist() == [[True, True], [False, False]]
    assert result.mean_iou[1] == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("match", "ignore"), [("value", None), ("value", 0), ("value", 2), ("binary", None)])
def test_each_slice_scores_as_evaluate_scores_it(axis: int, match: Any, ignore: int | None) -> None:
    predicted, truth = pair(1, 4)
    result = evaluate_slices(predicted, truth, axis=axis, match=match, ignore=ignore)
    for at in range(truth.shape[axis]):
        cut = predicted.take(at, axis), truth.take(at, axis)
        alone = evaluate(*cut, match=match, ignore=ignore, classes=result.classes.tolist())
        assert_array_equal(counts(result)[:, at], counts(alone))
        assert_array_equal(result.iou[at], alone.iou)
        assert_array_equal(result.dice[at], alone.dice)
        for name in ("balanced_accuracy", "mcc", "prevalence"):
            assert_array_equal(getattr(result, name)[at], getattr(alone, name))
        assert_allclose([result.mean_iou[at], result.mean_dice[at]], [alone.mean_iou, alone.mean_dice])
        assert result.n_voxels[at] == alone.n_voxels


@pytest.mark.parametrize("chunks", [None, (2, 3, 4)])
def test_centres_of_labels_come_from_the_same_counts(chunks: Any) -> None:
    predicted, truth = pair(3, 50)
    arrays = [predicted, truth] if chunks is None else [da.from_array(a, chunks) for a in (predicted, truth)]
    tables = tables_along(*arrays, range(3))
    for side, labels in (("predicted", predicted), ("truth", truth)):
        names = np.unique(labels)
        expected = ndimage.center_of_mass(np.ones_like(labels), labels, names)
        found = centres_of(tables, side)  # type: ignore[arg-type]
        assert list(found) == names.tolist()
        assert_allclose(list(found.values()), expected, rtol=1e-12)


DTYPES = ["bool", "uint8", "int16", "int32", "int64", "uint64"]


@pytest.mark.parametrize("dtypes", [*zip(DTYPES, DTYPES, strict=True), ("uint8", "int64"), ("uint64", "int8")])
def test_slices_are_the_same_in_every_library(to_library: Callable[[Any], Any], dtypes: tuple[str, str]) -> None:
    n_labels = 2 if "bool" in dtypes else 60
    predicted, truth = (a.astype(d) for a, d in zip(pair(2, n_labels), dtypes, strict=True))
    result = evaluate_slices(to_library(predicted), to_library(truth), axis=1, match="value")
    assert_array_equal(counts(result), counted_apart(result, predicted, truth))


def test_large_ids_are_counted_slice_by_slice(to_library: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(3)
    predicted, truth = rng.choice([0, 1, 2**40, 2**63 - 1], (2, 5, 20, 4))
    for axis in range(3):
        result = evaluate_slices(to_library(predicted), to_library(truth), axis=axis, match="value")
        assert_array_equal(counts(result), counted_apart(result, predicted, truth))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("n_labels", [3, 500])
def test_blocks_and_chunks_give_the_same_slices(monkeypatch: pytest.MonkeyPatch, n_labels: int, axis: int) -> None:
    predicted, truth = pair(4, n_labels, (7, 20, 30))
    whole = evaluate_slices(predicted, truth, axis=axis, match="value")
    monkeypatch.setattr("napari_cutout._plan.BLOCK_VOXELS", 70)
    assert_array_equal(counts(evaluate_slices(predicted, truth, axis=axis, match="value")), counts(whole))
    lazy = da.from_array(predicted, (3, 7, 9)), da.from_array(truth, (4, 20, 11))
    assert_array_equal(counts(evaluate_slices(*lazy, axis=axis, match="value")), counts(whole))
    holes = [da.from_array(a, ((0, 4, 0, 3), (20,), (30,))) for a in (predicted, truth)]
    assert_array_equal(counts(evaluate_slices(*holes, axis=axis, match="value")), counts(whole))


def test_several_axes_are_counted_in_one_pass() -> None:
    predicted, truth = pair(5, 4, (3, 4, 5, 6))
    seen: list[tuple[str, float]] = []
    with watch(lambda *progress: seen.append(progress)):
        found, matching = slices_along(predicted, truth, [0, 2, 3], None, "value")
    assert [progress for progress in seen if progress[1] == 0] == [("comparing labels", 0.0)] * 2, "stage, first block"
    assert [result.axis for result in found] == [0, 2, 3]
    for result in found:
        assert_array_equal(counts(result), counts(evaluate_slices(predicted, truth, axis=result.axis, match="value")))
    assert matching.match == found[0].whole.match == "value"


@st.composite
def label_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(hnp.array_shapes(max_dims=4, max_side=5))
    largest = draw(st.sampled_from([1, 3, 300, 2**40, 2**63 - 1]))
    return tuple(draw(hnp.arrays(np.int64, shape, elements=st.integers(0, largest))) for _ in range(2))  # type: ignore[return-value]


@given(label_pairs(), st.sampled_from(["auto", "binary", "value", "overlap"]), st.sampled_from([None, 0, 1]), st.data())
def test_slices_add_up_to_the_whole(labels: Any, match: Any, ignore: int | None, data: st.DataObject) -> None:
    predicted, truth = labels
    if (truth == ignore).all():
        return
    axis = data.draw(st.integers(-truth.ndim, truth.ndim - 1))
    result = evaluate_slices(predicted, truth, axis=axis, ignore=ignore, match=match)
    expected = evaluate(predicted, truth, ignore=ignore, match=match)
    assert str(result.whole) == str(expected)
    assert_array_equal(result.classes, expected.classes)
    assert_array_equal(counts(result).sum(axis=1), counts(expected))
    assert result.n_voxels.sum() == expected.n_voxels
    assert_array_equal(counts(result), counted_apart(result, predicted, truth))


def test_classes_restrict_the_report() -> None:
    predicted, truth = pair(6, 4)
    part, whole = (evaluate_slices(predicted, truth, match="value", classes=c) for c in ([3, 1], None))
    assert_array_equal(counts(part), counts(whole)[:, :, [1, 3]])


def test_csv_gives_the_table_back(tmp_path: Path) -> None:
    predicted, truth = pair(7, 3)
    result = evaluate_slices(predicted, truth, axis=2)
    path = result.to_csv(tmp_path / "slices.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "axis", "slice", "class", "iou", "dice", "balanced_accuracy", "mcc", "prevalence", *COUNTS
    ]  # fmt: skip
    assert [(int(r["slice"]), int(r["class"])) for r in rows] == [(i, c) for i in range(7) for c in result.classes]
    assert_array_equal([float(r["iou"]) for r in rows], result.iou.ravel())
    assert_array_equal([int(r["fn"]) for r in rows], result.fn.ravel())
    assert {r["axis"] for r in rows} == {"2"}
    with pytest.raises(FileExistsError, match="exists already"):
        result.to_csv(path)


def test_json_holds_the_table_the_whole_and_what_it_means(tmp_path: Path) -> None:
    predicted, truth = np.array([[0, 1, 1], [0, 0, 0], [0, 0, 5]]), np.array([[0, 1, 1], [0, 0, 0], [5, 5, 5]])
    result = evaluate_slices(predicted, truth, ignore=5, classes=[1])
    content = json.loads(result.to_json(tmp_path / "slices.json").read_text())
    assert content == result.as_dict()
    assert (content["axis"], content["n_slices"], content["n_voxels"]) == (0, 3, [3, 3, 0])
    assert content["mean_iou"] == [1, None, None]
    assert [row["iou"] for row in content["rows"]] == [1, None, None]
    assert content["whole"] == result.whole.as_dict()
    named = {*content["definitions"]}
    assert {*content["rows"][0]} - {"axis", "slice", "class"} | {"mean_iou", "mean_dice", "slices", "empty"} < named
    assert "of a slice" in content["definitions"]["prevalence"]
    assert content["definitions"]["matching"] == result.whole.definitions["matching"]
    with pytest.raises(FileExistsError, match="exists already"):
        result.to_json(tmp_path / "slices.json")


def test_results_cannot_be_changed() -> None:
    result = nc.evaluate_slices(*pair(8, 3))
    with pytest.raises(ValueError, match="read-only"):
        result.tp[0, 0] = 5


@pytest.mark.parametrize("lazy", [False, True])
def test_a_run_is_cancelled(monkeypatch: pytest.MonkeyPatch, lazy: bool) -> None:
    monkeypatch.setattr("napari_cutout._plan.BLOCK_VOXELS", 100)
    labels = pair(9, 4)[0]
    array = da.from_array(labels, (1, 6, 7)) if lazy else labels
    with watch(is_cancelled=lambda: True), pytest.raises(Cancelled):
        evaluate_slices(array, array)


LABELS = np.array([[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: evaluate_slices(LABELS, LABELS, axis=2), ValueError, "axis must be from -2 to 1 for labels with 2"),
        (lambda: evaluate_slices(LABELS, LABELS, axis=-3), ValueError, "axis must be from -2 to 1 .* got -3"),
        (lambda: evaluate_slices(LABELS, LABELS, axis=1.0), TypeError, "axis must be an integer, got 1.0"),
        (lambda: evaluate_slices(LABELS, LABELS, axis=True), TypeError, "axis must be an integer, got True"),
        (lambda: evaluate_slices(LABELS, LABELS[:1]), ValueError, r"shape of predicted, \(2, 2\), but has \(1, 2\)"),
        (lambda: evaluate_slices(LABELS, LABELS * 0, ignore=0), ValueError, "ignore=0 takes out every voxel"),
        (lambda: evaluate_slices(LABELS - 1, LABELS), ValueError, "predicted holds the label -1"),
        (lambda: evaluate_slices(LABELS, LABELS, match="best"), ValueError, "match must be one of"),
        (lambda: evaluate_slices(LABELS, LABELS, classes=[]), ValueError, "classes must be one or more"),
        (lambda: evaluate_slices(LABELS * 1.0, LABELS), TypeError, "predicted must hold integer labels"),
    ],
    ids=["no axis 2", "no axis -3", "float", "bool", "shape", "ignored", "negative", "match", "classes", "dtype"],
)  # fmt: skip
def test_bad_input_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
