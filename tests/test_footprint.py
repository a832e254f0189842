"""The memory that a run is said to need is what it takes."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from scipy import ndimage

import napari_cutout as nc
from napari_cutout import _plan
from napari_cutout.catalog import find
from napari_cutout.running._footprint import footprint

from .toys import channel_methods

__all__ = ["channel_methods"]

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


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks small, so that an image of a few MB has many."""
    monkeypatch.setattr(_plan, "BLOCK_VOXELS", 1 << 16)
    monkeypatch.setattr("napari_cutout.running._footprint.BLOCK_VOXELS", 1 << 16)


def measured(recipe: nc.Recipe, image: Any) -> int:
    """Return the peak of what Python and NumPy allocate."""
    nc.execute(recipe, {recipe.source: image[..., :8, :40, :40]}, device="cpu")  # compiles
    gc.collect()
    tracemalloc.start()
    try:
        nc.execute(recipe, {recipe.source: image}, device="cpu")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_the_footprint_is_what_a_run_takes(case: str, dtype: str, small_blocks: None) -> None:
    image = np.random.default_rng(0).integers(0, 100, SHAPE).astype(dtype)
    method, settings = CASES[case]
    recipe = nc.Recipe([nc.Step(method, settings)])
    said = footprint(recipe, SHAPE, image.itemsize)
    assert 0.75 <= said / measured(recipe, image) <= 1.6


@pytest.mark.parametrize("n_labels", [2, 3, 10])
def test_the_walker_takes_what_it_says(n_labels: int) -> None:
    rng = np.random.default_rng(0)
    shape = (40, 80, 80)
    image = ndimage.gaussian_filter(rng.standard_normal(shape), 3) * 3 + rng.normal(0, 0.15, shape)
    markers = np.where(rng.random(shape) < 0.001, rng.integers(1, n_labels + 1, shape), 0).astype(np.int32)
    said = find("random_walker").memory
    assert isinstance(said, float) or callable(said)
    needed = said if isinstance(said, float) else said({}, image.size, 1)
    nc.random_walker(image, markers)
    gc.collect()
    tracemalloc.start()
    try:
        nc.random_walker(image, markers)
        taken = tracemalloc.get_traced_memory()[1] / image.size
    finally:
        tracemalloc.stop()
    assert 0.75 <= needed / taken <= 1.35


@pytest.mark.parametrize(("n_channels", "sigma"), [(1, 0.8), (3, 0.0)])
def test_graph_based_segmentation_takes_what_it_says(
    n_channels: int, sigma: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_plan.__name__, "napari_cutout.running._footprint"):
        monkeypatch.setattr(f"{module}.BLOCK_VOXELS", 1 << 13)
    monkeypatch.setattr("napari_cutout.methods._felzenszwalb.LEAST", 1)
    image = np.random.default_rng(0).integers(0, 100, (n_channels, 40, 80, 80)).astype("uint16")
    recipe = nc.Recipe([nc.Step("felzenszwalb", {"sigma": sigma})], nc.Selection("czyx", channel="all"))
    assert 0.75 <= footprint(recipe, image.shape, 2) / measured(recipe, image) <= 1.25


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


def test_each_copy_of_another_input_counts_whatever_is_selected() -> None:
    recipe = nc.Recipe([nc.Step("threshold")], nc.Selection("czyx", channel=1, box=((0, 8), (0, 64), (0, 64))))
    plain = footprint(recipe, (3, 64, 128, 128), 2)
    assert footprint(recipe, (3, 64, 128, 128), 2, others=(8, 1)) - plain == 9 * 64 * 128 * 128


@pytest.mark.parametrize(
    ("method", "settings", "n_bytes"),
    [("multi_otsu", {}, 1), ("threshold", {}, 1), ("threshold", {"one_per_object": True}, 4)],
    ids=["classes", "cut in two", "numbers"],
)
def test_labels_of_frames_take_what_their_dtype_says(method: str, settings: dict[str, Any], n_bytes: int) -> None:
    recipe = nc.Recipe([nc.Step(method, settings)], nc.Selection("tzyx", each="t"))
    two, ten = (footprint(recipe, (n, 16, 256, 256), 2) for n in (2, 10))
    assert ten - two == 8 * n_bytes * 16 * 256 * 256


@pytest.mark.parametrize("in_memory", [True, False], ids=["numpy", "dask"])
@pytest.mark.parametrize("n_channels", [2, 3, 4])
def test_the_brightness_of_colours_takes_all_channels_at_once(
    n_channels: int, in_memory: bool, small_blocks: None
) -> None:
    image = np.random.default_rng(0).integers(0, 100, (n_channels, *SHAPE)).astype("uint16")
    recipe = nc.Recipe([nc.Step("threshold")], nc.Selection("czyx", channel="grey"))
    said = footprint(recipe, image.shape, 2, in_memory=in_memory)
    held = image if in_memory else da.from_array(image, chunks=(1, 32, 160, 160))
    assert 0.75 <= said / measured(recipe, held) <= 1.6


@pytest.mark.parametrize("in_memory", [True, False], ids=["numpy", "zarr"])
@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_all_channels_together_are_read_and_cut(n_channels: int, in_memory: bool, small_blocks: None) -> None:
    image = np.random.default_rng(0).integers(1, 100, (n_channels, *SHAPE)).astype("uint16")
    recipe = nc.Recipe([nc.Step("strongest")], nc.Selection("czyx", channel="all"))
    said = footprint(recipe, image.shape, 2, in_memory=in_memory)
    held = image if in_memory else zarr.array(image, chunks=(1, 4, 160, 160))
    assert 0.75 <= said / measured(recipe, held) <= 1.6


def test_what_goes_before_the_cut_is_made_of_every_channel() -> None:
    def smoothing(n_channels: int) -> int:
        """Return what smoothing adds."""
        recipes = (nc.Recipe([nc.Step("strongest", {"sigma": s})], nc.Selection("czyx", "all")) for s in (0.0, 1.0))
        plain, smoothed = (footprint(recipe, (n_channels, *SHAPE), 2) for recipe in recipes)
        return smoothed - plain

    assert smoothing(3) - smoothing(1) == 2 * 4 * np.prod(SHAPE)


CLUSTERED: dict[str, tuple[str, int, dict[str, Any]]] = {
    "k-means": ("kmeans", 3, {}),
    "mixture": ("gaussian_mixture", 3, {}),
    "features that are kept": ("kmeans", 1, {"features": ("intensity", "gaussian", "gradient"), "scales": (1.0,)}),
}


@pytest.mark.parametrize("case", CLUSTERED)
def test_the_footprint_of_columns_is_what_a_run_takes(case: str, small_blocks: None) -> None:
    method, n_channels, settings = CLUSTERED[case]
    image = np.random.default_rng(0).integers(0, 100, (n_channels, *SHAPE)).astype("uint16")
    settings = settings | {"max_iterations": 1, "n_init": 1}
    recipe = nc.Recipe([nc.Step(method, settings)], nc.Selection("czyx", channel="all"))
    said = footprint(recipe, image.shape, 2)
    assert 0.75 <= said / measured(recipe, image) <= 1.6


@pytest.mark.parametrize("min_size", [0, 10])
@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_objects_of_labels_and_the_copy_of_them(dtype: str, min_size: int, small_blocks: None) -> None:
    labels = (np.random.default_rng(0).random(SHAPE) < 0.2).astype(dtype)
    recipe = nc.Recipe([nc.Step("objects", {"min_size": min_size})])
    said = footprint(recipe, SHAPE, labels.itemsize, others=[labels.itemsize])
    assert 0.75 <= said / (measured(recipe, labels) + labels.nbytes) <= 1.6


@pytest.mark.parametrize("axes", ["tyx", "tzyx"])
def test_objects_numbered_on_from_frame_to_frame(axes: str, small_blocks: None) -> None:
    image = np.random.default_rng(0).integers(0, 100, (3, 32, 160, 320)[-len(axes) :] if len(axes) == 4 else SHAPE)
    recipe = nc.Recipe([nc.Step("threshold", {"one_per_object": True})], nc.Selection(axes, each="t"))
    said = footprint(recipe, image.shape, 2)
    assert 0.75 <= said / measured(recipe, image.astype("uint16")) <= 1.6


# Loops that lay out room for the worst case and fill what they need of it, which only the system can tell ----------

FLOODS: dict[str, tuple[str, dict[str, Any], str] | tuple[str, dict[str, Any], str, int]] = {
    "integers": ("watershed", {}, "uint16"),
    "floats": ("watershed", {}, "float32"),
    "every other voxel marked": ("watershed", {}, "float32", 2),
    "every voxel marked": ("watershed", {}, "float32", 1),
    "gradient": ("watershed", {"surface": "gradient"}, "uint16"),
    "smoothed": ("watershed", {"sigma": 1.0}, "float32"),
    "few regions": ("watershed", {"min_size": 10}, "uint16"),
    "from minima": ("watershed_from_minima", {"depth": 5.0}, "uint16"),
    "from minima of floats": ("watershed_from_minima", {"depth": 5.0, "sigma": 1.0}, "float32"),
    "minima": ("markers_from_minima", {"depth": 5.0}, "uint16"),
    "mask": ("split_touching", {}, "bool"),
    "objects": ("split_touching", {"min_separation": 4.0}, "int32"),
    "middles": ("markers_from_distance", {}, "int32"),
    "superpixels": ("superpixels", {}, "uint16"),
}
GRAPHS: dict[str, tuple[str, dict[str, Any], str]] = {
    "merged": ("merge_regions", {}, "uint16"),
    "cut by eigenvectors": ("normalized_cut", {}, "uint16"),
    "cut by strokes": ("graph_cut", {}, "uint16"),
}
SMALLER = (48, 128, 160)
CHILD = """
import gc, json, sys
import numpy as np
import napari_cutout as nc
from napari_cutout import _plan, catalog
from tests.pages import peak, touched_from_now

shape, _plan.BLOCK_VOXELS, cases = json.loads(sys.argv[1])

def inputs(method, dtype, every=20):
    noise = np.random.default_rng(0).integers(0, 100, shape)
    if catalog.find(method).source.name == "labels":
        return {"labels": (noise < 30).astype(dtype)}
    held = {"image": noise.astype(dtype)}
    if catalog.find(method).needs == "strokes":
        held["markers"] = np.zeros(shape, np.uint8)
        held["markers"][::every, ::every, ::every] = 1
        held["markers"][0, 0, 1] = 2
    return held

for method, settings, dtype, *every in cases:
    held = inputs(method, dtype, *every)
    recipe = nc.Recipe([nc.Step(method, settings, {name: name for name in held})])
    nc.execute(recipe, {name: array[:8, :8, :8] for name, array in held.items()}, device="cpu")  # compiles
    gc.collect()
    before = touched_from_now()
    nc.execute(recipe, held, device="cpu")
    print(peak() - before)
"""


def touched_by(cases: Mapping[str, Any], shape: tuple[int, ...], block: int) -> dict[str, int]:
    """Run every case in a process whose memory goes back to the system at once; return the bytes that each took."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("needs /proc/self/clear_refs, which tells the peak of a process anew")
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    asked = json.dumps([shape, block, list(cases.values())])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, asked],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).parents[1],
    )
    return dict(zip(cases, map(int, done.stdout.split()), strict=True))


@pytest.fixture(scope="module")
def touched() -> dict[str, int]:
    return touched_by(FLOODS, SHAPE, 1 << 16)


@pytest.fixture(scope="module")
def touched_by_graphs() -> dict[str, int]:
    again = {f"{name} again": case for name, case in GRAPHS.items()}
    took = touched_by({**GRAPHS, **again}, SMALLER, 1 << 12)
    return {name: min(took[name], took[f"{name} again"]) for name in GRAPHS}  # the first ones fill caches


@pytest.mark.parametrize("case", FLOODS)
def test_what_a_flood_is_said_to_take_is_what_it_fills(case: str, touched: dict[str, int], small_blocks: None) -> None:
    method, settings, dtype, *_ = FLOODS[case]
    said = footprint(nc.Recipe([nc.Step(method, settings)]), SHAPE, np.dtype(dtype).itemsize)
    assert 0.8 <= said / touched[case] <= 1.25


@pytest.mark.parametrize("case", GRAPHS)
def test_what_a_graph_of_regions_is_said_to_take_is_what_it_fills(
    case: str, touched_by_graphs: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_cutout.running._footprint.BLOCK_VOXELS", 1 << 12)
    method, settings, dtype = GRAPHS[case]
    said = footprint(nc.Recipe([nc.Step(method, settings)]), SMALLER, np.dtype(dtype).itemsize)
    assert 0.75 <= said / touched_by_graphs[case] <= 1.25


@pytest.mark.parametrize("method", ["merge_regions", "normalized_cut", "graph_cut"])
def test_what_is_known_of_many_regions_counts(method: str) -> None:
    few, many = (
        footprint(nc.Recipe([nc.Step(method, {"n_superpixels": n})]), (10, 400, 400), 2) for n in (1000, 1_000_000)
    )
    assert many - few >= 1e9
