"""The drawing inside the plot of a histogram.  Imports pyqtgraph, so it is imported when there is something to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPoint, QSize, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QResizeEvent, QWheelEvent

from ._histogram_view import (
    Bars,
    Component,
    Scale,
    bars,
    beyond,
    bounds,
    central,
    component_counts,
    count_ticks,
    heights,
    level_text,
    most_of,
    outline,
    snapped,
    tints,
    top,
)
from ._theme import PlotColours

__all__ = ["HistogramCanvas"]

WIDE = 6
"""Width from which a bar is drawn apart from its neighbours, in pixels."""

COARSE = 64
"""About how many bars the histogram of strokes has: few voxels are painted, and finer bars would hold one each."""

TINT = 60
"""How opaque the colour of a class is behind the bars, out of 255."""

SHOWN = QSize(300, 70)
"""How much room is asked for; where there is more, it is taken. (A scene would ask for what it has had once.)"""

LABEL_AT = (0.84, 0.6, 0.36)
"""How high the texts of neighbouring lines stand, so that they do not cover each other, nor leave a low plot."""

TICK = 0.12
"""How high the tick at the centre of a cluster is, of the height of the plot."""

NEAR = 6
"""How close to a line a click means that line, in pixels."""


class HistogramCanvas(pg.PlotWidget):  # type: ignore[misc]
    """Bars, the histograms of strokes on top of them, and lines that can be dragged.

    Attributes
    ----------
    moving
        Emitted with index and grey level while a line is being moved.
    moved
        Emitted with index and grey level after a line has been moved.
    chosen
        Emitted with the index of a line that was double-clicked, or on which Enter was pressed.
    zoomed
        Emitted when another range of grey levels comes into view; True if it is not all of them; and with what share
        of the voxels is not in view, in a few words.
    """

    moving = Signal(int, float)
    moved = Signal(int, float)
    chosen = Signal(int)
    zoomed = Signal(bool, str)

    def __init__(self, colours: PlotColours, scale: Scale) -> None:
        super().__init__(enableMenu=False)
        self._colours, self._scale = colours, scale
        self._bars: Bars | None = None
        self._first: tuple[float, float] | None = None
        self._strokes: dict[str, tuple[Bars, str]] = {}
        self._levels: list[float] = []
        self._tint_colours: Sequence[str] = ()
        self._movable = False
        self._focused = 0
        self._lines: list[pg.InfiniteLine] = []
        self._tints: list[pg.LinearRegionItem] = []
        self._curve = pg.PlotCurveItem()
        self._stroke_curves: list[pg.PlotCurveItem] = []
        self._components: Sequence[tuple[Component, str]] = ()
        self._centres: Sequence[tuple[float, str]] = ()
        self._class_curves: list[pg.PlotCurveItem] = []
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.hideButtons()
        self.setMouseEnabled(x=True, y=False)
        self.getPlotItem().setContentsMargins(0, 4, 6, 0)
        self.getAxis("bottom").enableAutoSIPrefix(False)
        self.getAxis("left").setWidth(36)
        self.getViewBox().setDefaultPadding(0)
        self.addItem(self._curve)
        self.sigXRangeChanged.connect(self._range_changed)

    def sizeHint(self) -> QSize:
        """Return a size that shows a histogram in a narrow and low widget."""
        return SHOWN

    # What is drawn

    def set_bars(self, found: Bars) -> None:
        """Draw these bars; the range in view stays if they span the same grey levels as those before."""
        before, self._bars = self._bars, found
        low, high = found.span
        if before is None or before.span != (low, high):
            self.setLimits(xMin=low, xMax=high, minXRange=(high - low) / 2**16)
            self._show_first()
        else:
            self._keep_in_view()
        self._place_lines()
        self._draw()
        self._tell_zoom()

    def set_strokes(self, strokes: Mapping[str, tuple[Bars, str]]) -> None:
        """Draw these histograms on top, each as high as the plot."""
        self._strokes = dict(strokes)
        for curve in self._stroke_curves:
            self.removeItem(curve)
        self._stroke_curves = [pg.PlotCurveItem() for _ in self._strokes]
        for curve in self._stroke_curves:
            curve.setZValue(5)
            self.addItem(curve)
        self._keep_in_view()
        self._draw()

    def set_classes(self, components: Sequence[tuple[Component, str]], centres: Sequence[tuple[float, str]]) -> None:
        """Draw a curve for each component and one for their sum, or a tick at each centre, in these colours."""
        self._components, self._centres = components, centres
        n_curves = len(components) + bool(components) + len(centres)
        for curve in self._class_curves:
            self.removeItem(curve)
        self._class_curves = [pg.PlotCurveItem() for _ in range(n_curves)]
        for curve in self._class_curves:
            curve.setZValue(7)
            self.addItem(curve)
        self._keep_in_view()
        self._draw()

    def set_levels(self, levels: Sequence[float], movable: bool, colours: Sequence[str]) -> None:
        """Draw lines at these levels, and what lies between them in these colours."""
        self._levels, self._movable, self._tint_colours = list(levels), movable, colours
        self._focused = min(self._focused, max(len(self._levels) - 1, 0))
        if len(self._lines) != len(self._levels):
            self._make_lines()
        self._keep_in_view()
        self._paint_lines()
        self._place_lines()

    @property
    def dragging(self) -> bool:
        """True while the mouse holds a line."""
        return any(line.moving for line in self._lines)

    def set_colours(self, colours: PlotColours) -> None:
        """Draw in these colours."""
        self._colours = colours
        self.setBackground(colours.background)
        for name in ("left", "bottom"):
            self.getAxis(name).setPen(colours.axis)
            self.getAxis(name).setTextPen(colours.text)
        self._paint_lines()
        self._draw()

    def set_scale(self, scale: Scale) -> None:
        """Let heights follow counts in this way."""
        self._scale = scale
        self._draw()

    def show_all(self) -> None:
        """Bring all grey levels into view."""
        if self._bars is not None:
            self.setXRange(*self._bars.span, padding=0)

    def _show_first(self) -> None:
        """Bring those grey levels into view where the voxels are, and all that is marked."""
        assert self._bars is not None
        marks = [*self._levels, *(c.mean for c, _ in self._components), *(centre for centre, _ in self._centres)]
        painted = [end for found, _ in self._strokes.values() for end in most_of(found)]
        self._first = central(self._bars, [*marks, *painted])
        self.setXRange(*self._first, padding=0)

    def _keep_in_view(self) -> None:
        """Let what is in view follow what is marked, until somebody has chosen another range."""
        if self._bars is not None and self._first is not None and np.allclose(self._in_view, self._first):
            self._show_first()

    @property
    def _in_view(self) -> tuple[float, float]:
        low, high = self.getViewBox().viewRange()[0]
        return low, high

    def _draw(self) -> None:
        if self._bars is None:
            return
        low, high = self.getViewBox().viewRange()[0]
        width = max(int(self.getViewBox().width()), 1)
        seen = bars(self._bars, low, high, width)
        highest = top(seen.counts, self._scale)
        colour = self._colours.data
        x, y = outline(seen, heights(seen.counts, self._scale), width >= WIDE * len(seen.counts))
        self._curve.setData(x, y, stepMode="center", fillLevel=0, pen=None, brush=colour)
        self.setYRange(0, highest, padding=0)
        self.getAxis("left").setTicks([count_ticks(highest, self._scale)])
        for curve, (found, painted) in zip(self._stroke_curves, self._strokes.values(), strict=True):
            some = bars(found, low, high, min(COARSE, width))
            y = heights(some.counts, self._scale) * (highest / top(some.counts, self._scale))
            curve.setData(some.borders, y, stepMode="center", fillLevel=0, pen=pg.mkPen(painted, width=1.5))
            curve.setBrush(_faint(painted))
        self._draw_classes(self._bars, seen, highest)

    def _draw_classes(self, all_bars: Bars, seen: Bars, highest: float) -> None:
        """Draw what was fitted as high as the bars would be that held just that."""
        low, high = self.getViewBox().viewRange()[0]
        x = np.linspace(low, high, max(int(self.getViewBox().width()), 2))
        width = float(np.median(np.diff(seen.borders)))
        total = int(all_bars.counts.sum())
        counts = [component_counts(component, x, total, width) for component, _ in self._components]
        drawn = [(x, y, pg.mkPen(colour, width=2)) for y, (_, colour) in zip(counts, self._components, strict=True)]
        if counts:
            drawn.append((x, sum(counts[1:], counts[0]), pg.mkPen(self._colours.text, width=1)))
        curves = iter(self._class_curves)
        for x, y, pen in drawn:
            next(curves).setData(x, heights(y, self._scale), pen=pen)
        for (centre, colour), curve in zip(self._centres, curves, strict=True):
            curve.setData([centre, centre], [0, TICK * highest], pen=pg.mkPen(colour, width=4))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Join bars for the new width."""
        super().resizeEvent(event)
        if hasattr(self, "_curve"):  # pyqtgraph resizes while it is being made
            self._draw()

    def _range_changed(self) -> None:
        self._draw()
        self._turn_texts()
        self._tell_zoom()

    def _tell_zoom(self) -> None:
        if self._bars is not None:
            (low, high), (first, last) = self._in_view, self._bars.span
            self.zoomed.emit(high - low < (last - first) * (1 - 1e-9), beyond(self._bars, low, high))

    # Lines

    def _make_lines(self) -> None:
        for item in (*self._lines, *self._tints):
            self.removeItem(item)
        self._lines, self._tints = [], []
        for index in range(len(self._levels)):
            line = pg.InfiniteLine(angle=90, label="", labelOpts={"position": LABEL_AT[index % len(LABEL_AT)]})
            line.setZValue(10)
            line.sigDragged.connect(self._dragged)
            line.sigPositionChangeFinished.connect(self._dropped)
            self.addItem(line)
            self._lines.append(line)
        for _ in range(len(self._levels) + 1 if self._levels else 0):
            tint = pg.LinearRegionItem(movable=False, pen=pg.mkPen(None))
            tint.setZValue(-10)
            self.addItem(tint)
            self._tints.append(tint)

    def _paint_lines(self) -> None:
        for index, line in enumerate(self._lines):
            focused = self._movable and self.hasFocus() and index == self._focused
            line.setPen(self._colours.focus if focused else self._colours.text, width=2 if focused else 1)
            line.setHoverPen(self._colours.focus, width=2)
            line.setMovable(self._movable)
            line.setCursor(Qt.CursorShape.SplitHCursor if self._movable else Qt.CursorShape.ArrowCursor)
            line.label.setColor(self._colours.text)
            line.label.fill = pg.mkBrush(self._colours.background)
        for index, tint in enumerate(self._tints):
            shown = index < len(self._tint_colours) and self._tint_colours[index]
            tint.setBrush(_faint(self._tint_colours[index]) if shown else pg.mkBrush(None))

    def _place_lines(self) -> None:
        """Put lines and what lies between them where the levels are."""
        if self._bars is None:
            return
        for index, (line, level) in enumerate(zip(self._lines, self._levels, strict=True)):
            line.blockSignals(True)
            line.setBounds(bounds(self._levels, index, self._bars))
            line.setPos(level)
            line.blockSignals(False)
            line.label.setFormat(level_text(level, self._bars))
        self._turn_texts()
        for tint, region in zip(self._tints, tints(self._levels, self._bars), strict=False):
            tint.setRegion(region)

    def _turn_texts(self) -> None:
        """Let the texts of lines stand on that side of them where there is room."""
        low, high = self._in_view
        for line, level in zip(self._lines, self._levels, strict=False):
            left = level < (low + high) / 2
            line.label.anchors = [(0, 0.5), (0, 0.5)] if left else [(1, 0.5), (1, 0.5)]
            line.label.updatePosition()

    def _dragged(self, line: pg.InfiniteLine) -> None:
        index = self._lines.index(line)
        self._focused = index
        self._move(index, line.value())

    def _dropped(self, line: pg.InfiniteLine) -> None:
        self._place_lines()
        index = self._lines.index(line)
        self.moved.emit(index, self._levels[index])

    def _move(self, index: int, wanted: float) -> None:
        """Move a line to about a grey level, as far as its neighbours let it."""
        assert self._bars is not None
        low, high = bounds(self._levels, index, self._bars)
        level = min(max(snapped(wanted, self._bars), low), high)
        if level == self._levels[index]:
            return
        self._levels[index] = level
        if not self._lines[index].moving:
            self._place_lines()
        else:
            self._follow(index)
        self.moving.emit(index, level)

    def _follow(self, index: int) -> None:
        """Let the text and the colours follow a line that the mouse holds."""
        assert self._bars is not None
        self._lines[index].label.setFormat(level_text(self._levels[index], self._bars))
        for tint, region in zip(self._tints, tints(self._levels, self._bars), strict=True):
            tint.setRegion(region)

    def set_level(self, index: int, level: float) -> None:
        """Move a line as dragging it there and letting go does."""
        before = self._levels[index]
        self._move(index, level)
        if self._levels[index] != before:
            self.moved.emit(index, self._levels[index])

    # Keys and wheel

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move the line that has the focus by a pixel (left, right; ten with Shift), or go to the next (up, down)."""
        key = event.key()
        if not (self._movable and self._levels and self._bars is not None):
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            low, high = self.getViewBox().viewRange()[0]
            shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            step = max((high - low) / max(self.getViewBox().width(), 1), 1.0 if self._bars.whole else 0.0)
            sign = 1 if key == Qt.Key.Key_Right else -1
            self.set_level(self._focused, self._levels[self._focused] + sign * step * (10 if shift else 1))
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._focused = (self._focused + (1 if key == Qt.Key.Key_Up else -1)) % len(self._levels)
            self._paint_lines()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.chosen.emit(self._focused)
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom if the plot has the focus; else let the wheel scroll the form."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Choose the line under the mouse, or bring all grey levels into view, and again those where voxels are."""
        at = self._line_at(event.position().toPoint())
        if at is not None and self._movable:
            self.chosen.emit(at)
        elif self._bars is not None and np.allclose(self._in_view, self._bars.span):
            self._show_first()
        else:
            self.show_all()

    def focusInEvent(self, event: object) -> None:
        """Show which line the keys move."""
        super().focusInEvent(event)
        self._paint_lines()

    def focusOutEvent(self, event: object) -> None:
        """Show that the keys move no line."""
        super().focusOutEvent(event)
        self._paint_lines()

    def _line_at(self, position: QPoint) -> int | None:
        x = self.mapToScene(position).x()
        view = self.getViewBox()
        distance = [abs(view.mapViewToScene(pg.Point(level, 0)).x() - x) for level in self._levels]
        nearest = min(range(len(distance)), key=distance.__getitem__, default=None)
        return nearest if nearest is not None and distance[nearest] <= NEAR else None


def _faint(colour: str) -> QColor:
    faint = QColor(colour)
    faint.setAlpha(TINT)
    return faint
