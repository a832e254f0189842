"""Boundary scores of each object, against the same figures from SciPy's distances in the same boxes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from _harness import Case, Target
from napari_cutout.evaluation.boundaries import SCORES, evaluate_boundaries

WIDTH = 4.0
THRESHOLD = 0.5


def ours(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return a row of scores for each pair of objects."""
    found = evaluate_boundaries(predicted, truth, width=WIDTH, by="objects", threshold=THRESHOLD)
    return np.stack([getattr(found, name) for name in SCORES], axis=1)


def of_scipy(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the same, where objects of one number belong together."""
    rows, last = [], int(max(predicted.max(), truth.max()))
    found = (ndimage.find_objects(labels, last) for labels in (predicted, truth))
    for label, boxes in enumerate(zip(*found, strict=True), 1):
        if None not in boxes:
            box = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(*boxes, strict=True))
            a, b = (np.pad(labels[box] == label, 1) for labels in (predicted, truth))
            if (a & b).sum() >= THRESHOLD * (a | b).sum():
                rows.append(scores(a, b))
    return np.asarray(rows).reshape(-1, len(SCORES))


def scores(a: np.ndarray, b: np.ndarray) -> tuple[float, ...]:
    """Return the scores of two masks, with a margin around them."""
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    d, e = (ndimage.distance_transform_edt(~t)[s] for s, t in (surfaces, surfaces[::-1]))
    bands = [mask & (ndimage.distance_transform_edt(mask) <= WIDTH) for mask in (a, b)]
    n = d.size + e.size
    return (
        max(d.max(), e.max()),
        max(np.percentile(d, 95), np.percentile(e, 95)),
        (d.sum() + e.sum()) / n,
        (np.count_nonzero(d <= 1) + np.count_nonzero(e <= 1)) / n,
        (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum(),
    )


def same(found: np.ndarray, peer: np.ndarray) -> float:
    """Return the share of scores that agree."""
    return float(np.isclose(found, peer, rtol=1e-9).mean()) if found.shape == peer.shape and len(peer) else 0.0


CASES = [
    Case(
        "boundaries of 400 objects",
        ("moved-objects:400", "objects:400"),
        ours,
        of_scipy,
        same,
        Target(seconds=3),
        rounds=3,
    )
]
