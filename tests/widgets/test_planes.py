"""Previews of methods on graphs: on the plane in view alone, as the run where that is all, and held ready."""

from __future__ import annotations

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout._monitor import watch
from napari_cutout._selection import Selection
from napari_cutout.methods import _felzenszwalb_session, partition
from napari_cutout.methods._felzenszwalb_session import Session
from napari_cutout.methods._hierarchy import Hierarchy, listening
from napari_cutout.recipe import Recipe, Step
from napari_cutout.widgets import _planes, _preview_region
from napari_cutout.widgets._known_statistics import StatisticsCache
from napari_cutout.widgets._planes import settings_on_a_plane
from napari_cutout.widgets._preview_job import PreviewJob
from napari_cutout.widgets._recut import Recut, described
from napari_cutout.widgets._view import View

GRAPH_METHODS = {
    "felzenszwalb": {"scale": 60.0, "min_size": 5},
    "superpixels": {"n_superpixels": 30},
    "merge_regions": {"n_superpixels": 30, "n_regions": 6},
    "normalized_cut": {"n_superpixels": 30, "n_regions": 4},
    "graph_cut": {"n_superpixels": 30},
}
"""All methods of the row, with settings that divide the images of these tests."""


@pytest.fixture
def image():
    """Three bright patches on a slope in noise, uint8, 2-D."""
    y, x = np.mgrid[:40, :48]
    levels = (
        40 + x + 90 * ((y - 12) ** 2 + (x - 14) ** 2 < 60) + 70 * ((y > 24) & (x > 26)) - 30 * ((y > 30) & (x < 12))
    )
    return (levels + np.random.default_rng(0).normal(0, 4, levels.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def strokes():
    """A stroke on a patch, and one beside it."""
    painted = np.zeros((40, 48), np.uint8)
    painted[12, 10:18], painted[4, 20:44] = 2, 1
    return painted


@pytest.fixture
def volume(image):
    """The image, moved a little from slice to slice, uint8, 3-D."""
    return np.stack([np.roll(image, 2 * z, axis=1) for z in range(6)])


def view_of_plane(shape, at=None, axis=0, box=None):
    """A view of all of a plane of an image, or of a box of it."""
    displayed = tuple(a for a in range(len(shape)) if len(shape) == 2 or a != axis)
    point = tuple(at if a == axis and len(shape) == 3 else 0 for a in range(len(shape)))
    ends = [(0, n) if a in displayed else (at, at + 1) for a, n in enumerate(shape)]
    return View(displayed, point, tuple(box or ends))


def preview(inputs, method, settings, view, cache=None, selection=None):
    """Return the answer of a preview, as the widget would ask for it."""
    selection = selection or Selection("zyx"[-inputs["image"].ndim :])
    step = Step(method, settings, {name: name for name in inputs})
    job = PreviewJob(Recipe((step,), selection), inputs, view)
    return job.run(cache or StatisticsCache(), lambda *_: None, lambda: False)


@pytest.mark.parametrize("method", GRAPH_METHODS)
def test_preview_of_a_whole_image_is_the_run(method, image, strokes):
    inputs = {"image": image, **({"markers": strokes} if method == "graph_cut" else {})}
    answer = preview(inputs, method, GRAPH_METHODS[method], view_of_plane(image.shape))
    expected = getattr(nc, method)(**inputs, **GRAPH_METHODS[method])
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(answer.labels, expected)
    assert not answer.approximate


def test_regions_that_are_given_are_merged_and_the_mask_counts(image):
    regions = np.kron(np.arange(1, 31).reshape(5, 6), np.ones((8, 8), int))
    inputs = {"image": image, "regions": regions, "mask": np.arange(48) < np.full((40, 1), 40)}
    for n in (9, 4):
        answer = preview(inputs, "merge_regions", {"n_regions": n}, view_of_plane(image.shape))
        np.testing.assert_array_equal(answer.labels, nc.merge_regions(**inputs, n_regions=n))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_of_a_volume_is_run_by_itself_as_two_axes(axis, volume):
    spacing, at = (4.0, 2.0, 1.0), 3
    settings = {"scale": 60.0, "min_size": 5, "spacing": spacing}
    answer = preview({"image": volume}, "felzenszwalb", settings, view_of_plane(volume.shape, at, axis))
    left = tuple(length for a, length in enumerate(spacing) if a != axis)
    expected = nc.felzenszwalb(volume.take(at, axis), scale=60.0, min_size=5, connectivity=1, spacing=left)
    np.testing.assert_array_equal(answer.labels, np.expand_dims(expected, axis))
    assert answer.approximate == "this slice by itself, in 2-D"
    assert answer.count == f"{expected.max()} regions in this slice"


def test_slices_that_are_run_one_at_a_time_are_exact(volume):
    each = Selection("zyx", each="z")
    answer = preview({"image": volume}, "felzenszwalb", {}, view_of_plane(volume.shape, 2), selection=each)
    np.testing.assert_array_equal(answer.labels[0], nc.felzenszwalb(volume[2]))
    assert not answer.approximate


def test_channels_are_looked_at_together_wherever_they_stand(volume):
    coloured = np.stack([volume, volume[:, ::-1], volume[::-1]], axis=1)  # z, c, y, x
    view = View((2, 3), (2, 0, 0, 0), ((2, 3), (0, 3), (0, 40), (0, 48)))
    settings = {"scale": 60.0, "min_size": 5}
    answer = preview({"image": coloured}, "felzenszwalb", settings, view, selection=Selection("zcyx", channel="all"))
    expected = nc.felzenszwalb(coloured[2], channel_axis=0, connectivity=1, **settings)
    np.testing.assert_array_equal(answer.labels[0], expected)


def test_the_default_scale_of_a_slice_is_that_of_the_volume_once_it_is_known(volume):
    volume[5, :20] = 255  # a slice that none of the others is like
    cache, view = StatisticsCache(), view_of_plane(volume.shape, 1)
    step = Step("felzenszwalb", {}, {"image": "image"})
    job = PreviewJob(Recipe((step,), Selection("zyx")), {"image": volume}, view)
    first = job.run(cache, lambda *_: None, lambda: False)
    assert first.approximate.startswith("statistics of what is in view")
    (wanted,) = first.wanted
    job.gather(wanted, cache, lambda *_: None, lambda: False)
    second = job.run(cache, lambda *_: None, lambda: False)
    assert second.approximate == "this slice by itself, in 2-D"
    with watch() as told:
        nc.felzenszwalb(volume)
    assert second.facts["scale"] == told.facts["scale"] > first.facts["scale"]


def test_all_of_a_plane_that_is_small_is_run_however_little_is_in_view(image, monkeypatch):
    view = view_of_plane(image.shape, box=((10, 16), (20, 26)))
    answer = preview({"image": image}, "felzenszwalb", {"scale": 60.0}, view)
    np.testing.assert_array_equal(answer.labels, nc.felzenszwalb(image, scale=60.0))
    monkeypatch.setattr(_preview_region, "MOST_ON_PLANES", 900)
    answer = preview({"image": image}, "felzenszwalb", {"scale": 60.0}, view)
    (top, left), (height, width) = answer.start, answer.labels.shape
    assert (top, left, height, width) == (6, 16, 14, 14)  # with the margin of 4 around it
    part = image[top : top + height, left : left + width]
    np.testing.assert_array_equal(answer.labels, nc.felzenszwalb(part, scale=60.0))
    assert answer.approximate == "what is in view by itself"


def test_a_slice_without_strokes_says_so(volume, strokes):
    painted = np.zeros(volume.shape, np.uint8)
    painted[4] = strokes
    inputs = {"image": volume, "markers": painted}
    for at, note in ((1, "no markers in this slice"), (4, "this slice by itself, in 2-D")):
        answer = preview(inputs, "graph_cut", {"n_superpixels": 200}, view_of_plane(volume.shape, at))
        assert answer.approximate == note
        assert bool(answer.labels.any()) == (at == 4)


def test_superpixels_of_a_part_are_as_large_as_in_the_run():
    # 1000 superpixels of a volume of 100 x 100 x 100 have an edge of 10; a slice of it is crossed by 10 x 10 of them.
    found = settings_on_a_plane({"n_superpixels": 1000, "n_regions": 50}, (100, 100, 100), (100, 100))
    assert found == {"n_superpixels": 100, "n_regions": 5}
    # With slices twice as far apart the volume is 2e6 large: an edge of 2000 ^ (1/3) = 12.6, 1e4 / 158.7 = 63 of them.
    assert settings_on_a_plane({"n_superpixels": 1000}, (200, 100, 100), (100, 100)) == {"n_superpixels": 63}
    # A quarter of a plane holds a quarter of them.
    found = settings_on_a_plane({"n_superpixels": 1000, "n_regions": None}, (200, 200), (100, 100))
    assert found == {"n_superpixels": 250, "n_regions": None}
    assert settings_on_a_plane({"n_superpixels": 1000, "n_regions": 3}, (64, 64, 64), (1, 1))["n_regions"] == 1
    assert settings_on_a_plane({"scale": 3.0}, (64, 64), (8, 8)) == {"scale": 3.0}


# Held ready -----------------------------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch):
    """The settings with which edges were put in order."""
    made = []
    real = Session.__init__

    def noted(self, image, mask, settings):
        made.append(dict(settings))
        real(self, image, mask, settings)

    monkeypatch.setattr(_felzenszwalb_session.Session, "__init__", noted)
    return made


def test_edges_are_put_in_order_once_for_all_scales(image, volume, made):
    cache, view = StatisticsCache(), view_of_plane(image.shape)
    for settings in ({"scale": 9.0}, {"scale": 200.0}, {"scale": 60.0, "min_size": 0}, {}):
        answer = preview({"image": image}, "felzenszwalb", settings, view, cache)
        np.testing.assert_array_equal(answer.labels, nc.felzenszwalb(image, **settings))
    assert len(made) == 1
    preview({"image": image}, "felzenszwalb", {"sigma": 2.0}, view, cache)
    assert [settings["sigma"] for settings in made] == [0.8, 2.0]
    for at in (0, 1, 0):  # two are held
        preview({"image": volume}, "felzenszwalb", {}, view_of_plane(volume.shape, at), cache)
    assert len(made) == 4
    cache.ready.clear()
    preview({"image": volume}, "felzenszwalb", {}, view_of_plane(volume.shape, 0), cache)
    assert len(made) == 5


def test_what_is_large_is_not_held(image, made, monkeypatch):
    monkeypatch.setattr(_planes, "MOST_KEPT", image.size - 1)
    cache, view = StatisticsCache(), view_of_plane(image.shape)
    for scale in (9.0, 60.0):
        preview({"image": image}, "felzenszwalb", {"scale": scale}, view, cache)
    assert len(made) == 2


def test_superpixels_and_merges_are_made_once(image, strokes, monkeypatch):
    n_runs = []
    real = partition.partitioned
    monkeypatch.setattr(partition, "partitioned", lambda *args: n_runs.append(args) or real(*args))
    cache, view = StatisticsCache(), view_of_plane(image.shape)
    for n in (9, 4, 12):
        settings = {"n_superpixels": 30, "n_regions": n}
        answer = preview({"image": image}, "merge_regions", settings, view, cache)
        assert answer.labels.max() == n
    assert len(n_runs) == 1
    for label in (2, 3):
        painted = np.where(strokes == 2, label, strokes)
        inputs = {"image": image, "markers": painted}
        step = Step("graph_cut", {"n_superpixels": 30}, {name: name for name in inputs})
        job = PreviewJob(Recipe((step,), Selection("yx")), inputs, view, {"image": "image", "markers": label})
        answer = job.run(cache, lambda *_: None, lambda: False)
        np.testing.assert_array_equal(answer.labels, nc.graph_cut(image, painted, n_superpixels=30))
    assert len(n_runs) == 2 + 2  # one for both previews, and one for each of the runs that they are compared with


@pytest.mark.parametrize("connectivity", [None, 1])
def test_edges_in_order_give_what_the_method_gives(connectivity, volume):
    noisy = volume.astype(np.float32)
    noisy[1, 5:9, 5:9] = np.nan
    image, mask = np.stack([noisy, noisy[:, ::-1]], axis=-1), np.arange(48) < np.full((6, 40, 1), 40)
    settings = {"sigma": 0.5, "connectivity": connectivity, "channel_axis": -1, "spacing": (3.0, 1.0, 1.0)}
    session = Session(image, mask, {**settings, "channel_axis": 3})
    for scale, min_size in ((None, 20), (0.0, 0), (30.0, 7), (1e5, 20)):
        found = session.labels({"scale": scale, "min_size": min_size})
        expected = nc.felzenszwalb(image, mask, scale=scale, min_size=min_size, **settings)
        np.testing.assert_array_equal(found, expected)


# Cutting a hierarchy elsewhere -----------------------------------------------------------------------------


def test_a_hierarchy_says_between_which_differences_a_cut_lies():
    # Three merges of four regions, at 1, 5 and 5: with 2 left the last was at 5, and the next would be at 5.
    hierarchy = Hierarchy(np.array([1, 2, 3, 4]), lambda n, _: np.arange(5, dtype=np.int32), np.array([1.0, 5.0, 5.0]))
    assert (hierarchy.most, hierarchy.fewest) == (4, 1)
    assert hierarchy.reached(2) == (5.0, 5.0)
    assert hierarchy.reached(3) == (1.0, 5.0)
    np.testing.assert_array_equal(hierarchy.reached(4), (np.nan, 1.0))
    np.testing.assert_array_equal(hierarchy.reached(1), (5.0, np.nan))
    assert str(Recut(hierarchy, np.zeros(4, np.int32)).at(3)) == (
        "merged up to a difference of 1; the next pair differs by 5"
    )


def test_every_cut_is_what_the_method_gives_and_a_box_may_come_first(image):
    mask = np.arange(48) < np.full((40, 1), 40)
    with listening() as heard:
        labels = nc.merge_regions(image, mask=mask, n_superpixels=30, n_regions=8)
    recut = Recut(heard[0], labels)
    ours = {"recipe": Recipe((Step("merge_regions", {"n_regions": 8, "threshold": 1e9}),)).to_json()}
    provenance = {"steps": [{"settings": {"n_regions": 8}, "facts": {"n_regions": 8}}], "facts": {"n_regions": 8}}
    ours["provenance"] = provenance | {"recipe": {"steps": [{"settings": {"n_regions": 8}}]}}
    for n in (3, 20, 1):
        expected, before = nc.merge_regions(image, mask=mask, n_superpixels=30, n_regions=n), labels.copy()
        cut = recut.at(n)
        recut.write(cut, ((10, 20), (30, 44)))
        inside = np.zeros(image.shape, bool)
        inside[10:20, 30:44] = True
        np.testing.assert_array_equal(labels, np.where(inside, expected, before))
        done = recut.finish(cut, ours)
        np.testing.assert_array_equal(labels, expected)
        assert Recipe.from_json(done.metadata["recipe"]).steps[0].settings["n_regions"] == n
        assert Recipe.from_json(done.metadata["recipe"]).steps[0].settings["threshold"] is None
        said = done.metadata["provenance"]
        assert said["facts"] == said["steps"][0]["facts"] == {"n_regions": n}
        assert said["steps"][0]["settings"] == said["recipe"]["steps"][0]["settings"]
    assert recut.at(10**6).n_regions == recut.most == heard[0].regions.max()
    assert ours["provenance"]["facts"] == {"n_regions": 8}
    assert described(ours, cut, "digest")["provenance"]["sha256"] == "digest"


def test_nobody_listens_after_the_end(image):
    with listening() as heard:
        pass
    nc.merge_regions(image, n_superpixels=30)
    assert heard == []
