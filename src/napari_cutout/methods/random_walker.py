"""The random walker: from a few strokes to the most likely label of every voxel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Unpack

from .._array import Array, is_host, is_lazy
from .._method import Image, Labels, Markers, Mask, Range, Seldom, Typical, method, with_settings_of
from .._monitor import stage
from .._plan import run_plan
from ..processing.features import channels_of
from ..processing.segment import Background, RegionOptions, prepare, tidy_regions
from ._walk import WalkSettings, unit_of
from ._walk_blocks import bytes_needed, labels_inside, pyramid
from ._walk_session import Session

__all__ = ["random_walker", "random_walker_probabilities"]


@method(
    "Random walker",
    agreement="tolerance(1e-2)",
    extras=("updates", "probabilities"),
    memory=bytes_needed,
    tile_memory=68.0,
    tile_voxels=1 << 21,
    device_memory=82.0,
)
def random_walker(
    image: Image,
    markers: Markers,
    mask: Mask | None = None,
    *,
    beta: Annotated[float, Range(0, 1e9, 10.0), Typical(10, 3000)] | Literal["auto"] = "auto",
    background: Background = 0,
    tolerance: Annotated[float, Range(1e-5, 0.1, 1e-4), Seldom()] = 1e-3,
    channel_axis: int | None = None,
    **options: Unpack[RegionOptions],
) -> Labels:
    """Give every voxel the stroke that a random walk meets first.

    Paint a few strokes of two or more labels, on the objects and on what is around them. A walker steps from voxel to
    voxel, rarely across an edge of the image; every voxel gets the label that it most likely meets first. Regions end
    at edges, also faint ones with gaps, which a flood would leak through.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        Any real dtype. Voxels that are NaN or infinite are outside.
    markers : int array of the shape of a channel
        Strokes: 0 is not marked, 1 to 2147483647 are labels, -1 is outside.
    mask : array of the shape of a channel, optional
        Where to walk; voxels outside become 0, and markers outside are left out.
    beta : float or "auto"
        How rarely the walker steps across a difference of grey level: the larger, the fainter the edges that count; 0
        counts distances only, as a constant image does. ``"auto"`` takes it from how much neighbours differ on average,
        so that neither the scale of the grey levels nor their dtype shows; scikit-image has 130.
    background : int
        The label of strokes on what is around the objects, which becomes 0; 0 is none.
    tolerance : float
        The estimated largest error of a probability at which to stop.
    channel_axis : int, optional
        The axis that counts channels, which are walked on together.
    **options : Options
        Steps before and after; those before are run on every channel.

    Returns
    -------
    int32 array of the shape of a channel, same library as `image`
        The label of a marker at every voxel that can be reached from one, 0 elsewhere. Of labels that are as likely
        the smallest wins.

    Raises
    ------
    ValueError
        If no voxel is marked inside, a marker is below -1 or above 2147483647, shapes differ, a setting is out of
        range, or grey levels differ by so little that with this `beta` none would count.
    TypeError
        If the image is boolean, complex or of objects, or markers are floats.

    Warns
    -----
    RuntimeWarning
        If it stops before the tolerance is met; the error it reached is in the provenance, too.

    Notes
    -----
    Good for: noise, and borders with gaps, with a stroke in each object.

    Fails when: there are more objects than strokes: those without one go to what is around them.

    Tolerance: on every device, and in any chunks that fit into memory together, probabilities are within 1e-2 of each
    other and of a direct solution, by default mostly within 3e-3, for `tolerance` is the limit of an estimate; labels
    differ where two are about as likely. The weight of the edge between two neighbours is ``exp(-beta (a - b)^2 / (10 s
    d^2)) + 1e-10``, as in scikit-image: a and b are grey levels, integers divided by the range of their dtype, s is the
    standard deviation inside, d the distance in edges of the smallest voxel; of n channels the squares are summed and
    divided by the square root of n. For ``"auto"`` beta is such that a difference of average size has an exponent of 1.
    The probabilities solve Laplace's equation between strokes. It is solved without a matrix, by conjugate gradients
    with a multigrid whose levels merge only voxels that hold together, and stops on an estimate of the largest error.
    Memory: about 48 bytes per voxel and 20 more for each of two labels that are solved at the same time; as many labels
    as there are take turns.
    What does not fit into memory as a whole is solved on groups of about 8, 64... voxels that hold together, and then
    in tiles, voxel by voxel within 4 voxels of boundaries and strokes, and where labels are about as likely; the
    provenance says so. Measured at 96^3 voxels: on an embryo of 8 cells 0.3 % of the labels differ from those of the
    whole, in blobs with noise 0 to 0.6 % on groups of 8 and 0 to 2.8 % on groups of 64; probabilities differ by 0 to
    0.024 on average, at a beta of 2000 by 0.05. Dask arrays give lazy ones, in which their chunks do not show.

    References
    ----------
    .. [1] L. Grady, "Random walks for image segmentation", IEEE Trans. Pattern Anal. Mach. Intell. 28 (2006) 1768-1783.
       DOI:10.1109/TPAMI.2006.233
    .. [2] A. Napov and Y. Notay, "An algebraic multigrid method with guaranteed convergence rate", SIAM J. Sci.
       Comput. 34 (2012) A1079-A1109. DOI:10.1137/100818509
    .. [3] I. Koutis, G. L. Miller and D. Tolliver, "Combinatorial preconditioners and multilevel solvers for problems
       in computer vision and image processing", Comput. Vis. Image Underst. 115 (2011) 1638-1646.
       DOI:10.1016/j.cviu.2011.05.013

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[0, 0, 0, 9, 9, 9]] * 3, np.float32)
    >>> markers = np.zeros((3, 6), int)
    >>> markers[1, 0], markers[1, 5] = 1, 2
    >>> random_walker(image, markers).tolist()
    [[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2]]
    """
    settings = {**options, "channel_axis": channel_axis, "beta": beta, "tolerance": tolerance}
    channels, lattice = _ready(image, settings)
    plan = pyramid(len(channels), lattice, math.prod(markers.shape))
    return tidy_regions(run_plan(plan, *channels, mask, markers), {**options, "background": background})


@with_settings_of(random_walker, shows="probabilities")
def random_walker_probabilities(image: Image, markers: Markers, mask: Mask | None = None, **settings: Any) -> Array:
    """Return how likely a random walk from each voxel reaches each label first.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        As in `random_walker`.
    markers : int array of the shape of a channel
        As in `random_walker`.
    mask : array of the shape of a channel, optional
        Where to walk; voxels outside become NaN.
    **settings : random_walker
        As in `random_walker`.

    Returns
    -------
    float32 array of shape (n, [Z,] Y, X), same library as `image`
        One for each label of the markers, by rising label. They sum up to 1; NaN where `random_walker` gives 0.

    Raises
    ------
    ValueError
        As `random_walker`.
    TypeError
        As `random_walker`.

    Notes
    -----
    Memory: 4 bytes per voxel and label beyond that of `random_walker`. Dask arrays are read once when it is called, to
    know the labels that lie inside; the probabilities are lazy.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cutout as nc
    >>> image, markers = np.zeros((3, 5), np.float32), np.zeros((3, 5), int)
    >>> markers[:, 0], markers[:, 4] = 1, 2
    >>> nc.random_walker_probabilities(image, markers)[0].round(2)[1].tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    channels, lattice = _ready(image, settings)
    labels = labels_inside(channels, mask, markers) if is_lazy(markers) or is_host(markers) else None
    plan = pyramid(len(channels), lattice, math.prod(markers.shape), keep=True, labels=labels)
    return run_plan(plan, *channels, mask, markers)


def session_on(image: Image, mask: Mask | None, settings: Mapping[str, Any]) -> Session:
    """Return an image that is walked on again and again, while strokes are painted.

    Parameters
    ----------
    image : array of shape ([Z,] Y, X), with channels where `channel_axis` says
        As in `random_walker`.
    mask : array of the shape of a channel, optional
        Where to walk.
    settings : mapping
        All settings of `random_walker`; steps after the cut are left out.

    Returns
    -------
    Session
        What answers for any strokes.

    Raises
    ------
    ValueError
        As `random_walker`.
    """
    channels, lattice = _ready(image, settings)
    return Session(channels, mask, lattice)


def _ready(image: Image, settings: Mapping[str, Any]) -> tuple[list[Array], WalkSettings]:
    """Return what is walked on, after the steps before."""
    stage("looking at grey levels")
    channels = [prepare(channel, "bright", settings) for channel in channels_of(image, settings["channel_axis"])]
    lattice = WalkSettings(settings["beta"], settings["tolerance"], settings["spacing"], unit_of(image))
    return channels, lattice
