"""Scores of many images: pooled, as a mean of images and as a mean of objects, which are not the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from .._array import Array
from .._method import Labels
from .._monitor import quiet, stage, tick
from ._images import (
    ERRORS,
    Boundaries,
    Counted,
    ImageScores,
    Loaded,
    Pair,
    Rule,
    counted,
    rule_for,
    scores_of,
    sentence,
    surfaces_of,
)
from ._matching import Match
from ._pooled_scores import PooledEvaluation
from ._pooling import figures_of

__all__ = ["PooledEvaluation", "evaluate_images", "pooled_scores"]


def evaluate_images(
    predicted: Sequence[Labels],
    truth: Sequence[Labels],
    *,
    names: Sequence[str] | None = None,
    ignore: int | None = None,
    match: Match = "auto",
    numbered: bool | None = None,
    complete: Sequence[Array] | None = None,
    boundaries: bool = False,
    spacing: Sequence[float] | None = None,
    tolerance: float | None = None,
    width: float | None = None,
    seed: int = 0,
) -> PooledEvaluation:
    """Score many images: pooled, as a mean of images, and as a mean of objects.

    The three are not the same, and papers mix them up. One crowded image can make up most of a pooled score; in the
    mean of images it counts as any other, and an image with one object as much as it.

    Parameters
    ----------
    predicted : sequence of arrays of int or bool
        The labels of each image, as `evaluate` takes them. They are taken by index, one image at a time, so a sequence
        that reads files when asked keeps one pair in memory.
    truth : sequence of arrays of int or bool
        Their annotations, in the same order.
    names : sequence of str, optional
        What each image is called; by default its number, from 1.
    ignore : int, optional
        The label of `truth` that means *not annotated*; 0 for strokes.
    match : {"auto", "binary", "value", "overlap"}
        How labels are matched to classes, as in `evaluate`. ``"auto"`` takes one rule for all images, where there is
        one that fits: binary where labels number objects.
    numbered : bool, optional
        Whether labels number objects, so that objects and regions are scored, too. By default they do if those of one
        image do.
    complete : sequence of arrays of bool, optional
        Where every object of each image is annotated, as in `evaluate_objects`.
    boundaries : bool
        Score surfaces, too: of matched objects where labels number them, else of classes.
    spacing : sequence of float, optional
        World length of a voxel along each axis, of all images; 1 by default.
    tolerance, width : float, optional
        As in `evaluate_boundaries`.
    seed : int
        Of the bootstrap.

    Returns
    -------
    PooledEvaluation
        Each figure in the three ways with 95 % intervals, the table of images, and the worst of them. An image that
        cannot be scored is a row with its reason.

    Raises
    ------
    ValueError
        If there are no images, sequences differ in length, or there is no such `match`.

    Notes
    -----
    Pooled scores are scores of counts that are added over images. Variation of information and covering weigh images
    by their voxels, which is the same as one image of them all; pairs of voxels, of Rand scores, are those of one
    image. SEG and the shares of split and merged objects are means over true objects, so that pooled and object-mean
    are equal. What is not a ratio of sums, as a Hausdorff distance, is not pooled.

    An image in which a score is not defined, as AP where neither side holds an object, is left out of its image-mean
    and counted; a score of 1 there would reward empty images, and a score of 0 punish them. It adds nothing to pooled
    counts.

    Intervals are percentiles of 2,000 draws of images with replacement [1]_, the same draws for all figures. They ask
    for images that do not depend on each other: several fields of one slide are better scored as one image. With
    fewer than ten images they tend to be too narrow.

    Deterministic. Each image is read once, twice with `boundaries`; what is kept of it are its pairs of labels, about
    100 bytes each. The bootstrap takes 16 kB for each image.

    References
    ----------
    .. [1] B. Efron, "Bootstrap methods: another look at the jackknife", The Annals of Statistics 7 (1979) 1-26.
       DOI:10.1214/aos/1176344552
    .. [2] A. Reinke et al., "Understanding metric-related pitfalls in image analysis validation", Nature Methods 21
       (2024) 182-194. DOI:10.1038/s41592-023-02150-0

    Examples
    --------
    Of one image 4 of 8 voxels were found, of another all 2: 6 of 10 together, and 0.75 in the mean of the images.

    >>> import numpy as np
    >>> truth = [np.ones((1, 8), int), np.ones((1, 2), int)]
    >>> found = evaluate_images([np.array([[1, 1, 1, 1, 0, 0, 0, 0]]), np.ones((1, 2), int)], truth)
    >>> iou = found.figure("iou")
    >>> iou.pooled.value, iou.image_mean.value
    (0.6, 0.75)
    """
    rows = [predicted, truth, *([complete] if complete is not None else []), *([names] if names is not None else [])]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"predicted, truth, complete and names must be equally many, got {[len(row) for row in rows]}")
    if not len(predicted):
        raise ValueError("predicted holds no image; pass a sequence of one or more arrays")
    steps = None if spacing is None else tuple(spacing)

    def loader(at: int) -> Callable[[], Loaded]:
        zone = None if complete is None else complete
        return lambda: Loaded(predicted[at], truth[at], None if zone is None else zone[at], steps)

    called = [str(n) for n in range(1, len(predicted) + 1)] if names is None else names
    pairs = [Pair(name, loader(at)) for at, name in enumerate(called)]
    wanted = Boundaries(tolerance=tolerance, width=width) if boundaries else None
    return pooled_scores(pairs, ignore=ignore, match=match, numbered=numbered, boundaries=wanted, seed=seed)


def pooled_scores(
    pairs: Sequence[Pair],
    *,
    ignore: int | None = None,
    match: Match = "auto",
    numbered: bool | None = None,
    boundaries: Boundaries | None = None,
    seed: int = 0,
    unpaired: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> PooledEvaluation:
    """Read pairs one by one, score each, and add up what adds up.

    Parameters
    ----------
    pairs : sequence of Pair
        What is to be read.
    ignore, match, numbered, seed
        As in `evaluate_images`.
    boundaries : Boundaries, optional
        How surfaces are scored; they are not by default.
    unpaired : tuple of two sequences of str
        Files without a partner, of labels and of truths.

    Returns
    -------
    PooledEvaluation
        One row per pair.

    Raises
    ------
    ValueError
        If there is no such `match`.
    """
    tables = dict(_counted(pairs, ignore))
    kept = [one for one in tables.values() if isinstance(one, Counted)]
    rule = rule_for(kept, match, numbered)
    surfaces = dict(_surfaces(pairs, tables, rule, ignore, boundaries)) if boundaries is not None else {}
    images = tuple(_scored(pair, tables[at], surfaces.get(at), rule, ignore) for at, pair in enumerate(pairs))
    return PooledEvaluation(
        images,
        figures_of([one for one in images if not one.error], seed),
        tuple(unpaired[0]),
        tuple(unpaired[1]),
        rule.match,
        rule.numbered,
        None if ignore is None else int(ignore),
        seed,
    )


def _counted(pairs: Sequence[Pair], ignore: int | None) -> Iterator[tuple[int, Counted | str]]:
    """Yield the tables of each pair, or why there are none."""
    stage("counting labels")
    for at, pair in enumerate(pairs):
        tick(at, len(pairs))
        if pair.error:
            yield at, pair.error
            continue
        try:
            with quiet():
                yield at, counted(pair.load(), ignore)
        except ERRORS as error:
            yield at, sentence(error)


def _surfaces(
    pairs: Sequence[Pair], tables: dict[int, Counted | str], rule: Rule, ignore: int | None, wanted: Boundaries
) -> Iterable[tuple[int, Any]]:
    """Yield the boundary scores of each pair that has tables, or why there are none; each is read again."""
    stage("measuring boundaries")
    for at, pair in enumerate(pairs):
        tick(at, len(pairs))
        if isinstance(found := tables[at], Counted):
            try:
                with quiet():
                    yield at, surfaces_of(pair.load(), found, rule, ignore, wanted)
            except ERRORS as error:
                yield at, sentence(error)


def _scored(pair: Pair, tables: Counted | str, surfaces: Any, rule: Rule, ignore: int | None) -> ImageScores:
    for problem in (tables, surfaces):
        if isinstance(problem, str):
            return ImageScores(pair.name, error=problem, folder=pair.folder)
    assert not isinstance(tables, str)
    return replace(scores_of(pair.name, tables, rule, ignore), boundaries=surfaces, folder=pair.folder)
