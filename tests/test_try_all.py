"""Try all: what every method makes of one plane, against the methods themselves and hand-worked planes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout.comparison import try_all as module
from napari_cutout.comparison.try_all import plane_of_view


@pytest.fixture(scope="module")
def blobs():
    """Two squares on a dark ground with a little texture, 260 of 1,280 pixels."""
    image = (np.arange(32 * 40).reshape(32, 40) * 7 % 5 + 10).astype(np.uint8)
    image[4:12, 5:15] += 190  # 80 pixels
    image[18:30, 20:35] += 170  # 180 pixels
    image.flags.writeable = False
    return image


@pytest.fixture(scope="module")
def trials(blobs):
    """What all methods made of them."""
    return list(nc.try_all(blobs))


def by_name(trials):
    return {trial.name: trial for trial in trials}


def test_it_takes_apart_into_name_recipe_and_labels(blobs, trials):
    for name, recipe, labels in trials:
        assert isinstance(name, str)
        assert recipe.steps[0].method in catalog.methods()
        assert labels.shape == blobs.shape


def test_labels_are_those_of_the_recipe_on_the_plane(blobs, trials):
    for trial in trials:
        np.testing.assert_array_equal(trial.labels, nc.execute(trial.recipe, {"image": blobs}).labels)


def test_every_method_that_needs_only_the_image_is_tried(trials):
    tried = {trial.recipe.steps[-1].method for trial in trials}
    needs_nothing = {
        entry.name
        for entry in catalog.methods().values()
        if entry.needs == "image"
        and not any(p.required for p in entry.settings)
        and "markers_" not in entry.name
        and entry.row != "Graph-based"  # regions cover the image: which of them are objects, only strokes say
    }
    assert tried == needs_nothing | {"split_touching"}, "splitting works on what Otsu's threshold cut"
    rules = {trial.recipe.steps[0].settings["method"] for trial in trials if "threshold " in trial.name}
    assert {"otsu", "li", "yen", "triangle"} <= rules


def test_the_quick_ones_come_first(trials):
    names = [trial.name for trial in trials]
    assert names[0] == "threshold otsu"
    places = [names.index(name) for name in ("kmeans", "sauvola", "split_touching after otsu", "kmeans features")]
    assert places == sorted(places), "one pass, then windows, then two steps, then features"


def test_counts_and_shares_are_those_of_the_objects(blobs, trials):
    found = by_name(trials)
    for name in ("threshold otsu", "kmeans", "gaussian_mixture"):  # the latter two give classes 1 and 2, and no 0
        assert (found[name].n_objects, found[name].share) == (2, 260 / 1280), name
        np.testing.assert_array_equal(found[name].is_object, blobs > 100)
    assert found["split_touching after otsu"].n_objects == len(np.unique(found["split_touching after otsu"].labels)) - 1


def test_dark_objects_are_found_where_they_cover_less(blobs):
    dark = 255 - blobs
    found = by_name(nc.try_all(dark))
    for name in ("threshold otsu", "kmeans"):
        np.testing.assert_array_equal(found[name].is_object, blobs > 100)
    bright = by_name(nc.try_all(dark, objects="bright"))
    assert bright["threshold otsu"].share == bright["kmeans"].share == 1020 / 1280


def test_look_alikes_name_the_first_of_them(trials):
    found = by_name(trials)
    assert found["threshold otsu"].like == ""
    assert found["kmeans"].like == "threshold otsu", "one-channel k-means is Otsu's threshold"
    for at, trial in enumerate(trials):
        firsts = [one for one in trials[:at] if not one.like and len(one.recipe.steps) == len(trial.recipe.steps)]
        if len(trial.recipe.steps) > 1:
            continue
        dice = {one.name: f1_score(one.is_object.ravel(), trial.is_object.ravel()) for one in firsts}
        expected = next((name for name, value in dice.items() if value >= 0.99), "")
        assert trial.like == expected, trial.name


def test_the_same_voxels_in_other_numbers_are_not_alike(blobs):
    image = blobs.copy()
    image[4:12, 9] = 110  # a dent, by which some methods see more objects
    found = by_name(nc.try_all(image))
    split, otsu = found["split_touching after otsu"], found["threshold otsu"]
    np.testing.assert_array_equal(split.is_object, otsu.is_object)
    assert split.like == "", "it numbers objects, and a threshold does not"


@pytest.mark.parametrize(("counts", "alike"), [((20, 21), True), ((20, 22), False), ((1, 2), False)])
def test_numbers_of_objects_may_differ_by_five_percent(counts, alike):
    recipe = nc.recipe.Recipe([nc.recipe.Step("threshold"), nc.recipe.Step("split_touching", {}, {"labels": "step_1"})])
    where = np.ones((4, 4), bool)
    one, other = (module.Trial("a", recipe, None, where, n, 1.0) for n in counts)
    assert module._alike(one, other) is alike  # |20 - 21| / 21 = 0.048, |20 - 22| / 22 = 0.09


def test_a_failed_method_says_why_and_the_others_go_on(blobs, monkeypatch):
    real = module.execute

    def failing(recipe, *args, **options):
        if recipe.steps[0].settings.get("method") == "minimum":
            raise ValueError("no two\npeaks")
        return real(recipe, *args, **options)

    monkeypatch.setattr(module, "execute", failing)
    found = by_name(nc.try_all(blobs))
    failed = found["threshold minimum"]
    assert (failed.error, failed.labels, failed.like) == ("no two peaks", None, "")
    assert found["sauvola"].error == ""


def test_of_a_volume_the_middle_plane_is_run_with_its_own_spacing(blobs):
    volume = np.stack([blobs * 0, blobs, np.roll(blobs, 3), blobs * 0, blobs * 0])
    trial = next(nc.try_all(volume, spacing=(4, 1, 1)))
    assert trial.recipe.selection.box == ((2, 3), (0, 32), (0, 40))
    np.testing.assert_array_equal(trial.labels, nc.threshold(volume[2]))


def test_a_selection_says_which_plane_and_channel(blobs):
    image = np.zeros((3, 32, 40, 2), np.uint8)
    image[1, ..., 1] = blobs
    chosen = nc.Selection("zyxc", channel=1, box=((1, 2), (2, 32), (0, 40)), each="z")
    trial = next(nc.try_all(image, selection=chosen))
    np.testing.assert_array_equal(trial.labels, nc.threshold(blobs[2:]))


def test_a_large_plane_is_cropped_to_its_middle(blobs):
    trial = next(nc.try_all(blobs, max_voxels=320))  # half of each side: 16 x 20 of 32 x 40
    assert trial.recipe.selection.box == ((8, 24), (10, 30))
    np.testing.assert_array_equal(trial.labels, nc.threshold(blobs[8:24, 10:30]))


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 60), st.integers(1, 60)),
    max_voxels=st.integers(1, 4000),
)
def test_the_plane_is_one_inside_the_image_of_at_most_so_many_pixels(shape, max_voxels):
    taken = plane_of_view(shape, None, max_voxels)
    n, height, width = taken.shape(shape)
    assert n == 1
    assert height * width <= max(max_voxels, height, width), "a side has one pixel at least"
    assert all(0 <= low < high <= size for (low, high), size in zip(taken.box, shape, strict=True))


def test_progress_names_methods_and_a_cancel_stops(blobs):
    told = []
    assert len(list(nc.try_all(blobs, on_progress=lambda name, part: told.append((name, part))))) == len(told)
    assert told[0] == ("threshold otsu", 0.0)
    assert [part for _, part in told] == sorted({part for _, part in told})
    cancelled = []
    trials = nc.try_all(blobs, is_cancelled=lambda: bool(cancelled))
    next(trials)
    cancelled.append(True)
    with pytest.raises(nc.Cancelled):
        next(trials)


def test_a_constant_image_gives_no_objects_or_a_reason():
    for trial in nc.try_all(np.full((24, 24), 7, np.uint8)):
        assert trial.error or trial.n_objects in (0, 1), trial.name


def test_bad_arguments_are_refused(blobs):
    with pytest.raises(ValueError, match="objects must be 'bright' or 'dark', or None to find out, got 'grey'"):
        nc.try_all(blobs, objects="grey")
    with pytest.raises(ValueError, match="max_voxels must be a whole number from 1, got 0"):
        nc.try_all(blobs, max_voxels=0)
    with pytest.raises(TypeError, match="image must be an array, got list"):
        nc.try_all([[1, 2]])
    with pytest.raises(ValueError, match=r"image must have 2 or 3 axes, got shape \(1, 2, 3, 4\)"):
        nc.try_all(np.zeros((1, 2, 3, 4)))
