"""Labels in a store, opened to be changed, and how a box of them lies in each level of their pyramid.  No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._volume import as_json
from ._target import factors as ratios

__all__ = ["Box", "Labels", "lazy_labels", "open_labels", "shrunk", "slices_of"]

Box = tuple[tuple[int, int], ...]
"""First index and the one after the last, along each axis."""

_KEY = "napari_cutout"


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labels of a store, opened.

    Parameters
    ----------
    store : str
        Their folder or address.
    levels : list of array
        Zarr arrays, the finest first.
    factors : list of tuple of int
        Voxels at full resolution from one voxel of a level to the next, along each axis.
    group : zarr.Group
        What holds them.
    """

    store: str
    levels: list[Any]
    factors: list[tuple[int, ...]]
    group: Any = field(repr=False)

    @property
    def ours(self) -> dict[str, Any]:
        """What this program stored with the labels."""
        return dict(self.group.attrs.get(_KEY, {}))

    def change_ours(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Change what this program stored with the labels."""
        self.group.attrs[_KEY] = change(self.ours)


def open_labels(store: str, *, writable: bool = False, storage_options: Mapping[str, Any] | None = None) -> Labels:
    """Open labels.

    Parameters
    ----------
    store : str
        The folder or address of OME-Zarr labels.
    writable : bool
        Whether they are to be changed.
    storage_options : mapping, optional
        How an address is reached.

    Returns
    -------
    Labels
        Nothing is read of their voxels.

    Raises
    ------
    ValueError
        If it holds no labels.
    """
    import zarr

    group = zarr.open_group(store, mode="r+" if writable else "r", storage_options=dict(storage_options or {}) or None)
    about = group.attrs.asdict()
    about = {**about, **about.get("ome", {})}
    if "image-label" not in about or not about.get("multiscales"):
        raise ValueError(f"{store!r} holds no labels; open labels that a run has written")
    levels = [group[level["path"]] for level in about["multiscales"][0]["datasets"]]
    steps = [tuple(max(round(f), 1) for f in ratios(levels[0].shape, level.shape)) for level in levels]
    return Labels(store, levels, steps, group)


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
        With names of their own, so that nothing is shown that was read before the store was changed.
    metadata : dict
        What this program stored with them: ``recipe`` as JSON text, ``provenance``, and ``store``, where they are.
    """
    import dask.array as da

    labels = open_labels(store)
    levels = [da.from_array(level, name=False) for level in labels.levels]
    if spread is not None:
        levels = [da.expand_dims(level, spread) for level in levels]
    metadata = dict(labels.ours.get("metadata", {}))
    if "recipe" not in metadata and "recipe" in metadata.get("provenance", {}):
        metadata["recipe"] = as_json(metadata["provenance"]["recipe"])
    return levels, {**metadata, "store": store}


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
