"""Running a recipe in sweeps over tiles: what it makes is known region by region, and never whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..blockwise import Chunks, Source, Sweeper, lazy, n_labels_of, source_of, sweeping
from ..blockwise._recent import remembering
from ..recipe import Recipe
from ._known_steps import KnownSteps
from ._steps import OnProgress, Run, Steps

__all__ = ["InSweeps", "in_sweeps"]


@dataclass(frozen=True, slots=True, eq=False)
class InSweeps:
    """What a recipe gives, not written yet.

    Parameters
    ----------
    labels : Source
        The labels of the last step, region by region; `blockwise.write_labels` writes them.
    steps : list of dict
        What each step did, as in the provenance of a result: ``method``, ``settings`` and ``facts``.
    n_labels : int or None
        The largest label that there can be; None if it is not known before all is written.
    chunks : tuple of tuple of int
        The tiles that they were found in.
    """

    labels: Source
    steps: Steps
    n_labels: int | None
    chunks: Chunks


def in_sweeps(
    recipe: Recipe,
    sources: Mapping[str, Source],
    sweeper: Sweeper,
    *,
    spacing: Sequence[float] | None = None,
    links: bool = False,
    on_progress: OnProgress | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> InSweeps:
    """Run a recipe in sweeps over tiles, all but the last one, in which its labels are written.

    Parameters
    ----------
    recipe : Recipe
        What to run. Where it has a selection, that says what the axes of the sources are; its parts, such as frames,
        are run one by one by the caller.
    sources : mapping of str to Source
        One for every name in ``recipe.inputs``, such as `blockwise.Stored`: of one shape, but for channels.
    sweeper : Sweeper
        Who runs the sweeps; its tiles are those that labels are computed in.
    spacing : sequence of float, optional
        World length of a voxel along each axis, for all steps whose settings do not hold a ``spacing``.
    links : bool
        Leave out the last step, which links what is run part by part, once all parts are there.
    on_progress : callable, optional
        Called with the stage's name and the fraction of it that is done, 0 to 1.
    is_cancelled : callable, optional
        Polled between tiles.

    Returns
    -------
    InSweeps
        Its labels are made when they are read.

    Raises
    ------
    ValueError
        If a method refuses what it gets.
    TypeError
        If a source has the wrong dtype.
    TooLarge
        If one tile at a time is too much for memory.
    Cancelled
        If `is_cancelled` returned True.

    Notes
    -----
    Deterministic: sweeps come in the same order, with the same numbers of tiles, wherever the same recipe runs with
    the same tiles. Memory: tiles at work times what the methods take for each voxel of a tile, and what the driver
    joins.
    """
    with sweeping(sweeper):
        held = {name: lazy(remembering(source)) for name, source in sources.items()}
        run = Run(recipe, {}, spacing, on_progress, is_cancelled, KnownSteps(), links)
        labels, ran = run.each_step(held, on_progress)
        found = source_of(labels)
    return InSweeps(found, [step.told() for step in ran], n_labels_of(found), labels.chunks)
