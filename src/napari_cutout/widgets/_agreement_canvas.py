"""The drawing of IoU against Dice.  Imports pyqtgraph, so it is imported when there is something to draw."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent, QWheelEvent

from ..evaluation.rank_changes import RankChanges, dice_of
from ._agreement import Items
from ._theme import PlotColours

__all__ = ["AgreementCanvas"]

_STEPS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Home: -(2**31), Qt.Key.Key_End: 2**31 - 1}
"""How many items each key goes on."""


class AgreementCanvas(pg.PlotWidget):  # type: ignore[misc]
    """The curve D = 2 J / (1 + J), the items on it, their mean below it, and the one that is chosen.

    Attributes
    ----------
    chosen
        Emitted with the place among the items of one that was clicked, or that a key went to.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.items_drawn: Items | None = None
        self.current: int | None = None
        self._colours: PlotColours | None = None
        self._faded = False
        self._curve = pg.PlotDataItem(*RankChanges.curve())
        self._points, self._ring = pg.ScatterPlotItem(size=6), pg.ScatterPlotItem(size=13)
        self._mean = pg.ScatterPlotItem(size=11, symbol="+")
        for item in (self._curve, self._points, self._mean, self._ring):
            self.addItem(item)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.setXRange(0, 1, padding=0.03)
        self.setYRange(0, 1, padding=0.03)
        self.getPlotItem().setContentsMargins(0, 4, 6, 0)
        self.getAxis("bottom").setLabel("IoU")
        self.getAxis("left").setLabel("Dice")
        self.getAxis("left").setWidth(44)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def set_items(self, items: Items) -> None:
        """Draw these items; none of them is chosen."""
        self.items_drawn, self.current = items, None
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
        """Draw a ring around this item; None takes it away."""
        self.current = at
        self._draw()

    def _draw(self) -> None:
        if self.items_drawn is None or self._colours is None:
            return
        items, colours = self.items_drawn, self._colours
        self._curve.setPen(pg.mkPen(colours.axis, width=1.5))
        self._points.setData(items.drawn, dice_of(items.drawn))
        self._points.setPen(None)
        self._points.setBrush(pg.mkBrush(colours.axis if self._faded else colours.data))
        self._mean.setData(*([value] for value in items.means))
        self._mean.setPen(pg.mkPen(colours.text, width=2))
        ring = [] if self.current is None else [self.current]
        self._ring.setData(items.iou[ring], items.dice[ring])
        self._ring.setPen(pg.mkPen(colours.focus, width=2))
        self._ring.setBrush(pg.mkBrush(None))

    def sizeHint(self) -> QSize:
        """Return a size in which points can be told apart; pyqtgraph would take 480 pixels of height."""
        return QSize(200, 200)

    # Mouse and keys

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the item next to the mouse; of several that lie there each in turn."""
        event.accept()
        if self.items_drawn is None or not event.buttons() & Qt.MouseButton.LeftButton:
            return
        at = self.getViewBox().mapSceneToView(self.mapToScene(event.position().toPoint()))
        self.chosen.emit(self.items_drawn.near(at.x(), at.y(), self.current))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Keep the view where it is."""
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Keep the view where it is."""
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go on by items, from the worst to the best."""
        step = _STEPS.get(Qt.Key(event.key()))
        if step is None or self.items_drawn is None:
            super().keyPressEvent(event)
            return
        last = len(self.items_drawn.keys) - 1
        self.chosen.emit(0 if self.current is None else int(np.clip(self.current + step, 0, last)))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Let the wheel scroll the form."""
        event.ignore()
