"""What this program runs on, what is missing, and the line that mends it."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType

from . import __version__, _device, catalog
from ._kept_code import Kept, kept_kernels, kept_loops
from .unet._torch import INSTALL

__all__ = ["diagnosis", "qt_binding", "version", "versions", "without_folders"]

BINDINGS = ("PySide6", "PyQt6", "PyQt5", "PySide2")
"""The Qt bindings that napari can use."""

WIDTH = 100
"""Characters in a line of facts; lines that hold a command are not broken."""

LIBRARIES = ("numpy", "scipy", "scikit-image", "numba", "dask", "zarr", "tifffile")


_TOGETHER = "\N{NO-BREAK SPACE}"
"""A space at which no line of facts is broken."""

_FOLDERS = re.compile(r"""(?<![\w/\\.])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'":]+[/\\])*(?=[^\s/\\'":])""")
"""The folders before the last part of an absolute path."""


def diagnosis(more: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return what there is and what is missing, as lines for people.

    The lines can be posted in public: they name no folders, and so neither users nor projects.

    Parameters
    ----------
    more : mapping
        Facts to add, by their names.

    Returns
    -------
    list of str
        One line per fact, then one per thing that can be mended, with the command that mends it.
    """
    gpu = _device.gpu_status()
    facts = {
        "napari-cutout": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()}, {_environment()})",
        "platform": platform.platform(),
        "processor": f"{_device.device_name('cpu')}, {_n_threads()} threads",
        "free memory": f"{_device.size(_device.free_host_memory())} to plan with ({_device.HOST_SHARE:.0%} of it)",
        "libraries": versions(LIBRARIES),
        "NVIDIA driver": gpu.driver or ("found, version unknown" if gpu.cuda else "none"),
        "CUDA": f"up to {gpu.cuda} (from the driver)" if gpu.cuda else "none",
        "CuPy": _versions("cupy") or "not installed",
        "cuCIM": _versions("cucim") or "not installed",
        "GPU": _gpu_line(gpu),
        "PyTorch": _torch_line(gpu),
        "napari": version("napari") or "not installed",
        "Qt binding": qt_binding() or "none",
        "compiled code": _kept_line(kept_loops()) or "kept nowhere",
        **({"GPU kernels": _kept_line(kept_kernels())} if _versions("cupy") else {}),
        **more,
    }
    width = max(map(len, facts))
    told = [line for name, fact in facts.items() for line in _columns(name, without_folders(fact), width)]
    return [*told, "", *map(without_folders, _remedies(gpu))]


def _columns(name: str, fact: str, width: int) -> list[str]:
    """Return a fact beside its name, over as many lines as it needs."""
    parts = textwrap.wrap(fact, WIDTH - width - 2, break_long_words=False, break_on_hyphens=False)
    parts = [part.replace(_TOGETHER, " ") for part in parts]
    return [f"{first.ljust(width)}  {part}" for first, part in zip_longest([name], parts, fillvalue="")]


def without_folders(text: str) -> str:
    """Return text with only the last part of every absolute path, because folders name users and projects."""
    home = Path.home()
    if home != Path(home.anchor):  # it may hold spaces, so it is found by its name
        text = re.sub(rf"{re.escape(str(home))}(?![\w.-])", "~", text)
    return _FOLDERS.sub("…/", text)


def _environment() -> str:
    """Return what kind of environment this Python runs in."""
    if (Path(sys.prefix) / "conda-meta").is_dir():
        return "conda"
    return "virtual environment" if sys.prefix != sys.base_prefix else "no virtual environment"


def _n_threads() -> int:
    from ._compiled import n_threads

    return n_threads()


def version(package: str) -> str:
    """Return the version of an installed package; empty if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def versions(packages: Iterable[str]) -> str:
    """Return the names and versions of packages, installed or not, in one text."""
    return ", ".join(f"{name}{_TOGETHER}{version(name) or 'missing'}" for name in packages)


def _versions(prefix: str) -> str:
    """Return name and version of the installed packages whose names begin so: CuPy has one per CUDA version."""
    found = {name: version(name) for name in _device.cupy_packages() if name.lower().startswith(prefix)}
    return ", ".join(f"{name} {number}" for name, number in found.items() if number)


def qt_binding() -> str:
    """Return the installed Qt bindings; empty if there is none."""
    found = [(name, version(name) or version(f"{name}-Essentials")) for name in BINDINGS]
    return ", ".join(f"{name} {number}".strip() for name, number in found if importlib.util.find_spec(name))


def _kept_line(kept: Kept) -> str:
    """Return how much compiled code is kept, and where."""
    n = sum(path.suffix != ".nbi" for path in kept.files)
    return kept.where and f"{n} kept {kept.where}, {_device.size(kept.n_bytes)}"


def _gpu_line(gpu: _device.GpuStatus) -> str:
    if not gpu.usable:
        return f"not usable: {gpu.reason}"
    return f"{gpu.name}, {_device.size(gpu.free)} of {_device.size(gpu.total)} free"


CPU_BUILD = "built for CPUs"

_CUDA_BUILD = (
    "pip install --force-reinstall torch"
    if sys.platform.startswith("linux")
    else f"the line that pytorch.org shows for {platform.system()} and your CUDA"
)
"""What replaces a torch that was built for CPUs."""


def _torch_line(gpu: _device.GpuStatus) -> str:
    """Return the version of torch, and whether U-Nets run on a GPU; it is loaded only where there is one."""
    found = version("torch")
    if not found or not (gpu.cuda or gpu.driver):
        return f"{found}, U-Nets run on the CPU" if found else "not installed"
    return f"{found}, {_what_torch_uses()}"


def _what_torch_uses() -> str:
    from .unet._torch import NoTorch, import_torch

    try:
        torch = import_torch()
    except NoTorch as error:
        return f"but {error}"
    if torch.version.cuda is None:
        return CPU_BUILD
    usable = torch.cuda.is_available()
    where = f"U-Nets run on {torch.cuda.get_device_name()}" if usable else "it finds no usable GPU"
    return f"built for CUDA {torch.version.cuda}, {where}"


def _torch_remedies(gpu: _device.GpuStatus) -> Iterator[str]:
    """Yield what makes U-Nets run, or run on the GPU that is there."""
    if not any(method.needs == "model" for method in catalog.methods().values()):
        return
    if not version("torch"):
        yield f"to use U-Nets: {INSTALL}"
    elif gpu.cuda and _what_torch_uses() == CPU_BUILD:
        yield f"to use U-Nets on the GPU: {_CUDA_BUILD}"


def _remedies(gpu: _device.GpuStatus) -> list[str]:
    lines = [] if gpu.usable else [f"to use a GPU: {gpu.remedy}"]
    if gpu.usable and sys.platform.startswith("linux") and not _versions("cucim"):
        lines.append(f"cuCIM is missing beside CuPy: {_device.matching_line(gpu)}")
    if not version("napari") or not qt_binding():
        lines.append('to work in napari: pip install "napari-cutout[app]"')
    if not kept_loops().where:
        lines.append("to compile loops once, not at every start: set NUMBA_CACHE_DIR to a folder that can be written")
    lines += _torch_remedies(gpu)
    return lines or ["nothing is missing"]
