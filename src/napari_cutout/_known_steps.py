"""What the first steps of a recipe gave, kept for runs that differ in what a later step reads alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._array import Array
from ._monitor import Monitor

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
    arrays : mapping of str to array
        What it read, by its parameter.
    labels : array
        What it gave.
    monitor : Monitor
        What it noted.
    seconds : float
        What it took.
    """

    method: str
    settings: Mapping[str, Any]
    arrays: Mapping[str, Array]
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

    def of(self, number: int, method: str, settings: Mapping[str, Any], arrays: Mapping[str, Array]) -> Ran | None:
        """Return what a step gave before: with the same settings, and not equal arrays but the very same ones."""
        ran = self.steps.get(number)
        if ran is None or (ran.method, ran.settings) != (method, settings) or ran.arrays.keys() != arrays.keys():
            return None
        if any(ran.arrays[name] is not array for name, array in arrays.items()):
            return None
        self.seconds += ran.seconds
        return ran
