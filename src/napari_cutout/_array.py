"""Which array library is this?  The only module that knows NumPy from CuPy."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from os import PathLike, fspath
from types import ModuleType
from typing import Any

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

Array = Any
"""An array of any supported library: NumPy, CuPy, dask or an array-API namespace."""


def array_namespace(*arrays: Array) -> ModuleType:
    """Return the array-API namespace that all `arrays` share; None is skipped.

    Raises
    ------
    TypeError
        If the arrays come from different libraries, or from none that is known.
    """
    given = [a for a in arrays if a is not None]
    if not given:
        raise TypeError("an array was expected, got None; pass a NumPy, CuPy or dask array")
    libraries = list(dict.fromkeys(library(a) for a in given))
    try:
        if len(libraries) == 1:
            namespace: ModuleType = compat.array_namespace(*given)
            return namespace
    except TypeError:
        pass  # what is none is named below
    for array in given:
        if not compat.is_array_api_obj(array):
            raise TypeError(_no_array(array))
    raise TypeError(f"all arrays must come from one library, got {' and '.join(libraries)}; {_one_library(libraries)}")


def _no_array(given: Any) -> str:
    """Say that something is no array, and how to make one of it."""
    if isinstance(given, str | PathLike):
        name = str(fspath(given))
        return f"an array was expected, got {name!r}; read the file first: napari_cutout.read({name!r}).data"
    name = f"{library(given)} {type(given).__name__}"
    if hasattr(given, "chunks") and hasattr(given, "shape"):  # it is kept in a file
        lazy = "from_zarr" if library(given) == "zarr" else "from_array"
        return f"an array was expected, got a {name}; read it with numpy.asarray, or pass it to dask.array.{lazy}"
    held = next((name for name in ("labels", "data") if hasattr(getattr(given, name, None), "shape")), None)
    if held is not None:  # a Volume, a Result or a layer of napari
        return f"an array was expected, got a {type(given).__name__}; pass its .{held}"
    return f"an array was expected, got {type(given).__name__}; pass a NumPy, CuPy or dask array"


def _one_library(libraries: Sequence[str]) -> str:
    """Say how to bring arrays of several libraries into one."""
    if "dask" in libraries:
        return "wrap the others with dask.array.from_array, or call .compute() on those of dask"
    if set(libraries) == {"numpy", "cupy"}:
        return "move them first with cupy.asnumpy or cupy.asarray"
    return "move them first, for example with numpy.asarray"


def library(array: Array) -> str:
    """Return the name of the library that made `array`: ``"numpy"``, ``"cupy"``, ``"dask"``..."""
    return type(array).__module__.partition(".")[0]


def is_host(array: Array) -> bool:
    """Tell whether `array` is a NumPy array."""
    return isinstance(array, np.ndarray)


def is_lazy(array: Array) -> bool:
    """Tell whether `array` is a dask array."""
    return bool(compat.is_dask_array(array))


NDIMAGE = {"cupy": "cupyx.scipy.ndimage"}
"""The twin of ``scipy.ndimage`` for each library that has one."""


def ndimage(array: Array) -> ModuleType:
    """Return ``scipy.ndimage``, or the twin of it that belongs to the library of `array`."""
    return import_module(NDIMAGE.get(library(array), "scipy.ndimage"))


def to_numpy(array: Array) -> NDArray[Any]:
    """Copy `array` to host memory.  The only place where data leave the device."""
    if compat.is_cupy_array(array):
        return np.asarray(array.get())
    if is_lazy(array):
        return np.asarray(array.compute())
    if library(array) == "array_api_strict":  # its second device refuses a move that is not said aloud
        return np.asarray(array.to_device(array_namespace(array).Device("CPU_DEVICE")))
    return np.asarray(array)


def from_numpy(host: NDArray[Any], like: Array) -> Array:
    """Copy a host array to the library and device of `like`."""
    if is_host(like) or is_lazy(like):
        return host
    xp = array_namespace(like)
    return xp.asarray(host, device=compat.device(like))


def bincount(array: Array, length: int) -> NDArray[np.int64]:
    """Count the integers 0 to ``length - 1`` in `array` where it lives; return host counts.

    Memory: the index array that is passed in, plus 8 bytes a bin. Exact, any order of threads.
    """
    xp = array_namespace(array)
    flat = xp.reshape(array, (-1,))
    if hasattr(xp, "bincount"):
        return to_numpy(xp.bincount(flat, minlength=length)).astype(np.int64, copy=False)
    values, counts = xp.unique_counts(flat)
    out = np.zeros(length, np.int64)
    out[to_numpy(values)] = to_numpy(counts)
    return out


def empty(shape: tuple[int, ...], dtype: str, like: Array) -> Array:
    """Return an uninitialised array in the library and on the device of `like`."""
    xp = array_namespace(like)
    return xp.empty(shape, dtype=getattr(xp, dtype), device=compat.device(like))


def contiguous(array: Array) -> Array:
    """Return `array` in C order, which kernels and compiled loops walk through; a copy only where it is not."""
    if is_host(array):
        return np.ascontiguousarray(array)
    if compat.is_cupy_array(array) and array.flags.c_contiguous:
        return array
    ordered = empty(array.shape, dtype_name(array), like=array)
    ordered[...] = array
    return ordered


def dtype_name(array: Array) -> str:
    """Return the dtype of `array` as NumPy spells it, such as ``"uint16"``."""
    return getattr(array.dtype, "name", None) or str(array.dtype).rpartition(".")[2]
