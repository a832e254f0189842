"""Patches drawn where annotation is, each step's from a seed of its own, so that a run can go on anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._pairs import Cells, Pair, Region
from ._targets import Targets

__all__ = ["Patches"]

Patch = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Where patches come from.

    Parameters
    ----------
    pairs : sequence of Pair
        The images.
    cells : Cells
        The annotated boxes that patches are drawn from; what is annotated elsewhere is not shown.
    targets : Targets
        What is to be learned of labels.
    shape : tuple of int
        Voxels of a patch along each axis.
    numbers : sequence of int array
        The places of the cells of each image, rising.
    chances : float64 array of shape (K, n)
        For each class the sum of the chances of all cells up to each; 0 for a class that is in none.
    """

    pairs: Sequence[Pair]
    cells: Cells
    targets: Targets
    shape: tuple[int, ...]
    numbers: Sequence[NDArray[np.int64]]
    chances: NDArray[np.float64]

    @classmethod
    def of(cls, pairs: Sequence[Pair], cells: Cells, targets: Targets, shape: Sequence[int]) -> Patches:
        """Return the patches around some cells."""
        # The square root keeps a cell full of one class from being drawn all the time.
        chances = np.cumsum(np.sqrt(cells.counts.T), axis=1)
        return cls(pairs, cells, targets, tuple(shape), cells.numbers([p.shape for p in pairs]), chances)

    def batch(self, n: int, seed: Sequence[int]) -> Patch:
        """Return random patches: a class first, then a cell that holds it, then a place in it.

        Parameters
        ----------
        n : int
            How many.
        seed : sequence of int
            The same seed gives the same patches.

        Returns
        -------
        image : float32 array of shape (n, C, *shape)
            The channels.
        target : int64 array of shape (n, *shape)
            The class of each voxel, -1 where it is not annotated, not shown, or not finite in a channel.
        """
        rng = np.random.default_rng(list(seed))
        patches = []
        for number, cell in self.drawn(n, rng):
            region = self.cells.region(cell, self.pairs[number].shape)
            patches.append(self.patch(number, [int(rng.integers(s.start, s.stop)) for s in region]))
        images, targets = zip(*patches, strict=True)
        return np.stack(images), np.stack(targets)

    def drawn(self, n: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Return random cells, each with the number of its image; every class is as likely as any other."""
        there = np.flatnonzero(self.chances[:, -1])
        found = []
        for _ in range(n):
            chances = self.chances[rng.choice(there)]
            cell = int(np.searchsorted(chances, rng.random() * chances[-1], side="right"))
            found.append((int(self.cells.pair[cell]), cell))
        return found

    def covering(self, most: int, seed: int) -> list[Patch]:
        """Return patches in the middle of cells, as few as show all of them, or `most` at random."""
        cells = self.cells
        left = np.ones(len(cells), bool)
        found: list[Patch] = []
        for cell in np.random.default_rng([seed, 2]).permutation(len(cells)):
            if len(found) == most or not left[cell]:
                continue
            number = int(cells.pair[cell])
            middle = [(s.start + s.stop) // 2 for s in cells.region(cell, self.pairs[number].shape)]
            read, _ = self._placed(number, middle)
            inside = cells.pair == number
            for axis, (s, e) in enumerate(zip(read, cells.edges, strict=True)):
                inside &= (cells.index[:, axis] * e >= s.start) & ((cells.index[:, axis] + 1) * e <= s.stop)
            left &= ~inside
            left[cell] = False
            found.append(self.patch(number, middle))
        return found

    def patch(self, number: int, middle: Sequence[int]) -> Patch:
        """Return the patch of an image around a voxel; beyond the image it is 0, the mean, as in prediction."""
        pair = self.pairs[number]
        read, padding = self._placed(number, middle)
        image, finite = pair.image(read)
        classes = self._targets(pair, read)
        classes[~self._shown(number, read)] = -1
        if finite is not None:  # prediction says nothing there
            classes[~finite] = -1
        if any(map(any, padding)):
            image = np.pad(image, ((0, 0), *padding))
            classes = np.pad(classes, padding, constant_values=-1)
        return image, classes

    def _targets(self, pair: Pair, read: Region) -> NDArray[np.int64]:
        """Return the targets of a region, which may depend on labels around it."""
        margins = self.targets.margin(self.shape)
        wide = tuple(
            slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in zip(read, margins, pair.shape, strict=True)
        )
        # Planes that are learned alone, whose margin is 0, do not go on above and below.
        cut = [(m > 0 and w.start > 0, m > 0 and w.stop < n) for w, m, n in zip(wide, margins, pair.shape, strict=True)]
        inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(read, wide, strict=True))
        return self.targets.of(pair.labels(wide), cut)[inner].copy()

    def _shown(self, number: int, region: Region) -> NDArray[np.bool_]:
        """Tell which voxels of a region lie in the cells that patches are drawn from."""
        steps = [np.arange(s.start, s.stop) // e for s, e in zip(region, self.cells.edges, strict=True)]
        firsts = [int(step[0]) for step in steps]
        near = np.ix_(*(np.arange(f, int(step[-1]) + 1) for f, step in zip(firsts, steps, strict=True)))
        places = np.ravel_multi_index(near, self.cells.grid(self.pairs[number].shape))
        shown = np.isin(places, self.numbers[number], assume_unique=True)
        return np.asarray(shown[np.ix_(*(step - f for step, f in zip(steps, firsts, strict=True)))])

    def _placed(self, number: int, middle: Sequence[int]) -> tuple[Region, list[tuple[int, int]]]:
        """Return what to read for a patch around a voxel, and what is missing on both sides."""
        read, padding = [], []
        for n, size, at in zip(self.pairs[number].shape, self.shape, middle, strict=True):
            start = int(np.clip(at - size // 2, 0, max(n - size, 0)))
            stop = min(start + size, n)
            read.append(slice(start, stop))
            padding.append((0, size - (stop - start)))
        return tuple(read), padding
