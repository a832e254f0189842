"""Labels in the making: written block by block, gone on with, and put in place when they are complete."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._blocks import shrink, stored
from ._checked import CheckedArray, Region, create_array
from ._commit import commit, discarded
from ._layout import Layout, Version
from ._place import Place
from ._site import Site

__all__ = ["LabelsTarget"]

_MOST_VOXELS = 2**22
"""About how many voxels a region has that is shrunk at a time; a file is not divided."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelsTarget:
    """Labels that are being written to a store.

    Local ones are made in the folder of the run, beside their place, and renamed when they are complete. An object
    store cannot rename: there the arrays are written where they will stay, and the metadata of the group, which make
    labels of them, last. What was there before stays as it is until then.

    It can be pickled, so that workers write blocks.

    Parameters
    ----------
    site : Site
        Where they go, and what is there.
    layout : Layout
        Their grid, pyramid and chunks.
    levels : tuple of CheckedArray
        The arrays, the finest first; they can be read while blocks are written.
    """

    site: Site
    layout: Layout
    levels: tuple[CheckedArray, ...]

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str] | Place,
        layout: Layout,
        dtype: Any,
        *,
        work: str | os.PathLike[str],
        source: str | None = None,
        ngff: Version | None = None,
        storage_options: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> LabelsTarget:
        """Check the place, and make the arrays of all levels.

        Parameters
        ----------
        path : path or Place
            Where the labels go: a store of their own, or ``image.zarr/labels/name`` to add them to an image.
        layout : Layout
            Their grid, pyramid and chunks. Version 0.4 has no shards, so that they are left out.
        dtype : dtype
            Of the labels: booleans, or whole numbers.
        work : path
            The folder of the run, beside `path`. What is in it of labels from a run before is removed. It is not
            used on an object store.
        source : str, optional
            `Image.path` of the image that they lie on.
        ngff : {"0.5", "0.4"}, optional
            The version of OME-Zarr; by default 0.5 for a store of its own, and that of the image for labels in one.
        storage_options : mapping, optional
            What fsspec takes to open an address.
        overwrite : bool
            Replace labels that are there, when the new ones are complete.

        Returns
        -------
        LabelsTarget
            With all voxels 0.

        Raises
        ------
        FileExistsError
            If something is there that may not be replaced.
        ValueError
            If `dtype` is no whole number, or `ngff` is not the version of the image.
        OSError
            If it cannot be written to.
        """
        site = Site.of(path, work, storage_options, source=source, ngff=ngff, overwrite=overwrite)
        layout = _fit(layout, site.version)
        site.clear()
        levels = tuple(
            create_array(
                site.level(index),
                layout.shapes[index],
                _checked_dtype(dtype),
                layout.chunks_of(index),
                shards=layout.shards_of(index),
                zarr_format=2 if site.version == "0.4" else 3,
                axes=layout.axes,
            )
            for index in range(len(layout.shapes))
        )
        return cls(site, layout, levels)

    @classmethod
    def reopen(
        cls,
        path: str | os.PathLike[str] | Place,
        layout: Layout,
        dtype: Any,
        *,
        work: str | os.PathLike[str],
        source: str | None = None,
        ngff: Version | None = None,
        storage_options: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> LabelsTarget:
        """Open what `create` made with the same arguments, to go on with it.

        Parameters
        ----------
        path, layout, dtype, work, source, ngff, storage_options, overwrite
            As they were.

        Returns
        -------
        LabelsTarget
            With the blocks that have been written.

        Raises
        ------
        FileNotFoundError
            If no labels have been begun there.
        ValueError
            If others have.
        OSError
            If they cannot be read.
        """
        site = Site.of(path, work, storage_options, source=source, ngff=ngff, overwrite=overwrite, resumed=True)
        layout = _fit(layout, site.version)
        levels = tuple(CheckedArray(site.level(index), writable=True) for index in range(len(layout.shapes)))
        for index, array in enumerate(levels):
            found = (array.shape, array.dtype, array.chunks, array.shards)
            shards = layout.shards_of(index)
            expected = (layout.shapes[index], _checked_dtype(dtype), layout.chunks_of(index), shards)
            if found != expected:
                raise ValueError(
                    f"the labels begun in {array.place.shown!r} have shape, dtype, chunks and shards {found}, but this "
                    f"run would write {expected}; run it as it was begun, or pass overwrite to begin anew"
                )
        return cls(site, layout, levels)

    @staticmethod
    def check(
        path: str | os.PathLike[str] | Place,
        *,
        work: str | os.PathLike[str],
        source: str | None = None,
        ngff: Version | None = None,
        storage_options: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        resumed: bool = False,
    ) -> Site:
        """Refuse, before anything is computed, a place that cannot be written to or holds what must stay.

        Parameters
        ----------
        path, work, source, ngff, storage_options, overwrite
            As in `create`.
        resumed : bool
            Whether the run goes on with what it began.

        Returns
        -------
        Site
            What is there, and the version of OME-Zarr that will be written.

        Raises
        ------
        FileExistsError
            If something is there that may not be replaced.
        ValueError
            If `ngff` is not the version of the image.
        OSError
            If it cannot be written to.
        """
        site = Site.of(path, work, storage_options, source=source, ngff=ngff, overwrite=overwrite, resumed=resumed)
        site.probe()
        return site

    @property
    def place(self) -> Place:
        """Where the labels go."""
        return self.site.place

    @property
    def version(self) -> Version:
        """The version of OME-Zarr."""
        return self.site.version

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the labels as they are stored."""
        return self.levels[0].dtype

    @property
    def block_shape(self) -> tuple[int, ...]:
        """What blocks that are written start and end at multiples of: the edges of a shard, or of a chunk."""
        return self.layout.block_shape

    def write(self, region: Sequence[slice], labels: Any) -> int:
        """Write a block of the finest level.

        Parameters
        ----------
        region : sequence of slice
            Start and stop along each axis: multiples of `block_shape`, or the end of the axis. So no file is written
            by two, and writing a block again gives the same files.
        labels : array
            Whole numbers of this shape, in host memory.

        Returns
        -------
        int
            How many files (chunks, or shards) are stored for it. None is for zeros, and one that was there is
            removed.

        Raises
        ------
        ValueError
            If the region or the shape does not fit, or a label does not fit the dtype.
        OSError
            If it cannot be written.
        """
        return stored(self.levels[0], region, np.asarray(labels))

    def shrink_regions(self, level: int) -> list[Region]:
        """Return the regions of a level that `shrink` is to be called with.

        Parameters
        ----------
        level : int
            1 or more.

        Returns
        -------
        list of tuple of slice
            Whole chunks, or shards, of a few million voxels each, in scan order.
        """
        shape, edges = self.layout.shapes[level], self.shrink_edges(level)
        starts = (range(0, side, edge) for side, edge in zip(shape, edges, strict=True))
        return [
            tuple(slice(a, min(a + edge, side)) for a, edge, side in zip(start, edges, shape, strict=True))
            for start in itertools.product(*starts)
        ]

    def shrink_edges(self, level: int) -> tuple[int, ...]:
        """Return the edges of the regions of a level that `shrink` is to be called with, but for the last ones."""
        shape, edges = self.layout.shapes[level], list(self.layout.files(level))
        while math.prod(edges) < _MOST_VOXELS and any(e < s for e, s in zip(edges, shape, strict=True)):
            at = max(range(len(edges)), key=lambda axis: shape[axis] / edges[axis])
            edges[at] *= 2
        return tuple(edges)

    def shrink(self, level: int, region: Sequence[slice]) -> int:
        """Fill a region of a level from the level above it, which has to be complete there.

        Parameters
        ----------
        level : int
            1 or more.
        region : sequence of slice
            One of `shrink_regions`, or other whole chunks or shards.

        Returns
        -------
        int
            How many files are stored for it.

        Raises
        ------
        ValueError
            If the region does not fit, or a chunk cannot be decoded.
        OSError
            If it cannot be read or written.

        Notes
        -----
        Each voxel is one of the level above, every n-th, so that labels stay labels: of ceil(n / 2) voxels for a
        factor of 2, and as many as the image has.
        """
        return shrink(self.layout, self.levels, level, region)

    def commit(self, metadata: Mapping[str, Any], *, dtype: str = "", name: str = "") -> str:
        """Put the labels in place.

        Parameters
        ----------
        metadata : mapping
            Recipe and provenance, which `io.read` gives back: plain JSON.
        dtype : str
            Of the labels before they were stored; by default as stored.
        name : str
            What to call them; by default as their place.

        Returns
        -------
        str
            Where they are, without credentials.

        Raises
        ------
        ValueError
            If `metadata` is no JSON. Nothing is changed then.
        OSError
            If it cannot be written. What was there before stays, and this may be called again.

        Notes
        -----
        It may be killed at any point and called again, on what `reopen` gives. Labels in an image are added to the
        list of its labels, and its consolidated metadata, where it has such, are made anew.
        """
        names = self.site.names(len(self.levels))
        attributes = self.layout.attributes(
            self.version,
            names,
            name=name or self.place.name.removesuffix(".zarr").removesuffix(".ome"),
            dtype=dtype or str(self.dtype),
            source=self.site.image_path(),
            metadata=metadata,
        )
        commit(self.site, attributes)
        return self.place.shown

    def discard(self) -> None:
        """Remove what was written, and leave what was there before.

        Raises
        ------
        OSError
            If it cannot be removed.
        """
        discarded(self.site)


def _fit(layout: Layout, version: Version) -> Layout:
    return replace(layout, shards=None) if version == "0.4" else layout


def _checked_dtype(dtype: Any) -> np.dtype[Any]:
    found = np.dtype(dtype)
    if found.kind not in "biu":
        raise ValueError(f"labels must be whole numbers, but are {found}; round them")
    return np.dtype(np.uint8) if found.kind == "b" else found.newbyteorder("=")
