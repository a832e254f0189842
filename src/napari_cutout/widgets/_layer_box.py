"""A combo box of a viewer's layers of one kind, which follows the layer list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QSizePolicy, QWidget

from ._layers import is_preview
from ._sources import watch

__all__ = ["LayerBox", "LayerField", "LayerListener"]

Layer = Any
"""A napari layer."""

_WATCHED = ("data", "paint", "features", "scale", "translate", "rotate", "shear", "affine", "units")
"""Events of a layer after which it is checked again."""


class LayerBox(QComboBox):  # type: ignore[misc]
    """Chooses one layer of a kind.

    Parameters
    ----------
    layers : napari layer list
        The layers of the viewer.
    kind : type or tuple of type
        Which layers to offer, such as ``napari.layers.Image``.
    optional : bool
        Whether *none* may be chosen; it is the first choice then.
    none : str
        What the choice of no layer is called.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    offered
        The layers that can be chosen, in the order of the layer list.
    changed
        Emitted when another layer is chosen, by hand or because the layer list changed.
    """

    changed = Signal()

    def __init__(
        self,
        layers: Any,
        kind: type | tuple[type, ...],
        *,
        optional: bool,
        none: str = "none",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # names may be long
        self.setMinimumWidth(80)
        self._layers, self._kind, self._optional, self._none = layers, kind, optional, none
        self.offered: list[Layer | None] = []
        self.setMinimumContentsLength(10)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.refresh()
        self.currentIndexChanged.connect(lambda _: self.changed.emit())

    @property
    def layer(self) -> Layer | None:
        """The chosen layer; None if there is none."""
        at = self.currentIndex()
        return self.offered[at] if 0 <= at < len(self.offered) else None

    @property
    def chosen(self) -> Layer | None:
        """What is chosen, as fields say that hold no value of their own; None if nothing is."""
        return self.layer

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer that is offered."""
        self.setCurrentIndex(self.offered.index(layer))

    def refresh(self) -> None:
        """Offer what the layer list holds now, and keep the choice where it is still there."""
        before = self.layer
        offered = [layer for layer in self._layers if isinstance(layer, self._kind) and not is_preview(layer)]
        for layer in offered:
            watch(layer)
        new: list[Layer | None] = [None, *offered] if self._optional else [*offered]
        self.blockSignals(True)
        self.clear()
        self.offered = new
        for layer in new:
            self.addItem(self._none if layer is None else layer.name)
        if new:
            self.setCurrentIndex(new.index(self._keep(before, new)))
        self.blockSignals(False)
        if self.layer is not before:
            self.changed.emit()

    def _keep(self, before: Layer | None, offered: list[Layer | None]) -> Layer | None:
        """Return what to choose: what was chosen, else the layer that is active, else the one on top."""
        if self._optional or before in offered:
            return before if before in offered else None
        active = self._layers.selection.active
        return active if active in offered else offered[-1]


class LayerField(QWidget):  # type: ignore[misc]
    """A `LayerBox`, and a button that adds a layer to paint on.

    Parameters
    ----------
    box : LayerBox
        Chooses the layer.
    can_add : bool
        Whether there is a button.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    add_pressed
        Emitted when the button was pressed.
    """

    add_pressed = Signal()

    def __init__(self, box: LayerBox, *, can_add: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = box
        self.add_button = QPushButton("+")
        self.add_button.setFixedWidth(28)
        self.add_button.setAccessibleName("add an empty Labels layer")
        self.add_button.setToolTip("Add an empty Labels layer that fits on the image, ready to paint")
        self.add_button.setVisible(can_add)
        self.add_button.clicked.connect(self.add_pressed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(box, 1)
        layout.addWidget(self.add_button)


class LayerListener:
    """Calls back when layers come, go, are renamed, or one of those watched changes its data or its place.

    It is no Qt object, so that it can let go after the widget that it serves is gone.

    Parameters
    ----------
    layers : napari layer list
        The layers of the viewer.
    on_list : callable
        Called after the list has changed.
    on_layer : callable
        Called after a watched layer has changed.
    """

    def __init__(self, layers: Any, on_list: Callable[[], None], on_layer: Callable[[], None]) -> None:
        self._layers = layers
        self._on_list, self._on_layer = on_list, on_layer
        self._watched: list[Layer] = []
        for name in ("inserted", "removed", "reordered", "renamed"):
            getattr(layers.events, name).connect(self._list_changed)

    def watch(self, layers: list[Layer]) -> None:
        """Watch these layers, and no longer those before."""
        wanted = [layer for layer in layers if layer is not None]
        if len(wanted) == len(self._watched) and all(a is b for a, b in zip(wanted, self._watched, strict=True)):
            return
        self._connect(self._watched, "disconnect")
        self._watched = wanted
        self._connect(self._watched, "connect")

    def close(self) -> None:
        """Let go of everything."""
        self.watch([])
        for name in ("inserted", "removed", "reordered", "renamed"):
            getattr(self._layers.events, name).disconnect(self._list_changed)

    def _connect(self, layers: list[Layer], verb: str) -> None:
        for layer in layers:
            for name in _WATCHED:
                if (event := getattr(layer.events, name, None)) is not None:  # only labels can be painted
                    getattr(event, verb)(self._layer_changed)

    def _list_changed(self, event: Any = None) -> None:
        self._on_list()

    def _layer_changed(self, event: Any = None) -> None:
        self._on_layer()
