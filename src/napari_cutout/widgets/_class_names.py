"""What the user calls the classes: one set of names for each viewer, which all tables and plots share."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import QObject, Signal

__all__ = ["ClassNames", "class_names"]


class ClassNames(QObject):  # type: ignore[misc]
    """Names of classes by their labels.

    Attributes
    ----------
    changed
        Emitted after a class was given another name.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[int, str] = {}

    def name_of(self, label: int) -> str:
        """Return the name of a class; empty if it has none."""
        return self._names.get(int(label), "")

    def set(self, label: int, name: str) -> None:
        """Give a class a name, or take it away with an empty one."""
        if name != self.name_of(label):
            self._names[int(label)] = name
            self.changed.emit()


_ALL: WeakKeyDictionary[Any, ClassNames] = WeakKeyDictionary()


def class_names(viewer: Any) -> ClassNames:
    """Return the names of a viewer, which live as long as the viewer."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _ALL:
        _ALL[viewer] = ClassNames()
    return _ALL[viewer]
