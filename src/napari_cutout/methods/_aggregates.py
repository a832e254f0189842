"""How the voxels of a lattice and the nodes of a graph are merged, on the host.

A level becomes a coarser one when nodes that hold together are merged: three times in a row, every node pairs with the
strong neighbour that it holds to most, and one that finds none left joins the pair of its strongest neighbour. Edges
are ranked by their order of magnitude in powers of two, and then by whether they lie inside a block of the image; so
where weights are alike the aggregates are blocks of 2 x 2 x 2 voxels, and across a boundary that an image shows there
are none. Between aggregates the weights are summed (Galerkin's product with a prolongation that is constant on each),
so every level is a graph of its own, with nothing but positive weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import n_threads
from .._monitor import tick
from . import _graph_pairs as graph_pairs
from . import _lattice_pairs as lattice_pairs
from ._levels import MANY, Aggregation, Floats, Graph, Ints, over

__all__ = ["LEAST_SHRINKAGE", "PASSES", "ROUNDS", "Coarser", "Lattice", "coarser"]

ROUNDS = 3
"""How often nodes propose to each other in one pass."""

PASSES = 3
"""How often nodes are paired on the way from one level to the next."""

LEAST_SHRINKAGE = 0.9
"""A level that is not smaller than this, as a share of the one before, is the last."""


class Lattice(NamedTuple):
    """Weights of the edges to the next voxel along each axis; all arrays have a plane of zeros at either end."""

    shape: tuple[int, int, int]
    weights: tuple[Floats, Floats, Floats]
    inverse: Floats

    @property
    def plane(self) -> int:
        return self.shape[1] * self.shape[2]

    @property
    def n(self) -> int:
        return math.prod(self.shape)

    @property
    def cells(self) -> tuple[Floats, Floats, Floats, Floats]:
        return (*self.weights, self.inverse)


class Coarser(NamedTuple):
    """How nodes are merged, the next level, and the voxel where each of its nodes begins."""

    merged: Aggregation
    graph: Graph
    places: Ints


def coarser(level: Lattice | Graph, places: Ints | None, shape: tuple[int, int, int], done: int) -> Coarser:
    """Return the next level, in `PASSES` passes that merge pairs.

    Parameters
    ----------
    level : Lattice or Graph
        What is made coarser.
    places : int32 array or None
        The voxel where each node begins; None for voxels.
    shape : tuple of int
        Shape of the lattice.
    done : int
        Passes on the way to this level.
    """
    number: Ints | None = None
    strength = _strongest(level)
    for k in range(1 if isinstance(level, Lattice) else 0, PASSES):
        tick(k, PASSES)
        if isinstance(level, Lattice):  # which does two passes
            root = _first_voxels(level, strength)
            strength = strength[level.plane : -level.plane]
        else:
            assert places is not None
            root = _roots(level, strength, _blocks(places, shape, done + k))
        own = np.empty(len(root), np.int32)
        n = graph_pairs.number_roots(root, own)
        begins = np.flatnonzero(root == np.arange(len(root), dtype=np.int32)).astype(np.int32)
        places = begins if places is None else places[begins]
        strength = _strongest_of_members(strength, own, n)
        del root  # what comes now takes most memory
        level = _contracted(level, own, n)
        number = own if number is None else np.append(own, np.int32(n))[number]
    assert number is not None
    assert isinstance(level, Graph)
    assert places is not None
    return Coarser(Aggregation(number, n), level, places)


def _strongest(level: Lattice | Graph) -> Ints:
    """Return the bits of the strongest edge of every node."""
    if isinstance(level, Lattice):
        strongest = np.zeros(level.n + 2 * level.plane, np.int32)
        given = (*_bits(level), level.inverse, strongest, level.shape[2], level.plane)
        over(level.shape[0], lattice_pairs.strongest_edges, *given, weight=level.plane)
    else:
        strongest = np.empty(level.n, np.int32)
        bits = level.weight.view(np.int32)
        sink = level.sink.view(np.int32)
        over(level.n, graph_pairs.strongest_in_graph, level.start, level.stop, bits, sink, strongest)
    return strongest


def _first_voxels(lattice: Lattice, strongest: Ints) -> Ints:
    """Return the first voxel of what each is merged with in two passes, -1 for one that is left out."""
    row, plane, size = lattice.shape[2], lattice.plane, len(strongest)

    def over_planes(loop: Callable[..., None], *arguments: Any) -> None:
        over(lattice.shape[0], loop, *arguments, plane, weight=plane)

    keys, best = [np.zeros(size, np.int32) for _ in range(3)], np.zeros(size, np.int32)
    for axis, bits in enumerate(_bits(lattice)):
        over_planes(lattice_pairs.voxel_keys, bits, strongest, keys[axis], axis, row)
    mates = np.zeros(size, np.uint8)
    for _ in range(ROUNDS):
        tick(0, 1)
        over_planes(lattice_pairs.best_edges, *keys, mates, mates, best, row)
        over_planes(lattice_pairs.join_voxels, best, mates, row)
    steps, of_pairs, blocks = np.array([0, plane, -plane, row, -row, 1, -1]), np.zeros_like(best), np.zeros_like(best)
    over_planes(lattice_pairs.strongest_of_pairs, strongest, mates, steps, of_pairs)
    over_planes(lattice_pairs.blocks_of_voxels, *map(int, _shifts(lattice.shape, 1)), blocks, row)
    for axis, weights in enumerate(_bits(lattice)):
        floats = lattice.weights[axis]
        over_planes(lattice_pairs.pair_keys, floats, weights, of_pairs, mates, steps, blocks, keys[axis], axis)
    taken, joined, chosen = np.zeros_like(mates), np.zeros_like(best), blocks
    for _ in range(ROUNDS):
        tick(0, 1)
        over_planes(lattice_pairs.best_edges, *keys, taken, taken, best, row)
        over_planes(lattice_pairs.choose_pairs, best, mates, steps, chosen)
        over_planes(lattice_pairs.join_pairs, chosen, mates, steps, joined, taken)
    over_planes(lattice_pairs.best_edges, *keys, taken, 1 - taken, best, row)
    first = np.empty(lattice.n, np.int32)
    over_planes(lattice_pairs.first_of_joined, best, of_pairs, mates, steps, joined, first)
    return first


def _bits(lattice: Lattice) -> list[Ints]:
    return [weights.view(np.int32) for weights in lattice.weights]


def _strongest_of_members(strength: Ints, number: Ints, n: int) -> Ints:
    strongest = np.zeros(n + 1, np.int32)
    graph_pairs.largest_of_members(strength, number, strongest)
    return strongest[:n]


def _blocks(places: Ints, shape: tuple[int, int, int], done: int) -> Ints:
    """Return the block of the image in which each node begins: every pass doubles the blocks along one axis."""
    sz, sy, sx = (int(shift) for shift in _shifts(shape, done))
    blocks = np.empty(len(places), np.int32)
    graph_pairs.blocks_of(places, shape[1], shape[2], sz, sy, sx, blocks)
    return blocks


def _shifts(shape: tuple[int, int, int], done: int) -> NDArray[np.int64]:
    """Return the powers of two that the edges of blocks are after so many passes."""
    axes = [axis for axis in (2, 1, 0) if shape[axis] > 1] or [2]
    shifts = np.zeros(3, np.int64)
    for k in range(done + 1):
        shifts[axes[k % len(axes)]] += 1
    return shifts


def _roots(graph: Graph, strength: Ints, blocks: Ints) -> Ints:
    """Return the first node of the aggregate of each node, -1 for one that is merged with none and left out."""
    mate, other = np.full(graph.n, -1, np.int32), np.empty(graph.n, np.int32)
    given = (graph.start, graph.stop, graph.to, graph.weight.view(np.int32), strength, blocks, mate, other)
    for _ in range(ROUNDS):
        over(graph.n, graph_pairs.propose, *given)
        over(graph.n, graph_pairs.accept, mate, other)
    over(graph.n, graph_pairs.join, *given)
    return other


def _contracted(level: Lattice | Graph, number: Ints, n: int) -> Graph:
    """Return the graph of the aggregates."""
    begins, members = np.zeros(n + 2, np.int32), np.empty(level.n, np.int32)
    graph_pairs.members_of(number, begins, members)
    threads = n_threads() if n > MANY else 1
    cuts = [n * k // threads for k in range(threads + 1)]
    rooms = [0] * threads
    count: Any
    contract: Any
    counted: tuple[Any, ...]
    if isinstance(level, Lattice):
        given: tuple[Any, ...] = (*level.weights, level.inverse, number, begins, members, level.shape[2], level.plane)
        counted, count, contract = given, graph_pairs.count_in_lattice, graph_pairs.contract_lattice
    else:
        given = (*level[:5], number, begins, members)
        counted = (*level[:3], number, begins, members)
        count, contract = graph_pairs.count_in_graph, graph_pairs.contract_graph

    def look(low: int, high: int) -> None:  # twice: room for edges that turn out to be one would be most of the memory
        for k in range(low, high):
            rooms[k] = int(count(*counted, n, cuts[k], cuts[k + 1]))

    over(threads, look, weight=n)
    places = list(itertools.accumulate(rooms, initial=0))
    rows = np.int32 if places[-1] < 2**31 else np.int64
    graph = Graph(
        np.empty(n, rows),
        np.empty(n, rows),
        np.empty(places[-1], np.int32),
        *(np.empty(m, np.float32) for m in (places[-1], n, n)),
    )

    def work(low: int, high: int) -> None:
        for k in range(low, high):
            contract(*given, *graph[:5], places[k], cuts[k], cuts[k + 1])
            graph_pairs.invert_node_degrees(*graph[:2], *graph[3:], cuts[k], cuts[k + 1])

    over(threads, work, weight=n)
    return graph
