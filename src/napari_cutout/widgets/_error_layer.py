"""The layer of errors: added in fixed colours, and updated as long as nobody has edited it.  No Qt here."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..evaluation._error_kinds import ERROR_KINDS, ErrorKind
from . import _layers
from ._scores import colours, meanings

__all__ = ["show_errors"]

Layer = Any
"""A napari layer."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What was given to a layer of errors.

    Parameters
    ----------
    name : str
        What the layer was to be called.
    data : array
        The errors.
    checksum : int
        Of the errors, so that painting into them is noticed.
    """

    name: str
    data: Any
    checksum: int


_GIVEN: WeakKeyDictionary[Layer, _Given] = WeakKeyDictionary()


def show_errors(
    viewer: Any, errors: Any, name: str, place: dict[str, Any], kinds: Collection[ErrorKind] = ERROR_KINDS
) -> Layer:
    """Update the layer of errors of this name, or add one where there is none that is still as we made it.

    Parameters
    ----------
    viewer : napari viewer
        Where to show it.
    errors : uint8 array
        As `error_map` or `object_errors` gives them.
    name : str
        What to call the layer.
    place : dict
        Where it lies, as `_layers.placement` gives it.
    kinds : collection of ErrorKind
        What its labels mean, and their colours.

    Returns
    -------
    napari Labels layer
        The layer that shows them.
    """
    from napari.utils import DirectLabelColormap

    given = _Given(name, errors, _checksum(errors))
    for layer in viewer.layers:
        if _is_ours(layer, given, place):
            layer.data = errors
            _GIVEN[_raw(layer)] = given
            return layer
    metadata = {"napari_cutout": {"meaning": {str(label): word for label, word in meanings(kinds).items()}}}
    colormap = DirectLabelColormap(color_dict=colours(kinds))
    layer = viewer.add_labels(errors, name=name, colormap=colormap, metadata=metadata, **place)
    _GIVEN[_raw(layer)] = given
    return layer


def _is_ours(layer: Layer, wanted: _Given, place: dict[str, Any]) -> bool:
    """Tell whether we made this layer for the same labels, and it is still what and where we put it."""
    given = _GIVEN.get(_raw(layer))
    if given is None or given.name != wanted.name or layer.data is not given.data:
        return False
    if layer.data.shape != wanted.data.shape or _checksum(layer.data) != given.checksum:
        return False
    now = _layers.placement(layer)
    return all(np.array_equal(now[key], value) for key, value in place.items())


def _checksum(errors: Any) -> int:
    """Return a number that changes with the errors; nobody can paint into those that are not in memory."""
    return zlib.crc32(np.ascontiguousarray(errors).data) if isinstance(errors, np.ndarray) else 0


def _raw(layer: Layer) -> Layer:
    """Return the layer itself where napari hands out a proxy of it."""
    return getattr(layer, "__wrapped__", layer)
