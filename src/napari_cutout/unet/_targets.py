"""What is to be learned of annotations: the class of each voxel, -1 where nobody annotated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .trained import N_OUTPUTS, Head

__all__ = ["Targets", "targets_of"]

MOST_CLASSES = 64
"""Labels beyond which they number objects, and are no classes."""


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What is to be learned of annotations.

    Parameters
    ----------
    head : {"classes", "boundary", "distance"}
        What the network says.
    classes : tuple of int
        The label of each class.
    values : int64 array
        The class of each label from -1 on; -1 is not annotated.
    counts : tuple of int
        Annotated voxels of each class.
    """

    head: Head
    classes: tuple[int, ...]
    values: NDArray[np.int64]
    counts: tuple[int, ...]

    @property
    def n_outputs(self) -> int:
        """Outputs of the network."""
        return N_OUTPUTS.get(self.head, len(self.classes))

    def classes_in(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class of each voxel, -1 where it is not annotated."""
        return self.values[np.clip(labels + 1, 0, len(self.values) - 1)]

    def of(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the target of each voxel of a patch, -1 where it is not annotated."""
        return self.classes_in(labels)


def targets_of(counts: Mapping[int, int], ignore: int | None, head: Head) -> Targets:
    """Return what labels mean, of which it is known how many voxels have each.

    Parameters
    ----------
    counts : mapping of int to int
        Voxels of each label.
    ignore : int or None
        The label that means not annotated.
    head : {"classes", "boundary", "distance"}
        What is to be learned.

    Raises
    ------
    ValueError
        If nothing or one class only is annotated, a label is negative, or there are too many classes.
    """
    there = {label: n for label, n in sorted(counts.items()) if label != ignore}
    if not there:
        raise ValueError(f"nothing is annotated: every voxel is {ignore}; paint a few strokes of two or more labels")
    if min(there) < 0:
        raise ValueError(
            f"annotations must not be negative, got {min(there)}; say ignore={min(there)} if it means not annotated"
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
    return Targets(head, classes, values, tuple(there.values()))
