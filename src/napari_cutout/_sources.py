"""Where the inputs of a run came from: which layer, which file, and of what users paint, which pixels."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._array import Array, dtype_name, to_numpy

__all__ = ["Source", "checksum", "fingerprint", "image_fingerprint"]

RUN_VOXELS = 1 << 20
"""Voxels that are brought to one dtype and hashed at a time; part of what a fingerprint is."""

SLAB_VOXELS = 1 << 26
"""At most about so many voxels of an array that is not in memory are read at a time."""

UNSIGNED, SIGNED = ("<u1", "<u2", "<u4", "<u8"), ("<i1", "<i2", "<i4", "<i8")


@dataclass(frozen=True, slots=True)
class Source:
    """Where an input of a run came from.

    Parameters
    ----------
    layer : str
        The name of the layer; empty if it was none.
    path : str
        The file, as `napari_cutout.read` takes it, such as ``"nuclei.tif"`` or ``"set.npz:key"``; empty if there is
        none.
    shape : tuple of int
        The shape of the array, at full resolution.
    dtype : str
        Its dtype, such as ``"uint16"``.
    sha256 : str
        The `fingerprint` of what users paint; empty for images.
    contents : str
        By what the voxels of an image that were run on are known again: their `checksum`, or what dask calls an array
        that is not in memory; empty if that is not known.
    channel : int, optional
        Which channel of the file it is, if it is one of several.
    axes : str
        The axes of the file with the channels, such as ``"czyx"``; empty unless it is one of several.
    multiscale : bool
        True if the layer holds one array per level.
    in_memory : bool
        False for dask and Zarr arrays.
    layers : tuple of str
        The names of the layers, if it is several that are the channels of one image.
    points : tuple of tuple of int
        Of markers that were placed as points: the label of each, and its voxel. They say all that the array held.
    """

    layer: str = ""
    path: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    sha256: str = ""
    contents: str = ""
    channel: int | None = None
    axes: str = ""
    multiscale: bool = False
    in_memory: bool = True
    layers: tuple[str, ...] = ()
    points: tuple[tuple[int, ...], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON, without what is as it would be anyway."""
        nothing = asdict(Source())
        return {name: value for name, value in asdict(self).items() if value != nothing[name]}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Source:
        """Read what `as_dict` returned; entries of a later version are left out."""
        known = {name: entry[name] for name in asdict(Source()) if name in entry}
        points = tuple(tuple(point) for point in known.get("points", ()))
        tuples = {name: tuple(known.get(name, ())) for name in ("shape", "layers")}
        return cls(**{**known, **tuples, "points": points})

    def is_same(self, other: Source) -> bool:
        """Tell whether two inputs held the same voxels, as far as is known of them.

        What users paint is known by its fingerprint, an image by its file, the name of its layer, and its contents.
        """
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        return self._is_at(other) and not self.was_changed(other)

    def was_changed(self, other: Source) -> bool:
        """Tell whether two inputs are one image of one layer, which held other voxels the second time."""
        return self._is_at(other) and bool(self.contents and other.contents) and self.contents != other.contents

    def _is_at(self, other: Source) -> bool:
        named = bool(self.layer or self.path)
        return named and (self.layer, self.path, self.channel, self.shape, self.dtype) == (
            other.layer,
            other.path,
            other.channel,
            other.shape,
            other.dtype,
        )


def fingerprint(array: Array) -> str:
    """Return by what strokes, a mask or labels are known again.

    Parameters
    ----------
    array : integer or boolean array
        Of any shape and library. Dask and Zarr arrays are read part by part.

    Returns
    -------
    str
        64 hexadecimal digits: a SHA-256 of the shape and of the values in C order. The same labels stored with
        another dtype, memory layout or chunks have the same fingerprint.

    Raises
    ------
    TypeError
        If the array is neither of integers nor boolean.

    Notes
    -----
    Memory: a few MB for an array in memory, else about 64 million voxels, or one plane where that is more.
    """
    if np.dtype(dtype_name(array)).kind not in "biu":
        raise TypeError(f"fingerprint takes integers or booleans, got dtype {dtype_name(array)}; convert it first")
    digest = hashlib.sha256(json.dumps([int(n) for n in array.shape]).encode())
    for run in _runs(_slabs(array)):
        narrow = _smallest(run)
        digest.update(narrow.dtype.str.encode())
        digest.update(narrow.data)
    return digest.hexdigest()


def image_fingerprint(array: Array) -> str:
    """Return by what the voxels of an image are known again in a report, safe against a change on purpose.

    Parameters
    ----------
    array : array
        Of any shape, dtype and library. Dask and Zarr arrays are read part by part.

    Returns
    -------
    str
        64 hexadecimal digits: of integers the `fingerprint`, of others a SHA-256 of dtype, shape, and the values in C
        order, little-endian.

    Notes
    -----
    Memory: as for `fingerprint`.
    """
    dtype = np.dtype(dtype_name(array))
    if dtype.kind in "biu":
        return fingerprint(array)
    digest = hashlib.sha256(json.dumps([dtype.name, *(int(n) for n in array.shape)]).encode())
    for slab in _slabs(array):
        digest.update(np.ascontiguousarray(slab, dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def checksum(array: Array) -> str:
    """Return by what the voxels of an image are known again, far faster than a `fingerprint`.

    Parameters
    ----------
    array : array
        Of any shape, dtype and library.

    Returns
    -------
    str
        8 hexadecimal digits: the CRC-32 of the values in C order, as they are stored.

    Notes
    -----
    It guards against mistakes, not against malice: two images share it by chance once in 4 billion times.
    """
    found = 0
    for slab in _slabs(array):
        found = zlib.crc32(np.ascontiguousarray(slab).reshape(-1).view(np.uint8).data, found)
    return f"{found:08x}"


def _slabs(array: Array) -> Iterator[NDArray[Any]]:
    """Yield an array in C order, some planes at a time; whole chunks of them where they have some."""
    if isinstance(array, np.ndarray) and array.flags.c_contiguous:
        yield array
        return
    plane = math.prod(array.shape[1:])
    if len(array.shape) > 1 and plane > SLAB_VOXELS:
        for index in range(array.shape[0]):
            yield from _slabs(array[index])
        return
    step = max(1, SLAB_VOXELS // max(plane, 1))
    chunks = getattr(array, "chunks", None)
    chunk = int(np.ravel(chunks[0])[0]) if chunks else 1
    step = step if step < chunk else step - step % chunk
    for start in range(0, array.shape[0], step):
        yield to_numpy(array[start : start + step])


def _runs(slabs: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield the voxels of slabs in runs of one length, however thick the slabs are."""
    waiting: list[NDArray[Any]] = []
    missing = RUN_VOXELS
    for slab in slabs:
        flat = slab.reshape(-1)
        at = 0
        while at < flat.size:
            waiting.append(flat[at : at + missing])
            at += waiting[-1].size
            missing -= waiting[-1].size
            if not missing:
                yield np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
                waiting, missing = [], RUN_VOXELS
    if waiting:
        yield np.concatenate(waiting)


def _smallest(run: NDArray[Any]) -> NDArray[Any]:
    """Return a run in the smallest dtype that holds it, little-endian."""
    if run.dtype.kind == "b" or run.dtype == np.uint8:
        return np.ascontiguousarray(run).view("<u1")
    low, high = int(run.min()), int(run.max())
    fitting = (d for d in (SIGNED if low < 0 else UNSIGNED) if np.iinfo(d).min <= low and high <= np.iinfo(d).max)
    return run.astype(next(fitting))
