"""What a run may take: memory, cores, and the size of its tiles, as asked for or as this machine has it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._memory import Free, host_memory, parse_bytes, within

__all__ = ["Limits", "limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take.

    Parameters
    ----------
    host : Free
        Host memory.
    cores : int
        Tiles at work at most.
    tile : tuple of int
        Edges of a tile that were asked for, along the last axes; one for all of them; empty to choose.
    gpu : int
        Bytes of a GPU that is assumed to be there, which this machine may not have; 0 for the one that it has.
    """

    host: Free
    cores: int
    tile: tuple[int, ...] = ()
    gpu: int = 0


def limits(
    *,
    memory: str | int | None = None,
    tile: int | Sequence[int] | None = None,
    workers: int | None = None,
    assume_gpu: str | int | None = None,
) -> Limits:
    """Return what a run may take: what was asked for, and else what this machine has.

    Parameters
    ----------
    memory : str or int, optional
        The most host memory that the process may hold, such as ``"4GiB"``; by default what is free is looked up.
    tile : int or sequence of int, optional
        Edges of a tile along the last axes; one number for all of them.
    workers : int, optional
        Tiles at work at most; by default one for each core.
    assume_gpu : str or int, optional
        Memory of a GPU to plan for, such as ``"48GiB"``.

    Returns
    -------
    Limits
        Checked.

    Raises
    ------
    ValueError
        If one of them is no number of its kind.
    """
    edges = tuple(tile) if isinstance(tile, Sequence) else () if tile is None else (tile,)
    if tile is not None and not (edges and all(isinstance(e, int | np.integer) and e > 0 for e in edges)):
        raise ValueError(f"tile must be one edge in voxels, or one for each axis, such as 256, got {tile!r}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers!r}")
    return Limits(
        host_memory() if memory is None else within(parse_bytes(memory)),
        _cores() if workers is None else int(workers),
        tuple(map(int, edges)),
        0 if assume_gpu is None else parse_bytes(assume_gpu),
    )


def _cores() -> int:
    """Return on how many cores this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
