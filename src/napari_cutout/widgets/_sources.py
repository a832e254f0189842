"""Where the layers of a run came from, for its provenance.  No Qt."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from .._array import dtype_name, is_lazy
from .._chain import Made, made
from .._selection import Selection
from .._sources import Source, checksum, fingerprint
from ._channels import Channels
from ._layers import ours

__all__ = [
    "PAINTED",
    "as_provenance",
    "holds_its_file",
    "inherited",
    "parents_of",
    "source_of",
    "source_of_channels",
    "watch",
    "with_contents",
    "with_fingerprints",
]

Layer = Any
"""A napari layer, or anything with a name, data and perhaps a source."""

PAINTED: WeakKeyDictionary[Layer, dict[str, Any]] = WeakKeyDictionary()
"""What was painted for the labels of a layer and of those that it was made from, by fingerprint, so that it can be
saved beside the recipe even after the strokes have changed."""

_WATCHED: WeakSet[Layer] = WeakSet()
_REPLACED: WeakKeyDictionary[Layer, str] = WeakKeyDictionary()
"""The files that layers came from, and whose voxels they no longer hold."""


def watch(layer: Layer) -> None:
    """Notice from now on when a layer gets other data, so that its file is no longer taken for where it came from.

    Parameters
    ----------
    layer : napari layer
        Watching it twice is watching it once. An image that is edited in place tells nobody.
    """
    layer = getattr(layer, "__wrapped__", layer)  # plugins may get layers behind a proxy
    if hasattr(layer, "events") and layer not in _WATCHED:
        _WATCHED.add(layer)
        layer.events.data.connect(_replaced)


def _replaced(event: Any) -> None:
    _REPLACED[event.source] = _path(event.source) or _REPLACED.get(event.source, "")


def holds_its_file(layer: Layer) -> None:
    """Take note that the data of a layer were replaced by those of its file."""
    _REPLACED.pop(getattr(layer, "__wrapped__", layer), None)


def _holds_its_file(layer: Layer, path: str) -> bool:
    """Tell whether a layer holds what is in its file, as far as it was watched; it may have been saved since."""
    layer = getattr(layer, "__wrapped__", layer)
    return not hasattr(layer, "events") or _REPLACED.get(layer, "") != path


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
    watch(layer)
    path = _path(layer)
    path = path if not path or _holds_its_file(layer, path) else ""
    channel, axes = _channel(layer) if path else (None, "")
    multiscale = bool(getattr(layer, "multiscale", False))
    array = layer.data[0] if multiscale else layer.data
    return Source(
        layer=str(layer.name),
        path=path,
        shape=tuple(int(n) for n in array.shape),
        dtype=dtype_name(array),
        sha256="" if painted is None else fingerprint(painted),
        channel=channel,
        axes=axes,
        multiscale=multiscale,
        in_memory=isinstance(array, np.ndarray),
    )


def source_of_channels(layers: Sequence[Layer]) -> Source:
    """Return where several layers came from that are the channels of one image.

    Parameters
    ----------
    layers : sequence of napari Image layer
        The channels in their order.

    Returns
    -------
    Source
        With the file if they are all channels of it, in its order.
    """
    found = [source_of(layer) for layer in layers]
    paths, numbers = {one.path for one in found}, [one.channel for one in found]
    complete = len(paths) == 1 and numbers == list(range(ours(layers[0]).get("n_channels", -1)))
    return replace(
        found[0],
        layer=", ".join(one.layer for one in found),
        path=found[0].path if complete else "",
        shape=(len(found), *found[0].shape),
        dtype=str(np.result_type(*(one.dtype for one in found))),
        channel=None,
        axes="",
        in_memory=all(one.in_memory for one in found),
        layers=tuple(one.layer for one in found),
    )


def _path(layer: Layer) -> str:
    """Return the file of a layer, with the key of its array if the reader has kept one."""
    path = getattr(getattr(layer, "source", None), "path", None)
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        return ""
    key = ours(layer).get("key", "")
    return f"{os.fspath(path)}:{key}" if key else os.fspath(path)


def _channel(layer: Layer) -> tuple[int | None, str]:
    """Return which channel of its file a layer is, and the axes of the file, as our reader has kept them."""
    number, axes = ours(layer).get("channel"), ours(layer).get("axes")
    if isinstance(number, int) and isinstance(axes, str) and "c" in axes:
        return number, axes
    return None, ""


def as_provenance(found: Mapping[str, Source]) -> dict[str, dict[str, Any]]:
    """Return sources as the entry ``sources`` of a provenance."""
    return {name: source.as_dict() for name, source in found.items()}


def with_fingerprints(sources: Mapping[str, Source], painted: Mapping[str, Any]) -> dict[str, Source]:
    """Return sources with the fingerprints of what was painted; it reads whole arrays, so call it in a thread.

    Parameters
    ----------
    sources : mapping of str to Source
        By the names of the inputs.
    painted : mapping of str to integer array
        Those inputs that are labels, as they were when Run was pressed.

    Returns
    -------
    dict
        The same, with ``sha256``, shape and dtype of those arrays.
    """
    found = dict(sources)
    for name, array in painted.items():
        known, shape = found.get(name, Source()), tuple(int(n) for n in array.shape)
        found[name] = replace(known, sha256=fingerprint(array), shape=shape, dtype=dtype_name(array))
    return found


def with_contents(
    sources: Mapping[str, Source], name: str, image: Any, selection: Selection | None
) -> dict[str, Source]:
    """Return sources with what an image held; it reads what is run on, so call it in a thread.

    Parameters
    ----------
    sources : mapping of str to Source
        By the names of the inputs.
    name : str
        Which of them is the image.
    image : array
        As the layer holds it.
    selection : Selection or None
        What of it is run on.

    Returns
    -------
    dict
        The same, with the ``contents`` of the image if it is in memory or of dask.
    """
    known = sources.get(name, Source())
    if isinstance(image, np.ndarray | Channels):
        known = replace(known, contents=checksum(image if selection is None else selection.covered(image)))
    elif is_lazy(image):
        known = replace(known, contents=str(getattr(image, "name", "")))
    return {**sources, name: known}


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
        if layer is not None and (how := made(ours(layer))) is not None:
            found[name] = how
    return found


def inherited(layers: Mapping[str, Layer | None]) -> dict[str, Any]:
    """Return what was painted for these layers, by fingerprint."""
    held = [layer for layer in layers.values() if layer is not None and layer in PAINTED]
    return {key: array for layer in held for key, array in PAINTED[layer].items()}
