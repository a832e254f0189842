"""Losses: how far probabilities are from an annotation, from sums that add over chunks.

What a network is trained on is checked against these. They give one number in float64, and no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._array import Array, array_namespace, dtype_name, to_numpy
from .._method import Labels
from ._contingency import check_pair, int64, span_of, sum_blocks

__all__ = ["generalised_dice_loss", "soft_dice_loss", "tversky_loss"]

Sums = NDArray[np.float64]


def soft_dice_loss(probabilities: Array, truth: Labels, *, smooth: float = 1.0, ignore: int | None = None) -> float:
    """Return how far probabilities are from the annotation, as one minus the Dice of both.

    Parameters
    ----------
    probabilities : array of float, of shape (...) or (K, ...)
        With the shape of `truth`, the probability of each voxel to belong to an object; with one axis more in front,
        that of each of the classes 0 to K - 1. Each is from 0 to 1.
    truth : array of int or bool, of shape (...), of the same library
        The annotation. Beside probabilities of one object any label but 0 is object; beside those of classes labels
        are the classes.
    smooth : float
        Added above and below the fraction line, in voxels, 0 or more; it makes an empty image a perfect score.
    ignore : int, optional
        The label of `truth` that means *not annotated*; its voxels leave every sum.

    Returns
    -------
    float
        1 - (2 sum(p y) + smooth) / (sum(p) + sum(y) + smooth), y being 1 where truth is the object and 0 elsewhere:
        0 is perfect. Of classes it is the mean, background included. Where `smooth` is 0, a class that is on neither
        side is left out of the mean, and NaN is returned if none is left.

    Raises
    ------
    TypeError
        If `probabilities` are not floats, `truth` does not hold integers or booleans, or they come from different
        libraries.
    ValueError
        If a probability is NaN or outside 0 to 1, `smooth` is negative or not finite, the shapes do not fit, there are
        no voxels, there are probabilities of a single class, `truth` names a class that has none, or a label of it is
        above 2**63 - 1.

    Notes
    -----
    For certain probabilities, each 0 or 1, and without smoothing it is 1 - Dice, as `evaluate` gives it [1]_.
    Sums are float64, in one pass, block by block in the order of the blocks, so a run repeats exactly; libraries and
    chunks differ by rounding, 1e-12. dask arrays are computed chunk by chunk. Memory: a few blocks.

    References
    ----------
    .. [1] F. Milletari, N. Navab and S.-A. Ahmadi, "V-Net: fully convolutional neural networks for volumetric medical
       image segmentation", in Proc. 4th Int. Conf. 3D Vision (2016) 565-571. DOI:10.1109/3DV.2016.79

    Examples
    --------
    >>> import numpy as np
    >>> round(soft_dice_loss(np.array([0.5, 1.0, 0.5]), np.array([0, 1, 1]), smooth=0), 3)
    0.25
    """
    return tversky_loss(probabilities, truth, alpha=0.5, beta=0.5, smooth=smooth, ignore=ignore)


def tversky_loss(
    probabilities: Array,
    truth: Labels,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
    ignore: int | None = None,
) -> float:
    """Return how far probabilities are from the annotation, where excess and misses weigh differently.

    Parameters
    ----------
    probabilities : array of float, of shape (...) or (K, ...)
        Of one object or of the classes 0 to K - 1, as in `soft_dice_loss`.
    truth : array of int or bool, of shape (...), of the same library
        The annotation, as in `soft_dice_loss`.
    alpha : float
        The weight of what was found in excess (FP), 0 or more.
    beta : float
        The weight of what was missed (FN), 0 or more; above `alpha` it favours finding small objects. One of both is
        above 0.
    smooth : float
        Added above and below the fraction line, in voxels, 0 or more; it makes an empty image a perfect score.
    ignore : int, optional
        The label of `truth` that means *not annotated*; its voxels leave every sum.

    Returns
    -------
    float
        1 - (2 TP + smooth) / (2 TP + 2 alpha FP + 2 beta FN + smooth) with TP = sum(p y), FP = sum(p (1 - y)) and
        FN = sum((1 - p) y): 0 is perfect. Of classes it is the mean, as in `soft_dice_loss`.

    Raises
    ------
    TypeError
        As `soft_dice_loss`.
    ValueError
        As `soft_dice_loss`, or if `alpha` or `beta` is negative or not finite, or both are 0.

    Notes
    -----
    Where both weights are 0.5 it is the soft Dice loss, where both are 1 one minus the soft IoU. The fraction of [1]_
    is written with twice its terms, so that `smooth` means the same in both losses. Sums and memory are those of
    `soft_dice_loss`.

    References
    ----------
    .. [1] S. S. M. Salehi, D. Erdogmus and A. Gholipour, "Tversky loss function for image segmentation using 3D fully
       convolutional deep networks", in Machine Learning in Medical Imaging (2017) 379-387.
       DOI:10.1007/978-3-319-67389-9_44

    Examples
    --------
    >>> import numpy as np
    >>> found, truth = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 1, 1])
    >>> [round(tversky_loss(found, truth, alpha=a, beta=1 - a, smooth=0), 3) for a in (0.1, 0.5)]
    [0.524, 0.6]
    """
    for name, value in (("alpha", alpha), ("beta", beta), ("smooth", smooth)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be 0 or more and finite, got {value!r}")
    if not alpha + beta:
        raise ValueError("alpha and beta are both 0, so no error would count; give one of them a weight above 0")
    common, found, there = summed(*_classes(probabilities, truth), truth, ignore)
    right = 2 * common + smooth
    whole = right + 2 * alpha * (found - common) + 2 * beta * (there - common)
    counted = whole > 0
    losses = 1 - right[counted] / whole[counted]
    return math.fsum(losses) / len(losses) if len(losses) else math.nan


def generalised_dice_loss(probabilities: Array, truth: Labels, *, ignore: int | None = None) -> float:
    """Return how far probabilities of classes are from the annotation, rare classes weighing more.

    Parameters
    ----------
    probabilities : array of float, of shape (K, ...)
        The probability of each voxel to belong to each of the classes 0 to K - 1, each from 0 to 1.
    truth : array of int or bool, of shape (...), of the same library
        The annotation; its labels are the classes.
    ignore : int, optional
        The label of `truth` that means *not annotated*; its voxels leave every sum.

    Returns
    -------
    float
        1 - 2 sum_k(w_k sum(p_k y_k)) / sum_k(w_k (sum(p_k) + sum(y_k))), with the weights w_k = 1 / sum(y_k)^2: 0 is
        perfect. NaN if `ignore` leaves no voxel.

    Raises
    ------
    TypeError
        As `soft_dice_loss`.
    ValueError
        If `probabilities` have no axis of classes, a probability is NaN or outside 0 to 1, the shapes do not fit,
        there are no voxels, there are probabilities of a single class, or `truth` names a class that has none.

    Notes
    -----
    The square of its voxels in the weight makes up for the size of a class [1]_. A class that truth does not hold
    would weigh without end; it weighs as the rarest class that is there, so that what is found of it costs. No
    smoothing is needed, since some class is always there. Sums and memory are those of `soft_dice_loss`.

    References
    ----------
    .. [1] C. H. Sudre, W. Li, T. Vercauteren, S. Ourselin and M. J. Cardoso, "Generalised Dice overlap as a deep
       learning loss function for highly unbalanced segmentations", in Deep Learning in Medical Image Analysis (2017)
       240-248. DOI:10.1007/978-3-319-67558-9_28

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([0.25, 0.25, 0.5, 1.0])
    >>> round(generalised_dice_loss(np.stack([1 - p, p]), np.array([0, 0, 0, 1])), 4)
    0.3125
    """
    common, found, there = summed(several_classes(probabilities, truth), True, truth, ignore)
    if not there.any():
        return math.nan
    weights = np.where(there > 0, there, there[there > 0].min()) ** -2.0
    return 1 - 2 * math.fsum(weights * common) / math.fsum(weights * (found + there))


def several_classes(probabilities: Array, truth: Array) -> list[Array]:
    """Return the probabilities of each class, of which there must be several."""
    classes, several = _classes(probabilities, truth)
    if not several:
        raise ValueError(
            f"probabilities must have an axis of classes before those of truth, {tuple(truth.shape)}, but have shape "
            f"{tuple(probabilities.shape)}; of one object pass np.stack([1 - p, p])"
        )
    return classes


def _classes(probabilities: Array, truth: Array) -> tuple[list[Array], bool]:
    """Return the probabilities of each class, or of the object alone, and whether there are classes."""
    array_namespace(probabilities, truth)
    if probabilities.ndim != truth.ndim + 1:
        return [probabilities], False
    n = probabilities.shape[0]
    if not n >= 2:
        raise ValueError(
            f"probabilities must be those of 2 classes or more, got {n} along the first axis of shape "
            f"{tuple(probabilities.shape)}; of one object pass probabilities[0]"
        )
    return [probabilities[k, ...] for k in range(n)], True


Term = Callable[[Array], Array]


def _itself(p: Array) -> Array:
    return p


def summed(classes: Sequence[Array], several: bool, truth: Array, ignore: int | None, term: Term = _itself) -> Sums:
    """Return sum(term(p) y), sum(p) and sum(y) of each class, (3, K)."""
    first = classes[0]
    check_pair(first, truth, ignore, first="each class of probabilities" if several else "probabilities")
    if not dtype_name(first).startswith("float"):
        raise TypeError(
            f"probabilities must be floats from 0 to 1, got dtype {dtype_name(first)}; "
            "for labels, 1 - evaluate(...).dice is the same loss without smoothing"
        )
    chunk: Callable[..., Any] = partial(_block_sums, several=several, ignore=ignore, term=term)
    sums, (low, high), (smallest, largest) = sum_blocks(chunk, _added, truth, *classes)
    if not (low >= 0 and high <= 1):
        raise ValueError(f"probabilities must lie between 0 and 1, got {low:g} to {high:g}; apply a sigmoid first")
    if several and not (smallest >= 0 and largest < len(classes)):
        raise ValueError(
            f"truth must name the classes 0 to {len(classes) - 1} that have probabilities, got labels from "
            f"{smallest:.0f} to {largest:.0f}; give the label that means *not annotated* as `ignore`, or renumber"
        )
    totals: Sums = sums
    return totals


Summary = tuple[Sums, Sums, Sums]
"""Sums of a block, (3, K), and the smallest and the largest probability and label."""


def _block_sums(truth: Array, *classes: Array, several: bool, ignore: int | None, term: Term) -> Summary:
    """Sum a block where it lives."""
    if 0 in truth.shape:
        return np.zeros((3, len(classes))), np.zeros(2), np.zeros(2)
    if dtype_name(truth) == "uint64":
        span_of("truth", truth)  # labels beyond int64 would wrap, and could come out as `ignore`
    xp = array_namespace(truth)
    labels = int64(truth)
    known = None if ignore is None else labels != ignore

    def read(values: Array) -> Array:
        """Return float64 values, 0 where they are not annotated: there even NaN may stand."""
        values = xp.astype(values, xp.float64)
        return values if known is None else xp.where(known, values, xp.zeros_like(values))

    rows = []
    for k, probability in enumerate(classes):
        p, y = read(probability), read(labels == k if several else labels != 0)
        of_class = xp.where(y != 0, term(xp.where(y != 0, p, xp.ones_like(p))), xp.zeros_like(p))
        rows.append(xp.stack([xp.sum(of_class), xp.sum(p), xp.sum(y), xp.min(p), xp.max(p)]))
    found = to_numpy(xp.stack(rows, axis=1))
    named = read(labels)
    span = to_numpy(xp.stack([xp.min(named), xp.max(named)]))
    return found[:3], np.asarray([found[3].min(), found[4].max()]), span


def _added(a: Summary, b: Summary) -> Summary:
    return a[0] + b[0], _span_of_both(a[1], b[1]), _span_of_both(a[2], b[2])


def _span_of_both(a: Sums, b: Sums) -> Sums:
    """Return the smaller of the smallest and the larger of the largest; NaN if there is one, which min() would lose."""
    return np.asarray([np.minimum(a[0], b[0]), np.maximum(a[1], b[1])])
