"""Scores of a segmentation as a division into regions: variation of information, Rand indices, covering."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .._method import Labels
from ._contingency import contingency
from ._partition_scores import PartitionEvaluation, PartitionsEvaluation
from ._tables import MAX_LABEL, Contingency, Counts, ranked

__all__ = [
    "PartitionEvaluation",
    "PartitionsEvaluation",
    "evaluate_partition",
    "evaluate_partitions",
    "partition_of",
]


def evaluate_partition(predicted: Labels, truth: Labels, *, ignore: int | None = None) -> PartitionEvaluation:
    """Score a division into regions: variation of information, Rand, covering.

    For images that are divided without a background, such as cells that fill a tissue or neurites in electron
    microscopy. Each label is one region, in however many parts, and what the labels are does not matter.

    Parameters
    ----------
    predicted : array of int or bool
        Regions by number, 0 or more, in any number of dimensions. 0 is a region like any other, in however many parts:
        fill the lines that a watershed leaves between regions.
    truth : array of int or bool, of the same shape and library
        The annotated regions.
    ignore : int, optional
        The label of `truth` that means *not annotated*; its voxels leave every count. It may be negative. Use 0 where
        truth leaves borders or what is outside unpainted, as benchmarks of neurites do.

    Returns
    -------
    PartitionEvaluation
        The scores, from one table of label pairs.

    Raises
    ------
    TypeError
        If an array holds anything but integers or booleans, the arrays come from different libraries, or `ignore` is
        not an integer.
    ValueError
        If the shapes differ, there are no voxels, `ignore` leaves none, or a label is negative.

    Notes
    -----
    Deterministic: int64 counts from one pass over both arrays, block by block, the same for every tiling, library and
    device. Pairs of voxels are integers of any size, so the Rand scores are exact but for one division each; the sums
    of logarithms and of IoU are rounded once, so that no order of the labels shows (1e-12 between machines). dask
    arrays are computed, chunk by chunk. Memory: a few blocks, and about 100 bytes for every pair of labels that meets.

    Variation of information [1]_ is in bits, logarithms to base 2; natural ones are 1.4427 times smaller. The adapted
    Rand error [2]_ counts pairs of different voxels, as scikit-image does; the paper also pairs each voxel with
    itself, which matters in tiny images only. A predicted 0 is one region, as in scikit-image, where the program of
    CREMI takes each voxel of it as a region of its own: lines of 0 between regions, as a watershed can leave, are one
    region that touches them all and count as a merge, so fill them first. scikit-image 0.26 returns its precision and
    recall in each other's place; here precision is low where regions are merged. Rand [3]_ and adjusted Rand index [4]_
    are those of scikit-learn. Covering [5]_ is that of truth by predicted.

    References
    ----------
    .. [1] M. Meila, "Comparing clusterings - an information based distance", Journal of Multivariate Analysis 98 (2007)
       873-895. DOI:10.1016/j.jmva.2006.11.013
    .. [2] I. Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics",
       Frontiers in Neuroanatomy 9 (2015) 142. DOI:10.3389/fnana.2015.00142
    .. [3] W. M. Rand, "Objective criteria for the evaluation of clustering methods", J. Am. Stat. Assoc. 66 (1971)
       846-850. DOI:10.1080/01621459.1971.10482356
    .. [4] L. Hubert and P. Arabie, "Comparing partitions", Journal of Classification 2 (1985) 193-218.
       DOI:10.1007/BF01908075
    .. [5] P. Arbelaez, M. Maire, C. Fowlkes and J. Malik, "Contour detection and hierarchical image segmentation", IEEE
       Trans. Pattern Anal. Mach. Intell. 33 (2011) 898-916. DOI:10.1109/TPAMI.2010.161

    Examples
    --------
    The first region was cut in half: one bit is needed to tell in which half a voxel of it lies.

    >>> import numpy as np
    >>> found = evaluate_partition(np.array([[1, 1, 2, 2, 3, 3, 3, 3]]), np.array([[1, 1, 1, 1, 2, 2, 2, 2]]))
    >>> found.vi_split, found.vi_merge, found.covering
    (0.5, 0.0, 0.75)
    """
    return partition_of(contingency(predicted, truth, ignore), ignore)


def evaluate_partitions(
    predicted: Labels, truths: Sequence[Labels], *, ignore: int | None = None
) -> PartitionsEvaluation:
    """Score a division into regions against several annotators.

    Parameters
    ----------
    predicted : array of int or bool
        Regions by number, as in `evaluate_partition`.
    truths : sequence of arrays of int or bool, each of the same shape and library
        What each annotator drew.
    ignore : int, optional
        The label of `truths` that means *not annotated*, as in `evaluate_partition`.

    Returns
    -------
    PartitionsEvaluation
        The scores against each annotator, and PRI, mean variation of information and covering of all.

    Raises
    ------
    TypeError
        As `evaluate_partition`.
    ValueError
        As `evaluate_partition`, or if there is no annotator.

    Notes
    -----
    Deterministic as `evaluate_partition`, in one pass over both arrays for each annotator. The scores are those of the
    Berkeley segmentation benchmark [1]_, the probabilistic Rand index that of [2]_.

    References
    ----------
    .. [1] P. Arbelaez, M. Maire, C. Fowlkes and J. Malik, "Contour detection and hierarchical image segmentation", IEEE
       Trans. Pattern Anal. Mach. Intell. 33 (2011) 898-916. DOI:10.1109/TPAMI.2010.161
    .. [2] R. Unnikrishnan, C. Pantofaru and M. Hebert, "Toward objective evaluation of image segmentation algorithms",
       IEEE Trans. Pattern Anal. Mach. Intell. 29 (2007) 929-944. DOI:10.1109/TPAMI.2007.1046

    Examples
    --------
    >>> import numpy as np
    >>> truths = np.array([[[1, 1, 2, 2]], [[1, 1, 1, 1]]])
    >>> found = evaluate_partitions(np.array([[1, 1, 2, 2]]), truths)
    >>> found.vi, found.covering
    (0.5, 0.75)
    """
    found = tuple(evaluate_partition(predicted, truth, ignore=ignore) for truth in truths)
    if not found:
        raise ValueError("truths holds no annotation; pass a sequence of one or more arrays")
    return PartitionsEvaluation(found)


def partition_of(table: Contingency, ignore: int | None) -> PartitionEvaluation:
    """Score the regions of a table of label pairs, from which `ignore` has been left out."""
    n, counts = table.n_voxels, table.counts
    (predicted, row), (truth, column) = ranked(table.predicted), ranked(table.truth)
    sizes, true_sizes = np.zeros(len(predicted), np.int64), np.zeros(len(truth), np.int64)
    np.add.at(sizes, row, counts)
    np.add.at(true_sizes, column, counts)
    best = np.zeros(len(truth))
    np.maximum.at(best, column, counts / (sizes[row] + true_sizes[column] - counts))
    return PartitionEvaluation(
        vi_split=math.fsum(counts * np.log2(true_sizes[column] / counts)) / n,
        vi_merge=math.fsum(counts * np.log2(sizes[row] / counts)) / n,
        covering=math.fsum(true_sizes * best) / n,
        pairs_together=_pairs(counts),
        pairs_predicted=_pairs(sizes),
        pairs_true=_pairs(true_sizes),
        n_predicted=len(predicted),
        n_true=len(truth),
        n_voxels=n,
        n_ignored=table.n_ignored,
        ignore=None if ignore is None else int(ignore),
    )


def _pairs(sizes: Counts) -> int:
    """Return how many pairs of different voxels lie in one region; squares of large regions are beyond int64."""
    if int(sizes.max()) ** 2 * len(sizes) <= MAX_LABEL:
        return int((sizes * (sizes - 1) // 2).sum())
    return sum(math.comb(size, 2) for size in sizes.tolist())
