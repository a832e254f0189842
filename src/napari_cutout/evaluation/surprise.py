"""Losses that ask how surprising an annotation is to one who believes probabilities: cross-entropy and focal loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from .._array import Array, array_namespace
from .._method import Labels
from .losses import several_classes, summed

__all__ = ["cross_entropy_loss", "focal_loss"]


def cross_entropy_loss(
    probabilities: Array, truth: Labels, *, weights: Sequence[float] | None = None, ignore: int | None = None
) -> float:
    """Return how surprising the annotation is to one who believes the probabilities.

    Parameters
    ----------
    probabilities : array of float, of shape (K, ...)
        The probability of each voxel to belong to each of the classes 0 to K - 1, each from 0 to 1.
    truth : array of int or bool, of shape (...), of the same library
        The annotation; its labels are the classes.
    weights : sequence of K floats, optional
        How much a voxel of each class counts, 0 or more; all the same by default.
    ignore : int, optional
        The label of `truth` that means *not annotated*; its voxels leave every sum.

    Returns
    -------
    float
        The mean of -log p over voxels, weighted, p being the probability of what truth says: 0 is perfect, log(K) is
        guessing, infinite where a voxel's class was held to be impossible. NaN if no voxel counts.

    Raises
    ------
    TypeError
        As `soft_dice_loss`.
    ValueError
        As `generalised_dice_loss`, or if `weights` are not one for each class, negative or not finite.

    Notes
    -----
    The mean is weighted as [1]_ weighs classes: the sum of weighted voxels is divided by the sum of their weights.
    Sums and memory are those of `soft_dice_loss`.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer and T. Brox, "U-Net: convolutional networks for biomedical image segmentation",
       MICCAI (2015) 234-241. DOI:10.1007/978-3-319-24574-4_28

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([0.25, 0.25, 0.5, 1.0])
    >>> round(cross_entropy_loss(np.stack([1 - p, p]), np.array([0, 0, 1, 1])), 4)
    0.3171
    """
    return focal_loss(probabilities, truth, gamma=0.0, weights=weights, ignore=ignore)


def focal_loss(
    probabilities: Array,
    truth: Labels,
    *,
    gamma: float = 2.0,
    weights: Sequence[float] | None = None,
    ignore: int | None = None,
) -> float:
    """Return how surprising the annotation is, where voxels that are right already count less.

    Parameters
    ----------
    probabilities : array of float, of shape (K, ...)
        The probability of each voxel to belong to each of the classes 0 to K - 1, each from 0 to 1.
    truth : array of int or bool, of shape (...), of the same library
        The annotation; its labels are the classes.
    gamma : float
        How much less, 0 or more; 0 is the cross-entropy.
    weights : sequence of K floats, optional
        How much a voxel of each class counts, 0 or more; all the same by default.
    ignore : int, optional
        The label of `truth` that means *not annotated*; its voxels leave every sum.

    Returns
    -------
    float
        The mean of -(1 - p)^gamma log p over voxels, weighted as in `cross_entropy_loss`: 0 is perfect.

    Raises
    ------
    TypeError
        As `soft_dice_loss`.
    ValueError
        As `cross_entropy_loss`, or if `gamma` is negative or not finite.

    Notes
    -----
    It keeps many easy voxels from outweighing few hard ones [1]_. Sums and memory are those of `soft_dice_loss`.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal loss for dense object detection", ICCV (2017)
       2980-2988. DOI:10.1109/ICCV.2017.324

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([0.25, 0.25, 0.5, 1.0])
    >>> round(focal_loss(np.stack([1 - p, p]), np.array([0, 0, 1, 1])), 4)
    0.0523
    """
    if not (math.isfinite(gamma) and gamma >= 0):
        raise ValueError(f"gamma must be 0 or more and finite, got {gamma!r}")
    classes = several_classes(probabilities, truth)
    each = [1.0] * len(classes) if weights is None else [float(w) for w in weights]
    if len(each) != len(classes) or not all(math.isfinite(w) and w >= 0 for w in each):
        raise ValueError(f"weights must be {len(classes)} numbers, 0 or more, one for each class, got {weights!r}")
    surprise, _, there = summed(classes, True, truth, ignore, partial(_surprise, gamma=gamma))
    counted = np.asarray(each) * there
    if not counted.any():
        return math.nan
    return math.fsum(w * s for w, s in zip(each, surprise, strict=True) if w) / math.fsum(counted)


def _surprise(p: Array, gamma: float) -> Array:
    xp = array_namespace(p)
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 is infinitely surprising; what is below is refused later
        return -((1 - p) ** gamma) * xp.log(p)
