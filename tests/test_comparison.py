"""Comparing methods: what is held out, what may be looked at, who wins, and how sure that is."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout._monitor import Monitor
from napari_cutout._selection import Selection
from napari_cutout.comparison import _confidence, _contestants, _trial, _tuning
from napari_cutout.comparison._contest import Contest, Rules
from napari_cutout.comparison._preparation import prepared
from napari_cutout.comparison._tallies import (
    Problem,
    Tally,
    agreements,
    counted,
    mapped,
    object_counts,
    overlap_counts,
    score_of,
    scores_by_unit,
)
from napari_cutout.comparison._trial import Trial
from napari_cutout.comparison._units import Units, folds_of, units_of
from napari_cutout.comparison.leaderboard import FOR_CHOOSING, Row, ranked
from napari_cutout.running._execute import execute
from napari_cutout.running._known_steps import KnownSteps, Ran

from . import strict

RULES = Rules("dice", tune=False, budget=4, folds=3, repeats=1, seed=0, device="cpu")


def squares(n=6, size=60, noise=20, seed=0):
    """Bright squares on noise, their numbers, and strokes: one in each of some squares, two beside them."""
    rng = np.random.default_rng(seed)
    image = rng.normal(60, noise, (size, size))
    truth = np.zeros((size, size), np.uint16)
    corners = itertools.product(range(4, size - 12, 18), repeat=2)
    for number, (y, x) in zip(range(1, n + 1), corners, strict=False):
        truth[y : y + 10, x : x + 10] = number
    image += 120 * (truth > 0)
    strokes = np.zeros(truth.shape, np.uint8)
    for number in (1, 3, 5):
        at = np.argwhere(truth == number)
        strokes[at[:, 0].min() + 4, at[:, 1].min() : at[:, 1].max() + 1] = 1
    strokes[16, 2:30] = strokes[34, 20:50] = 2
    return np.clip(image, 0, 255).astype(np.uint8), truth, strokes


# What is held out --------------------------------------------------------------------------------------


def test_connected_strokes_are_units_of_their_class():
    strokes = np.zeros((8, 8), np.uint8)
    strokes[0, 0:3] = strokes[1, 3] = 1  # connected by a corner
    strokes[5, 5] = 1
    strokes[7, 0:2] = strokes[3, 7] = 2
    units = units_of([strokes], 0)
    assert units.kind == "strokes"
    assert units.classes.tolist() == [1, 1, 2, 2]
    assert units.maps[0][0, 0] == units.maps[0][1, 3] != units.maps[0][5, 5]
    assert (units.maps[0] == -1).sum() == 64 - 8
    assert not units.note


def test_a_stroke_alone_in_its_class_is_cut_in_two_and_said_so():
    strokes = np.zeros((6, 9), np.uint8)
    strokes[0, :] = 1
    strokes[5, 0] = strokes[5, 8] = 2
    units = units_of([strokes], 0)
    assert units.classes.tolist() == [1, 1, 2, 2]
    assert units.maps[0][0].tolist() == [0] * 4 + [1] * 5
    assert "label 1, which was cut in two" in units.note


def test_dense_annotations_are_cut_into_blocks_of_about_equal_extent():
    units = units_of([np.ones((40, 80), np.uint8)], None)
    assert units.kind == "blocks"
    sizes = np.bincount(units.maps[0].ravel())
    assert 12 <= len(sizes) <= 20
    assert sizes.max() <= 1.3 * sizes.min()


def test_blocks_without_an_annotation_are_no_units():
    truth = np.full((40, 40), 255, np.uint8)
    truth[:10, :10] = 1
    units = units_of([truth], 255)
    assert units.kind == "blocks"
    assert len(units) == 1
    assert (units.maps[0] >= 0).sum() == 100


def test_from_four_images_on_whole_images_are_held_out():
    truths = [np.ones((4, 4), np.uint8)] * 3
    assert units_of(truths, None).kind == "blocks"
    units = units_of([*truths, np.ones((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)], 255)
    assert units.kind == "images"
    assert len(units) == 4, "the last is not annotated"
    assert [int(m.max()) for m in units.maps] == [0, 1, 2, 3, -1]
    assert units.drawn[0].tolist() == [0, 1, 2, 3]


def test_strokes_are_dealt_by_image_and_class_and_drawn_by_image():
    """So that methods which read strokes have some of each class in every image, whatever is held out."""
    one = np.zeros((9, 9), np.uint8)
    one[0, 0] = one[2, 2] = one[4, 4] = 1
    one[6, 0] = one[8, 8] = 2
    units = units_of([one] * 4, 0)
    assert (units.kind, len(units)) == ("strokes", 20)
    fold = folds_of(units, 5, 0)
    assert fold.max() == 4
    for image, label, n in itertools.product(range(4), (1, 2), range(5)):
        assert ((units.images == image) & (units.classes == label) & (fold != n)).any()
    assert np.array_equal(units.drawn[0], units.images)
    assert units_of([one], 0).drawn[1].tolist() == [1, 1, 1, 2, 2]


def test_what_is_nearly_not_annotated_are_strokes_whatever_value_says_so():
    sparse = np.full((40, 40), 255, np.uint8)
    sparse[0, :10] = sparse[2, :10] = 0
    sparse[4, :10] = sparse[6, :10] = 1
    assert units_of([sparse], 255).kind == "strokes"
    assert sorted(units_of([sparse], 255).classes.tolist()) == [0, 0, 1, 1]
    found = nc.compare(np.zeros((40, 40), np.uint8), sparse, methods=["threshold_at"], ignore=255)
    assert FOR_CHOOSING in found.notes


@pytest.mark.parametrize("shape", [(1, 2000, 20), (5, 64, 64), (300, 20), (40, 40), (9, 9, 9), (3, 3)])
def test_there_are_about_sixteen_blocks_of_any_shape(shape):
    n = len(units_of([np.ones(shape, np.uint8)], None))
    assert min(9, math.prod(shape)) <= n <= 27


def test_nothing_annotated_is_refused():
    with pytest.raises(ValueError, match="no annotated voxel"):
        units_of([np.zeros((4, 4), np.uint8)], 0)


@given(strata=st.lists(st.integers(0, 2), min_size=1, max_size=30), n=st.integers(2, 6), seed=st.integers(0, 9))
def test_folds_hold_each_unit_once_and_every_class_as_evenly_as_can_be(strata, n, seed):
    units = Units("strokes", [], np.asarray(strata), np.asarray(strata), np.zeros(len(strata), np.int64))
    fold = folds_of(units, n, seed)
    n_folds = int(fold.max()) + 1
    assert n_folds == max(1, min(n, min(strata.count(s) for s in set(strata))))
    for stratum in set(strata):
        sizes = np.bincount(fold[units.strata == stratum], minlength=n_folds)
        assert sizes.max() - sizes.min() <= 1
        assert sizes.min() >= 1, "every fold holds each class, and every tuning part too"


# Counts and scores -------------------------------------------------------------------------------------


@given(
    labels=hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 4)),
    truth=hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 2)),
    units=hnp.arrays(np.int32, (6, 7), elements=st.integers(-1, 3)),
)
def test_counts_are_those_of_a_loop(labels, truth, units):
    if not (units >= 0).any():
        return
    problem = Problem(np.asarray([0, 1, 2]), 0, 4)
    found, counts = counted(labels, truth, units, problem)
    for (unit, label, cls), n in np.ndenumerate(counts):
        assert n == sum(
            (units[at], labels[at], truth[at]) == (unit, found[label], cls) for at in np.ndindex(labels.shape)
        )
    assert counts.sum() == (units >= 0).sum()


def test_a_pair_counts_where_its_true_object_lies():
    truth, labels = np.zeros((1, 16), np.uint8), np.zeros((1, 16), np.uint8)
    truth[0, 3:11] = 1  # 5 voxels in the first half, 3 in the second
    labels[0, 5:12] = 4  # 3 and 4; they share 6 of 9
    units = np.zeros(truth.shape, np.int32)
    units[0, 8:] = 1
    assert object_counts(labels, truth, units, 2).tolist() == [[1, 0, 0, 6 / 9], [0, 0, 0, 0]]


def test_an_object_that_lies_mostly_where_nothing_is_annotated_is_neither_right_nor_wrong():
    truth = np.zeros((4, 12), np.uint8)
    truth[:, :3] = 1
    units = np.zeros(truth.shape, np.int32)
    units[:, 6:] = -1
    labels = np.zeros_like(truth)
    labels[:, :3], labels[0, 5:9], labels[2, 4:7] = 1, 2, 3  # 3 of 4 voxels of 2 are not annotated, 1 of 3 of 3
    assert object_counts(labels, truth, units, 1)[0].tolist() == [1, 1, 0, 1]


def test_labels_are_mapped_on_the_tuning_part_alone():
    # Label 7 is class 1 in unit 0 and class 2 in unit 1; label 9 occurs in unit 1 only.
    counts = np.zeros((2, 2, 2), np.int64)
    counts[0, 0] = [10, 1]
    counts[1, 0] = [0, 30]
    counts[1, 1] = [5, 0]
    tally = Tally(np.asarray([7, 9]), counts, "classes")
    problem = Problem(np.asarray([1, 2]), 2, 2, scores_background=True)
    first = np.asarray([True, False])
    assert mapped(tally, problem, first).tolist() == [0, -1]
    assert mapped(tally, problem, ~first).tolist() == [1, 0]
    held_out = overlap_counts(tally, problem, mapped(tally, problem, first), ~first)
    # In unit 1 the 30 voxels of class 2 were called class 1, and 5 of class 1 were called nothing.
    assert held_out[1].tolist() == [[0, 30, 5], [0, 0, 30]]
    assert not held_out[0].any()


def test_a_mask_stands_for_the_background_and_the_class_it_meets_most():
    counts = np.zeros((1, 2, 3), np.int64)
    counts[0, 1] = [50, 3, 8]  # the objects of the mask lie mostly on background; of the others mostly on class 5
    problem = Problem(np.asarray([0, 4, 5]), 0, 1)
    everything = np.ones(1, bool)
    assert mapped(Tally(np.asarray([0, 1]), counts, "mask"), problem, everything).tolist() == [0, 2]
    values = Tally(np.asarray([4, 6]), counts, "values")
    assert mapped(values, problem, everything).tolist() == [1, -1]


@given(
    labels=hnp.arrays(np.uint8, (8, 8), elements=st.integers(0, 1)),
    truth=hnp.arrays(np.uint8, (8, 8), elements=st.integers(0, 1)),
)
def test_scores_of_all_units_are_those_of_evaluate(labels, truth):
    units = np.arange(64, dtype=np.int32).reshape(8, 8) // 16
    problem = Problem(np.asarray([0, 1]), 0, 4)
    tally = Tally(*counted(labels, truth, units, problem), "mask")
    everything = np.ones(4, bool)
    total = overlap_counts(tally, problem, mapped(tally, problem, everything), everything).sum(axis=0)
    expected = nc.evaluate(labels, truth, match="value", classes=[1])
    for metric in ("dice", "iou"):
        np.testing.assert_allclose(score_of(total, problem, metric), getattr(expected, metric)[0])


@given(
    labels=hnp.arrays(np.uint8, (8, 8), elements=st.integers(0, 3)),
    truth=hnp.arrays(np.uint8, (8, 8), elements=st.integers(0, 3)),
)
def test_objects_of_all_units_are_those_of_evaluate_objects(labels, truth):
    units = np.arange(64, dtype=np.int32).reshape(8, 8) // 16
    counts = object_counts(labels, truth, units, 4)
    if len(np.unique(labels[labels > 0])) == 1:  # a mask, whose objects are what is connected
        labels = ndimage.label(labels)[0]
    at = nc.evaluate_objects(labels, truth).at(0.5)
    total = counts.sum(axis=0)
    assert total[:3].tolist() == [at["tp"], at["fp"], at["fn"]]
    for metric in ("f1", "pq"):
        np.testing.assert_allclose(score_of(total, Problem(np.asarray([0, 1]), 0, 4), metric), at[metric])


def test_an_object_counts_where_most_of_it_lies():
    truth = np.zeros((2, 10), np.uint8)
    truth[0, 2:8] = 1  # 3 voxels in each half
    truth[1, 4:9] = 2  # 1 voxel in the first, 4 in the second
    units = np.zeros((2, 10), np.int32)
    units[:, 5:] = 1
    assert object_counts(np.zeros_like(truth), truth, units, 2)[:, 2].tolist() == [1, 1], "of equals the first"
    labels = np.zeros_like(truth)
    labels[1, 3:6] = 5  # 2 of 3 voxels in the first half; its IoU with object 2 is 2 / 6
    assert object_counts(labels, truth, units, 2)[:, 1].tolist() == [1, 0]


# Confidence --------------------------------------------------------------------------------------------


def test_holm_is_what_its_paper_says():
    # .01, .02, .03, .04 in other order: times 4, 3, 2, 1 = .04, .06, .06, .04; no smaller than the one before.
    found = _confidence.holm([0.04, 0.01, 0.03, 0.02])
    np.testing.assert_allclose(found, [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(_confidence.holm([0.9, 0.8]), [1, 1])


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_never_lowers_a_p_and_keeps_their_order(p):
    found = _confidence.holm(p)
    assert (found >= np.asarray(p)).all()
    assert (found <= np.minimum(1, np.asarray(p) * len(p))).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()


def blocks(n):
    nothing = np.zeros(n, np.int64)
    return Units("blocks", [], nothing, nothing, nothing)


def overlap_of(dice, n=100):
    """Counts of one class in units with these Dice: 2 tp / (2 tp + fp + fn)."""
    tp = np.round(np.asarray(dice) * n)
    counts = np.zeros((len(dice), 2, 3))
    counts[:, 1, 0], counts[:, 1, 1] = tp, n - tp
    counts[:, 1, 2] = n - tp
    return counts


def test_intervals_hold_the_score_and_are_those_of_a_bootstrap_with_numpy():
    problem = Problem(np.asarray([0, 1]), 0, 8)
    dice = np.asarray([0.5, 0.6, 0.7, 0.8, 0.9, 0.55, 0.65, 0.75])
    (found,) = _confidence.intervals([overlap_of(dice)], problem, "dice", np.zeros(8, np.int64))
    assert found.score == pytest.approx(dice.mean())
    rng = np.random.default_rng(5)
    means = dice[rng.integers(0, 8, (20_000, 8))].mean(axis=1)
    np.testing.assert_allclose([found.low, found.high], np.quantile(means, [0.025, 0.975]), atol=0.01)
    assert found.p == 1


def test_a_clear_winner_is_not_tied_and_a_close_one_is():
    problem = Problem(np.asarray([0, 1]), 0, 12)
    rng = np.random.default_rng(0)
    good = rng.uniform(0.8, 0.9, 12)
    rows = [
        Row("bad", overlap=overlap_of(good - 0.3)),
        Row("good", overlap=overlap_of(good)),
        Row("close", overlap=overlap_of(good + rng.normal(0, 0.05, 12) - 0.005)),
        Row("broken", error="it does not apply"),
    ]
    standings = ranked(rows, problem, "dice", blocks(12), 0)
    by_name = {one.row.name: one for one in standings}
    assert [one.row.name for one in standings][-2:] == ["bad", "broken"]
    assert {name for name, one in by_name.items() if one.tied} == {"good", "close"}
    assert by_name["bad"].rank == 3
    assert by_name["broken"].rank is None
    assert by_name["bad"].p < 0.01


def test_equal_scores_share_a_rank_and_one_unit_has_no_interval():
    problem = Problem(np.asarray([0, 1]), 0, 1)
    rows = [
        Row("b", overlap=overlap_of([0.5])),
        Row("a", overlap=overlap_of([0.5])),
        Row("c", overlap=overlap_of([0.4])),
    ]
    standings = ranked(rows, problem, "dice", blocks(1), 0)
    assert [(one.row.name, one.rank) for one in standings] == [("b", 1), ("a", 1), ("c", 3)]
    assert all(math.isnan(one.low) for one in standings)


def test_the_ceiling_is_shown_first_and_not_ranked():
    problem = Problem(np.asarray([0, 1]), 0, 3)
    rows = [Row("a", overlap=overlap_of([0.5] * 3)), Row("second", overlap=overlap_of([0.9] * 3), is_ceiling=True)]
    first, other = ranked(rows, problem, "dice", blocks(3), 0)
    assert (first.row.name, first.rank, other.rank) == ("second", None, 1)
    assert other.p == 1, "the ceiling is no contestant, so nothing is compared with it"


# Tuning ------------------------------------------------------------------------------------------------


def space_of(name, longest=500.0, levels=(10.0, 90.0)):
    found = [_tuning.tried(1, p, longest, levels) for p in catalog.find(name).settings]
    return [one for one in found if one is not None]


@pytest.mark.parametrize("name", list(catalog.methods()))
def test_what_a_search_tries_is_what_the_method_allows(name):
    space = space_of(name)
    required = {p.name: "model" if p.folder else 50.0 for p in catalog.find(name).settings if p.required}
    if "values" in required:
        required["values"] = (50.0,)
    seen = []

    def value(settings, rung):
        plain = {key.partition(".")[2]: v for key, v in settings.items()}
        catalog.find(name).check_settings({**required, **plain})
        seen.append(plain)
        return 0.5

    defaults = {p.name: p.default if not p.required else required[p.name] for p in catalog.find(name).settings}
    start = {f"1.{key}": v for key, v in defaults.items()}
    _tuning.search(space, value, start=start, budget=12, n_rungs=1, seed=3)
    assert len(seen) == (13 if space else 1)
    assert seen[0] == {one.param.name: defaults[one.param.name] for one in space}, "as given, which is tried first"


def test_settings_as_given_are_tried_even_where_no_search_would():
    image, _, strokes = squares()
    mine = nc.Recipe([nc.Step("multi_otsu", {"sigma": 0.3, "n_classes": 8})])
    made = prepared(image, strokes, rules=replace(RULES, tune=True), methods=[], recipes={"mine": mine}, ignore=0)
    trial = Trial(made.contest, made.entries[0])
    trial.chosen(np.ones(len(made.contest.units), bool))
    given = _contestants.settings_of(mine)
    assert any(one.settings == given for one in trial.known.values())


def test_every_number_with_a_range_says_whether_it_is_searched():
    """A setting that a search cannot try must be one that few change, or one that is listed here with its reason."""
    left = {
        ("histogram_segmentation", "n_classes"),  # None finds the number by itself
        ("local_mean", "offset"),  # a difference of grey levels, for which no image says what is common
        ("sauvola", "r"),  # half of the range of the image by itself
        ("watershed_from_minima", "depth"),  # grey levels; None finds it by itself
        ("markers_from_minima", "depth"),
        ("merge_regions", "threshold"),  # how many regions are left is searched instead
        ("normalized_cut", "contrast"),  # the image says it
        ("unet_from_strokes", "n_steps"),  # more are better and take longer, and each that is tried is a training
        ("unet_from_strokes", "width"),
        ("objects", "min_size"),  # no cut: it only numbers what is there
        ("unet_from_strokes", "n_steps"),  # how long one is ready to wait: more is better
        ("unet_from_strokes", "width"),
        ("link_frames", "min_overlap"),  # gives objects numbers, and cuts nothing
        ("link_frames", "max_gap"),
        ("split_touching", "min_size"),  # changes which objects are counted, not where they are cut
    }
    missing = {
        (name, p.name)
        for name, entry in catalog.methods().items()
        for p in entry.settings
        if p.type in (int, float)
        and p.typical is None
        and not p.seldom
        and p.name not in ("connectivity", "channel_axis")
    }
    assert missing == left


def test_lengths_are_no_longer_than_half_of_the_image():
    window = next(one for one in space_of("sauvola", longest=40.0) if one.param.name == "window")
    assert window.high == 20
    assert not [one for one in space_of("sauvola", longest=12.0) if one.param.name == "window"], "7 is above 6"


def test_the_first_two_thirds_of_a_search_do_not_look_at_scores():
    """So folds share them, and nothing of what is held out leaks into what is tried."""

    def tried_with(score):
        seen = []
        _tuning.search(
            space_of("sauvola"),
            lambda settings, rung: seen.append(dict(settings)) or score(settings),
            start=_contestants.settings_of(nc.Recipe([nc.Step("sauvola")])),
            budget=12,
            n_rungs=1,
            seed=0,
        )
        return seen

    a, b = tried_with(lambda s: s["1.k"]), tried_with(lambda s: -s["1.k"])
    assert a[:8] == b[:8]
    assert a != b


def test_halving_runs_the_better_third_on_everything():
    calls = []

    def value(settings, rung):
        calls.append((settings["1.k"], rung))
        return settings["1.k"]

    start = _contestants.settings_of(nc.Recipe([nc.Step("sauvola")]))
    _tuning.search(space_of("sauvola"), value, start=start, budget=15, n_rungs=2, seed=0)
    small, all_of_it = ([k for k, rung in calls if rung == r] for r in (0, 1))
    assert len(small) == 15
    assert 3 <= len(all_of_it) <= 9
    assert np.mean(all_of_it) > np.mean(small)


def test_a_search_finds_a_threshold_that_no_default_gives():
    _, truth, strokes = squares()
    dim = np.where(truth > 0, 100, 90).astype(np.uint8)
    dim[0, 0:3] = 255  # three hot pixels, above which Otsu cuts
    found = nc.compare(dim, strokes, methods=["threshold_at"], ignore=0, tune=True, budget=20, seed=1)
    assert found.winner.dice == 1
    assert 90 <= found.recipe.steps[0].settings["value"] < 100


# The contest -------------------------------------------------------------------------------------------


def test_a_contest_scores_only_what_is_held_out(monkeypatch):
    """Labels that are mapped by overlap in each fold: mapping on everything would call them perfect."""
    image, truth, _ = squares()
    classes = (truth > 0).astype(np.uint8)
    units = units_of([classes], None)
    # Every unit has labels of its own, so nothing that is learnt on some units holds for the others.
    labels = (2 * units.maps[0] + classes + 1).astype(np.uint8)
    assert labels.max() <= 2 * len(units)
    rules = replace(RULES, folds=len(units))
    problem = Problem(np.asarray([0, 1]), 0, len(units))
    contestant = _contestants.Contestant("own labels", None, (labels,), "classes")
    row = Contest([image], [classes], units, problem, rules).row(contestant)
    assert not row.overlap[..., 0].any(), "nothing is found by labels that were never seen"
    assert (row.overlap[:, 1, 2].sum()) == classes.sum()


def test_strokes_that_are_held_out_are_not_shown_to_methods_that_read_strokes(monkeypatch):
    image, _, strokes = squares()
    seen = []
    real = _trial.execute

    def watched(recipe, inputs, **options):
        seen.append(np.unique(strokes_units[inputs["markers"] > 0]))
        return real(recipe, inputs, **options)

    strokes_units = units_of([strokes], 0).maps[0]
    monkeypatch.setattr(_trial, "execute", watched)
    made = prepared(image, strokes, rules=replace(RULES, folds=2), methods=["watershed"], ignore=0)
    row = made.contest.row(made.entries[0])
    assert not row.error
    parts = [set(np.flatnonzero(part).tolist()) for part in made.contest.tuning_parts()]
    assert [set(s.tolist()) for s in seen] == [*parts, {0, 1, 2, 3, 4}], "each part, and everything for the recipe"


def test_regions_that_no_stroke_can_change_are_made_once_for_all_folds(monkeypatch):
    image, _, strokes = squares()
    recipe = nc.Recipe([nc.Step("superpixels"), nc.Step("graph_cut", {}, {"regions": "step_1"})])
    asked, of = [], KnownSteps.of

    def spy(self, number, method, settings, arrays):
        found = of(self, number, method, settings, arrays)
        asked.append((method, found is not None))
        return found

    monkeypatch.setattr(KnownSteps, "of", spy)
    board = nc.compare(image, strokes, ignore=0, methods=[], recipes={"two": recipe}, folds=2)
    assert board.standings[0].row.error == ""
    again = [("superpixels", True), ("graph_cut", False)]
    of_row = [one for one in asked if one[0] != "threshold"]  # by which a level is found before
    assert of_row == [("superpixels", False), ("graph_cut", False), *again * 2]  # a fold more, and all strokes
    monkeypatch.setattr(KnownSteps, "of", lambda *_: None)
    anew = nc.compare(image, strokes, ignore=0, methods=[], recipes={"two": recipe}, folds=2)
    assert anew.summary() == board.summary()


def test_a_step_is_known_only_of_the_same_settings_and_the_very_same_arrays():
    image, _, strokes = squares()
    known = KnownSteps()
    recipe = nc.Recipe([nc.Step("superpixels"), nc.Step("graph_cut", {}, {"regions": "step_1"})])
    inputs = {"image": image, "markers": strokes}
    first = execute(recipe, inputs, known=known)
    made = known.steps[1].labels
    assert set(known.steps) == {1}
    again = execute(recipe, {"image": image, "markers": strokes.copy()}, known=known)
    assert known.steps[1].labels is made
    assert again.provenance["steps"] == first.provenance["steps"]
    assert again.provenance["seconds"] > known.steps[1].seconds  # those of the step that was not run count
    np.testing.assert_array_equal(again.labels, first.labels)
    execute(recipe, {**inputs, "image": image.copy()}, known=known)
    assert known.steps[1].labels is not made
    made = known.steps[1].labels
    fewer = nc.Recipe([nc.Step("superpixels", {"n_superpixels": 9}), recipe.steps[1]])
    execute(fewer, {"image": known.steps[1].arrays["image"], "markers": strokes}, known=known)
    assert int(known.steps[1].labels.max()) < int(made.max())


def test_a_step_on_a_device_is_known_by_its_voxels_and_holds_none_of_them():
    image = np.array([[1.0, np.nan], [3.0, 4.0]])
    known, labels, monitor = KnownSteps(), strict.on_device([[1, 2], [3, 4]]), Monitor()
    known.keep(1, Ran("superpixels", {}, {"image": strict.on_device(image)}, labels, monitor, 2.0))
    assert isinstance(known.steps[1].labels, np.ndarray)
    found = known.of(1, "superpixels", {}, {"image": strict.on_device(image)})
    assert found is not None
    assert found[0].device == strict.DEVICE
    assert strict.to_host(found[0]).tolist() == [[1, 2], [3, 4]]
    assert (found[1], known.seconds) == (monitor, 2.0)
    for other in (image + 1, image.astype(np.float32), image.reshape(1, 4)):
        assert known.of(1, "superpixels", {}, {"image": strict.on_device(other)}) is None
    assert known.of(1, "superpixels", {}, {"image": image}) is None  # after a fallback to the host


def test_objects_that_touch_the_same_voxels_score_as_evaluate_says():
    image, truth, _ = squares()
    found = nc.compare(image, truth, methods=["threshold"])
    otsu = next(one for one in found.standings if one.row.name == "threshold otsu")
    labels = nc.threshold(image, one_per_object=True)
    expected = nc.evaluate(labels, truth, match="binary", classes=[1])
    assert otsu.dice == pytest.approx(expected.dice[0])
    assert otsu.iou == pytest.approx(expected.iou[0])
    assert otsu.f1 == pytest.approx(nc.evaluate_objects(labels, truth).at(0.5)["f1"])


def test_it_is_the_same_twice_and_another_seed_deals_anew():
    image, _, strokes = squares(noise=60)
    tables = [
        nc.compare(image, strokes, methods=["sauvola"], ignore=0, tune=True, budget=6, seed=seed).as_dict()["rows"]
        for seed in (0, 0, 1)
    ]
    for table in tables:
        for row in table:
            del row["seconds"]
    assert tables[0] == tables[1] != tables[2]


def test_strokes_say_that_they_are_for_choosing():
    image, truth, strokes = squares()
    assert FOR_CHOOSING in nc.compare(image, strokes, methods=["threshold_at"], ignore=0).notes
    assert FOR_CHOOSING not in nc.compare(image, truth, methods=["threshold_at"]).notes
    assert FOR_CHOOSING.capitalize() in nc.compare(image, strokes, methods=["threshold_at"], ignore=0).summary()


def test_a_method_that_fails_is_a_row_with_its_reason():
    image, truth, _ = squares()
    flat = np.full_like(image, 7)
    found = nc.compare(flat, truth, methods=["hysteresis", "threshold_at"])
    assert all(one.rank is not None or one.row.error for one in found.standings)
    channels = np.stack([image, image])
    found = nc.compare(channels, truth, methods=["threshold_at", "kmeans"], selection=Selection("cyx", channel="all"))
    failed = next(one for one in found.standings if one.row.error)
    assert "takes one channel" in failed.row.error
    assert failed.record()["note"] == failed.row.error
    assert found.winner.row.name.startswith("kmeans")


def test_labels_of_others_and_recipes_take_part():
    image, truth, _ = squares()
    other = (truth > 0).astype(np.uint8)
    other[4:8, 4:14] = 0
    mine = nc.Recipe([nc.Step("threshold", {"sigma": 1.0})])
    found = nc.compare(image, truth, methods=[], labels={"Cellpose": other}, recipes={"mine": mine}, ceiling=truth)
    by_name = {one.row.name: one for one in found.standings}
    assert by_name["ceiling"].rank is None
    assert by_name["ceiling"].dice == 1
    assert by_name["Cellpose"].dice == pytest.approx(2 * 560 / (560 + 600))  # 40 of 600 voxels are missing
    assert found.recipe == mine
    assert by_name["Cellpose"].row.recipe is None


def test_dark_objects_are_looked_for_as_dark_ones():
    image, truth, strokes = squares()
    for labels, ignore in ((truth, None), (strokes, 0)):
        found = nc.compare(255 - image, labels, methods=["threshold"], ignore=ignore)
        assert found.recipe.steps[0].settings["objects"] == "dark"
        assert found.winner.dice > 0.9


def test_the_background_of_strokes_can_be_named():
    image, _, strokes = squares()
    turned = np.where(strokes == 0, 0, 3 - strokes).astype(np.uint8)
    found = nc.compare(image, turned, methods=["threshold"], ignore=0, background=1)
    assert found.problem.background == 1
    assert found.winner.dice == nc.compare(image, strokes, methods=["threshold"], ignore=0).winner.dice


def test_several_images_have_one_recipe():
    sets = [squares(seed=seed) for seed in range(4)]
    images, truths = [s[0] for s in sets], [s[1] for s in sets]
    found = nc.compare(images, truths, methods=["threshold_at", "sauvola"])
    assert (found.held_out, found.n_units) == ("images", 4)
    total = sum(2 * ((nc.threshold(i) > 0) & (t > 0)).sum() for i, t in zip(images, truths, strict=True))
    assert total > 0
    assert len(found.iou_by_unit()["sauvola"]) == 4


def test_frames_and_channels_are_compared_as_they_would_be_run():
    image, truth, _ = squares()
    frames = np.stack([image, image])[:, None]
    chosen = Selection("tcyx", channel=0, each="t")
    found = nc.compare(frames, np.stack([truth, truth]), methods=["threshold"], selection=chosen)
    assert found.winner.dice > 0.9
    assert found.recipe.selection == chosen


def test_a_search_begins_with_what_is_annotated():
    image = np.zeros((600, 600), np.uint8)
    truth = np.full(image.shape, 255, np.uint8)
    image[100:110, 100:110] = 200
    truth[90:120, 90:120] = image[90:120, 90:120] > 0
    made = prepared(image, truth, rules=replace(RULES, tune=True), methods=["threshold"], ignore=255)
    trial = Trial(made.contest, made.entries[0])
    first, whole = trial.rungs
    assert first == [(slice(58, 152), slice(58, 152))]
    assert whole == [(slice(0, 600), slice(0, 600))]
    assert not made.contest.row(made.entries[0]).error


def test_of_equals_the_middle_one_is_taken():
    classes = [np.arange(100) < n for n in (10, 40, 50, 60, 99)]
    problem = Problem(np.asarray([0, 1]), 0, 1)
    agreement = agreements([c.astype(np.int64) for c in classes], problem)
    assert agreement.sum(axis=1).argmax() == 2
    assert agreement[1, 3] == pytest.approx(2 * 40 / 100)
    np.testing.assert_allclose(agreement, agreement.T)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budget": 1}, "budget must be a whole number from 2, got 1"),
        ({"folds": 2.5}, "folds must be a whole number from 2, got 2.5"),
        ({"metric": "accuracy"}, "metric must be one of 'dice'"),
        ({"methods": ["thresold"]}, "there is no method 'thresold'"),
        ({"methods": []}, "nothing to compare"),
        ({"background": 9}, "background must be a class of truth"),
        ({"labels": {"x": np.zeros((3, 3), np.uint8)}}, "x must have the shape"),
    ],
)
def test_bad_input_is_refused_with_the_rule(change, words):
    image, truth, _ = squares()
    with pytest.raises(ValueError, match=words):
        nc.compare(image, truth, **{"methods": ["threshold_at"], **change})


def test_annotations_that_cannot_tell_methods_apart_are_refused():
    image, truth, strokes = squares()
    with pytest.raises(ValueError, match="strokes hold one label only"):
        nc.compare(image, (strokes == 1).astype(np.uint8), ignore=0)
    with pytest.raises(ValueError, match="nothing to tell apart"):
        nc.compare(image, np.ones_like(truth))
    with pytest.raises(ValueError, match="metric='f1' scores numbered objects"):
        nc.compare(image, strokes, ignore=0, metric="f1")
    with pytest.raises(ValueError, match="one array for each of the 2 images"):
        nc.compare([image, image], truth)
    with pytest.raises(TypeError, match="truth must hold integer labels, got dtype float64"):
        nc.compare(image, truth.astype(float))
    with pytest.raises(ValueError, match="must have 2 or 3 axes"):
        nc.compare(image[None, None], truth)


def test_a_comparison_can_be_cancelled_and_keeps_its_rows():
    image, truth, _ = squares()
    done = []
    made = prepared(image, truth, rules=RULES, methods=["threshold"], is_cancelled=lambda: len(done) == 2)
    rows = made.rows()
    done += [next(rows), next(rows)]
    with pytest.raises(nc.Cancelled):
        next(rows)
    assert len(made.leaderboard(done)) == 2


def test_what_is_written_is_what_is_shown(tmp_path):
    image, truth, _ = squares()
    found = nc.compare(image, truth, methods=["threshold_at", "sauvola"])
    lines = found.to_csv(tmp_path / "a.csv").read_text().splitlines()
    assert lines[0].startswith("rank,name,score,low,high,p,tied,dice,iou,f1,pq")
    assert len(lines) == 3
    with pytest.raises(FileExistsError):
        found.to_csv(tmp_path / "a.csv")
    assert '"metric": "dice"' in found.to_json(tmp_path / "a.json").read_text()
    recipe = found.as_dict()["rows"][0]["recipe"]
    assert recipe["steps"][0]["method"] in ("threshold_at", "sauvola")


def test_what_is_too_large_to_be_run_many_times_is_refused_before_it_is_read():
    import dask.array as da

    def never(_):
        raise AssertionError("read")

    huge = da.zeros((1 << 10,) * 3, np.uint8, chunks=256).map_blocks(never, dtype=np.uint8, meta=np.zeros(0, np.uint8))
    with pytest.raises(ValueError, match="Choose a region around the annotation"):
        nc.compare(huge, huge, ignore=0)


def test_only_strokes_make_equals_of_settings_that_score_a_little_less(monkeypatch):
    image, truth, strokes = squares()
    for labels, ignore in ((truth, None), (strokes, 0)):
        rules = replace(RULES, tune=True, budget=12)
        made = prepared(image, labels, rules=rules, methods=["threshold_at"], ignore=ignore)
        trial = Trial(made.contest, made.entries[0])
        everything = np.ones(len(made.contest.units), bool)
        trial.chosen(everything)
        found = sorted(trial.known.values(), key=lambda one: np.count_nonzero(one.sample))
        scores = {id(one): 0.98 - 0.001 * n for n, one in enumerate(found)}
        with monkeypatch.context() as patch:
            patch.setattr(Trial, "_score", lambda self, one, tuning, scores=scores: scores[id(one)])
            best = trial._most_alike(found, everything)
        assert (best is found[0]) == (ignore is None), "the first finds least, and so is like few others"


def test_on_a_dense_annotation_the_best_is_the_best():
    image, truth, strokes = squares()
    made = [
        prepared(image, labels, rules=replace(RULES, tune=True), methods=["threshold_at"], ignore=ignore)
        for labels, ignore in ((truth, None), (strokes, 0))
    ]
    for one, least in zip(made, (0.0, 0.03), strict=True):
        trial = Trial(one.contest, one.entries[0])
        everything = np.ones(len(one.contest.units), bool)
        chosen = trial.chosen(everything)
        scores = [trial._score(other, everything) for other in trial.known.values()]
        assert trial._score(chosen, everything) >= max(scores) - least


def test_numbers_of_objects_are_read_as_such_whatever_is_not_annotated():
    image, truth, _ = squares()
    partly = truth.astype(np.int16)
    partly[:, 50:] = 255
    found = nc.compare(image, partly, methods=["threshold"], ignore=255, metric="f1")
    assert found.problem.numbered
    assert found.winner.f1 == 1
    assert any("read as numbers of objects" in note for note in found.notes)
    assert not any("metric='f1' ranks by objects" in note for note in found.notes)
    by_voxels = nc.compare(image, partly, methods=["threshold"], ignore=255)
    assert any("dice does not see objects that were not told apart; metric='f1'" in note for note in by_voxels.notes)
    as_classes = nc.compare(image, truth, methods=["threshold_at"], truth_is="classes")
    assert len(as_classes.problem.classes) == 7
    assert any("read as classes" in note for note in as_classes.notes)
    one = (truth == 1).astype(np.uint8)
    assert nc.compare(image, one, methods=["threshold_at"], truth_is="objects", metric="f1").problem.numbered


def test_objects_of_frames_are_matched_frame_by_frame():
    """Tracks keep their numbers, and results that are run one by one are numbered on and on."""
    image, truth, _ = squares()
    frames, tracks = np.stack([image] * 3), np.stack([truth] * 3)
    found = nc.compare(frames, tracks, methods=["threshold"], metric="f1", selection=Selection("tyx", each="t"))
    assert found.winner.f1 == 1


def test_a_tuning_part_without_objects_prefers_what_finds_none():
    image = np.full((40, 40), 20, np.uint8)
    truth = np.zeros_like(image)
    truth[2:6, 2:6] = 1
    image[truth > 0] = 200
    image[30:33, 30:33] = 90  # what a low threshold would find
    found = nc.compare(image, truth, methods=["threshold_at"], tune=True, budget=12)
    assert found.winner.dice > 0.95, "but what was learnt without the one object cannot know its outline"


def test_finding_nothing_where_nothing_is_counts_as_right():
    image, truth, _ = squares()
    units = units_of([truth], None)
    made = prepared(image, truth, rules=RULES, methods=["threshold_at"])
    trial = Trial(made.contest, made.entries[0])
    empty = np.ones(len(units), bool)
    empty[np.unique(units.maps[0][truth > 0])] = False
    assert empty.any()
    nothing = trial.candidate({**_contestants.settings_of(made.entries[0].recipe), "1.value": 255.0}, empty)
    assert trial._score(nothing, empty) == 1


def test_recipes_run_on_what_is_compared():
    image, truth, _ = squares()
    chosen = Selection("yx", box=((4, 54), (4, 54)))
    mine = nc.Recipe([nc.Step("threshold")])
    inside = truth[4:54, 4:54]
    found = nc.compare(image, inside, methods=[], recipes={"mine": mine}, selection=chosen)
    expected = nc.evaluate(nc.threshold(image[4:54, 4:54]), inside, match="binary", classes=[1])
    assert found.winner.dice == pytest.approx(expected.dice[0])
    other = replace(mine, selection=Selection("yx", box=((0, 50), (0, 50))))
    found = nc.compare(image, inside, methods=[], recipes={"other": other}, selection=chosen)
    assert "other voxels are compared" in found.standings[0].row.error
    wants = nc.Recipe([nc.Step("threshold", {}, {"mask": "nucleus"})])
    found = nc.compare(image, truth, methods=[], recipes={"wants": wants})
    assert "reads 'nucleus'" in found.standings[0].row.error


def test_labels_of_the_strokes_classes_may_leave_some_voxels_out():
    image, truth, strokes = squares()
    labels = np.where(truth > 0, 1, 2).astype(np.uint8)
    labels[59, 59] = 0
    assert nc.compare(image, strokes, methods=[], labels={"mine": labels}, ignore=0).winner.dice == 1


def test_images_without_an_annotation_are_not_run():
    image, _, strokes = squares()
    found = nc.compare([image, image], [strokes, np.zeros_like(strokes)], methods=["threshold"], ignore=0)
    alone = nc.compare(image, strokes, methods=["threshold"], ignore=0)
    assert [one.score for one in found.standings] == [one.score for one in alone.standings]


def test_methods_that_read_strokes_have_some_in_every_image():
    sets = [squares(seed=seed) for seed in range(4)]
    found = nc.compare([s[0] for s in sets], [s[2] for s in sets], methods=["watershed", "back_projection"], ignore=0)
    assert not [one.row.error for one in found.standings if one.row.error]
    assert found.winner.dice > 0.8


def test_whatever_a_method_raises_is_a_row(monkeypatch):
    real = _trial.execute

    def broken(recipe, inputs, **options):
        if recipe.steps[0].method == "sauvola":
            raise RuntimeError("CUDA error: an illegal memory access")
        if recipe.steps[0].settings.get("sigma", 0) > 2:
            raise MemoryError("no room for such a filter")
        return real(recipe, inputs, **options)

    monkeypatch.setattr(_trial, "execute", broken)
    image, _, strokes = squares()
    found = nc.compare(image, strokes, methods=["threshold_at", "sauvola"], ignore=0, tune=True, budget=8)
    by_name = {one.row.name: one for one in found.standings}
    assert by_name["sauvola"].row.error == "CUDA error: an illegal memory access"
    assert by_name["threshold_at"].rank == 1, "some settings failed, and others did not"


def test_a_fold_chooses_among_what_its_own_search_met():
    """What another fold was led to was led there by units that this fold holds out."""
    image, _, strokes = squares(noise=60)
    made = prepared(image, strokes, rules=replace(RULES, tune=True, budget=12, folds=2), methods=["sauvola"], ignore=0)
    first, second = made.contest.tuning_parts()
    alone = Trial(made.contest, made.entries[0])
    expected = alone.chosen(second)
    after = Trial(made.contest, made.entries[0])
    after.chosen(first)
    assert after.chosen(second).settings == expected.settings
    assert len(after.known) > len(alone.known)


def test_thresholds_are_tried_at_any_grey_levels():
    _, truth, strokes = squares()
    for low, high in ((-5.0, -4.0), (10_000.0, 10_063.0), (0.0, 1e-6)):
        image = np.where(truth > 0, high, low)
        image[0, :3] = high + 50 * (high - low)
        found = nc.compare(image, strokes, methods=["threshold_at"], ignore=0, tune=True, budget=6)
        assert found.winner.dice == 1


def test_named_methods_that_do_not_apply_say_so():
    image, truth, _ = squares()
    found = nc.compare(image, truth, methods=["threshold_at", "objects", "draw_lines"])
    errors = {one.row.name: one.row.error for one in found.standings if one.row.error}
    assert set(errors) == {"objects", "draw_lines"}
    assert all("begins with labels" in error for error in errors.values())


def test_two_contestants_of_one_name_are_refused():
    image, truth, _ = squares()
    with pytest.raises(ValueError, match="two contestants are called 'ceiling'"):
        nc.compare(image, truth, methods=[], labels={"ceiling": truth}, ceiling=truth)


def test_few_units_tell_little_apart_and_say_so():
    """By swaps five units give no p below 2 / 32, however different two methods are."""
    problem = Problem(np.asarray([0, 1]), 0, 5)
    rows = [Row("good", overlap=overlap_of([0.9] * 5)), Row("bad", overlap=overlap_of([0.1] * 5))]
    assert [one.p for one in ranked(rows, problem, "dice", blocks(5), 0)] == [1, 2 / 32]
    image, _, strokes = squares()
    assert any("hardly anything can be told apart" in n for n in nc.compare(image, strokes, ignore=0).notes)


def test_rows_whose_intervals_are_apart_are_not_tied_however_few_units_there_are():
    problem = Problem(np.asarray([0, 1]), 0, 5)
    rng = np.random.default_rng(0)
    rows = [Row("good", overlap=overlap_of(0.9 + 0.05 * rng.random(5))), Row("bad", overlap=overlap_of([0.2] * 5))]
    best, other = ranked(rows, problem, "dice", blocks(5), 0)
    assert other.p == 2 / 32
    assert other.high < best.low
    assert not other.tied


def test_of_equal_rows_on_strokes_the_one_most_like_the_others_comes_first():
    """The best score may be luck: here it is that of a row whose labels are far from all others."""
    on_strokes = Problem(np.asarray([0, 1]), 0, 12, scores_background=True)
    rng, line, rows = np.random.default_rng(1), np.arange(100), []
    given = {"lucky": (0.87, 95), "small": (0.86, 30), "middle": (0.86, 40), "large": (0.85, 50), "worse": (0.5, 40)}
    for name, (mean, n) in given.items():
        noise = rng.normal(0, 0.04, 12)
        counts = overlap_of(mean + noise - noise.mean(), n=10_000)
        rows.append(Row(name, overlap=counts, sample=(line < n).astype(np.int8)))
    found = ranked(rows, on_strokes, "dice", blocks(12), 0)
    scored = replace(on_strokes, scores_background=False)
    assert next(one.row.name for one in ranked(rows, scored, "dice", blocks(12), 0)) == "lucky"
    assert found[0].row.name == "middle"
    assert found[-1].row.name == "worse"
    assert [one.rank for one in found] == [1, 2, 3, 4, 5]
    board = nc.compare(*squares()[:2], methods=["threshold_at"])
    assert board.order_note == ""
    middle, best = found[0].score, max(one.score for one in found)
    assert middle < best
    assert f"of the best score {best:.3f} that are tied" in replace(board, standings=found).order_note
    late = (found[0], *sorted(found[1:], key=lambda one: one.score))
    assert replace(board, standings=tuple(late)).order_note, "wherever a row stands below a lower score"


def test_a_stroke_is_scored_by_its_own_class():
    """Of a stroke of objects nothing of the background can be found, so its unit says nothing of that class."""
    problem = Problem(np.asarray([1, 2]), 2, 2, scores_background=True)
    counts = np.zeros((2, 2, 3))
    counts[0] = [[8, 0, 2], [0, 2, 0]]  # a stroke of class 1, of which a fifth was called class 2
    counts[1] = [[0, 0, 0], [10, 0, 0]]
    np.testing.assert_allclose(scores_by_unit(counts, problem, "iou"), [0.8, 1])
    np.testing.assert_allclose(scores_by_unit(counts, problem, "dice"), [16 / 18, 1])


def test_what_looks_forgotten_is_asked_for():
    image, truth, strokes = squares()
    assert any("pass ignore=0" in note for note in nc.compare(image, strokes, methods=["threshold_at"]).notes)
    plus = np.where(truth > 0, 2, 1).astype(np.uint8)
    assert any("truth has no background" in note for note in nc.compare(image, plus, methods=["threshold_at"]).notes)
    named = nc.compare(image, plus, methods=["threshold_at"], background=1)
    assert not any("truth has no background" in note for note in named.notes)
    assert named.winner.dice > 0.9
    with pytest.raises(TypeError, match=r"pass \['threshold'\]"):
        nc.compare(image, truth, methods="threshold")


def test_equal_methods_are_seldom_told_apart():
    """A test that holds its level: of 200 pairs of equal methods, about one in twenty."""
    problem = Problem(np.asarray([0, 1]), 0, 8)
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        rows = [Row(name, overlap=overlap_of(rng.uniform(0.4, 0.9, 8))) for name in "ab"]
        wrong += not all(one.tied for one in ranked(rows, problem, "dice", blocks(8), 0))
    assert wrong <= 18, "0.05 of 200 is 10, and 18 is two and a half standard deviations above"
