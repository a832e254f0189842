"""How the levels of a random walk come about, and one cycle through them: the definition in plain Python and NumPy."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

STEP = 0.7
SIDES = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]


@dataclass
class Net:
    """Nodes with the weights of their edges, what leaks from each, and the voxel where each begins."""

    rows: list[dict[int, float]]
    leaks: list[list[float]]
    places: list[int]
    shape: tuple[int, int, int]
    number: list[int | None] = field(default_factory=list)

    def strength(self) -> list[float]:
        """Return the strongest edge of every node, 0 for one that no other free node is next to."""
        return [max([*row.values(), *leak]) if row else 0.0 for row, leak in zip(self.rows, self.leaks, strict=True)]

    def laplacian(self) -> np.ndarray:
        matrix = np.diag([math.fsum(leak) for leak in self.leaks])
        for i, row in enumerate(self.rows):
            for j, weight in row.items():
                matrix[i, j] -= weight
                matrix[i, i] += weight
        return matrix


def net_of(weights: list[np.ndarray], free: np.ndarray) -> Net:
    """Return the voxels of a lattice, of which those that are not free have no edges."""
    shape = free.shape
    index = np.arange(free.size).reshape(shape)
    rows: list[dict[int, float]] = [{} for _ in range(free.size)]
    leaks: list[list[float]] = [[] for _ in range(free.size)]
    for place in np.ndindex(shape):
        for axis, side in enumerate(SIDES):
            there = tuple(a + b for a, b in zip(place, side, strict=True))
            if not free[place] or any(not 0 <= a < n for a, n in zip(there, shape, strict=True)):
                continue
            weight = float(weights[axis // 2][min(place, there)])
            if weight > 0 and free[there]:
                rows[index[place]][int(index[there])] = weight
            elif weight > 0:
                leaks[index[place]].append(weight)
    return Net(rows, leaks, list(range(free.size)), shape)


def chance(i: int, j: int) -> int:
    low, high, mask = min(i, j), max(i, j), 2**64 - 1
    mixed = (low * 0x9E3779B97F4A7C15 & mask) ^ (high * 0xC2B2AE3D27D4EB4F & mask)
    mixed ^= mixed >> 29
    return (mixed * 0xBF58476D1CE4E5B9 & mask) >> 34


def block(place: int, shape: tuple[int, int, int], done: int) -> tuple[int, ...]:
    """Return the block of a voxel: every pass doubles blocks along one axis, the last axis first."""
    axes = [axis for axis in (2, 1, 0) if shape[axis] > 1] or [2]
    shifts = [sum(axes[k % len(axes)] == axis for k in range(done + 1)) for axis in range(3)]
    return tuple(int(x) >> s for x, s in zip(np.unravel_index(place, shape), shifts, strict=True))


def roots(net: Net, strength: list[float], done: int) -> list[int | None]:
    """Pair every node with the best strong neighbour, in three rounds; who is left alone joins a pair."""
    blocks = [block(place, net.shape, done) for place in net.places]
    mate: dict[int, int] = {}
    for _ in range(3):
        proposed: dict[int, int] = {}
        for i, row in enumerate(net.rows):
            offers = [
                (math.frexp(weight)[1], blocks[i] == blocks[j], chance(i, j), j)
                for j, weight in row.items()
                if j not in mate and weight >= min(strength[i], strength[j]) / 4
            ]
            if offers and i not in mate:
                proposed[i] = max(offers)[-1]
        mate.update({i: j for i, j in proposed.items() if proposed.get(j) == i})
    return [_root(i, net.rows[i], mate, strength[i]) for i in range(len(net.rows))]


def _root(i: int, row: dict[int, float], mate: dict[int, int], strength: float) -> int | None:
    if strength == 0:
        return None
    if i in mate:
        return min(i, mate[i])
    pairs = [j for j, weight in row.items() if j in mate and weight >= strength / 4]
    if not pairs:
        return i
    strongest = max(pairs, key=lambda j: row[j])  # the first of several
    return min(strongest, mate[strongest])


def coarser(net: Net, done: int) -> Net:
    """Return the net three passes on, which knows where the nodes of this one belong."""
    number: list[int | None] = list(range(len(net.rows)))
    strength = net.strength()
    for k in range(3):
        root = roots(net, strength, done + k)
        own = {r: n for n, r in enumerate(sorted({r for r in root if r is not None}))}
        to = [None if r is None else own[r] for r in root]
        members = [[i for i, a in enumerate(to) if a == n] for n in range(len(own))]
        strength = [max(strength[i] for i in group) for group in members]
        net = _contracted(net, to, members, [net.places[r] for r in sorted(own)])
        number = [None if n is None else to[n] for n in number]
    net.number = number
    return net


def _contracted(net: Net, to: list[int | None], members: list[list[int]], places: list[int]) -> Net:
    rows: list[dict[int, float]] = [{} for _ in members]
    leaks: list[list[float]] = []
    for a, group in enumerate(members):
        leak = [math.fsum(itertools.chain.from_iterable(net.leaks[i] for i in group))]
        for j, weight in itertools.chain.from_iterable(net.rows[i].items() for i in group):
            b = to[j]
            if b is None:
                leak.append(weight)
            elif b != a:
                rows[a][b] = rows[a].get(b, 0.0) + weight
        leaks.append([math.fsum(leak)])
    return Net(rows, leaks, places, net.shape)


def levels(net: Net, coarsest: int) -> list[Net]:
    """Return all levels, the lattice first."""
    found = [net]
    while len(found[-1].rows) > coarsest or len(found) == 1:
        further = coarser(found[-1], 3 * (len(found) - 1))
        if len(found) > 1 and len(further.rows) >= 0.9 * len(found[-1].rows):
            break
        found.append(further)
    return found


def cycle(nets: list[Net], r: np.ndarray, coarsest: int, *, twice: bool = False) -> np.ndarray:
    """Return what is near the inverse of the Laplacian of the first net, times r."""
    matrix = nets[0].laplacian()
    degrees = np.diag(matrix)
    inverse = np.divide(STEP, degrees, out=np.zeros_like(degrees), where=degrees > 0)
    if len(nets) == 1 and len(r) <= coarsest:
        return np.asarray(np.linalg.solve(matrix, r))
    if len(nets) == 1:
        x = np.zeros_like(r)
        for _ in range(30):
            x = x + inverse * (r - matrix @ x)
        return x
    belongs = np.array([[a == n for n in range(len(nets[1].rows))] for a in nets[1].number], float)
    x = inverse * r
    below = belongs.T @ (r - matrix @ x)
    found = cycle(nets[1:], below, coarsest, twice=True)
    if twice and len(nets) > 2:
        found = found + cycle(nets[1:], below - nets[1].laplacian() @ found, coarsest, twice=True)
    x = x + belongs @ found
    return np.asarray(x + inverse * (r - matrix @ x))
