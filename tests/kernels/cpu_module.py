"""A ``.cu`` file, unchanged, compiled for the CPU and called like a ``cupy.RawModule``.

It checks what CUDA does not: the number of arguments, every dtype and scalar width, contiguity, and that nothing
read-only is written to.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import array_api_strict
import numpy as np

HERE = Path(__file__).parent
CACHE = Path(tempfile.gettempdir()) / f"napari-cutout-kernels-{os.environ.get('USER', 'tests')}"
KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")
MIN_GCC = 11
SANITIZER = "NAPARI_CUTOUT_SANITIZER"
"""The environment variable that names the sanitizer of all modules of a process."""
FLAGS = ("-std=c++20", "-shared", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
REAL_THREADS = ("-O1", "-g", "-pthread", "-ftls-model=initial-exec")
BUILDS = {
    "": ("-O2", "-fopenmp"),
    "thread": (*REAL_THREADS, "-fsanitize=thread"),
    "address,undefined": (*REAL_THREADS, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}
"""Compiler flags by sanitizer; none is the fast build.

Thread-local storage that is allocated when a thread first asks for it, as in any other shared library, looks to
ThreadSanitizer like a race inside the loader.
"""


def why_no_compiler() -> str:
    """Say why kernels cannot be compiled for the CPU here; empty if they can."""
    if shutil.which("g++") is None:
        return "there is no g++"
    version = subprocess.run(["g++", "-dumpversion"], capture_output=True, text=True, check=True).stdout.strip()
    return "" if int(version.partition(".")[0]) >= MIN_GCC else f"g++ {version} is older than {MIN_GCC}"


class CpuModule:
    """The kernels of one file, compiled for the CPU.

    Parameters
    ----------
    source : Path
        The ``.cu`` file.
    options : sequence of str
        ``-I`` and ``-D`` as CUDA's compilers take them.
    sanitizer : str, optional
        A key of `BUILDS`; by default what the environment says. With one, every CUDA thread is a real thread, and
        Python must have been started with the sanitizer's library preloaded.
    """

    def __init__(self, source: Path, options: tuple[str, ...] = (), *, sanitizer: str | None = None) -> None:
        wanted = os.environ.get(SANITIZER, "") if sanitizer is None else sanitizer
        self._library = ctypes.CDLL(str(_built(source, options, wanted)))

    def get_function(self, name: str) -> Callable[[tuple[int, ...], tuple[int, ...], tuple[Any, ...]], None]:
        launch = getattr(self._library, f"{name}__launch")
        types = getattr(self._library, f"{name}__types")
        types.restype = ctypes.c_char_p
        expected = types().decode().rstrip(",").split(",")

        def call(grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
            if len(args) != len(expected):
                raise TypeError(f"{name} takes {len(expected)} arguments, got {len(args)}")
            words = [
                _word(f"argument {i} of {name}", a, t) for i, (a, t) in enumerate(zip(args, expected, strict=True))
            ]
            addresses = (ctypes.c_void_p * len(words))(*(word.ctypes.data for word in words))
            launch(*((ctypes.c_uint * 3)(*dims, *(1,) * (3 - len(dims))) for dims in (grid, block)), addresses)

        return call


def _word(what: str, argument: Any, expected: str) -> np.ndarray:
    """Return the bytes of one argument: a scalar, or the address of an array."""
    access, dtype = expected.split()
    if access == "s":
        if not isinstance(argument, np.generic) or argument.dtype.str[1:] != dtype:
            raise TypeError(f"{what} is a scalar of {dtype}, got {type(argument).__name__}")
        return np.array(argument)
    if isinstance(argument, np.uintp) and argument == 0:
        return np.zeros(1, np.uintp)
    buffer = argument._array if isinstance(argument, array_api_strict._array_object.Array) else argument
    if not isinstance(buffer, np.ndarray) or buffer.dtype.str[1:].replace("b", "u") != dtype.replace("b", "u"):
        raise TypeError(f"{what} is an array of {dtype}, got {getattr(argument, 'dtype', type(argument).__name__)}")
    if not buffer.flags.c_contiguous or not (access == "r" or buffer.flags.writeable):
        raise ValueError(f"{what} must be C-contiguous{', and is written to' * (access == 'w')}; got {buffer.flags}")
    return np.array(buffer.ctypes.data, np.uintp)


def _built(source: Path, options: tuple[str, ...], sanitizer: str) -> Path:
    """Compile to a shared library, unless the same bytes were compiled before."""
    text = source.read_text()
    barriers = "__syncthreads" in text
    shim = "threads.h" if sanitizer else "fibers.h" if barriers else "loops.h"
    unit = f'#include "{shim}"\n#include "{source}"\n' + "".join(f"EXPORT_KERNEL({k})\n" for k in KERNEL.findall(text))
    flags = (*FLAGS, *BUILDS[sanitizer], f"-I{HERE}", *options, *["-DHAS_BARRIERS"] * barriers)
    folders = [HERE, source.parent, *(Path(flag.removeprefix("-I")) for flag in options if flag.startswith("-I"))]
    read = [path.read_text() for folder in folders for path in sorted(folder.glob("*.*h"))]
    same = [shim, text, *read, *(flag for flag in flags if not flag.startswith("-I"))]  # wherever the files lie
    digest = hashlib.sha256("\0".join(same).encode()).hexdigest()[:16]
    library = CACHE / f"{source.stem}-{digest}.so"
    if not library.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = library.with_suffix(f".{os.getpid()}")
        command = ["g++", "-x", "c++", "-", "-o", str(partial), *flags]
        plain = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}  # no sanitized compiler
        made = subprocess.run(command, input=unit, text=True, capture_output=True, check=False, env=plain)
        if made.returncode:
            raise RuntimeError(f"{source.name} does not compile for the CPU:\n{made.stderr}")
        partial.replace(library)
    return library
