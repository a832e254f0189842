"""Where the inputs of a run come from, read off the layers.  No Qt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .._chain import Made, made
from .._sources import Source, fingerprint
from . import _layers

__all__ = ["parents_of", "source_of", "with_fingerprints"]

Layer = Any
"""A napari layer."""


def source_of(layer: Layer) -> Source:
    """Say where the array of a layer comes from; what was painted is not read here.

    Parameters
    ----------
    layer : napari layer
        An Image or Labels layer.

    Returns
    -------
    Source
        Without a fingerprint. The path is that of the file that napari read the layer from, empty if there is none.
    """
    array = _layers.level_zero(layer)
    path = getattr(layer.source, "path", None)
    return Source(
        layer=layer.name,
        path=os.fspath(path) if path else "",
        shape=tuple(int(n) for n in array.shape),
        dtype=str(np.dtype(array.dtype)),
        multiscale=bool(layer.multiscale),
        in_memory=isinstance(array, np.ndarray),
    )


def with_fingerprints(sources: Mapping[str, Source], painted: Mapping[str, Any]) -> dict[str, Source]:
    """Return sources with the fingerprints of what was painted; it reads whole arrays, so call it in a thread.

    Parameters
    ----------
    sources : mapping of str to Source
        By the names of the inputs.
    painted : mapping of str to integer array
        Those inputs that are labels.

    Returns
    -------
    dict
        The same, with ``sha256``, shape and dtype of those arrays.
    """
    found = dict(sources)
    for name, array in painted.items():
        known = found.get(name, Source())
        kind = str(np.dtype(array.dtype))
        shape = tuple(int(n) for n in array.shape)
        found[name] = replace(known, sha256=fingerprint(array), shape=shape, dtype=kind)
    return found


def parents_of(layers: Mapping[str, Layer | None]) -> dict[str, Made]:
    """Return how those layers were made that a run of ours made.

    Parameters
    ----------
    layers : mapping of str to napari layer or None
        The chosen layer of every array.

    Returns
    -------
    dict
        By the names of the arrays; whether they were edited since shows by their fingerprints.
    """
    found = {}
    for name, layer in layers.items():
        ours = layer.metadata.get("napari_cutout") if layer is not None else None
        if isinstance(ours, Mapping) and (how := made(ours)) is not None:
            found[name] = how
    return found
