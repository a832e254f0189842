"""Objects of frames or slices linked by overlap: the options of every command that cuts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from .. import catalog
from ._options import PART, RUN, check_free, option

if TYPE_CHECKING:
    from ..methods.link import Tracks
    from ..recipe import Recipe
    from ..running._execute import Result

__all__ = ["LINK_OPTIONS", "linking"]

LINK_OPTIONS: dict[str, tuple[Any, Any]] = {
    "link": (
        Annotated[
            bool,
            Parameter(
                group=PART,
                help="With --each: one number for an object in all frames or slices, by overlap, as link-frames does. "
                "By default objects are numbered on and on.",
                negative="",
            ),
        ],
        False,
    ),
    "tracks": (
        option(
            Path | None,
            RUN,
            "Write where linked objects begin, end and divide to this file, too: a .csv, or a .txt with the L B E P of "
            "the Cell Tracking Challenge.",
        ),
        None,
    ),
}
"""What links, and what is said of it: annotation and default by name."""


def linking(recipe: Recipe, given: dict[str, Any], image: str) -> tuple[Recipe, Callable[[Result], None] | None]:
    """Return a recipe that links if that was asked for, and what writes the table of it.

    Parameters
    ----------
    recipe : Recipe
        What runs.
    given : dict
        The options that were given.
    image : str
        On what.

    Raises
    ------
    ValueError
        If nothing is linked, or there are many images for one table.
    FileExistsError
        If there is such a table.
    """
    from ..running._batch import is_many
    from ..running._linking import with_link

    each = given.get("each") or ("" if recipe.selection is None else recipe.selection.each)
    made = with_link(recipe, each) if given.get("link") else recipe
    place: Path | None = given.get("tracks")
    if place is None:
        return made, None
    if not catalog.find(made.steps[-1].method).frames:
        raise ValueError("--tracks is written of linked objects, and nothing is linked; give --link as well")
    if place.suffix.lower() not in (".csv", ".txt"):
        raise ValueError(f"--tracks must end in .csv or .txt, got {str(place)!r}")
    gap = made.steps[-1].complete_settings["max_gap"]
    if gap and place.suffix.lower() == ".txt":
        raise ValueError(
            f"--tracks {place} cannot tell of objects that come back after a gap, and --max-gap is {gap}; name a .csv"
        )
    if is_many(image):
        raise ValueError("--tracks is the table of one image, and several are to be run; run them one by one")
    overwrite = bool(given.get("overwrite"))
    check_free(place, overwrite)

    def also(result: Result) -> None:
        found = _table(result, each)
        (found.to_ctc if place.suffix.lower() == ".txt" else found.to_csv)(place, overwrite=overwrite)
        print(f"{len(found):,} linked objects written to {place}")

    return made, also


def _table(result: Result, each: str) -> Tracks:
    """Return where the linked objects of a result begin and end: in time, or along z."""
    from ..methods.link import link_table

    last = result.provenance["steps"][-1]["settings"]
    selection = result.provenance["recipe"].get("selection") or {}
    axes = selection.get("axes", "zyx").replace("c", "")
    axis = axes.index("t" if "t" in selection.get("each", each) else "z")
    return link_table(result.labels, frame_axis=axis, min_overlap=last["min_overlap"], divisions=last["divisions"])
