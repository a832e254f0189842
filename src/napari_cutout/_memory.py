"""How much host memory there is for a run, and which limit says so."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HOST_SHARE", "Free", "allowing", "free_host_memory", "host_memory", "parse_bytes", "size"]

HOST_SHARE = 0.8
"""Share of the free host memory that a run may plan with; a host that runs out kills, it does not raise."""

LIBRARIES = "numba"
"""The largest of the libraries that a run loads."""

LOADING = 150 << 20
"""Bytes that libraries take, and what they compile, where a run has not loaded them yet. Measured."""

UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
"""Powers of 1024, or of 1000, by the first letter of a unit."""


@dataclass(frozen=True, slots=True)
class Free:
    """Memory that a run may plan with.

    Parameters
    ----------
    n_bytes : int
        How much.
    found_in : str
        Which limit says so, such as ``"the limit of its control group"``.
    """

    n_bytes: int
    found_in: str


_allowed: ContextVar[Free | None] = ContextVar("napari_cutout_memory", default=None)


@contextmanager
def allowing(free: Free | None) -> Iterator[None]:
    """Let everything that asks for free host memory inside be told this; None leaves it to what is found."""
    token = _allowed.set(free)
    try:
        yield
    finally:
        _allowed.reset(token)


def free_host_memory(root: Path = Path("/")) -> int:
    """Return how many bytes of host memory a run may plan with.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.

    Returns
    -------
    int
        As `host_memory` says.
    """
    return host_memory(root).n_bytes


def host_memory(root: Path = Path("/")) -> Free:
    """Return how much host memory a run may plan with, and which limit says so.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.

    Returns
    -------
    Free
        `HOST_SHARE` of the smallest of what the machine has available, what each control group that holds this
        process (version 1 or 2) still allows, and what is left of the address space that the process may have
        (``ulimit -v``); or what `allowing` says.
    """
    import psutil

    if (allowed := _allowed.get()) is not None:
        return allowed
    found = [(int(psutil.virtual_memory().available), "what the machine has available")]
    found += [(left, "the limit of its control group") for left in _left_in_groups(root)]
    found += [(left, "the limit of its address space (ulimit -v)") for left in _left_of_addresses(root)]
    left, found_in = min(found)
    return Free(int(HOST_SHARE * left), found_in)


def within(n_bytes: int) -> Free:
    """Return what a run may plan with in a process that may hold so many bytes, those that it holds now included."""
    import psutil

    to_come = 0 if LIBRARIES in sys.modules else LOADING
    left = max(n_bytes - int(psutil.Process().memory_info().rss) - to_come, 0)
    return Free(int(HOST_SHARE * left), "what was asked for")


def parse_bytes(text: str | int) -> int:
    """Read a number of bytes.

    Parameters
    ----------
    text : str or int
        Such as ``"4GiB"``, ``"1.5 G"`` (of 1024), ``"800MB"`` (of 1000), or a plain number.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        If it is no such number.

    Examples
    --------
    >>> parse_bytes("4GiB"), parse_bytes("1.5 kB")
    (4294967296, 1500)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgtp]?)(i?b?)\s*", str(text).lower())
    n_bytes = 0
    if found:
        number, unit, ending = found.groups()
        n_bytes = round(float(number) * (1000 if unit and ending == "b" else 1024) ** UNITS[unit])
    if n_bytes < 1:
        raise ValueError(f"memory must be a number of bytes such as '4GiB' or '800MB', got {text!r}")
    return n_bytes


def size(n_bytes: float) -> str:
    """Write a number of bytes for people, such as ``"1.5 GiB"``."""
    if n_bytes < 1024:
        return f"{n_bytes:.0f} bytes"
    power = min(int(math.log2(n_bytes) // 10), 4)
    return f"{n_bytes / 1024**power:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


def _left_of_addresses(root: Path) -> Iterator[int]:
    """Yield the bytes of address space that this process may still take, where it has a limit."""
    if sys.platform == "win32":
        return
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return
    pages = _read(root / "proc/self/statm").split()
    used = int(pages[0]) * resource.getpagesize() if pages else 0
    yield max(most - used, 0)


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield the bytes that every control group above this process still allows."""
    membership = _read(root / "proc/self/cgroup")
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from _left(root / "sys/fs/cgroup", path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _left(root / "sys/fs/cgroup/memory", path, *names)


def _left(mount: Path, path: str, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    inner = mount / path.strip("/")
    # Inside a container the path may be that of the host, and the group itself is the mount.
    for group in dict.fromkeys((inner, *inner.parents, mount)):
        if group != mount and mount not in group.parents:
            continue
        most, used = _read(group / limit), _read(group / usage)
        if most.isdigit() and used.isdigit():
            cached = next((w[1] for w in _words(group / "memory.stat") if w[0] == reclaimable), "0")
            yield max(int(most) - max(int(used) - int(cached), 0), 0)


def _words(path: Path) -> Iterator[list[str]]:
    return (line.split() for line in _read(path).splitlines() if len(line.split()) == 2)


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""
