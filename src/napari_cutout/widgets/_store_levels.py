"""Labels in a store as a viewer shows them, and how a box of them lies in each level of their pyramid.  No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import stores
from .._volume import as_json
from ..stores._metadata import KEY

__all__ = [
    "Box",
    "change_metadata",
    "lazy_labels",
    "opened",
    "read_box",
    "recipe_and_provenance",
    "shrunk",
    "slices_of",
]

Box = tuple[tuple[int, int], ...]
"""First index and the one after the last, along each axis."""


def opened(store: str) -> stores.Image:
    """Open labels, with the options that the environment holds for object stores.

    Parameters
    ----------
    store : str
        Their folder or address.

    Returns
    -------
    Image
        Nothing is read of their voxels.

    Raises
    ------
    ValueError
        If it holds no labels, or they cannot be edited as they are stored.
    OSError
        If it cannot be read.
    """
    image = stores.open_image(store, storage_options=stores.parse_storage_options())
    if "image-label" not in image.attributes:
        raise ValueError(f"{image.path!r} holds no labels; open labels that a run has written")
    if image.levels[0].grid.axes != image.levels[0].grid.wanted:
        raise ValueError(f"{image.path!r} has its axes in another order, {image.axes!r}; write it anew to edit it")
    return image


def lazy_labels(store: str, spread: int | None = None) -> tuple[list[Any], dict[str, Any]]:
    """Return labels of a store as a viewer takes them.

    Parameters
    ----------
    store : str
        Their folder or address.
    spread : int, optional
        Where the viewer sees one more axis, of length 1.

    Returns
    -------
    levels : list of dask array
        Opened anew, so that nothing is shown that was read before the store was changed.
    metadata : dict
        What this program stored with them: ``recipe`` as JSON text, ``provenance``, and ``store``, where they are.
    """
    import dask.array as da

    image = opened(store)
    levels = [image.volume(number).data for number in range(len(image.levels))]
    if spread is not None:
        levels = [da.expand_dims(level, spread) for level in levels]
    return levels, {**recipe_and_provenance(image.metadata), "store": store}


def recipe_and_provenance(metadata: Any) -> dict[str, Any]:
    """Return what this program stored with labels, with the recipe where layers keep it."""
    found = dict(metadata)
    if "recipe" not in found and "recipe" in found.get("provenance", {}):
        found["recipe"] = as_json(found["provenance"]["recipe"])  # a run into a file keeps it there only
    return found


def read_box(image: stores.Image, box: Box) -> NDArray[Any]:
    """Return a box of labels at full resolution, as an array of its own."""
    return np.array(image.levels[0].array[slices_of(box)])


def change_metadata(store: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change what this program stored with labels: their recipe and provenance.

    Parameters
    ----------
    store : str
        Their folder or address.
    change : callable
        Takes what is there, returns what is to be there.
    """
    import zarr

    from ..stores._guard import guarded

    place = stores.Place.of(store, stores.parse_storage_options())
    group = zarr.open_group(store=guarded(place, read_only=False), mode="r+", use_consolidated=False)
    known: dict[str, Any] = dict(group.attrs.asdict())
    ours = known.get(KEY) or {}
    group.attrs[KEY] = {**ours, "metadata": change(dict(ours.get("metadata") or {}))}


def shrunk(box: Box, factor: Sequence[int], shape: Sequence[int]) -> tuple[Box, tuple[slice, ...]]:
    """Return which part of a level takes its labels from a box at full resolution, and which voxels of the box.

    Parameters
    ----------
    box : tuple of (int, int)
        At full resolution.
    factor : sequence of int
        Voxels at full resolution from one voxel of the level to the next.
    shape : sequence of int
        The shape of the level.

    Returns
    -------
    part : tuple of (int, int)
        Where in the level; empty along an axis where the box lies between two of its voxels.
    picked : tuple of slice
        Every n-th voxel of the box: a level holds the first of those that one of its voxels spans.

    Examples
    --------
    >>> shrunk(((3, 9),), (4,), (10,))
    (((1, 3),), (slice(1, 9, 4),))
    """
    part, picked = [], []
    for (start, stop), step, n in zip(box, factor, shape, strict=True):
        first, end = -(-start // step), min(-(-stop // step), n)
        part.append((first, end))
        picked.append(slice(first * step - start, max(end * step - start, 0), step))
    return tuple(part), tuple(picked)


def slices_of(box: Box) -> tuple[slice, ...]:
    """Return a box as an index."""
    return tuple(slice(start, stop) for start, stop in box)
