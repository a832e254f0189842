"""What a voxel and its neighbourhood look like, at several scales: columns for methods that cluster voxels.

A `Bank` turns one block of every channel into columns, one number per voxel each. It depends on nothing but its
fields, so any tile with a halo of `Bank.width` has the same bits as the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np

from .._array import Array, array_namespace, empty, from_numpy, is_lazy
from .._checks import check_channel_axis, check_image
from .._method import Image, Items, Range
from .._monitor import stage
from .._place import indices
from .._plan import Derived, map_many
from ._smoothed import Smoothed
from .filters import edges, gaussian_weights, per_axis, working_dtype

__all__ = ["features", "feature_names"]

FeatureName = Literal["intensity", "gaussian", "gradient", "laplacian", "hessian", "structure", "variance", "position"]
"""What can be known of a voxel."""

NAMES_ALLOWED = Items(8, distinct=True)
SCALES_ALLOWED = Items(8, rising=True, each=Range(0.1, 100))

FeatureNames = Annotated[tuple[FeatureName, ...], NAMES_ALLOWED]
"""Which features, in the order of their columns."""

Scales = Annotated[tuple[float, ...], SCALES_ALLOWED]
"""Standard deviations of Gaussians, in edges of the smallest voxel."""

REACH: dict[FeatureName, tuple[int, int]] = {
    "intensity": (0, 0), "gaussian": (1, 0), "gradient": (1, 1), "laplacian": (1, 1), "hessian": (1, 1),
    "structure": (2, 1), "variance": (2, 0), "position": (0, 0),
}  # fmt: skip
"""How far a feature sees: so many Gaussians one after another, and so many voxels beyond them."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Features of a voxel, as data.

    Parameters
    ----------
    names : tuple of str
        Which features, in the order of their columns.
    scales : tuple of float
        Standard deviations of Gaussians, in edges of the smallest voxel.
    edges : tuple of int
        Edges of a voxel in 1/1024 of the smallest one, as `filters.edges` returns them.
    n_channels : int
        Channels of the image.
    """

    names: tuple[FeatureName, ...]
    scales: tuple[float, ...]
    edges: tuple[int, ...]
    n_channels: int = 1

    @property
    def ndim(self) -> int:
        """Axes of a channel."""
        return len(self.edges)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in their order: channel by channel, scale by scale; the position comes last."""
        channels = [f"channel {c} " for c in range(self.n_channels)] if self.n_channels > 1 else [""]
        of_one = ["intensity"] if "intensity" in self.names else []
        for scale in self.scales:
            for name in self._smoothed:
                of_one += [f"{name} {_short(scale)}{part}" for part in self._parts(name)]
        positions = [f"position {axis}" for axis in "zyx"[-self.ndim :]] if "position" in self.names else []
        return (*(channel + column for channel in channels for column in of_one), *positions)

    @property
    def width(self) -> tuple[int, ...]:
        """Voxels that the neighbourhood reaches along each axis."""
        reaches = [tuple(len(w) - 1 for w in self._weights(scale)) for scale in self.scales]
        seen = [REACH[name] for name in self.names]
        return tuple(max((g * r[a] + d for r in reaches for g, d in seen), default=0) for a in range(self.ndim))

    def __call__(self, blocks: Sequence[Array], positions: Sequence[Array] = ()) -> list[Array]:
        """Return all columns of a block.

        Parameters
        ----------
        blocks : sequence of arrays of one shape
            One for each channel, any real dtype. Their edges are mirrored, as those of the image.
        positions : sequence of float32 arrays of that shape
            One for each axis, as `coordinates` returns them, where the position is among the features.

        Returns
        -------
        list of arrays of that shape
            One for each of `columns`, in the library of the blocks: float64 where the channel needs it, else float32;
            positions as they were given.
        """
        return list(self.one_by_one(blocks, positions))

    def one_by_one(self, blocks: Sequence[Array], positions: Sequence[Array] = ()) -> Iterator[Array]:
        """Yield the columns of a block, as `__call__` returns them.

        A caller that does not keep them needs no more memory for many columns than for a few.
        """
        for block in blocks:
            levels = _levels(block)
            if "intensity" in self.names:
                yield levels
            for scale in self.scales if self._smoothed else ():
                smoothed = Smoothed(levels, self._weights(scale), scale, self.edges)
                for name in self._smoothed:
                    yield from getattr(smoothed, name)()
        if "position" in self.names:
            yield from positions

    @property
    def _smoothed(self) -> tuple[FeatureName, ...]:
        """Features that are there once for each scale."""
        return tuple(name for name in self.names if name not in ("intensity", "position"))

    def _parts(self, name: FeatureName) -> tuple[str, ...]:
        """Return how the names of a feature's columns end."""
        if name not in ("hessian", "structure"):
            return ("",)
        return (" smallest", " middle", " largest") if self.ndim == 3 else (" smallest", " largest")

    def _weights(self, scale: float) -> list[list[float]]:
        return [gaussian_weights(sigma) for sigma in per_axis(scale, self.edges, self.ndim)]


def _short(scale: float) -> str:
    return str(float(scale)).removesuffix(".0")


def _levels(block: Array) -> Array:
    """Return the grey levels of a block as floats."""
    xp = array_namespace(block)
    return xp.astype(block, getattr(xp, working_dtype(block)), copy=False)


def coordinates(shape: Sequence[int], spacing: Sequence[float] | None, like: Array) -> list[Array]:
    """Return where every voxel stands along each axis.

    Parameters
    ----------
    shape : sequence of int
        Shape of the image, without channels.
    spacing : sequence of float, optional
        World length of a voxel along each axis.
    like : array
        The image, or one of its channels: its library and device, and if it is a dask array, of that shape, its
        chunks.

    Returns
    -------
    list of float32 arrays of that shape
        In edges of the smallest voxel, 0 at the centre of the first one. Views that hold one line each.
    """
    return [_coordinate(tuple(shape), axis, step / 1024, like) for axis, step in enumerate(edges(spacing, len(shape)))]


def _coordinate(shape: tuple[int, ...], axis: int, step: float, like: Array) -> Array:
    line = (indices(shape[axis], axis) * step).astype(np.float32)
    as_axis = tuple(-1 if a == axis else 1 for a in range(len(shape)))
    if is_lazy(like):
        from ..blockwise import lazy_line

        return lazy_line(line.reshape(as_axis), like)
    xp = array_namespace(like)
    return xp.broadcast_to(xp.reshape(from_numpy(line, like=like), as_axis), shape)


def feature_names(
    features: FeatureNames, scales: Scales = (1.0, 3.0), ndim: int = 3, n_channels: int = 1
) -> tuple[str, ...]:
    """Name the columns that `features` makes.

    Parameters
    ----------
    features : tuple of str
        Which features.
    scales : tuple of float
        Standard deviations of Gaussians, in edges of the smallest voxel.
    ndim : int
        Axes of the image, without that of the channels.
    n_channels : int
        Channels of the image.

    Returns
    -------
    tuple of str
        One short name for each column, in their order.

    Raises
    ------
    ValueError
        If a name is unknown or there twice, the scales are out of range or do not rise, `ndim` is neither 2 nor 3, or
        there is no channel.

    Examples
    --------
    >>> import napari_cutout as nc
    >>> nc.feature_names(("intensity", "structure"), (1.0, 2.5), ndim=2)
    ('intensity', 'structure 1 smallest', 'structure 1 largest', 'structure 2.5 smallest', 'structure 2.5 largest')
    """
    if ndim not in (2, 3):
        raise ValueError(f"ndim must be 2 or 3, the axes of an image without that of the channels, got {ndim!r}")
    if n_channels < 1:
        raise ValueError(f"n_channels must be 1 at least, got {n_channels!r}")
    return bank_of(features, scales, None, ndim, n_channels).columns


def bank_of(
    features: FeatureNames, scales: Scales, spacing: Sequence[float] | None, ndim: int, n_channels: int = 1
) -> Bank:
    """Return checked features as a bank."""
    NAMES_ALLOWED.check("features", features, FeatureName)
    SCALES_ALLOWED.check("scales", scales, float)
    return Bank(tuple(features), tuple(float(s) for s in scales), edges(spacing, ndim), n_channels)


def channels_of(image: Array, channel_axis: int | None) -> list[Array]:
    """Return the channels of an image as views."""
    if channel_axis is None:
        return [image]
    if is_lazy(image):
        from ..blockwise import lazy_channels

        return lazy_channels(image, channel_axis)
    before = (slice(None),) * channel_axis
    return [image[(*before, channel, ...)] for channel in range(image.shape[channel_axis])]


def features(
    image: Image,
    *,
    features: FeatureNames = ("intensity",),
    scales: Scales = (1.0, 3.0),
    channel_axis: int | None = None,
    spacing: Sequence[float] | None = None,
) -> Array:
    """Describe every voxel by its neighbourhood at several scales.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype. NaN and infinity are left out of every mean; all features but intensity and position are NaN
        there, and nowhere else.
    features : tuple of str
        Which ones, in the order of the result.

        - ``"intensity"``: the grey level itself.
        - ``"gaussian"``: the mean of the neighbourhood.
        - ``"gradient"``: how steep the Gaussian is, in grey levels per edge of the smallest voxel.
        - ``"laplacian"``: the sum of its second derivatives; negative on bright spots.
        - ``"hessian"``: the eigenvalues of its second derivatives, times the square of the scale: which tell spots,
          lines and sheets apart.
        - ``"structure"``: the eigenvalues of the structure tensor, the products of slopes averaged with the same
          Gaussian once more: how directed a texture is.
        - ``"variance"``: the mean squared deviation from the Gaussian: how rough a texture is.
        - ``"position"``: where the voxel stands along each axis, in edges of the smallest voxel.
    scales : tuple of float
        Standard deviations of the Gaussians, in edges of the smallest voxel, rising.
    channel_axis : int, optional
        The axis that counts channels; every one has all features, and position comes once.
    spacing : sequence of float, optional
        World length of a voxel along each axis; coarse axes are smoothed over fewer voxels.

    Returns
    -------
    float32 array of shape (F, [Z,] Y, X), same library as `image`
        One feature of one channel at one scale after another, as `feature_names` names them.

    Raises
    ------
    TypeError
        If the image is boolean, complex or of objects.
    ValueError
        If a setting is out of range, or `spacing` or `channel_axis` does not fit the image.

    Notes
    -----
    Edges are mirrored; derivatives are central differences. Exact: every device and tiling gives the same bits.
    Memory beyond the result: a few blocks, whatever the number of features. Blocks overlap by the neighbourhood, up to
    eight times the largest scale and a voxel, so large scales take long on large volumes. The result is float32, of
    about seven digits: subtract first an offset that is large beside the differences you look for.

    References
    ----------
    .. [1] J. Weickert, "Coherence-enhancing diffusion filtering", Int. J. Comput. Vis. 31 (1999) 111-127.
       DOI:10.1023/A:1008009714131 (if features has "structure")
    .. [2] Y. Sato et al., "Three-dimensional multi-scale line filter for segmentation and visualization of curvilinear
       structures in medical images", Med. Image Anal. 2 (1998) 143-168. DOI:10.1016/S1361-8415(98)80009-1 (if features
       has "hessian")

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> ramp = np.arange(12.0).reshape(1, 12) * np.ones((9, 1))
    >>> nc.features(ramp, features=("gradient", "laplacian"), scales=(1.0,))[:, 4, 6].round(3).tolist()
    [1.0, 0.0]
    """
    array_namespace(image)
    axis = None if channel_axis is None else check_channel_axis(image, channel_axis)
    check_image(image, None if axis is None else tuple(image.shape[:axis]) + tuple(image.shape[axis + 1 :]))
    channels = channels_of(image, axis)
    first = channels[0]
    bank = bank_of(features, scales, spacing, first.ndim, len(channels))
    positions = coordinates(first.shape, spacing, first) if "position" in bank.names else []
    made, n_columns = partial(float32_columns, bank), len(bank.columns)
    if is_lazy(first):
        from ..blockwise import lazy_map_many

        return lazy_map_many(made, [*channels, *positions], n_columns, bank.width, "float32")
    out = empty((n_columns, *first.shape), "float32", like=first)
    stage("computing features")
    map_many(made, [*channels, *positions], out, Derived(bank, bank.width))
    return out


def float32_columns(bank: Bank, *blocks: Array) -> Iterator[Array]:
    """Yield the columns of a block of every channel, and of every coordinate where there are any."""
    for column in bank.one_by_one(blocks[: bank.n_channels], blocks[bank.n_channels :]):
        xp = array_namespace(column)
        with np.errstate(over="ignore"):
            single = xp.astype(column, xp.float32, copy=False)
        yield single
