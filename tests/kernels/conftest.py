"""The kernels on the CPU: NumPy and array-api-strict stand for the GPU's arrays."""

from __future__ import annotations

import pytest

from .cpu_module import why_no_compiler


@pytest.fixture(scope="session")
def compiler() -> None:
    if reason := why_no_compiler():
        pytest.skip(f"the kernels cannot be compiled for the CPU: {reason}")
