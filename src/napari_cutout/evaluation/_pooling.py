"""All figures over many images: what is added up, and how it is scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._bootstrap import times_drawn
from ._estimates import NOT_DEFINED, Counts, Estimate, Figure, Sampler, mean_ratio, quotient
from ._fates import aggregated_jaccard, is_split, lies_on_merged
from ._images import ImageScores
from ._object_scores import ObjectEvaluation
from ._partition_scores import PartitionEvaluation
from .boundaries import BoundaryEvaluation
from .overlap import Evaluation, balanced, correlations
from .rank_changes import dice_of, iou_per_item

__all__ = ["figures_of"]

Scores = NDArray[np.float64]

OBJECT_IOU = 0.5
"""The IoU from which on objects are matched, where there is one row for it."""


def figures_of(images: Sequence[ImageScores], seed: int) -> tuple[Figure, ...]:
    """Return every figure over images that were scored, all by the same draws.

    Parameters
    ----------
    images : sequence of ImageScores
        None of them with an error.
    seed : int
        Of the bootstrap.

    Returns
    -------
    tuple of Figure
        Of classes, of objects, of regions, of boundaries, as far as there are some.
    """
    if not images:
        return ()
    sampler = Sampler(times_drawn(np.zeros(len(images), np.int64), seed))
    objects = [one.objects for one in images if one.objects is not None]
    regions = [one.partition for one in images if one.partition is not None]
    surfaces = [one.boundaries for one in images if one.boundaries is not None]
    found = [*_of_classes([one.evaluation for one in images if one.evaluation is not None], objects, sampler)]
    if objects:
        found += [*_of_objects(objects, sampler), *_of_regions(regions, sampler)]
    if surfaces:
        found += _of_boundaries(surfaces, sampler)
    return tuple(found)


def by_folder(images: Sequence[ImageScores], seed: int) -> dict[str, tuple[Figure, ...]]:
    """Return every figure over the images of each folder, where those that were scored lie in several."""
    scored = [one for one in images if not one.error]
    folders = list(dict.fromkeys(one.folder for one in scored))
    if len(folders) < 2:
        return {}
    return {folder: figures_of([one for one in scored if one.folder == folder], seed) for folder in folders}


# Classes ---------------------------------------------------------------------------------------------


def _iou(counts: Counts) -> Scores:
    return quotient(counts[..., 0], counts[..., :3].sum(axis=-1))


def _dice(counts: Counts) -> Scores:
    return quotient(2 * counts[..., 0], counts[..., :3].sum(axis=-1) + counts[..., 0])


def _precision(counts: Counts) -> Scores:
    return quotient(counts[..., 0], counts[..., 0] + counts[..., 1])


def _recall(counts: Counts) -> Scores:
    return quotient(counts[..., 0], counts[..., 0] + counts[..., 2])


def _balanced_accuracy(counts: Counts) -> Scores:
    return balanced(*(counts[..., i] for i in range(4)))


def _mcc(counts: Counts) -> Scores:
    return correlations(*(counts[..., i].astype(np.int64) for i in range(4)))


def _accuracy(counts: Counts) -> Scores:
    occurs = counts[..., :3].any(axis=-1)
    return np.where(occurs, quotient(counts[..., 0] + counts[..., 3], counts.sum(axis=-1)), np.nan)


def _prevalence(counts: Counts) -> Scores:
    return quotient(counts[..., 0] + counts[..., 2], counts.sum(axis=-1))


CLASS_SCORES: dict[str, Callable[[Counts], Scores]] = {
    "dice": _dice,
    "iou": _iou,
    "precision": _precision,
    "recall": _recall,
    "balanced_accuracy": _balanced_accuracy,
    "mcc": _mcc,
    "accuracy": _accuracy,
    "prevalence": _prevalence,
}
"""From summed TP, FP, FN and TN, (..., 4), to scores, (...)."""

OF_EACH_CLASS = ("dice", "iou")
"""What has a figure for each class, where there are several."""


def _mean_of_classes(counts: Counts, score: Callable[[Counts], Scores]) -> Scores:
    """Return the mean of a score over the classes, (..., n_classes, 4) to (...); those that are not defined are out."""
    scores = score(counts)
    there = ~np.isnan(scores)
    return quotient(np.where(there, scores, 0).sum(axis=-1), there.sum(axis=-1))


def _of_classes(found: Sequence[Evaluation], objects: Sequence[ObjectEvaluation], sampler: Sampler) -> Iterable[Figure]:
    labels = np.unique(np.concatenate([one.classes for one in found]))
    labels = labels[labels != 0] if labels.any() else labels
    counts = np.stack([_counts_of(one, labels) for one in found])
    share = float(_mean_of_classes(counts.sum(axis=0), _prevalence)) * len(labels)
    best = [_best_fits(one) for one in objects]
    by_object = {"iou": best, "dice": [dice_of(scores) for scores in best]} if objects else {}
    for name, score in CLASS_SCORES.items():
        of_objects = sampler.of_objects(by_object[name]) if name in by_object else NOT_DEFINED
        mean = sampler.of_images(_mean_of_classes(counts, score).tolist())
        pooled = sampler.of_counts(counts, partial(_mean_of_classes, score=score))
        yield Figure(name, "", "overlap", pooled, mean[0], of_objects, mean[1], share)
    for at, label in enumerate(labels.tolist() if len(labels) > 1 else []):
        for name in OF_EACH_CLASS:
            own, score = counts[:, at], CLASS_SCORES[name]
            mean = sampler.of_images(score(own).tolist())
            pooled = sampler.of_counts(own, score)
            part = float(_prevalence(own.sum(axis=0)))
            yield Figure(name, f"class {label}", "overlap", pooled, mean[0], NOT_DEFINED, mean[1], part)


def _counts_of(found: Evaluation, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return TP, FP, FN and TN of each of some classes, (n_classes, 4); a class that is not there is all TN."""
    counts = np.zeros((len(labels), 4), np.int64)
    counts[:, 3] = found.n_voxels
    there = np.isin(found.classes, labels)
    rows = np.stack([found.tp, found.fp, found.fn, found.tn], axis=-1)
    counts[np.searchsorted(labels, found.classes[there])] = rows[there]
    return counts


def _best_fits(found: ObjectEvaluation) -> Scores:
    """Return the IoU of each true object with the predicted one that fits it best."""
    return np.asarray(list(iou_per_item(found).values()), np.float64)


# Objects ---------------------------------------------------------------------------------------------


def _of_objects(found: Sequence[ObjectEvaluation], sampler: Sampler) -> Iterable[Figure]:
    """Return the figures of objects; an image whose background is not known adds only to those that need none."""
    known = np.asarray([not one.why_nan for one in found])[:, None, None]
    counts = np.stack([np.stack([one.tp, one.fp, one.fn, one.matched_iou], axis=-1) for one in found])
    judged = np.where(known, counts, 0)
    thresholds = found[0].thresholds.tolist()
    at = thresholds.index(OBJECT_IOU)
    yield _figure("mean_ap", "", judged, _mean_ap, [one.mean_ap for one in found], sampler)
    for i, limit in enumerate(thresholds):
        yield _figure("ap", f"IoU {limit:g}", judged[:, i], _iou, [one.ap[i] for one in found], sampler)
    ways: dict[str, tuple[Counts, Callable[[Counts], Scores]]] = {
        "f1": (judged, _dice),
        "pq": (judged, _pq),
        "sq": (counts, _sq),
        "precision": (judged, _precision),
        "recall": (counts, _recall),
    }
    for name, (added, score) in ways.items():
        scores = [getattr(one, name)[at] for one in found]
        made = sampler.of_counts(counts[:, at], _recall, int(counts[:, at, [0, 2]].sum()))
        by_object = made if name == "recall" else NOT_DEFINED
        yield _figure(name, f"IoU {OBJECT_IOU:g}", added[:, at], score, scores, sampler, by_object)
    yield from _of_shares(found, sampler)
    jaccard = np.asarray([aggregated_jaccard(one.overlaps) for one in found], np.float64) * known[:, 0]
    yield _figure("aji", "", jaccard, mean_ratio, [one.aji for one in found], sampler)
    yield from _of_numbers(found, sampler)


def _of_shares(found: Sequence[ObjectEvaluation], sampler: Sampler) -> Iterable[Figure]:
    """Return what is a mean over true objects, so that pooled is the mean of objects."""
    ways: dict[str, Callable[[ObjectEvaluation], Scores]] = {
        "seg": lambda one: one.overlaps.seg,
        "over_segmentation": lambda one: is_split(one.overlaps).astype(np.float64),
        "under_segmentation": lambda one: lies_on_merged(one.overlaps).astype(np.float64),
    }
    for name, of_each in ways.items():
        made = sampler.of_objects([of_each(one)[one.overlaps.is_counted] for one in found])
        mean, n_undefined = sampler.of_images([getattr(one, name) for one in found])
        yield Figure(name, "", "objects", _of_all(made, found), mean, made, n_undefined)


def _of_all(made: Estimate, found: Sequence[Any]) -> Estimate:
    return Estimate(made.value, made.low, made.high, len(found))


def _of_numbers(found: Sequence[ObjectEvaluation], sampler: Sampler) -> Iterable[Figure]:
    """Return how many objects too many there are: in all, and for an image, with and without its sign."""
    errors = [math.nan if one.why_nan else float(one.count_error) for one in found]
    known = np.nan_to_num(np.asarray(errors))
    for name, values in (("count_error", errors), ("absolute_count_error", np.abs(errors).tolist())):
        mean, n_undefined = sampler.of_images(values)
        total = sampler.of_counts(known, lambda counts: np.asarray(counts, np.float64))
        pooled = total if name == "count_error" and mean.n else NOT_DEFINED
        yield Figure(name, "", "objects", pooled, mean, NOT_DEFINED, n_undefined)


def _pq(counts: Counts) -> Scores:
    return quotient(2 * counts[..., 3], counts[..., :3].sum(axis=-1) + counts[..., 0])


def _sq(counts: Counts) -> Scores:
    return quotient(counts[..., 3], counts[..., 0])


def _mean_ap(counts: Counts) -> Scores:
    found: Scores = _iou(counts).mean(axis=-1)
    return found


def _figure(
    name: str,
    of: str,
    counts: Counts,
    score: Callable[[Counts], Scores],
    scores: Sequence[float],
    sampler: Sampler,
    of_objects: Estimate = NOT_DEFINED,
    group: str = "objects",
) -> Figure:
    mean, n_undefined = sampler.of_images(scores)
    return Figure(name, of, group, sampler.of_counts(counts, score), mean, of_objects, n_undefined)


# Regions ---------------------------------------------------------------------------------------------


def _of_regions(found: Sequence[PartitionEvaluation], sampler: Sampler) -> Iterable[Figure]:
    """Return the figures of regions: voxels are added up, and pairs of voxels of one image."""
    voxels = np.asarray([one.n_voxels for one in found], np.float64)
    for name in ("vi", "vi_split", "vi_merge", "covering"):
        scores = [getattr(one, name) for one in found]
        counts = np.stack([voxels * scores, voxels], axis=-1)
        yield _figure(name, "", counts, mean_ratio, scores, sampler, group="regions")
    pairs = np.asarray(
        [(one.pairs_together, one.pairs_predicted, one.pairs_true, math.comb(one.n_voxels, 2)) for one in found],
        np.float64,
    )
    ways: dict[str, Callable[[Counts], Scores]] = {
        "adapted_rand_error": lambda c: quotient(c[..., 1] + c[..., 2] - 2 * c[..., 0], c[..., 1] + c[..., 2]),
        "adapted_rand_precision": lambda c: quotient(c[..., 0], c[..., 1]),
        "adapted_rand_recall": lambda c: quotient(c[..., 0], c[..., 2]),
        "rand_index": lambda c: quotient(c[..., 3] + 2 * c[..., 0] - c[..., 1] - c[..., 2], c[..., 3]),
    }
    for name, score in ways.items():
        yield _figure(name, "", pairs, score, [getattr(one, name) for one in found], sampler, group="regions")
    mean, n_undefined = sampler.of_images([one.adjusted_rand_index for one in found])
    yield Figure("adjusted_rand_index", "", "regions", NOT_DEFINED, mean, NOT_DEFINED, n_undefined)


# Boundaries ------------------------------------------------------------------------------------------


def _of_boundaries(found: Sequence[BoundaryEvaluation], sampler: Sampler) -> Iterable[Figure]:
    """Return the figures of surfaces; what needs all distances at once is a mean of images, and of objects, only."""
    by_objects = found[0].by == "objects"
    for name in ("assd", "surface_dice", "hd95", "hausdorff", "boundary_iou"):
        rows = [getattr(one, name) for one in found]
        of_objects = sampler.of_objects([row[~np.isnan(row)] for row in rows]) if by_objects else NOT_DEFINED
        pooled = _of_surfaces(found, rows, sampler) if name in ("assd", "surface_dice") else NOT_DEFINED
        mean, n_undefined = sampler.of_images([one.means[name] for one in found])
        yield Figure(name, "", "boundaries", pooled, mean, of_objects, n_undefined)


def _of_surfaces(found: Sequence[BoundaryEvaluation], rows: Sequence[Scores], sampler: Sampler) -> Estimate:
    """Return a mean over surface voxels: of those of all matched objects, or of each class and then of the classes."""
    by_objects = found[0].by == "objects"
    labels = np.zeros(1, np.int64) if by_objects else np.unique(np.concatenate([one.truth for one in found]))
    counts = np.zeros((len(found), len(labels), 2))
    for one, scores, added in zip(found, rows, counts, strict=True):
        there = ~np.isnan(scores)
        at = np.zeros(len(one), np.intp) if by_objects else np.searchsorted(labels, one.truth)
        n = (one.n_predicted_surface + one.n_true_surface)[there]
        np.add.at(added[:, 0], at[there], scores[there] * n)
        np.add.at(added[:, 1], at[there], n)
    return sampler.of_counts(counts, partial(_mean_of_classes, score=mean_ratio))
