"""k-means and the Gaussian mixture against scikit-learn's, and features against scikit-image's.

scikit-learn gets a table of float32 with a row for each voxel. Several channels are standardised by both; to make the
table and to standardise it counts as part of the task. Both start and stop by their own defaults: ours start k-means
ten times on 4,096 voxels of a sample, try 100 swaps of a centre of the best start, and go on for longer.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from skimage import feature
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

import napari_cutout as nc
from _harness import Case, Target
from napari_cutout._monitor import watch

Fitted = tuple[np.ndarray, float]
"""Labels from 1, and the mean log-likelihood of the mixture."""

N = 3
"""Classes."""

SCALES = (1.0, 3.0)

ONE, SEVERAL = "nuclei", "channels, half"
"""Arrays: a volume of one channel, and three channels of a volume of half the edge."""


def our_mixture(image: np.ndarray, **settings: Any) -> Fitted:
    """Label voxels; how good the fit is stands in the provenance."""
    with watch() as run:
        labels = nc.gaussian_mixture(image, n_components=N, **settings)
    return labels, float(run.facts["log_likelihood"])


def peers_kmeans(image: np.ndarray) -> np.ndarray:
    table, _ = table_of(image)
    found = KMeans(N, n_init=1, random_state=0).fit(table)
    return by_mean(found.labels_, found.cluster_centers_, image)


def peers_mixture(image: np.ndarray) -> Fitted:
    table, stretched = table_of(image)
    found = GaussianMixture(N, random_state=0).fit(table)
    return by_mean(found.predict(table), found.means_, image), float(found.lower_bound_) - stretched


def table_of(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a row for each voxel, and by how much a logarithm of a density is greater than in grey levels.

    Several channels, which come first, are standardised.
    """
    if image.ndim == 3:
        return image.reshape(-1, 1).astype(np.float32), 0.0
    table = np.ascontiguousarray(image.reshape(len(image), -1).T, np.float32)
    deviation = table.std(axis=0, dtype=np.float64)
    table -= table.mean(axis=0, dtype=np.float64).astype(np.float32)
    table /= deviation.astype(np.float32)
    return table, float(np.log(deviation).sum())


def by_mean(numbers: np.ndarray, centres: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return clusters numbered from 1 by the mean of their centre, as ours are."""
    rank = np.empty(len(centres), np.uint8)
    rank[np.argsort(centres.sum(axis=1))] = np.arange(1, len(centres) + 1)
    return rank[numbers].reshape(image.shape[-3:])


def our_features(image: np.ndarray) -> np.ndarray:
    return nc.features(image, features=("hessian",), scales=SCALES)


def peers_features(image: np.ndarray) -> np.ndarray:
    """Return the same eigenvalues, smallest first, but of differences of differences throughout."""
    grey, found = image.astype(np.float32), []
    for sigma in SCALES:
        entries = feature.hessian_matrix(grey, sigma, mode="reflect", use_gaussian_derivatives=False)
        found.append(feature.hessian_matrix_eigvals(entries)[::-1] * np.float32(sigma**2))
    return np.concatenate(found)


# Which answer is better ---------------------------------------------------------------------------------


def same(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(a == b))


def same_labels(a: Fitted, b: Fitted) -> float:
    return same(a[0], b[0])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the least correlation of a feature of ours with that of the peer."""
    return min(float(np.corrcoef(x.ravel(), y.ravel())[0, 1]) for x, y in zip(a, b, strict=True))


def inertia(labels: np.ndarray, image: np.ndarray) -> float:
    """Return the sum of squares around the means of the classes; scikit-learn adds its own up in float32."""
    numbers, total = labels.ravel(), 0.0
    for column in table_of(image)[0].T.astype(np.float64):
        sums, squares = (np.bincount(numbers, values) for values in (column, column * column))
        total += float(np.sum(squares - sums**2 / np.maximum(np.bincount(numbers), 1)))
    return total


def inertias(a: np.ndarray, b: np.ndarray, image: np.ndarray) -> str:
    return f"inertia {inertia(a, image) / inertia(b, image):.6f} of the peer's"


def likelihoods(a: Fitted, b: Fitted, image: np.ndarray) -> str:
    return f"mean log-likelihood {a[1] - b[1]:+.6f} to the peer's"


# Cases --------------------------------------------------------------------------------------------------


def _kmeans(name: str, array: str, target: Target, rounds: int, **settings: Any) -> Case:
    run = partial(nc.kmeans, n_clusters=N, **settings)
    return Case(name, (array,), run, peers_kmeans, same, target, rounds, words=inertias, n_channels=_channels(array))


def _mixture(name: str, array: str, target: Target, rounds: int, **settings: Any) -> Case:
    run, n_channels = partial(our_mixture, **settings), _channels(array)
    return Case(
        name, (array,), run, peers_mixture, same_labels, target, rounds, words=likelihoods, n_channels=n_channels
    )


def _channels(array: str) -> int:
    return 3 if array == SEVERAL else 1


LEAN = 2.0

CASES = [
    _kmeans("kmeans", ONE, Target(ratio=50, bytes_per_voxel=LEAN), 3),
    _mixture("gaussian_mixture", ONE, Target(ratio=200, bytes_per_voxel=LEAN), 2),
    _kmeans("kmeans, 3 channels, half the edge", SEVERAL, Target(ratio=3), 5, channel_axis=0),
    _mixture("gaussian_mixture, 3 channels, half the edge", SEVERAL, Target(ratio=5), 3, channel_axis=0),
    Case("gaussian_mixture, auto", (ONE,), partial(nc.gaussian_mixture, n_components="auto")),
    Case("gaussian_mixture, smoothness 4", (ONE,), partial(nc.gaussian_mixture, smoothness=4.0), rounds=3),
    Case("features, hessian, half the edge", ("nuclei, half",), our_features, peers_features, correlation, rounds=3),
    Case(
        "kmeans, 11 features, half the edge",
        ("nuclei, half",),
        partial(nc.kmeans, features=("intensity", "gaussian", "hessian", "variance"), scales=SCALES),
        rounds=3,
    ),
]
