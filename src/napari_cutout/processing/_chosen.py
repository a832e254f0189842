"""Which class of a cut holds the objects, and which takes the voxels of those that are removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._array import Array, array_namespace, is_lazy
from .._method import Labels
from .._plan import Pass, gathered

__all__ = ["Choice", "class_one", "highest_class", "lowest_class", "lowest_label"]

Choice = Callable[[Labels], Any]
"""From the classes of all voxels to two numbers: the class of the objects, and the one that takes what is removed.
Where the classes are lazy, it may be a delayed value of both."""


def class_one(_classes: Labels) -> tuple[int, int]:
    """Choose class 1 of a cut in two; what is removed becomes 0."""
    return 1, 0


def highest_class(classes: Labels) -> Any:
    """Choose the brightest class that occurs; what is removed goes to the one below."""
    return _extreme(classes, _HIGHEST, lambda highest: (highest, (highest - 1) % 256))


def lowest_class(_classes: Labels) -> tuple[int, int]:
    """Choose class 1, the darkest; what is removed goes to class 2."""
    return 1, 2


def lowest_label(classes: Labels) -> Any:
    """Choose the smallest label that occurs; what is removed becomes 0."""
    return _extreme(classes, _LOWEST, lambda lowest: (lowest, 0))


def _highest(_: Any, classes: Array) -> int:
    return int(array_namespace(classes).max(classes))


def _lowest(_: Any, classes: Array) -> int:
    xp = array_namespace(classes)
    return int(xp.min(xp.where(classes == 0, xp.full_like(classes, 255), classes)))


_HIGHEST = Pass(_highest, max, lambda _, found: found, lambda _: True, "finding the brightest class")
_LOWEST = Pass(_lowest, min, lambda _, found: found, lambda _: True, "finding the lowest label")


def _extreme(classes: Labels, sweep: Pass, decide: Callable[[int], tuple[int, int]]) -> Any:
    """Decide on a class of the whole, which parts of it may not hold."""
    if is_lazy(classes):
        from ..blockwise import decided

        return decided(decide, None, [sweep], classes)
    return decide(gathered(None, [sweep], classes))
