"""The only place that imports torch, so that the rest of the program never waits for it."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from .. import _device

__all__ = ["INSTALL", "NoTorch", "deterministic", "free_bytes", "import_torch", "make_room", "torch_device", "use_cuda"]

INSTALL = 'pip install "napari-cutout[unet]"'
"""What to type where torch is missing."""


class NoTorch(ImportError):
    """Torch is missing or broken; the message has the line that installs it."""


def import_torch() -> ModuleType:
    """Return torch.

    Raises
    ------
    NoTorch
        If it is not installed or does not load; the message has the line that installs it.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise NoTorch(f"torch does not load ({error}); reinstall it: {INSTALL}") from error
        raise NoTorch(f"the U-Net needs torch, which is not installed; install it: {INSTALL}") from error
    except (ImportError, OSError) as error:  # a library that torch links to
        raise NoTorch(f"torch does not load ({error}); reinstall it: {INSTALL}") from error
    return torch  # type: ignore[no-any-return]


def use_cuda(device: Literal["auto", "cpu", "gpu"]) -> bool:
    """Tell whether torch runs on a GPU.

    Parameters
    ----------
    device : {"auto", "cpu", "gpu"}
        What was asked for; ``"auto"`` takes a GPU that torch can use.

    Raises
    ------
    ValueError
        If a GPU was asked for and torch cannot use one; the message says what is missing.
    """
    if device not in ("auto", "cpu", "gpu"):
        raise ValueError(f"device must be one of 'auto', 'cpu', 'gpu', got {device!r}")
    if device == "cpu":
        return False
    torch = import_torch()
    if torch.cuda.is_available():
        return True
    if device == "gpu":
        built = torch.version.cuda
        why = (
            f"this torch ({torch.__version__}) is built for CPUs; install one built for CUDA, see pytorch.org"
            if built is None
            else f"torch {torch.__version__} (CUDA {built}) finds no usable NVIDIA GPU; run nvidia-smi"
        )
        raise ValueError(f"device='gpu' cannot be used: {why}. Or choose device='cpu'")
    return False


def torch_device(device: Literal["auto", "cpu", "gpu"]) -> Any:
    """Return the torch device for what was asked, with room made on it."""
    torch = import_torch()
    if not use_cuda(device):
        return torch.device("cpu")
    make_room()
    return torch.device("cuda", torch.cuda.current_device())


def make_room() -> None:
    """Give memory back that CuPy holds on to, so that torch can have it."""
    if "cupy" in sys.modules:
        _device.release()


def free_bytes(device: Any) -> int:
    """Return how much memory may be planned with on a torch device."""
    if device.type == "cpu":
        return _device.free_host_memory()
    torch = import_torch()
    free, _ = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(0.8 * (free + held))


def trim() -> None:
    """Give free host memory back to the system where the allocator can be asked to, which takes a millisecond."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # not every C library can
            ctypes.CDLL(None).malloc_trim(0)


def release(device: Any) -> None:
    """Give memory back that torch holds on to, so that CuPy can have it."""
    gc.collect()
    if device.type == "cuda":
        import_torch().cuda.empty_cache()


@contextmanager
def deterministic() -> Iterator[None]:
    """Let torch choose only algorithms that give the same numbers every time, inside; then put back what was set.

    These are settings of the whole process: of several threads that are inside, the last one out puts them back.
    """
    torch = import_torch()
    _load_triton_apart()
    with _inside:
        if not _settings_before:
            _settings_before.append(_set_deterministic(torch))
        else:
            _settings_before.append(_settings_before[0])
    try:
        yield
    finally:
        with _inside:
            before = _settings_before.pop()
            if not _settings_before:
                before()


def _load_triton_apart() -> None:
    """Let the library of triton find its own LLVM first, where a graphics driver has brought another into the process.

    Torch imports triton, which builds for CUDA bring, when it is told to be deterministic and when it makes an
    optimiser. From 3.7 on libtriton exports the symbols of the LLVM that it holds, and those of Mesa's libLLVM, there
    for all since napari opened its canvas, come before them: what initialises the one then works on objects of the
    other, and the process ends (what TensorFlow did to triton: github.com/tensorflow/tensorflow/issues/124205). A
    library is loaded once, so the import finds this one. It is left alone where there is no other LLVM, because
    what is bound to itself also passes by a malloc that was preloaded; only Linux can do it, and only Linux needs it.
    """
    deep = getattr(os, "RTLD_DEEPBIND", 0)
    if not deep or "triton" in sys.modules or not hasattr(ctypes.CDLL(None), _OF_LLVM):
        return
    triton = find_spec("triton")
    for folder in (triton and triton.submodule_search_locations) or ():
        for library in Path(folder, "_C").glob("libtriton*.so"):
            with suppress(OSError):  # the import says what is wrong with it
                ctypes.CDLL(str(library), mode=os.RTLD_NOW | deep)


_OF_LLVM = "_ZN4llvm4errsEv"
"""A symbol of every LLVM, `llvm::errs()`; the process finds it where libraries outside of LLVM's user do."""

_inside = threading.Lock()

_settings_before: list[Callable[[], None]] = []
"""How to put back what was set, once for every thread that is inside."""


def _set_deterministic(torch: ModuleType) -> Callable[[], None]:
    """Set it, and return what puts back what was set before."""
    enabled, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, filled = torch.backends.cudnn.benchmark, torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads what nobody wrote; takes 20 %

    def put_back() -> None:
        torch.use_deterministic_algorithms(enabled, warn_only=warn)
        torch.backends.cudnn.benchmark = benchmark
        torch.utils.deterministic.fill_uninitialized_memory = filled

    return put_back
