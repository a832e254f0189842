"""CUDA kernels of this project, and the one place that compiles and launches them.

A kernel is a ``.cu`` file of this folder; what several share stands in ``portable.cuh``. The launch code of a
method is one private function per file: it allocates, calls `load` once, and `launch` for every kernel.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import array_api_compat as compat
import numpy as np

from .._array import Array, library
from .._compiling import compiling

FOLDER = Path(__file__).parent

FLAGS = ("--std=c++17", "--fmad=false")
"""What every file is compiled with: sums of products are rounded as the host rounds them.

CuPy adds ``-ftz=true`` to its own kernels and to these: float32 nearer to 0 than 1.2e-38 counts as 0 on a GPU.
"""

THREADS = 256
"""Threads of a block."""

MAX_NARROW = 2**31 - 1
"""Voxels that kernels count in 32 bits; more are counted in 64."""


class Module(Protocol):
    """A compiled ``.cu`` file, in the shape of ``cupy.RawModule``."""

    def get_function(self, name: str) -> Callable[[tuple[int, ...], tuple[int, ...], tuple[Any, ...]], None]:
        """Return the kernel `name`, to be called with grid, block and arguments."""


class Index(NamedTuple):
    """The integer that names a voxel: in CUDA C, as a dtype, and as a scalar for `launch`."""

    define: str
    dtype: str
    scalar: type[np.int32] | type[np.int64]


def index_of(n: int) -> Index:
    """Return the narrowest integer that names each of `n` voxels."""
    return Index("int", "int32", np.int32) if n <= MAX_NARROW else Index("long long", "int64", np.int64)


def load(name: str, like: Array, **defines: str | int) -> Module:
    """Return the compiled kernels of one file, for the library and device of an array.

    Parameters
    ----------
    name : str
        File of this folder, without ``.cu``.
    like : array
        Any array on the device that is to run the kernels.
    **defines : str or int
        What the file's header lists, such as ``INDEX="long long"``; each has a default in the file.

    Returns
    -------
    Module
        Compiled once per file, defines and device.

    Raises
    ------
    TypeError
        If the library of `like` cannot run CUDA kernels.
    """
    return _loaded(library(like), name, tuple(sorted(defines.items())), str(compat.device(like)))


def launch(module: Module, kernel: str, n: int, *arguments: Any) -> None:
    """Run a kernel with one thread for each of `n` items.

    Parameters
    ----------
    module : Module
        What `load` returned.
    kernel : str
        The kernel's name.
    n : int
        Number of items; nothing is launched for 0. The kernel is told the number among its arguments, because
        the last block may be longer.
    *arguments : array, NumPy scalar or None
        In the kernel's order. Scalars have the kernel's width, ``np.int32(3)`` for an int; None is a null pointer.

    Raises
    ------
    TypeError
        If an argument is a Python number, whose width CUDA could not check.
    """
    plain = [a for a in arguments if isinstance(a, int | float) and not isinstance(a, np.generic)]
    if plain:
        raise TypeError(f"{kernel} got the Python number {plain[0]!r}; say its width, as in np.int32({plain[0]!r})")
    if n > 0:
        passed = tuple(np.uintp(0) if a is None else a for a in arguments)
        module.get_function(kernel)((-(-n // THREADS),), (THREADS,), passed)


@cache
def _loaded(library_name: str, name: str, defines: tuple[tuple[str, str | int], ...], device: str) -> Module:
    if library_name not in LOADERS:
        raise TypeError(
            f"the kernels of {name}.cu run on {' or '.join(LOADERS)} arrays, got one of {library_name} on {device}; "
            "move it to the GPU first, for example with cupy.asarray"
        )
    options = tuple(f"-D{key}={value}" for key, value in defines)
    return LOADERS[library_name](FOLDER / f"{name}.cu", (f"-I{FOLDER}", *options))


def _with_cupy(source: Path, options: tuple[str, ...]) -> Module:
    """Compile with NVRTC.  CuPy's disk cache does not read included files, so their checksum is an option."""
    import cupy

    headers = zlib.crc32(b"".join(path.read_bytes() for path in sorted(FOLDER.glob("*.cuh"))))
    flags = (*FLAGS, f"-DHEADERS={headers}", *options)
    module: Any = cupy.RawModule(code=source.read_text(), options=flags)
    with compiling():
        module.compile()
    made: Module = module
    return made


LOADERS: dict[str, Callable[[Path, tuple[str, ...]], Module]] = {"cupy": _with_cupy}
"""How each array library compiles a file with its options; the tests add compilers for the CPU."""
