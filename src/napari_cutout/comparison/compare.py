"""Which method works on my data: run, tuned on some of the annotation, scored on the rest, ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from .._device import Asked
from .._monitor import Cancelled
from .._selection import Selection
from ..recipe import Recipe
from ._contest import Rules
from ._preparation import prepared
from ._tallies import Metric
from .leaderboard import Leaderboard

__all__ = ["compare"]


def compare(
    image: Any,
    truth: Any,
    *,
    methods: Sequence[str] | None = None,
    recipes: Mapping[str, Recipe] | None = None,
    labels: Mapping[str, Any] | None = None,
    ceiling: Any = None,
    ignore: int | None = None,
    background: int | None = None,
    tune: bool = False,
    budget: int = 30,
    metric: Metric = "dice",
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    spacing: Sequence[float] | None = None,
    selection: Selection | None = None,
    device: Asked = "auto",
    truth_is: Literal["objects", "classes"] | None = None,
    on_progress: Callable[[str, float], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Leaderboard:
    """Run methods on your image, score them on your annotation, and rank them.

    Parameters
    ----------
    image : array or sequence of arrays
        Grey levels of shape ([Z,] Y, X), or what `selection` is of; several images of one kind.
    truth : array of int or sequence of them, of the shape of the labels
        The annotation of each image: every voxel, or strokes.
    methods : sequence of str, optional
        Which methods; by default all that apply but those that take minutes, such as `unet_from_strokes`; an empty
        sequence for none.
    recipes : mapping of str to Recipe, optional
        Pipelines of your own, by what their rows are called.
    labels : mapping of str to array of int or sequence of them, optional
        Labels that another program or person made, by what their rows are called.
    ceiling : array of int or sequence of them, optional
        The labels of a second annotator: what can be reached. Shown above the others, and not ranked.
    ignore : int, optional
        The value of `truth` that means *not annotated*; 0 for strokes. It may be negative.
    background : int, optional
        The value of `truth` that stands for what is not looked for: 0, and the largest label of strokes, by default.
    tune : bool
        Search for settings; else every method runs with its defaults.
    budget : int
        Settings that are tried for each method and fold, from 2.
    metric : {"dice", "iou", "f1", "pq"}
        What to choose settings and rank by: the mean over classes of Dice or IoU; or for numbered objects F1 or the
        panoptic quality, both at an IoU of 0.5.
    folds : int
        Parts that are held out in turn, from 2; fewer where there are fewer units.
    repeats : int
        How many times units are dealt to folds anew.
    seed : int
        Of the deal, the search and the bootstrap.
    spacing : sequence of float, optional
        World length of a voxel along each axis.
    selection : Selection, optional
        Which channel, region and frames of the images; all by default.
    device : {"auto", "cpu", "gpu"}
        Where to run.
    truth_is : {"objects", "classes"}, optional
        Whether labels of `truth` number objects of one kind or name classes. By default more than 32 number objects,
        and so do several of which over four fifths are in one piece; what was read is in the notes of the result.
    on_progress : callable, optional
        Called with the name of a method and the fraction of all that are done, 0 to 1.
    is_cancelled : callable, optional
        Polled while methods run.

    Returns
    -------
    Leaderboard
        Rows with held-out scores, intervals, ranks and recipes; a method that failed is a row with its reason.

    Raises
    ------
    ValueError
        If shapes do not fit, nothing is annotated, truth holds no object or there is none to take part, or a setting
        is out of range.
    TypeError
        If an annotation or labels hold anything but integers.
    Cancelled
        If `is_cancelled` returned True.

    Notes
    -----
    **What is held out.** Whole strokes, where `ignore` is 0 or less than a twentieth is annotated: those of each class
    and image are dealt evenly, so that the tuning part has some of each. Else images, from four annotated ones on, or
    about 16 blocks of each. Each is scored once per repeat, by settings that were chosen, and labels that were mapped
    to classes, on the others alone. Methods that read strokes get those of the tuning part only. The recipe of a row
    is chosen on everything, and so is whether objects are bright or dark, and between which grey levels thresholds are
    tried.

    **Equals.** Settings whose score on strokes is within 0.03 of the best, and on dense annotations the same, are
    equals. Of those the one is taken whose labels agree most with those of the others.

    **Intervals.** 95 % percentile bootstrap over what was held out, or from four images on over images; 2,000 draws,
    the same for all rows. The p of a difference from the best is the share of the ways to swap the two in some units
    that make it as large: all ways up to 12 units, else 4,096 drawn; corrected by Holm's method. Rows above 0.05
    whose intervals overlap that of the best are tied with it.

    Deterministic for a seed. Memory: that of the methods, about 10 bytes a voxel, and for each setting tried 64 Ki
    labels.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((32, 32), np.uint8)
    >>> image[4:12, 4:12] = image[18:28, 15:27] = 200
    >>> found = compare(image, (image > 0).astype(np.uint8), methods=["threshold"])
    >>> found.winner.row.name, found.winner.dice
    ('threshold otsu', 1.0)
    """
    made = prepared(
        image,
        truth,
        methods=methods,
        recipes=recipes,
        labels=labels,
        ceiling=ceiling,
        ignore=ignore,
        background=background,
        rules=Rules(metric, tune, budget, folds, repeats, seed, device, truth_is),
        spacing=spacing,
        selection=selection,
        is_cancelled=is_cancelled,
    )
    rows = []
    for number, entry in enumerate(made.entries):
        if on_progress is not None:
            on_progress(entry.name, number / len(made.entries))
        if is_cancelled is not None and is_cancelled():
            raise Cancelled
        rows.append(made.contest.row(entry))
    if on_progress is not None:
        on_progress("ranking", 1.0)
    return made.leaderboard(rows)
