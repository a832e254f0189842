"""The plot of IoU and Dice per slice, beside a viewer that it moves and follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ..evaluation.slices import SliceEvaluation
from ._slices import MEAN, Curves, curves, go_to, here
from ._theme import PlotColours, ThemeListener

if TYPE_CHECKING:
    from ._slices_canvas import SlicesCanvas

__all__ = ["SlicesPlot"]

Layer = Any
"""A napari layer."""

MIN_HEIGHT = 150
"""Height of the drawing below which scores are hard to compare, in pixels."""

HELP = (
    "IoU and Dice of every slice. A click shows that slice in the viewer; so do the arrow keys, Page Up and Page Down "
    "(10 slices), Home and End, once the plot has been clicked. An axis that lies in the picture changes places with "
    "one that does not."
)


class SlicesPlot(QWidget):  # type: ignore[misc]
    """Shows the scores of every slice along an axis.

    Parameters
    ----------
    viewer : napari viewer
        What it moves and follows.
    name_of : callable
        From a class to its name, empty if it has none.
    """

    def __init__(self, viewer: Any, name_of: Callable[[int], str]) -> None:
        super().__init__()
        self._viewer, self._name_of = viewer, name_of
        self._slices: Sequence[SliceEvaluation] = ()
        self._axes: Sequence[str] = ()
        self._layer: Layer | None = None
        self._theme: ThemeListener | None = None
        self._faded = False
        self._link_colour = ""
        self.canvas: SlicesCanvas | None = None
        self.axis_box, self.class_box, self.reading, self.worst, self.legend = (
            QComboBox(), QComboBox(), QLabel(), QLabel(), QLabel()
        )  # fmt: skip
        self.axis_box.setToolTip("The axis that the slices lie along.")
        self.class_box.setToolTip(
            "The class whose scores are drawn, or the mean of the classes that a slice holds, background left out."
        )
        self.worst.setToolTip("The slices with the lowest IoU; click one to see it.")
        self._build()
        self.axis_box.currentIndexChanged.connect(self._redraw)
        self.class_box.currentIndexChanged.connect(self._redraw)
        self.worst.linkActivated.connect(self._follow_link)
        for event in (viewer.dims.events.point, viewer.dims.events.order, viewer.dims.events.ndisplay):
            event.connect(self._follow)

    def _build(self) -> None:
        row = QHBoxLayout()
        for word, box in (("along", self.axis_box), ("of", self.class_box)):
            box.setAccessibleName(f"slices {word}")
            box.setMinimumContentsLength(3)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            row.addWidget(QLabel(word))
            row.addWidget(box, 1)
        for line in (self.reading, self.worst):
            line.setWordWrap(True)
        self.worst.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        for label in (self.worst, self.legend):
            label.setTextFormat(Qt.TextFormat.RichText)
        self._place = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 4, 2, 2)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.legend)
        layout.addLayout(self._place, 1)
        layout.addWidget(self.reading)
        layout.addWidget(self.worst)

    @property
    def axis(self) -> int:
        """The axis that the slices lie along."""
        return max(int(self.axis_box.currentIndex()), 0)

    @property
    def label(self) -> int:
        """The class that is drawn, or `MEAN`."""
        return MEAN if self.class_box.currentData() is None else int(self.class_box.currentData())

    @property
    def found(self) -> SliceEvaluation | None:
        """The scores that are shown, all classes of them."""
        return self._slices[self.axis] if self._slices else None

    def show_slices(self, slices: Sequence[SliceEvaluation], axes: Sequence[str], layer: Layer | None) -> None:
        """Show other scores; the axis and the class that were chosen stay where there still are such.

        Parameters
        ----------
        slices : sequence of SliceEvaluation
            One for every axis.
        axes : sequence of str
            What to call the axes.
        layer : napari layer or None
            The labels, to which the viewer is moved; None if they are gone.
        """
        axis, label = self.axis, self.label
        self._slices, self._axes, self._layer = slices, axes, layer
        if not slices:
            return
        self._make_canvas()
        for box in (self.axis_box, self.class_box):
            box.blockSignals(True)
            box.clear()
        self.axis_box.addItems(list(axes))
        self.axis_box.setCurrentIndex(axis if axis < len(slices) else 0)
        self.class_box.addItem("mean", None)
        for number in slices[0].classes.tolist():
            self.class_box.addItem(self._class_text(number), number)
        self.class_box.setCurrentIndex(max(self.class_box.findData(label), 0) if label != MEAN else 0)
        for box in (self.axis_box, self.class_box):
            box.blockSignals(False)
        self._redraw()

    def rename(self) -> None:
        """Show the names that classes have now."""
        for at in range(1, self.class_box.count()):
            self.class_box.setItemText(at, self._class_text(self.class_box.itemData(at)))

    def set_faded(self, faded: bool) -> None:
        """Draw without colour what is not current."""
        self._faded = faded
        if self.canvas is not None:
            self.canvas.set_faded(faded)

    def forget_layer(self) -> None:
        """Stay as it is, but move the viewer no more: the labels are gone."""
        self._layer = None
        self._follow()

    def let_go(self) -> None:
        """Forget the viewer."""
        if self._theme is not None:
            self._theme.close()
            self._theme = None
        for event in (
            self._viewer.dims.events.point,
            self._viewer.dims.events.order,
            self._viewer.dims.events.ndisplay,
        ):
            event.disconnect(self._follow)

    def _class_text(self, number: int) -> str:
        name = self._name_of(number)
        return f"class {number}" + (f" ({name})" if name else "")

    def _make_canvas(self) -> None:
        if self.canvas is not None:
            return
        from ._slices_canvas import SlicesCanvas

        self.canvas = canvas = SlicesCanvas()
        canvas.setMinimumHeight(MIN_HEIGHT)
        canvas.setToolTip(HELP)
        canvas.setAccessibleName("IoU and Dice per slice")
        canvas.set_faded(self._faded)
        canvas.chosen.connect(self.show_slice)
        self._place.addWidget(canvas)
        self._theme = ThemeListener(self._viewer, self._paint)

    def _paint(self, colours: PlotColours) -> None:
        self._link_colour = colours.focus
        if self.canvas is not None:
            self.canvas.set_colours(colours)
        marks = (("━", colours.data, "IoU"), ("╍", colours.axis, "Dice"), ("○", colours.focus, "lowest IoU"))
        words = (f'<span style="color:{colour}">{mark}</span> {word}' for mark, colour, word in marks)
        self.legend.setText("   ".join(words))
        self._redraw()

    def _redraw(self, _: int = 0) -> None:
        if self.found is None or self.canvas is None:
            return
        drawn = curves(self.found, self.label)
        self.canvas.set_curves(drawn, self._axes[self.axis])
        colour = f'style="color:{self._link_colour}"'
        links = ", ".join(f'<a href="{at}" {colour}>{at}</a> ({drawn.iou[at]:.3f})' for at in drawn.worst)
        self.worst.setText(f"lowest IoU: {links}" if links else "")
        self._follow()

    def show_slice(self, at: int) -> None:
        """Show a slice in the viewer."""
        if self._layer is not None:
            go_to(self._viewer, self._layer, self.axis, at)

    def _follow_link(self, link: str) -> None:
        self.show_slice(int(link))

    def _follow(self, event: Any = None) -> None:
        """Draw the line where the viewer is, and say the scores there."""
        if self.canvas is None or self.canvas.curves is None:
            return
        at = None if self._layer is None else here(self._viewer, self._layer, self.axis)
        self.canvas.set_current(at)
        self.reading.setText(self._reading(self.canvas.curves, at))

    def _reading(self, drawn: Curves, at: int | None) -> str:
        if self._layer is None:
            return "the layer of these scores is gone"
        if at is None:
            return f"{self._axes[self.axis]} lies in the picture; click to see a slice of it"
        if math.isnan(drawn.iou[at]):
            return f"slice {at}: nothing to score"
        return f"slice {at}: IoU {drawn.iou[at]:.3f}, Dice {drawn.dice[at]:.3f}"
