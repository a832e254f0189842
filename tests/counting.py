"""Sources that count: how often they are read, and how many of the blocks that they gave are alive."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_cutout._monitor import watch
from napari_cutout._plan import Slices
from napari_cutout.blockwise import Threads, regions_of, write_labels
from napari_cutout.recipe import Recipe
from napari_cutout.running._execute import Steps
from napari_cutout.running._in_sweeps import in_sweeps


class Counting:
    """A source that counts its reads, and the most of its blocks that were alive at a time."""

    parents = ()

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, str(array.dtype)
        self.n_reads = self.n_alive = self.most_alive = self.n_voxels = 0
        self.regions: list[Slices] = []
        self.lock = threading.Lock()

    def read(self, region: Slices) -> np.ndarray:
        block = self.array[region].copy()
        with self.lock:
            self.n_reads += 1
            self.n_alive += 1
            self.n_voxels += block.size
            self.most_alive = max(self.most_alive, self.n_alive)
            self.regions.append(region)
        weakref.finalize(block, self._gone)
        return block

    def _gone(self) -> None:
        with self.lock:
            self.n_alive -= 1


class Kept:
    """A target that keeps labels in memory, and remembers which regions were written."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.labels = np.zeros(shape, dtype)
        self.regions: list[Slices] = []

    def write(self, region: Slices, block: np.ndarray) -> None:
        self.labels[region] = block
        self.regions.append(region)


def swept(
    recipe: Recipe, arrays: Mapping[str, np.ndarray], tile: tuple[int, ...], *, n_workers: int = 2, **more: Any
) -> tuple[np.ndarray, Steps, dict[str, Counting], Kept]:
    """Run a recipe in sweeps; return the labels, what steps did, the sources and the target."""
    sources = {name: Counting(array) for name, array in arrays.items()}
    sweeper = Threads(tile, n_workers)
    found = in_sweeps(recipe, sources, sweeper, **more)  # type: ignore[arg-type]
    kept = Kept(found.labels.shape, found.labels.dtype)
    with watch():
        written = write_labels(found.labels, kept, regions_of(found.chunks), sweeper)
    assert written.highest == kept.labels.max(initial=0)
    if found.n_labels is not None:
        assert written.highest <= found.n_labels
    return kept.labels, found.steps, sources, kept
