"""Runs on dask arrays: nothing is computed early, and the one who watches learns the same as of arrays in memory."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

import napari_cutout as nc

from .cases import CUTS, IMAGE_METHODS, arrays_of, settings_of, two_humps


@pytest.mark.parametrize("entry", IMAGE_METHODS, ids=lambda m: m.name)
def test_making_the_graph_computes_nothing(entry: Any) -> None:
    def forbidden(block: np.ndarray) -> np.ndarray:
        raise AssertionError("a block was computed")

    image = two_humps((12, 14, 10), dtype="float32")
    lazy = {
        name: da.from_array(a, 5).map_blocks(forbidden, dtype=a.dtype) for name, a in arrays_of(entry, image).items()
    }
    more = {"fill_holes": True, "one_per_object": True} if entry in CUTS else {"min_size": 3}
    labels = entry(**lazy, **settings_of(entry), sigma=1.0, **more)
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
