"""Cutting the hierarchy of a merging elsewhere: labels are looked up in a table, and nothing is computed again.  No Qt.

>>> recut = Recut(hierarchy, layer.data)  # doctest: +SKIP
>>> cut = recut.at(12)  # so many regions  # doctest: +SKIP
>>> recut.write(cut, view_of(viewer, layer).box)  # what is in view, at once  # doctest: +SKIP
>>> done = recut.finish(cut, ours(layer), is_cancelled)  # all of it, in a thread  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._monitor import Cancelled
from .._sources import fingerprint
from ..methods._hierarchy import Hierarchy
from ..recipe import Recipe
from ._results import checksum

__all__ = ["Cut", "Done", "Recut", "described"]


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A hierarchy cut at one place.

    Parameters
    ----------
    n_regions : int
        How many regions are left.
    table : int32 array
        The label of every region by its number.
    last, following : float
        By how much the last pair that was merged differed, and the next one would; NaN where there is none.
    """

    n_regions: int
    table: NDArray[np.int32]
    last: float
    following: float

    def __str__(self) -> str:
        """Say between which differences it lies."""
        merged = "" if np.isnan(self.last) else f"merged up to a difference of {_digits(self.last)}"
        following = "" if np.isnan(self.following) else f"the next pair differs by {_digits(self.following)}"
        return "; ".join(words for words in (merged, following) if words)


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """What a layer holds and says once all of it is cut at one place.

    Parameters
    ----------
    cut : Cut
        Where.
    check : int
        The checksum of its labels.
    metadata : mapping
        What this plugin stores with it.
    """

    cut: Cut
    check: int
    metadata: Mapping[str, Any]


class Recut:
    """Writes the labels of a hierarchy into the array that the run gave, which had to be int32 and in memory.

    Parameters
    ----------
    hierarchy : Hierarchy
        What the run left.
    data : int32 array
        What the layer holds, with its axes: those of the hierarchy, and others of length 1.
    """

    def __init__(self, hierarchy: Hierarchy, data: NDArray[np.int32]) -> None:
        self.hierarchy, self.data = hierarchy, data
        self.regions = hierarchy.regions.reshape(data.shape)
        self.fewest, self.most = hierarchy.fewest, hierarchy.most

    def at(self, n_regions: int) -> Cut:
        """Return the cut at which so many regions are left, or as near as can be."""
        n = min(max(n_regions, self.fewest), self.most)
        last, following = self.hierarchy.reached(n)
        return Cut(n, self.hierarchy.table(n), last, following)

    def write(self, cut: Cut, box: Sequence[tuple[int, int]]) -> None:
        """Write the labels of a box.

        Parameters
        ----------
        cut : Cut
            Which labels.
        box : sequence of (int, int)
            First index and the one after the last, along every axis of the layer.
        """
        region = tuple(slice(start, stop) for start, stop in box)
        self.data[region] = cut.table[self.regions[region]]

    def finish(self, cut: Cut, ours: Mapping[str, Any], is_cancelled: Callable[[], bool] = lambda: False) -> Done:
        """Write all labels, and return what the layer should say of them; call it in a thread if there are many.

        Parameters
        ----------
        cut : Cut
            Which labels.
        ours : mapping
            What this plugin has stored with the layer.
        is_cancelled : callable
            Polled between planes.

        Raises
        ------
        Cancelled
            If `is_cancelled` returned True.
        """
        along = int(np.argmax(np.array(self.data.shape) > 1))
        planes, regions = np.moveaxis(self.data, along, 0), np.moveaxis(self.regions, along, 0)
        for plane, numbers in zip(planes, regions, strict=True):
            if is_cancelled():
                raise Cancelled("another place of the slider came first")
            np.take(cut.table, numbers, out=plane, mode="clip")
        return Done(cut, checksum(self.data), described(ours, cut, fingerprint(self.data)))


def _digits(number: float) -> str:
    """Return a number to four digits, or from a thousand to a billion as a whole one."""
    return f"{number:,.0f}" if 1e3 <= number < 1e9 else f"{number:.4g}"


def described(ours: Mapping[str, Any], cut: Cut, sha256: str) -> dict[str, Any]:
    """Return what a layer says of labels that were cut elsewhere: as if a run had given them with these settings.

    Parameters
    ----------
    ours : mapping
        What it said of the labels before.
    cut : Cut
        Where they are cut now.
    sha256 : str
        The fingerprint of the labels.
    """
    recipe = Recipe.from_json(ours["recipe"])
    settings = {"n_regions": cut.n_regions, "threshold": None}
    last = replace(recipe.steps[-1], settings={**recipe.steps[-1].settings, **settings})
    provenance: dict[str, Any] = json.loads(json.dumps(ours["provenance"]))
    ran = provenance["steps"][-1]
    for said in (ran["settings"], provenance["recipe"]["steps"][-1]["settings"]):
        said |= settings
    found = {"n_regions": cut.n_regions, "height": None if np.isnan(cut.last) else cut.last}
    for facts in (ran["facts"], provenance["facts"]):
        facts |= {name: value for name, value in found.items() if name in facts}
    provenance["sha256"] = sha256
    return {**ours, "recipe": Recipe((*recipe.steps[:-1], last), recipe.selection).to_json(), "provenance": provenance}
