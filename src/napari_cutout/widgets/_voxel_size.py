"""The fields that say how large a voxel is, for an image whose layer does not."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from . import _layers
from ._access import explain
from ._editors import FloatBox, StillUnlessFocused

__all__ = ["VoxelSizeFields"]

_PIXEL, _UNIT = "pixel", "µm"
_UNITS = (_PIXEL, _UNIT, "nm", "mm")
_SHORTEST, _LONGEST = 1e-9, 1e9
_NARROW = """
QAbstractSpinBox { padding: 1px 4px; min-width: 30px; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { width: 0px; border: none; }
QAbstractSpinBox::up-arrow, QAbstractSpinBox::down-arrow { width: 0px; height: 0px; image: none; }
"""
"""Style of a length: without buttons, so that three of them fit. (Where a style sheet is at work, as in napari,
`QAbstractSpinBox.setButtonSymbols` would take the text away with the buttons.)"""

_TOOLTIP = (
    "How large a voxel is along each axis. It is used for the run; *Set on the layer* gives it to the layer, so that "
    "results and files have it, too. "
    "Until a length or the unit is set, sizes are counted in voxels; a size of 1 is set by its unit."
)


class VoxelSizeFields(QWidget):  # type: ignore[misc]
    """One length per axis and a unit; the unit is pixel until somebody sets it or a length.

    Attributes
    ----------
    changed
        Emitted when a length or the unit has changed.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.boxes = {axis: FloatBox() for axis in "zyx"}
        self.unit_box = QComboBox()
        self.unit_box.addItems(_UNITS)
        self._said = False
        self._names = {axis: QLabel(axis) for axis in self.boxes}
        self._still = StillUnlessFocused(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for axis, box in self.boxes.items():
            box.setRange(_SHORTEST, _LONGEST)
            box.setStyleSheet(_NARROW)
            explain(box, f"voxel size along {axis}", _TOOLTIP)
            layout.addWidget(self._names[axis])
            layout.addWidget(box, 1)
            box.valueChanged.connect(lambda _: self._take_length())
        layout.addWidget(self.unit_box)
        self.unit_box.currentIndexChanged.connect(lambda _: self._say())
        for field in (*self.boxes.values(), self.unit_box):
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            field.installEventFilter(self._still)
        explain(self.unit_box, "unit of the voxel size", _TOOLTIP)
        self.setToolTip(_TOOLTIP)
        self.show_for(3, "")

    @property
    def value(self) -> _layers.VoxelSize | None:
        """What the fields say, 1 as well; None until somebody says it, and for pixels."""
        lengths = tuple(box.value() for box in self.boxes.values() if not box.isHidden())
        unit = self.unit_box.currentText().replace(_PIXEL, "")
        if set(lengths) == {1.0} and not (self._said and unit):
            return None
        return _layers.VoxelSize(lengths, unit)

    def set_value(self, *lengths: float, unit: str = "µm") -> None:
        """Show lengths, in the order of the axes, and their unit."""
        for box, length in zip(list(self.boxes.values())[-len(lengths) :], lengths, strict=True):
            box.setValue(length)
        self.unit_box.setCurrentText(unit)

    def show_for(self, ndim: int, unit: str) -> None:
        """Start anew for an image of 2 or 3 axes, in the unit of its layer if it has one."""
        self.blockSignals(True)
        for at, (axis, box) in enumerate(self.boxes.items(), start=ndim - 3):
            box.setVisible(at >= 0)
            self._names[axis].setVisible(at >= 0)
            box.setValue(1.0)
        if unit and self.unit_box.findText(unit) < 0:
            self.unit_box.addItem(unit)
        self.unit_box.setCurrentText(unit or _PIXEL)
        self._said = False
        self.blockSignals(False)

    def _take_length(self) -> None:
        """Take a length for micrometres where nobody has said another unit."""
        if not self._said and self.unit_box.currentText() == _PIXEL:
            self.unit_box.blockSignals(True)
            self.unit_box.setCurrentText(_UNIT)
            self.unit_box.blockSignals(False)
        self._say()

    def _say(self) -> None:
        self._said = True
        self.changed.emit()
