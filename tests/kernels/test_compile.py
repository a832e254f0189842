"""Every kernel file, with every define it knows, goes through NVIDIA's own compilers."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from napari_cutout import kernels

from . import nvrtc
from .cpu_module import HERE, KERNEL

CHOICE = re.compile(r"^// -D (\w+) +(.+?):", re.MULTILINE)
"""A line of a header such as ``// -D INDEX   int (default) or long long: what it is``."""


def variants() -> list[tuple[Path, tuple[str, ...]]]:
    """Return every file, the tests' own too, with every combination of what its header and portable.cuh list."""
    shared = (kernels.FOLDER / "portable.cuh").read_text()
    found = []
    for path in [*sorted(kernels.FOLDER.glob("*.cu")), *sorted(HERE.glob("*.cu"))]:
        text = path.read_text()
        listed = CHOICE.findall(text + shared if '"portable.cuh"' in text else text)
        choices = [[f"-D{name}={value}" for value in values_of(words)] for name, words in dict(listed).items()]
        found += [(path, options) for options in itertools.product(*choices)]
    return found


def extremes() -> list[tuple[Path, tuple[str, ...]]]:
    """Return every file with its defaults, and with the last of all choices."""
    of_file = [list(group) for _, group in itertools.groupby(variants(), key=lambda variant: variant[0])]
    return [variant for group in of_file for variant in dict.fromkeys((group[0], group[-1]))]


def values_of(words: str) -> list[str]:
    return [word.replace("(default)", "").strip() for word in re.split(r", | or ", words)]


def shown(value: object) -> str:
    return value.stem if isinstance(value, Path) else " ".join(value) if isinstance(value, tuple) else str(value)


@pytest.fixture
def with_nvrtc() -> None:
    if nvrtc.library() is None:
        pytest.skip("NVRTC is not installed; its wheel is nvidia-cuda-nvrtc-cu12, for Linux and Windows")


def test_defines_are_read_from_the_header() -> None:
    assert CHOICE.findall("// -D INDEX   int (default) or long long: the type") == [
        ("INDEX", "int (default) or long long")
    ]
    assert values_of("int (default) or long long") == ["int", "long long"]
    assert values_of("1, 2 (default), 3") == ["1", "2", "3"]


@pytest.mark.kernels
@pytest.mark.usefixtures("with_nvrtc")
@pytest.mark.parametrize("architecture", ["compute_75", "sm_90"])
@pytest.mark.parametrize(("source", "defines"), variants(), ids=shown)
def test_nvrtc_compiles(source: Path, defines: tuple[str, ...], architecture: str) -> None:
    flags = (f"--gpu-architecture={architecture}", "-I" + str(kernels.FOLDER), *kernels.FLAGS)
    result, log = nvrtc.compile_cuda(source, (*flags, *defines))
    assert (result, log.strip("\0\n")) == (0, "")


@pytest.mark.kernels
@pytest.mark.usefixtures("with_nvrtc")
def test_nvrtc_refuses_what_is_not_cuda(tmp_path: Path) -> None:
    broken = tmp_path / "broken.cu"
    broken.write_text('extern "C" __global__ void values_lose(int* values) { *values = lost; }')
    result, log = nvrtc.compile_cuda(broken, ("--gpu-architecture=compute_80",))
    assert result != 0
    assert 'identifier "lost" is undefined' in log


@pytest.mark.parametrize(("source", "defines"), extremes(), ids=shown)
def test_nvcc_compiles_without_a_warning(source: Path, defines: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("there is no nvcc; NVRTC has compiled the same files")
    flags = ("-arch=sm_90", "--cubin", "-Werror", "all-warnings", f"-I{kernels.FOLDER}", *kernels.FLAGS)
    command = ["nvcc", *flags, *defines, str(source), "-o", str(tmp_path / "out.cubin")]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("source", sorted(kernels.FOLDER.glob("*.cu")), ids=shown)
def test_a_kernel_file_is_a_document(source: Path) -> None:
    text = source.read_text()
    header = "".join(itertools.takewhile(lambda line: line.startswith("//"), text.splitlines(keepends=True)))
    for part in ("DOI:|http", "Departures", "Work:|Complexity:", "Memory:"):
        assert re.search(part, header), f"the header of {source.name} says nothing of {part}"
    names = KERNEL.findall(text)
    assert names
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in names)
    assert text.count('extern "C" __global__ void') == len(names)
    assert max(map(len, text.splitlines())) <= 120
