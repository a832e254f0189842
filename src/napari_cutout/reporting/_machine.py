"""What a result was made on and with: hardware, versions, and by what files are known again."""

from __future__ import annotations

import hashlib
import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__, _device

__all__ = ["file_sha256", "hardware", "now", "versions"]

LIBRARIES = ("numpy", "scipy", "scikit-image", "numba", "optuna", "matplotlib", "cupy", "cucim", "torch")

CHUNK = 1 << 20
"""Bytes of a file that are hashed at a time."""


def hardware() -> dict[str, Any]:
    """Return the processor, its cores, the memory, the GPU and the system, without the name of the machine."""
    import psutil

    gpu = _device.gpu_status()
    return {
        "cpu": _device.device_name("cpu"),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": gpu.name if gpu.usable else None,
        "gpu_driver": gpu.driver if gpu.usable else None,
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Return the versions of this program, of Python and of the libraries that are installed."""
    found = {"napari-cutout": __version__, "python": platform.python_version()}
    names = {name: name for name in LIBRARIES} | {name.split("-")[0]: name for name in _device.cupy_packages()}
    for name, package in names.items():
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def now() -> str:
    """Return the time to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return by what a file, or a folder such as an OME-Zarr store, is known again.

    Parameters
    ----------
    path : str or path
        The file or the folder.

    Returns
    -------
    str
        64 hexadecimal digits: the SHA-256 of a file, as ``sha256sum`` prints it; of a folder that of the names and
        the SHA-256 of its files, in the order of their names.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    place = Path(path)
    if not place.is_dir():
        return _of_file(place)
    digest = hashlib.sha256()
    for name, file in sorted((f.relative_to(place).as_posix(), f) for f in place.rglob("*") if f.is_file()):
        digest.update(f"{_of_file(file)}  {name}\n".encode())
    return digest.hexdigest()


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
