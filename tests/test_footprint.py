"""The memory that a run is said to need is what it takes."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout._footprint import footprint

SHAPE = (96, 160, 160)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("threshold", {}),
    "smoothed": ("threshold", {"sigma": 1.0}),
    "median": ("threshold", {"sigma": 1.0, "median_radius": 1}),
    "numbered": ("threshold", {"one_per_object": True}),
    "filled": ("threshold", {"fill_holes": True}),
    "removed": ("threshold", {"min_size": 10}),
    "all": ("threshold", {"sigma": 1.0, "fill_holes": True, "min_size": 10, "one_per_object": True}),
    "hysteresis": ("hysteresis", {"low": 40.0, "high": 80.0}),
    "local": ("sauvola", {"window": 5.0}),
}


def measured(recipe: nc.Recipe, image: np.ndarray) -> int:
    """Return the peak of what Python and NumPy allocate."""
    nc.execute(recipe, {"image": image}, device="cpu")
    gc.collect()
    tracemalloc.start()
    try:
        nc.execute(recipe, {"image": image}, device="cpu")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_the_footprint_is_what_a_run_takes(case: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 1 << 16)
    monkeypatch.setattr("napari_cutout._footprint.BLOCK_VOXELS", 1 << 16)
    image = np.random.default_rng(0).integers(0, 100, SHAPE).astype(dtype)
    method, settings = CASES[case]
    recipe = nc.Recipe([nc.Step(method, settings)])
    said = footprint(recipe, SHAPE, image.itemsize)
    assert 0.75 <= said / measured(recipe, image) <= 1.6


def test_frame_by_frame_needs_one_frame_and_the_labels() -> None:
    frames = nc.Selection("tzyx", each="t")
    recipe = nc.Recipe([nc.Step("threshold", {"fill_holes": True})], frames)
    whole = nc.Recipe([nc.Step("threshold", {"fill_holes": True})])
    one, ten = (footprint(recipe, (n, 64, 512, 512), 2) for n in (1, 10))
    assert one == footprint(whole, (64, 512, 512), 2)
    assert ten - one == 10 * 64 * 512 * 512


def test_what_is_not_in_memory_is_read() -> None:
    recipe = nc.Recipe([nc.Step("threshold")])
    apart = footprint(recipe, (64, 512, 512), 2, in_memory=False) - footprint(recipe, (64, 512, 512), 2)
    assert apart == 2 * 64 * 512 * 512
