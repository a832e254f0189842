"""Runs on dask arrays: nothing is computed early, and the one who watches learns the same as of arrays in memory."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout._plan import Derived, Pass, Reduce
from napari_cutout.blockwise import decided

from .cases import CUTS, GRAPHS, IMAGE_METHODS, NETWORKS, arrays_of, blobs, settings_of, two_humps


@pytest.mark.parametrize("entry", IMAGE_METHODS, ids=lambda m: m.name)
def test_making_the_graph_computes_nothing(entry: Any) -> None:
    def forbidden(block: np.ndarray) -> np.ndarray:
        raise AssertionError("a block was computed")

    image = two_humps((12, 14, 10), dtype="float32")
    lazy = {
        name: da.from_array(a, 5).map_blocks(forbidden, dtype=a.dtype) for name, a in arrays_of(entry, image).items()
    }
    tidied = {"fill_holes": True, "one_per_object": True} if entry in [*CUTS, *NETWORKS] else {"min_size": 3}
    more = {} if entry in GRAPHS else tidied if entry in NETWORKS else {"sigma": 1.0, **tidied}
    labels = entry(**lazy, **settings_of(entry), **more)
    assert labels.shape == image.shape
    with pytest.raises(AssertionError, match="a block was computed"):
        labels.compute(scheduler="sync")


def run(image: Any, **more: Any) -> nc.Result:
    recipe = nc.Recipe([nc.Step("threshold", {"sigma": 1.0, "one_per_object": True})])
    return nc.execute(recipe, {"image": image}, **more)


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_facts_are_those_of_the_whole(scheduler: str) -> None:
    image = two_humps((12, 30, 30), dtype="uint8")
    with dask.config.set(scheduler=scheduler):
        lazy = run(da.from_array(image, (5, 11, 30)))
    whole = run(image)
    assert whole.provenance["facts"]["threshold"] > 0
    assert lazy.provenance["facts"] == whole.provenance["facts"]
    np.testing.assert_array_equal(lazy.labels, whole.labels)


def test_progress_of_blocks_rises() -> None:
    seen: list[float] = []
    image = da.from_array(two_humps((12, 30, 30), dtype="uint8"), (5, 11, 30))
    with dask.config.set(scheduler="sync"):
        run(image, on_progress=lambda stage, done: seen.append(done) if stage == "computing blocks" else None)
    assert len(seen) > 10
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize("after", [3, 10])
def test_cancelling_stops_between_tasks(after: int) -> None:
    image = da.from_array(two_humps((12, 30, 30), dtype="uint8"), (5, 11, 30))
    seen: list[str] = []
    with dask.config.set(scheduler="sync"), pytest.raises(nc.Cancelled, match="computing blocks"):
        run(
            image,
            on_progress=lambda stage, done: seen.append(stage),
            is_cancelled=lambda: seen.count("computing blocks") >= after,
        )
    assert seen.count("computing blocks") == after


def test_a_graph_outlives_the_one_who_watched() -> None:
    image = da.from_array(two_humps((20, 20), dtype="uint8"), 7)
    with nc.watch() as seen:
        labels = nc.threshold(image)
    del seen
    np.testing.assert_array_equal(labels.compute(), nc.threshold(image.compute()))


# Sweeps whose number is not known before ----------------------------------------------------------------


def smeared(block: np.ndarray, mask: np.ndarray | None) -> list[np.ndarray | None]:
    """Return the sum of each voxel and its neighbours along the last axis, 0 beyond the edge."""
    wide = np.pad(block, [(0, 0), (1, 1)])
    return [wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:], mask]


def sweeps(most: int, seen: list[int] | None = None) -> tuple[Pass, Pass]:
    """Return a sweep that runs once, and one that runs until 5 or as often as it may."""
    once = Pass(lambda s, a, m: int(a.sum()), lambda a, b: a + b, lambda s, n: (0, n), lambda s: s is None, "once")

    def chunk(state: Any, smear: np.ndarray, mask: np.ndarray | None) -> int:
        if seen is not None:
            seen.append(state[0])
        return int((smear if mask is None else smear[mask]).sum())

    def finish(state: Any, n: int) -> Any:
        return state[0] + 1, state[1] + (state[0] + 1) * n

    return once, Pass(
        chunk, lambda a, b: a + b, finish, lambda s: s[0] < 5, "again", most=most, derived=Derived(smeared, (0, 1))
    )


@pytest.mark.parametrize("most", [2, 100])
@pytest.mark.parametrize("chunks", [(3, 4), (7, 2), 50], ids=str)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_driver_sweeps_as_often_as_it_is_needed(most: int, chunks: Any, masked: bool, scheduler: str) -> None:
    image = np.arange(130).reshape(10, 13)
    mask = image % 3 != 0 if masked else None
    held = [da.from_array(image, chunks), None if mask is None else da.from_array(mask, 4)]
    seen: list[int] = []
    with dask.config.set(scheduler=scheduler):
        state = decided(lambda s: s, None, sweeps(most, seen), *held).compute()
    smear = smeared(image, None)[0]
    per_sweep = int(smear[mask].sum() if mask is not None else smear.sum())  # type: ignore[index]
    n = min(most, 5)
    assert state == (n, int(image.sum()) + per_sweep * n * (n + 1) // 2)
    assert state == _plan.reduce_passes(None, sweeps(most), image, mask)
    assert sorted(set(seen)) == list(range(n))
    assert len(seen) == n * held[0].npartitions


def test_a_driver_sweeps_once_for_all_blocks_that_are_labelled() -> None:
    seen: list[int] = []
    image = np.arange(130).reshape(10, 13)
    plan = Reduce(None, sweeps(100, seen), lambda s: s[1], lambda model, a, m: a + model, "int64")
    lazy = _plan.run_plan(plan, da.from_array(image, (3, 4)), None)
    assert not seen  # nothing is swept before it is asked for
    expected = image + _plan.reduce_passes(None, sweeps(100), image, None)[1]
    with dask.config.set(scheduler="threads"):
        np.testing.assert_array_equal(lazy.compute(), expected)
    assert len(seen) == 5 * 16


def test_an_error_in_a_sweep_is_the_error_of_the_run() -> None:
    image = da.from_array(np.zeros((2, 8, 8)), (1, 4, 4))
    with pytest.raises(ValueError, match="every column to be clustered is constant"):
        nc.kmeans(image, channel_axis=0).compute(scheduler="sync")


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
@pytest.mark.parametrize("method", ["kmeans", "gaussian_mixture"])
def test_facts_and_stages_of_many_sweeps_are_those_of_the_whole(method: str, scheduler: str) -> None:
    image, _ = blobs((30, 31), 3, 2, seed=1, apart=3.0)
    recipe = nc.Recipe([nc.Step(method)], nc.Selection("cyx", "all"))
    stages: list[str] = []
    with dask.config.set(scheduler=scheduler):
        lazy = nc.execute(
            recipe, {"image": da.from_array(image, (1, 11, 30))}, on_progress=lambda stage, _: stages.append(stage)
        )
    whole = nc.execute(recipe, {"image": image})
    assert whole.provenance["facts"]["converged"]
    assert lazy.provenance["facts"] == whole.provenance["facts"]
    np.testing.assert_array_equal(lazy.labels, whole.labels)
    assert {"kmeans": "moving the centres", "gaussian_mixture": "fitting components"}[method] in stages


def test_sweeps_can_be_cancelled() -> None:
    image, _ = blobs((30, 31), 1, 2, apart=0.0)
    recipe = nc.Recipe([nc.Step("kmeans", {"n_clusters": 8})], nc.Selection("cyx", "all"))
    stages: list[str] = []
    for held in (image, da.from_array(image, (2, 10, 10))):
        stages.clear()
        with dask.config.set(scheduler="sync"), pytest.raises(nc.Cancelled):
            nc.execute(
                recipe,
                {"image": held},
                on_progress=lambda stage, _: stages.append(stage),
                is_cancelled=lambda: "moving the centres" in stages,
            )
