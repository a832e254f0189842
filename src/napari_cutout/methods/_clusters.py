"""k-means as passes over columns, or as a decision on the histogram of one channel."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, from_numpy
from .._monitor import note
from ._columns import Scaling, Source, Standard, distinct
from ._grey_levels import Cuts, Histogram, levels
from ._lloyd import Centres, Rows, Sums, moved, n_apart, nearest, started, sweep
from .threshold import otsu_thresholds

__all__ = ["Clusters", "ColumnClusters", "clusters_of_levels", "label_clusters"]


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """What k-means found; clusters stand in the order of the classes, by rising brightness.

    Parameters
    ----------
    columns : tuple of str
        Names of what was clustered: ``"intensity"``, or channels and features.
    centres : float64 array of shape (k, n_columns)
        Mean of every cluster, in the units of the columns.
    counts : int64 array of shape (k,)
        Voxels of every cluster.
    inertia : float
        Sum of the squared distances of voxels to their centre: in grey levels for one channel, else in standard
        deviations of the columns.
    n_iterations : int
        Sweeps over all voxels; 0 for one channel, which is solved on its histogram.
    converged : bool
        Whether the last one moved the centres by no more than the tolerance.

    Notes
    -----
    Of several columns, counts and inertia are those of the last sweep, before it moved the centres. Of one channel
    with a few extreme voxels, those count with the grey level of the first or last bin of the histogram.
    """

    columns: tuple[str, ...]
    centres: NDArray[np.float64]
    counts: NDArray[np.int64]
    inertia: float
    n_iterations: int = 0
    converged: bool = True


def note_clusters(found: Clusters, **facts: Any) -> None:
    """Keep in the provenance what was found."""
    one = found.centres.shape[1] == 1
    note(
        columns=list(found.columns),
        centres=found.centres[:, 0].tolist() if one else found.centres.tolist(),
        counts=found.counts.tolist(),
        inertia=found.inertia,
        n_iterations=found.n_iterations,
        converged=found.converged,
        **facts,
    )
    if not found.converged:
        note(warning=f"k-means did not converge in {found.n_iterations} iterations; raise max_iterations")


# One channel: exact on its histogram --------------------------------------------------------------------


def clusters_of_levels(histogram: Histogram, n_clusters: int) -> tuple[Clusters, Cuts]:
    """Return the clusters with the least inertia that there are, and the cuts between them.

    Raises
    ------
    ValueError
        If there are fewer grey levels than clusters.
    """
    occupied = levels(histogram, n_clusters, "kmeans")
    thresholds = otsu_thresholds(histogram, n_clusters)
    of_bin = np.searchsorted(thresholds, occupied.edges, side="left")
    counts = occupied.counts.astype(np.float64)
    voxels = np.bincount(of_bin, counts, n_clusters)
    centres = np.bincount(of_bin, counts * occupied.values, n_clusters) / voxels
    inertia = float(np.sum(counts * (occupied.values - centres[of_bin]) ** 2))
    found = Clusters(("intensity",), centres[:, None], voxels.astype(np.int64), inertia)
    return found, Cuts.rising(thresholds)


# Several columns: all voxels in sweeps ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How columns are clustered.

    Parameters
    ----------
    n_clusters, n_init, max_iterations, seed : int
        Numbers of clusters, of starts, of sweeps over all voxels, and what the random numbers begin with.
    tolerance : float
        Sum of the squared moves of the centres below which they have converged.
    standardise : bool
        Whether each column is divided by its own standard deviation, or all by one.
    """

    n_clusters: int
    n_init: int
    max_iterations: int
    seed: int
    tolerance: float
    standardise: bool


@dataclass(frozen=True, slots=True)
class Clustering:
    """How to cluster columns, and how far it has come; what it has found is no part of what it says.

    Parameters
    ----------
    source : Source
        The columns.
    settings : ClusterSettings
        How to cluster them.
    """

    source: Source
    settings: ClusterSettings
    scaling: Scaling | None = field(default=None, repr=False, compare=False)
    standard: Standard | None = field(default=None, repr=False, compare=False)
    sample: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    centres: Centres | None = field(default=None, repr=False, compare=False)

    def scaled(self, scaling: Scaling) -> Clustering:
        """Return it with what is known of the columns, and with a start once all of that is known."""
        if not scaling.measured:
            return replace(self, scaling=scaling)
        settings = self.settings
        standard = Standard.of(self.source, scaling, together=not settings.standardise)
        sample = standard.sample(scaling)
        check_distinct("kmeans", sample, standard, scaling.n, settings.n_clusters)
        start = started(
            sample,
            standard.n_used,
            settings.n_clusters,
            n_init=settings.n_init,
            seed=settings.seed,
            tolerance=settings.tolerance,
        )
        return replace(self, scaling=scaling, standard=standard, sample=sample, centres=start)

    @property
    def unsettled(self) -> bool:
        """Whether another sweep is needed."""
        assert self.centres is not None
        return not self.centres.converged and self.centres.n_iterations < self.settings.max_iterations

    def sums(self, rows: Rows) -> Sums:
        """Return what a sweep adds up over the standardised values of a block."""
        assert self.centres is not None
        return sweep(self.centres, rows)

    def after(self, sums: Sums) -> Clustering:
        """Return it with the centres moved."""
        assert self.centres is not None
        assert self.sample is not None
        return replace(self, centres=moved(self.centres, sums, self.settings.tolerance, self.sample))


def check_distinct(name: str, sample: NDArray[np.float32], standard: Standard, n: int, wanted: int) -> None:
    """Raise unless a sample has as many different voxels, in steps of a quantum, as clusters are wanted."""
    found = distinct(sample, standard.n_used, wanted)
    if found < wanted:
        raise _too_few(name, found, sample, n, wanted)


def _too_few(name: str, found: int, sample: NDArray[np.float32], n: int, wanted: int) -> ValueError:
    """Return what says that there are fewer different voxels than clusters."""
    n_sample = sample.shape[1]
    where = f"all {n:,}" if n_sample == n else f"{n_sample:,} voxels chosen from {n:,}"
    return ValueError(
        f"{name} needs at least {wanted} different voxels, but among {where} there are {found}; ask for fewer "
        "classes, or check that the image (and its mask) is the right one and that no extreme value hides the "
        "rest: values closer than 6e-8 standard deviations count as one"
    )


@dataclass(frozen=True, slots=True, eq=False)
class ColumnClusters:
    """Clusters of columns, as voxels are assigned to them.

    Parameters
    ----------
    standard : Standard
        The columns as they are clustered.
    centres : Centres
        In the order in which they were found.
    classes : uint8 array of shape (k,)
        The class of each.
    """

    standard: Standard
    centres: Centres
    classes: NDArray[np.uint8]

    @staticmethod
    def of(state: Clustering) -> ColumnClusters:
        """Return what the passes have found, and keep it in the provenance."""
        assert state.standard is not None
        assert state.centres is not None
        assert state.sample is not None
        assert state.scaling is not None
        found_apart, wanted = n_apart(state.centres), len(state.centres.centres)
        if found_apart < wanted:  # voxels a quantum apart, which no two centres tell apart
            raise _too_few("kmeans", found_apart, state.sample, state.scaling.n, wanted)
        found = ColumnClusters(state.standard, state.centres, state.standard.classes(state.centres.centres))
        note_clusters(found.published())
        note_constant(state.standard)
        return found

    def published(self) -> Clusters:
        """Return it in the order of the classes and in the units of the columns."""
        order, centres = np.argsort(self.classes), self.centres
        return Clusters(
            self.standard.source.bank.columns,
            self.standard.in_units(centres.centres)[order],
            centres.counts[order],
            centres.inertia,
            centres.n_iterations,
            centres.converged,
        )


def note_constant(standard: Standard) -> None:
    """Keep in the provenance which columns were left out."""
    if standard.constant:
        note(left_out=[f"{name} (constant)" for name in standard.constant])


def label_clusters(found: ColumnClusters, *blocks: Array | None) -> Array:
    """Return the class of every voxel of a block, uint8; 0 outside the mask and where a column is not finite."""
    source = found.standard.source
    mask, _, columns = source.split(source.made(*blocks))
    rows, known = found.standard.all_rows(mask, columns)
    xp, first = array_namespace(columns[0]), columns[0]
    classes = xp.take(from_numpy(found.classes, like=first), nearest(found.centres, rows))
    return where_known(xp.reshape(classes, first.shape), known)


def where_known(classes: Array, known: Array | None) -> Array:
    """Return 0 for voxels that do not count."""
    return classes if known is None else classes * array_namespace(classes).astype(known, classes.dtype)
