"""Zarr arrays that never give zeros for what could not be read."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from ._place import Place

__all__ = ["CheckedArray", "Damaged", "Region", "create_array"]

Region = tuple[slice, ...]


class Damaged(ValueError):
    """A file of an array that cannot be decoded; it can be pickled.

    Parameters
    ----------
    message : str
        What is wrong, and the way out.
    address : str
        The array, as it is shown.
    key : str
        The file in it.
    """

    def __init__(self, message: str, *, address: str = "", key: str = "") -> None:
        super().__init__(message)
        self.address = address
        self.key = key


class CheckedArray:
    """A Zarr array whose errors name the chunk, and that counts the chunks that are not there.

    It can be pickled: a worker opens the store again, by its address and options, and reads no metadata for it.
    What fails on an object store is tried again.

    Parameters
    ----------
    place : Place
        Where the array is.
    writable : bool
        Whether it may be written to.
    metadata : object, optional
        What Zarr knows of the array; read where it is not given.

    Raises
    ------
    FileNotFoundError
        If there is no array.
    ValueError
        If its metadata are damaged, or it holds no numbers.

    Notes
    -----
    Chunks are decoded one by one in Zarr's threads, so a region takes its own bytes and those of about ten chunks.
    """

    def __init__(self, place: Place, *, writable: bool = False, metadata: Any = None) -> None:
        from ._guard import Absent, guarded

        self.place = place
        self.writable = writable
        self._store = guarded(place, read_only=not writable)
        self._array = _opened(self._store, place) if metadata is None else _array_of(self._store, metadata)
        self._store.absent = Absent([-(-n // edge) for n, edge in zip(self.shape, self.files, strict=True)])
        self._store.blosc = _last_codec(self._array.metadata) == "blosc"
        self._token = uuid.uuid4().hex
        if self._array.dtype.kind not in "biufc":
            raise ValueError(f"{place.shown!r} holds {self._array.dtype}, but an image holds numbers")

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(map(int, self._array.shape))

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many voxels it has."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def dtype(self) -> np.dtype[Any]:
        """What is read, in native byte order."""
        dtype: np.dtype[Any] = np.dtype(self._array.dtype).newbyteorder("=")
        return dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels."""
        return self.size * self.dtype.itemsize

    @property
    def chunks(self) -> tuple[int, ...]:
        """Edges of a chunk."""
        return tuple(map(int, self._array.chunks))

    @property
    def shards(self) -> tuple[int, ...] | None:
        """Edges of a shard, which is one file of several chunks; None where each chunk is a file."""
        return None if self._array.shards is None else tuple(map(int, self._array.shards))

    @property
    def files(self) -> tuple[int, ...]:
        """Edges of what one file holds: of a shard, or of a chunk."""
        return self.shards or self.chunks

    @property
    def array(self) -> Any:
        """The Zarr array."""
        return self._array

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, region: Any) -> Any:
        known = self._store.absent.n
        try:
            found = self._array[region]
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise self._damage(region, error) from error
        if self._store.absent.n > known:
            self._still_there()
        return np.asarray(found, dtype=self.dtype)

    def __setitem__(self, region: Any, values: Any) -> None:
        self._array[region] = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.asarray(self[...], dtype=dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.place, self.writable, self._array.metadata)

    def __repr__(self) -> str:
        return f"CheckedArray({self.place.shown!r}, shape={self.shape}, dtype={self.dtype}, chunks={self.chunks})"

    def __dask_tokenize__(self) -> tuple[str, str]:
        return self.place.shown, self._token

    @property
    def n_absent(self) -> int:
        """How many chunks, or shards, that were read are not there: the fill value stands in for them."""
        return self._store.absent.n

    def absent(self, region: Sequence[slice]) -> int:
        """Count absent chunks, or shards, whose first voxel lies in a region that has been read.

        Parameters
        ----------
        region : sequence of slice
            Start and stop along each axis. Regions that tile the array count each chunk once.

        Returns
        -------
        int
            How many are not there.
        """
        parts = zip(region, self.files, strict=True)
        return self._store.absent.count([slice(-(-part.start // edge), -(-part.stop // edge)) for part, edge in parts])

    def _key(self, index: Sequence[int]) -> str:
        return str(self._array.metadata.encode_chunk_key(tuple(index)))

    def _still_there(self) -> None:
        """Tell an absent chunk from a store that has gone, as an unmounted disk has."""
        if not any(self._store.has(marker) for marker in ("zarr.json", ".zarray")):
            raise FileNotFoundError(
                f"{self.place.shown!r} has gone while it was read; mount or connect it again, and run it again"
            )

    def _damage(self, region: Any, error: Exception) -> Exception:
        """Return what was raised while a region was read, with the name of the first chunk that raises it too."""
        if isinstance(error, IndexError | TypeError):
            return error
        for index, chunk in self._chunks_of(region):
            try:
                self._array[chunk]
            except Exception as cause:
                reason = self.place.hide(str(cause) or type(cause).__name__)
                key = self._key_of_chunk(index)
                return Damaged(
                    f"cannot decode chunk {index} ({key!r}) of {self.place.shown!r}: {reason}; "
                    "copy it again, or remove the file to read the fill value there",
                    address=self.place.shown,
                    key=key,
                )
        return error

    def _chunks_of(self, region: Any) -> Iterator[tuple[tuple[int, ...], Region]]:
        """Give the index and the region of every chunk that a selection may touch."""
        parts = region if isinstance(region, tuple) else (region,)
        plain = len(parts) == self.ndim and all(isinstance(part, slice) for part in parts)
        spans = [part.indices(n)[:2] if plain else (0, n) for part, n in zip(parts, self.shape, strict=plain)]
        spans += [(0, n) for n in self.shape[len(spans) :]]
        ranges = [range(a // edge, -(-b // edge)) for (a, b), edge in zip(spans, self.chunks, strict=True)]
        for index in itertools.product(*ranges):
            yield index, tuple(slice(i * edge, (i + 1) * edge) for i, edge in zip(index, self.chunks, strict=True))

    def _key_of_chunk(self, index: Sequence[int]) -> str:
        inner = [file // chunk for file, chunk in zip(self.files, self.chunks, strict=True)]
        return self._key([at // n for at, n in zip(index, inner, strict=True)])


def _again(place: Place, writable: bool, metadata: Any) -> CheckedArray:
    return CheckedArray(place, writable=writable, metadata=metadata)


def _array_of(store: Any, metadata: Any) -> Any:
    """Return a Zarr array of which all is known, so that nothing is read."""
    import zarr
    from zarr.storage import StorePath

    return zarr.Array(zarr.AsyncArray(metadata=metadata, store_path=StorePath(store), config=_CONFIG))


def _last_codec(metadata: Any) -> str:
    """Return the name of what made the bytes of a file, as they are; empty where files hold more than one chunk."""
    if metadata.zarr_format == 2:
        return str(getattr(metadata.compressor, "codec_id", ""))
    return str(metadata.codecs[-1].to_dict()["name"])


_CONFIG: Any = {"write_empty_chunks": False}


def _opened(store: Any, place: Place) -> Any:
    import zarr

    try:
        array = zarr.open_array(store=store, mode="r" if store.read_only else "r+")
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no Zarr array {place.shown!r}") from None
    except OSError:
        raise
    except Exception as error:  # zarr lets through whatever damaged JSON makes its parsers raise
        raise ValueError(
            f"the metadata of {place.shown!r} are damaged ({place.hide(str(error)) or type(error).__name__}); "
            "copy the store again"
        ) from error
    return _array_of(store, array.metadata)


def create_array(
    place: Place,
    shape: Sequence[int],
    dtype: Any,
    chunks: Sequence[int],
    *,
    shards: Sequence[int] | None = None,
    zarr_format: Literal[2, 3] = 3,
    axes: str = "",
    compressed: bool = True,
    replaces: bool = True,
) -> CheckedArray:
    """Make an array of zeros, in the place of what is there.

    Parameters
    ----------
    place : Place
        A folder or an address; the folders above are made, and are no groups.
    shape : sequence of int
        Voxels along each axis.
    dtype : dtype
        Numbers.
    chunks : sequence of int
        Edges of a chunk.
    shards : sequence of int, optional
        Edges of a shard, multiples of those of a chunk. Zarr 3 only.
    zarr_format : {3, 2}
        The version of Zarr.
    axes : str
        A letter per axis, which Zarr 3 stores.
    compressed : bool
        False stores numbers that would hardly be smaller as they are, which is faster.
    replaces : bool
        False leaves what is there alone, so that several processes may make the same array at one time.

    Returns
    -------
    CheckedArray
        To be written to, in any number of threads and processes, where no two of them write to one file.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        If there is an array, and nothing is to be replaced.
    """
    import zarr

    from ._guard import guarded

    store = guarded(place, read_only=False)
    if replaces:
        store.remove(prefix="")
    more: dict[str, Any] = {"dimension_names": list(axes)} if zarr_format == 3 and axes else {}
    more["compressors"] = _compressor(zarr_format) if compressed else None
    if zarr_format == 2:
        more["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
    array = zarr.create_array(
        store=store,
        shape=tuple(shape),
        dtype=np.dtype(dtype).newbyteorder("="),
        chunks=tuple(chunks),
        shards=None if shards is None else tuple(shards),
        zarr_format=zarr_format,
        fill_value=0,
        config=_CONFIG,
        **more,
    )
    return CheckedArray(place, writable=True, metadata=array.metadata)


def _compressor(zarr_format: int) -> Any:
    """Return what makes labels smallest: 2 to 3 times smaller, and faster, than what Zarr takes by itself."""
    if zarr_format == 3:
        from zarr.codecs import BloscCodec

        return BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
    from numcodecs import Blosc

    return Blosc(cname="zstd", clevel=3, shuffle=Blosc.BITSHUFFLE)
