"""Numba, loaded at the first call and not before, so that importing the package stays cheap."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FunctionType
from typing import Any, ParamSpec, TypeVar, cast

from ._compiling import listen_to_numba

P = ParamSpec("P")
R = TypeVar("R")

_building = threading.RLock()  # a loop that calls another builds it on the way


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a loop over host arrays with Numba when it is first called.

    The machine code is cached on disk, so a second process does not compile again. No fast-math:
    additions and multiplications are rounded one by one, as NumPy and CuPy round them, which is what
    makes a compiled loop bit-identical to its array-namespace twin. The loop releases the GIL.

    Parameters
    ----------
    function : callable
        A module-level function in the subset of Python that Numba compiles. It may call others that are
        compiled.

    Returns
    -------
    callable
        A function with the signature of `function`.
    """
    return _compiled_with(function)


def bare(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a loop that makes no array, without counting references.

    Numba counts a reference whenever an array gets a second name, as in every call that it inlines; in a loop that
    does little else this takes half of the time. Such a loop cannot make arrays, and Numba refuses one that does.
    """
    return _compiled_with(function, counting=False)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a part of a `bare` loop into every loop that calls it, where handing on its arrays would cost."""
    return _compiled_with(function, counting=False, inline="always")


def _compiled_with(function: Callable[P, R], *, counting: bool = True, inline: str = "never") -> Callable[P, R]:
    built: list[Callable[P, R]] = []

    def build() -> Callable[P, R]:
        with _building:
            if not built:
                import numba
                from numba.core.options import DefaultOptions

                _prepare()
                options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "inline": inline}
                if not counting and hasattr(DefaultOptions, "_nrt"):  # not public: without it, loops are only slower
                    options["_nrt"] = False
                linked = _linked(function)
                try:
                    built.append(numba.njit(cache=True, **options)(linked))
                except RuntimeError:  # there is no folder that can be written, as `doctor` says
                    built.append(numba.njit(**options)(linked))
        return built[0]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return (built[0] if built else build())(*args, **kwargs)

    call.dispatcher = build  # type: ignore[attr-defined]  # for compiled functions that call this one
    return call


@functools.cache
def _prepare() -> None:
    """Do what comes before the first loop of this process."""
    listen_to_numba()


def _linked(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` with the compiled functions that it names as Numba knows them."""
    plain = cast("FunctionType", function)
    named: dict[str, Any] = {name: plain.__globals__.get(name) for name in plain.__code__.co_names}
    parts = {name: value.dispatcher() for name, value in named.items() if hasattr(value, "dispatcher")}
    if not parts:
        return function
    linked = FunctionType(plain.__code__, plain.__globals__ | parts, plain.__name__, plain.__defaults__)
    linked.__module__, linked.__qualname__ = plain.__module__, f"{plain.__qualname__}_{_fingerprint(parts)}"
    return linked


def _fingerprint(parts: Mapping[str, Any]) -> str:
    """Return a name for the sources of compiled functions that are built into another one.

    Numba's cache looks at the file of a function only: a change to a part in another file would go unseen, were its
    fingerprint not in the name by which the whole is cached.
    """
    found = hashlib.sha256()
    for part in parts.values():
        found.update(part.py_func.__qualname__.encode())  # with the fingerprint of its own parts
        found.update(Path(part.py_func.__code__.co_filename).read_bytes())
    return found.hexdigest()[:8]


_jobs: ContextVar[int] = ContextVar("napari_cutout_jobs", default=1)


@contextmanager
def sharing(n_jobs: int) -> Iterator[None]:
    """Let what runs inside know that so many jobs share the processors."""
    token = _jobs.set(n_jobs)
    try:
        yield
    finally:
        _jobs.reset(token)


def n_threads() -> int:
    """Return the number of processors that this process, or this one of its jobs, may use."""
    import os

    affinity: Any = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return max((len(affinity(0)) if affinity else os.cpu_count() or 1) // _jobs.get(), 1)
