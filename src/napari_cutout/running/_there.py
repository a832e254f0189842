"""Labels that an earlier run has written to a file: kept where the same recipe made them of the same voxels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._sources import Source
from .._wanted import Fitted
from ..recipe import Recipe, as_dict, with_provenance
from ._execute import Result
from ._lineage import recipe_beside

if TYPE_CHECKING:
    from ._batch import Job

__all__ = ["there", "voxel_size"]


def there(job: Job, place: Path | None, recipe: Recipe, sources: Mapping[str, Source], image: Fitted) -> Result | None:
    """Return labels that an earlier run has written, where they are to be kept.

    Parameters
    ----------
    job : Job
        What was asked for.
    place : Path or None
        The file that the labels go to.
    recipe : Recipe
        What would run, with what made its inputs.
    sources : mapping of str to Source
        On what.
    image : Fitted
        The image.

    Returns
    -------
    Result or None
        None if there are none, or the run was not asked to go on with them, or something changed since and they may be
        replaced.

    Raises
    ------
    FileExistsError
        If something changed since, and they may not be replaced.
    """
    from ._batch import labels_on

    if not job.resume or place is None or not place.exists() or not recipe_beside(place).exists():
        return None
    content = json.loads(recipe_beside(place).read_text(encoding="utf-8"))
    provenance = content.pop("provenance", {})
    same = {**content, "provenance": {}} == json.loads(with_provenance(recipe, {}, place.parent))
    why = " and ".join(_changes(provenance, sources, voxel_size(job, image))) if same else "another recipe made it"
    if why and job.overwrite:
        return None
    if why:
        raise FileExistsError(
            f"{str(place)!r} exists already, and {why}; choose another name or folder, or allow to overwrite it"
        )
    labels = labels_on(place, image, "labels")
    return Result(labels, {**provenance, "recipe": as_dict(recipe), "resumed": "it was there already"}, place)


def voxel_size(job: Job, image: Fitted) -> dict[str, Any]:
    """Return for the provenance the world length of a voxel that a run took, if it is known."""
    spacing = job.spacing or image.spacing
    return {} if spacing is None else {"spacing": [float(length) for length in spacing]}


def _changes(before: Mapping[str, Any], sources: Mapping[str, Source], size: Mapping[str, Any]) -> Iterator[str]:
    """Say what is not as it was when labels were made; what the run before did not write down counts as the same."""
    for name, now in sources.items():
        source = Source.from_dict(before.get("sources", {}).get(name, {}))
        for known, found in ((source.sha256, now.sha256), (source.contents, now.contents)):
            if known and found and known != found:
                yield f"{name} {now.path!r} was changed since" if now.path else f"{name} was another one"
    if before.get("spacing", size.get("spacing")) != size.get("spacing"):
        yield f"its spacing was {before['spacing']} and is {size.get('spacing')}"
