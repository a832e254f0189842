"""The rows of *Recipe* that say what of its image it runs on, and let that be changed as in the widgets of methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from .._recipe_edits import Draft
from .._selection import Selection
from ..recipe import Recipe
from ._dock import form, problem_line
from ._extent import extent_of
from ._fold import Fold
from ._recipe_job import Setup, chosen_on
from ._recipe_target import choice_of, region_of, selection_of
from ._target import Unfit, recalled, remember
from ._target_rows import TargetRows, words_of

__all__ = ["PlaceRows"]

Layer = Any
"""A napari layer."""

_WHY = "Which axes, frames, slices and channels of the image the recipe runs on; a change of it can be undone."
_FIT = "Let the recipe run on this layer as the rows above say; it can be undone."


class PlaceRows(QWidget):  # type: ignore[misc]
    """A line that says what a recipe runs on, the rows below it that change it, and what is missing there.

    Parameters
    ----------
    viewer : napari viewer
        Whose layers a recipe runs on.

    Attributes
    ----------
    chosen
        Emitted with the `Selection` that the recipe is to have.
    changed
        Emitted when rows say something else that is no selection yet.
    lines
        The lines for what is wrong, by the names of rows.
    """

    chosen = Signal(object)
    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._setup: Setup | None = None
        self._renamed: WeakKeyDictionary[Layer, set[frozenset[str]]] = WeakKeyDictionary()
        self.rows = TargetRows(viewer.layers, left_out=("run on",))
        self.rows.changed.connect(self._rows_changed)
        inner = form()
        inner.setContentsMargins(0, 2, 0, 0)
        inner.addRow(self.rows)
        hidden = QWidget()
        hidden.setLayout(inner)
        self.fold = Fold("", hidden, _WHY)
        self.lines: dict[str, QLabel] = {name: problem_line() for name in ("axes", "time")}
        self.fit_button = QPushButton("Fit the recipe to the layer")
        self.fit_button.setToolTip(_FIT)
        self.fit_button.clicked.connect(lambda _: self._choose())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.fold, *self.lines.values(), self.fit_button):
            layout.addWidget(widget)

    def fields(self) -> Mapping[str, QWidget]:
        """Return the fields that can turn red."""
        found = self.rows.fields()
        return {name: found[name] for name in self.lines}

    def show_for(self, setup: Setup | None) -> None:
        """Show what a recipe runs on, or what it would on a layer that it does not fit."""
        self._setup = setup
        self.setVisible(setup is not None)
        layer = None if setup is None else setup.source
        if setup is None or layer is None:
            self.rows.show_for(None)
        else:
            takes = setup.recipe.takes_channels
            choice = choice_of(setup.alone, layer, takes_channels=takes)
            self.rows.show_for(layer, takes_channels=takes, choice=choice)
        if setup is not None:
            self.fold.set_text(_said(setup))
            self.fold.button.setEnabled(layer is not None and self.rows.offers_some)

    def problems(self) -> dict[str, str]:
        """Say what the rows do not say yet, by their names, where the recipe does not fit the layer."""
        try:
            self._wanted()
        except Unfit as error:
            return {error.field: str(error)} if error.field in self.lines else {}
        return {}

    def offer_fit(self, draft: Draft | None) -> None:
        """Offer to fit a recipe to the layer, where that changes it."""
        self.fit_button.setVisible(draft is not None and self._would_change(draft))

    def follow(self, before: Recipe, after: Recipe) -> None:
        """Call the axes of the layer as a recipe does that was gone back to, where its edit had renamed them."""
        layer = None if self._setup is None else self._setup.source
        if layer is None:
            return
        was, now = (chosen_on(recipe, layer).axes for recipe in (before, after))
        if recalled(layer).letters == was and frozenset((was, now)) in self._renamed.get(layer, ()):
            remember(layer, replace(recalled(layer), letters=now))

    def _would_change(self, draft: Draft) -> bool:
        try:
            return draft.aimed(self._wanted()) != draft
        except ValueError:
            return False

    def _wanted(self) -> Selection:
        """Return what the rows say."""
        setup, choice = self._setup, self.rows.choice
        assert setup is not None
        return selection_of(setup, choice, extent_of(self._viewer, setup.source, choice.letters, "whole"))

    def _rows_changed(self) -> None:
        setup = self._setup
        assert setup is not None
        names = frozenset((setup.alone.axes, self.rows.choice.letters))
        self._renamed.setdefault(setup.source, set()).add(names)
        self._choose()

    def _choose(self) -> None:
        try:
            selection = self._wanted()
        except ValueError:
            self.changed.emit()
            return
        self.chosen.emit(selection)


def _said(setup: Setup) -> str:
    """Say what a recipe runs on, whether or not its layer has that."""
    layer, recipe = setup.source, setup.recipe
    if layer is None and recipe.selection is None:
        return "whole image"
    chosen = recipe.selection or setup.alone
    chosen = replace(chosen, box=()) if setup.whole else chosen
    return " · ".join(filter(None, [*words_of(choice_of(chosen)), region_of(chosen, layer)]))
