"""Fixtures that all tests share: array libraries, real images where they are, and what may not be skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

from napari_cutout import kernels
from napari_cutout.unet._torch import NoTorch

from . import strict
from .kernels.cpu_module import CpuModule, why_no_compiler
from .s3 import s3 as s3

settings.register_profile(  # a busy machine may take seconds to draw examples, which says nothing of the tests
    "ci", max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(  # for code that is broken on purpose: red is enough, the smallest example is not wanted
    "broken", settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate)
)
settings.register_profile(
    "long", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run tests marked slow")
    parser.addoption(
        "--must-run", default="", metavar="MARKS", help="comma-separated marks whose tests fail if they are skipped"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        skip = pytest.mark.skip(reason="slow: run by `make test-long`")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    marks = {m for m in item.config.getoption("--must-run").split(",") if m}
    carried = {mark.name for mark in item.iter_markers()}  # keywords hold the names of folders too
    if report.skipped and not hasattr(report, "wasxfail") and marks & carried and "slow" not in carried:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped here: {call.excinfo and call.excinfo.value}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip the cases of all methods that stop for want of torch, where it is not installed."""
    try:
        yield
    except NoTorch as error:
        if find_spec("torch") is not None:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real annotated images, which is not part of the repository."""
    folder = Path(os.environ.get("NAPARI_CUTOUT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real images are not at {folder}; NAPARI_CUTOUT_DATA may name another folder")
    return folder


@pytest.fixture(autouse=True, scope="module")
def one_thread_of_torch(request: pytest.FixtureRequest) -> None:
    """Let torch run in one thread, where it is used: on small networks more are slower, and slow on a busy machine."""
    if "unet" in request.node.nodeid and find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)


def read_only(array: Any) -> np.ndarray:
    array = np.array(array)
    array.flags.writeable = False
    return array


LIBRARIES: dict[str, Callable[[Any], Any]] = {
    "numpy": read_only,
    "strict": strict.on_host,
    "strict-device": strict.on_device,
}


@pytest.fixture(params=LIBRARIES)
def to_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Return a function that copies a host array to one of the array libraries; kernels of all but NumPy run too."""
    monkeypatch.setitem(kernels.LOADERS, "array_api_strict", on_the_cpu)
    return LIBRARIES[request.param]


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the launch code of kernels run on the CPU, for the length of a test, on NumPy arrays too."""
    for library in ("numpy", "array_api_strict"):
        monkeypatch.setitem(kernels.LOADERS, library, on_the_cpu)


def on_the_cpu(source: Path, options: tuple[str, ...]) -> CpuModule:
    """Compile kernels for the CPU, or skip the test that asks for them."""
    if reason := why_no_compiler():
        pytest.skip(f"the kernels cannot be compiled for the CPU: {reason}")
    return CpuModule(source, options)


@pytest.fixture
def to_gpu() -> Callable[[Any], Any]:
    """Return a function that copies a host array to the GPU; skip where there is none."""
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    if not cupy.cuda.is_available():
        pytest.skip("no usable GPU")
    return cupy.asarray
