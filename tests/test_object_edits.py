"""Edits of single objects: merged, split by seeds, cut along a line; nothing else ever changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import napari_cutout as nc
from napari_cutout.methods._edits import Edit, cut, erase, find, free_labels, split


def pieces(mask):
    """How many parts a mask has, corners joining."""
    return ndimage.label(mask, np.ones((3,) * mask.ndim))[1]


def dumbbell(shape=(21, 45), spread=11):
    """Two discs with a neck, label 7, beside a bar, label 3."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.uint16)
    labels[:2] = 3
    middle = shape[1] // 2
    for at in (middle - spread, middle + spread):
        labels[(y - 11) ** 2 + (x - at) ** 2 <= 64] = 7
    labels[9:14, middle - spread : middle + spread] = 7
    return labels


@st.composite
def objects(draw):
    """Random smooth objects in 2-D or 3-D, one of them chosen, and seeds in it."""
    shape = draw(st.sampled_from([(12, 14), (1, 9), (5, 7, 9)]))
    noise = np.random.default_rng(draw(st.integers(0, 2**20))).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, draw(st.sampled_from([0.0, 0.7, 1.5])))
    labels = np.digitize(smooth, np.quantile(smooth, [0.3, 0.6])).astype(np.uint8)
    label = int(draw(st.sampled_from([1, 2])))
    voxels = np.argwhere(labels == label)
    n = draw(st.integers(2, min(4, len(voxels))))
    order = draw(st.permutations(range(len(voxels))))
    return labels, label, voxels[list(order[:n])]


def assert_only_inside(before, after, label, kept):
    """Check that nothing outside the object has changed, and that what is new is in it."""
    outside = before != label
    np.testing.assert_array_equal(after[outside], before[outside])
    fresh = set(np.unique(after)) - set(np.unique(before))
    assert set(np.unique(after[~outside])) == fresh | {kept}
    assert after.dtype == before.dtype


@given(case=objects(), spacing=st.sampled_from([None, 1.0, 3.0]))
def test_every_seed_gets_a_part_of_its_own_that_hangs_together(case, spacing):
    labels, label, seeds = case
    lengths = None if spacing is None else (spacing, *[1.0] * (labels.ndim - 1))
    labels.setflags(write=False)
    after = nc.split_object(labels, label, seeds, spacing=lengths)
    assert_only_inside(labels, after, label, label)
    of_seeds = after[tuple(seeds.T)]
    assert of_seeds[0] == label, "the first seed keeps the label"
    assert sorted(set(of_seeds)) == sorted({label, *range(3, 2 + len(seeds))})
    for part in of_seeds[1:]:
        assert pieces(after == part) == 1
    unseeded = sum(
        not (here & (ndimage.label(labels == label, np.ones((3,) * labels.ndim))[0] == n)).any()
        for here in [np.isin(np.arange(labels.size).reshape(labels.shape), np.ravel_multi_index(seeds.T, labels.shape))]
        for n in range(1, pieces(labels == label) + 1)
    )
    in_one_piece = (after == label).any()
    assert in_one_piece
    assert pieces(after == label) == 1 + unseeded, "pieces without a seed keep the label, and the rest hangs together"


def test_it_is_cut_at_the_neck_wherever_the_seeds_are():
    labels = dumbbell()
    labels[10:13:2, 32:37:2] = 0  # holes, which are no necks
    for seeds in ([(11, 11), (11, 33)], [(11, 4), (11, 24)], [(5, 10), (17, 34)]):
        after = nc.split_object(labels, 7, seeds)
        left, right = (after == 7)[:, :18], (after == 8)[:, 28:]
        np.testing.assert_array_equal(left, (labels == 7)[:, :18])
        np.testing.assert_array_equal(right, (labels == 7)[:, 28:])


def test_without_a_neck_seeds_share_half_way_in_the_world():
    bar = np.zeros((9, 40), np.int32)
    bar[2:7, 2:38] = 5
    after = nc.split_object(bar, 5, [(4, 5), (4, 15)])
    assert np.unique(np.argwhere(after == 5)[:, 1]).max() == 10
    block = np.full((21, 21), 5, np.int32)  # no outside: slanted, and rows are three times as long
    after = nc.split_object(block, 5, [(10, 5), (14, 15)], spacing=(3.0, 1.0))
    y, x = np.mgrid[:21, :21]
    nearer = (3 * (y - 10)) ** 2 + (x - 5) ** 2 < (3 * (y - 14)) ** 2 + (x - 15) ** 2
    as_near = (3 * (y - 10)) ** 2 + (x - 5) ** 2 == (3 * (y - 14)) ** 2 + (x - 15) ** 2
    np.testing.assert_array_equal(after == 5, nearer | as_near)


def test_only_the_box_of_the_object_is_worked_on(monkeypatch):
    from napari_cutout.methods import _edits

    seen = []
    real = _edits.parts_of
    monkeypatch.setattr(_edits, "parts_of", lambda inside, *rest: seen.append(inside.shape) or real(inside, *rest))
    volume = np.zeros((40, 60, 80), np.uint8)
    volume[10:14, 20:26, 30:44] = 9
    edit = split(volume, 9, [(12, 22, 32), (12, 22, 41)])
    assert seen == [(6, 8, 16)]
    assert edit.n_voxels == 4 * 6 * 7
    assert edit.new == (10,)


@given(case=objects(), line=st.lists(st.floats(-2, 16), min_size=4, max_size=4))
def test_a_cut_stays_inside_and_its_pieces_hang_together(case, line):
    labels, label, _ = case
    labels.setflags(write=False)
    n = pieces(labels == label)
    try:
        after = nc.cut_object(labels, label, line[:2], line[2:])
    except ValueError:  # the line misses it, or ends inside
        return
    assert_only_inside(labels, after, label, label)
    new = sorted(set(np.unique(after)) - set(np.unique(labels)))
    assert new == list(range(3, 3 + len(new)))
    assert all(pieces(after == part) == 1 for part in new)
    assert len(new) >= 1
    assert pieces(after == label) == n, "what is not cut off stays, and one piece of what is"


def test_a_cut_follows_the_line_to_the_voxel():
    square = np.zeros((30, 30), np.uint8)
    square[5:25, 5:25] = 4
    after = nc.cut_object(square, 4, (0, 5), (29, 20))
    y, x = np.mgrid[:30, :30]
    side = (y - 0) * (20 - 5) - (x - 5) * (29 - 0)
    np.testing.assert_array_equal((after == 5), (square == 4) & (side < 0 if (after == 5)[10, 20] else side >= 0))
    assert (after == 4).sum() >= (after == 5).sum(), "the largest piece keeps the label"


def test_a_line_that_ends_inside_cuts_nothing_and_one_through_an_arm_cuts_that_arm():
    ring = np.zeros((30, 30), np.uint8)
    ring[5:25, 5:25] = 4
    ring[10:20, 10:25] = 0  # a U that lies on its side
    with pytest.raises(ValueError, match="the line does not cut object 4 in two; draw it from one side of"):
        nc.cut_object(ring, 4, (0, 15), (7, 15))
    one = nc.cut_object(ring, 4, (0, 15), (12, 15))
    assert (one[5:10, 16:25] == 5).all()
    assert (one[20:25] != 5).all()
    both = nc.cut_object(ring, 4, (0, 15), (29, 15))
    assert set(np.unique(both)) == {0, 4, 5, 6}
    deep = np.stack([ring] * 3)
    np.testing.assert_array_equal(nc.cut_object(deep, 4, (0, 15), (12, 15)), np.stack([one] * 3))
    turned = np.moveaxis(deep, 0, 2)
    cut_there = nc.cut_object(turned, 4, (0, 15), (12, 15), axes=(0, 1))
    np.testing.assert_array_equal(np.moveaxis(cut_there, 2, 0), np.stack([one] * 3))


@given(case=objects())
def test_merging_takes_back_a_split(case):
    labels, label, seeds = case
    parts = nc.split_object(labels, label, seeds)
    ids = [label, *(int(part) for part in np.unique(parts) if part not in np.unique(labels))]
    np.testing.assert_array_equal(nc.merge_labels(parts, ids), labels)
    other = 3 - label
    merged = nc.merge_labels(labels, [label, other, label])
    np.testing.assert_array_equal(merged, np.where(labels == other, label, labels))
    np.testing.assert_array_equal(erase(labels, [other]).on(labels), np.where(labels == other, 0, labels))


def test_where_the_dtype_ends_the_smallest_free_labels_are_taken():
    labels = np.zeros((1, 400), np.uint8)
    labels[0, :255] = np.r_[1:41, 42:256, 255]
    assert free_labels(labels, 1, 255) == (41,)
    labels[0, 300:304] = 41
    with pytest.raises(ValueError, match="uint8 have numbers up to 255, and 255 are taken, so there is no room for 1"):
        split(labels, 41, [(0, 300), (0, 303)])
    part = labels[:, 295:310].copy()
    assert split(part, 41, [(0, 5), (0, 8)], highest=90).new == (91,), "part of something that has more"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda a: nc.split_object(a, 7, [(11, 11)]), "two points or more with 2 numbers each, got shape"),
        (lambda a: nc.split_object(a, 7, [(11, 11), (3, 3)]), r"seed \(3, 3\) must lie in object 7, but there is back"),
        (lambda a: nc.split_object(a, 7, [(11, 11), (0, 3)]), "but there is object 3; click inside"),
        (lambda a: nc.split_object(a, 7, [(11, 11), (-1, 3)]), "but there is outside the image"),
        (lambda a: nc.split_object(a, 7, [(11, 11), (11, 11.2)]), "two seeds lie in the same voxel"),
        (lambda a: nc.split_object(a, 9, [(11, 11), (12, 11)]), "must lie in object 9, but there is object 7"),
        (lambda a: nc.merge_labels(a, [7, 12]), "there is no object 12 in labels; click an object"),
        (lambda a: nc.merge_labels(a, [12, 7]), "there is no object 12"),
        (lambda a: nc.merge_labels(a, []), "ids must name objects"),
        (lambda a: nc.merge_labels(a, [0, 7]), "0 is the background"),
        (lambda a: nc.cut_object(a, 7, (3, 3), (3, 3)), "the line has no length"),
    ],
)
def test_what_cannot_be_is_said(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(dumbbell())
    with pytest.raises(TypeError, match="labels must be a NumPy array of integers, got ndarray of float32"):
        call(dumbbell().astype(np.float32))


def test_what_is_found_of_an_object():
    labels = np.zeros((5, 6, 7), np.int32)
    labels[1:3, 2:5, 6] = 4
    labels[0, 0, 0] = 90
    found = find(labels, [4])
    assert (found.start, found.stop, found.highest) == ((1, 2, 6), (3, 5, 7), 90)
    assert find(labels, [4, 90]).start == (0, 0, 0)
    assert found.grown(labels.shape).stop == (4, 6, 7)
    assert isinstance(cut(labels, 4, (3, 0), (3, 9)), Edit)
