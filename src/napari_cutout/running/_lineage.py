"""What made the labels that a run reads from files and stores: the steps of their recipes come before its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._chain import Made, chained, made
from .._sources import Source
from ..recipe import Recipe
from ..stores import is_store, is_url, open_image

__all__ = ["lineage", "recipe_beside"]


def recipe_beside(labels: Path) -> Path:
    """Return where the recipe of a file of labels is written: ``labels.tif.recipe.json`` for ``labels.tif``."""
    return labels.with_name(f"{labels.name}.recipe.json")


def lineage(recipe: Recipe, sources: Mapping[str, Source]) -> tuple[Recipe, dict[str, Source]]:
    """Return the recipe of labels that are made from labels in files: from the image on, where that is known.

    Parameters
    ----------
    recipe : Recipe
        What runs, with its selection.
    sources : mapping of str to Source
        Which files its inputs came from.

    Returns
    -------
    recipe : Recipe
        With the steps that made the inputs before its own, where it is of one step and they give the same pixels; else
        as it was.
    sources : dict
        Where the inputs of that recipe came from.
    """
    if len(recipe.steps) > 1 or recipe.arrays:
        return recipe, dict(sources)
    (step,) = recipe.steps
    of_arrays = {array: sources[name] for array, name in step.inputs.items()}
    parents = {array: parent for array, source in of_arrays.items() if (parent := _made(source)) is not None}
    if not parents:
        return recipe, dict(sources)
    chain = chained(step, recipe.selection, of_arrays, parents)
    return (chain.recipe, dict(chain.sources)) if len(chain.recipe.steps) > 1 else (recipe, dict(sources))


def _made(source: Source) -> Made | None:
    """Return how labels were made: by what their store says, or by the recipe that lies beside their file."""
    if source.path and not is_url(source.path) and is_store(source.path):
        return _made_in_store(source)
    path = recipe_beside(Path(source.path)) if source.path else None
    if not source.sha256 or path is None or not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        provenance = content.pop("provenance", {})
    except (OSError, ValueError, AttributeError):
        return None
    return made({"recipe": json.dumps(content), "provenance": provenance})


def _made_in_store(source: Source) -> Made | None:
    """Return how labels in a store were made; edits of ours are written down there, so its voxels are not compared."""
    try:
        provenance: dict[str, Any] = open_image(source.path).metadata["provenance"]
        found = made({"recipe": json.dumps(provenance["recipe"]), "provenance": provenance})
    except (OSError, KeyError, ValueError, TypeError):
        return None
    return replace(found, sha256=source.sha256) if found is not None and not found.sha256 else found
