"""The drawing of a training: loss above, Dice below.  Imports pyqtgraph, so it is imported when there is something."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QWheelEvent

from ._theme import PlotColours
from ._training_curves import Curves

__all__ = ["TrainingCanvas"]

AXIS_WIDTH = 46
"""Width of the axes at the left, in pixels, so that both drawings begin below each other."""


class TrainingCanvas(pg.GraphicsLayoutWidget):  # type: ignore[misc]
    """Loss of batches and of what is held out, and the mean Dice of what is held out, over the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.curves = Curves()
        self._colours: PlotColours | None = None
        self.loss, self.dice = self.addPlot(row=0, col=0), self.addPlot(row=1, col=0)
        self.batches, self.validation, self.scores = (pg.PlotDataItem(connect="finite") for _ in range(3))
        self.best = pg.ScatterPlotItem(size=11)
        for item in (self.batches, self.validation):
            self.loss.addItem(item)
        for item in (self.scores, self.best):
            self.dice.addItem(item)
        for plot, name in ((self.loss, "loss"), (self.dice, "Dice")):
            plot.setMenuEnabled(False)
            plot.setMouseEnabled(x=False, y=False)
            plot.hideButtons()
            plot.setLabel("left", name)
            plot.getAxis("left").setWidth(AXIS_WIDTH)
            plot.getAxis("left").enableAutoSIPrefix(False)
            plot.getAxis("bottom").enableAutoSIPrefix(False)
        self.loss.getAxis("bottom").setStyle(showValues=False)
        self.dice.getAxis("bottom").setLabel("step")
        self.dice.setYRange(0, 1, padding=0.04)
        self.ci.layout.setSpacing(2)
        self.ci.layout.setContentsMargins(0, 2, 6, 0)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the line below says the numbers

    def set_curves(self, curves: Curves) -> None:
        """Draw these."""
        self.curves = curves
        last = max(curves.n_steps, 1)
        for plot in (self.loss, self.dice):
            plot.setXRange(0, last, padding=0.01)
        if (highest := curves.highest_loss) > 0:
            self.loss.setYRange(0, highest, padding=0.04)
        self._draw()

    def set_colours(self, colours: PlotColours) -> None:
        """Draw in these colours."""
        self._colours = colours
        self.setBackground(colours.background)
        for plot in (self.loss, self.dice):
            for name in ("left", "bottom"):
                plot.getAxis(name).setPen(colours.axis)
                plot.getAxis(name).setTextPen(colours.text)
        self._draw()

    def _draw(self) -> None:
        if self._colours is None:
            return
        c, data = self.curves, self._colours.data
        self.batches.setData(*_points(c.steps, c.losses), pen=pg.mkPen(self._colours.axis, width=1))
        for item, values in ((self.validation, c.validation_losses), (self.scores, c.dice)):
            item.setData(
                *_points(c.validated, values),
                pen=pg.mkPen(data, width=2),
                symbol="o",
                symbolSize=4,
                symbolBrush=data,
                symbolPen=None,
            )
        self.best.setData(*_points(*c.best_point))
        self.best.setPen(pg.mkPen(self._colours.focus, width=2))
        self.best.setBrush(pg.mkBrush(None))

    def sizeHint(self) -> QSize:
        """Return a size in which curves can be read; pyqtgraph would take 480 pixels of height."""
        return QSize(200, 210)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Let the wheel scroll the form."""
        event.ignore()


def _points(x: Sequence[float], y: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the points that can be drawn; pyqtgraph warns of a curve without any."""
    found = np.asarray([x, y], float).reshape(2, -1)
    known = found[:, np.isfinite(found).all(0)]
    return known[0], known[1]
