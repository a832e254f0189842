"""What is to be learned of annotations: the target of each voxel, -1 where nobody annotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..processing.distance import distance
from .trained import N_OUTPUTS, Head

__all__ = ["BOUNDARY", "DEPTHS", "UNKNOWN_DEPTH", "Targets", "targets_of"]

MOST_CLASSES = 64
"""Labels beyond which they number objects, and are no classes."""

BOUNDARY = 2
"""Target of a voxel at the boundary of its object; 0 is background, 1 inside."""

DEPTHS = 255
"""Target of the deepest voxel of an object; 0 is background, 1 and up how deep inside a voxel lies."""

UNKNOWN_DEPTH = 256
"""Target of a voxel inside an object of which a part is not known, so that nobody can say how deep it lies."""

Cut = Sequence[tuple[bool, bool]]
"""For each axis whether the image goes on before and after what was read."""


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What is to be learned of annotations.

    Parameters
    ----------
    head : {"classes", "boundary", "distance"}
        What the network says.
    classes : tuple of int
        The label of each class; (0, 1) for heads that tell objects apart.
    counts : tuple of int
        Annotated voxels of each class; of background and of objects for heads that tell objects apart.
    values : int64 array
        The class of each label from -1 on; -1 is not annotated. Empty for heads that tell objects apart.
    ignore, background : int or None
        The labels that mean not annotated, and around objects; every other label is that of one object.
    spacing : tuple of float, optional
        World length of a voxel along the last axes.
    """

    head: Head
    classes: tuple[int, ...]
    counts: tuple[int, ...]
    values: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    ignore: int | None = None
    background: int | None = None
    spacing: tuple[float, ...] | None = None

    @property
    def n_outputs(self) -> int:
        """Outputs of the network."""
        return N_OUTPUTS.get(self.head, len(self.classes))

    def margin(self, patch: Sequence[int]) -> tuple[int, ...]:
        """Return how many voxels around a patch tell what its voxels are; none across planes that are learned alone."""
        wanted = {"classes": [0] * len(patch), "boundary": [1] * len(patch), "distance": [n // 2 for n in patch]}
        return tuple(0 if n == 1 else m for n, m in zip(patch, wanted[self.head], strict=True))

    def classes_in(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class of each voxel, -1 where it is not annotated: background or object where those are told."""
        if self.head == "classes":
            known = (labels >= 0) & (labels < len(self.values) - 1)  # of other labels, that of ignore is one
            return self.values[np.where(known, labels + 1, 0)]
        found: NDArray[np.int64] = (labels != self.background).astype(np.int64)
        if self.ignore is not None:
            found[labels == self.ignore] = -1
        return found

    def of(self, labels: NDArray[np.int64], cut: Cut | None = None) -> NDArray[np.int64]:
        """Return the target of each voxel of what was read of an image, -1 where it is not annotated.

        Parameters
        ----------
        labels : int64 array of shape ([Z,] Y, X)
            What was painted.
        cut : sequence of (bool, bool), optional
            For each axis whether the image goes on before and after; by default it is the whole image.

        Returns
        -------
        int64 array of the same shape
            Of ``"classes"`` the class. Of ``"boundary"`` 0 background, 1 inside, 2 boundary: voxels of an object with
            a face to another label, on both sides where two objects touch. A face to what is not annotated, or to the
            edge of what was read, is no boundary. Of ``"distance"`` 0 background, 1 to 255 how deep inside its object
            a voxel lies: its distance to the nearest voxel outside, as a share of the largest in that object, so that
            objects of all sizes are 255 in their middle. 256 is an object that goes on beyond what was read, or touches
            what is not annotated: inside, and nobody knows how deep.
        """
        found = self.classes_in(labels)
        if self.head == "classes":
            return found
        objects = np.where(found > 0, labels, found)
        beside_other, beside_unknown = _beside(objects, cut or [(False, False)] * labels.ndim)
        if self.head == "boundary":
            found[(found > 0) & beside_other] = BOUNDARY
            return found
        return np.where(found > 0, _depths(objects, beside_unknown, self._lengths(labels.ndim)), found)

    def weighed(self, drawn: NDArray[np.int64]) -> tuple[int, ...]:
        """Return how common each class is, for the weights of losses, from targets of patches that were drawn.

        Raises
        ------
        ValueError
            If no object lies whole in what was read around any patch, so that no depth is known.
        """
        if self.head == "boundary":
            return tuple(max(int((drawn == k).sum()), 1) for k in range(self.n_outputs))
        if self.head == "distance" and not ((drawn > 0) & (drawn != UNKNOWN_DEPTH)).any():
            raise ValueError(
                "no object is known as a whole, so that nobody can say how deep inside a voxel lies; give every object "
                "a label of its own, paint what is around it too, choose patches at least half as large as objects, or "
                "head='boundary'"
            )
        return self.counts

    def _lengths(self, ndim: int) -> tuple[float, ...] | None:
        """Return the lengths of a voxel; across planes that are learned alone they do not matter."""
        if self.spacing is None:
            return None
        return (min(self.spacing),) * (ndim - len(self.spacing)) + self.spacing


def _beside(objects: NDArray[np.int64], cut: Cut) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which voxels have a face to another object or to background, and which to what is not known."""
    other, unknown = np.zeros(objects.shape, bool), np.zeros(objects.shape, bool)
    for axis, ends in enumerate(cut):
        for step, goes_on in zip((1, -1), ends, strict=True):
            neighbours = np.roll(objects, step, axis)
            end = (slice(None),) * axis + (0 if step == 1 else -1,)
            neighbours[end] = -1 if goes_on else objects[end]
            unknown |= neighbours < 0
            other |= (neighbours >= 0) & (neighbours != objects)
    return other, unknown


def _depths(
    objects: NDArray[np.int64], beside_unknown: NDArray[np.bool_], spacing: tuple[float, ...] | None
) -> NDArray[np.int64]:
    """Return how deep each voxel of an object lies inside it, from 1 to 255; 256 where a part of it is not known.

    Parts of one label that do not touch are measured each by itself: otherwise the depth in one part would depend on
    whether the other was read.
    """
    from skimage.measure import label  # takes long to load

    parts = label(np.maximum(objects, 0), background=0, connectivity=1)
    known = np.ones(int(parts.max()) + 1, bool)
    known[parts[beside_unknown]] = False
    far = distance(parts, spacing=spacing)
    deepest = np.ones(len(known), np.float32)  # no voxel is less than 1 from outside
    np.maximum.at(deepest, parts, far)
    known &= np.isfinite(deepest)  # one object fills all that was read
    shares = far / np.where(known, deepest, 1)[parts]
    found: NDArray[np.int64] = np.full(objects.shape, UNKNOWN_DEPTH)
    found[known[parts]] = np.clip(np.rint(DEPTHS * shares[known[parts]]), 1, DEPTHS)
    return found


def targets_of(
    counts: Mapping[int, int],
    ignore: int | None,
    head: Head,
    *,
    background: int | None = None,
    spacing: Sequence[float] | None = None,
) -> Targets:
    """Return what labels mean, of which it is known how many voxels have each.

    Parameters
    ----------
    counts : mapping of int to int
        Voxels of each label.
    ignore : int or None
        The label that means not annotated.
    head : {"classes", "boundary", "distance"}
        What is to be learned.
    background : int, optional
        The label around objects, for heads that tell objects apart; 0 unless that is not annotated.
    spacing : sequence of float, optional
        World length of a voxel along each axis that the network sees.

    Raises
    ------
    ValueError
        If nothing or one class only is annotated, a label is negative, there are too many classes, or nothing says
        what is around objects.
    """
    there = {label: n for label, n in sorted(counts.items()) if label != ignore}
    if not there:
        raise ValueError(f"nothing is annotated: every voxel is {ignore}; paint a few strokes of two or more labels")
    if min(there) < 0:
        raise ValueError(
            f"annotations must not be negative, got {min(there)}; say ignore={min(there)} if it means not annotated"
        )
    if head != "classes":
        around = _background(there, ignore, head, background)
        n_around = there[around]
        lengths = None if spacing is None else tuple(spacing)
        counted = n_around, sum(there.values()) - n_around
        return Targets(head, (0, 1), counted, ignore=ignore, background=around, spacing=lengths)
    if background is not None:
        raise ValueError(
            f"background={background} is for head='boundary' or 'distance'; with head='classes' every label is a class"
        )
    if len(there) == 1:
        raise ValueError(
            f"only the label {next(iter(there))} is annotated; paint another one too, such as the background"
            + ("" if ignore is None else f", or say ignore=None if {ignore} is a class and not unpainted")
        )
    if len(there) > MOST_CLASSES:
        raise ValueError(
            f"there are {len(there)} labels, so they seem to number objects; say head='boundary' to tell objects apart"
        )
    classes = tuple(there)
    values = np.full(max(classes) + 2, -1, np.int64)
    values[np.asarray(classes) + 1] = np.arange(len(classes))
    return Targets(head, classes, tuple(there.values()), values)


def _background(there: Mapping[int, int], ignore: int | None, head: Head, asked: int | None) -> int:
    """Return the label around objects."""
    if asked is None and ignore == 0:
        raise ValueError(
            f"head={head!r} must be shown what is around objects, and 0 means not annotated (ignore=0); say "
            f"ignore=None if what is unpainted is background, or paint some background with a label of its own, such "
            f"as {max(there) + 1}, and say background={max(there) + 1}"
        )
    around = 0 if asked is None else asked
    if around == ignore:
        raise ValueError(f"background and ignore are both {ignore}; a label means one of them")
    if around not in there:
        raise ValueError(
            f"no voxel has the label {around} of the background; there are: {_some(there)}; say background="
            f"{next(iter(there))} or the label that it is"
        )
    if around != 0 and 0 in there:
        raise ValueError(
            f"background={around}, and there are voxels of 0 that would be an object; say ignore=0 if they are not "
            f"annotated"
        )
    if len(there) == 1:
        raise ValueError(f"only background, the label {around}, is annotated; paint objects, each with its own label")
    return around


def _some(labels: Mapping[int, int]) -> str:
    """Return labels as a list that stays short."""
    first = ", ".join(map(str, list(labels)[:8]))
    return first if len(labels) <= 8 else f"{first}, ... ({len(labels)} labels)"
