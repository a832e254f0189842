"""Objects linked from frame to frame in plain Python: voxels in sets, and one pair after the other."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

Object = tuple[int, int]
"""Frame and label."""


def linked(
    frames: Sequence[np.ndarray], min_overlap: float = 0.25, max_gap: int = 0, divisions: bool = True
) -> tuple[list[np.ndarray], dict[int, int]]:
    """Return the frames with the numbers of `link_frames`, and the parent of each number that has one."""
    voxels = [_voxels(frame) for frame in frames]
    least = Fraction(str(min_overlap))
    number: dict[Object, int] = {}
    followed: set[Object] = set()
    parents: dict[int, int] = {}
    n = 0
    for t, objects in enumerate(voxels):
        mothers = _mothers(voxels[t - 1], objects, least) if t and divisions else {}
        followed |= {(t - 1, mother) for mother in mothers.values()}
        for gap in range(1, max_gap + 2):
            if t - gap < 0:
                continue
            earlier = voxels[t - gap]
            while True:
                pairs = [
                    (-_iou(a, b), min(a), min(b), one, two)
                    for one, a in earlier.items()
                    for two, b in objects.items()
                    if (t - gap, one) not in followed and (t, two) not in number and two not in mothers
                    if a & b and _iou(a, b) >= least
                ]
                if not pairs:
                    break
                *_, one, two = min(pairs)
                number[t, two] = number[t - gap, one]
                followed.add((t - gap, one))
        new = [label for label in objects if (t, label) not in number]
        for label in sorted(new, key=lambda label: min(objects[label])):
            n += 1
            number[t, label] = n
            parents |= {n: number[t - 1, mothers[label]]} if label in mothers else {}
    return [_renamed(frame, t, number) for t, frame in enumerate(frames)], parents


def _renamed(frame: np.ndarray, t: int, number: dict[Object, int]) -> np.ndarray:
    found = np.zeros(frame.shape, np.int32)
    for label in np.unique(frame[frame != 0]):
        found[frame == label] = number[t, int(label)]
    return found


def _voxels(frame: np.ndarray) -> dict[int, frozenset[int]]:
    flat = frame.ravel()
    return {int(label): frozenset(np.flatnonzero(flat == label).tolist()) for label in np.unique(flat) if label}


def _iou(a: frozenset[int], b: frozenset[int]) -> Fraction:
    return Fraction(len(a & b), len(a | b))


def _mothers(earlier: dict[int, frozenset[int]], later: dict[int, frozenset[int]], least: Fraction) -> dict[int, int]:
    found: dict[int, int] = {}
    for one, a in earlier.items():
        children = [two for two, b in later.items() if 2 * len(a & b) > len(b) and 2 * len(a & b) >= least * len(a | b)]
        if len(children) >= 2 and all(_iou(a, b) <= Fraction(1, 2) for b in later.values()):
            found |= dict.fromkeys(children, one)
    return found
