"""Floods of images in tiles: the labels of the whole, from tiles that see themselves and what touches them.

Tiles find out together, each time from their outermost voxels alone:

1. the flood level of their nodes. A tile contracts its voxels along their lowest passes to few nodes (`_tile_passes`);
   the driver joins the nodes of all tiles, and the lowest possible highest passes from any marker are those of the
   whole, because every pass that is left out has a way round that is no higher;
2. their distance, inside zones of equal level, to the nearest entry, as often as it changes for a neighbour;
3. their labels: a voxel's label is that of a marker in the tile, or of a voxel of another tile, an *exit*; the driver
   follows exits from tile to tile.

What a tile knows of its own voxels it keeps, where there is room, and else finds anew. The driver holds 20 to 60 bytes
for every node and every exit, and nothing for a voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from .._plan import Exchange, Stitch
from ._keys import key_dtype
from ._markers import Missing
from ._tile_labels import counted, distances, exits_of, followed, labelled, resolved, summed, where_nearer
from ._tile_levels import (
    Agreed,
    across,
    across_minima,
    contracted,
    contracted_minima,
    filled,
    gathered,
    known_by,
    levelled,
)
from ._voxel_grid import fits

__all__ = ["flood_plan", "levels_plan"]

LOWEST_PASSES = "finding the lowest passes of tiles"


def flood_plan(whole: Any, connectivity: int, missing: Missing, dtypes: Sequence[str | None]) -> Stitch:
    """Return the plan of a flood from markers; its arrays are surface, markers and territory, of these dtypes."""
    look: dict[str, Any] = {"connectivity": connectivity}
    walls = (2,) if dtypes[2] not in (None, "bool") else ()
    key = key_dtype(str(dtypes[0]))
    first, again = partial(distances, **look, first=True), partial(distances, **look, first=False)
    return Stitch(
        whole,
        Agreed(key),
        (
            Exchange(partial(contracted, **look), partial(gathered, missing=missing), LOWEST_PASSES),
            Exchange(partial(across, **look), levelled, "joining tiles across their faces", reads=walls),
            Exchange(first, summed, "finding flood levels of tiles", reads=(1, *walls)),
            Exchange(again, summed, "measuring distances across tiles", where_nearer, reads=walls),
            Exchange(partial(resolved, **look), counted, "following floods in tiles", reads=(1, *walls)),
            Exchange(partial(exits_of, **look), followed, "following floods across tiles", reads=()),
        ),
        known_by,
        partial(labelled, **look),
        "int32",
        fits,
        blocks={"level": key, "node": "int32", "distance": "int32"},
        records={"height": key, "node": "int32", "distance": "int32", "label": "int32", "exits": "int32"},
        reads=(),
    )


def levels_plan(whole: Any, depth: Any, connectivity: int, dtypes: Sequence[str | None]) -> Stitch:
    """Return the plan of the levels at which minima are full; its arrays are surface and territory, of these dtypes.

    Parameters
    ----------
    whole : callable
        What is done on arrays in memory.
    depth : float or delayed float
        How much is poured into every minimum.
    connectivity : int
        How many axes a step may cross.
    dtypes : sequence of str or None
        Of the arrays.

    Returns
    -------
    Stitch
        In tiles its result are keys of the levels, as `part_keys` makes them.
    """
    look: dict[str, Any] = {"connectivity": connectivity}
    key = key_dtype(str(dtypes[0]))
    return Stitch(
        whole,
        depth,
        (
            Exchange(partial(contracted_minima, **look, key=key), gathered, LOWEST_PASSES),
            Exchange(
                partial(across_minima, **look),
                levelled,
                "joining tiles across their faces",
                reads=(1,) if dtypes[1] not in (None, "bool") else (),
            ),
        ),
        known_by,
        partial(filled, **look),
        key,
        fits,
        blocks={"level": key, "node": "int32"},
        records={"height": key, "node": "int32"},
        reads=(),
    )
