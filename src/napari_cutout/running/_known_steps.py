"""What the first steps of a recipe gave, kept for runs that differ in what a later step reads alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .._array import Array, dtype_name, from_numpy, is_host, is_lazy, to_numpy
from .._monitor import Monitor
from .._sources import image_fingerprint

__all__ = ["KnownSteps", "Ran"]


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """A step that has run.

    Parameters
    ----------
    method : str
        Its method.
    settings : mapping
        All that the method was called with, but arrays.
    arrays : mapping of str to array or str
        What it read, by its parameter; of arrays on a device a hash of their voxels.
    labels : array
        What it gave, in host memory, so that none of a device is held.
    monitor : Monitor
        What it noted.
    seconds : float
        What it took.
    """

    method: str
    settings: Mapping[str, Any]
    arrays: Mapping[str, Array | str]
    labels: Array
    monitor: Monitor
    seconds: float


@dataclass(slots=True, eq=False)
class KnownSteps:
    """The steps of the last run of a recipe, all but its last one.

    Parameters
    ----------
    steps : dict of int to Ran
        By number.
    seconds : float
        What those steps took when they ran that the run now need not run again.
    """

    steps: dict[int, Ran] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def keeps_last(self) -> bool:
        """Whether the last step is kept as well, which is the result of the run."""
        return False

    def of(
        self, number: int, method: str, settings: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> tuple[Array, Monitor] | None:
        """Return the labels and notes that a step gave before.

        With the same settings, and arrays that are not equal but the very same ones; on a device, to which every run
        takes its inputs anew, equal ones.
        """
        ran = self.steps.get(number)
        if ran is None or (ran.method, ran.settings) != (method, settings) or ran.arrays.keys() != arrays.keys():
            return None
        if not all(_is_same(ran.arrays[name], array) for name, array in arrays.items()):
            return None
        self.seconds += ran.seconds
        return from_numpy(ran.labels, like=next(iter(arrays.values()))), ran.monitor

    def keep(self, number: int, ran: Ran) -> None:
        """Remember a step, without what it has on a device."""
        arrays = {name: _mark(array) for name, array in ran.arrays.items()}
        labels = ran.labels if is_host(ran.labels) else to_numpy(ran.labels)
        self.steps[number] = replace(ran, arrays=arrays, labels=labels)


def _is_same(mark: Array | str, array: Array) -> bool:
    now = _mark(array)
    return now == mark if isinstance(now, str) and isinstance(mark, str) else now is mark


def _mark(array: Array) -> Array | str:
    """Return by what an array is known again."""
    if is_host(array) or is_lazy(array):
        return array
    return f"{dtype_name(array)} {image_fingerprint(to_numpy(array))}"
