"""A slider on which equal steps are equal ratios: around a value, or over whole numbers."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QSlider, QWidget

__all__ = ["LogSlider"]

STEPS = 400
"""Places of a slider; one is a ratio of about 3 % over five powers of ten, and less than a pixel is wide."""


class LogSlider(QSlider):  # type: ignore[misc]
    """A horizontal slider whose places stand for numbers between two, rising by equal ratios.

    Parameters
    ----------
    low, high : float
        The numbers at its ends, above 0.
    whole : bool
        Whether it stands for whole numbers.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    moved
        Emitted with the number when the user moves it, and never when `show_value` does.
    """

    moved = Signal(float)

    def __init__(
        self, low: float = 0.01, high: float = 1000.0, *, whole: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._ends, self._whole = (low, high), whole
        self.setRange(0, STEPS)
        self.setPageStep(STEPS // 20)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.valueChanged.connect(lambda _: self.moved.emit(self.number))

    @property
    def number(self) -> float:
        """What its place stands for, to three digits or a whole number; the ends are met exactly."""
        low, high = self._ends
        number = low * (high / low) ** (self.value() / max(self.maximum(), 1))
        return float(round(number)) if self._whole else float(f"{number:.3g}")

    def set_ends(self, low: float, high: float) -> None:
        """Let it stand for other numbers; whole ones have no more places than there are of them."""
        shown = self.number
        self._ends = low, high
        self.blockSignals(True)
        self.setMaximum(min(STEPS, int(high - low)) if self._whole else STEPS)
        self.blockSignals(False)
        self.show_value(shown)

    def show_value(self, number: float) -> None:
        """Go to where a number stands, or as near as can be, without a word."""
        low, high = self._ends
        share = math.log(min(max(number, low), high) / low) / math.log(high / low) if low < high else 0.0
        self.blockSignals(True)
        self.setValue(round(share * self.maximum()))
        self.blockSignals(False)
