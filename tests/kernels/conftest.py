"""The kernels on the CPU: NumPy and array-api-strict stand for the GPU's arrays."""

from __future__ import annotations

import pytest

from napari_cutout import kernels

from .cpu_module import CpuModule, why_no_compiler


@pytest.fixture(scope="session")
def compiler() -> None:
    if reason := why_no_compiler():
        pytest.skip(f"the kernels cannot be compiled for the CPU: {reason}")


@pytest.fixture
def on_cpu(compiler: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the launch code run on the CPU, for the length of a test."""
    for library in ("numpy", "array_api_strict"):
        monkeypatch.setitem(kernels.LOADERS, library, CpuModule)
