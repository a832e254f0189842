"""CPU or GPU: every way in which a GPU can be missing is told apart, and every choice has a reason.

No test here has a GPU, so CuPy and the driver are played by stand-ins that fail as the real ones were seen to fail.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cutout import _device
from napari_cutout._device import Choice, GpuStatus

GIB = 1 << 30


class CUDARuntimeError(RuntimeError):
    pass


class CompileException(Exception):
    pass


class OutOfMemoryError(MemoryError):
    pass


def fake_cupy(*, built_for: int = 13020, count: Any = 1, arange: Any = np.arange, pooled: int = 0) -> ModuleType:
    """Return a module with the parts of CuPy that are asked; what is an exception is raised."""

    def giving(value: Any) -> Any:
        def give(*_: Any) -> Any:
            if isinstance(value, BaseException):
                raise value
            return value

        return give

    cupy = ModuleType("cupy")
    runtime = SimpleNamespace(
        runtimeGetVersion=giving(built_for),
        getDeviceCount=giving(count),
        getDevice=giving(0),
        getDeviceProperties=giving({"name": b"NVIDIA H200"}),
        memGetInfo=giving((6 * GIB, 8 * GIB)),
    )
    cupy.cuda = SimpleNamespace(runtime=runtime, compiler=SimpleNamespace(CompileException=CompileException))
    cupy.arange = giving(arange) if isinstance(arange, BaseException) else arange
    cupy.asarray = np.asarray
    cupy.ndarray = type("ndarray", (), {})  # array-api-compat asks for it
    cupy.get_default_memory_pool = lambda: SimpleNamespace(free_bytes=lambda: pooled, free_all_blocks=lambda: None)
    return cupy


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that sets what this machine has: a CuPy (or the error of its import), and a driver."""

    def has(cupy: ModuleType | BaseException | None, *, cuda: int = 13000, driver: str = "580.65.06") -> GpuStatus:
        if isinstance(cupy, ModuleType):
            monkeypatch.setitem(sys.modules, "cupy", cupy)
        else:
            error = cupy or ModuleNotFoundError("No module named 'cupy'", name="cupy")
            real = importlib.import_module

            def failing(name: str, package: str | None = None) -> ModuleType:
                if name == "cupy":
                    raise error
                return real(name, package)

            monkeypatch.setattr(_device, "import_module", failing)
        monkeypatch.setattr(_device, "driver_cuda", lambda: cuda)
        monkeypatch.setattr(_device, "driver_version", lambda: driver if cuda else "")
        _device._probe.cache_clear()
        return _device.gpu_status()

    yield has
    _device._probe.cache_clear()


def test_a_gpu_that_works(machine: Any) -> None:
    status = machine(fake_cupy(pooled=GIB))
    assert status == GpuStatus(True, "", "", "NVIDIA H200", "580.65.06", "13.0", 7 * GIB, 8 * GIB)


def test_free_memory_is_asked_again(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = fake_cupy()
    machine(cupy)
    monkeypatch.setattr(cupy.cuda.runtime, "memGetInfo", lambda: (1, 2))
    assert (_device.gpu_status().free, _device.gpu_status().total) == (1, 2)


MISSING = {
    "no CuPy": (None, {}, "CuPy is not installed", 'pip install "napari-cutout[cuda13]"'),
    "no CuPy, driver for CUDA 12": (None, {"cuda": 12080}, "CuPy is not", 'pip install "napari-cutout[cuda12]"'),
    "no CuPy, no driver": (
        None,
        {"cuda": 0},
        "and there is no NVIDIA driver",
        'then pip install "napari-cutout[cuda13]"',
    ),
    "no CuPy, driver too old for any": (
        None,
        {"cuda": 11040},
        "supports CUDA 11.4 at most",
        "update the NVIDIA driver",
    ),
    "CuPy does not import": (
        ImportError("libcudart.so: no such file\nmore"),
        {},
        "does not import (libcudart.so: no such file)",
        'pip install --force-reinstall "napari-cutout[cuda13]"',
    ),
    "a part of CuPy is missing": (
        ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"),
        {},
        "CuPy is installed but does not import (No module named 'fastrlock')",
        "--force-reinstall",
    ),
    "no driver": (fake_cupy(), {"cuda": 0}, "there is no NVIDIA driver", "install an NVIDIA driver"),
    "driver older than CuPy": (
        fake_cupy(),
        {"cuda": 12080, "driver": "570.1"},
        "CuPy was built for CUDA 13, and the NVIDIA driver 570.1 supports CUDA 12.8 at most",
        'pip install "napari-cutout[cuda12]"',
    ),
    "driver older than any CuPy": (fake_cupy(), {"cuda": 11040}, "supports CUDA 11.4", "525 or newer"),
    "broken driver": (
        fake_cupy(count=CUDARuntimeError("cudaErrorUnknown: unknown error")),
        {},
        "the NVIDIA driver does not work (cudaErrorUnknown: unknown error)",
        "nvidia-smi",
    ),
    "driver without a GPU": (fake_cupy(count=0), {}, "the NVIDIA driver sees no GPU", "nvidia-smi"),
    "GPU that computes nonsense": (fake_cupy(arange=np.ones), {}, "computes wrong sums", "nvidia-smi"),
    "no compiler": (
        fake_cupy(arange=CompileException("nvrtc: error: failed to open libnvrtc-builtins")),
        {},
        "CuPy cannot use its CUDA libraries",
        "--force-reinstall",
    ),
    "a CUDA library is missing": (
        fake_cupy(arange=ImportError("libcublas.so.13: cannot open")),
        {},
        "CuPy cannot use its CUDA libraries (libcublas.so.13: cannot open)",
        "--force-reinstall",
    ),
    "full GPU": (fake_cupy(arange=OutOfMemoryError("out of memory")), {}, "no free memory", "end the other programs"),
}


@pytest.mark.parametrize(("cupy", "driver", "reason", "remedy"), MISSING.values(), ids=MISSING)
def test_what_is_missing_is_named(machine: Any, cupy: Any, driver: dict[str, Any], reason: str, remedy: str) -> None:
    status = machine(cupy, **driver)
    assert not status.usable
    assert reason in status.reason
    assert remedy in status.remedy
    auto = _device.choose(1 << 30, 1, "auto")
    assert auto == Choice("auto", "cpu", status.reason)
    with pytest.raises(ValueError, match="device='gpu' cannot be used because") as info:
        _device.choose(1 << 30, 1, "gpu")
    assert reason in str(info.value)
    assert remedy in str(info.value)
    assert "or use 'cpu'" in str(info.value)


def test_errors_that_no_gpu_raises_are_not_swallowed(machine: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        machine(fake_cupy(count=ZeroDivisionError("a bug")))


def test_auto_takes_the_gpu_where_it_is_worth_it(machine: Any) -> None:
    machine(fake_cupy())
    large = _device.GPU_MIN_VOXELS
    assert _device.choose(large, GIB, "auto") == Choice("auto", "gpu", "NVIDIA H200 is there and the run fits")
    small = _device.choose(large - 1, GIB, "auto")
    assert (small.used, small.reason) == ("cpu", "1,048,575 voxels are too few to gain from a GPU (below 1,048,576)")
    full = _device.choose(large, 7 * GIB, "auto")
    assert (full.used, full.reason) == ("cpu", "the run needs 7.0 GiB of GPU memory and 6.0 GiB are free")


def test_what_was_asked_for_is_taken(machine: Any) -> None:
    machine(fake_cupy())
    assert _device.choose(1 << 30, 1, "cpu") == Choice("cpu", "cpu", "it was asked for")
    assert _device.choose(1, 1, "gpu") == Choice("gpu", "gpu", "it was asked for")
    with pytest.raises(MemoryError, match=r"needs 7\.0 GiB of GPU memory and 6\.0 GiB are free; crop the image"):
        _device.choose(1, 7 * GIB, "gpu")


def test_an_unknown_device_is_an_error() -> None:
    with pytest.raises(ValueError, match="device must be one of 'auto', 'cpu', 'gpu', got 'cuda'"):
        _device.choose(1, 1, "cuda")  # type: ignore[arg-type]


def test_packages_to_take_out_are_named(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [SimpleNamespace(metadata={"Name": name}) for name in ("numpy", "cupy-cuda13x", "cucim-cu13")]
    monkeypatch.setattr(_device.metadata, "distributions", lambda: held)
    remedy = machine(fake_cupy(), cuda=12080).remedy
    assert 'pip uninstall -y cucim-cu13 cupy-cuda13x && pip install "napari-cutout[cuda12]"' in remedy


def test_the_driver_is_asked_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        def cuDriverGetVersion(self, version: Any) -> int:
            version._obj.value = 12080
            return 0

        def nvmlInit_v2(self) -> int:
            return 0

        def nvmlSystemGetDriverVersion(self, text: Any, _: int) -> int:
            text.value = b"570.1"
            return 0

        def nvmlShutdown(self) -> int:
            return 0

    monkeypatch.setattr(_device.ctypes, "CDLL", lambda name: Driver())
    assert (_device.driver_cuda(), _device.driver_version()) == (12080, "570.1")

    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(_device.ctypes, "CDLL", absent)
    assert (_device.driver_cuda(), _device.driver_version()) == (0, "")


def test_arrays_are_placed(machine: Any) -> None:
    machine(fake_cupy())
    array = np.arange(3)
    np.testing.assert_array_equal(_device.place(array, "cpu"), array)
    np.testing.assert_array_equal(_device.place(array, "gpu"), array)
    dask = pytest.importorskip("dask.array")
    lazy = dask.from_array(array, chunks=2)
    assert _device.place(lazy, "cpu") is lazy


def test_failures_of_a_running_gpu(machine: Any) -> None:
    machine(fake_cupy())
    assert issubclass(OutOfMemoryError, _device.failures())
    assert issubclass(CUDARuntimeError, _device.failures())
    assert issubclass(CompileException, _device.failures())
    assert not issubclass(ValueError, _device.failures())
    _device.release()


def test_names() -> None:
    assert _device.device_name("cpu")
    assert [_device.size(n) for n in (0, 1023, 1024, 3 << 29, 1 << 52)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "1.5 GiB", "4096.0 TiB"
    ]  # fmt: skip


# Host memory -------------------------------------------------------------------------------------------


def write(root: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return root


@pytest.fixture
def available(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100 * GIB))
    return 100 * GIB


@pytest.mark.usefixtures("available")
def test_host_memory_without_groups(tmp_path: Path) -> None:
    assert _device.free_host_memory(tmp_path) == 80 * GIB


@pytest.mark.usefixtures("available")
def test_host_memory_under_version_2(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/jobs/one",
            "sys/fs/cgroup/jobs/one/memory.max": "max",
            "sys/fs/cgroup/jobs/one/memory.current": 1,
            "sys/fs/cgroup/jobs/memory.max": 50 * GIB,
            "sys/fs/cgroup/jobs/memory.current": 30 * GIB,
            "sys/fs/cgroup/jobs/memory.stat": f"anon 7\ninactive_file {10 * GIB}",
        },
    )
    assert _device.free_host_memory(root) == int(0.8 * 30 * GIB)  # what is cached can be given back


@pytest.mark.usefixtures("available")
def test_host_memory_under_version_1_in_a_container(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/abc\n0::/",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": 10 * GIB,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": 4 * GIB,
        },
    )
    assert _device.free_host_memory(root) == int(0.8 * 6 * GIB)


@pytest.mark.usefixtures("available")
@given(limit=st.integers(0, 200), used=st.integers(0, 300))
def test_host_memory_is_never_negative_nor_above_either_limit(
    tmp_path_factory: pytest.TempPathFactory, limit: int, used: int
) -> None:
    root = write(
        tmp_path_factory.mktemp("root"),
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": limit * GIB,
            "sys/fs/cgroup/memory.current": used * GIB,
        },
    )
    free = _device.free_host_memory(root)
    assert free == int(0.8 * min(100, max(limit - used, 0)) * GIB)


def test_host_memory_of_this_machine() -> None:
    assert 0 < _device.free_host_memory() < psutil.virtual_memory().total


def test_this_machine_is_looked_at() -> None:
    _device._probe.cache_clear()
    status = _device.gpu_status()
    assert status.usable == (status.reason == "")


@pytest.mark.gpu
def test_a_real_gpu_is_found(to_gpu: Any) -> None:
    _device._probe.cache_clear()
    status = _device.gpu_status()
    assert status.usable
    assert 0 < status.free <= status.total
    np.testing.assert_array_equal(_device.place(_device.place(np.arange(5), "gpu"), "cpu"), np.arange(5))
