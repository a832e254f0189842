"""A short probe: a recipe runs on a few small tiles of an image, so that a plan can say what the whole will take."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._array import Array, to_numpy
from .._monitor import Cancelled, watch
from .._plan import Slices
from .._selection import Selection
from ..blockwise import Stored, Threads, write_labels
from ..blockwise._sweeps import Chunks, Work, regions_of
from ..recipe import Recipe
from ._execute import execute
from ._in_sweeps import in_sweeps
from ._run_plan import RunPlan

__all__ = ["probed"]

ENOUGH = 0.3
"""Seconds that a probe takes at least before it is believed, where the image is large enough."""

PATIENCE = 10.0
"""Seconds after which a probe is given up."""

COMPILING = 60.0
"""Seconds that the first probe may take, which may have to compile the method; a run would have to as well."""

EDGES = {2: (128, 512), 3: (24, 64)}
"""Edges of the tiles of a first and of a second probe, in planes and in volumes."""


def probed(
    plan: RunPlan, recipe: Recipe, inputs: Mapping[str, Array], spacing: Sequence[float] | None = None
) -> RunPlan:
    """Return a plan with what a short probe tells of sweeps, bytes and time.

    Parameters
    ----------
    plan : RunPlan
        What will be done.
    recipe : Recipe
        What will run.
    inputs : mapping of str to array
        On what, as they are stored; only a box in the middle is read.
    spacing : sequence of float, optional
        World length of a voxel along each axis.

    Returns
    -------
    RunPlan
        Unchanged but for a note where the method refuses the box, or takes too long.
    """
    selection = recipe.selection or Selection("zyx"[-inputs[recipe.source].ndim :])
    try:
        found = _grown(plan, recipe, inputs, selection, spacing)
    except Cancelled as error:
        return _noting(plan, f"how long it takes is not known: {error}")
    except (ValueError, TypeError, ArithmeticError, MemoryError) as error:
        return _noting(plan, f"how long it takes is not known: a probe of the middle failed ({error})")
    return _with(plan, found, inputs[recipe.source], selection)


def _noting(plan: RunPlan, text: str) -> RunPlan:
    return replace(plan, notes=(*plan.notes, text))


@dataclass(slots=True)
class _Seen:
    """What a probe saw."""

    shape: tuple[int, ...]
    tile: tuple[int, ...]
    reads: Counter[tuple[int, ...]] = field(default_factory=Counter)
    apart: int = 0
    in_step: bool = True
    n_sweeps: int = 0
    scratch: int = 0
    seconds: float = 0.0
    reading: float = 0.0

    @property
    def n_tiles(self) -> int:
        """How many tiles there were."""
        return math.prod(-(-n // e) for n, e in zip(self.shape, self.tile, strict=True))

    def voxels(self, shape: Sequence[int], tile: Sequence[int]) -> float:
        """Return the voxels that are read in all sweeps over an image, halos included."""
        apart = self.apart / math.prod(self.shape) * math.prod(shape)  # by tiles that a method chose for itself
        return apart + sum(n / self.n_tiles * _read(shape, tile, width) for width, n in self.reads.items())


def _read(shape: Sequence[int], tile: Sequence[int], width: Sequence[int]) -> float:
    """Return the voxels of all tiles of an image and of what is read around them."""
    along = [-(-n // e) * min(e + 2 * w, n) for n, e, w in zip(shape, tile, width, strict=True)]
    return float(math.prod(max(a, n) if e < n else n for a, n, e in zip(along, shape, tile, strict=True)))


def _grown(
    plan: RunPlan,
    recipe: Recipe,
    inputs: Mapping[str, Array],
    selection: Selection,
    spacing: Sequence[float] | None,
) -> _Seen:
    """Probe once to compile, and again to measure; once more on larger tiles, if that took no time."""
    found: _Seen | None = None
    for edge in EDGES[len(plan.shape)]:
        held, reading = _middle(inputs, selection, plan.shape, tuple(min(e, edge) for e in plan.tile))
        shape = _shape(held[recipe.source], selection)
        if found is None:
            try:
                _run(plan, recipe, held, shape, edge, spacing, time.monotonic() + COMPILING)
            except Cancelled:
                raise Cancelled(f"to compile it took more than {COMPILING:.0f} s") from None
        try:
            found = _run(plan, recipe, held, shape, edge, spacing, time.monotonic() + PATIENCE)
        except Cancelled:
            if found is None:
                raise Cancelled(f"a probe of the middle took more than {PATIENCE:.0f} s") from None
            break
        found.reading = reading
        if found.seconds >= ENOUGH:
            break
    assert found is not None
    return found


def _shape(image: Array, selection: Selection) -> tuple[int, ...]:
    axis = selection.channel_axis
    shape = tuple(map(int, image.shape))
    return shape if axis is None or image.ndim == len(selection.run_axes) else shape[:axis] + shape[axis + 1 :]


def _middle(
    inputs: Mapping[str, Array], selection: Selection, shape: Sequence[int], tile: Sequence[int]
) -> tuple[dict[str, Array], float]:
    """Read a box of two tiles along each axis out of the middle, and tell the seconds for each byte of it."""
    source = max(inputs.values(), key=lambda a: a.ndim)
    bounds = selection.bounds(tuple(source.shape))
    edges = dict(zip(selection.run_axes, tile, strict=True))
    part: list[slice | int] = []
    for axis, (start, stop) in zip(selection.kept_axes, bounds, strict=True):
        if axis in selection.each:
            part.append((start + stop) // 2)
            continue
        n = min(2 * edges[axis], stop - start)
        first = start + (stop - start - n) // 2
        part.append(slice(first, first + n))
    began = time.perf_counter()
    held = {name: np.ascontiguousarray(to_numpy(selection.cut(a, part))) for name, a in inputs.items()}
    seconds = time.perf_counter() - began
    read = sum(_touched(a, part) for a in inputs.values())
    return held, seconds / max(read, 1)


def _touched(array: Array, part: Sequence[slice | int]) -> int:
    """Return the bytes of the chunks that a box touches; of an array in memory, those of the box."""
    chunks = getattr(array, "chunks", None)
    if not chunks or array.ndim != len(part):
        return math.prod(int(s.stop - s.start) if isinstance(s, slice) else 1 for s in part) * _itemsize(array)
    edges = [int(c) if isinstance(c, int) else int(max(c)) for c in chunks]
    ends = [(s.start, s.stop) if isinstance(s, slice) else (s, s + 1) for s in part]
    whole = [(-(-int(b) // e) - int(a) // e) * e for (a, b), e in zip(ends, edges, strict=True)]
    return math.prod(whole) * _itemsize(array)


def _itemsize(array: Array) -> int:
    return int(np.dtype(array.dtype).itemsize)


def _run(
    plan: RunPlan,
    recipe: Recipe,
    held: Mapping[str, Array],
    shape: tuple[int, ...],
    edge: int,
    spacing: Sequence[float] | None,
    stop: float,
) -> _Seen:
    """Run a recipe on a box, as the plan says: whole, or in sweeps over tiles."""
    tile = tuple(min(e, edge, n) for e, n in zip(plan.tile, shape, strict=True))
    seen = _Seen(shape, tile if plan.mode == "tiles" else shape)
    of_part = replace(recipe, selection=None if recipe.selection is None else recipe.selection.of_part)
    began = time.perf_counter()
    if plan.mode == "whole":
        used = plan.device if not plan.assumed else "cpu"
        execute(of_part, held, spacing=spacing, device=used, is_cancelled=lambda: time.monotonic() > stop)
        seen.n_sweeps, seen.reads[(0,) * len(shape)] = 1, 1
    else:
        sweeper = _Counting(tile, plan.workers, seen=seen)
        sources = {name: _Counted(Stored(array), seen, name == recipe.source) for name, array in held.items()}
        with watch(None, lambda: time.monotonic() > stop):
            made = in_sweeps(of_part, sources, sweeper, spacing=spacing)
            write_labels(made.labels, _Nowhere(), regions_of(sweeper.chunks(shape)), sweeper)
    seen.seconds = time.perf_counter() - began
    return seen


@dataclass(slots=True)
class _Counting(Threads):
    """Threads that count sweeps, and what is stored on the way."""

    seen: _Seen = field(kw_only=True)

    def each(self, name: str, work: Work, numbers: Sequence[int]) -> Iterator[Any]:
        self.seen.n_sweeps += 1
        self.seen.in_step = len(numbers) == self.seen.n_tiles
        return Threads.each(self, name, work, numbers)

    def scratch(self, shape: Sequence[int], dtype: str, chunks: Chunks) -> Any:
        self.seen.scratch += math.prod(shape) * np.dtype(dtype).itemsize
        return Threads.scratch(self, shape, dtype, chunks)


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """An array in memory that notes which regions are read of it."""

    stored: Stored
    seen: _Seen
    counts: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.stored.shape

    @property
    def dtype(self) -> str:
        """The dtype of what is read."""
        return self.stored.dtype

    def read(self, region: Slices) -> Array:
        """Return a region, and count it."""
        seen, inner = self.seen, region[-len(self.seen.tile) :]
        if self.counts and seen.in_step:
            seen.reads[_width(inner, seen.tile, seen.shape)] += 1
        elif self.counts:
            seen.apart += math.prod(part.stop - part.start for part in inner)
        return self.stored.read(region)


def _width(region: Slices, tile: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Return how far a region reaches beyond the tile that its middle lies in, on the side that reaches farther."""
    along = []
    for part, edge, n in zip(region, tile, shape, strict=True):
        start = (part.start + part.stop - 1) // 2 // edge * edge
        along.append(max(start - part.start, part.stop - min(start + edge, n), 0))
    return tuple(along)


class _Nowhere:
    """A target that keeps nothing."""

    def write(self, region: Slices, block: Array) -> None:
        """Forget a block."""


def _with(plan: RunPlan, seen: _Seen, image: Array, selection: Selection) -> RunPlan:
    """Carry what a probe saw over to the whole."""
    n_voxels = math.prod(plan.shape) * plan.n_parts
    voxels = seen.voxels(plan.shape, plan.tile) * plan.n_parts
    read = voxels * _itemsize(image) * selection.n_channels(tuple(image.shape))
    scratch = seen.scratch / math.prod(seen.shape) * n_voxels
    computing = seen.seconds / max(seen.voxels(seen.shape, seen.tile), 1.0) * voxels
    moving = seen.reading * (read + 2 * scratch + plan.result_bytes) / plan.workers
    return replace(
        plan,
        sweeps=seen.n_sweeps * plan.n_parts,
        read_bytes=int(read),
        scratch_bytes=int(scratch),
        seconds=None if plan.assumed else computing + moving,
    )
