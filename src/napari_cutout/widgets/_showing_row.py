"""What rows have in common that show something and change nothing of the form they stand in."""

from __future__ import annotations

from typing import ClassVar

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

__all__ = ["ShowingRow"]


class ShowingRow(QWidget):  # type: ignore[misc]
    """Shows what follows from a form.

    Attributes
    ----------
    changed, changing
        Never emitted: it changes nothing of the form.
    after_result
        Whether it stands below the result of a run, and not in the form.
    """

    changed = Signal(object)
    changing = Signal(object)
    after_result: ClassVar[bool] = False
