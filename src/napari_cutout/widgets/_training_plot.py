"""The live plot of a training, drawn in the colours of the theme, and a line that says the same in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from ._theme import PlotColours, ThemeListener
from ._training_curves import Curves

if TYPE_CHECKING:
    from ._training_canvas import TrainingCanvas

__all__ = ["TrainingPlot"]

MIN_HEIGHT = 180
"""Height of the drawing below which curves are hard to read, in pixels."""

HELP = (
    "Loss of the batches (thin) and of what is held out (thick), and below it the mean Dice of what is held out, from "
    "which nothing is learned. The ring is at the best so far, which is what will be saved."
)


class TrainingPlot(QWidget):  # type: ignore[misc]
    """Shows how a training goes; nothing until there is something.

    Parameters
    ----------
    viewer : napari viewer
        Whose theme to follow.
    name_of : callable
        From the number of a class to what to call it.
    """

    def __init__(self, viewer: Any, name_of: Callable[[int], str]) -> None:
        super().__init__()
        self._viewer, self._name_of = viewer, name_of
        self._theme: ThemeListener | None = None
        self.curves = Curves()
        self.canvas: TrainingCanvas | None = None
        self.legend, self.reading = QLabel(), QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.reading.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for label in (self.legend, self.reading):
            label.setWordWrap(True)
        self._place = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.legend)
        layout.addLayout(self._place, 1)
        layout.addWidget(self.reading)
        self.setVisible(False)

    def begin(self) -> None:
        """Forget the curves of the training before."""
        self.curves = Curves()
        self.setVisible(False)

    def add_steps(self, batches: Sequence[tuple[int, float]], n_steps: int) -> None:
        """Draw the losses of batches."""
        self.curves.add_steps(batches, n_steps)
        self._show()

    def add_report(self, report: Any) -> None:
        """Draw a validation."""
        self.curves.add_report(report)
        self._show()

    def let_go(self) -> None:
        """Forget the viewer."""
        if self._theme is not None:
            self._theme.close()
            self._theme = None

    def _show(self) -> None:
        if self.canvas is None:
            from ._training_canvas import TrainingCanvas

            self.canvas = TrainingCanvas()
            self.canvas.setMinimumHeight(MIN_HEIGHT)
            self.canvas.setToolTip(HELP)
            self.canvas.setAccessibleName("loss and Dice of the training")
            self._place.addWidget(self.canvas)
            self._theme = ThemeListener(self._viewer, self._paint)
        self.setVisible(True)
        self.canvas.set_curves(self.curves)
        self.reading.setText(self.curves.words(self._name_of))

    def _paint(self, colours: PlotColours) -> None:
        if self.canvas is not None:
            self.canvas.set_colours(colours)
        marks = (("─", colours.axis, "batches"), ("━", colours.data, "held out"), ("○", colours.focus, "best"))
        words = (f'<span style="color:{colour}">{mark}</span> {word}' for mark, colour, word in marks)
        self.legend.setText("   ".join(words))
