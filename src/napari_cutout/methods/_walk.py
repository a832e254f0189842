"""The random walk on an image: the weights of its edges, and the probabilities of its labels.

A `Walk` is an image that is ready to be walked on; it answers for any markers, from nothing or from an earlier answer.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, empty, from_numpy, is_host, to_numpy
from .._checks import MAX_LABEL
from .._method import Mask
from .._monitor import note, stage
from ..processing.filters import edges as edges_of
from . import _multigrid, _multigrid_device
from ._flooding import connected_parts
from ._gradients import NOWHERE, Reached, completed, in_turns
from ._walk_scales import APART, Beta, Scales, WalkSettings, scales_of, told_apart, unit_of

__all__ = ["Answer", "Beta", "Walk", "WalkSettings", "lattice_shape", "unit_of"]

MAX_VOXELS = 2**30
"""Voxels of the largest image that is solved as one."""


class Answer(NamedTuple):
    """What a walk found.

    Parameters
    ----------
    labels : int64 array of shape (n,)
        Labels of the markers, rising.
    best : int32 array
        The most likely label of every voxel, 0 where no walk leads.
    probabilities : float32 array of shape (n, ...) or None
        That of each label, NaN where no walk leads; None unless they were asked for.
    n_iterations : int
        Of the label that took most.
    error : float
        The estimated largest error of any probability.
    """

    labels: NDArray[np.int64]
    best: Array
    probabilities: Array | None
    n_iterations: int
    error: float


class Walk:
    """An image that is ready to be walked on.

    Parameters
    ----------
    channels : sequence of arrays of one shape
        Grey levels in 2-D or 3-D; a voxel that is not finite in one of them is outside.
    mask : array of that shape or None
        Where to walk.
    settings : WalkSettings
        What makes the weights, and when to stop.
    """

    def __init__(
        self, channels: Sequence[Array], mask: Mask | None, settings: WalkSettings, scales: Scales | None = None
    ) -> None:
        first = channels[0]
        if math.prod(first.shape) > MAX_VOXELS:
            raise ValueError(
                f"an image of shape {tuple(first.shape)} has more than {MAX_VOXELS} voxels, which are solved as one; "
                "pass dask arrays, which are solved coarsely and then tile by tile"
            )
        self.settings = settings
        self.shape = tuple(first.shape)
        self.engine: Any = _multigrid if is_host(first) else _multigrid_device
        self.inside = _inside(channels, mask)
        self.channels = [told_apart(c, self.inside) for c in channels] if scales is None else list(channels)
        self.scales = scales_of(self.channels, self.inside, settings) if scales is None else scales
        self._parts: Array | None = None

    def solve(self, markers: Array, *, keep: bool = False, start: Array | None = None, told: bool = True) -> Answer:
        """Return the most likely label of every voxel.

        Parameters
        ----------
        markers : integer array
            Labels, 0 is not marked, -1 is outside.
        keep : bool
            Whether to return all probabilities.
        start : float32 array of shape (n, ...), optional
            Probabilities to begin with, of the same labels; none is NaN.
        told : bool
            Whether to say how far it came, and to warn where that is not far enough.

        Raises
        ------
        ValueError
            If no voxel is marked inside, or a marker is below -1 or above 2147483647.
        """
        xp = array_namespace(markers)
        inside, planted, labels = self.planted(markers)
        reached = self.reached(inside, planted)
        if len(labels) == 1:
            return _only(labels, reached, keep)
        grid = self.grid(inside, reached & (planted == 0))
        tally, far = _Tally(reached, len(labels), keep), NOWHERE

        def begin(some: range) -> Array:
            return grid.vectors([_beginning(planted, int(labels[k]), start, k) for k in some])

        for some, x, came in in_turns(grid, len(labels), begin, self.settings.tolerance):
            far = far.farther(came)
            for k, values in zip(some, grid.values(x), strict=True):
                tally.add(k, xp.reshape(values, self.shape))
            del x, values  # before the next take their place
        tally.add_rest()
        if told:
            note_reached(far, self.settings.tolerance)
        return Answer(labels, tally.best(labels), tally.kept, far.n_iterations, far.error)

    def planted(self, markers: Array) -> tuple[Array, Array, NDArray[np.int64]]:
        """Return where to walk, the markers there, and their labels, or raise if there are none.

        If the walk is everywhere, the markers are not copied.
        """
        xp = array_namespace(markers)
        if dtype_name(markers) == "bool":
            markers = xp.astype(markers, xp.uint8)
        low, high = int(xp.min(markers)), int(xp.max(markers))
        if low < -1 or high > MAX_LABEL:
            raise bad_markers(low if low < -1 else high)
        inside = self.inside
        if low == -1:
            inside = (markers != -1) if inside is None else inside & (markers != -1)
        planted = markers
        if inside is not None:
            planted = xp.where(inside, planted, xp.zeros_like(planted))
        labels = np.sort(to_numpy(xp.unique_values(planted[planted > 0])).astype(np.int64))
        if not len(labels):
            raise no_strokes(high > 0)
        note(n_labels=len(labels))
        if len(labels) == 1:
            note(warning=f"strokes inside have one label only, {labels[0]}, so it is everywhere; paint a second one")
        if inside is None:
            inside = xp.ones_like(planted, dtype=xp.bool)
        return inside, planted, labels

    def reached(self, inside: Array, planted: Array) -> Array:
        """Return which voxels are connected to a marker; those that are not stay 0, and are counted."""
        xp = array_namespace(inside)
        if bool(xp.all(inside)):
            return inside
        if inside is not self.inside:
            return _connected(connected_parts(inside, 1), inside, planted)
        if self._parts is None:
            self._parts = connected_parts(inside, 1)
        return _connected(self._parts, inside, planted)

    def solve_within(
        self, region: tuple[slice, ...], inside: Array, planted: Array, reached: Array, values: Array
    ) -> Reached:
        """Solve for the values in a region from those around it, and return how far it came.

        Parameters
        ----------
        region : tuple of slice
            Part of the image; its outermost voxels keep their values, but those at an edge of the image.
        inside, planted, reached : arrays
            As `planted` and `reached` return them, of the whole image.
        values : float32 array of shape (n, ...)
            Probabilities of the whole image; those of the region become the solution.
        """
        xp = array_namespace(planted)
        free = reached[region] & (planted[region] == 0) & xp.asarray(not_on_faces(region, self.shape))
        part = Walk([c[region] for c in self.channels], inside[region], self.settings, self.scales)
        return part.solve_free(free, values[(slice(None), *region)])

    def solve_free(self, free: Array, values: Array) -> Reached:
        """Solve for the values of free voxels from those around them, and return how far it came.

        Parameters
        ----------
        free : bool array
            Voxels whose values are sought; each is connected to one that is inside and not free.
        values : float32 array of shape (n, ...)
            Probabilities; those of free voxels become the solution. NaN is read as 0.
        """
        xp, far = array_namespace(free), NOWHERE
        inside = xp.ones_like(free) if self.inside is None else self.inside
        grid = self.grid(inside, free)

        def begin(some: range) -> Array:
            return grid.vectors([xp.where(xp.isnan(v), xp.zeros_like(v), v) for v in (values[k, ...] for k in some)])

        for some, x, came in in_turns(grid, values.shape[0], begin, self.settings.tolerance):
            far = far.farther(came)
            for k, found in zip(some, grid.values(x), strict=True):
                values[k, ...] = xp.where(free, xp.reshape(found, self.shape), values[k, ...])
        values[...] = xp.where(free[None, ...], completed(values), values)
        return far

    def grid(self, inside: Array, free: Array) -> Any:
        """Return the levels of the lattice."""
        stage("weighing edges")
        shape = lattice_shape(self.shape)
        lattice = self.engine.lattice_of(self.exponents(), shape, self.shares(), ~inside, free)
        del free  # what comes now takes most memory
        stage("merging voxels")
        return self.engine.Multigrid(lattice)

    def exponents(self) -> Iterator[Array]:
        """Yield channels as float32, scaled so that squared differences are exponents."""
        for channel, scale, middle in zip(self.channels, *self.scales, strict=True):
            xp = array_namespace(channel)
            values = xp.astype(channel, xp.float64)
            values = xp.where(xp.isfinite(values), values, xp.full_like(values, middle)) * scale - middle * scale
            yield xp.astype(xp.clip(values, -APART, APART), xp.float32)  # voxels outside may lie far off

    def shares(self) -> tuple[float, float, float]:
        """Return what squared differences along each axis of the lattice are multiplied by."""
        lengths = [edge / 1024 for edge in edges_of(self.settings.spacing, len(self.shape))]
        shares = [1 / length**2 for length, n in zip(lengths, self.shape, strict=True) if n > 1]
        z, y, x = _three(shares, 1.0)
        return z, y, x


def lattice_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return a shape of three axes, of which the first is cut among processors: that of length 1 comes second."""
    z, y, x = _three([n for n in shape if n > 1], 1)
    return z, y, x


def _three(values: list[Any], filling: Any) -> tuple[Any, Any, Any]:
    if len(values) == 3:
        return values[0], values[1], values[2]
    if len(values) == 2:
        return values[0], filling, values[1]
    return (values[0] if values else filling), filling, filling


def _inside(channels: Sequence[Array], mask: Mask | None) -> Array | None:
    """Return where to walk, None for everywhere."""
    inside = None if mask is None else (mask if dtype_name(mask) == "bool" else mask != 0)
    for channel in channels:
        if dtype_name(channel).startswith("float"):
            xp = array_namespace(channel)
            finite = xp.isfinite(channel)
            if not bool(xp.all(finite)):
                inside = finite if inside is None else inside & finite
    return inside


def _connected(parts: Array, inside: Array, planted: Array) -> Array:
    """Return which voxels lie in a connected part that has a marker."""
    xp = array_namespace(parts)
    table = np.zeros(int(xp.max(parts)) + 1, bool)
    table[np.unique(to_numpy(parts[planted > 0]))] = True
    table[0] = False
    reached = xp.reshape(xp.take(from_numpy(table, like=parts), xp.reshape(parts, (-1,))), parts.shape)
    missing = int(xp.count_nonzero(inside & ~reached))
    if missing:
        note(n_unreached=missing)
    return reached


def box_around(chosen: NDArray[np.bool_], margin: int = 0) -> tuple[slice, ...] | None:
    """Return the smallest box around what is chosen, with a margin within the array; None if nothing is."""
    region = []
    for axis, n in enumerate(chosen.shape):
        at = np.flatnonzero(chosen.any(axis=tuple(k for k in range(chosen.ndim) if k != axis)))
        if not len(at):
            return None
        region.append(slice(max(int(at[0]) - margin, 0), min(int(at[-1]) + 1 + margin, n)))
    return tuple(region)


def not_on_faces(region: Sequence[slice], shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return which voxels of a region are not on those of its faces that lie within the image."""
    inner = np.ones([part.stop - part.start for part in region], bool)
    for axis, (part, n) in enumerate(zip(region, shape, strict=True)):
        face = np.moveaxis(inner, axis, 0)
        if part.start > 0:
            face[0] = False
        if part.stop < n:
            face[-1] = False
    return inner


def _beginning(planted: Array, label: int, start: Array | None, k: int) -> Array:
    """Return values to begin with: 1 on the markers of a label, 0 on others, and the start elsewhere."""
    xp = array_namespace(planted)
    marked = xp.astype(planted == label, xp.float32)
    return marked if start is None else xp.where(planted > 0, marked, xp.astype(start[k], xp.float32))


def _only(labels: NDArray[np.int64], reached: Array, keep: bool) -> Answer:
    """Return the answer for one label: it is everywhere that a walk leads."""
    xp = array_namespace(reached)
    best = xp.astype(reached, xp.int32) * int(labels[0])
    note_reached(NOWHERE, 1.0)
    kept = xp.where(reached, xp.ones_like(best, dtype=xp.float32), xp.full_like(best, xp.nan, dtype=xp.float32))
    return Answer(labels, best, kept[None, ...] if keep else None, 0, 0.0)


class _Tally:
    """The most likely label so far, label by label; of labels that are as likely the first wins.

    It begins to take memory when the first labels are solved; where there are few, their vectors are gone by then.
    """

    def __init__(self, reached: Array, n_labels: int, keep: bool) -> None:
        self.xp, self.reached = array_namespace(reached), reached
        self.n, self.keep = n_labels, keep
        self.kept: Array | None = None

    def add(self, k: int, values: Array) -> None:
        """Count label `k`, the first first."""
        xp = self.xp
        if k == 0:
            self._begin()
        values = xp.clip(values, 0.0, 1.0)
        self.rest -= values
        self._place(k, values)

    def add_rest(self) -> None:
        """Count the last label: it has what the others leave, and if that is less than nothing, all shrink."""
        xp = self.xp
        self._place(self.n - 1, xp.clip(self.rest, 0.0, 1.0))
        if self.kept is not None:
            whole = xp.clip(1.0 - self.rest, 1.0, None)
            for k in range(self.n):
                self.kept[k, ...] = self.kept[k, ...] / whole

    def best(self, labels: NDArray[np.int64]) -> Array:
        """Return the label that is the most likely, 0 where no walk leads."""
        xp = self.xp
        table = from_numpy(np.append(labels, 0).astype(np.int32), like=self.reached)
        at = xp.where(self.reached, xp.astype(self.first, xp.int32), xp.full_like(self.first, self.n, dtype=xp.int32))
        return xp.reshape(xp.take(table, xp.reshape(at, (-1,))), at.shape)

    def _begin(self) -> None:
        xp, like = self.xp, self.reached
        self.first = xp.zeros_like(like, dtype=xp.uint8 if self.n <= 255 else xp.int32)
        self.highest = xp.full_like(like, -1.0, dtype=xp.float32)
        self.rest = xp.ones_like(like, dtype=xp.float32)
        if self.keep:
            self.kept = empty((self.n, *like.shape), "float32", like=like)

    def _place(self, k: int, values: Array) -> None:
        xp = self.xp
        wins = values > self.highest
        self.first = xp.where(wins, xp.full_like(self.first, k), self.first)
        self.highest = xp.where(wins, values, self.highest)
        if self.kept is not None:
            self.kept[k, ...] = xp.where(self.reached, values, xp.full_like(values, xp.nan))


def note_reached(far: Reached, tolerance: float) -> None:
    """Keep how far it came, and say so where that is not far enough."""
    error = far.error
    note(n_iterations=far.n_iterations, estimated_error=error, converged=error <= tolerance)
    if not error <= tolerance:
        text = (
            f"the random walker stopped after {far.n_iterations} iterations with an estimated error of {error:.2g}, "
            f"above tolerance={tolerance:.2g}; labels may differ where two are about as likely: lower beta, or smooth "
            "the image"
        )
        note(warning=text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)


def bad_markers(value: int) -> ValueError:
    """Return the error that says which markers there may be."""
    return ValueError(
        f"markers must be labels from 1 to {MAX_LABEL}, 0 for not marked or -1 for outside, got {value}; renumber them"
    )


def no_strokes(painted: bool) -> ValueError:
    if painted:
        return ValueError(
            "markers lie outside mask, or where image is not finite, with every voxel; paint at least one inside, or "
            "widen the mask"
        )
    return ValueError("markers have no painted voxel, none is above 0; paint at least one stroke of every label")
