"""An image that is walked on again and again while strokes are painted.

The first answer comes from a coarse copy of the image, and is then made exact. After another stroke only the region
that it can change is solved again: the coarse copy, which is solved at once, says where that is, and gives the values
to begin with. What it says to change by less than the tolerance is left alone; if more would be left alone, the whole
is solved at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, empty, is_host
from .._method import Mask
from .._monitor import aside, note, watch
from ._gradients import Reached
from ._walk import Walk, WalkSettings, box_around, note_reached
from ._walk_levels import block_means, block_shape, coarse_strokes, interpolated

__all__ = ["Session", "Update"]

COARSE_VOXELS = 1 << 18
"""Voxels of the coarse copy at most: solved in about a tenth of a second."""

LARGE = 1 << 20
"""Voxels above which an image has a coarse copy."""

A_LITTLE = 0.02
"""A change of a probability, according to the coarse copy, that is worth a closer look at once."""

MARGIN = 8
"""Voxels around a region that changes in which values may still move."""

MOST_OF_IT = 0.5
"""A region that is a larger share of the image is solved as the whole."""

Region = tuple[slice, ...]


class Update(NamedTuple):
    """What a session found, or has found so far.

    Parameters
    ----------
    labels : int32 array of the shape of `region`
        The most likely labels there.
    region : tuple of slice
        The part of the image that may have changed.
    final : bool
        True of the last one.
    error : float
        The estimated largest error of a probability, with what was left alone outside `region` since the whole was
        solved, which is infinite after updates that nobody waited for; of a coarse answer NaN, nobody knows.
    """

    labels: Array
    region: Region
    final: bool
    error: float


@dataclass(slots=True)
class _State:
    """What is known of the last strokes.

    Parameters
    ----------
    planted : int32 array
        The markers inside.
    labels : int64 array
        Their labels.
    values, coarse : float32 array of shape (n, ...)
        Probabilities on the voxels, and on the coarse copy if there is one.
    missed : float
        The largest change of a probability that was left alone since the whole was solved.
    """

    planted: Array
    labels: NDArray[np.int64]
    values: Array
    coarse: NDArray[np.float32] | None
    missed: float


class Session:
    """An image that is walked on again and again.

    Parameters
    ----------
    channels : sequence of arrays of one shape
        Grey levels in 2-D or 3-D.
    mask : array of that shape or None
        Where to walk.
    settings : WalkSettings
        What makes the weights, and when to stop.
    """

    def __init__(self, channels: Sequence[Array], mask: Mask | None, settings: WalkSettings) -> None:
        with watch() as seen:  # what is found out once is a fact of every answer
            self.walk = Walk(channels, mask, settings)
        self._facts = seen.facts
        self._coarse = _Coarse(self.walk) if is_host(channels[0]) and math.prod(self.walk.shape) > LARGE else None
        self._state: _State | None = None

    @property
    def probabilities(self) -> tuple[NDArray[np.int64], Array] | None:
        """The labels, and for each its float32 probabilities after the last update; None before. Not a copy.

        Voxels that no marker leads to hold anything.
        """
        return None if self._state is None else (self._state.labels, self._state.values)

    def updates(self, markers: Array) -> Iterator[Update]:
        """Yield what is found for markers, and what is found after a closer look.

        Parameters
        ----------
        markers : integer array
            Labels, 0 is not marked, -1 is outside.

        Yields
        ------
        Update
            The first at once; after the last, which is `final`, all probabilities are right to within the tolerance,
            if its `error` is below it.

        Raises
        ------
        ValueError
            If no voxel is marked inside, or a marker is below -1 or above 2147483647.
        """
        markers = array_namespace(markers).asarray(markers, copy=True)  # a user goes on to paint on them
        note(**self._facts)
        inside, planted, labels = self.walk.planted(markers)
        state = self._state
        known = state is not None and len(state.labels) > 1 and set(state.labels) <= set(labels)
        everywhere = int(markers.min()) >= 0  # the coarse copy knows nothing of voxels that markers of -1 exclude
        if known and everywhere and state is not None and state.coarse is not None:
            yield from self._changed(state, inside, planted, labels)
            return
        start = _with_labels(state.values, state.labels, labels) if known and state is not None else None
        yield from self._afresh(markers, inside, planted, labels, start, everywhere)

    def _afresh(
        self,
        markers: Array,
        inside: Array,
        planted: Array,
        labels: NDArray[np.int64],
        start: Array | None,
        everywhere: bool,
    ) -> Iterator[Update]:
        """Begin with the coarse copy, then solve the whole."""
        coarse, self._state = None, None
        if self._coarse is not None and len(labels) > 1 and everywhere:
            coarse = self._coarse.solve(planted, labels, None)
            region = _everywhere(self.walk.shape)
            guess = self._coarse.fine(coarse, region)
            yield Update(
                _likeliest(labels, guess, planted, self.walk.reached(inside, planted)), region, False, math.nan
            )
            start = guess if start is None else start
        yield self._whole(markers, planted, labels, coarse, start)

    def _whole(
        self,
        markers: Array,
        planted: Array,
        labels: NDArray[np.int64],
        coarse: NDArray[np.float32] | None,
        start: Array | None,
    ) -> Update:
        """Solve the whole, and keep what was found."""
        answer = self.walk.solve(markers, keep=True, start=start)
        values: Array = answer.probabilities
        for value in values:  # one by one: there may be many
            value[value != value] = 0.0
        self._state = _State(planted, labels, values, coarse, 0.0)
        return Update(answer.best, _everywhere(self.walk.shape), True, answer.error)

    def _changed(self, state: _State, inside: Array, planted: Array, labels: NDArray[np.int64]) -> Iterator[Update]:
        """Solve the region that the new strokes can change, and the whole if that is not all."""
        assert self._coarse is not None
        reached = self.walk.reached(inside, planted)
        assert state.coarse is not None
        values = _with_labels(state.values, state.labels, labels)
        old = _with_labels(state.coarse, state.labels, labels)
        coarse = self._coarse.solve(planted, labels, old)
        change = coarse - old
        region = self._region(change, planted != state.planted)
        size = np.abs(change).max(axis=0)
        missed = state.missed + self._coarse.largest_beyond(size, region)
        self._state = _State(planted, labels, values, coarse, math.inf)  # until all is done
        whole = math.prod(part.stop - part.start for part in region) > MOST_OF_IT * planted.size
        if whole:
            region = _everywhere(planted.shape)
        values[(slice(None), *region)] += self._coarse.fine(change, region)
        _fix(values, labels, planted, region)
        yield Update(_likeliest(labels, values, planted, reached, region), region, False, math.nan)
        if not whole:
            guessed = values[(slice(None), *region)].copy()
            far = self.walk.solve_within(region, inside, planted, reached, values)
            missed += _change_beyond(values[(slice(None), *region)] - guessed, region, planted.shape)
            error = max(far.error, missed)
            if final := error <= self.walk.settings.tolerance:
                self._state.missed = missed
                note_reached(Reached(far.n_iterations, np.array([error])), self.walk.settings.tolerance)
            yield Update(_likeliest(labels, values, planted, reached, region), region, final, error)
            if final:
                return
        yield self._whole(planted, planted, labels, coarse, values)

    def _region(self, change: NDArray[np.float32], different: NDArray[np.bool_]) -> Region:
        """Return the box in which probabilities change by more than a little, or markers do."""
        assert self._coarse is not None
        boxes = [box_around(different), self._coarse.box(np.abs(change).max(axis=0) > A_LITTLE)]
        found = [box for box in boxes if box is not None]
        if not found:
            return tuple(slice(0, min(1, n)) for n in different.shape)
        return tuple(
            slice(max(min(part.start for part in parts) - MARGIN, 0), min(max(part.stop for part in parts) + MARGIN, n))
            for n, parts in zip(different.shape, zip(*found, strict=True), strict=True)
        )


class _Coarse:
    """A copy of an image in blocks, with weights of the same strength across the same edges."""

    def __init__(self, walk: Walk) -> None:
        settings = walk.settings
        self.shape = walk.shape
        self.blocks = block_shape(walk.shape, settings.spacing, COARSE_VOXELS)
        means = [block_means(channel, walk.inside, self.blocks) for channel in walk.channels]
        inside = means[0][1]
        lengths = settings.spacing or (1.0,) * len(walk.shape)
        spacing = tuple(length * block for length, block in zip(lengths, self.blocks, strict=True))
        coarse = WalkSettings(settings.beta, settings.tolerance / 4, spacing, settings.unit)
        self.walk = Walk([mean for mean, _ in means], None if inside.all() else inside, coarse, walk.scales)

    def solve(
        self, planted: Array, labels: NDArray[np.int64], start: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return the probabilities in the blocks; a label without a block has none."""
        strokes = coarse_strokes(planted, self.blocks)
        held = np.searchsorted(labels, np.unique(strokes[strokes > 0]))
        found = np.zeros((len(labels), *strokes.shape), np.float32)
        with aside():  # what is known of the copy is nothing that a user should read as facts of the image
            answer = self.walk.solve(strokes, keep=True, start=None if start is None else start[held], told=False)
        kept: Array = answer.probabilities
        found[held] = np.nan_to_num(kept)
        return found

    def fine(self, coarse: NDArray[np.float32], region: Region) -> NDArray[np.float32]:
        """Return values between the middles of blocks at the voxels of a region."""
        shape = [part.stop - part.start for part in region]
        found = np.empty((len(coarse), *shape), np.float32)
        for k, values in enumerate(coarse):
            found[k] = interpolated(values, self.blocks, region)
        return found

    def box(self, chosen: NDArray[np.bool_]) -> Region | None:
        """Return the box of voxels around blocks that are chosen; half a block more, as values are interpolated."""
        found = box_around(chosen)
        if found is None:
            return None
        return tuple(
            slice(max(part.start * block - block // 2, 0), min(part.stop * block + block // 2, n))
            for part, block, n in zip(found, self.blocks, self.shape, strict=True)
        )

    def largest_beyond(self, size: NDArray[np.float32], region: Region) -> float:
        """Return the largest value outside the blocks that lie in a region."""
        outside = np.ones(size.shape, bool)
        outside[
            tuple(slice(-(-part.start // b), part.stop // b) for part, b in zip(region, self.blocks, strict=True))
        ] = False
        return float(size[outside].max(initial=0.0))


def _everywhere(shape: Sequence[int]) -> Region:
    return tuple(slice(0, n) for n in shape)


def _with_labels(values: Array, old: NDArray[np.int64], labels: NDArray[np.int64]) -> Array:
    """Return probabilities with those of new labels, which begin at 0."""
    if len(old) == len(labels):
        return values
    more = empty((len(labels), *values.shape[1:]), "float32", like=values)
    for k, label in enumerate(labels):
        at = np.flatnonzero(old == label)
        more[k, ...] = values[int(at[0]), ...] if len(at) else 0.0
    return more


def _change_beyond(change: NDArray[np.float32], region: Region, shape: Sequence[int]) -> float:
    """Return what a region would like to change beyond its faces, where the coarse copy did not foresee it.

    Next to a face, whose values are kept, a change is about what it would be at the face, divided by how far it is to
    where it comes from: a margin or more.
    """
    largest = 0.0
    for axis, (part, n) in enumerate(zip(region, shape, strict=True)):
        layers = np.moveaxis(change, axis + 1, 0)
        if part.start > 0:
            largest = max(largest, float(np.abs(layers[:2]).max()))
        if part.stop < n:
            largest = max(largest, float(np.abs(layers[-2:]).max()))
    return largest * MARGIN


def _fix(values: NDArray[np.float32], labels: NDArray[np.int64], planted: NDArray[np.int32], region: Region) -> None:
    """Set the probabilities of marked voxels, and keep the others between 0 and 1."""
    marked = planted[region]
    at = np.nonzero(marked)
    part = values[(slice(None), *region)]
    np.clip(part, 0, 1, out=part)
    for k, label in enumerate(labels):
        part[k][at] = marked[at] == label


def _likeliest(
    labels: NDArray[np.int64],
    values: NDArray[np.float32],
    planted: NDArray[np.int32],
    reached: NDArray[np.bool_],
    region: Region | None = None,
) -> NDArray[np.int32]:
    """Return the most likely label in a region, that of the marker where there is one."""
    region = region or _everywhere(planted.shape)
    best = labels.astype(np.int32)[values[(slice(None), *region)].argmax(axis=0)] if len(values) else planted[region]
    marked = planted[region]
    return np.where(reached[region], np.where(marked > 0, marked, best), 0).astype(np.int32)
