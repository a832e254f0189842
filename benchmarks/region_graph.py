"""Graphs of regions and their merging against scikit-image, whose graphs are Python objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from skimage import graph as skimage_graph

import napari_cutout as nc
from _harness import Case, Target

THRESHOLD = 40.0
"""Grey levels below which neighbours merge; the nuclei are hundreds brighter than what is around them."""


TIMES = float(np.sqrt(3))
"""scikit-image sees one channel three times."""


def with_scikit_image(image: np.ndarray, regions: np.ndarray) -> Any:
    return skimage_graph.rag_mean_color(image[..., None], regions, connectivity=1)


def merged(image: np.ndarray, regions: np.ndarray) -> np.ndarray:
    return nc.merge_regions(image, regions, criterion="mean", n_regions=1, threshold=THRESHOLD)


def merged_with_scikit_image(image: np.ndarray, regions: np.ndarray) -> np.ndarray:
    found = with_scikit_image(image, regions)
    return skimage_graph.merge_hierarchical(regions, found, THRESHOLD * TIMES, False, True, _merge_means, _mean_again)


def _mean_again(graph: Any, kept: int, gone: int, other: int) -> dict[str, float]:
    return {"weight": float(np.linalg.norm(graph.nodes[gone]["mean color"] - graph.nodes[other]["mean color"]))}


def _merge_means(graph: Any, gone: int, kept: int) -> None:
    graph.nodes[kept]["total color"] += graph.nodes[gone]["total color"]
    graph.nodes[kept]["pixel count"] += graph.nodes[gone]["pixel count"]
    graph.nodes[kept]["mean color"] = graph.nodes[kept]["total color"] / graph.nodes[kept]["pixel count"]


def same_edges(ours: nc.RegionGraph, theirs: Any) -> float:
    """Return the fraction of boundaries that both have, with the same difference of the means."""
    weights = np.array([theirs[a][b]["weight"] for a, b in ours.labels[ours.pairs].tolist() if theirs.has_edge(a, b)])
    if len(weights) < len(ours.pairs):
        return len(weights) / len(ours.pairs)
    apart = np.linalg.norm(ours.means[ours.pairs[:, 0]] - ours.means[ours.pairs[:, 1]], axis=1)
    n = max(theirs.number_of_edges(), len(weights), 1)
    return float(np.isclose(apart * TIMES, weights, rtol=1e-9).sum() / n) if len(weights) else 1.0


def same_regions(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the fraction of voxels in regions that both have."""
    pairs, counts = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1, return_counts=True)
    alone = [np.isin(row, *np.nonzero(np.bincount(row) == 1)) for row in pairs]
    return float(counts[alone[0] & alone[1]].sum() / ours.size)


HALF = ("nuclei, half", "cells, half")

CASES = [
    Case("region graph, half the edge", HALF, nc.region_graph, with_scikit_image, same_edges, Target(ratio=20), 2),
    Case("region graph", ("nuclei", "cells"), nc.region_graph, target=Target(seconds=5)),
    Case("merge regions, half the edge", HALF, merged, merged_with_scikit_image, same_regions, Target(ratio=20), 2),
    Case("merge regions", ("nuclei", "cells"), merged, target=Target(seconds=8)),
]
