"""The memory that tiles at work are said to need is what they take."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout._memory import Free
from napari_cutout.running._limits import Limits
from napari_cutout.running._run_plan import plan_arrays

CASES: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "plain": ("threshold", {}, "uint16", 128),
    "floats": ("threshold", {}, "float32", 128),
    "smoothed": ("threshold", {"sigma": 1.0}, "uint16", 96),
    "without background": ("threshold", {"background_radius": 4.0}, "uint16", 96),
    "numbered": ("threshold", {"sigma": 1.0, "one_per_object": True}, "uint16", 96),
    "filled": ("threshold", {"fill_holes": True, "min_size": 10}, "uint16", 96),
    "by hand": ("threshold_at", {"value": 50.0}, "uint16", 128),
    "classes": ("multi_otsu", {}, "uint16", 128),
    "classes by hand": ("classes_at", {"values": (30.0, 60.0)}, "uint16", 128),
    "humps": ("histogram_segmentation", {}, "uint16", 128),
    "strokes": ("back_projection", {}, "uint16", 128),
    "hysteresis": ("hysteresis", {"low": 40.0, "high": 80.0}, "uint16", 96),
    "sauvola": ("sauvola", {"window": 5.0}, "uint16", 64),
    "niblack": ("niblack", {"window": 5.0}, "uint16", 64),
    "local mean": ("local_mean", {"window": 5.0}, "uint16", 64),
    "k-means": ("kmeans", {}, "uint16", 128),
    "features": ("kmeans", {"features": ("intensity", "gaussian", "gradient"), "scales": (1.0,)}, "uint16", 96),
    "a feature": ("kmeans", {"features": ("gradient",), "scales": (1.0,)}, "uint16", 96),
    "two scales": ("kmeans", {"features": ("gaussian", "laplacian"), "scales": (0.7, 1.5)}, "uint16", 80),
    "many features": ("kmeans", {"features": ("intensity", "hessian", "variance"), "scales": (1.0,)}, "uint16", 80),
    "mixture": ("gaussian_mixture", {}, "uint16", 128),
    "watershed": ("watershed", {}, "uint16", 96),
    "watershed of floats": ("watershed", {}, "float32", 96),
    "from minima": ("watershed_from_minima", {"depth": 5.0}, "uint16", 96),
    "minima": ("markers_from_minima", {"depth": 5.0}, "uint16", 96),
    "touching": ("split_touching", {}, "int32", 96),
    "middles": ("markers_from_distance", {}, "int32", 96),
    "walker": ("random_walker", {}, "uint16", 64),
    "graph of floats": ("felzenszwalb", {}, "float32", 96),
    "graph": ("felzenszwalb", {}, "uint16", 96),
    "superpixels": ("superpixels", {}, "uint16", 64),
    "merged": ("merge_regions", {}, "uint16", 64),
    "cut by strokes": ("graph_cut", {}, "uint16", 64),
    "cut by eigenvectors": ("normalized_cut", {}, "uint16", 64),
    "objects": ("objects", {}, "uint16", 96),
    "lines": ("draw_lines", {}, "uint16", 128),
    "linked": ("link_frames", {}, "uint16", 96),
}
CASES |= {  # others with their defaults; networks choose tiles of their own
    entry.name: (entry.name, {}, "uint16", 96)
    for entry in catalog.methods().values()
    if not entry.network and entry.name not in {method for method, *_ in CASES.values()}
}
"""Two tiles of this edge, one at work at a time."""

CHILD = """
import ctypes, gc, json, sys, tempfile
import numpy as np
import zarr
import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout.running._in_sweeps import in_sweeps
from napari_cutout.blockwise import Stored, Threads, regions_of, sweeping, write_labels
from tests.pages import peak, touched_from_now

folder, cases = sys.argv[1], json.loads(sys.argv[2])
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p

def fill_holes():
    "Take what is free inside the heap, so that every array gets pages of its own, which go back when it does."
    end = libc.sbrk(0)
    while libc.malloc(60000) < end:
        pass

class Nowhere:
    def write(self, region, block):
        pass

def scratch(shape, dtype, chunks):
    edges = tuple(max(sizes) for sizes in chunks)
    place = tempfile.mkdtemp(dir=folder)
    return zarr.create_array(place, shape=shape, dtype=dtype, chunks=edges, compressors=None, overwrite=True)

def inputs(method, dtype, edge):
    noise = np.random.default_rng(0).integers(0, 100, (edge, edge, 2 * edge))
    if method == "histogram_segmentation":
        noise = np.where(noise < 50, noise // 5, 90 + noise // 10)
    if catalog.find(method).source.name == "labels":
        return {"labels": (noise < 30).astype(dtype)}
    held = {"image": noise.astype(dtype)}
    if catalog.find(method).needs == "strokes":
        held["markers"] = np.zeros(noise.shape, np.uint8)
        held["markers"][::20, ::20, ::20] = 1
        held["markers"][0, 0, 1] = 2
    return held

def run(recipe, held, edge):
    sweeper = Threads((edge,) * 3, 1, make_scratch=scratch, memory=1 << 34)
    made = in_sweeps(recipe, {name: Stored(array) for name, array in held.items()}, sweeper)
    with sweeping(sweeper):
        write_labels(made.labels, Nowhere(), regions_of(sweeper.chunks(held[recipe.source].shape)), sweeper)

for method, settings, dtype, edge in cases:
    held = inputs(method, dtype, edge)
    recipe = nc.Recipe([nc.Step(method, settings, {name: name for name in held})])
    run(recipe, {name: np.ascontiguousarray(a[:16, :16, :32]) for name, a in held.items()}, 16)  # compiles
    taken = []
    for _ in range(2):
        gc.collect()
        fill_holes()
        libc.malloc_trim(0)
        before = touched_from_now()
        run(recipe, held, edge)
        taken.append(peak() - before)
    print(max(taken))
"""


@pytest.fixture(scope="module")
def touched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Run the cases that were asked for, in a process whose memory goes back at once; return the bytes of each."""
    if not os.access("/proc/self/clear_refs", os.W_OK) or not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("needs /proc/self/clear_refs, which tells the peak of a process anew, and glibc")
    own_pages = {"MMAP_THRESHOLD": "65536", "TRIM_THRESHOLD": "65536", "TOP_PAD": "0", "ARENA_MAX": "1"}
    environment = {**os.environ, **{f"MALLOC_{name}_": value for name, value in own_pages.items()}}
    wanted = {item.callspec.params.get("case") for item in request.session.items if hasattr(item, "callspec")}
    cases = {name: case for name, case in CASES.items() if name in wanted}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path_factory.mktemp("scratch")), json.dumps(list(cases.values()))],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(cases, map(int, done.stdout.split()), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_tile_at_work_takes_what_it_is_said_to(case: str, touched: dict[str, int]) -> None:
    method, settings, dtype, edge = CASES[case]
    needed = [p.name for p in catalog.find(method).arrays if p.required]
    recipe = nc.Recipe([nc.Step(method, settings, {name: name for name in needed})])
    dtypes = {name: "uint8" if name == "markers" else dtype for name in needed}
    inputs = {name: np.broadcast_to(np.zeros((), of), (edge, edge, 2 * edge)) for name, of in dtypes.items()}
    allowed = Limits(Free(1 << 40, "a test"), 1, (edge,))
    made = plan_arrays(recipe, inputs, limits=allowed, device="cpu")
    assert (made.n_tiles, made.workers) == (2, 1)
    assert 0.75 <= made.host_bytes / touched[case] <= 1.25
