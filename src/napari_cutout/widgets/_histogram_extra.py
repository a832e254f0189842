"""What a widget shows below its form where its methods cut the grey scale: the histogram, and where they cut it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from .._method import Method
from ..methods._grey_levels import Histogram
from ._histogram_levels import (
    Change,
    Lines,
    centres_of,
    change_for,
    components_of,
    description,
    lines_of,
    tint_colours,
)
from ._histogram_plot import HistogramPlot
from ._theme import ThemeListener, plot_colours

__all__ = ["HistogramExtra"]


class HistogramExtra(QWidget):  # type: ignore[misc]
    """Shows the histogram of the image and lines where the chosen method cuts it.

    It computes nothing: histograms come from a worker.

    Parameters
    ----------
    viewer : napari viewer
        Whose theme to follow.
    row : sequence of Method
        The methods that the form offers.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    plot
        The `HistogramPlot`.
    levels_moved
        Emitted with all levels, a tuple of float, once a line is let go.
    changing
        Emitted with a `Change` while a line is being moved: what a live preview should be made with.
    changed
        Emitted with a `Change` once it is let go: what the form should say from now on.
    """

    levels_moved = Signal(tuple)
    changing = Signal(object)
    changed = Signal(object)

    def __init__(self, viewer: Any, row: Sequence[Method], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = tuple(row)
        self._method: Method | None = None
        self._lines = Lines()
        self._shown: tuple[Histogram | None, str] = (None, "")
        self.plot = HistogramPlot(plot_colours(viewer.theme))
        self._theme = ThemeListener(viewer, self.plot.set_colours)
        self.destroyed.connect(self._theme.close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.plot.moving.connect(self._line_moving)
        self.plot.moved.connect(self._line_moved)

    def show_histogram(
        self,
        histogram: Histogram | None,
        settings: Mapping[str, Any],
        *,
        why: str = "",
        about: str = "",
        room: bool = True,
    ) -> None:
        """Show the histogram of the image, or say why there is none.

        Parameters
        ----------
        histogram : Histogram or None
            Of the image as it is, inside the mask.
        settings : Mapping
            What the form says.
        why : str
            What an empty plot says.
        about : str
            What else to say of the histogram, such as ``"approximate, from level 2"``.
        room : bool
            Whether an empty plot keeps its room, since it will soon be filled.
        """
        self._shown = histogram, about
        self.plot.set_histogram(histogram, why, room=room)
        empty = "" if room else why
        self.plot.say(empty if histogram is None else description(histogram, settings, about))

    def show_strokes(
        self, strokes: Mapping[int, Histogram], colour_of: Callable[[int], str], name_of: Callable[[int], str]
    ) -> None:
        """Show the histograms under the strokes, as `stroke_histograms` counts them.

        Parameters
        ----------
        strokes : Mapping
            Histograms by label; empty if nothing is painted.
        colour_of : callable
            From a label to its colour, ``"#rrggbb"``.
        name_of : callable
            From a label to the name of its class; "" if it has none.
        """
        self.plot.set_strokes({f"{n} {name_of(n)}".strip(): (found, colour_of(n)) for n, found in strokes.items()})

    def show_levels(
        self, method: Method, settings: Mapping[str, Any], facts: Mapping[str, Any], colour_of: Callable[[int], str]
    ) -> None:
        """Show where a method cuts.

        Parameters
        ----------
        method : Method
            What is chosen.
        settings : Mapping
            What the form says.
        facts : Mapping
            The facts of the last run or preview with these settings; empty if there is none.
        colour_of : callable
            From a label of the result to its colour, ``"#rrggbb"``.
        """
        histogram, about = self._shown
        if histogram is not None:
            self.plot.say(description(histogram, settings, about))
        if self.plot.dragging:  # the answer to where the line was a moment ago
            return
        self._method, self._lines = method, lines_of(method, settings, facts)
        movable = change_for(method, self._row, self._lines, self._lines.levels) is not None
        colours = tint_colours(self._lines, settings.get("objects", "bright"), colour_of)
        self.plot.set_levels(self._lines.levels, movable, colours)
        components, centres = components_of(facts), centres_of(facts)
        self.plot.set_classes(
            [(found, colour_of(label)) for label, found in enumerate(components, start=1)],
            [(centre, colour_of(label)) for label, centre in enumerate(centres, start=1)],
        )

    def let_go(self) -> None:
        """Forget the viewer; the widget is not used after this."""
        self._theme.close()

    def _change(self) -> Change | None:
        if self._method is None:
            return None
        return change_for(self._method, self._row, self._lines, self.plot.levels)

    def _line_moving(self, index: int, value: float) -> None:
        change = self._change()
        if change is not None:
            self.changing.emit(change)

    def _line_moved(self, index: int, value: float) -> None:
        change = self._change()
        if change is not None:
            self.levels_moved.emit(change.levels)
            self.changed.emit(change)
