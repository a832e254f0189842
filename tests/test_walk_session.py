"""Walking again after another stroke gives what a fresh walk gives, and says what changed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_cutout._monitor import watch
from napari_cutout.methods import _walk_session
from napari_cutout.methods._walk import Walk, WalkSettings
from napari_cutout.methods._walk_levels import block_means, block_shape, coarse_strokes, interpolated
from napari_cutout.methods._walk_session import Session

TOLERANCE = 1e-3


def settings(spacing: tuple[float, ...] | None = None, tolerance: float = TOLERANCE) -> WalkSettings:
    return WalkSettings(130.0, tolerance, spacing)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let images of test size count as large."""
    monkeypatch.setattr(_walk_session, "LARGE", 500)
    monkeypatch.setattr(_walk_session, "COARSE_VOXELS", 400)
    monkeypatch.setattr(_walk_session, "MARGIN", 2)


def scene(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 2.0)
    return np.asarray((smooth > 0) + 0.1 * rng.standard_normal(shape), np.float32)


def dots(shape: tuple[int, ...], n: int, n_labels: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    markers = np.zeros(shape, np.int32)
    markers.ravel()[rng.choice(markers.size, n, replace=False)] = rng.permutation(np.arange(n) % n_labels + 1)
    return markers


def shown(session: Session, markers: np.ndarray, labels: np.ndarray | None) -> tuple[np.ndarray, list[Any]]:
    """Return the labels that a viewer shows who writes every update into its region, and the updates."""
    updates = list(session.updates(markers))
    labels = np.zeros(markers.shape, np.int32) if labels is None else labels.copy()
    for update in updates:
        labels[update.region] = update.labels
    assert [u.final for u in updates] == [False] * (len(updates) - 1) + [True]
    return labels, updates


def expect_fresh(session: Session, image: np.ndarray, markers: np.ndarray, labels: np.ndarray) -> None:
    """Labels are those of a fresh walk, but where two labels are as likely to within the tolerance."""
    fresh = Walk([image], session.walk.inside, settings(session.walk.settings.spacing, 1e-5)).solve(markers, keep=True)
    probabilities = np.nan_to_num(fresh.probabilities)
    best = np.sort(probabilities, axis=0)[::-1]
    clear = (best[0] - best[1] > 6 * TOLERANCE) if len(best) > 1 else np.ones(image.shape, bool)
    np.testing.assert_array_equal(labels[clear], fresh.best[clear])
    assert (clear | (fresh.best == 0)).mean() > 0.9
    state = session._state
    assert state is not None
    assert np.abs(state.values - probabilities).max() < 5 * TOLERANCE


@pytest.mark.parametrize("shape", [(12, 14, 16), (40, 44), (1, 30, 40)], ids=str)
def test_strokes_that_are_painted_and_erased_give_what_a_fresh_walk_gives(shape: tuple[int, ...]) -> None:
    image, rng = scene(shape), np.random.default_rng(3)
    markers = dots(shape, 12, 2)
    session = Session([image], None, settings())
    labels, updates = shown(session, markers, None)
    assert len(updates) == 2  # the coarse copy, then the whole
    expect_fresh(session, image, markers, labels)
    for k in range(6):
        markers = markers.copy()
        at = tuple(int(rng.integers(n)) for n in shape[:-1])
        low = int(rng.integers(shape[-1] - 4))
        markers[(*at, slice(low, low + 4))] = 0 if k % 3 == 2 else 1 + k % 2
        before = labels
        labels, updates = shown(session, markers, labels)
        expect_fresh(session, image, markers, labels)
        untouched = np.ones(shape, bool)
        for update in updates:
            untouched[update.region] = False
        np.testing.assert_array_equal(labels[untouched], before[untouched])


def chambers() -> tuple[np.ndarray, np.ndarray]:
    """Return three rooms between walls that no walk crosses, with a stroke of each label in each."""
    image = np.zeros((8, 12, 60), np.float32)
    image[..., 20] = image[..., 40] = 5.0
    markers = np.zeros(image.shape, np.int32)
    markers[4, 2, 2], markers[4, 9, 17] = 1, 2
    markers[4, 2, 22], markers[4, 9, 37] = 1, 2
    markers[4, 2, 43], markers[4, 9, 57] = 1, 2
    return image, markers


def test_only_the_region_that_changes_is_solved_where_walls_keep_the_rest_apart() -> None:
    image, markers = chambers()
    session = Session([image], None, WalkSettings(2000.0, TOLERANCE, None))
    labels, _ = shown(session, markers, None)
    markers[4, 8, 3:6] = 1
    again, updates = shown(session, markers, labels)
    assert len(updates) == 2  # a first look, and the region
    assert updates[-1].region[-1].stop <= 24
    assert updates[-1].error <= TOLERANCE
    fresh = Walk([image], None, WalkSettings(2000.0, 1e-5, None)).solve(markers).best
    assert (fresh != again).mean() < 0.001
    assert (fresh != labels).mean() > 0.01


def test_what_was_left_in_the_middle_is_made_good_by_the_next_stroke_elsewhere() -> None:
    image, markers = chambers()
    session = Session([image], None, WalkSettings(2000.0, TOLERANCE, None))
    labels, _ = shown(session, markers, None)
    markers = markers.copy()
    markers[4, 8, 3:6] = 1
    next(session.updates(markers))
    markers = markers.copy()
    markers[4, 8, 44:47] = 1
    labels, updates = shown(session, markers, labels)
    assert updates[-1].region == tuple(slice(0, n) for n in image.shape)
    fresh = Walk([image], None, WalkSettings(2000.0, 1e-5, None)).solve(markers).best
    assert (fresh != labels).mean() < 0.001


def test_a_stroke_that_the_coarse_copy_does_not_see_is_seen() -> None:
    image, markers = scene((12, 14, 16)), dots((12, 14, 16), 8, 2)
    markers[4:6, 4:6, 4:6] = 1  # a block of the coarse copy
    session = Session([image], None, settings())
    labels, _ = shown(session, markers, None)
    markers = markers.copy()
    markers[5, 5, 5] = 2
    labels, _ = shown(session, markers, labels)
    assert labels[5, 5, 5] == 2
    expect_fresh(session, image, markers, labels)


@pytest.mark.parametrize("region", [np.s_[3:9, 2:12, 4:15], np.s_[0:6, 0:14, 7:16], np.s_[5:6, 3:9, 3:9]], ids=str)
def test_a_region_takes_its_outermost_voxels_from_what_is_around_it(region: tuple[slice, ...]) -> None:
    image, markers = scene((12, 14, 16)), dots((12, 14, 16), 12, 3)
    walk = Walk([image], None, settings(tolerance=1e-5))
    whole = np.asarray(walk.solve(markers, keep=True).probabilities)
    inside, planted, _ = walk.planted(markers)
    values = whole.copy()
    inner = values[(slice(None), *region)]
    inner[:, planted[region] == 0] = 0.3
    for axis in range(3):  # what is around the region is right
        for face, edge in ((0, region[axis].start == 0), (-1, region[axis].stop == image.shape[axis])):
            if not edge:
                at = [slice(None)] * 4
                at[axis + 1] = face
                inner[tuple(at)] = whole[(slice(None), *region)][tuple(at)]
    walk.solve_within(region, inside, planted, walk.reached(inside, planted), values)
    np.testing.assert_allclose(values, whole, atol=1e-4)


def test_a_new_label_joins_and_one_that_is_erased_leaves() -> None:
    image, markers = scene((10, 14, 16)), dots((10, 14, 16), 10, 2)
    session = Session([image], None, settings())
    labels, _ = shown(session, markers, None)
    more = markers.copy()
    more[5, 7, 4:9] = 7
    with_seven, _ = shown(session, more, labels)
    assert (with_seven == 7).sum() > 5
    expect_fresh(session, image, more, with_seven)
    back, _ = shown(session, markers, with_seven)
    assert not (back == 7).any()
    expect_fresh(session, image, markers, back)


def test_voxels_outside_stay_0_and_those_that_no_walk_reaches() -> None:
    image, markers = scene((10, 14, 16)), dots((10, 14, 16), 12, 2)
    mask = np.ones(image.shape, bool)
    mask[:, 6:8] = False
    markers[:, 8:] = 0
    markers[5, 3, 3], markers[5, 2, 12] = 1, 2
    session = Session([image], mask, settings())
    labels, _ = shown(session, markers, None)
    assert not labels[:, 6:].any()
    assert labels[:, :6].all()
    more = markers.copy()
    more[4, 10, 5:9] = 2
    labels, _ = shown(session, more, labels)
    assert not labels[:, 6:8].any()
    assert (labels[:, 8:] == 2).all()


def test_a_session_that_was_left_in_the_middle_is_right_at_the_end_of_the_next() -> None:
    image, markers = scene((12, 14, 16)), dots((12, 14, 16), 12, 2)
    session = Session([image], None, settings())
    labels, _ = shown(session, markers, None)
    more = markers.copy()
    more[3, 3:8, 4] = 1
    for update in session.updates(more):
        labels[update.region] = update.labels
        break
    more = more.copy()
    more[9, 9, 4:10] = 2
    labels, updates = shown(session, more, labels)
    assert updates[-1].region == tuple(slice(0, n) for n in image.shape)
    expect_fresh(session, image, more, labels)
    unpainted = session.updates(np.zeros_like(markers))
    with pytest.raises(ValueError, match="no painted voxel"):
        next(unpainted)
    labels, _ = shown(session, markers, labels)
    expect_fresh(session, image, markers, labels)


def test_markers_of_minus_one_and_anisotropic_voxels() -> None:
    image, markers = scene((9, 16, 18)), dots((9, 16, 18), 12, 3)
    markers[:, :2] = -1
    session = Session([image], None, settings((3.0, 1.0, 1.0)))
    labels, _ = shown(session, markers, None)
    assert not labels[:, :2].any()
    markers = markers.copy()
    markers[4, 8, 3:9] = 2
    labels, _ = shown(session, markers, labels)
    expect_fresh(session, image, markers, labels)


def test_markers_of_minus_one_that_are_erased_leave_nothing_behind() -> None:
    image, markers = scene((10, 14, 16)), np.zeros((10, 14, 16), np.int32)
    markers[5, 3, 3:6], markers[5, 11, 9:13] = 1, 2
    walled = markers.copy()
    walled[:, 7] = -1
    session = Session([image], None, settings())
    labels, _ = shown(session, walled, None)
    assert not labels[:, 7].any()
    labels, _ = shown(session, markers, labels)
    expect_fresh(session, image, markers, labels)
    labels, _ = shown(session, walled, labels)
    fresh = Walk([image], None, settings()).solve(walled).best
    assert (fresh != labels).mean() < 0.01


def test_the_first_answer_after_the_second_label_is_of_both() -> None:
    image, markers = scene((12, 14, 16)), np.zeros((12, 14, 16), np.int32)
    markers[6, 3, 3:6] = 1
    session = Session([image], None, settings())
    labels, _ = shown(session, markers, None)
    assert (labels == 1).all()
    markers = markers.copy()
    markers[6, 11, 9:13] = 2
    first = next(session.updates(markers))
    assert (first.labels == 2).mean() > 0.1
    labels, _ = shown(session, markers, labels)
    expect_fresh(session, image, markers, labels)


def test_facts_are_those_of_the_image_and_not_of_its_copy() -> None:
    image, markers = scene((12, 14, 16)), dots((12, 14, 16), 12, 4)
    session = Session([image], None, WalkSettings("auto", TOLERANCE, None))
    shown(session, markers, None)
    markers = markers.copy()
    markers[5, 5, 5:8] = 3
    with watch() as seen:
        _, updates = shown(session, markers, None)
    assert seen.facts["n_labels"] == 4
    assert seen.facts["beta"] > 0
    assert seen.facts["estimated_error"] == updates[-1].error
    assert seen.facts["converged"]


def test_a_small_image_is_solved_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_walk_session, "LARGE", 1 << 20)
    image, markers = scene((10, 12, 14)), dots((10, 12, 14), 8, 2)
    session = Session([image], None, settings())
    (update,) = session.updates(markers)
    assert update.final
    np.testing.assert_array_equal(update.labels, Walk([image], None, settings()).solve(markers).best)
    assert math.isfinite(update.error)
    markers = markers.copy()
    markers[4, 5, 6:9] = 3
    (update,) = session.updates(markers)  # begins with the last solution
    expect_fresh(session, image, markers, update.labels)


# Levels -------------------------------------------------------------------------------------------------


def test_blocks_halve_the_finest_axis_first() -> None:
    assert block_shape((64, 64, 64), None, 64**3) == (1, 1, 1)
    assert block_shape((64, 64, 64), None, 32**3) == (2, 2, 2)
    assert block_shape((16, 64, 64), (4.0, 1.0, 1.0), 16 * 16 * 16) == (1, 4, 4)
    assert block_shape((16, 64, 64), (4.0, 1.0, 1.0), 8 * 8 * 8) == (2, 8, 8)
    assert block_shape((2, 3), None, 1) == (2, 4)


@given(
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    exponents=st.lists(st.integers(0, 3), min_size=3, max_size=3),
    seed=st.integers(0, 2**31),
)
def test_means_strokes_and_interpolation_are_those_of_loops(shape: list[int], exponents: list[int], seed: int) -> None:
    blocks = tuple(2**e for e in exponents[: len(shape)])
    rng = np.random.default_rng(seed)
    values, inside = rng.standard_normal(shape), rng.random(shape) < 0.7
    markers = rng.integers(0, 4, shape) * (rng.random(shape) < 0.4)
    means, some = block_means(values, inside, blocks)
    strokes = coarse_strokes(markers, blocks)
    kept = set(np.unique(strokes)) - {0}
    assert kept <= set(np.unique(markers))
    if means.size >= len(set(np.unique(markers)) - {0}) and strokes.all():
        assert kept
    for at in np.ndindex(*means.shape):
        box = tuple(slice(k * b, (k + 1) * b) for k, b in zip(at, blocks, strict=True))
        assert some[at] == inside[box].any()
        assert means[at] == pytest.approx(values[box][inside[box]].mean() if inside[box].any() else 0.0)
        counts = np.bincount(markers[box].ravel(), minlength=2)[1:]
        assert (strokes[at] > 0) == (counts.sum() > 0)
    plane = np.broadcast_to(
        np.arange(means.shape[0], dtype=np.float32).reshape([-1] + [1] * (len(shape) - 1)), means.shape
    )
    fine = interpolated(np.ascontiguousarray(plane), blocks, tuple(slice(0, n) for n in shape))
    middles = (np.arange(shape[0]) + 0.5) / blocks[0] - 0.5
    expected = np.clip(middles, 0, means.shape[0] - 1)  # linear between middles, constant beyond the outermost
    np.testing.assert_allclose(fine[(slice(None), *[0] * (len(shape) - 1))], expected, atol=1e-5)


def test_a_block_takes_the_label_that_most_of_its_strokes_have_and_no_label_gets_lost() -> None:
    markers = np.array([[1, 1, 2, 0, 0, 4], [1, 3, 0, 0, 6, 4], [2, 2, 5, 5, 0, 0], [5, 5, 2, 2, 0, 0]])
    # 1 1 1 3 | 2 | 4 4 6  and  2 2 5 5 | 5 5 2 2 | nothing: ties are 2, so 5 gets the first block of its own; 3 and 6
    # stand only where 1 and 4 have their only block
    assert coarse_strokes(markers, (2, 2)).tolist() == [[1, 2, 4], [5, 2, 0]]
    assert coarse_strokes(np.array([[2, 2, 5, 5], [5, 5, 0, 2]]), (2, 4)).tolist() == [[5]]
    assert coarse_strokes(np.array([[2, 2, 5, 5], [5, 5, 2, 2]]), (2, 2)).tolist() == [[5, 2]]
    assert coarse_strokes(np.zeros((3, 5), int), (2, 2)).tolist() == [[0, 0, 0], [0, 0, 0]]
