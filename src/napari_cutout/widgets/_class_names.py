"""What labels are called: one list of names per viewer, shared by all tables and kept in the layers that we made."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QObject, Signal

__all__ = ["ClassNames", "class_names", "names_in", "write_names"]

Layer = Any
"""A napari layer."""

KEY = "class_names"
"""Where names stand in what this plugin keeps in a layer: {"1": "nuclei"}, with text for keys since it becomes JSON."""


def names_in(layer: Layer) -> dict[int, str]:
    """Return the names that a layer brings; what cannot be read as names is left out.

    Parameters
    ----------
    layer : napari layer
        Any layer.

    Returns
    -------
    dict of int to str
        The name of each label that has one.
    """
    ours = layer.metadata.get("napari_cutout")
    given = ours.get(KEY) if isinstance(ours, Mapping) else None
    if not isinstance(given, Mapping):
        return {}
    texts = {str(label): name.strip() for label, name in given.items() if isinstance(name, str)}
    return {int(label): name for label, name in texts.items() if name and label.isdecimal()}


def write_names(layer: Layer, names: Mapping[int, str]) -> None:
    """Keep names in a layer, if it is one of our results.

    Parameters
    ----------
    layer : napari layer
        Any layer; those of the user, temporary ones and those whose labels are no classes stay as they are.
    names : mapping of int to str
        The name of each label that has one.
    """
    ours = layer.metadata.get("napari_cutout")
    if not isinstance(ours, dict) or "recipe" not in ours or ours.get("preview"):
        return
    if names:
        ours[KEY] = {str(label): name for label, name in sorted(names.items())}
    else:
        ours.pop(KEY, None)


class ClassNames(QObject):  # type: ignore[misc]
    """The names of labels in one viewer; get it from `class_names`.

    Parameters
    ----------
    layers : napari layer list
        The layers of the viewer: names are read from those that bring some, and kept in those that we made.

    Attributes
    ----------
    changed
        Emitted when a name has changed.
    """

    changed = Signal()

    def __init__(self, layers: Any) -> None:
        super().__init__()
        self._layers = layers
        self._names: dict[int, str] = {}
        for layer in layers:
            self._adopt(layer)
        layers.events.inserted.connect(self._inserted)

    @property
    def names(self) -> dict[int, str]:
        """The name of every label that has one."""
        return dict(self._names)

    def name_of(self, label: int) -> str:
        """Return the name of a label; empty if it has none."""
        return self._names.get(int(label), "")

    def set(self, label: int, name: str) -> None:
        """Name a label in all tables and layers; an empty name takes it away."""
        name = " ".join(str(name).split())
        if name == self.name_of(label):
            return
        if name:
            self._names[int(label)] = name
        else:
            del self._names[int(label)]
        self._keep()
        self.changed.emit()

    def _inserted(self, event: Any) -> None:
        if self._adopt(event.value):
            self.changed.emit()

    def _adopt(self, layer: Layer) -> bool:
        """Take over names from a layer for labels that have none here; tell whether there were any."""
        new = {label: name for label, name in names_in(layer).items() if label not in self._names}
        self._names |= new
        if new:
            self._keep()
        else:
            write_names(layer, self._names)
        return bool(new)

    def _keep(self) -> None:
        for layer in self._layers:
            write_names(layer, self._names)


_known: dict[int, ClassNames] = {}


def class_names(viewer: Any) -> ClassNames:
    """Return the names of labels in a viewer; every call gives the same object for it.

    Parameters
    ----------
    viewer : napari viewer or ViewerModel
        Or the proxy of one that napari hands to plugins.

    Returns
    -------
    ClassNames
        Its names.
    """
    viewer = getattr(viewer, "__wrapped__", viewer)
    key = id(viewer)
    if key not in _known:
        _known[key] = ClassNames(viewer.layers)
        weakref.finalize(viewer, _known.pop, key, None)
    return _known[key]
