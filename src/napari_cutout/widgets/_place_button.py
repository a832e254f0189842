"""A button that lays one layer on another, voxel on voxel, where both have one shape and lie apart."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QPushButton

from . import _layers

__all__ = ["PlaceButton"]

Layer = Any
"""A napari layer."""


class PlaceButton(QPushButton):  # type: ignore[misc]
    """Gives a layer the scale, the units and the place of another; hidden where there is nothing to give.

    That without a voxel size takes the place of the other one, as the annotation of a program that does not know it.

    Parameters
    ----------
    moved, kept : str
        What the form calls the two layers; of two with a voxel size, or without, the first is moved.
    """

    def __init__(self, moved: str, kept: str) -> None:
        super().__init__()
        self._names = moved, kept
        self._pair: tuple[Layer, Layer] | None = None
        self.clicked.connect(lambda _: self._give())
        self.show_for(None, None)

    def show_for(self, moved: Layer | None, kept: Layer | None) -> None:
        """Offer to lay one of two layers on the other, if they fit on each other and do not lie so."""
        self._pair = None
        if moved is not None and kept is not None and _layers.lie_apart(moved, kept):
            first, second = (moved, self._names[0]), (kept, self._names[1])
            if _layers.has_voxel_size(moved) and not _layers.has_voxel_size(kept):
                first, second = second, first
            self._pair = first[0], second[0]
            self.setText(f"Give {first[1]} the place of {second[1]}")
            self.setToolTip(f"Give '{first[0].name}' the scale, the units and the transforms of '{second[0].name}'")
        self.setVisible(self._pair is not None)

    def _give(self) -> None:
        if self._pair is not None:
            _layers.lay_on(*self._pair)
