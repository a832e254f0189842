"""Every object drawn as what became of it, against a slow rule for each voxel."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_cutout.evaluation._error_kinds import OBJECT_KINDS
from napari_cutout.evaluation._object_errors import object_errors
from napari_cutout.evaluation.objects import evaluate_objects

FOUND, EXCESS, MISSED, SPLIT, MERGED, INEXACT, UNJUDGED = range(1, 8)


def drawn(predicted, truth, threshold=0.5, **options):
    return object_errors(evaluate_objects(predicted, truth, **options), predicted, truth, threshold)


def test_every_kind_has_its_label():
    assert {name: kind.label for name, kind in OBJECT_KINDS.items()} == {
        "matched": FOUND, "split": SPLIT, "merged": MERGED, "missed": MISSED,
        "invented": EXCESS, "inexact": INEXACT, "unjudged": UNJUDGED,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        # 1 is found with one voxel too many, which is drawn as found as well; 2 is missed, 9 is in excess
        ([4, 4, 4, 4, 0, 0, 0, 9], [1, 1, 1, 0, 0, 2, 2, 0], [1, 1, 1, 1, 0, 3, 3, 2]),
        # 1 is cut into 4, which is matched (4 of 6), and the chip 5: the chip alone is drawn as split
        ([4, 4, 4, 4, 5, 5], [1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 4, 4]),
        # 4 joins 1 and 2 and is matched with 1 (4 of 6); 2 is drawn as merged although 4 is there
        ([4, 4, 4, 4, 4, 4], [1, 1, 1, 1, 2, 2], [1, 1, 1, 1, 5, 5]),
        # 4 and 1 lie mostly on each other, but 3 of 7 voxels are not enough
        ([4, 4, 4, 4, 4, 0, 0], [0, 0, 1, 1, 1, 1, 1], [6, 6, 6, 6, 6, 6, 6]),
        # 1 lies mostly on nothing; where 4 touches it the error of the true object shows
        ([0, 0, 4, 4, 0, 0], [0, 1, 1, 1, 1, 1], [0, 3, 3, 3, 3, 3]),
    ],
    ids=["found, missed, in excess", "split", "merged", "inexact", "missed"],
)
def test_hand_drawn_objects(predicted, truth, expected):
    found = drawn(np.array([predicted]), np.array([truth]))
    assert found.tolist() == [expected]
    assert found.dtype == np.uint8


def test_what_cannot_be_judged_hides_nothing_that_is_known():
    # 0 is not annotated: 9 lies outside the annotation; 8 mostly outside and on one voxel of 1, which is found
    predicted = np.array([[4, 4, 4, 8, 8, 8, 0, 9, 9]])
    truth = np.array([[1, 1, 1, 1, 0, 0, 0, 0, 0]])
    assert drawn(predicted, truth, ignore=0).tolist() == [[1, 1, 1, 1, 7, 7, 0, 7, 7]]


def slow(predicted, truth, threshold, ignore):
    """Look up both objects of each voxel in the table, and take the one that has gone wrong."""
    found = evaluate_objects(predicted, truth, ignore=ignore)
    table = found.object_table(threshold)
    n = len(found.overlaps.truth)
    theirs = dict(zip(table["true"][:n], table["kind"][:n], strict=True))
    ours = dict(zip(table["predicted"][n:], table["kind"][n:], strict=True))
    result = np.zeros(predicted.shape, np.uint8)
    for at in np.ndindex(predicted.shape):
        p, t = int(predicted[at]), int(truth[at])
        kinds = ([theirs[t]] if t else []) + ([ours.get(p, "matched")] if p else [])
        wrong = [kind for kind in kinds if kind not in ("matched", "unjudged")]
        shown = wrong[:1] or [kind for kind in kinds if kind == "matched"][:1] or kinds[:1]
        result[at] = OBJECT_KINDS[shown[0]].label if shown else 0
    return result


LABELS = arrays(np.int64, (4, 7), elements=st.sampled_from([0, 1, 2, 5]))


@given(LABELS, LABELS, st.sampled_from([0.2, 0.5, 0.8]), st.sampled_from([None, 0]), st.sampled_from([5, 2**40]))
def test_it_is_the_slow_rule_whole_and_in_chunks(predicted, truth, threshold, ignore, largest):
    truth[0, 0] = 1  # so that something is annotated
    predicted, truth = (np.where(labels == 5, largest, labels) for labels in (predicted, truth))
    for array in (predicted, truth):
        array.setflags(write=False)
    expected = slow(predicted, truth, threshold, ignore)
    np.testing.assert_array_equal(drawn(predicted, truth, threshold, ignore=ignore), expected)
    found = evaluate_objects(predicted, truth, ignore=ignore)
    lazy = object_errors(found, da.from_array(predicted, (2, 3)), da.from_array(truth, (4, 7)), threshold)
    assert isinstance(lazy, da.Array)
    np.testing.assert_array_equal(lazy.compute(), expected)


def test_a_threshold_outside_0_to_1_is_refused():
    labels = np.array([[1, 0]])
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        drawn(labels, labels, 1.5)
