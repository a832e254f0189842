"""Statistics of a whole: parts that share them are labelled as the whole would be, for every method."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout._method import Method
from napari_cutout._statistics import Enough, Gathering, Key, Known, pooled, swept, using
from napari_cutout.recipe import Recipe, Step

from .cases import CUTS, FLOODS, TOGETHER, arrays_of, blobs, strokes, two_humps

METHODS = CUTS
every_method = pytest.mark.parametrize("entry", METHODS, ids=lambda m: m.name)


def needed(entry: Method) -> dict[str, Any]:
    """Return the settings without a default, for images that go up to some 20,000."""
    levels = {"threshold_at": {"value": 11_000.0}, "classes_at": {"values": (9_000.0, 14_000.0)}}
    return levels.get(entry.name, {})


def movie(dtype: str = "uint16") -> np.ndarray:
    """Return frames of which each is brighter than the one before, so that their thresholds differ."""
    frames = [two_humps((26, 31), seed=t).astype(np.float64) * (1 + 0.4 * t) for t in range(4)]
    return np.stack(frames).astype(dtype)


def variants(entry: Method) -> list[dict[str, Any]]:
    """Return the plain settings, and one more for each choice and number that the method has."""
    found = [needed(entry)]
    for param in entry.settings:
        if param.option:
            continue
        if param.choices:
            found += [needed(entry) | {param.name: choice} for choice in param.choices]
        elif param.type is int and param.range:
            found += [needed(entry) | {param.name: 2}]
        elif param.type is float and param.range and param.default is not None and not param.required:
            found += [needed(entry) | {param.name: param.default * 1.5 + 0.5}]
    return [
        v
        for v in found
        if v.get("prominence", 0) <= 0.1 and v.get("method") != "minimum" and not v.get("smoothness")  # across time
    ]


CASES = [pytest.param(m, v, id=f"{m.name}-{i}") for m in METHODS for i, v in enumerate(variants(m))]


LOCAL = ("sauvola", "niblack", "local_mean")
"""Methods that look at neighbours."""

NEIGHBOURS = (*LOCAL, "hysteresis", "objects")
"""Methods whose parts of one frame do not depend on the next frame, unlike in a volume."""


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize(("entry", "settings"), CASES)
def test_pooled_frames_are_cut_as_their_stack_is(entry: Method, settings: dict[str, Any], dtype: str) -> None:
    image = movie() // 200 if dtype == "uint8" else movie()
    image = image.astype(dtype)
    if dtype == "uint8":
        settings = settings | {k: v for k, v in {"value": 60.0, "values": (50.0, 70.0)}.items() if k in settings}
    recipe = Recipe([Step(entry.name, settings)], nc.Selection("tyx", each="t", pooled=True))
    result = nc.execute(recipe, arrays_of(entry, image))
    if entry.name in NEIGHBOURS:  # there are no neighbours across time; what is found in all is given
        shared = {k: v for k, v in result.provenance["facts"].items() if k in {p.name for p in entry.settings}}
        assert set(shared) == {"sauvola": {"r"}, "hysteresis": {"low", "high"}}.get(entry.name, set())
        expected = frame_by_frame(entry, arrays_of(entry, image), {**settings, **shared})
        if entry.name == "hysteresis":
            assert (shared["low"], shared["high"]) == tuple(_thresholds(image))
        if entry.name == "sauvola" and "r" not in settings and dtype != "uint8":  # half the range of that dtype
            assert shared["r"] == (float(image.max()) - float(image.min())) / 2
    else:
        expected = entry(**arrays_of(entry, image), **settings)
        assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(result.labels, expected)


@pytest.mark.parametrize("entry", FLOODS, ids=lambda m: m.name)
@pytest.mark.parametrize("more", [{}, {"min_size": 30}, {"clear_border": True}], ids=str)
def test_pooled_frames_are_flooded_one_by_one_from_minima_of_one_depth(entry: Method, more: dict[str, Any]) -> None:
    image = movie()
    given = arrays_of(entry, image)
    result = nc.execute(Recipe([Step(entry.name, more)], nc.Selection("tyx", each="t", pooled=True)), given)
    with nc.watch() as watched:
        entry(**given)
    depth = {"depth": watched.facts["depth"]} if "depth" in watched.facts else {}
    assert result.provenance["facts"].get("depth") == watched.facts.get("depth")
    np.testing.assert_array_equal(result.labels, frame_by_frame(entry, given, more | depth))


def frame_by_frame(entry: Method, given: dict[str, np.ndarray], settings: dict[str, Any]) -> np.ndarray:
    """Run a method on each frame, and number objects on and on, but for labels that were painted."""
    frames = [entry(**{k: a[t] for k, a in given.items()}, **settings) for t in range(len(given[entry.source.name]))]
    on_and_on = frames[0].dtype == np.int32 and entry.needs != "strokes"
    before = np.cumsum([0, *(frame.max() for frame in frames[:-1])]) * on_and_on
    return np.stack([np.where(frame > 0, frame + n, 0) for frame, n in zip(frames, before, strict=True)])


def _thresholds(image: np.ndarray) -> list[float]:
    with nc.watch() as watched:
        nc.multi_otsu(image, n_classes=3)
    found: list[float] = watched.facts["thresholds"]
    return found


@every_method
def test_frames_by_themselves_are_cut_by_themselves(entry: Method) -> None:
    image = movie()
    recipe = Recipe([Step(entry.name, needed(entry))], nc.Selection("tyx", each="t"))
    given = arrays_of(entry, image)
    np.testing.assert_array_equal(nc.execute(recipe, given).labels, frame_by_frame(entry, given, needed(entry)))


@pytest.mark.parametrize("bad", ["NaN", "infinite", "masked"])
@pytest.mark.parametrize("where", [0, 2, 3])
def test_a_frame_that_counts_for_nothing_does_not_change_the_others(bad: str, where: int) -> None:
    image = movie("float32")
    mask = np.ones(image.shape, bool)
    if bad == "masked":
        mask[where] = False
    else:
        image[where] = np.nan if bad == "NaN" else np.inf
    recipe = Recipe([Step("threshold", {}, {"mask": "mask"})], nc.Selection("tyx", each="t", pooled=True))
    result = nc.execute(recipe, {"image": image, "mask": mask})
    np.testing.assert_array_equal(result.labels, nc.threshold(image, mask))
    rest = [t for t in range(len(image)) if t != where]
    np.testing.assert_array_equal(result.labels[rest], nc.threshold(image[rest]))


def test_pooled_statistics_are_those_of_the_smoothed_frames() -> None:
    image = movie()
    recipe = Recipe([Step("threshold", {"sigma": 1.5})], nc.Selection("tyx", each="t", pooled=True))
    smooth = np.stack([nc.gaussian(frame, sigma=1.5) for frame in image])
    result = nc.execute(recipe, {"image": image})
    np.testing.assert_array_equal(result.labels, nc.threshold(smooth))
    (step,) = result.provenance["steps"]
    assert step["facts"]["threshold"] == pytest.approx(result.provenance["facts"]["threshold"])
    assert not step["by_part"]


def test_two_steps_that_ask_alike_get_each_their_own_answer() -> None:
    image = movie()
    steps = [Step("threshold"), Step("threshold", {}, {"mask": "step_1"})]
    recipe = Recipe(steps, nc.Selection("tyx", each="t", pooled=True))
    inside = nc.threshold(image)
    expected = nc.threshold(image, inside)
    assert (expected != inside).any()
    np.testing.assert_array_equal(nc.execute(recipe, {"image": image}).labels, expected)


def test_an_error_in_shared_statistics_is_no_frames() -> None:
    recipe = Recipe([Step("threshold")], nc.Selection("tyx", each="t", pooled=True))
    with pytest.raises(ValueError, match=r"^threshold needs at least 2 grey levels"):
        nc.execute(recipe, {"image": np.full((3, 4, 5), 7, np.uint8)})


def test_strokes_on_one_frame_serve_all() -> None:
    image = movie()
    painted = strokes(image)
    painted[1:] = 0
    recipe = Recipe([Step("back_projection")], nc.Selection("tyx", each="t", pooled=True))
    result = nc.execute(recipe, {"image": image, "markers": painted})
    np.testing.assert_array_equal(result.labels, nc.back_projection(image, painted))


# What is asked -----------------------------------------------------------------------------------------


class Recording:
    """Answers from the arrays at hand, and keeps what was asked."""

    def __init__(self) -> None:
        self.states: dict[Key, Any] = {}

    def state(self, key: Key, start: Any, sweeps: Sequence[Any], summary: Callable[[Any, Any], Any]) -> Any:
        self.states[key] = swept(start, sweeps, summary)
        return self.states[key]

    def reaches(self, width: Sequence[int]) -> None:
        pass


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_what_is_asked_alike_is_answered_alike_whatever_the_settings(dtype: str) -> None:
    image = (movie()[0] // 200).astype(dtype)
    levels = {"value": 60.0, "values": (50.0, 70.0)}
    answers: dict[Key, Any] = {}
    n_asked = 0
    for entry, settings in [(c.values[0], c.values[1]) for c in CASES]:
        recording = Recording()
        with using(recording):
            entry(**arrays_of(entry, image), **{k: levels.get(k, v) for k, v in settings.items()})
        for key, state in recording.states.items():
            n_asked += 1
            assert repr(answers.setdefault(key, state)) == repr(state), f"{entry.name} with {settings} gathers more"
    assert n_asked > len(answers) > 0


@every_method
def test_a_slice_is_cut_as_in_its_volume_once_the_statistics_are_known(entry: Method) -> None:
    image = movie()
    given = arrays_of(entry, image)
    part = {name: a[1] for name, a in given.items()}
    known = Known()
    with using(known):
        alone = entry(**part, **needed(entry))
    np.testing.assert_array_equal(alone, entry(**part, **needed(entry)))
    assert known.reach == ((12, 12) if entry.name in LOCAL else ())
    if entry.name in NEIGHBOURS:  # a slice has no neighbours above and below
        return
    gathering = Gathering(set(known.missing))
    if known.missing:
        with using(gathering), pytest.raises(Enough):
            entry(**given, **needed(entry))
    again = Known(gathering.states)
    with using(again):
        labels = entry(**part, **needed(entry))
    assert not again.missing
    np.testing.assert_array_equal(labels, entry(**given, **needed(entry))[1])


def test_reaches_add_up_over_the_steps() -> None:
    known = Known()
    with using(known):
        nc.local_mean(movie()[0], window=9.0, sigma=1.0)
    assert known.reach == (4 + 4, 4 + 4)


def test_an_error_leaves_nobody_to_be_asked() -> None:
    with pytest.raises(ValueError, match="stop"), using(Known()):
        raise ValueError("stop")
    known = Known()
    with using(known), using(Known()):
        nc.threshold(movie()[0])
    assert not known.missing


# Pooling by hand ---------------------------------------------------------------------------------------


def test_pooling_by_hand() -> None:
    parts = [np.array([[1.0, 2.0]]), np.array([[3.0, 10.0]]), np.array([[0.0, 5.0]])]
    calls = itertools.count()
    total = _plan.Pass(lambda s, a: a.sum(), lambda a, b: a + b, lambda s, a: s + a, lambda s: True, "adding")
    largest = _plan.Pass(lambda s, a: s + a.max(), max, lambda s, a: a, lambda s: s > 0, "largest")
    never = _plan.Pass(lambda s, a: 1 / 0, max, lambda s, a: a, lambda s: False, "never")
    plan = _plan.Reduce(0.0, (never, total, largest, never), lambda s: s, lambda model, a: a + model, "float64")

    def run(i: int) -> np.ndarray:
        next(calls)
        return _plan.run_plan(plan, parts[i])

    for part, found in zip(parts, pooled(run, 3), strict=True):
        np.testing.assert_array_equal(found, part + 21 + 10)
    assert next(calls) == 2 * 3 + 3  # two sweeps over all parts, then each once


def test_one_part_and_nothing_to_gather() -> None:
    assert list(pooled(lambda i: i, 1)) == [0]
    plan = _plan.PerVoxel(lambda a: a * 2, "float64")
    found = list(pooled(lambda i: float(_plan.run_plan(plan, np.array([i * 1.0]))[0]), 3))
    assert found == [0.0, 2.0, 4.0]


def test_pooled_frames_share_which_class_holds_the_objects() -> None:
    frames = np.full((2, 20, 20), 10, np.uint8)
    frames[0, 5:9, 5:9], frames[:, 12:15, 12:15] = 200, 100
    chosen = nc.Selection("tyx", each="t", pooled=True)
    recipe = nc.Recipe([nc.Step("multi_otsu", {"one_per_object": True})], chosen)
    labels = nc.execute(recipe, {"image": frames}).labels
    np.testing.assert_array_equal(labels, frames == 200)  # the second frame has no voxel of the brightest class


# All channels and features together ---------------------------------------------------------------------

TABLES: dict[str, dict[str, Any]] = {
    "channels": {},
    "kept features": {"features": ("intensity", "gaussian", "hessian"), "scales": (0.7,)},
    "features that are not kept": {"features": ("structure", "hessian", "intensity"), "scales": (0.5, 0.6)},
    "smoothed before": {"sigma": 0.8, "features": ("variance", "intensity"), "scales": (0.6,)},
}
every_table = pytest.mark.parametrize("table", TABLES)
every_joint_method = pytest.mark.parametrize(
    ("entry", "more"),
    [
        *(pytest.param(m, {}, id=m.name) for m in TOGETHER),
        pytest.param(nc.catalog.find("gaussian_mixture"), {"smoothness": 2.0}, id="smooth mixture"),
    ],
)


@every_joint_method
@every_table
def test_a_part_is_clustered_as_in_the_whole_once_the_statistics_are_known(
    entry: Method, more: dict[str, Any], table: str
) -> None:
    image, _ = blobs((46, 46, 45), 3, 2, seed=3, apart=2.0, dtype="float32")
    image[1] += np.linspace(0, 20, 46, dtype=np.float32)[:, None, None]  # so that a part is not like the whole
    settings = TABLES[table] | more | {"channel_axis": 0}
    whole = entry(image, **settings)
    known = Known()
    with using(known):
        alone = entry(image[:, 22:24], **settings)
    assert len(known.reach) == 3
    assert len(set(known.reach)) == 1
    reach = known.reach[0]
    box = (slice(22 - reach, 24 + reach), slice(22 - reach, 24 + reach), slice(22 - reach, 23 + reach))
    assert box[0].start >= 0
    assert box[2].stop <= 45
    inner = (slice(reach, reach + 2), slice(reach, reach + 2), slice(reach, reach + 1))
    gathering = Gathering(set(known.missing))
    with using(gathering), pytest.raises(Enough):
        entry(image, **settings)
    again = Known(gathering.states)
    with using(again):
        labels = entry(np.ascontiguousarray(image[:, *box]), **settings)
    assert not again.missing
    np.testing.assert_array_equal(labels[inner], whole[22:24, 22:24, 22:23])
    assert (alone != whole[22:24]).any()


@every_joint_method
@pytest.mark.parametrize("n_channels", [1, 2])
def test_pooled_frames_of_channels_are_clustered_as_their_stack(
    entry: Method, more: dict[str, Any], n_channels: int
) -> None:
    if more:  # there are no neighbours across time
        return
    image, _ = blobs((3, 22, 25), 3, n_channels, seed=4, apart=2.0)
    image *= np.array([1.0, 1.3, 1.6])[:, None, None]
    recipe = Recipe([Step(entry.name)], nc.Selection("ctyx", channel="all", each="t", pooled=True))
    result = nc.execute(recipe, {"image": image})
    expected = entry(image, channel_axis=0)
    # the sample of frames is that of one frame in another order, so that starts differ: the optimum must be clear
    assert (result.labels != expected).mean() < (0.0 if n_channels == 1 else 0.02) + 1e-9
    facts = result.provenance["facts"]
    assert facts["converged"]
    with nc.watch() as watched:
        entry(image, channel_axis=0)
    np.testing.assert_allclose(facts[CENTRES[entry.name]], watched.facts[CENTRES[entry.name]], rtol=1e-2)


CENTRES = {"kmeans": "centres", "gaussian_mixture": "means"}


@pytest.mark.parametrize("entry", TOGETHER, ids=lambda m: m.name)
def test_questions_about_columns_say_all_that_the_answer_depends_on(entry: Method) -> None:
    image, _ = blobs((12, 13), 3, 2, seed=5, apart=2.0)
    ways: list[dict[str, Any]] = [
        {}, {"features": ("intensity", "gaussian")}, {"features": ("intensity", "gaussian"), "scales": (0.5,)},
        {"features": ("intensity", "gaussian"), "spacing": (2.0, 1.0)}, {"max_iterations": 1}, {"seed": 4},
        {"tolerance": 0.5}, {"n_init": 7}, {entry.settings[0].name: 2},
        {"covariance": "tied"} if entry.name == "gaussian_mixture" else {"standardise": False},
    ]  # fmt: skip
    keys = []
    for more in ways:
        recording = Recording()
        with using(recording):
            entry(image, channel_axis=0, **more)
        (key,) = recording.states
        keys.append(key)
    assert len(set(keys)) == len(ways)
