"""What a run on a store is given: stores that are opened and not read, and files and arrays beside them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .._reading import Source, as_volume, check_one, is_path
from .._stored import Stored
from .._volume import Volume
from .._wanted import Fitted, fitted
from ..recipe import Recipe
from ..stores import Image, Layout, is_store, open_image
from ._records import place_of
from ._run_folder import identity_of_array, identity_of_store, states_of
from ._views import View

if TYPE_CHECKING:
    from ._batch import Job

__all__ = ["Opened", "opened"]

LISTED = 1 << 20
"""Files of an image at most that are listed to count those that are not there; of more, those that were read count."""


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """An image, what goes with it, and what of them a recipe runs on.

    Parameters
    ----------
    recipe : Recipe
        With the selection that fits the image.
    image : Fitted
        The image, of which nothing has been read.
    store : Image or None
        The store that it is a level of.
    views : dict
        Every input of the recipe.
    given : dict
        What the inputs were given as.
    """

    recipe: Recipe
    image: Fitted
    store: Image | None
    views: dict[str, View]
    given: dict[str, Any]

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """World length of a voxel along each axis that a method sees."""
        return self.image.spacing

    @property
    def layout(self) -> Layout:
        """How the labels are stored: as the image where they are all of it, else by themselves."""
        selection = self.image.selection
        whole = not selection.box and self.image.frame is None
        if self.store is not None and whole and sorted(self.store.axes) == sorted(self.image.volume.axes):
            return Layout.of(self.store, selection.level)
        import numpy as np

        shape = selection.shape(self.views[self.recipe.source].shape)
        return Layout.of(self.image.as_labels(np.broadcast_to(np.uint8(0), shape)))

    @property
    def block(self) -> tuple[int, ...]:
        """What the edges of tiles are multiples of, along the axes that a method sees."""
        layout, seen = self.layout, self.image.selection.run_axes
        return tuple(edge for axis, edge in zip(layout.axes, layout.block_shape, strict=True) if axis in seen)

    def identity(self, without: Mapping[str, Collection[str]] | None = None) -> dict[str, dict[str, Any]]:
        """Return by what every input is known again.

        Parameters
        ----------
        without : mapping of str to collection of str, optional
            Files of arrays that do not count, by the address of the array.
        """
        return {name: _identity(view, without or {}) for name, view in self.views.items()}

    def states(self, files: Mapping[str, Collection[str]]) -> dict[str, dict[str, str]]:
        """Return by what files of inputs are known again.

        Parameters
        ----------
        files : mapping of str to collection of str
            Their keys, by the address of their array.
        """
        bases = {view.base.place.shown: view.base for view in self.views.values() if hasattr(view.base, "place")}
        return {address: states_of(bases[address], keys) for address, keys in files.items() if address in bases}

    def truth(self, source: Source, storage_options: Mapping[str, Any] | None) -> Any:
        """Return a truth on what is selected of the image, as a dask array."""
        from dask.array import from_array

        from ._batch import labels_on

        if is_path(source) and is_store(source):
            source = open_image(source, storage_options=storage_options).volume()
        found = labels_on(source, self.image, "truth")
        return found if hasattr(found, "dask") else from_array(found, name=False)

    def absent(self) -> int:
        """Return how many files of the image are not there, so that the fill value stands in for their chunks."""
        base = self.views[self.recipe.source].base
        if not hasattr(base, "place"):
            return 0
        grid: int = math.prod(-(-n // edge) for n, edge in zip(base.shape, base.files, strict=True))
        if grid > LISTED:
            return int(base.n_absent)
        names = place_of(base.place.url, base.place.options).names("")
        return grid - sum(not name.startswith((".z", "zarr.")) and not name.endswith(".partial") for name in names)


def _identity(view: View, without: Mapping[str, Collection[str]]) -> dict[str, Any]:
    if not hasattr(view.base, "place"):
        return identity_of_array(view.base)
    return identity_of_store(view.base, without.get(view.base.place.shown, ()))


def opened(job: Job, source: Source, others: Mapping[str, Source], storage_options: Mapping[str, Any] | None) -> Opened:
    """Open what a run is given, and work out what of it to run on.

    Parameters
    ----------
    job : Job
        What runs, and what was asked for.
    source : array, Volume or path
        The image.
    others : mapping of str to array, Volume or path
        What the recipe reads beside it.
    storage_options : mapping, optional
        What fsspec takes to open an address.

    Raises
    ------
    FileNotFoundError
        If there is nothing to read.
    ValueError
        If it is damaged, or does not fit the recipe.
    """
    from ._batch import all_inputs

    level = job.wanted.level_for(job.recipe.selection)
    axes = job.wanted.axes or ("" if job.recipe.selection is None else job.recipe.selection.axes)
    volume, store = _opened(source, level, axes, storage_options)
    image = fitted(volume, job.recipe, job.wanted)
    recipe = replace(job.recipe, selection=image.selection)
    given = all_inputs(recipe, others)
    views = {name: _beside(recipe, name, other, image, storage_options) for name, other in given.items()}
    return Opened(
        recipe, image, store, {recipe.source: View.of(image.volume.data), **views}, {recipe.source: source, **given}
    )


def _opened(
    source: Source, level: int, axes: str, storage_options: Mapping[str, Any] | None
) -> tuple[Volume, Image | None]:
    """Return a source as a volume whose data are a view."""
    if is_path(source) and is_store(source):
        image = open_image(source, storage_options=storage_options)
        return image.with_data(level, View.of(image.level(level).array)), image
    volume = as_volume(source, level, axes)
    return replace(volume, data=View.of(volume.data)), None


def _beside(
    recipe: Recipe, name: str, source: Source, image: Fitted, storage_options: Mapping[str, Any] | None
) -> View:
    """Return an input beside the image, with the axes of the selection."""
    source = source.read(name) if isinstance(source, Stored) else source
    if not (isinstance(source, Volume) or is_path(source)):
        return View.of(source)
    volume, _ = _opened(source, 0, "", storage_options)
    if recipe.roles.get(name) == "image":
        return View.of(image.beside(volume, image.selection.axes))
    check_one(volume, name, image.recorded.kept_axes)
    return View.of(image.beside(volume, image.selection.kept_axes))
