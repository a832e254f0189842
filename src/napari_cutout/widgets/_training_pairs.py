"""A list of images with their annotations that are trained on beside the one that is chosen."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QListWidget, QPushButton, QVBoxLayout, QWidget

from ._access import explain
from ._training_layers import PairOfLayers

__all__ = ["PairList"]

_MAX_ROWS = 4
"""Pairs that are in view; a longer list scrolls."""


class PairList(QWidget):  # type: ignore[misc]
    """Holds pairs of layers.

    Attributes
    ----------
    changed
        Emitted when a pair has come or gone.
    add_pressed
        Emitted when the pair that is chosen shall join them.
    """

    changed = Signal()
    add_pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[PairOfLayers] = []
        self.list = QListWidget()
        explain(self.list, "also train on", "Images and their annotations that are trained on, too.")
        self.add_button, self.remove_button = QPushButton("Add this pair"), QPushButton("Remove")
        self.add_button.setToolTip(
            "Keep this image and its annotation for the training, and go on to choose another pair above."
        )
        self.remove_button.setToolTip("Take the pair that is marked out of the training; its layers stay.")
        self.add_button.clicked.connect(self.add_pressed)
        self.remove_button.clicked.connect(lambda _=False: self.remove(self.list.currentRow()))
        row = QHBoxLayout()
        row.addWidget(self.add_button)
        row.addWidget(self.remove_button)
        row.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.list)
        layout.addLayout(row)
        self._show()

    def add(self, pair: PairOfLayers) -> None:
        """Add a pair, instead of one of the same layers."""
        self.pairs = [other for other in self.pairs if not other.is_of(pair.image, pair.annotation)]
        self.pairs.append(pair)
        self._show()
        self.changed.emit()

    def remove(self, at: int) -> None:
        """Take out the pair at this place; nothing if none is marked."""
        if 0 <= at < len(self.pairs):
            del self.pairs[at]
            self._show()
            self.changed.emit()

    def keep_those_in(self, layers: Any) -> None:
        """Forget pairs of layers that are gone, and show the names that the others have now."""
        there = {id(layer) for layer in layers}
        self.pairs = [pair for pair in self.pairs if all(id(layer) in there for layer in pair.layers)]
        self._show()

    def with_this(self, pair: PairOfLayers | None) -> list[PairOfLayers]:
        """Return all pairs, and the one that is chosen now instead of an older one of the same layers."""
        if pair is None:
            return list(self.pairs)
        return [*(p for p in self.pairs if not p.is_of(pair.image, pair.annotation)), pair]

    def _show(self) -> None:
        names = [pair.name for pair in self.pairs]
        if names != [self.list.item(at).text() for at in range(self.list.count())]:
            self.list.clear()
            self.list.addItems(names)
        self.list.setVisible(bool(names))
        self.remove_button.setVisible(bool(names))
        self.list.setFixedHeight(min(max(len(names), 1), _MAX_ROWS) * max(self.list.sizeHintForRow(0), 18) + 8)
