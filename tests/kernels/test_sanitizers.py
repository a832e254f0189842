"""The kernels under ThreadSanitizer, AddressSanitizer and UndefinedBehaviorSanitizer, in a process of their own.

Every CUDA thread is a thread of the CPU there. What must be clean are the bodies of other tests; what must be caught
are the bugs of ``planted.cu``, which no value shows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .cpu_module import HERE, SANITIZER, why_no_compiler

pytestmark = [pytest.mark.kernels, pytest.mark.slow]

ROOT = HERE.parents[1]
LIBRARIES = {"thread": "libtsan.so", "address,undefined": "libasan.so"}
OPTIONS = {"TSAN_OPTIONS": "halt_on_error=1:exitcode=66", "ASAN_OPTIONS": "detect_leaks=0"}  # Python leaks by design
BODIES = {
    "watershed": ("test_watershed_kernels.py", "racing"),
    "walk": ("test_walk_kernels.py", "racing"),
    "distance": ("test_distance_kernel.py", "kernel_and_host_find_the_same and not anything"),
    "slic": ("test_slic_kernels.py", "racing"),
    "shim": ("test_shim.py", "threads_of_a_block or many_blocks or many-blocks"),
}


def run_under(sanitizer: str, *command: str) -> subprocess.CompletedProcess[str]:
    if reason := why_no_compiler():
        pytest.skip(f"there are no sanitizers: {reason}")
    name = LIBRARIES[sanitizer]
    found = subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    library = Path(found.stdout.strip())
    if not library.is_absolute():
        pytest.skip(f"g++ has no {name}")
    environment = os.environ | OPTIONS | {"LD_PRELOAD": str(library), SANITIZER: sanitizer}
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280
    )


@pytest.mark.parametrize("sanitizer", LIBRARIES)
@pytest.mark.parametrize("body", BODIES)
def test_kernels_are_clean(body: str, sanitizer: str) -> None:
    file, chosen = BODIES[body]
    quiet = ("-pno:cacheprovider", "-pno:xvfb", "-qxs", "--must-run=kernels")  # not captured, or the report is lost
    run = run_under(sanitizer, "-m", "pytest", *quiet, str(HERE / file), "-k", f"({chosen}) and not cupy")
    assert run.returncode == 0, f"{run.stdout[-3000:]}{run.stderr[:3000]}"


PLANTED = """
import numpy as np
from tests.kernels.cpu_module import CpuModule, HERE
values = np.full(4, 2**31 - 1, np.int32)
CpuModule(HERE / "planted.cu").get_function("{kernel}")({grid}, {block}, (values, {argument}))
print("nothing was caught")
"""


@pytest.mark.parametrize(
    ("kernel", "grid", "block", "argument", "sanitizer", "message"),
    [
        ("planted_race", (1,), (8,), "", "thread", "data race"),
        ("planted_race", (8,), (2,), "", "thread", "data race"),
        ("planted_overrun", (1,), (8,), "np.int32(4)", "address,undefined", "heap-buffer-overflow"),
        ("planted_overflow", (1,), (1,), "", "address,undefined", "signed integer overflow"),
    ],
)
def test_planted_bugs_are_caught(
    kernel: str, grid: tuple[int], block: tuple[int], argument: str, sanitizer: str, message: str
) -> None:
    script = PLANTED.format(kernel=kernel, grid=grid, block=block, argument=argument)
    run = run_under(sanitizer, "-c", script)
    assert run.returncode != 0
    assert message in run.stderr
    assert "planted.cu" in run.stderr
    assert not run.stdout
