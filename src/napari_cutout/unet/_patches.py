"""Patches drawn where annotation is, each step's from a seed of its own, so that a run can go on anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._pairs import Cells, Pair, Region
from ._targets import Targets

__all__ = ["Patches"]


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
    """

    pairs: Sequence[Pair]
    cells: Cells
    targets: Targets
    shape: tuple[int, ...]
    shown: Sequence[NDArray[np.bool_]]

    @classmethod
    def of(cls, pairs: Sequence[Pair], cells: Cells, targets: Targets, shape: Sequence[int]) -> Patches:
        """Return the patches around some cells."""
        return cls(pairs, cells, targets, tuple(shape), cells.lookup(pairs))

    def batch(self, n: int, seed: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return random patches: a class first, then a cell that holds it, then a place around it.

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
            The class of each voxel, -1 where it is not annotated or not shown.
        """
        rng = np.random.default_rng(list(seed))
        there = np.flatnonzero(self.cells.counts.sum(0))
        patches = []
        for _ in range(n):
            counts = self.cells.counts[:, rng.choice(there)]
            # The square root keeps a cell full of one class from being drawn all the time.
            weights = np.sqrt(counts)
            cell = int(rng.choice(len(counts), p=weights / weights.sum()))
            middle = [int(rng.integers(s.start, s.stop)) for s in self.cells.region(cell, self._pair(cell).shape)]
            patches.append(self.patch(int(self.cells.pair[cell]), middle))
        images, targets = zip(*patches, strict=True)
        return np.stack(images), np.stack(targets)

    def covering(self, most: int, seed: int) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Return patches in the middle of cells, as few as show all of them, or `most` at random."""
        left = self.cells.lookup(self.pairs)
        order = np.random.default_rng([seed, 2]).permutation(len(self.cells))
        found: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
        for cell in order:
            number, index = int(self.cells.pair[cell]), tuple(self.cells.index[cell])
            if len(found) == most or not left[number][index]:
                continue
            middle = [(s.start + s.stop) // 2 for s in self.cells.region(cell, self.pairs[number].shape)]
            read, _ = self._placed(number, middle)
            inside = tuple(
                slice(-(-s.start // e), max(s.stop // e, -(-s.start // e)))
                for s, e in zip(read, self.cells.edges, strict=True)
            )
            left[number][inside] = False
            left[number][index] = False
            found.append(self.patch(number, middle))
        return found

    def patch(self, number: int, middle: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the patch of an image around a voxel; beyond the image it is mirrored and not annotated."""
        pair = self.pairs[number]
        read, padding = self._placed(number, middle)
        classes = self.targets.of(pair.labels(read))
        shown = self.shown[number]
        at = np.ix_(*(np.arange(s.start, s.stop) // e for s, e in zip(read, self.cells.edges, strict=True)))
        classes[~shown[at]] = -1
        image = pair.image(read)
        if any(map(any, padding)):
            image = np.pad(image, ((0, 0), *padding), mode="symmetric")
            classes = np.pad(classes, padding, constant_values=-1)
        return image, classes

    def _pair(self, cell: int) -> Pair:
        return self.pairs[int(self.cells.pair[cell])]

    def _placed(self, number: int, middle: Sequence[int]) -> tuple[Region, list[tuple[int, int]]]:
        """Return what to read for a patch around a voxel, and what is missing on both sides."""
        read, padding = [], []
        for n, size, at in zip(self.pairs[number].shape, self.shape, middle, strict=True):
            start = int(np.clip(at - size // 2, 0, max(n - size, 0)))
            stop = min(start + size, n)
            read.append(slice(start, stop))
            padding.append((0, size - (stop - start)))
        return tuple(read), padding
