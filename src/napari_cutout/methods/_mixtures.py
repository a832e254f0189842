"""Gaussian mixtures as passes over columns, or as a decision on the histogram of one channel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .._arithmetic import of_quanta
from .._array import Array, array_namespace, dtype_name, from_numpy, is_host
from .._monitor import note, stage
from ..processing.segment import known_voxels
from ._clusters import check_distinct, clusters_of_levels, note_constant, where_known
from ._columns import SAMPLE, Scaling, Source, Standard
from ._grey_levels import Histogram, comparable, host_block, levels
from ._lloyd import Rows, nearest, started
from ._mean_field import mean_field
from ._mixture import (
    FLOOR,
    Components,
    Covariance,
    Sums,
    expected,
    from_clusters,
    largest_of,
    log_densities,
    maximised,
    most_likely,
    settled,
)

__all__ = ["BinMixture", "ColumnMixture", "Fitting", "Mixture", "fit_levels"]

N_COARSE = 1024
"""Bins that a mixture of one channel is fitted to first."""

MAX_EARLY_ITERATIONS = 1000
"""Iterations on coarse bins, or on a sample, before those on everything."""

START_TOLERANCE = 1e-6
"""Sum of the squared moves of centres below which a start has converged, in squared standard deviations."""


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """What a Gaussian mixture found; components stand in the order of the classes, by rising brightness.

    Parameters
    ----------
    columns : tuple of str
        Names of what was fitted: ``"intensity"``, or channels and features.
    weights : float64 array of shape (k,)
        Shares of the voxels; they sum up to 1.
    means : float64 array of shape (k, n_columns)
        In the units of the columns.
    covariances : float64 array of shape (k, n_columns, n_columns)
        In the units of the columns.
    log_likelihood : float
        Mean over all voxels of the logarithm of the density, in the units of the columns; of several columns that
        before the last iteration, which raised it by no more than the tolerance if it converged.
    bic : float
        Bayesian information criterion, as if there were no more than 65,536 voxels; smaller is better.
    n_iterations : int
        Iterations over all voxels, or over all bins of one channel.
    converged : bool
        Whether the last one raised the log-likelihood by no more than the tolerance.
    """

    columns: tuple[str, ...]
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    covariances: NDArray[np.float64]
    log_likelihood: float
    bic: float
    n_iterations: int
    converged: bool


def note_mixture(found: Mixture, warnings: Sequence[str] = ()) -> None:
    """Keep in the provenance what was found, and what is to be known of it."""
    one = len(found.columns) == 1
    note(
        columns=list(found.columns),
        n_components=len(found.weights),
        weights=found.weights.tolist(),
        means=found.means[:, 0].tolist() if one else found.means.tolist(),
        **({"variances": found.covariances[:, 0, 0].tolist()} if one else {}),
        log_likelihood=found.log_likelihood,
        bic=found.bic,
        n_iterations=found.n_iterations,
        converged=found.converged,
    )
    stopped = f"the mixture did not converge in {found.n_iterations} iterations; raise max_iterations"
    if said := [*([] if found.converged else [stopped]), *warnings]:
        note(warning="; ".join(said))


def strange_classes(classes: NDArray[np.int64], n_classes: int) -> list[str]:
    """Say which classes no grey level falls into, and which lie on both sides of another.

    Parameters
    ----------
    classes : int64 array of shape (n,)
        The class of each bin, by rising grey level.
    n_classes : int
        How many there are.

    Returns
    -------
    list of str
        A sentence for each.
    """
    found = []
    for k in range(1, n_classes + 1):
        at = np.flatnonzero(classes == k)
        if not len(at):
            found.append(f"no grey level is most likely in class {k}; ask for fewer classes")
        elif between := set(classes[at[0] : at[-1]].tolist()) - {k}:
            around = ", ".join(map(str, sorted(between)))
            found.append(f"class {k} is so wide that it lies on both sides of class {around}; kmeans cuts without that")
    return found


@dataclass(frozen=True, slots=True)
class MixtureSettings:
    """How a mixture is fitted.

    Parameters
    ----------
    n_components : int or "auto"
        Number of components.
    max_components : int
        The most that ``"auto"`` tries.
    covariance : {"full", "tied", "diagonal", "spherical"}
        Which shapes components may have.
    n_init, max_iterations, seed : int
        Starts of the k-means that it begins with, iterations, and what the random numbers begin with.
    tolerance : float
        Rise of the mean log-likelihood below which it has converged.
    """

    n_components: int | str
    max_components: int
    covariance: Covariance
    n_init: int
    max_iterations: int
    seed: int
    tolerance: float

    @property
    def candidates(self) -> Sequence[int]:
        """Numbers of components to choose from."""
        if isinstance(self.n_components, int):
            return (self.n_components,)
        return range(1, self.max_components + 1)


def criterion(found: Components, log_likelihood: float, n: int) -> float:
    """Return the Bayesian information criterion.

    Neighbouring voxels are not independent: counted as if they were, millions of them would always ask for more
    components. So no more are counted than a sample has.
    """
    counted_as = min(n, SAMPLE)
    return found.n_parameters * math.log(counted_as) - 2 * log_likelihood * counted_as


def best_of(fits: Sequence[Components], n: int) -> Components:
    """Return the fit with the smallest criterion, the first of several, and keep all criteria in the provenance."""
    criteria = [criterion(fit, fit.log_likelihood, n) for fit in fits]
    if len(fits) > 1:
        note(criteria={len(fit.weights): value for fit, value in zip(fits, criteria, strict=True)})
    return fits[criteria.index(min(criteria))]


# One channel: on the bins of its histogram ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class BinMixture:
    """A mixture of one channel, as a table over the bins of its histogram.

    Parameters
    ----------
    edges : float64 array of shape (n,)
        Largest grey level of each bin.
    log_weights : float64 array of shape (k, n)
        Logarithm of each component's weighted density in each bin, in the order of the classes.
    mixture : Mixture
        What was found.
    """

    edges: NDArray[np.float64]
    log_weights: NDArray[np.float64]
    mixture: Mixture

    @property
    def classes(self) -> NDArray[np.int64]:
        """The class of each bin: the most likely component, the first of several."""
        return np.asarray(np.argmax(self.log_weights, axis=0) + 1, np.int64)

    def scores(self, image: Array, mask: Array | None, *_: Array | None) -> tuple[list[Array], Array | None]:
        """Return the logarithm of each component's weighted density at every voxel, and which voxels count."""
        xp = array_namespace(image)
        limits = comparable(tuple(self.edges[:-1]), dtype_name(image))
        table = self.log_weights[:, len(self.edges) - 1 - len(limits) :]
        grey = host_block(image) if is_host(image) else xp.reshape(image, (-1,))
        bins = xp.searchsorted(from_numpy(limits, like=image), grey, side="left")
        rows = [xp.reshape(xp.take(from_numpy(row, like=image), bins), image.shape) for row in table]
        return rows, known_voxels(image, mask)


def fit_levels(histogram: Histogram, settings: MixtureSettings) -> BinMixture:
    """Fit a mixture to a histogram.

    Raises
    ------
    ValueError
        If there are fewer grey levels than components.
    """
    wanted = max(2, settings.n_components) if isinstance(settings.n_components, int) else 2
    occupied = levels(histogram, wanted, "gaussian_mixture")
    counts = occupied.counts.astype(np.float64)
    n = int(counts.sum())
    mean = float(np.average(occupied.values, weights=counts))
    deviation = math.sqrt(float(np.average((occupied.values - mean) ** 2, weights=counts)))
    values = (occupied.values - mean) / deviation
    bin_width = float(np.diff(histogram.edges).min()) / deviation
    floor = max(FLOOR, bin_width**2 / 12)  # values inside of a bin differ by as much
    stage("fitting components")
    few = [k for k in settings.candidates if k <= len(values)]
    coarse = [_on_coarse_bins(occupied, values, counts, k, settings, floor) for k in few]
    start = replace(best_of(coarse, n), log_likelihood=-math.inf, n_iterations=0, converged=False)
    found = settled(
        start, values[None], tolerance=settings.tolerance, max_iterations=settings.max_iterations, weights=counts
    )
    sums = expected(found, values[None], counts)  # what was found last is more likely than what was weighed last
    found = replace(found, log_likelihood=float(of_quanta(np.asarray(sums.log_likelihood, object))) / n)
    return _published(found, occupied, values, mean, deviation, n)


def _on_coarse_bins(
    occupied: Histogram,
    values: NDArray[np.float64],
    counts: NDArray[np.float64],
    n_components: int,
    settings: MixtureSettings,
    floor: float,
) -> Components:
    """Fit on few bins, from the best clusters that there are."""
    span = values[-1] - values[0]
    group = np.minimum(((values - values[0]) * (N_COARSE / span)).astype(np.int64), N_COARSE - 1)
    names, group = np.unique(group, return_inverse=True)
    if len(names) < max(n_components, 2) or len(values) <= N_COARSE:
        names, group = np.arange(len(values)), np.arange(len(values))
    weights = np.asarray(np.bincount(group, counts), np.float64)
    middles = np.bincount(group, counts * values) / weights
    cluster = np.zeros(len(values), np.int64)
    if n_components > 1:
        _, cuts = clusters_of_levels(occupied, n_components)
        cluster = np.searchsorted(np.asarray(cuts.thresholds), occupied.edges, side="left")
    start = from_clusters(cluster, [values], n_components, 1, settings.covariance, floor=floor, weights=counts)
    return settled(
        start, middles[None], tolerance=settings.tolerance, max_iterations=MAX_EARLY_ITERATIONS, weights=weights
    )


def _published(
    found: Components,
    occupied: Histogram,
    values: NDArray[np.float64],
    mean: float,
    deviation: float,
    n: int,
) -> BinMixture:
    order = np.argsort(found.means[:, 0], kind="stable")
    log_likelihood = found.log_likelihood - math.log(deviation)
    mixture = Mixture(
        ("intensity",),
        found.weights[order],
        found.means[order] * deviation + mean,
        found.covariances[order] * deviation**2,
        log_likelihood,
        criterion(found, log_likelihood, n),
        found.n_iterations,
        found.converged,
    )
    table = np.stack(log_densities(found, [values]))[order]
    model = BinMixture(occupied.edges, table, mixture)
    note_mixture(mixture, strange_classes(model.classes, len(order)))
    return model


# Several columns: all voxels in sweeps ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fitting:
    """How to fit a mixture to columns, and how far it has come; what it has found is no part of what it says.

    Parameters
    ----------
    source : Source
        The columns.
    settings : MixtureSettings
        How to fit.
    """

    source: Source
    settings: MixtureSettings
    scaling: Scaling | None = field(default=None, repr=False, compare=False)
    standard: Standard | None = field(default=None, repr=False, compare=False)
    components: Components | None = field(default=None, repr=False, compare=False)

    def scaled(self, scaling: Scaling) -> Fitting:
        """Return it with what is known of the columns, and with a start once all of that is known."""
        if not scaling.measured:
            return replace(self, scaling=scaling)
        standard, settings = Standard.of(self.source, scaling), self.settings
        sample = standard.sample(scaling)
        at_least = settings.n_components if isinstance(settings.n_components, int) else 2
        check_distinct("gaussian_mixture", sample, standard, scaling.n, at_least)
        fits = [self._started(sample, standard.n_used, k) for k in settings.candidates]
        found = replace(best_of(fits, sample.shape[1]), log_likelihood=-math.inf, n_iterations=0, converged=False)
        return replace(self, scaling=scaling, standard=standard, components=found)

    def _started(self, sample: NDArray[np.float32], n_used: int, n_components: int) -> Components:
        """Fit to the sample, from its best clusters."""
        settings, rows = self.settings, sample
        numbers = np.zeros(sample.shape[1], np.int64)
        if n_components > 1:
            centres = started(
                sample,
                n_used,
                n_components,
                n_init=settings.n_init,
                seed=settings.seed,
                tolerance=START_TOLERANCE,
            )
            numbers = nearest(centres, rows)
            numbers = np.unique(numbers, return_inverse=True)[1]
        start = from_clusters(numbers, rows, int(numbers.max()) + 1, n_used, settings.covariance)
        stage("fitting a sample")
        return settled(start, rows, tolerance=settings.tolerance, max_iterations=MAX_EARLY_ITERATIONS)

    @property
    def unsettled(self) -> bool:
        """Whether another sweep is needed."""
        assert self.components is not None
        return not self.components.converged and self.components.n_iterations < self.settings.max_iterations

    def sums(self, rows: Rows) -> Sums:
        """Return what an expectation adds up over the standardised values of a block."""
        assert self.components is not None
        return expected(self.components, rows)

    def after(self, sums: Sums) -> Fitting:
        """Return it with the components that are most likely now."""
        assert self.components is not None
        assert self.scaling is not None
        found = maximised(self.components, sums, self.scaling.n, self.settings.tolerance)
        return replace(self, components=found)


@dataclass(frozen=True, slots=True, eq=False)
class ColumnMixture:
    """A mixture of columns, as voxels are assigned to its components.

    Parameters
    ----------
    standard : Standard
        The columns as they are fitted.
    components : Components
        In the order of the classes.
    mixture : Mixture
        The same in the units of the columns.
    """

    standard: Standard
    components: Components
    mixture: Mixture

    @staticmethod
    def of(state: Fitting) -> ColumnMixture:
        """Return what the passes have found, and keep it in the provenance."""
        standard, found, scaling = state.standard, state.components, state.scaling
        assert standard is not None
        assert found is not None
        assert scaling is not None
        order = np.argsort(standard.classes(found.means))
        found = replace(
            found,
            weights=found.weights[order],
            means=found.means[order],
            covariances=found.covariances[order],
        )
        log_likelihood = found.log_likelihood + float(np.log(standard.factors[: standard.n_used]).sum())
        mixture = Mixture(
            standard.source.bank.columns,
            found.weights,
            standard.in_units(found.means),
            standard.covariances_in_units(found.covariances),
            log_likelihood,
            criterion(found, log_likelihood, scaling.n),
            found.n_iterations,
            found.converged,
        )
        note_mixture(mixture)
        note_constant(standard)
        return ColumnMixture(standard, found, mixture)

    def scores(self, *blocks: Array | None) -> tuple[list[Array], Array | None]:
        """Return the logarithm of each component's weighted density at every voxel, and which voxels count."""
        source = self.standard.source
        mask, _, columns = source.split(source.made(*blocks))
        rows, known = self.standard.all_rows(mask, columns)
        xp, shape = array_namespace(columns[0]), columns[0].shape
        return [xp.reshape(row, shape) for row in log_densities(self.components, rows)], known

    def numbers(self, *blocks: Array | None) -> tuple[Array, Array | None]:
        """Return the most likely component of every voxel from 0, and which voxels count."""
        source = self.standard.source
        mask, _, columns = source.split(source.made(*blocks))
        rows, known = self.standard.all_rows(mask, columns)
        at = most_likely(self.components, rows)
        return array_namespace(at).reshape(at, columns[0].shape), known


# What is made of a mixture, block by block --------------------------------------------------------------


def label_most_likely(found: ColumnMixture, *blocks: Array | None) -> Array:
    """Return the class of every voxel of a block, uint8; 0 where it does not count."""
    return _classes(*found.numbers(*blocks))


def label_smoothly(strength: float, edges: Sequence[int]) -> Callable[..., Array]:
    """Return what labels a block after neighbours have influenced each other."""

    def label(found: BinMixture | ColumnMixture, *blocks: Array | None) -> Array:
        scores, known = found.scores(*blocks)
        return _classes(largest_of(mean_field(_finite(scores, known), known, strength, edges)), known)

    return label


def _classes(at: Array, known: Array | None) -> Array:
    xp = array_namespace(at)
    return where_known(xp.astype(at + 1, xp.uint8), known)


def _finite(scores: Sequence[Array], known: Array | None) -> Sequence[Array]:
    """Return 0 for voxels that do not count, whose scores may be NaN."""
    if known is None:
        return scores
    xp = array_namespace(scores[0])
    return [xp.where(known, score, xp.zeros_like(score)) for score in scores]


def shares_of(
    found: BinMixture | ColumnMixture, strength: float, edges: Sequence[int], *blocks: Array | None
) -> list[Array]:
    """Return the probability of each component at every voxel of a block, float32; NaN where it does not count."""
    scores, known = found.scores(*blocks)
    shares = mean_field(_finite(scores, known), known, strength, edges)
    xp = array_namespace(shares[0])
    single = [xp.astype(share, xp.float32) for share in shares]
    return single if known is None else [xp.where(known, share, xp.full_like(share, xp.nan)) for share in single]


def entropy_of(shares: Sequence[Array]) -> Array:
    """Return the entropy of probabilities, from 0 where one is 1 to 1 where all are equal, float32."""
    xp = array_namespace(shares[0])
    total = xp.zeros_like(shares[0])
    for share in shares:
        safe = xp.where(share == 0, xp.ones_like(share), share)  # NaN stays NaN
        total = total - safe * xp.log(safe)
    return total / math.log(len(shares)) if len(shares) > 1 else total
