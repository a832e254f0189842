"""The memory that a process touches, on Linux: for the children of tests, which run alone."""

from __future__ import annotations

import ctypes
from pathlib import Path

ON_FAULT = 1
"""Of mlock2: pages are kept once they were touched."""


def touched_from_now() -> int:
    """Let the peak begin anew, and return the bytes that are touched now."""
    _keep_files()
    Path("/proc/self/clear_refs").write_text("5")
    return _size("VmRSS")


def peak() -> int:
    """Return the most bytes that were touched at a time."""
    return _size("VmHWM")


def _keep_files() -> None:
    """Keep the pages of libraries: some systems take back those that rest, which would hide as many new ones."""
    libc = ctypes.CDLL(None)
    for line in Path("/proc/self/maps").read_text().splitlines():
        if " /" in line and hasattr(libc, "mlock2"):
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            libc.mlock2(ctypes.c_void_p(start), ctypes.c_size_t(end - start), ON_FAULT)  # may be more than allowed


def _size(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024
