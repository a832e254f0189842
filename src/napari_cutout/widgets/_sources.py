"""Where the layers of a run came from, for its provenance.  No Qt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._array import dtype_name
from .._sources import Source, fingerprint

__all__ = ["as_provenance", "source_of", "sources"]

Layer = Any
"""A napari layer, or anything with a name, data and perhaps a source."""


def sources(layers: Mapping[str, Layer], painted: Mapping[str, Any]) -> dict[str, Source]:
    """Return where the inputs of a run came from.

    Parameters
    ----------
    layers : mapping of str to napari layer
        By the name of the method's array.
    painted : mapping of str to array
        Those of them that users paint, strokes, masks and labels, as they were when Run was pressed.

    Returns
    -------
    dict
        By the same names. The pixels of what is painted are read once; call it off the event loop.
    """
    return {name: source_of(layer, painted.get(name)) for name, layer in layers.items()}


def source_of(layer: Layer, painted: Any = None) -> Source:
    """Return where a layer came from.

    Parameters
    ----------
    layer : napari layer
        An Image or Labels layer.
    painted : array, optional
        Its pixels as they were when Run was pressed, if it is one that users paint.

    Returns
    -------
    Source
        With the fingerprint of `painted`.
    """
    multiscale = bool(getattr(layer, "multiscale", False))
    array = layer.data[0] if multiscale else layer.data
    return Source(
        layer=str(layer.name),
        path=_path(layer),
        shape=tuple(int(n) for n in array.shape),
        dtype=dtype_name(array),
        sha256="" if painted is None else fingerprint(painted),
        multiscale=multiscale,
        in_memory=isinstance(array, np.ndarray),
    )


def _path(layer: Layer) -> str:
    """Return the file of a layer, with the key of its array if the reader has kept one."""
    path = getattr(getattr(layer, "source", None), "path", None)
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        return ""
    ours = getattr(layer, "metadata", {}).get("napari_cutout", {})
    key = ours.get("key", "") if isinstance(ours, Mapping) else ""
    return f"{os.fspath(path)}:{key}" if key else os.fspath(path)


def as_provenance(found: Mapping[str, Source]) -> dict[str, dict[str, Any]]:
    """Return sources as the entry ``sources`` of a provenance."""
    return {name: source.as_dict() for name, source in found.items()}


def inherited(layers: Mapping[str, Layer | None]) -> dict[str, Any]:
    """Return what was painted for these layers, by fingerprint."""
    return {key: array for layer in layers.values() if layer in PAINTED for key, array in PAINTED[layer].items()}
