"""Clusters of voxels: k-means and the Gaussian mixture, on one channel, on several, or on features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Annotated, Any, Literal, Unpack

import numpy as np

from .._array import Array, empty, is_lazy
from .._compiled import n_threads
from .._method import Image, Labels, Mask, Objects, Range, Seldom, Typical, method, with_settings_of
from .._monitor import stage
from .._plan import BLOCK_VOXELS, Derived, Pass, Reduce, gathered, map_many
from ..processing._chosen import highest_class, lowest_class
from ..processing.features import FeatureNames, Scales, channels_of, feature_names
from ..processing.filters import edges as edges_of
from ..processing.segment import Options, prepare, segment_channels
from ._clusters import (
    Clustering,
    Clusters,
    ClusterSettings,
    ColumnClusters,
    clusters_of_levels,
    label_clusters,
    note_clusters,
)
from ._columns import HELD, MAX_SWEEPS, column_passes, keeps, source_of
from ._grey_levels import Cuts, classify, counting, noted
from ._mean_field import N_ITERATIONS
from ._mixture import Covariance
from ._mixtures import (
    BinMixture,
    ColumnMixture,
    Fitting,
    Mixture,
    MixtureSettings,
    entropy_of,
    fit_levels,
    label_most_likely,
    label_smoothly,
    shares_of,
)

__all__ = [
    "kmeans",
    "gaussian_mixture",
    "fit_kmeans",
    "fit_gaussian_mixture",
    "probabilities",
    "uncertainty",
]

ALONE: FeatureNames = ("intensity",)
"""Features of an image that is only its histogram, if it has one channel."""

MAX_COMPONENTS = 64
"""Classes that a mixture can have: a logarithm is taken of the sum of so many shares at most."""

WORKING = 40.0
"""Bytes per voxel of a block in work: columns, standardised values and densities. Measured; a test holds it."""

REACHING = 96.0
"""Bytes per voxel of a block whose probabilities travel to neighbours: those of three classes, before and after."""


def _kept(settings: Mapping[str, Any], n_voxels: int, n_channels: int) -> float:
    """Return the bytes per voxel of filtered columns that are kept, in three dimensions, and of larger blocks."""
    names = feature_names(settings["features"], settings["scales"])
    n_filtered = n_channels * sum(not name.startswith(("intensity", "position")) for name in names)
    kept = 4.0 * n_filtered if keeps(n_filtered, n_voxels) else 0.0
    more = REACHING - WORKING if settings.get("smoothness") else 0.0
    return kept + more * min(BLOCK_VOXELS * n_threads() / n_voxels, 1.0)


def _of_tile(settings: Mapping[str, Any], _n_voxels: int, n_channels: int) -> float:
    """Return the bytes per voxel of a tile: labels of one channel by itself, else its columns as they are made."""
    names, scales = tuple(settings["features"]), tuple(settings["scales"])
    if n_channels == 1 and names == ALONE:
        return 1.0
    n_filtered = n_channels * (len(feature_names(names, scales)) - ("intensity" in names))
    before = n_filtered * (1 - 1 / (n_channels * len(scales)))  # those of the last scale are made when all others are
    return max(COLUMN * n_filtered + 4.0 * n_channels, 8.0 * before + max(MADE.get(name, 0.0) for name in names))


COLUMN = 12.0
"""Bytes per voxel of a tile for each of its columns, filtered and put in order."""

MADE = {"gaussian": 19.0, "gradient": 26.5, "laplacian": 23.0, "variance": 28.5, "hessian": 53.0, "structure": 57.0}
"""Bytes per voxel of a tile while the columns of a feature are made of it, in 3-D."""


@method("k-means", extras=("features", "histogram"), memory=_kept, working=WORKING, tile_memory=_of_tile)
def kmeans(
    image: Image,
    mask: Mask | None = None,
    *,
    n_clusters: Annotated[int, Range(2, 64), Typical(2, 6, log=False)] = 3,
    features: FeatureNames = ALONE,
    scales: Scales = (1.0, 3.0),
    standardise: Annotated[bool, Seldom()] = True,
    n_init: Annotated[int, Range(1, 100), Seldom()] = 10,
    max_iterations: Annotated[int, Range(1, MAX_SWEEPS), Seldom()] = 300,
    tolerance: Annotated[float, Range(0, 1, 1e-6), Seldom()] = 1e-6,
    seed: Annotated[int, Range(0, 2**31 - 1), Seldom()] = 0,
    channel_axis: int | None = None,
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Sort voxels into classes as even inside as possible.

    For images whose classes differ in brightness, in colour or in texture, with nothing to paint: choose how many
    classes there are, and which features tell them apart. Classes come out of similar spread; where one is much
    wider or rarer than another, `gaussian_mixture` fits better.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype. NaN is left out and becomes 0; with several channels or features infinity, too.
    mask : array of the shape of a channel, optional
        Where to look; voxels outside are left out and become 0.
    n_clusters : int
        Number of classes.
    features : tuple of str
        What voxels are compared by: ``"intensity"``, and what `features` makes of their neighbourhood.
    scales : tuple of float
        Standard deviations of the Gaussians behind features, in edges of the smallest voxel, rising.
    standardise : bool
        Divide every channel and feature by its own standard deviation; else all by one, so that those that vary more
        count for more. One channel by itself is not changed by it.
    n_init : int
        How often to begin anew, on 4,096 voxels of a sample; the best start is taken, and ten times as many swaps of
        one of its centres for a voxel are tried.
    max_iterations : int
        Sweeps over all voxels after which to stop.
    tolerance : float
        Stop when the squared moves of all centres sum up to no more than this, in squared standard deviations.
    seed : int
        What the random numbers of the starts begin with.
    channel_axis : int, optional
        The axis that counts channels, which are clustered together.
    objects : {"bright", "dark"}
        Which class the steps after the cut work on: the brightest or the darkest.
    **options : Options
        Steps before and after the cut; those before are run on every channel. A voxel that they take from an object
        goes to the next class.

    Returns
    -------
    uint8 array of the shape of a channel, same library as `image`
        1 to n by rising mean grey level, 0 where not classified; int32 numbers of the objects with
        `one_per_object`. With several channels the mean grey level is that of all, each standardised.

    Raises
    ------
    ValueError
        If there are fewer different voxels than clusters, every feature is constant, or a setting is out of range.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: classes of like size and spread, in one channel, several, or features of the neighbourhood.

    Fails when: a class is rare or another is wide: it pays to cut the wide one in two.

    Exact: the same labels on every device and in every tiling. One channel by itself is its histogram, and is solved to
    the global optimum by dynamic programming, as in `multi_otsu`: no seed, no iteration. Otherwise the starts are
    k-means++, Lloyd's iteration and swaps of centres on a sample of about 65,536 voxels that is chosen by their place
    alone, and Lloyd's iteration over all voxels follows; a cluster that loses all its voxels begins again at the voxel
    of the sample that is farthest from every centre. Sums are taken of values rounded to 2^-24 standard deviations, so
    that their order cannot show. A run that stops before it has converged says so in its provenance. Memory: one
    channel under 1 byte per voxel beyond input and output; else filtered features are kept, 4 bytes per voxel each, if
    they are at most 16 of all channels or take no more than 512 MiB; more of them are made again block by block in
    every sweep.

    References
    ----------
    .. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982) 129-137.
       DOI:10.1109/TIT.1982.1056489 (if several channels or features)
    .. [2] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", in Proc. 18th ACM-SIAM Symp.
       Discrete Algorithms (2007) 1027-1035. DOI:10.5555/1283383.1283494 (if several channels or features)
    .. [3] S. Lattanzi and C. Sohler, "A better k-means++ algorithm via local search", in Proc. 36th Int. Conf. Mach.
       Learn. (2019) 3662-3671. (if several channels or features)
    .. [4] H. Wang and M. Song, "Ckmeans.1d.dp: optimal k-means clustering in one dimension by dynamic programming", The
       R Journal 3 (2011) 29-33. DOI:10.32614/RJ-2011-015 (if one channel)

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> nc.kmeans(np.array([[10, 12, 50], [11, 90, 52]], np.uint8)).tolist()
    [[1, 1, 2], [1, 3, 2]]
    """
    settings = ClusterSettings(n_clusters, n_init, max_iterations, seed, tolerance, standardise)
    spacing = options["spacing"]

    def plan_for(prepared: Sequence[Image]) -> tuple[Reduce, Sequence[Array | None]]:
        run = _clusters(prepared, settings, features, scales, spacing)
        if run.one:
            return Reduce(run.start, run.passes, lambda state: run.decide(state)[1], classify, "uint8"), ()
        return Reduce(run.start, run.passes, run.decide, label_clusters, "uint8", run.width, run.n), run.others

    chosen, channels = highest_class if objects == "bright" else lowest_class, channels_of(image, channel_axis)
    return segment_channels(
        plan_for,
        channels,
        mask,
        objects=objects,
        options=options,
        choose=chosen,
        finite=not _is_one(channels, features),
    )


@method(
    "Gaussian mixture",
    extras=("features", "histogram", "probabilities"),
    memory=_kept,
    working=WORKING,
    tile_memory=_of_tile,
)
def gaussian_mixture(
    image: Image,
    mask: Mask | None = None,
    *,
    n_components: Annotated[int, Range(2, MAX_COMPONENTS), Typical(2, 6, log=False)] | Literal["auto"] = 3,
    max_components: Annotated[int, Range(2, MAX_COMPONENTS), Seldom()] = 6,
    features: FeatureNames = ALONE,
    scales: Scales = (1.0, 3.0),
    smoothness: Annotated[float, Range(0, 100, 0.5), Typical(0.5, 8, off=True)] = 0.0,
    covariance: Annotated[Covariance, Seldom()] = "full",
    n_init: Annotated[int, Range(1, 100), Seldom()] = 10,
    max_iterations: Annotated[int, Range(1, MAX_SWEEPS), Seldom()] = 200,
    tolerance: Annotated[float, Range(0, 1, 1e-4), Seldom()] = 1e-3,
    seed: Annotated[int, Range(0, 2**31 - 1), Seldom()] = 0,
    channel_axis: int | None = None,
    objects: Objects = "bright",
    **options: Unpack[Options],
) -> Labels:
    """Sort voxels into classes of different spread and size.

    Every class is a normal distribution with a width and a weight of its own, so that a narrow background beside a
    wide range of cells, or tissues in MRI, are told apart where `kmeans` cuts half-way. `probabilities` and
    `uncertainty` show how sure it is.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype. NaN is left out and becomes 0; with several channels or features infinity, too.
    mask : array of the shape of a channel, optional
        Where to look; voxels outside are left out and become 0.
    n_components : int or "auto"
        Number of classes; ``"auto"`` takes that with the smallest Bayesian information criterion.
    max_components : int
        The most that ``"auto"`` tries, from 1.
    features : tuple of str
        What voxels are compared by: ``"intensity"``, and what `features` makes of their neighbourhood.
    scales : tuple of float
        Standard deviations of the Gaussians behind features, in edges of the smallest voxel, rising.
    smoothness : float
        How much neighbours that agree count against the grey level, against salt and pepper in noisy images; 0 is
        off, 2 to 10 are usual.
    covariance : {"full", "tied", "diagonal", "spherical"}
        Which shapes classes may have among channels and features: any, one for all, along the axes, round.
    n_init : int
        How often k-means begins anew to find the start.
    max_iterations : int
        Iterations over all voxels after which to stop.
    tolerance : float
        Stop when the mean log-likelihood rises by no more than this. Smaller values follow the histogram more closely,
        and so further away from the classes of k-means, with which it begins; that is not always better.
    seed : int
        What the random numbers of the starts begin with.
    channel_axis : int, optional
        The axis that counts channels, which are fitted together.
    objects : {"bright", "dark"}
        Which class the steps after the cut work on: the brightest or the darkest.
    **options : Options
        Steps before and after the cut; those before are run on every channel. A voxel that they take from an object
        goes to the next class.

    Returns
    -------
    uint8 array of the shape of a channel, same library as `image`
        1 to n by rising mean grey level, 0 where not classified; int32 numbers of the objects with
        `one_per_object`. With several channels the mean grey level is that of all, each standardised.

    Raises
    ------
    ValueError
        If there are fewer different voxels than components, every feature is constant, or a setting is out of range.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: classes of different size and spread, such as a narrow one that lies on a wide one.

    Fails when: grey levels of a class are no bell, as in uneven light: a class takes two components, or two classes
    share one.

    Exact: the same labels on every device and in every tiling. One channel by itself is its histogram: the start is
    the optimum of k-means, and expectation and maximisation run on weighted bins. Otherwise a mixture is fitted to a
    sample that is chosen by the place of voxels alone, and then to all voxels. Every channel and feature is
    standardised; no component is narrower than a thousandth of a standard deviation in any direction, or than a bin of
    the histogram, so that columns that depend on each other do no harm. For ``"auto"`` no more than 65,536 voxels are
    counted, because neighbours are not independent. `smoothness` is the mean-field approximation of a Potts model, ten
    rounds. A run that stops before it has converged says so in its provenance. A wide class may win on both sides of
    a narrow one. Memory: as `kmeans`.

    References
    ----------
    .. [1] A. P. Dempster, N. M. Laird and D. B. Rubin, "Maximum likelihood from incomplete data via the EM algorithm",
       J. R. Stat. Soc. B 39 (1977) 1-38. DOI:10.1111/j.2517-6161.1977.tb01600.x
    .. [2] G. Schwarz, "Estimating the dimension of a model", Ann. Stat. 6 (1978) 461-464. DOI:10.1214/aos/1176344136
       (if n_components="auto")
    .. [3] G. Celeux, F. Forbes and N. Peyrard, "EM procedures using mean field-like approximations for Markov
       model-based image segmentation", Pattern Recognit. 36 (2003) 131-144. DOI:10.1016/S0031-3203(02)00027-4 (if
       smoothness > 0)

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> nc.gaussian_mixture(np.array([[10, 12, 13], [11, 90, 52]], np.uint8), n_components=2).tolist()
    [[1, 1, 1], [1, 2, 2]]
    """
    settings = MixtureSettings(n_components, max_components, covariance, n_init, max_iterations, seed, tolerance)
    spacing = options["spacing"]

    def plan_for(prepared: Sequence[Image]) -> tuple[Reduce, Sequence[Array | None]]:
        run = _mixture(prepared, settings, features, scales, spacing, smoothness)
        if smoothness:
            label = label_smoothly(smoothness, edges_of(spacing, prepared[0].ndim))
            return Reduce(run.start, run.passes, run.decide, label, "uint8", run.width, run.n), run.others
        if run.one:
            return Reduce(run.start, run.passes, lambda state: _bin_cuts(run.decide(state)), classify, "uint8"), ()
        return Reduce(run.start, run.passes, run.decide, label_most_likely, "uint8", run.width, run.n), run.others

    chosen, channels = highest_class if objects == "bright" else lowest_class, channels_of(image, channel_axis)
    return segment_channels(
        plan_for,
        channels,
        mask,
        objects=objects,
        options=options,
        choose=chosen,
        finite=not _is_one(channels, features),
    )


@with_settings_of(kmeans)
def fit_kmeans(image: Image, mask: Mask | None = None, **settings: Any) -> Clusters:
    """Return the clusters that `kmeans` sorts voxels into.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        As in `kmeans`; a dask array is read now.
    mask : array of the shape of a channel, optional
        Where to look.
    **settings : kmeans
        As in `kmeans`.

    Returns
    -------
    Clusters
        Centres in the units of the channels and features, counts, inertia, iterations, and whether they converged.

    Raises
    ------
    ValueError
        As `kmeans`.
    TypeError
        As `kmeans`.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> nc.fit_kmeans(np.array([[10, 12, 50], [11, 90, 52]], np.uint8)).centres.ravel().tolist()
    [11.0, 51.0, 90.0]
    """
    prepared = _prepared(image, settings)
    chosen = ClusterSettings(**_named(ClusterSettings, settings))
    run = _clusters(prepared, chosen, settings["features"], settings["scales"], settings["spacing"])
    found = run.now(prepared, mask)
    clusters: Clusters = found[0] if run.one else found.published()
    return clusters


@with_settings_of(gaussian_mixture)
def fit_gaussian_mixture(image: Image, mask: Mask | None = None, **settings: Any) -> Mixture:
    """Return the mixture that `gaussian_mixture` fits to voxels.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        As in `gaussian_mixture`; a dask array is read now.
    mask : array of the shape of a channel, optional
        Where to look.
    **settings : gaussian_mixture
        As in `gaussian_mixture`.

    Returns
    -------
    Mixture
        Weights, means and covariances in the units of the channels and features, log-likelihood, criterion,
        iterations, and whether it converged.

    Raises
    ------
    ValueError
        As `gaussian_mixture`.
    TypeError
        As `gaussian_mixture`.
    """
    prepared = _prepared(image, settings)
    mixture: Mixture = _mixture_of(prepared, settings).now(prepared, mask).mixture
    return mixture


@with_settings_of(gaussian_mixture, shows="probabilities")
def probabilities(image: Image, mask: Mask | None = None, **settings: Any) -> Array:
    """Return the probability of each class of `gaussian_mixture` at every voxel.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        As in `gaussian_mixture`.
    mask : array of the shape of a channel, optional
        Where to look; voxels outside become NaN.
    **settings : gaussian_mixture
        As in `gaussian_mixture`.

    Returns
    -------
    float32 array of shape (n_components, [Z,] Y, X), same library as `image`
        Class 1 first. They sum up to 1; NaN where `gaussian_mixture` gives 0.

    Raises
    ------
    ValueError
        As `gaussian_mixture`; and if the image is a dask array and `n_components` is ``"auto"``.
    TypeError
        As `gaussian_mixture`.

    Notes
    -----
    Exact, with and without `smoothness`. Memory: a few blocks beyond the result, and as `gaussian_mixture`.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> nc.probabilities(np.array([[10, 12, 13], [11, 90, 52]], np.uint8), n_components=2).round(2)[1].tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    """
    n = settings["n_components"]
    if is_lazy(image) and n == "auto":
        raise ValueError(
            "n_components='auto' of a dask array is known only when it was read; call fit_gaussian_mixture first, and "
            "give n_components=len(mixture.weights)"
        )
    shares, run, found, arrays = _shares(image, mask, settings)
    n_classes = n if is_lazy(image) else len(found.mixture.weights)
    stage("computing probabilities")
    return _mapped(shares, found, arrays, n_classes, run)


@with_settings_of(gaussian_mixture, shows="uncertainty")
def uncertainty(image: Image, mask: Mask | None = None, **settings: Any) -> Array:
    """Return how unsure `gaussian_mixture` is at every voxel: the entropy of its probabilities.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        As in `gaussian_mixture`.
    mask : array of the shape of a channel, optional
        Where to look; voxels outside become NaN.
    **settings : gaussian_mixture
        As in `gaussian_mixture`.

    Returns
    -------
    float32 array of shape ([Z,] Y, X), same library as `image`
        From 0 where one class is certain to 1 where all are as likely; NaN where `gaussian_mixture` gives 0.

    Raises
    ------
    ValueError
        As `gaussian_mixture`.
    TypeError
        As `gaussian_mixture`.

    Notes
    -----
    Equal on all devices to the last digits of float32. Memory: a few blocks beyond the result, and as
    `gaussian_mixture`.
    """
    shares, run, found, arrays = _shares(image, mask, settings)

    def entropy(known: BinMixture | ColumnMixture, *blocks: Array | None) -> list[Array]:
        return [entropy_of(shares(known, *blocks))]

    stage("computing uncertainty")
    return _mapped(entropy, found, arrays, 1, run)[0, ...]


# What all of them share -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Run:
    """How a model is found: passes over the whole, and a decision.

    Parameters
    ----------
    start : object
        The state before the first pass.
    passes : sequence of Pass
        What is gathered.
    decide : callable
        ``decide(state) -> model``.
    others : sequence of array or None
        What passes read behind the first channel and the mask.
    width : tuple of int
        Voxels that the model looks beyond a block.
    n : int
        About how many arrays of a block are held.
    n_columns : int
        Columns in all.
    one : bool
        Whether there is one column only, the grey level, so that the histogram says all.
    """

    start: Any
    passes: Sequence[Pass]
    decide: Callable[[Any], Any]
    others: Sequence[Array | None]
    width: tuple[int, ...]
    n: int = 1
    n_columns: int = 1
    one: bool = False

    def reaching(self, n_shares: int) -> _Run:
        """Return it for probabilities that travel to neighbours: in blocks that are large beside how far they do."""
        held = 24 * n_shares + 8 * self.n_columns  # probabilities before and after, and columns
        width = tuple(w + N_ITERATIONS for w in self.width)
        return replace(self, width=width, n=math.ceil(held / REACHING))

    def now(self, prepared: Sequence[Image], mask: Mask | None) -> Any:
        """Return the model, also of dask arrays."""
        found = self.later(prepared, mask)
        return found.compute() if is_lazy(prepared[0]) else found

    def later(self, prepared: Sequence[Image], mask: Mask | None) -> Any:
        """Return the model, a delayed value of dask arrays."""
        arrays = (prepared[0], mask, *self.others)
        if is_lazy(prepared[0]):
            from ..blockwise import decided

            return decided(self.decide, self.start, self.passes, *arrays)
        return self.decide(gathered(self.start, self.passes, *arrays))


def _is_one(channels: Sequence[Image], features: Sequence[str]) -> bool:
    return len(channels) == 1 and tuple(features) == ALONE


def _named(kind: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the settings that a dataclass has."""
    return {entry.name: settings[entry.name] for entry in fields(kind)}


def _clusters(
    channels: Sequence[Image],
    settings: ClusterSettings,
    features: FeatureNames,
    scales: Scales,
    spacing: Sequence[float] | None,
) -> _Run:
    """Return how clusters are found: on the histogram of one channel, else on columns."""
    if _is_one(channels, features):
        start, passes = counting(channels[0])

        def decide(bins: Any) -> tuple[Clusters, Cuts]:
            found, cuts = clusters_of_levels(noted(bins.histogram()), settings.n_clusters)
            note_clusters(found, thresholds=list(cuts.thresholds))
            return found, cuts

        return _Run(start, passes, decide, (), (0,) * channels[0].ndim, one=True)
    source, others = source_of(channels, features, scales, spacing)
    return _Run(
        Clustering(source, settings),
        column_passes(source, "moving the centres"),
        ColumnClusters.of,
        others,
        source.width,
        source.n_held,
        source.n_columns,
    )


def _mixture(
    channels: Sequence[Image],
    settings: MixtureSettings,
    features: FeatureNames,
    scales: Scales,
    spacing: Sequence[float] | None,
    smoothness: float,
) -> _Run:
    """Return how a mixture is found: on the histogram of one channel, else on columns."""
    n_shares = max(settings.candidates)  # as many arrays of a block are held, and blocks are the smaller for it
    if _is_one(channels, features):
        start, passes = counting(channels[0])

        def decide(bins: Any) -> BinMixture:
            return fit_levels(noted(bins.histogram()), settings)

        run = _Run(start, passes, decide, (), (0,) * channels[0].ndim, max(HELD, n_shares), one=True)
    else:
        source, others = source_of(channels, features, scales, spacing)
        run = _Run(
            Fitting(source, settings),
            column_passes(source, "fitting components"),
            ColumnMixture.of,
            others,
            source.width,
            max(source.n_held, n_shares),
            source.n_columns,
        )
    return run.reaching(n_shares) if smoothness else run


def _mixture_of(prepared: Sequence[Image], settings: Mapping[str, Any]) -> _Run:
    chosen = MixtureSettings(**_named(MixtureSettings, settings))
    return _mixture(
        prepared,
        chosen,
        settings["features"],
        settings["scales"],
        settings["spacing"],
        settings["smoothness"],
    )


def _prepared(image: Image, settings: Mapping[str, Any]) -> list[Image]:
    return [prepare(c, settings["objects"], settings) for c in channels_of(image, settings["channel_axis"])]


def _shares(
    image: Image, mask: Mask | None, settings: Mapping[str, Any]
) -> tuple[Callable[..., list[Array]], _Run, Any, list[Array]]:
    """Return what makes probabilities of a block, how the mixture is found, the mixture, and what blocks are cut of."""
    prepared = _prepared(image, settings)
    run = _mixture_of(prepared, settings)
    strength, edges = settings["smoothness"], edges_of(settings["spacing"], prepared[0].ndim)

    def shares(found: BinMixture | ColumnMixture, *blocks: Array | None) -> list[Array]:
        return shares_of(found, strength, edges, *blocks)

    return shares, run, run.later(prepared, mask), [prepared[0], mask, *run.others]


def _mapped(
    function: Callable[..., list[Array]], found: Any, arrays: Sequence[Array | None], n: int, run: _Run
) -> Array:
    """Return the n float32 arrays that ``function(found, *blocks)`` makes block by block, along a first axis."""
    first: Array = arrays[0]
    if is_lazy(first):
        from ..blockwise import lazy_map_many

        return lazy_map_many(function, arrays, n, run.width, "float32", found)
    out = empty((n, *first.shape), "float32", like=first)
    made = partial(function, found)
    map_many(made, arrays, out, Derived(made, run.width, run.n))
    return out


def _bin_cuts(found: BinMixture) -> Cuts:
    return Cuts.of_bins(found.edges, found.classes.astype(np.uint8))
