"""A preview gives the voxels of the run, reads no more than it must, and says where it cannot be sure."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_cutout import catalog
from napari_cutout._monitor import Cancelled
from napari_cutout._selection import Selection
from napari_cutout.methods.histogram import histogram
from napari_cutout.recipe import Recipe, Step
from napari_cutout.running._execute import execute
from napari_cutout.widgets import _preview_arrays, _preview_job, _preview_region
from napari_cutout.widgets._known_statistics import StatisticsCache
from napari_cutout.widgets._planes import ON_PLANES
from napari_cutout.widgets._points import PlantedPoints
from napari_cutout.widgets._preview_arrays import DrawnMask
from napari_cutout.widgets._preview_job import PreviewJob
from napari_cutout.widgets._target import Outline
from napari_cutout.widgets._view import View

from ..cases import NETWORKS, arrays_of, settings_of, two_humps

METHODS = [
    entry
    for entry in catalog.methods().values()
    if entry.needs != "labels" and entry not in NETWORKS and entry.name not in ON_PLANES
]
"""All but those that are tested by themselves, in test_planes.py and those of networks."""


def quiet(*_):
    """Hear of progress."""


def never():
    return False


def plane(shape, at=0, box=None):
    """Return the view of one plane of a volume, or of a part of it."""
    n = len(shape)
    hidden = [(at, at + 1)] * (n - 2)
    return View((n - 2, n - 1), (at,) * n, (*hidden, *(box or [(0, s) for s in shape[-2:]])))


def answered(job, cache=None):
    """Return the answer once all statistics are known, as the controller would ask for it."""
    cache = cache or StatisticsCache()
    answer = job.run(cache, quiet, never)
    for wanted in answer.wanted:
        job.gather(wanted, cache, quiet, never)
    return job.run(cache, quiet, never)


def same_voxels(answer, labels):
    index = tuple(slice(a, a + n) for a, n in zip(answer.start, answer.labels.shape, strict=True))
    np.testing.assert_array_equal(answer.labels, labels[index])
    assert answer.labels.dtype == labels.dtype


SETTINGS = [
    pytest.param({}, id="plain"),
    pytest.param({"sigma": 1.3}, id="sigma"),
    pytest.param({"median_radius": 1, "spacing": (2.0, 1.0, 1.0)}, id="median"),
    pytest.param({"background_radius": 4.0, "sigma": 0.7, "spacing": (3.0, 1.0, 1.5)}, id="background"),
]
VIEWS = [
    pytest.param((40, 44), ((0, 40), (0, 44)), id="2d-whole"),
    pytest.param((60, 64), ((10, 22), (30, 41)), id="2d-zoomed"),
    pytest.param((9, 30, 32), ((0, 30), (0, 32)), id="3d-slice"),
    pytest.param((9, 40, 44), ((3, 14), (20, 30)), id="3d-zoomed"),
]


@pytest.mark.parametrize("masked", [pytest.param(False, id="all"), pytest.param(True, id="masked")])
@pytest.mark.parametrize(("shape", "box"), VIEWS)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("entry", METHODS, ids=lambda entry: entry.name)
def test_a_preview_with_the_statistics_of_the_whole_gives_the_voxels_of_the_run(entry, settings, shape, box, masked):
    image = two_humps(shape, seed=3)
    arrays = arrays_of(entry, image)
    if masked:
        arrays["mask"] = np.indices(shape)[-1] > 5
    settings = {**settings_of(entry), **settings}
    if "window" in {p.name for p in entry.settings}:
        settings["window"] = 7.0
    if len(shape) == 2 and "spacing" in settings:
        settings["spacing"] = settings["spacing"][1:]
    recipe = Recipe([Step(entry.name, settings, {name: name for name in arrays})])
    answer = answered(PreviewJob(recipe, arrays, plane(shape, 4, box)))
    assert not answer.wanted
    whole = execute(recipe, arrays, device="cpu")
    assert answer.facts.get("threshold") == whole.provenance["facts"].get("threshold")
    if answer.approximate:  # what connects faint voxels to bright ones may lie out of view
        assert (entry.name, answer.approximate) == ("hysteresis", "objects are followed in view only")
    else:
        same_voxels(answer, whole.labels)


def the_run(recipe, inputs):
    return execute(recipe, inputs, device="cpu").labels


def test_until_the_statistics_of_the_whole_are_known_those_of_the_slice_are_taken_and_said():
    image = two_humps((7, 30, 32))
    image[4] //= 2
    recipe = Recipe([Step("threshold", {})])
    job, cache = PreviewJob(recipe, {"image": image}, plane(image.shape, 4)), StatisticsCache()
    first = job.run(cache, quiet, never)
    assert first.approximate == "statistics of what is in view"
    np.testing.assert_array_equal(first.labels[0], the_run(recipe, {"image": image[4]}))
    (wanted,) = first.wanted
    assert job.gather(wanted, cache, quiet, never).approximate == ""
    second = job.run(cache, quiet, never)
    assert (second.approximate, second.wanted) == ("", ())
    same_voxels(second, the_run(recipe, {"image": image}))
    assert np.any(first.labels != second.labels)


def test_statistics_are_kept_until_the_contents_or_the_steps_before_the_cut_change():
    image = two_humps((7, 30, 32))
    cache = StatisticsCache()

    def missing(settings, token, method="threshold"):
        job = PreviewJob(Recipe([Step(method, settings)]), {"image": image}, plane(image.shape, 4), {"image": token})
        answer = job.run(cache, quiet, never)
        for wanted in answer.wanted:
            job.gather(wanted, cache, quiet, never)
        return bool(answer.wanted)

    assert missing({}, ("a", 1))
    assert not missing({"method": "li"}, ("a", 1))  # the same histogram
    assert not missing({}, ("a", 1), "multi_otsu")
    assert missing({"sigma": 0.5}, ("a", 1))
    assert missing({"sigma": 0.4}, ("a", 1))
    assert missing({"sigma": 0.4, "spacing": (1.0, 2.0, 2.0)}, ("a", 1))
    assert missing({}, ("a", 2))
    assert not missing({}, ("a", 1))
    cache.forget("a")
    assert missing({}, ("a", 1))
    assert missing({}, ("b", 1))


def test_no_more_wholes_are_remembered_than_wanted():
    image = two_humps((7, 30, 32))
    cache = StatisticsCache(most=2)
    for token in "abc":
        answered(
            PreviewJob(Recipe([Step("threshold", {})]), {"image": image}, plane(image.shape), {"image": token}), cache
        )
    assert len(cache._found) == 2
    again = PreviewJob(Recipe([Step("threshold", {})]), {"image": image}, plane(image.shape), {"image": "a"})
    assert again.run(cache, quiet, never).wanted


def test_a_slice_without_objects_waits_for_the_whole_instead_of_failing():
    image = two_humps((7, 30, 32))
    image[4] = image.min()
    recipe = Recipe([Step("threshold", {})])
    job, cache = PreviewJob(recipe, {"image": image}, plane(image.shape, 4)), StatisticsCache()
    first = job.run(cache, quiet, never)
    assert first.approximate == "what is in view is too plain by itself"
    assert not first.labels.any()
    job.gather(first.wanted[0], cache, quiet, never)
    same_voxels(job.run(cache, quiet, never), the_run(recipe, {"image": image}))
    image[:] = 5
    flat = PreviewJob(recipe, {"image": image[4]}, plane(image.shape[1:]))
    with pytest.raises(ValueError, match="needs at least 2 grey levels"):
        flat.run(StatisticsCache(), quiet, never)


@pytest.mark.parametrize("pooled", [pytest.param(False, id="each"), pytest.param(True, id="pooled")])
@pytest.mark.parametrize("axes", ["tzyx", "tyx", "tcyx"])
def test_frames_have_statistics_of_their_own_or_share_them(axes, pooled):
    shape = tuple({"t": 3, "c": 2, "z": 5, "y": 30, "x": 32}[axis] for axis in axes)
    image = two_humps(shape) * (1 + np.arange(3, dtype=np.uint16)).reshape(-1, *[1] * (len(shape) - 1))
    selection = Selection(axes, channel=1 if "c" in axes else None, each="t", pooled=pooled)
    recipe = Recipe([Step("threshold", {"sigma": 1.0})], selection)
    answer = answered(PreviewJob(recipe, {"image": image}, plane(shape, 1)))
    assert answer.approximate == ""
    same_voxels(answer, the_run(recipe, {"image": image}))


def test_each_slice_by_itself_is_exact_with_clean_up():
    image = two_humps((6, 40, 40))
    recipe = Recipe([Step("threshold", {"min_size": 9, "fill_holes": True})], Selection("zyx", each="z"))
    answer = PreviewJob(recipe, {"image": image}, plane(image.shape, 2)).run(StatisticsCache(), quiet, never)
    assert (answer.approximate, answer.wanted) == ("", ())
    same_voxels(answer, the_run(recipe, {"image": image}))


@pytest.mark.parametrize(
    "option", [{"fill_holes": True}, {"min_size": 5}, {"clear_border": True}, {"one_per_object": True}]
)
def test_clean_up_of_a_volume_is_said_to_be_of_what_is_in_view(option):
    image = two_humps((6, 40, 40))
    answer = answered(PreviewJob(Recipe([Step("threshold", option)]), {"image": image}, plane(image.shape, 2)))
    assert answer.approximate == "objects are followed in view only"


def test_in_another_direction_every_slice_has_its_part():
    image = two_humps((6, 30, 32))
    recipe = Recipe([Step("threshold", {"sigma": 1.0})], Selection("zyx", each="z"))
    side = View((0, 2), (0, 11, 0), ((0, 6), (11, 12), (0, 32)))
    answer = answered(PreviewJob(recipe, {"image": image}, side))
    assert answer.labels.shape == (6, 1, 32)
    assert answer.approximate == ""
    same_voxels(answer, the_run(recipe, {"image": image}))


@pytest.fixture
def large(monkeypatch):
    """Take every volume of the tests for too large to be flooded whole for a preview."""
    monkeypatch.setattr(_preview_job, "FLOODED_VOXELS", 1000)


def flooded(image, view, settings=None, **more):
    recipe = Recipe([Step("watershed_from_minima", {"depth": 900.0, **(settings or {})})], more.get("selection"))
    return answered(PreviewJob(recipe, {"image": image}, view))


@pytest.mark.parametrize(
    ("settings", "box", "note", "count"),
    [
        pytest.param({}, None, "this slice by itself", "in this slice", id="slice"),
        pytest.param({"sigma": 0.5}, None, "this slice and 4 beside it by themselves", "in this slice", id="smoothed"),
        pytest.param({}, ((4, 14), (6, 12)), "what is in view by itself", "in view", id="zoomed"),
    ],
)
def test_a_flood_of_a_part_says_of_which(large, settings, box, note, count):
    image = two_humps((9, 40, 44))
    answer = flooded(image, plane(image.shape, 4, box), settings)
    assert answer.approximate == note
    assert answer.count == f"{len(np.unique(answer.labels)):,} minima {count}"
    if not settings:
        index = tuple(slice(a, a + n) for a, n in zip(answer.start, answer.labels.shape, strict=True))
        alone = Recipe([Step("watershed_from_minima", {"depth": 900.0})])
        np.testing.assert_array_equal(answer.labels, the_run(alone, {"image": image[index]}))


def test_what_is_small_is_flooded_whole_for_a_part_of_it_and_counted():
    image = two_humps((9, 40, 44))
    answer = flooded(image, plane(image.shape, 4))
    whole = the_run(Recipe([Step("watershed_from_minima", {"depth": 900.0})]), {"image": image})
    assert answer.count == f"{whole.max():,} minima, {len(np.unique(whole[4]))} in this slice"
    every = flooded(image, plane(image.shape, 4), selection=Selection("zyx", each="z"))
    assert (every.approximate, every.count) == ("", f"{every.labels.max():,} minima")


def test_a_dask_image_is_not_flooded_whole_however_small_it_is():
    array = two_humps((32, 24, 24))
    counted = Counted(array)
    image = counted.lazily(((1,) * 32, (24,), (24,)))
    answer = PreviewJob(
        Recipe([Step("watershed_from_minima", {"depth": 900.0})]), {"image": image}, plane(array.shape, 9)
    )
    assert answer.run(StatisticsCache(), quiet, never).approximate == "this slice by itself"
    assert counted.n_read <= 3 * 24 * 24


def test_a_slice_without_markers_is_blank_and_said(large):
    image, markers = two_humps((9, 30, 32)), np.zeros((9, 30, 32), np.uint8)
    markers[2, 4, 5] = markers[3, 7, 7] = 6
    mask = np.ones(image.shape, bool)
    mask[3] = False
    recipe = Recipe([Step("watershed", {}, {name: name for name in ("image", "markers", "mask")})])
    inputs = {"image": image, "markers": markers, "mask": mask}
    for at, approximate in (
        (2, "this slice by itself"),
        (3, "no markers in this slice"),
        (5, "no markers in this slice"),
    ):
        answer = PreviewJob(recipe, inputs, plane(image.shape, at)).run(StatisticsCache(), quiet, never)
        assert answer.approximate == approximate
        assert bool(answer.labels.any()) == (at == 2)
    markers[:] = 0
    whole = PreviewJob(recipe, {name: array[2] for name, array in inputs.items()}, plane(image.shape[1:]))
    with pytest.raises(ValueError, match="markers have no painted voxel"):
        whole.run(StatisticsCache(), quiet, never)


@pytest.mark.parametrize("each", [True, False], ids=["each slice", "volume"])
def test_labels_of_markers_mean_the_same_in_every_slice(each):
    image, markers = two_humps((4, 20, 22)), np.zeros((4, 20, 22), np.uint8)
    markers[:, 3, 4], markers[::2, 15, 15] = 7, 2
    recipe = Recipe([Step("watershed")], Selection("zyx", each="z" if each else ""))
    inputs = {"image": image, "markers": markers}
    labels = the_run(recipe, inputs)
    one = Recipe([Step("watershed")])
    slices = [the_run(one, {name: a[z] for name, a in inputs.items()}) for z in range(4)]
    np.testing.assert_array_equal(labels, np.stack(slices) if each else the_run(one, inputs))
    side = View((0, 2), (0, 11, 0), ((0, 4), (11, 12), (0, 22)))
    same_voxels(answered(PreviewJob(recipe, inputs, side)), labels)


def test_points_are_markers_on_every_level():
    array = np.kron(two_humps((32, 32)), np.ones((2, 2), np.uint16))
    points = PlantedPoints(np.array([[9, 9], [41, 50], [20, 61]]), np.array([1, 2, 3]), array.shape)
    recipe = Recipe([Step("watershed")])
    same_voxels(
        answered(PreviewJob(recipe, {"image": array, "markers": points}, plane(array.shape))),
        the_run(recipe, {"image": array, "markers": points.whole()}),
    )
    lower = {"image": array[::2, ::2], "markers": points.lowered((2, 2), (32, 32)).whole()}
    job = PreviewJob(recipe, {"image": [array, array[::2, ::2]], "markers": points}, plane(array.shape))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_preview_region, "MOST_VOXELS", 40 * 40)
        answer = answered(job)
    assert (answer.level, answer.approximate) == (1, "computed on level 1")
    np.testing.assert_array_equal(answer.labels, the_run(recipe, lower))


def test_a_region_is_its_own_whole():
    image = two_humps((6, 40, 44))
    box = ((1, 5), (6, 33), (8, 40))
    recipe = Recipe([Step("threshold", {"sigma": 1.5})], Selection("zyx", box=box))
    answer = answered(PreviewJob(recipe, {"image": image}, plane(image.shape, 3)))
    assert answer.start == (3, 6, 8)
    index = (slice(2, 3), slice(None), slice(None))
    np.testing.assert_array_equal(answer.labels, the_run(recipe, {"image": image})[index])
    with pytest.raises(ValueError, match="index along z, 0, is no part of the run"):
        PreviewJob(recipe, {"image": image}, plane(image.shape, 0)).run(StatisticsCache(), quiet, never)


class Counted:
    """An image whose reads are counted, as a file would be read."""

    def __init__(self, array):
        self.array, self.n_read = array, 0
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def lazily(self, chunks):
        def chunk(block_info=None):
            where = tuple(slice(a, b) for a, b in block_info[None]["array-location"])
            self.n_read += self.array[where].size
            return self.array[where]

        return da.map_blocks(chunk, chunks=chunks, dtype=self.dtype)


def test_a_dask_image_is_never_computed_whole():
    array = two_humps((64, 48, 48))
    counted = Counted(array)
    image = counted.lazily(((1,) * 64, (48,), (48,)))
    recipe = Recipe([Step("threshold", {})])
    job, cache = PreviewJob(recipe, {"image": image}, plane(array.shape, 9)), StatisticsCache()
    first = job.run(cache, quiet, never)
    assert counted.n_read <= 3 * 48 * 48
    job.gather(first.wanted[0], cache, quiet, never)
    assert counted.n_read <= 64 * 48 * 48 / 2
    second = job.run(cache, quiet, never)
    assert second.approximate == "statistics of 8 of its slices or bands of rows"
    assert second.wanted == ()


def test_a_lazy_pyramid_lends_the_statistics_of_a_lower_level(monkeypatch):
    monkeypatch.setattr(_preview_arrays, "LAZY_VOXELS", 32 * 32)
    array = np.kron(two_humps((32, 32)), np.ones((4, 4), np.uint16))
    counted = Counted(array)
    levels = [counted.lazily(((16,) * 8, (16,) * 8)), da.from_array(array[::2, ::2]), da.from_array(array[::4, ::4])]
    recipe = Recipe([Step("threshold", {})])
    job = PreviewJob(recipe, {"image": levels}, plane(array.shape, box=((20, 40), (30, 60))))
    cache = StatisticsCache()
    first = job.run(cache, quiet, never)
    n_read = counted.n_read
    job.gather(first.wanted[0], cache, quiet, never)
    assert counted.n_read == n_read < array.size / 4
    second = job.run(cache, quiet, never)
    assert second.approximate == "statistics of level 2"
    same_voxels(second, the_run(recipe, {"image": array}))  # every voxel of the lower level counts sixteen times


def test_what_is_too_large_is_computed_on_a_lower_level_with_lengths_that_mean_the_same(monkeypatch):
    monkeypatch.setattr(_preview_region, "MOST_VOXELS", 40 * 40)
    array = np.kron(two_humps((32, 32)), np.ones((2, 2), np.uint16))
    recipe = Recipe([Step("threshold", {"sigma": 2.0})])
    answer = answered(PreviewJob(recipe, {"image": [array, array[::2, ::2]]}, plane(array.shape)))
    assert (answer.level, answer.factor, answer.labels.shape) == (1, (2.0, 2.0), (32, 32))
    assert answer.approximate == "computed on level 1"
    half = Recipe([Step("threshold_at", {"value": answer.facts["threshold"], "sigma": 1.0})])
    np.testing.assert_array_equal(answer.labels, the_run(half, {"image": array[::2, ::2]}))


def test_what_is_too_large_without_a_pyramid_is_cut_down_to_the_middle(monkeypatch):
    monkeypatch.setattr(_preview_region, "MOST_VOXELS", 20 * 20)
    image = two_humps((40, 60))
    recipe = Recipe([Step("threshold_at", {"value": 8000.0})])
    answer = PreviewJob(recipe, {"image": image}, plane(image.shape)).run(StatisticsCache(), quiet, never)
    assert answer.approximate == "only the middle of the view is computed; zoom in"
    assert answer.labels.size <= 400
    centre = [a + n / 2 for a, n in zip(answer.start, answer.labels.shape, strict=True)]
    np.testing.assert_allclose(centre, (20, 30), atol=1)
    same_voxels(answer, the_run(recipe, {"image": image}))


def test_a_volume_in_3d_is_computed_whole_if_it_is_small(monkeypatch):
    image = two_humps((6, 20, 22))
    view = View((0, 1, 2), (0, 0, 0), ((0, 6), (0, 20), (0, 22)))
    recipe = Recipe([Step("threshold", {"one_per_object": True})])
    answer = PreviewJob(recipe, {"image": image}, view).run(StatisticsCache(), quiet, never)
    assert (answer.approximate, answer.wanted) == ("", ())
    same_voxels(answer, the_run(recipe, {"image": image}))
    monkeypatch.setattr(_preview_region, "MOST_VOXELS_3D", 1000)
    with pytest.raises(ValueError, match="at most 1,000 voxels, and this volume has 2,640; switch to 2-D"):
        PreviewJob(recipe, {"image": image}, view).run(StatisticsCache(), quiet, never)


def test_a_neighbourhood_without_room_is_said_to_be_smaller(monkeypatch):
    image = two_humps((60, 20, 22))
    recipe = Recipe([Step("threshold_at", {"value": 8000.0, "sigma": 5.0})])
    job, cache = PreviewJob(recipe, {"image": image}, plane(image.shape, 30)), StatisticsCache()
    assert answered(job, cache).approximate == ""
    monkeypatch.setattr(_preview_region.widened, "__defaults__", (3000,))
    assert job.run(cache, quiet, never).approximate == "a smaller neighbourhood than in the run"


@pytest.mark.parametrize("step", ["run", "gather", "count"])
def test_it_can_be_cancelled(step):
    image = two_humps((9, 40, 40))
    job, cache = (
        PreviewJob(Recipe([Step("threshold", {"sigma": 0.5})]), {"image": image}, plane(image.shape)),
        StatisticsCache(),
    )
    wanted = job.run(cache, quiet, never).wanted
    work = {"run": job.run, "gather": lambda *rest: job.gather(wanted[0], *rest), "count": job.count}[step]
    with pytest.raises(Cancelled):
        work(cache, quiet, lambda: True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int32"])
@pytest.mark.parametrize("masked", [pytest.param(False, id="all"), pytest.param(True, id="masked")])
def test_the_histogram_is_that_of_the_whole_image_inside_its_mask(dtype, masked):
    image = two_humps((9, 30, 32)).astype(dtype)
    inputs = {"image": image} | ({"mask": np.indices(image.shape)[-1] > 5} if masked else {})
    job = PreviewJob(Recipe([Step("threshold", {}, {n: n for n in inputs})]), inputs, plane(image.shape))
    cache = StatisticsCache()
    assert cache.histogram(job.counted_whole()) is None
    counted = job.count(cache, quiet, never)
    reference = histogram(**inputs)
    np.testing.assert_array_equal(counted.counts, reference.counts)
    np.testing.assert_array_equal(counted.values, reference.values)
    np.testing.assert_array_equal(cache.histogram(job.counted_whole()).counts, reference.counts)


def test_the_histogram_comes_with_the_statistics_of_a_method_that_counts():
    image = two_humps((9, 30, 32))
    job, cache = PreviewJob(Recipe([Step("threshold", {})]), {"image": image}, plane(image.shape)), StatisticsCache()
    answered(job, cache)
    np.testing.assert_array_equal(cache.histogram(job.counted_whole()).counts, histogram(image).counts)


def test_what_is_not_in_view_is_refused_in_a_sentence():
    image = two_humps((9, 30, 32))
    recipe = Recipe([Step("threshold", {})])
    beside = View((1, 2), (12, 0, 0), ((12, 13), (0, 30), (0, 32)), "'image' is not in view; move the slider")
    with pytest.raises(ValueError, match="'image' is not in view"):
        PreviewJob(recipe, {"image": image}, beside).run(StatisticsCache(), quiet, never)


def test_how_far_steps_look_is_learnt_although_a_sample_is_refused():
    image = two_humps((60, 64))
    image[8:20, 20:40] = image.max()  # where the view begins, so that the first step refuses the sample
    steps = [Step("threshold", {}), Step("threshold_at", {"value": 9000.0, "sigma": 3.0}, {"mask": "step_1"})]
    recipe = Recipe(steps)
    answer = answered(PreviewJob(recipe, {"image": image}, plane(image.shape, box=((14, 30), (26, 44)))))
    assert answer.approximate == ""
    same_voxels(answer, the_run(recipe, {"image": image}))


OTHER_NAMES = [
    pytest.param(
        Selection("tcyx", channel=0, each="t", pooled=True),
        Selection("ctyx", channel=0, each="t", pooled=True),
        id="axes",
    ),
    pytest.param(Selection("tzyx", each="t", pooled=True), Selection("tzyx", each="tz", pooled=True), id="each"),
]


@pytest.mark.parametrize(("before", "after"), OTHER_NAMES)
def test_statistics_are_not_those_of_the_image_cut_otherwise(before, after):
    image = np.random.default_rng(0).integers(0, 50, (3, 3, 24, 26)).astype(np.uint16)
    image[:, 1:, 6:18] += 100 * np.arange(1, 10, dtype=np.uint16).reshape(3, 3, 1, 1)[:, 1:]
    cache = StatisticsCache()
    view = View((2, 3), (0, 0, 0, 0), ((0, 1), (0, 1), (0, 24), (0, 26)))

    def found(selection, cache):
        step = Step("threshold", {"sigma": 1.5})
        return answered(PreviewJob(Recipe([step], selection), {"image": image}, view, {"image": "a"}), cache).facts

    found(before, cache)
    assert found(after, cache) == found(after, StatisticsCache())


DIAMOND = np.array([[2.0, 15], [15, 28], [28, 15], [15, 2]])


def in_outline(image, mask, corners, token="a"):
    """Return a job that looks into an outline, and into a mask that is painted where there is one."""
    drawn = DrawnMask(Outline((corners,), (1, 2)), (1.0, 1.0, 1.0), image.shape, mask)
    recipe = Recipe([Step("threshold", {}, {"image": "image", "mask": "mask"})])
    tokens = {"image": token} | ({} if mask is None else {"mask": "painted"})
    return PreviewJob(recipe, {"image": image, "mask": drawn}, plane(image.shape, 4, ((3, 20), (8, 30))), tokens)


@pytest.mark.parametrize("painted", [pytest.param(False, id="drawn"), pytest.param(True, id="drawn and painted")])
def test_a_mask_that_is_drawn_is_that_of_the_run(painted):
    image = two_humps((9, 30, 32))
    image[:, :, 20:] += 90
    mask = (np.indices(image.shape)[2] < 19).astype(np.uint8) if painted else None
    job, cache = in_outline(image, mask, DIAMOND), StatisticsCache()
    inside = job.inputs["mask"][:, :, :]
    far = np.abs(np.indices(image.shape)[1:] - 15).sum(axis=0)  # from the middle of the diamond
    expected = (far < 13) if mask is None else (far < 13) & (mask != 0)
    np.testing.assert_array_equal(inside[far != 13], expected[far != 13])  # of an edge, one side belongs to it
    answer, whole = answered(job, cache), execute(job.recipe, {"image": image, "mask": inside}, device="cpu")
    assert answer.approximate == ""
    assert answer.facts == whole.provenance["facts"]
    same_voxels(answer, whole.labels)
    np.testing.assert_array_equal(job.count(cache, quiet, never).counts, histogram(image, mask=inside).counts)


@pytest.mark.parametrize("painted", [pytest.param(False, id="drawn"), pytest.param(True, id="drawn and painted")])
def test_another_outline_has_other_statistics_and_the_same_one_is_known_again(painted):
    image = two_humps((9, 30, 32))
    image[:, :, 20:] += 90
    mask, cache = np.ones(image.shape, np.uint8) if painted else None, StatisticsCache()
    jobs = [in_outline(image, mask, corners) for corners in (DIAMOND, np.add(DIAMOND, (0, 3)), DIAMOND.copy())]
    first, other, again = (answered(job, cache).facts for job in jobs)
    assert other == answered(jobs[1]).facts != first == again
    wholes = [job.counted_whole() for job in jobs]
    assert wholes[0] == wholes[2] != wholes[1]
    assert not jobs[2].run(cache, quiet, never).wanted
