"""The plot of a histogram: bars, thresholds that can be dragged, and the histograms of strokes on top."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..methods._grey_levels import Histogram
from ._histogram_view import Component, Scale, drawn
from ._theme import PlotColours

if TYPE_CHECKING:
    from ._histogram_canvas import HistogramCanvas

__all__ = ["HistogramPlot", "preload"]

Strokes = Mapping[str, tuple[Histogram, str]]
"""The histogram under the strokes of each label and the colour of the label, by its name."""

MIN_HEIGHT = 70
"""Height of the drawing below which bars are hard to compare, in pixels; where there is room it is higher."""

HELP = (
    "Drag a line, or press the arrow keys: left and right move it (ten times as far with Shift), up and down go to the "
    "next, Enter or a double click asks for its value. The wheel zooms once the plot has been clicked; a double click "
    "beside the lines shows all grey levels, and again those where nearly all voxels are."
)


def preload() -> None:
    """Import pyqtgraph, which takes a third of a second; a worker may do so before the first plot is drawn."""
    import pyqtgraph  # noqa: F401


class HistogramPlot(QWidget):  # type: ignore[misc]
    """Shows a histogram; knows nothing of layers.

    Parameters
    ----------
    colours : PlotColours
        What to draw in.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    moving
        Emitted with the index of a line and its grey level again and again while it is being moved.
    moved
        Emitted with the same once it is let go.
    scale_changed
        Emitted with ``"linear"`` or ``"log"`` when the user has chosen the other.
    """

    moving = Signal(int, float)
    moved = Signal(int, float)
    scale_changed = Signal(str)

    def __init__(self, colours: PlotColours, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colours = colours
        self._strokes: dict[str, tuple[Histogram, str]] = {}
        self._components: tuple[tuple[Component, str], ...] = ()
        self._centres: tuple[tuple[float, str], ...] = ()
        self._levels: tuple[Sequence[float], bool, Sequence[str]] = ((), False, ())
        self.canvas: HistogramCanvas | None = None
        self._dialog: QInputDialog | None = None
        self._said = self._beyond = ""
        self.empty = QLabel()
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.empty)
        self._pages.setMinimumHeight(MIN_HEIGHT)
        self.legend, self.fitted, self.line = QLabel(), QLabel(), QLabel()
        for label in (self.legend, self.fitted, self.line):
            label.setWordWrap(True)
            label.setVisible(False)
        self.log_box = QCheckBox("log")
        self.log_box.setToolTip("Draw counts on a logarithmic scale, on which small humps are seen beside high ones.")
        self.log_box.toggled.connect(self._log_toggled)
        self.all_button = QToolButton()
        self.all_button.setText("show all")
        self.all_button.setToolTip("Bring all grey levels into view again.")
        self.all_button.setVisible(False)
        self.all_button.clicked.connect(self._show_all)
        self._lay_out()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.line, 1)
        row.addStretch()
        row.addWidget(self.all_button)
        row.addWidget(self.log_box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._pages, 1)
        layout.addWidget(self.legend)
        layout.addWidget(self.fitted)
        layout.addLayout(row)

    def sizeHint(self) -> QSize:
        """Return the size that shows a histogram well in a narrow widget, or that of a sentence in its place."""
        return QSize(300, 0 if self._pages.isHidden() else MIN_HEIGHT + 60)

    # What the caller sets

    @property
    def scale(self) -> Scale:
        """``"log"`` or ``"linear"``."""
        return "log" if self.log_box.isChecked() else "linear"

    @scale.setter
    def scale(self, scale: Scale) -> None:
        self.log_box.setChecked(scale == "log")

    @property
    def levels(self) -> tuple[float, ...]:
        """Where the lines are, rising."""
        return tuple(self._levels[0])

    @property
    def dragging(self) -> bool:
        """True while the mouse holds a line."""
        return self.canvas is not None and self.canvas.dragging

    def set_histogram(self, histogram: Histogram | None, why: str = "", *, room: bool = True) -> None:
        """Show a histogram.

        Parameters
        ----------
        histogram : Histogram or None
            What to show, as `napari_cutout.histogram` gives it, all of its bins included; None for an empty plot.
        why : str
            What an empty plot says.
        room : bool
            Whether an empty plot keeps its room; else nothing is left of it but the line under it, which says why.
        """
        self.empty.setText(why)
        shown = room or histogram is not None
        for part in (self._pages, self.log_box):
            part.setVisible(shown)
        self.updateGeometry()
        if histogram is not None:
            self._make_canvas().set_bars(drawn(histogram))
        else:
            self._beyond = ""
        self._pages.setCurrentIndex(0 if histogram is None else 1)
        self.log_box.setEnabled(histogram is not None)

    def set_strokes(self, strokes: Strokes) -> None:
        """Draw the histograms of strokes on top, each scaled so that its highest bar is as high as the plot.

        Parameters
        ----------
        strokes : Mapping
            Histogram and colour (``"#rrggbb"``) by the name of the label.
        """
        self._strokes = dict(strokes)
        if self.canvas is not None:
            self.canvas.set_strokes({name: (drawn(h), self._colours.line(c)) for name, (h, c) in strokes.items()})
        names = " ".join(
            f'<span style="color: {self._colours.line(colour)}">■</span> {html.escape(name)}'
            for name, (_, colour) in strokes.items()
        )
        self.legend.setText(f"strokes: {names}")
        self.legend.setToolTip("Each is scaled so that its highest bar is as high as the plot; few voxels are painted.")
        self.legend.setVisible(bool(strokes))

    def set_classes(
        self, components: Sequence[tuple[Component, str]] = (), centres: Sequence[tuple[float, str]] = ()
    ) -> None:
        """Draw what was fitted to the histogram: curves of components and their sum, or ticks at the centres.

        Parameters
        ----------
        components : sequence of tuple of Component and str
            With the colour of each class, ``"#rrggbb"``, in the order of the classes.
        centres : sequence of tuple of float and str
            Grey levels with the colour of each class.
        """
        self._components, self._centres = tuple(components), tuple(centres)
        line = self._colours.line
        if self.canvas is not None:
            self.canvas.set_classes(
                [(found, line(colour)) for found, colour in self._components],
                [(centre, line(colour)) for centre, colour in self._centres],
            )
        self.fitted.setText(self._fitted_text())
        spread = [f"{c.mean:.4g} ± {c.variance**0.5:.4g}: {100 * c.weight:.3g} % of the voxels" for c, _ in components]
        self.fitted.setToolTip("\n".join(["Where the classes lie: the mean, and the share of each.", *spread]))
        self.fitted.setVisible(bool(self._components or self._centres))

    def _fitted_text(self) -> str:
        """Say what was fitted, with the colours that it is drawn in."""
        words = [f"{c.mean:.4g} ({100 * c.weight:.2g} %)" for c, _ in self._components]
        words += [f"{centre:.4g}" for centre, _ in self._centres]
        colours = [colour for _, colour in (*self._components, *self._centres)]
        words = [text.replace(" ", "\u00a0") for text in words]
        return "classes: " + " ".join(
            f'<span style="color: {self._colours.line(colour)}">■</span>\u00a0{number}:\u00a0{text}'
            for number, (colour, text) in enumerate(zip(colours, words, strict=True), start=1)
        )

    def set_levels(self, levels: Sequence[float], movable: bool, colours: Sequence[str] = ()) -> None:
        """Draw a line at each grey level, with its value beside it; a line that the mouse holds is not taken away.

        Parameters
        ----------
        levels : sequence of float
            Grey levels, rising.
        movable : bool
            Whether they can be dragged.
        colours : sequence of str
            ``"#rrggbb"`` for what lies below the first, between the first and the second...; "" for none.

        Raises
        ------
        ValueError
            If the levels fall.
        """
        if sorted(levels) != list(levels):
            raise ValueError(f"levels must rise, got {tuple(levels)}; sort them")
        if self.dragging:
            return
        self._levels = (tuple(levels), movable, tuple(colours))
        if self.canvas is not None:
            self.canvas.set_levels(*self._levels)
            self.canvas.setToolTip(HELP if movable and levels else "")

    def set_colours(self, colours: PlotColours) -> None:
        """Draw in these colours; what a `ThemeListener` calls."""
        self._colours = colours
        if self.canvas is not None:
            self.canvas.set_colours(colours)
        self.set_strokes(self._strokes)
        self.set_classes(self._components, self._centres)

    def say(self, text: str) -> None:
        """Show a line under the plot, such as ``"256 levels · 1,048,576 voxels"``, and what is not in view."""
        self._said = text
        self.line.setText(" · ".join(words for words in (text, self._beyond) if words))
        self.line.setVisible(bool(text))

    # Reacting

    def _make_canvas(self) -> HistogramCanvas:
        """Return the drawing, which is made when it is needed first."""
        if self.canvas is not None:
            return self.canvas
        from ._histogram_canvas import HistogramCanvas

        self.canvas = canvas = HistogramCanvas(self._colours, self.scale)
        canvas.setAccessibleName("histogram")
        canvas.setAccessibleDescription(HELP)
        canvas.moving.connect(self._line_moving)
        canvas.moved.connect(self.moved)
        canvas.chosen.connect(self._ask_for_value)
        canvas.zoomed.connect(self._zoomed)
        self._pages.addWidget(canvas)
        canvas.set_colours(self._colours)
        self.set_strokes(self._strokes)
        self.set_classes(self._components, self._centres)
        self.set_levels(*self._levels)
        return canvas

    def _zoomed(self, less: bool, beyond: str) -> None:
        self.all_button.setVisible(less)
        self._beyond = beyond
        self.say(self._said)

    def _line_moving(self, index: int, value: float) -> None:
        levels, movable, colours = self._levels
        self._levels = ((*levels[:index], value, *levels[index + 1 :]), movable, colours)
        self.moving.emit(index, value)

    def _log_toggled(self) -> None:
        if self.canvas is not None:
            self.canvas.set_scale(self.scale)
        self.scale_changed.emit(self.scale)

    def _show_all(self) -> None:
        if self.canvas is not None:
            self.canvas.show_all()

    def _ask_for_value(self, index: int) -> None:
        """Ask for the grey level of a line; the window is not blocked meanwhile."""
        self._dialog = dialog = QInputDialog(self)
        dialog.setWindowTitle("Grey level")
        dialog.setLabelText("grey level of this line")
        dialog.setInputMode(QInputDialog.InputMode.DoubleInput)
        dialog.setDoubleDecimals(6)
        dialog.setDoubleRange(-1e300, 1e300)
        dialog.setDoubleValue(self.levels[index])
        dialog.doubleValueSelected.connect(partial(self._make_canvas().set_level, index))
        dialog.open()
