"""Object scores: which objects were found, split, merged, missed or invented, from the same table of counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .._array import Array
from .._method import Labels
from ._contingency import check_pair, check_zone, checked, contingency, contingency_by_zone
from ._fates import COLUMNS, KINDS
from ._object_scores import ObjectEvaluation, checked_thresholds, counted_at
from ._pairing import overlaps_of
from ._tables import Contingency

__all__ = ["COLUMNS", "KINDS", "ObjectEvaluation", "evaluate_objects", "objects_of"]

Scores = NDArray[np.float64]

THRESHOLDS = tuple(k / 20 for k in range(10, 20))
"""0.5 to 0.95 in steps of 0.05, each the number that is nearest to its decimals, so that an IoU of 3/5 is 0.6."""


def evaluate_objects(
    predicted: Labels,
    truth: Labels,
    *,
    ignore: int | None = None,
    complete: Array | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
) -> ObjectEvaluation:
    """Score numbered objects against annotated ones: found, split, merged, missed, invented.

    Parameters
    ----------
    predicted : array of int or bool
        Objects by number, 0 or more, in any number of dimensions; 0 is background. What the numbers are does not
        matter.
    truth : array of int or bool, of the same shape and library
        The annotated objects.
    ignore : int, optional
        The label of `truth` that means *not annotated*; its voxels leave every count, so that sizes and IoU are those
        of the annotated part of an object. It may be negative. Use 0 for strokes, or where only some objects are
        annotated.
    complete : array of bool, of the same shape and library, optional
        Where every object is annotated, so that 0 is background there even if `ignore` is 0. Counts and ratios are
        then of the objects that lie mostly in this region. By default, everywhere, unless `ignore` is 0: then nowhere.
    thresholds : sequence of float
        The IoU from which on two objects can be matched, each above 0 and at most 1.

    Returns
    -------
    ObjectEvaluation
        Scores and counts at each threshold, the objects that went wrong, and a table of all.

    Raises
    ------
    TypeError
        If an array holds anything but integers or booleans, `complete` anything but booleans, the arrays come from
        different libraries, `ignore` is not an integer, or `thresholds` is not a sequence of numbers.
    ValueError
        If the shapes differ, there are no voxels, `ignore` leaves none, a label is negative, or a threshold is outside
        0 to 1 or given twice.

    Notes
    -----
    Exact: int64 counts from one pass over both arrays, block by block, the same for every tiling, library and device.
    dask arrays are computed, chunk by chunk. Memory: a few blocks, and about 100 bytes for every pair of labels that
    meets.

    What is not annotated is not judged. A voxel is annotated if its true label is not `ignore`, or if `ignore` is 0
    and it lies in `complete`. A predicted object of which more than half is not annotated is neither right nor wrong:
    unless it is matched, it leaves every count and is *unjudged*. With `complete`, true and predicted objects count
    if more than half of their voxels lie in it; a pair counts if its true object does. If `ignore` is 0 and there is
    no such region, nothing is known of the background: precision, F1, AP, PQ and AJI are NaN, and the result says why;
    recall, SEG, the IoU of pairs, splits and merges stay. An object that grows into the background loses nothing
    then: IoU is no more than recall of voxels, and SEG, SQ and recall can be too good. Splits and merges are read from
    annotated voxels; a predicted object that is neither right nor wrong splits none.

    At each threshold objects are matched one to one: as many pairs as can be, and of those ways the one with the
    largest sum of IoU. Above an IoU of 0.5 there is only one way [3]_; at 0.5 and below an optimal assignment is
    computed. Of equally good ways (sums of IoU to a millionth) it is the one with more pairs that count and that are
    judged, so that no figure depends on the numbers of objects; what is left is the same for all figures, and the
    table shows the smaller label.

    Splits and merges are counted as in [1]_, without a threshold: each object is assigned to the object, or the
    background, of the other side that holds most of its voxels; where several objects hold equally many, to all of
    them, and not to the background. A true object to which two predicted ones are assigned is split, a predicted one
    to which two true ones are is merged, a true one that is assigned to the background is missed, a predicted one
    invented. An object can be matched and split, where a chip is cut off it. [2]_ is where AP for nuclei comes from.

    References
    ----------
    .. [1] L. P. Coelho, A. Shariff and R. F. Murphy, "Nuclear segmentation in microscope cell images: a hand-segmented
       dataset and comparison of algorithms", in IEEE International Symposium on Biomedical Imaging (2009) 518-521.
       DOI:10.1109/ISBI.2009.5193098
    .. [2] J. C. Caicedo et al., "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl", Nature
       Methods 16 (2019) 1247-1253. DOI:10.1038/s41592-019-0612-7
    .. [3] A. Kirillov et al., "Panoptic segmentation", in IEEE/CVF Conference on Computer Vision and Pattern
       Recognition (2019) 9396-9405. DOI:10.1109/CVPR.2019.00963
    .. [4] V. Ulman et al., "An objective comparison of cell-tracking algorithms", Nature Methods 14 (2017) 1141-1152.
       DOI:10.1038/nmeth.4473

    Examples
    --------
    Object 1 was cut in two, and object 2 was found.

    >>> import numpy as np
    >>> truth = np.array([[1, 1, 1, 1, 1, 0, 2, 2, 2]])
    >>> found = evaluate_objects(np.array([[4, 4, 4, 5, 5, 0, 6, 6, 0]]), truth, thresholds=(0.5, 0.75))
    >>> found.ap.round(3).tolist(), found.count_error, found.split
    ([0.667, 0.0], 1, (1,))
    >>> found.object_table(0.5)["kind"]
    ['matched', 'matched', 'split']
    """
    limits = checked_thresholds(thresholds)
    if complete is None:
        return objects_of(contingency(predicted, truth, ignore), ignore, limits)
    check_pair(predicted, truth, ignore)
    check_zone("complete", complete, predicted)
    inside, outside = contingency_by_zone(predicted, truth, complete)
    known = outside.without(ignore) + (inside if ignore == 0 else inside.without(ignore))
    return objects_of(checked(known, ignore), ignore, limits, inside)


def objects_of(
    table: Contingency,
    ignore: int | None,
    thresholds: Sequence[float] | Scores = THRESHOLDS,
    complete: Contingency | None = None,
) -> ObjectEvaluation:
    """Score the objects of a table of label pairs, from which `ignore` has been left out.

    Where a region is annotated completely, `complete` is the table of all its voxels.
    """
    overlaps = overlaps_of(table, complete)
    return ObjectEvaluation(
        **counted_at(overlaps, np.asarray(thresholds)),
        overlaps=overlaps,
        n_voxels=table.n_voxels,
        n_ignored=table.n_ignored,
        ignore=None if ignore is None else int(ignore),
        n_complete=None if complete is None else complete.n_voxels,
    )
