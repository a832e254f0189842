"""The only place that imports torch: what it says where torch is missing, broken, or has no GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from napari_cutout.unet import _torch
from napari_cutout.unet._torch import deterministic, free_bytes, import_torch, release, torch_device, use_cuda

torch = import_torch()

MISSING = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise {error}
sys.meta_path.insert(0, Missing())
import numpy as np
import napari_cutout as nc
image = np.zeros((16, 16), np.float32)
labels = np.zeros((16, 16), int)
labels[:8] = 1
labels[8:] = 2
try:
    nc.unet_train(image, labels)
except ImportError as error:
    print(type(error).__name__, error)
print(nc.architecture_for((64, 64)).n_parameters)  # what is shown before training needs no torch
"""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ('ModuleNotFoundError("No module named torch", name="torch")', "the U-Net needs torch, which is not installed"),
        ('ModuleNotFoundError("No module named sympy", name="sympy")', "torch does not load (No module named sympy)"),
        ('OSError("libtorch_cpu.so: cannot open")', "torch does not load (libtorch_cpu.so: cannot open)"),
        ('ImportError("undefined symbol: ncclCommInit")', "torch does not load (undefined symbol: ncclCommInit)"),
    ],
)
def test_torch_that_does_not_load_is_named_with_the_line_that_installs_it(error: str, message: str) -> None:
    script = MISSING.format(error=error)
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    said, n_parameters = told.stdout.splitlines()
    assert said.startswith(f"NoTorch {message}")
    assert 'pip install "napari-cutout[unet]"' in said
    assert int(n_parameters) > 0


def test_neither_the_package_nor_its_catalog_loads_torch() -> None:
    script = (
        "import sys, napari_cutout as nc; from napari_cutout import catalog; "
        "catalog.methods()['unet_predict']; nc.unet_predict; nc.architecture_for((64, 64)); "
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'torch', 'safetensors', 'onnx', 'onnxruntime'}))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_cpu_is_taken_where_it_is_asked_for_or_nothing_else_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not use_cuda("cpu")
    assert not use_cuda("auto")
    assert torch_device("auto").type == "cpu"
    assert free_bytes(torch.device("cpu")) > 0
    with pytest.raises(ValueError, match="device must be one of 'auto', 'cpu', 'gpu', got 'cuda'"):
        use_cuda("cuda")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("built", "message"),
    [
        (None, r"device='gpu' cannot be used: this torch \(.*\) is built for CPUs; install one built for CUDA"),
        ("12.8", r"device='gpu' cannot be used: torch .* \(CUDA 12.8\) finds no usable NVIDIA GPU; run nvidia-smi"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, built: Any, message: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    with pytest.raises(ValueError, match=f"{message}.*Or choose device='cpu'"):
        use_cuda("gpu")


def test_a_gpu_is_taken_where_there_is_one_and_cupy_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(_torch._device, "release", lambda: said.append("released"))
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace())
    assert use_cuda("auto")
    assert str(torch_device("gpu")) == "cuda:1"
    assert said == ["released"]
    assert not use_cuda("cpu")


def test_what_torch_holds_on_to_counts_as_free_and_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, said = SimpleNamespace(type="cuda"), []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (600, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 100)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: said.append("emptied"))
    assert free_bytes(gpu) == 800  # 0.8 of 600 + 500 - 100
    release(gpu)
    assert said == ["emptied"]


@pytest.mark.parametrize("before", [(False, False), (True, True), (True, False)])
def test_what_was_set_of_torch_is_put_back_whatever_happens(before: tuple[bool, bool]) -> None:
    cudnn = torch.backends.cudnn
    kept = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    was = cudnn.benchmark, cudnn.allow_tf32
    try:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        cudnn.benchmark = True
        with deterministic():
            assert torch.are_deterministic_algorithms_enabled()
            assert not cudnn.benchmark
        with pytest.raises(KeyError), deterministic():
            raise KeyError
        assert torch.are_deterministic_algorithms_enabled() is before[0]
        assert torch.is_deterministic_algorithms_warn_only_enabled() is before[1]
        assert cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(kept[0], warn_only=kept[1])
        cudnn.benchmark, cudnn.allow_tf32 = was


A_DRIVERS = "namespace llvm { int errs() { return 1; } }"

TRITONS = """
namespace llvm { int errs() { return 2; } }
extern "C" int whose() { return llvm::errs(); }
"""

BESIDE_A_DRIVER = """
import ctypes, sys
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
if "driver" in sys.argv:
    ctypes.CDLL(str(folder / "libLLVM.so"), mode=ctypes.RTLD_GLOBAL)
from napari_cutout.unet._torch import deterministic
if "deterministic" in sys.argv:
    with deterministic():
        pass
library = folder / "triton" / "_C" / "libtriton.so"
there = str(library) in Path("/proc/self/maps").read_text()
print(there, ctypes.CDLL(str(library)).whose())
"""


@pytest.fixture(scope="module")
def two_of_llvm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a driver's LLVM, and a triton that does not import and holds another."""
    if not hasattr(os, "RTLD_DEEPBIND") or shutil.which("g++") is None:
        pytest.skip("needs a loader that can bind a library to itself, and g++")
    folder = tmp_path_factory.mktemp("llvm")
    (folder / "triton" / "_C").mkdir(parents=True)
    (folder / "triton" / "__init__.py").write_text("raise ImportError\n")
    for name, source in (("libLLVM.so", A_DRIVERS), ("triton/_C/libtriton.so", TRITONS)):
        command = ["g++", "-x", "c++", "-", "-shared", "-fPIC", "-o", str(folder / name)]
        subprocess.run(command, input=source, text=True, check=True)
    return folder


@pytest.mark.parametrize(
    ("first", "there", "whose"),
    [
        (["driver"], False, 1),  # what goes wrong: the first that all may use is taken
        (["driver", "deterministic"], True, 2),
        (["deterministic"], False, 2),  # nothing is loaded for nothing
    ],
)
def test_triton_finds_its_own_llvm_beside_that_of_a_driver(
    two_of_llvm: Path, first: list[str], there: bool, whose: int
) -> None:
    command = [sys.executable, "-c", BESIDE_A_DRIVER, str(two_of_llvm), *first]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(there), str(whose)]
