"""Methods on the graph of regions that touch: merging them, cutting them apart, and the graph itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, is_lazy, to_numpy
from .._checks import check_channel_axis, check_image, check_labels, check_spacing
from .._method import Image, Labels, Markers, Mask, Method, Range, Seldom, Typical, method
from .._monitor import note
from .._plan import run_plan
from ..processing.features import channels_of
from ..processing.filters import edges
from ..processing.labels import Connectivity
from ..processing.segment import Background, tidy_regions
from ._hierarchy import Hierarchy, keep
from ._merge_tree import Criterion, MergeTree, merge_tree
from ._ncut import cut_regions
from ._regions import RegionGraph, Sources, graph_of, looked_up, mapped
from ._stroke_graph import cut_of_regions, cut_of_voxels
from ._stroke_models import CutSettings
from .partition import SUPERPIXELS, superpixels

__all__ = ["merge_regions", "graph_cut", "merge_tree", "normalized_cut", "region_graph"]

BYTES_PER_REGION = 1500.0
"""What is known of a region and of the seven or so boundaries that it has in a volume, and of its merges."""

NumberOfSuperpixels = Annotated[int, SUPERPIXELS, Typical(200, 5000)]
"""About how many regions to begin with, where none are given."""


WORKING = 40.0
"""Bytes per voxel of a block in work: regions, their ranks, and grey levels in quanta. Measured; a test holds it."""


def _needed(settings: Mapping[str, Any], n_voxels: int, n_channels: int) -> float:
    """Return the bytes per voxel of superpixels while they are made, or as they are kept with what is known of each."""
    made: Method = superpixels.__method__  # type: ignore[attr-defined]
    own = {p.name: settings.get(p.name, p.default) for p in made.settings}
    n_regions = min(int(settings["n_superpixels"]), n_voxels)
    return max(made.bytes_per_voxel(own, n_voxels, n_channels), 4.0 + BYTES_PER_REGION * n_regions / n_voxels)


@method(
    "Graph-based",
    extras=("hierarchy",),
    memory=_needed,
    working=WORKING,
    tile_memory=95.0,
    driver_memory=370.0,
    device_memory=67.0,
)
def merge_regions(
    image: Image,
    regions: Labels | None = None,
    mask: Mask | None = None,
    *,
    criterion: Annotated[Criterion, Typical()] = "ward",
    n_regions: Annotated[int, Range(1, 2**31 - 1), Typical(2, 500)] = 50,
    threshold: Annotated[float, Range(0, 1e15)] | None = None,
    n_superpixels: NumberOfSuperpixels = 1000,
    channel_axis: int | None = None,
    spacing: tuple[float, ...] | None = None,
) -> Labels:
    """Merge neighbouring regions, the most alike first.

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
    Good for: regions that are even inside, down to a number that is known.

    Fails when: grey levels change more inside a region than between two: neighbours across the change are joined
    last.

    Exact: the same labels on every device and in every tiling, whatever the regions are called. Grey levels are whole
    numbers in sums: integers of up to 16 bits as they are, others rounded to 2^-30 of the largest. Regions touch where
    two of their voxels share a face. Of pairs that differ by the same, those merge first whose first voxels come first.
    What a pair differs by is made anew after every merge; where it falls below that of an earlier merge, that of the
    earlier one is taken, so that thresholds and numbers of regions give the same hierarchy. Where there is no region,
    the result is 0. Memory beyond superpixels: blocks, and about 300 bytes for each region and boundary.

    References
    ----------
    .. [1] J. H. Ward, "Hierarchical grouping to optimize an objective function", J. Am. Stat. Assoc. 58 (1963)
       236-244. DOI:10.1080/01621459.1963.10500845 (if criterion="ward")

    Examples
    --------
    >>> import numpy as np
    >>> regions = np.array([[1, 1, 2, 3, 3], [1, 1, 2, 3, 3]])
    >>> image = np.array([[10, 12, 13, 50, 50], [10, 12, 14, 52, 50]], np.uint8)
    >>> merge_regions(image, regions, n_regions=2).tolist()
    [[1, 1, 1, 2, 2], [1, 1, 1, 2, 2]]
    """
    if regions is None:
        regions = _superpixels_for("merge_regions", image, mask, n_superpixels, channel_axis, spacing)
    sources = _sources(image, regions, mask, channel_axis)
    if is_lazy(regions):
        return mapped(sources, partial(_merged, criterion, n_regions, threshold))
    graph = graph_of(sources)
    tree = merge_tree(graph, criterion=criterion)
    keep(partial(_hierarchy, sources, graph, tree))
    return looked_up(sources, graph.labels, _cut(tree, n_regions, threshold))


@method(
    "Graph-based",
    agreement="tolerance(1e-9)",
    memory=_needed,
    working=WORKING,
    tile_memory=95.0,
    driver_memory=370.0,
    device_memory=67.0,
)
def normalized_cut(
    image: Image,
    regions: Labels | None = None,
    mask: Mask | None = None,
    *,
    n_regions: Annotated[int, Range(1, 2**31 - 1), Typical(2, 100)] | None = None,
    threshold: Annotated[float, Range(0, 2, 1e-4), Typical(1e-4, 0.3)] = 0.001,
    contrast: Annotated[float, Range(0, 1e15)] | None = None,
    n_superpixels: NumberOfSuperpixels = 1000,
    channel_axis: int | None = None,
    spacing: tuple[float, ...] | None = None,
) -> Labels:
    """Cut regions apart where both sides hang together more than across.

    A boundary counts as a whole: a cut is good if what lies on both sides is much alike inside, and little across it,
    so that neither one odd region nor a gap in an edge decides. For images of a few large things whose edges are weak
    here and there; `merge_regions`, which looks at two regions at a time, leaks through such gaps.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype. Voxels that are NaN or infinite in any channel become 0.
    regions : int array of the shape of a channel, optional
        What to cut apart: labels of 0 or more, of which 0 stays 0. By default `superpixels` of the image.
    mask : array of the shape of a channel, optional
        Where to look; voxels outside become 0.
    n_regions : int, optional
        Cut into so many at once. Regions that touch no other stay apart, so there may be more, and never more than
        there are regions to begin with. By default cuts in two go on until `threshold` ends them.
    threshold : float
        Nothing is cut apart whose normalized cut is not below it, 0 to 2: the smaller, the fewer cuts. Not looked at
        if `n_regions` is given.
    contrast : float, optional
        How much two neighbours must differ, in grey levels, to be hardly alike: the smaller, the more cuts. 0 takes
        none for alike that are not equal. By default the median difference of neighbours that differ, or the mean of
        all if that is less; twice as much if `n_regions` is given.
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
        If shapes differ, a label is negative or does not fit into int64, a setting is out of range, or eigenvectors
        take more than 8 GB.
    TypeError
        If the image is boolean, complex or of objects, or regions are not integers.
    RuntimeError
        If the eigenvectors are not found, which no graph is known for.

    Notes
    -----
    Good for: a few parts that hang together, of like weight.

    Fails when: more regions are asked for than there are: what is even is cut into parts of like size.

    Two neighbours are alike by ``exp(-(difference of means / contrast)^2)``, each region with itself by 1; what is
    below 1e-9 is none. Regions touch where two of their voxels share a face. The normalized cut into A and B is the
    likeness across it over that of all in A with all there is, plus the same of B. A group is cut along the second
    eigenvector of its normalized Laplacian, where that is smallest, and what comes out along the next ones, up to 16,
    before new ones are found; a group of equal regions is cut by its shape alone, which the default threshold hardly
    ever lets through. Several at once: as many eigenvectors, turned until each stands for a group; a group that does
    not hang together then falls into its pieces, of which the least join the neighbour that they are most alike.

    The graph is exact on every device and in every tiling, and eigenvectors are found in float64 on the host, always
    from the same start; processors and libraries may round them differently, so that of two cuts that are as good to
    1e-9 another may be chosen. scikit-image's `cut_normalized` tries ten places along one vector, never cuts two
    regions apart, and begins at random; its sigma is the square of the contrast, and its graph has corners, too.
    Memory beyond superpixels: blocks, and about 1,000 bytes for each region; 16 for each region and wanted region if
    there are 25 % as many, and 24 times the square of the regions beyond.

    References
    ----------
    .. [1] J. Shi and J. Malik, "Normalized cuts and image segmentation", IEEE Trans. Pattern Anal. Mach. Intell. 22
       (2000) 888-905. DOI:10.1109/34.868688
    .. [2] S. X. Yu and J. Shi, "Multiclass spectral clustering", in Proc. 9th IEEE Int. Conf. Comput. Vis. (2003)
       313-319. DOI:10.1109/ICCV.2003.1238361 (if n_regions > 0)
    .. [3] A. Damle, V. Minden and L. Ying, "Simple, direct and efficient multi-way spectral clustering", Inf. Inference
       8 (2019) 181-203. DOI:10.1093/imaiai/iay008 (if n_regions > 0)

    Examples
    --------
    >>> import numpy as np
    >>> regions = np.array([[1, 1, 2, 3, 3], [1, 1, 2, 3, 3]])
    >>> image = np.array([[10, 12, 13, 50, 50], [10, 12, 14, 52, 50]], np.uint8)
    >>> normalized_cut(image, regions, contrast=5.0).tolist()
    [[1, 1, 1, 2, 2], [1, 1, 1, 2, 2]]
    """
    if regions is None:
        regions = _superpixels_for("normalized_cut", image, mask, n_superpixels, channel_axis, spacing)
    sources = _sources(image, regions, mask, channel_axis)
    return mapped(sources, partial(cut_regions, n_regions, threshold, contrast))


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


def _superpixels_for(
    method: str,
    image: Image,
    mask: Mask | None,
    n_superpixels: int,
    channel_axis: int | None,
    spacing: tuple[float, ...] | None,
) -> Labels:
    """Return what a method begins with if no regions are given."""
    found = superpixels(image, mask, n_superpixels=n_superpixels, channel_axis=channel_axis, spacing=spacing)
    note(method=method)  # and not that of the superpixels
    return found


def _sources(image: Image, regions: Labels, mask: Mask | None, channel_axis: int | None, **more: Any) -> Sources:
    channels = channels_of(image, channel_axis)
    if is_lazy(regions):
        regions = regions.rechunk(channels[0].chunks)
    return Sources(regions, channels, mask, **more)


def _bytes_of_cut(settings: Mapping[str, Any], n_voxels: int, n_channels: int) -> float:
    """Return the bytes per voxel that a cut takes: those of superpixels, or of a graph whose nodes are voxels."""
    return 400.0 if settings["on"] == "voxels" else _needed(settings, n_voxels, n_channels)


@method(
    "Graph-based",
    memory=_bytes_of_cut,
    working=77.0,
    tile_memory=115.0,
    driver_memory=370.0,
    device_memory=36.0,
)
def graph_cut(
    image: Image,
    markers: Markers,
    regions: Labels | None = None,
    mask: Mask | None = None,
    *,
    smoothness: Annotated[float, Range(0, 1e6, 5.0), Typical(1, 200)] = 50.0,
    contrast: Annotated[float, Range(0, 1e9), Seldom()] | None = None,
    on: Literal["superpixels", "voxels"] = "superpixels",
    n_superpixels: NumberOfSuperpixels = 1000,
    background: Background = 0,
    channel_axis: int | None = None,
    spacing: tuple[float, ...] | None = None,
) -> Labels:
    """Cut where the colours of your strokes part, and edges are.

    Paint a few strokes of two or more labels, on the objects and on what is around them. Every region gets the label
    under whose strokes its grey levels or colours are common; boundaries cost something, little along edges of the
    image, so that they are short and lie on edges.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype. Voxels that are NaN or infinite are outside.
    markers : int array of the shape of a channel
        Strokes: 0 is not marked, 1 to 2147483647 are labels, of which there are two at least. Painted voxels keep
        their label.
    regions : int array of the shape of a channel, optional
        What is cut: each region as one, such as superpixels or the result of another method; 0 is outside. None cuts
        what `on` says.
    mask : array of the shape of a channel, optional
        Where to cut; voxels outside become 0, and strokes outside are left out.
    smoothness : float
        What a boundary costs per voxel where there is no edge, beside the grey levels, whose costs are logarithms of
        likelihoods: the larger, the smoother; 0 goes by grey levels alone. Thin or crowded things, which are mostly
        boundary, want less than the default, such as 5.
    contrast : float, optional
        The difference of grey levels across a boundary at which it costs 0.6 of that; by default the root of the mean
        squared difference of all neighbours.
    on : {"superpixels", "voxels"}
        What is cut if no regions are given: superpixels are fast, voxels follow fine structures, but are slow in large
        volumes.
    n_superpixels : int
        About how many superpixels there are.
    background : int
        The label of strokes on what is around the objects, which becomes 0; 0 is none.
    channel_axis : int, optional
        The axis that counts channels, which are looked at together.
    spacing : tuple of float, optional
        World length of a voxel along each axis, in the order of the axes.

    Returns
    -------
    int32 array of the shape of a channel, same library as `image`
        The label of a stroke at every voxel inside, 0 elsewhere.

    Raises
    ------
    ValueError
        If fewer than two labels are painted inside, a marker is negative or above 2147483647, a region is negative,
        shapes differ, a setting is out of range, or voxels are to be cut of dask arrays.
    TypeError
        If the image is boolean, complex or of objects, or markers or regions are floats.

    Notes
    -----
    Good for: compact objects that differ from what is around by grey level or colour, from a few strokes.

    Fails when: objects are thin: their border costs more than they are worth. Lower the smoothness.

    Exact: the same labels on every device and in every tiling. A labelling costs, at every voxel, the negative
    logarithm of how common its colour is under the strokes of its label; and for every two neighbours with different
    labels ``smoothness exp(-d^2 / (2 contrast^2)) / r``: d^2 is the squared difference of grey levels, summed over
    channels, r their distance in edges of the smallest voxel. Neighbours share a face, in 2-D also a corner.
    Voxels of one region have one label, that of most of its painted voxels, and of equal counts the smallest one. Two
    labels: of all such labellings the cheapest, by a minimum cut (the maximum flow is SciPy's); where several are,
    that with the fewest regions of the larger label. More labels: alpha-expansions by rising label, until none makes
    it cheaper. Costs are whole numbers, of 1/1024.
    Colours are counted in 256 bins of one channel, 64, 16 or 8 of each of two, three or four together; of more
    channels each has a histogram of its own. The bins span the grey levels under the strokes; a Gaussian smooths them,
    as wide as Scott's rule says.
    The provenance has `contrast`, what the labelling costs (`energy`), and how many regions have strokes of two labels
    (`n_contested`). Memory: that of `superpixels`, and a few blocks; on voxels about 400 bytes per voxel,
    and of five channels or more 16 for each label besides.

    References
    ----------
    .. [1] Y. Boykov and M.-P. Jolly, "Interactive graph cuts for optimal boundary and region segmentation of objects
       in N-D images", in Proc. 8th IEEE Int. Conf. Comput. Vis. (2001) 105-112. DOI:10.1109/ICCV.2001.937505
    .. [2] Y. Boykov, O. Veksler and R. Zabih, "Fast approximate energy minimization via graph cuts", IEEE Trans.
       Pattern Anal. Mach. Intell. 23 (2001) 1222-1239. DOI:10.1109/34.969114
    .. [3] C. Rother, V. Kolmogorov and A. Blake, "GrabCut: interactive foreground extraction using iterated graph
       cuts", ACM Trans. Graph. 23 (2004) 309-314. DOI:10.1145/1015706.1015720

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> image = np.array([[10, 11, 12, 50, 51, 52]] * 3, np.uint8)
    >>> markers = np.zeros((3, 6), int)
    >>> markers[1, 0], markers[1, 5] = 1, 2
    >>> nc.graph_cut(image, markers, on="voxels").tolist()
    [[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2]]
    """
    channels = channels_of(image, channel_axis)
    lengths = tuple(edge / 1024 for edge in edges(spacing, channels[0].ndim))
    settings = CutSettings(smoothness, contrast, lengths)
    if regions is None and on == "voxels":
        if is_lazy(image):
            raise ValueError(
                "on='voxels' needs the whole image in memory, and a dask array may be larger; call .compute() on all "
                "arrays, or take on='superpixels'"
            )
        labels = cut_of_voxels(settings, channels[0], markers, None, mask, *channels[1:])
    else:
        if regions is None:
            regions = _superpixels_for("graph_cut", image, mask, n_superpixels, channel_axis, spacing)
        labels = run_plan(cut_of_regions(settings), channels[0], markers, regions, mask, *channels[1:])
    return tidy_regions(labels, {"background": background})


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
        default the strength of a boundary is how much voxels differ across it. Voxels where it is NaN or infinite
        belong to no region either.
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
