"""Partitions of an image into regions, with nothing to paint: graph-based segmentation and superpixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from .._array import Array, from_numpy, is_host, is_lazy
from .._method import Image, Labels, Mask, Range, Seldom, Typical, method
from .._monitor import note
from .._plan import gathered, run_plan
from ..processing.features import channels_of
from ._edges_device import device_edges_in_order, device_lattice_of
from ._felzenszwalb import EDGE, group_of, lattice_of, segmented
from ._felzenszwalb_tiles import TILE_VOXELS, felzenszwalb_plan
from ._grey_levels import Bins, counting, quantile_bins
from ._inside import smoothed_inside
from ._slic import settings_for
from ._superpixels import partitioned

__all__ = ["SUPERPIXELS", "felzenszwalb", "superpixels"]

SUPERPIXELS = Range(1, 10_000_000)
"""How many superpixels may be asked for, here and where others begin with them."""


SIGMA = 0.8
"""How much an image is smoothed before edges are weighed: as much as removes the noise of single voxels."""


def _bytes_needed(settings: Mapping[str, Any], n_voxels: int, n_channels: int) -> float:
    """Return the bytes per voxel of the forest, of the edges of a group, and of channels that are put together."""
    levels = 4.0 * n_channels * ((n_channels > 1) + (not settings.get("sigma", SIGMA)))
    return levels + 11.0 + group_of(n_voxels) * EDGE / n_voxels


def _of_tile(settings: Mapping[str, Any], n_voxels: int, n_channels: int) -> float:
    """Return the bytes per voxel of a tile: what the whole takes, labels, and what is kept of the faces."""
    return 2.0 + _bytes_needed(settings, n_voxels, n_channels)


@method(
    "Graph-based",
    agreement="exact, near in tiles",
    memory=_bytes_needed,
    tile_memory=_of_tile,
    tile_voxels=TILE_VOXELS,
    driver_memory=200.0,
    device_memory=80.0,
)
def felzenszwalb(
    image: Image,
    mask: Mask | None = None,
    *,
    scale: Annotated[float, Range(0, 1e9), Typical(1, 1e6)] | None = None,
    sigma: Annotated[float, Range(0, 100, 0.1), Typical(0.5, 4, off=True, length=True)] = SIGMA,
    min_size: Annotated[int, Range(0, 2**31 - 1), Typical(4, 4000, off=True)] = 20,
    connectivity: Annotated[int, Range(1, 3), Seldom()] | None = None,
    channel_axis: int | None = None,
    spacing: tuple[float, ...] | None = None,
) -> Labels:
    """Join neighbours that differ little for how even they are inside.

    Regions grow together across the faintest edges first. Two of them become one if the faintest edge between them is
    hardly stronger than the edges inside each; so an even region ends at a faint edge, and one with texture does not.
    For images that fall into many parts, on which you want to see what there is before you paint anything.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype. Voxels that are NaN or infinite, in any channel, are outside.
    mask : array of the shape of a channel, optional
        Where to look; voxels outside become 0, and do not count.
    scale : float, optional
        How much stronger than inside an edge must be, in grey levels times voxels: the larger, the larger regions
        become. 0 joins only what is equal. By default the range of grey levels after smoothing, without the 0.01 % of
        voxels at either end.
    sigma : float
        Standard deviation of the Gaussian that smooths the image first, in edges of the smallest voxel; 0 is off.
    min_size : int
        Regions of fewer voxels join the neighbour from which they differ least; 0 is off.
    connectivity : int, optional
        How many axes a step between neighbours may cross. By default all in 2-D, and 1 in 3-D.
    channel_axis : int, optional
        The axis that counts channels, which are looked at together.
    spacing : tuple of float, optional
        World length of a voxel along each axis, in the order of the axes.

    Returns
    -------
    int32 array of the shape of a channel, same library as `image`
        Regions from 1 by their first voxel in scan order; 0 outside.

    Raises
    ------
    ValueError
        If no voxel lies inside, a grey level that is to be smoothed is larger than 1e37, shapes differ or a setting is
        out of range.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: even regions of any size with edges between them, when nobody can say how many.

    Fails when: one region passes into the next without an edge: they are joined.

    Exact. The weight of the edge between two neighbours is the difference of their grey levels, the length of the
    vector of differences for several channels, divided by the longest edge of the voxel that the step crosses, in edges
    of the smallest voxel, and rounded to float32. Edges are visited once, in order of weight, of equal ones by their
    first voxel in scan order and then their second. Two regions are joined if the weight is at most the internal
    difference plus ``scale / size`` of both, where the internal difference of a region is the largest weight by which
    it was joined, and size its voxels. Then edges are visited in the same order again, and regions joined of which one
    is smaller than `min_size`. Voxels that no path connects stay apart, whatever their size.
    ``skimage.segmentation.felzenszwalb`` finds the same regions in 2-D where no two edges weigh the same; its `scale`
    is divided by 255 for floats. Memory: about 24 bytes per voxel, edges included, of which only a part is held.

    The order of the edges is one of the whole image, which no tile knows. A dask array of up to 8,388,608 voxels is
    gathered and done as one; a larger one in tiles of so many at most, whatever its chunks. Each tile joins regions by
    the same rule; then edges across tiles are visited in their order, and at last small regions joined in the order of
    all edges. So regions beside tiles may differ from those of the whole, and the result says so. Chunks, threads and
    devices do not show. With four tiles of a FIB-SEM volume the variation of information to the whole was 1.8 bits at a
    scale of 300 and 2.5 at 30, where half a grey level of noise makes 0.3 and 3.7 without tiles. A tile takes 0.3 GB.

    References
    ----------
    .. [1] P. F. Felzenszwalb and D. P. Huttenlocher, "Efficient graph-based image segmentation", Int. J. Comput. Vis.
       59 (2004) 167-181. DOI:10.1023/B:VISI.0000022288.19776.77

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[0, 0, 0, 9, 9], [0, 1, 0, 9, 9], [0, 0, 0, 9, 9]])
    >>> felzenszwalb(image, scale=9.0, sigma=0.0, min_size=2).tolist()
    [[1, 1, 1, 2, 2], [1, 1, 1, 2, 2], [1, 1, 1, 2, 2]]
    """
    channels = smoothed_inside(image, mask, sigma=sigma, channel_axis=channel_axis, spacing=spacing)
    chosen = usual_scale(channels) if scale is None else scale
    ndim = channels[0].ndim
    reach = connectivity or (ndim if ndim == 2 else 1)
    known = scale if is_lazy(channels[0]) else chosen
    del image
    whole = partial(_segmented, scale=known, min_size=min_size, connectivity=reach, spacing=spacing)
    return run_plan(felzenszwalb_plan(whole, chosen, min_size, reach, spacing), *channels)


def _segmented(
    *channels: Array, scale: float | None, min_size: int, connectivity: int, spacing: tuple[float, ...] | None
) -> Labels:
    """Segment an image in memory."""
    chosen = usual_scale(channels) if scale is None else scale
    note(scale=chosen)
    first = channels[0]
    if is_host(first):
        labels = segmented(lattice_of(channels, connectivity, spacing), chosen, min_size)
    else:
        lattice = device_lattice_of(channels, connectivity, spacing)
        labels = segmented(lattice, chosen, min_size, device_edges_in_order)
    return from_numpy(labels.reshape(tuple(first.shape)), like=first)


def usual_scale(channels: Sequence[Array]) -> Any:
    """Return the range of grey levels, without the 0.01 % of voxels at either end.

    Of several channels it is the square root of the sum of squares, as their differences are. Of dask arrays it is a
    delayed number.
    """
    if is_lazy(channels[0]):
        import dask

        from ..blockwise import decided

        return dask.delayed(_length_of)([decided(_range_of, *counting(channel), channel, None) for channel in channels])
    return _length_of([_range_of(gathered(*counting(channel), channel, None)) for channel in channels])


def _length_of(ranges: Sequence[float]) -> float:
    return ranges[0] if len(ranges) == 1 else float(sum(r * r for r in ranges) ** 0.5)


def _range_of(bins: Bins) -> float:
    histogram = bins.histogram()
    first, last = quantile_bins(histogram.counts)
    return float(histogram.values[last] - histogram.values[first])


def _kept(_settings: Mapping[str, Any], _n_voxels: int, n_channels: int) -> float:
    """Return the bytes per voxel of labels and parts, and of channels that are put in order, float32 say."""
    return 12.0 + (4.0 * n_channels if n_channels > 1 else 0.0)


@method("Graph-based", memory=_kept, tile_memory=95.0, driver_memory=320.0, device_memory=36.0)
def superpixels(
    image: Image,
    mask: Mask | None = None,
    *,
    n_superpixels: Annotated[int, SUPERPIXELS, Typical(50, 5000)] = 1000,
    compactness: Annotated[float, Range(0, 1000, 0.1), Typical(0.1, 5)] = 1.0,
    sigma: Annotated[float, Range(0, 100, 0.1), Typical(0.5, 4, off=True, length=True)] = 0.0,
    max_iterations: Annotated[int, Range(1, 1000), Seldom()] = 10,
    min_size: Annotated[float, Range(0, 1, 0.05), Seldom()] = 0.5,
    channel_axis: int | None = None,
    spacing: tuple[float, ...] | None = None,
) -> Labels:
    """Divide an image into small even regions that keep to its edges.

    Instead of millions of voxels there are a thousand pieces, each even inside. `merge_regions`, `normalized_cut` and
    `graph_cut` put them together, and so can you, by hand.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype. Voxels that are NaN or infinite, in any channel, are outside.
    mask : array of the shape of a channel, optional
        Where to look; voxels outside become 0, and do not count.
    n_superpixels : int
        About how many regions; never more than there are voxels.
    compactness : float
        How much distance in space counts against difference in grey level: small values keep to every edge, large
        ones make boxes. It has no unit: 1 means that the way from one superpixel to the next counts as much as a
        difference of one standard deviation of the image.
    sigma : float
        Standard deviation of the Gaussian that smooths the image first, in edges of the smallest voxel; 0 is off.
    max_iterations : int
        How often voxels are assigned to superpixels, the first time to the cells of a grid.
    min_size : float
        Parts smaller than this share of the mean size join the neighbour with which they share most faces; 0 is off.
    channel_axis : int, optional
        The axis that counts channels, which are looked at together.
    spacing : tuple of float, optional
        World length of a voxel along each axis, in the order of the axes.

    Returns
    -------
    int32 array of the shape of a channel, same library as `image`
        Connected regions from 1 by their first voxel in scan order; 0 outside.

    Raises
    ------
    ValueError
        If no voxel lies inside, a grey level that is to be smoothed is larger than 1e37, shapes differ or a setting is
        out of range.
    TypeError
        If the image is boolean, complex or of objects.

    Notes
    -----
    Good for: a few hundred pieces that keep to the edges, to choose from or to merge.

    Fails when: objects are smaller than a piece or thinner: they share one with what is around.

    Exact: k-means of grey levels and places that looks no farther than a window (SLIC). It begins with a grid of cells
    over the box around all that is inside, with about as many cells as superpixels are asked for, about as long along
    one axis as along another in world units, and a centre in the middle of what of a cell is inside; a cell without any
    has none. If cells are left out, a finer grid is tried, four at most, and the one taken that comes closest: maskSLIC
    places centres by k-means instead. No grid has more than 128 cells for each superpixel asked for: a mask whose
    voxels lie in fewer of the cells, such as a thin slanting thread, is divided into fewer superpixels. Then every
    voxel goes to the nearest centre among those that are at most two cells away along each axis and that of its own
    cell, of several to the first in scan order of the grid, and every centre to the middle of its voxels; one that has
    lost them all stays. The squared distance is that in space, in cells and times the square of `compactness`, plus the
    squared difference of grey levels in standard deviations of the whole, averaged over the channels that vary. At last
    all voxels of one centre that are connected by faces are a part. In the order of their first voxels, a part whose
    region is too small joins it to the region with which the part shares most faces, of several to the first; and so
    again until every region is large enough or has no neighbour. So there are fewer regions than centres where the
    image is noisy beside its `compactness`, and a constant image is divided into the cells.
    ``skimage.segmentation.slic`` has the same windows and starts alike; its unit is the range of grey levels, and
    L*a*b* for three channels. Memory: about 12 bytes per voxel, up to 20 in pure noise that is divided loosely, and
    that of several channels, which are put in order; more on a device.

    References
    ----------
    .. [1] R. Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", IEEE Trans. Pattern
       Anal. Mach. Intell. 34 (2012) 2274-2282. DOI:10.1109/TPAMI.2012.120
    .. [2] B. Irving, "maskSLIC: regional superpixel generation with application to local pathology characterisation in
       medical images", arXiv (2016) 1606.09518. DOI:10.48550/arXiv.1606.09518

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[0, 0, 0, 9, 9, 9], [0, 0, 0, 0, 9, 9], [0, 0, 0, 0, 9, 9]])
    >>> superpixels(image, n_superpixels=2).tolist()
    [[1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 2, 2], [1, 1, 1, 1, 2, 2]]
    """
    if sigma:
        channels, mask = smoothed_inside(image, mask, sigma=sigma, channel_axis=channel_axis, spacing=spacing), None
    else:
        channels = channels_of(image, channel_axis)
    settings = settings_for(n_superpixels, compactness, max_iterations, spacing, channels[0].ndim)
    return partitioned(channels, mask, settings, min_size)
