"""Labels of tiles made into labels of the whole, whatever made them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, from_numpy, is_lazy, to_numpy
from .._checks import check_labels
from .._method import Range
from ._seams import Box, Facts, Rule, Seam, facts_of, numbers_for, renumbered, seam_of, seams_between

__all__ = ["Layout", "stitch", "stitch_regions"]

Shares = Annotated[float, Range(0, 1)]


def stitch(
    labels: Array,
    *,
    chunks: int | Sequence[int | Sequence[int]] | None = None,
    overlap: int | Sequence[int] = 0,
    threshold: float = 0.5,
    share: Literal["union", "smaller"] = "union",
    partners: Literal["one", "all"] = "one",
) -> Array:
    """Join the objects of tiles that were labelled one by one, each with numbers of its own.

    Use it after a program that labels one tile at a time, such as Cellpose or StarDist mapped over the blocks of a dask
    array, to get one number for every object that crosses tiles.

    Parameters
    ----------
    labels : int array of shape ([Z,] Y, X)
        Tiles side by side; 0 is background, and a number means nothing outside its tile. The chunks of a dask array
        are the tiles.
    chunks : int or sequence, optional
        The lengths of the tiles along each axis, for arrays that are no dask arrays: one number for all axes, or for
        each axis one number or all lengths. They hold what `overlap` adds.
    overlap : int or sequence of int
        How many voxels of its neighbours a tile holds, along each axis or all: as ``dask.array.overlap.overlap`` with
        ``boundary="none"`` makes them. Neighbours have twice as many in common, of which each keeps the nearer half.
        With 0 the outermost voxels of neighbours are compared with those opposite.
    threshold : float
        The least share of voxels in common at which two objects are one, 0 to 1; at 0 they must touch.
    share : {"union", "smaller"}
        In common of what: of the voxels of either object there, or of those of the one that has fewer there.
    partners : {"one", "all"}
        "one" joins an object to no more than one in each neighbouring tile, to that with which it has most in common
        if that is mutual: cells stay apart that a tile has told apart. "all" joins every pair above the threshold, as
        for connected components.

    Returns
    -------
    int32 array, same library as `labels`
        Without what was overlap. Objects from 1 by their first voxel in scan order; what touches no other tile stays as
        it is.

    Raises
    ------
    ValueError
        If there are no chunks, or they do not add up, a tile is thinner than its overlap, a label is negative, or a
        setting is out of range.
    TypeError
        If labels are no integers.

    Notes
    -----
    Exact: the result depends neither on the order of tiles nor on the numbers in them. Neighbours that share a face are
    compared, which reaches all objects whose parts touch by faces. Memory: what tiles have in common and 16 bytes
    for each object of a tile; of dask arrays no more than the blocks at work, each of which is read twice.

    Examples
    --------
    >>> import numpy as np
    >>> tiles = np.array([[1, 0, 2, 1, 0, 2], [1, 0, 2, 1, 0, 2]])  # two tiles, each of which numbers from 1
    >>> stitch(tiles, chunks=(2, 3)).tolist()
    [[1, 0, 2, 2, 0, 3], [1, 0, 2, 2, 0, 3]]
    """
    rule, depth = _checked(labels, overlap, threshold, share, partners)
    if is_lazy(labels):
        from ..blockwise import lazy_stitch

        return lazy_stitch(labels, depth, rule)
    if chunks is None:
        raise ValueError(
            f"labels are one array of shape {tuple(labels.shape)} and nothing says where its tiles are; pass chunks, "
            "such as chunks=256, or a dask array"
        )
    tiles = Layout(_chunks_of(chunks, labels.shape), depth)
    host = to_numpy(labels)
    facts = [tiles.facts(host[tiles.region(number)], number) for number in range(tiles.n)]
    numbers = numbers_for(facts, seams_between(facts, tiles.grid, rule))
    out = np.empty(tiles.whole, np.int32)
    for number, f in enumerate(facts):
        own = host[tiles.region(number)][tiles.own(number)]
        out[tiles.place(number)] = renumbered(own, f.label, numbers[number])
    return from_numpy(out, like=labels)


def stitch_regions(
    tiles: Sequence[tuple[Sequence[slice], Array]],
    shape: Sequence[int],
    *,
    threshold: float = 0.5,
    share: Literal["union", "smaller"] = "union",
    partners: Literal["one", "all"] = "one",
) -> NDArray[np.int32]:
    """Join the objects of tiles that lie anywhere, overlapping as they do.

    Parameters
    ----------
    tiles : sequence of (region, labels)
        Where each tile lies, a slice along each axis of the whole, and its labels; 0 is background.
    shape : sequence of int
        The shape of the whole.
    threshold, share, partners : object
        As in `stitch`. Tiles that overlap are compared where they do, others that lie side by side along their face.

    Returns
    -------
    int32 array
        Of that shape, in host memory. Where tiles overlap, the voxel is that of the tile in which it lies farthest from
        an edge that is not the image's, of equal ones that of the region that begins first; 0 where there is no tile.

    Raises
    ------
    ValueError
        If a region and its labels have different shapes, or a setting is out of range.
    TypeError
        If labels are no integers.

    Notes
    -----
    Exact: the order of the tiles does not show. Memory: the result, the tiles and a byte for each of their voxels.

    Examples
    --------
    >>> import numpy as np
    >>> left, right = np.array([[7, 7, 0, 3]]), np.array([[0, 1, 1]])
    >>> stitch_regions([((slice(0, 1), slice(0, 4)), left), ((slice(0, 1), slice(2, 5)), right)], (1, 5)).tolist()
    [[1, 1, 0, 2, 2]]
    """
    boxes = [tuple(slice(int(s.start), int(s.stop)) for s in region) for region, _ in tiles]
    blocks = [to_numpy(block) for _, block in tiles]
    rule = _rule(threshold, share, partners)
    for box, block in zip(boxes, blocks, strict=True):
        check_labels("labels", block, tuple(s.stop - s.start for s in box))
    order = sorted(range(len(boxes)), key=lambda i: [(s.start, s.stop) for s in boxes[i]])
    boxes, blocks = [boxes[i] for i in order], [blocks[i] for i in order]
    owned = _owned(boxes, tuple(shape))
    facts = [_facts_where(*given, tuple(shape)) for given in zip(blocks, boxes, owned, strict=True)]
    numbers = numbers_for(facts, _seams_of(boxes, blocks, rule))
    out = np.zeros(tuple(shape), np.int32)
    for box, block, mine, f, number in zip(boxes, blocks, owned, facts, numbers, strict=True):
        out[box][mine] = renumbered(block, f.label, number)[mine]
    return out


# Settings ----------------------------------------------------------------------------------------------


def _rule(threshold: float, share: Any, partners: Any) -> Rule:
    Range(0, 1).check("threshold", threshold)
    for name, value, known in (("share", share, ("union", "smaller")), ("partners", partners, ("one", "all"))):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    return Rule(float(threshold), share, partners)


def _checked(labels: Array, overlap: Any, threshold: float, share: Any, partners: Any) -> tuple[Rule, tuple[int, ...]]:
    array_namespace(labels)
    if not dtype_name(labels).removeprefix("u").startswith("int"):
        raise TypeError(f"labels must be integers, got {dtype_name(labels)}; convert them with .astype('int32')")
    depth = tuple(overlap) if isinstance(overlap, Sequence) else (overlap,) * labels.ndim
    if len(depth) != labels.ndim or any(d < 0 for d in depth):
        raise ValueError(f"overlap must be 0 or more along each of {labels.ndim} axes, got {overlap}")
    return _rule(threshold, share, partners), tuple(map(int, depth))


def _chunks_of(chunks: Any, shape: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the lengths of all tiles along each axis."""
    given = (chunks,) * len(shape) if isinstance(chunks, int) else tuple(chunks)
    if len(given) != len(shape):
        raise ValueError(f"chunks must be given along each of {len(shape)} axes, got {chunks}")
    lengths = tuple(
        tuple(c) if isinstance(c, Sequence) else (int(c),) * (n // c) + ((n % c,) if n % c else ())
        for c, n in zip(given, shape, strict=True)
    )
    if any(sum(of_axis) != n for of_axis, n in zip(lengths, shape, strict=True)):
        raise ValueError(f"chunks {chunks} do not add up to the shape of labels, {tuple(shape)}; give all lengths")
    return lengths


class Layout:
    """Where the tiles of an array lie, with and without what they have of their neighbours.

    Parameters
    ----------
    chunks : tuple of tuple of int
        Lengths of the tiles, overlap included.
    depth : tuple of int
        The overlap along each axis.
    """

    def __init__(self, chunks: tuple[tuple[int, ...], ...], depth: tuple[int, ...]) -> None:
        self.depth, self.grid = depth, tuple(map(len, chunks))
        self._held = chunks
        margins = [
            [(d * (i > 0), d * (i < len(sizes) - 1)) for i in range(len(sizes))]
            for d, sizes in zip(depth, chunks, strict=True)
        ]
        self._margins = margins
        self.chunks = tuple(
            tuple(n - low - high for n, (low, high) in zip(sizes, cut, strict=True))
            for sizes, cut in zip(chunks, margins, strict=True)
        )
        for axis, sizes in enumerate(self.chunks):
            if len(sizes) > 1 and min(sizes) < max(depth[axis], 1):
                raise ValueError(
                    f"a tile has {min(sizes)} voxels of its own along axis {axis} and an overlap of {depth[axis]}; "
                    "take larger tiles or a smaller overlap"
                )
        self.whole = tuple(map(sum, self.chunks))
        self.n = int(np.prod(self.grid))

    def _at(self, number: int) -> tuple[int, ...]:
        return tuple(map(int, np.unravel_index(number, self.grid)))

    def region(self, number: int) -> Box:
        """Return where a tile lies in the array that is given."""
        return _region(self._held, self._at(number))

    def place(self, number: int) -> Box:
        """Return where its own voxels lie in the result."""
        return _region(self.chunks, self._at(number))

    def own(self, number: int) -> Box:
        """Return which of its voxels are its own."""
        at = self._at(number)
        return tuple(
            slice(cut[i][0], sizes[i] - cut[i][1]) for cut, sizes, i in zip(self._margins, self._held, at, strict=True)
        )

    def slabs(self, number: int) -> dict[tuple[int, int], Box]:
        """Return what is compared with each neighbour, without the margins along other axes."""
        at, own, found = self._at(number), self.own(number), {}
        for axis, side in itertools.product(range(len(at)), (0, 1)):
            if 0 <= at[axis] + (1 if side else -1) < self.grid[axis]:
                thick, n = 2 * self.depth[axis] or 1, self._held[axis][at[axis]]
                plane = slice(n - thick, n) if side else slice(0, thick)
                found[axis, side] = tuple(plane if a == axis else s for a, s in enumerate(own))
        return found

    def facts(self, block: Array, number: int) -> Facts:
        """Return the facts of a tile."""
        origin = [s.start for s in self.place(number)]
        return facts_of(block, self.own(number), origin, self.whole, self.slabs(number))


def _region(chunks: Sequence[Sequence[int]], at: Sequence[int]) -> Box:
    starts = [sum(sizes[:i]) for sizes, i in zip(chunks, at, strict=True)]
    return tuple(slice(s, s + sizes[i]) for s, sizes, i in zip(starts, chunks, at, strict=True))


# Tiles that lie anywhere -------------------------------------------------------------------------------


def _owned(boxes: Sequence[Box], shape: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    """Return which voxels of each tile are in the result."""
    owned = [np.ones(tuple(s.stop - s.start for s in box), bool) for box in boxes]
    for i, j in itertools.combinations(range(len(boxes)), 2):
        common = _common(boxes[i], boxes[j])
        if common is not None:
            second = _inside_by(boxes[j], common, shape) > _inside_by(boxes[i], common, shape)
            owned[i][_local(boxes[i], common)] &= ~second
            owned[j][_local(boxes[j], common)] &= second
    return owned


def _common(one: Box, two: Box) -> Box | None:
    box = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, two, strict=True))
    return box if all(s.start < s.stop for s in box) else None


def _local(box: Box, part: Box) -> Box:
    return tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, box, strict=True))


def _inside_by(box: Box, part: Box, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return how far the voxels of a part lie from the edges of a tile that are not edges of the image."""
    depth: Any = np.iinfo(np.int64).max
    for axis, (b, p, n) in enumerate(zip(box, part, shape, strict=True)):
        at = np.arange(p.start, p.stop, dtype=np.int64).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        if b.start > 0:
            depth = np.minimum(depth, at - b.start)
        if b.stop < n:
            depth = np.minimum(depth, b.stop - 1 - at)
    return np.broadcast_to(depth, tuple(s.stop - s.start for s in part))


def _facts_where(block: NDArray[Any], box: Box, mine: NDArray[np.bool_], shape: tuple[int, ...]) -> Facts:
    everything, origin = tuple(slice(0, n) for n in block.shape), [s.start for s in box]
    held = facts_of(block, everything, origin, shape, {})
    shown = facts_of(np.where(mine, block, 0), everything, origin, shape, {})
    first = np.full(len(held.label), -1, np.int64)
    first[np.searchsorted(held.label, shown.label)] = shown.first
    return Facts(held.label, first, {})


def _seams_of(boxes: Sequence[Box], blocks: Sequence[NDArray[Any]], rule: Rule) -> list[Seam]:
    found = []
    for i, j in itertools.combinations(range(len(boxes)), 2):
        common = _common(boxes[i], boxes[j])
        ends = (common, common) if common is not None else _facing(boxes[i], boxes[j])
        if ends is not None:
            one, two = (blocks[k][_local(boxes[k], end)] for k, end in zip((i, j), ends, strict=True))
            found.append(Seam(i, j, seam_of(one, two, rule)))
    return found


def _facing(one: Box, two: Box) -> tuple[Box, Box] | None:
    """Return the voxels of two tiles that lie opposite, if the tiles lie side by side along one axis."""
    beside = [axis for axis, (a, b) in enumerate(zip(one, two, strict=True)) if a.stop == b.start or b.stop == a.start]
    along = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, two, strict=True)]
    if len(beside) != 1 or any(s.start >= s.stop for axis, s in enumerate(along) if axis not in beside):
        return None
    (axis,) = beside
    first = one[axis].stop == two[axis].start
    ends = []
    for box, last in ((one, first), (two, not first)):
        plane = slice(box[axis].stop - 1, box[axis].stop) if last else slice(box[axis].start, box[axis].start + 1)
        ends.append(tuple(plane if a == axis else s for a, s in enumerate(along)))
    return ends[0], ends[1]
