"""CPU or GPU: what this machine has, which one a run takes, and why.

Only edges (command line, widgets, recipes) ask; methods run where their arrays are.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from ._array import Array, library, to_numpy
from ._memory import HOST_SHARE, Free, free_host_memory, host_memory, size

__all__ = [
    "HOST_SHARE",
    "Asked",
    "Choice",
    "Free",
    "GpuStatus",
    "choose",
    "free_host_memory",
    "gpu_status",
    "host_memory",
    "place",
    "size",
]

Asked = Literal["auto", "cpu", "gpu"]
"""What a user may ask for."""

GPU_MIN_VOXELS = 1 << 20
"""Images of fewer voxels stay on the CPU under ``"auto"``: copying them and launching kernels costs more
than it gains. On an H200 beside 16 cores the host takes 0.4 to 49 times as long for 64 x 64 x 64 voxels, and 0.6 to 280
times for 128 x 128 x 128; where the host is faster a run takes less than 10 ms anyway, or about as long on both."""

MIN_DRIVER_CUDA = 12000
"""The oldest CUDA version of a driver for which there is a wheel of CuPy that we name, as 1000 x major."""


@dataclass(frozen=True, slots=True)
class GpuStatus:
    """What is known of the GPU of this machine.

    Parameters
    ----------
    usable : bool
        True if a small computation ran on it.
    reason : str
        What is missing, as a clause that fits after "because"; empty if it is usable.
    remedy : str
        The line or the step that mends it; empty if it is usable.
    name : str
        The GPU's name; empty if there is none.
    driver : str
        The version of the NVIDIA driver; empty if none was found.
    cuda : str
        The newest CUDA version that the driver supports, such as ``"13.0"``; empty if none was found.
    free, total : int
        GPU memory in bytes; 0 if it is not usable.
    """

    usable: bool
    reason: str = ""
    remedy: str = ""
    name: str = ""
    driver: str = ""
    cuda: str = ""
    free: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Which device a run takes.

    Parameters
    ----------
    asked : {"auto", "cpu", "gpu"}
        What the user asked for.
    used : {"cpu", "gpu"}
        What the run takes.
    reason : str
        Why, as a clause that fits after "because".
    """

    asked: Asked
    used: Literal["cpu", "gpu"]
    reason: str


def gpu_status() -> GpuStatus:
    """Look for a usable GPU, once; later calls only ask for its free memory again.

    Returns
    -------
    GpuStatus
        A missing CuPy, a missing driver, an old driver and a broken one are told apart.
    """
    status = _probe()
    if not status.usable:
        return status
    free, total = _free_on_gpu(import_module("cupy"))
    return replace(status, free=free, total=total)


def gpu_known() -> bool:
    """Tell whether the GPU was looked for already; the first time that takes as long as importing CuPy."""
    return bool(_probe.cache_info().currsize)


def choose(n_voxels: int, n_bytes: int, asked: Asked) -> Choice:
    """Choose the device for a run.

    Parameters
    ----------
    n_voxels : int
        Voxels of the image.
    n_bytes : int
        Memory that the run needs on the device, in bytes, its inputs included.
    asked : {"auto", "cpu", "gpu"}
        What the user asked for. ``"auto"`` takes the GPU if there is one, the run fits into it and the image
        has at least `GPU_MIN_VOXELS` voxels.

    Returns
    -------
    Choice
        The device and the reason.

    Raises
    ------
    ValueError
        If `asked` is none of the three, or a GPU was asked for and none is usable; the message says what is
        missing and how to mend it.
    MemoryError
        If a GPU was asked for and the run does not fit into its free memory.
    """
    if asked not in get_args(Asked):
        raise ValueError(f"device must be one of {', '.join(map(repr, get_args(Asked)))}, got {asked!r}")
    if asked == "cpu":
        return Choice(asked, "cpu", "it was asked for")
    status = gpu_status()
    short = f"the run needs {size(n_bytes)} of GPU memory and {size(status.free)} are free"
    if asked == "gpu":
        if not status.usable:
            raise ValueError(f"device='gpu' cannot be used because {status.reason}; {status.remedy}, or use 'cpu'")
        if n_bytes > status.free:
            raise MemoryError(f"device='gpu' cannot be used because {short}; crop the image, or use 'cpu'")
        return Choice(asked, "gpu", "it was asked for")
    if not status.usable:
        return Choice(asked, "cpu", status.reason)
    if n_voxels < GPU_MIN_VOXELS:
        return Choice(asked, "cpu", f"{n_voxels:,} voxels are too few to gain from a GPU (below {GPU_MIN_VOXELS:,})")
    if n_bytes > status.free:
        return Choice(asked, "cpu", short)
    return Choice(asked, "gpu", f"{status.name} is there and the run fits")


_asked_for: ContextVar[Asked] = ContextVar("napari_cutout_device", default="auto")


@contextmanager
def asking(asked: Asked) -> Iterator[None]:
    """Let what runs inside know which device was asked for, where it finds a device by itself, as torch does."""
    token = _asked_for.set(asked)
    try:
        yield
    finally:
        _asked_for.reset(token)


def asked_for() -> Asked:
    """Return the device that the caller asked for: ``"auto"`` unless an edge says more."""
    return _asked_for.get()


def torch_has_gpu() -> bool:
    """Tell whether torch, where it is loaded, can use a GPU; it is not loaded for that."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available())


def place(array: Array, used: Literal["cpu", "gpu"]) -> Array:
    """Bring an array to the device that was chosen; dask arrays stay what they are.

    Parameters
    ----------
    array : array
        Of any library.
    used : {"cpu", "gpu"}
        The device.

    Returns
    -------
    array
        A NumPy array, a CuPy array, or the dask array.
    """
    if library(array) == "dask":
        return array
    if used == "cpu":
        return to_numpy(array)
    return import_module("cupy").asarray(array)


def failures() -> tuple[type[BaseException], ...]:
    """Return the exceptions by which a GPU fails while it runs: memory, kernels, driver."""
    usual: tuple[type[BaseException], ...] = (MemoryError, NotImplementedError, ImportError, RuntimeError)
    return usual + _compile_errors(sys.modules.get("cupy"))


def release() -> None:
    """Give the GPU memory that CuPy keeps for later back to the driver."""
    if (cupy := sys.modules.get("cupy")) is not None:
        cupy.get_default_memory_pool().free_all_blocks()


def device_name(used: Literal["cpu", "gpu"]) -> str:
    """Return the name of the processor or of the GPU."""
    return gpu_status().name if used == "gpu" else _cpu_name()


@cache
def _cpu_name() -> str:
    import platform

    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# The GPU ---------------------------------------------------------------------------------------------


@cache
def _probe() -> GpuStatus:
    cuda = driver_cuda()
    found = GpuStatus(False, driver=driver_version(), cuda=f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else "")
    try:
        cupy = import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            return _without_cupy(found, cuda)
        return _broken_cupy(found, cuda, error)
    except (ImportError, RuntimeError, AttributeError) as error:
        return _broken_cupy(found, cuda, error)
    if not cuda:
        return replace(found, reason="there is no NVIDIA driver", remedy=_NO_DRIVER)
    return _try(cupy, found, cuda)


def _without_cupy(found: GpuStatus, cuda: int) -> GpuStatus:
    reason = "CuPy is not installed" if cuda else "CuPy is not installed, and there is no NVIDIA driver"
    if 0 < cuda < MIN_DRIVER_CUDA:
        return replace(found, reason=f"{reason}, and {_old(found)}", remedy=_UPDATE_DRIVER)
    first = "" if cuda else "install an NVIDIA driver, then "
    return replace(found, reason=reason, remedy=first + install_line(cuda))


def _broken_cupy(found: GpuStatus, cuda: int, error: BaseException) -> GpuStatus:
    reason = f"CuPy is installed but does not import ({_first_line(error)})"
    return replace(found, reason=reason, remedy=install_line(cuda, again=True))


def _try(cupy: ModuleType, found: GpuStatus, cuda: int) -> GpuStatus:
    """Compute something small, which needs the driver, the device and the compiler."""
    built_for = int(cupy.cuda.runtime.runtimeGetVersion())
    if cuda // 1000 < built_for // 1000:
        reason = f"CuPy was built for CUDA {built_for // 1000}, and {_old(found)}"
        remedy = _UPDATE_DRIVER if cuda < MIN_DRIVER_CUDA else f"update the driver, or {_replace_cupy(cuda)}"
        return replace(found, reason=reason, remedy=remedy)
    broken: tuple[type[BaseException], ...] = (RuntimeError, ImportError, OSError, *_compile_errors(cupy))
    try:
        if int(cupy.cuda.runtime.getDeviceCount()) < 1:
            return replace(found, reason="the NVIDIA driver sees no GPU", remedy=_CHECK_DRIVER)
        if int(cupy.arange(4).sum()) != 6:
            return replace(found, reason="the GPU computes wrong sums", remedy=_CHECK_DRIVER)
        free, total = _free_on_gpu(cupy)
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())["name"]
    except MemoryError as error:
        reason = f"the GPU has no free memory ({_first_line(error)})"
        return replace(found, reason=reason, remedy="end the other programs that use the GPU")
    except broken as error:
        return _broken_gpu(found, cuda, error)
    return replace(found, usable=True, name=_text(name), free=free, total=total)


def _broken_gpu(found: GpuStatus, cuda: int, error: BaseException) -> GpuStatus:
    """Tell a driver that does not work from libraries of CUDA that are not there."""
    text = _first_line(error)
    if (
        isinstance(error, ImportError | OSError)
        or "nvrtc" in text.lower()
        or type(error).__name__.startswith("Compile")
    ):
        reason = f"CuPy cannot use its CUDA libraries ({text})"
        return replace(found, reason=reason, remedy=install_line(cuda, again=True))
    return replace(found, reason=f"the NVIDIA driver does not work ({text})", remedy=_CHECK_DRIVER)


def install_line(cuda: int = 0, *, again: bool = False) -> str:
    """Return the pip line that brings the CuPy for a driver.

    Parameters
    ----------
    cuda : int
        The driver's CUDA version, as 1000 x major + 10 x minor; 0 if there is no driver.
    again : bool
        True to install anew what is there but does not work.

    Returns
    -------
    str
        A command.
    """
    extra = "cuda12" if 0 < cuda < 13000 else "cuda13"
    return f'{"pip install --force-reinstall" if again else "pip install"} "napari-cutout[{extra}]"'


def matching_line(gpu: GpuStatus) -> str:
    """Return the pip line that completes a usable GPU, for the CUDA version that the installed CuPy was built for.

    Parameters
    ----------
    gpu : GpuStatus
        A usable GPU; its driver decides where the name of the CuPy package does not say the version.

    Returns
    -------
    str
        A command.
    """
    built_for = [int(name[9:11]) for name in cupy_packages() if name[:9] == "cupy-cuda" and name[9:11].isdigit()]
    return install_line(1000 * (built_for[0] if built_for else int(gpu.cuda.partition(".")[0] or 0)))


def _replace_cupy(cuda: int) -> str:
    return f"pip uninstall -y {' '.join(cupy_packages())} && {install_line(cuda)}"


def cupy_packages() -> list[str]:
    """Return the names of the installed packages that bring CuPy or cuCIM."""
    names = {dist.metadata["Name"] for dist in metadata.distributions()}
    return sorted(n for n in names if n and n.lower().startswith(("cupy", "cucim"))) or ["cupy"]


_NO_DRIVER = "install an NVIDIA driver (nvidia-smi shows it) if this machine has an NVIDIA GPU"
_UPDATE_DRIVER = "update the NVIDIA driver to 525 or newer"
_CHECK_DRIVER = "run nvidia-smi, and reinstall the driver or restart the machine if that fails too"


def _old(found: GpuStatus) -> str:
    return f"the NVIDIA driver {found.driver}".rstrip() + f" supports CUDA {found.cuda} at most"


def _compile_errors(cupy: ModuleType | None) -> tuple[type[BaseException], ...]:
    """Return CuPy's exception for a kernel that does not compile, which is a plain Exception."""
    error = getattr(getattr(getattr(cupy, "cuda", None), "compiler", None), "CompileException", None)
    return () if error is None else (error,)


def _free_on_gpu(cupy: ModuleType) -> tuple[int, int]:
    """Return free and total GPU memory; what CuPy's pool keeps unused counts as free."""
    free, total = cupy.cuda.runtime.memGetInfo()
    return int(free) + int(cupy.get_default_memory_pool().free_bytes()), int(total)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _text(name: str | bytes) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


# The driver, asked directly, so that it is known without CuPy -------------------------------------------


def driver_cuda() -> int:
    """Return the newest CUDA version that the NVIDIA driver supports, as 1000 x major + 10 x minor; 0 for none."""
    if (driver := _load("libcuda.so.1", "nvcuda.dll")) is None:
        return 0
    version = ctypes.c_int(0)
    return version.value if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 else 0


def driver_version() -> str:
    """Return the version of the NVIDIA driver, such as ``"580.65.06"``; empty if it cannot be asked."""
    if (nvml := _load("libnvidia-ml.so.1", "nvml.dll")) is None or nvml.nvmlInit_v2() != 0:
        return ""
    text = ctypes.create_string_buffer(96)
    try:
        failed = nvml.nvmlSystemGetDriverVersion(text, len(text))
    finally:
        nvml.nvmlShutdown()
    return "" if failed else text.value.decode(errors="replace")


def _load(linux: str, windows: str) -> Any | None:
    try:
        return ctypes.CDLL(windows if sys.platform == "win32" else linux)
    except OSError:
        return None
