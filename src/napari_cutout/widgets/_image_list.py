"""A list of a viewer's layers of one kind, each of which can be ticked if it fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget, QWidget

from ._layers import is_preview

__all__ = ["ImageList"]

Layer = Any
"""A napari layer."""

_MAX_ROWS = 5
"""Images that are in view; a longer list scrolls."""

_FITS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable


class ImageList(QListWidget):  # type: ignore[misc]
    """Chooses any number of Image layers, or of Labels layers.

    Parameters
    ----------
    layers : napari layer list
        The layers of the viewer.
    problem : callable
        From an Image layer to why it does not fit, in one sentence; empty if it fits. Others cannot be ticked, and
        their tooltip says why.
    left_out : callable, optional
        Returns an Image layer that is not offered, or None.
    parent : QWidget, optional
        Its parent.
    kind : {"Image", "Labels"}
        Which layers are offered.

    Attributes
    ----------
    offered
        The layers of that kind.
    changed
        Emitted when other layers are ticked, by hand or because the layer list changed.
    """

    changed = Signal()

    def __init__(
        self,
        layers: Any,
        problem: Callable[[Layer], str],
        left_out: Callable[[], Layer | None] | None = None,
        parent: QWidget | None = None,
        *,
        kind: Literal["Image", "Labels"] = "Image",
    ) -> None:
        super().__init__(parent)
        self._kind = kind
        self._layers, self._problem, self._left_out = layers, problem, left_out
        self.offered: list[Layer] = []
        self.itemChanged.connect(lambda _: self.changed.emit())

    @property
    def ticked(self) -> list[Layer]:
        """The layers that are ticked, in the order of the layer list."""
        states = (self.item(at).checkState() for at in range(self.count()))
        return [layer for layer, state in zip(self.offered, states, strict=True) if state == Qt.CheckState.Checked]

    def tick(self, *layers: Layer) -> None:
        """Tick these layers, and no others."""
        for at, layer in enumerate(self.offered):
            self.item(at).setCheckState(Qt.CheckState.Checked if layer in layers else Qt.CheckState.Unchecked)

    def offers_all(self) -> bool:
        """Tell whether it offers the Image layers that there are now, by their names."""
        names = [self.item(at).text() for at in range(self.count())]
        return self.offered == self._there and names == [layer.name for layer in self.offered]

    @property
    def _there(self) -> list[Layer]:
        from napari import layers

        kind, but = getattr(layers, self._kind), None if self._left_out is None else self._left_out()
        return [x for x in self._layers if isinstance(x, kind) and x != but and not is_preview(x)]

    def refresh(self) -> None:
        """Offer what the layer list holds now; ticks stay where layers still fit. An only image is ticked at first.

        That is not so where an image is left out, beside which others are chosen.
        """
        before, known, offered = self.ticked, self.offered, self._there
        problems = [self._problem(layer) for layer in offered]
        fitting = [layer for layer, problem in zip(offered, problems, strict=True) if not problem]
        chosen = [layer for layer in before if layer in fitting]
        if len(fitting) == 1 and fitting[0] not in known and self._left_out is None:
            chosen = fitting
        self.blockSignals(True)
        if offered != known:  # else items stay, one of which may be the one that was ticked just now
            self.clear()
            self.addItems([layer.name for layer in offered])
        self.offered = offered
        for at, (layer, problem) in enumerate(zip(offered, problems, strict=True)):
            item = self.item(at)
            item.setText(layer.name)
            item.setToolTip(problem)
            item.setFlags(Qt.ItemFlag.NoItemFlags if problem else _FITS)
            item.setCheckState(Qt.CheckState.Checked if layer in chosen else Qt.CheckState.Unchecked)
        self.blockSignals(False)
        self.setFixedHeight(min(max(len(offered), 1), _MAX_ROWS) * max(self.sizeHintForRow(0), 18) + 8)
        if self.ticked != before or offered != known:
            self.changed.emit()
