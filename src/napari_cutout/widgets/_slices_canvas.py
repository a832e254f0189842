"""The drawing inside the plot of scores per slice.  Imports pyqtgraph, so it is imported when there is something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent, QWheelEvent

from ._slices import Curves, stepped
from ._theme import PlotColours

__all__ = ["SlicesCanvas"]

DOTS_UP_TO = 60
"""With more slices than this, dots on the curves would touch each other."""

_STEPS = {
    Qt.Key.Key_Left: -1,
    Qt.Key.Key_Right: 1,
    Qt.Key.Key_PageUp: -10,
    Qt.Key.Key_PageDown: 10,
    Qt.Key.Key_Home: -(2**31),
    Qt.Key.Key_End: 2**31 - 1,
}
"""How many slices each key goes on."""


class SlicesCanvas(pg.PlotWidget):  # type: ignore[misc]
    """Two curves over the slices, the worst slices, and a line at the slice that is shown.

    Attributes
    ----------
    chosen
        Emitted with a slice that was clicked, or that a key went to.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.curves: Curves | None = None
        self.current: int | None = None
        self._colours: PlotColours | None = None
        self._faded = False
        self._dice, self._iou = pg.PlotDataItem(connect="finite"), pg.PlotDataItem(connect="finite")
        self._worst = pg.ScatterPlotItem(size=10)
        self._line = pg.InfiniteLine(angle=90)
        self._line.setVisible(False)
        for item in (self._line, self._dice, self._iou, self._worst):
            self.addItem(item)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.setYRange(0, 1, padding=0.04)
        self.getPlotItem().setContentsMargins(0, 4, 6, 0)
        self.getAxis("bottom").enableAutoSIPrefix(False)
        self.getAxis("left").setWidth(30)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def set_curves(self, found: Curves, axis: str) -> None:
        """Draw these scores, over an axis of this name."""
        self.curves = found
        self.setXRange(-0.5, len(found.iou) - 0.5, padding=0.01)
        self.getAxis("bottom").setLabel(axis)
        self._draw()

    def set_colours(self, colours: PlotColours) -> None:
        """Draw in these colours."""
        self._colours = colours
        self.setBackground(colours.background)
        for name in ("left", "bottom"):
            self.getAxis(name).setPen(colours.axis)
            self.getAxis(name).setTextPen(colours.text)
        self._draw()

    def set_faded(self, faded: bool) -> None:
        """Draw without colour what is not current."""
        if faded != self._faded:
            self._faded = faded
            self._draw()

    def set_current(self, at: int | None) -> None:
        """Draw the line at this slice; None takes it away."""
        self.current = at
        self._line.setVisible(at is not None)
        if at is not None:
            self._line.setValue(at)

    def _draw(self) -> None:
        if self.curves is None or self._colours is None:
            return
        at = np.arange(len(self.curves.iou))
        dotted = len(at) <= DOTS_UP_TO
        first = self._colours.axis if self._faded else self._colours.data
        kinds = ((self._iou, self.curves.iou, first), (self._dice, self.curves.dice, self._colours.axis))
        for item, scores, colour in kinds:
            style = Qt.PenStyle.SolidLine if item is self._iou else Qt.PenStyle.DashLine
            dots: dict[str, Any] = {"symbolBrush": colour, "symbolPen": None, "symbolSize": 4}
            item.setData(
                at, scores, pen=pg.mkPen(colour, width=1.5, style=style), symbol="o" if dotted else None, **dots
            )
        worst = list(self.curves.worst)
        self._worst.setData(worst, self.curves.iou[worst])
        self._worst.setPen(pg.mkPen(self._colours.focus, width=2))
        self._worst.setBrush(pg.mkBrush(None))
        self._line.setPen(pg.mkPen(self._colours.focus if self.hasFocus() else self._colours.text, width=1.5))

    def sizeHint(self) -> QSize:
        """Return a size in which scores can be compared; pyqtgraph would take 480 pixels of height."""
        return QSize(200, 190)

    # Mouse and keys

    def slice_at(self, event: QMouseEvent) -> int | None:
        """Return the slice under the mouse."""
        if self.curves is None:
            return None
        x = self.getViewBox().mapSceneToView(self.mapToScene(event.position().toPoint())).x()
        return stepped(self.curves, 0, int(np.rint(x)))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the slice under the mouse."""
        self._choose_under(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the mouse while its button is held."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._choose_under(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Stay where the mouse was let go."""
        event.accept()

    def _choose_under(self, event: QMouseEvent) -> None:
        at = self.slice_at(event)
        event.accept()
        if at is not None and at != self.current and event.buttons() & Qt.MouseButton.LeftButton:
            self.chosen.emit(at)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go on by slices, or to the first or the last."""
        step = _STEPS.get(Qt.Key(event.key()))
        if step is None or self.curves is None:
            super().keyPressEvent(event)
            return
        at = 0 if self.current is None else stepped(self.curves, self.current, step)
        if at != self.current:
            self.chosen.emit(at)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Let the wheel scroll the form."""
        event.ignore()

    def focusInEvent(self, event: object) -> None:
        """Show that keys move the line."""
        super().focusInEvent(event)
        self._draw()

    def focusOutEvent(self, event: object) -> None:
        """Show that they do not."""
        super().focusOutEvent(event)
        self._draw()
