"""What the demo shows of size: one recipe from a store to a store, tile by tile, beside the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import io
from ._device import Asked
from ._volume import Volume
from .recipe import Recipe
from .running._batch import run

__all__ = ["said_in_tiles"]

TILE = 32
"""Edge of a tile in voxels; the store makes whole blocks of it."""


def said_in_tiles(
    image: Volume, name: str, recipe: Recipe, labels: NDArray[np.generic], folder: Path, device: Asked = "auto"
) -> str:
    """Run a recipe on a store in tiles, and say whether the labels are those of the whole.

    Parameters
    ----------
    image : Volume
        What it was run on.
    name : str
        What the demo calls the recipe.
    recipe : Recipe
        A recipe that needs the image alone.
    labels : array
        What it gave on the whole.
    folder : Path
        Where the store of the image is written, and that of the labels.
    device : {"auto", "cpu", "gpu"}
        Where to run.

    Returns
    -------
    str
        One sentence.
    """
    source, target = folder / "image.zarr", folder / "in-tiles.zarr"
    io.write(source, image, kind="image")
    found = run(recipe, source, target, tile=TILE, device=device)
    tiles, n = found.provenance["tiling"], len(np.unique(labels[labels != 0]))  # type: ignore[union-attr]
    differ = int(np.count_nonzero(np.asarray(found.labels) != labels))  # type: ignore[union-attr]
    if differ:
        return f"{name}, in {tiles}: DIFFERS from the whole at {differ:,} voxels; please report this as a fault"
    return f"{name}, in {tiles}: the labels are identical to those of the whole, all {n} of them"
