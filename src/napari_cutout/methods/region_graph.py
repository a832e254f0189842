"""Methods on the graph of regions that touch: merging them, and the graph itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, is_lazy, to_numpy
from .._checks import check_channel_axis, check_image, check_labels, check_spacing
from .._method import Image, Labels, Mask, Range, Typical, method
from .._monitor import note
from ..processing.features import channels_of
from ..processing.labels import Connectivity
from ._hierarchy import Hierarchy, keep
from ._merge_tree import Criterion, MergeTree, merge_tree
from ._regions import RegionGraph, Sources, graph_of, looked_up, mapped
from .partition import superpixels

__all__ = ["merge_regions", "merge_tree", "region_graph"]

NumberOfSuperpixels = Annotated[int, Range(1, 2**31 - 1), Typical(200, 5000)]
"""About how many regions to begin with, where none are given."""


@method("Graph-based", extras=("hierarchy",), memory=24.0, working=40.0)
def merge_regions(
    image: Image,
    regions: Labels | None = None,
    mask: Mask | None = None,
    *,
    criterion: Annotated[Criterion, Typical()] = "ward",
    n_regions: Annotated[int, Range(1, 2**31 - 1), Typical(2, 500)] = 50,
    threshold: Annotated[float, Range(0, 1e18)] | None = None,
    n_superpixels: NumberOfSuperpixels = 1000,
    channel_axis: int | None = None,
    spacing: tuple[float, ...] | None = None,
) -> Labels:
    """Merge neighbouring regions, the most alike first, until so many are left.

    Begin with too many regions, of `superpixels`, of `watershed_from_minima` or of any label layer: the two neighbours
    that differ least become one, again and again. The whole order of merges is found at once, so that a slider moves
    through it without waiting.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype. Voxels that are NaN or infinite in any channel become 0.
    regions : int array of the shape of a channel, optional
        What to begin with: labels of 0 or more, of which 0 stays 0. By default `superpixels` of the image.
    mask : array of the shape of a channel, optional
        Where to look; voxels outside become 0.
    criterion : {"ward", "mean", "boundary"}
        What two neighbours differ by. Ward: how much grey levels inside regions scatter more if they merge, so that
        small regions go first and regions of about equal size are left. Mean: the distance of their mean grey levels
        alone, which leaves small regions that stand out. Boundary: how much voxels differ across the boundary
        between them.
    n_regions : int
        Merging ends when so many regions are left; 1 leaves it to `threshold`. Regions that touch no other are never
        merged, so more may be left.
    threshold : float, optional
        Merging ends also before two neighbours that differ by more: in grey levels, for ward in squared grey levels
        times voxels. By default there is no such limit.
    n_superpixels : int
        About how many superpixels to begin with, if `regions` are not given.
    channel_axis : int, optional
        The axis that counts channels, which are compared together.
    spacing : tuple of float, optional
        World length of a voxel along each axis, in the order of the axes; it shapes superpixels alone.

    Returns
    -------
    int32 array of the shape of a channel, same library as `image`
        1 to n by first voxel in scan order; 0 outside.

    Raises
    ------
    ValueError
        If shapes differ, a label is negative or does not fit into int64, or a setting is out of range.
    TypeError
        If the image is boolean, complex or of objects, or regions are not integers.

    Notes
    -----
    Exact: the same labels on every device and in every tiling, whatever the regions are called. Grey levels are whole
    numbers in sums: integers of up to 16 bits as they are, others rounded to 2^-30 of the largest. Regions touch where
    two of their voxels share a face. Of pairs that differ by the same, those merge first whose first voxels come first.
    What a pair differs by is made anew after every merge; where it falls below that of an earlier merge, that of the
    earlier one is taken, so that thresholds and numbers of regions give the same hierarchy. Where there is no region,
    the result is 0. Memory beyond superpixels: blocks, and about 300 bytes for each region and boundary.

    References
    ----------
    .. [1] J. H. Ward, "Hierarchical grouping to optimize an objective function", J. Am. Stat. Assoc. 58 (1963)
       236-244. DOI:10.1080/01621459.1963.10500845 (if criterion is ward)

    Examples
    --------
    >>> import numpy as np
    >>> regions = np.array([[1, 1, 2, 3, 3], [1, 1, 2, 3, 3]])
    >>> image = np.array([[10, 12, 13, 50, 50], [10, 12, 14, 52, 50]], np.uint8)
    >>> merge_regions(image, regions, n_regions=2).tolist()
    [[1, 1, 1, 2, 2], [1, 1, 1, 2, 2]]
    """
    if regions is None:
        regions = superpixels(image, mask, n_superpixels=n_superpixels, channel_axis=channel_axis, spacing=spacing)
    sources = _sources(image, regions, mask, channel_axis)
    if is_lazy(regions):
        return mapped(sources, partial(_merged, criterion, n_regions, threshold))
    graph = graph_of(sources)
    tree = merge_tree(graph, criterion=criterion)
    keep(partial(_hierarchy, sources, graph, tree))
    return looked_up(sources, graph.labels, _cut(tree, n_regions, threshold))


def _merged(criterion: Criterion, n_regions: int, threshold: float | None, graph: RegionGraph) -> NDArray[np.int32]:
    return _cut(merge_tree(graph, criterion=criterion), n_regions, threshold)


def _cut(tree: MergeTree, n_regions: int, threshold: float | None) -> NDArray[np.int32]:
    numbers = tree.cut(n_regions=n_regions, threshold=threshold)
    note(n_regions=int(numbers.max(initial=0)))
    return numbers


def _hierarchy(sources: Sources, graph: RegionGraph, tree: MergeTree) -> Hierarchy:
    def cut(n_regions: int, threshold: float | None) -> NDArray[np.int32]:
        return np.concatenate(([0], tree.cut(n_regions=n_regions, threshold=threshold))).astype(np.int32)

    places = np.arange(1, len(graph) + 1, dtype=np.int32)
    return Hierarchy(to_numpy(looked_up(sources, graph.labels, places)), cut, tree.heights)


def _sources(image: Image, regions: Labels, mask: Mask | None, channel_axis: int | None, **more: Any) -> Sources:
    channels = channels_of(image, channel_axis)
    if is_lazy(regions):
        regions = regions.rechunk(channels[0].chunks)
    return Sources(regions, channels, mask, **more)


def region_graph(
    image: Image,
    regions: Labels,
    mask: Mask | None = None,
    *,
    boundary: Array | None = None,
    connectivity: Connectivity = 1,
    channel_axis: int | None = None,
    spacing: Sequence[float] | None = None,
) -> RegionGraph:
    """Return which regions touch, what each is like, and how strong the boundaries between them are.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype. Voxels that are NaN or infinite in any channel belong to no region.
    regions : int array of the shape of a channel
        Labels of 0 or more, of any layer; 0 is outside. A label need not hang together.
    mask : array of the shape of a channel, optional
        Where regions are; voxels outside belong to none.
    boundary : real array of the shape of a channel, optional
        How likely a boundary runs through each voxel, such as `gradient_magnitude` or the output of a network. By
        default the strength of a boundary is how much voxels differ across it.
    connectivity : int
        How many axes a step between two voxels that touch may cross: 1 is faces only, the number of axes includes
        edges and corners.
    channel_axis : int, optional
        The axis that counts channels.
    spacing : sequence of float, optional
        World length of a voxel along each axis; by default 1.

    Returns
    -------
    RegionGraph
        In host memory: sizes, means, pairs, and the mean strength and the area of every boundary. The strength is
        the difference of the grey levels of two voxels that touch (with several channels, the root of the sum of
        squares), or the mean of `boundary` at both, and is averaged over all pairs of voxels across the boundary.

    Raises
    ------
    ValueError
        If shapes differ, a label is negative or does not fit into int64, or an axis or spacing is not right.
    TypeError
        If the image is boolean, complex or of objects, or regions are not integers.

    Notes
    -----
    Exact: bit-identical for every tiling, library and device, since it is made of sums of whole numbers. Grey levels
    of up to 16 bits are summed as they are, others rounded to 2^-30 of the largest; so is `boundary`. dask arrays are
    computed chunk by chunk, twice, never as a whole. Memory: a few blocks with 40 bytes per voxel, and about 300 bytes
    for each region and each boundary.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[1, 1, 5, 5], [1, 1, 5, 9]])
    >>> graph = region_graph(image, np.array([[4, 4, 7, 7], [4, 4, 7, 7]]), spacing=(2.0, 1.0))
    >>> graph.labels.tolist(), graph.sizes.tolist(), graph.means[:, 0].tolist()
    ([4, 7], [4, 4], [1.0, 6.0])
    >>> graph.pairs.tolist(), graph.n_faces.tolist(), graph.boundary.tolist(), graph.areas.tolist()
    ([[0, 1]], [2], [4.0], [4.0])
    """
    array_namespace(image, regions, mask, boundary)
    Range(1, 3).check("connectivity", connectivity)
    shape = tuple(image.shape)
    if channel_axis is not None:
        channel_axis = check_channel_axis(image, channel_axis)
        shape = shape[:channel_axis] + shape[channel_axis + 1 :]
    check_image(image, shape, channels=True)
    check_labels("regions", regions, shape)
    if mask is not None:
        check_labels("mask", mask, shape, boolean=True)
    if boundary is not None:
        check_image(boundary, shape)
        if tuple(boundary.shape) != shape:
            raise ValueError(
                f"boundary must have the shape of image, {shape}, but has {tuple(boundary.shape)}; crop it"
            )
    lengths = None if spacing is None else check_spacing(spacing, len(shape))
    return graph_of(_sources(image, regions, mask, channel_axis, boundary=boundary, connectivity=connectivity), lengths)
