"""Buttons that let clicks merge, split, cut and delete objects, and the line that says what to click."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from weakref import WeakSet

from qtpy.QtCore import Signal
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ._access import explain
from ._clicked import problem_of
from ._clicks import TOOLS, clicks
from ._dock import sentence_line, show_sentence
from ._worker import ALERT

__all__ = ["ClicksExtra", "ClicksRow"]


_ROWS: WeakSet[ClicksRow] = WeakSet()


class ClicksRow(QWidget):  # type: ignore[misc]
    """The buttons of `Clicks`; those of all widgets show the same.

    Parameters
    ----------
    viewer : napari viewer
        Where clicks are heard.
    meant : callable
        Returns the layer that is selected if that which is cannot be edited; None for none.

    Attributes
    ----------
    buttons
        By the names of the tools.
    line
        What to click, or what came of it.
    """

    def __init__(self, viewer: Any, meant: Callable[[], Any]) -> None:
        super().__init__()
        self._viewer, self._meant = viewer, meant
        self._clicks = clicks(viewer)
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for name, tool in TOOLS.items():
            self.buttons[name] = button = QPushButton(tool.name)
            button.setCheckable(True)
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # four of them share 300 pixels
            explain(button, f"{tool.name.lower()} objects by clicks", f"{tool.tooltip}.\n{tool.hint}")
            button.clicked.connect(lambda on, name=name: self.choose(name if on else ""))
            row.addWidget(button, 1)
        self.line = sentence_line()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.line)
        self.destroyed.connect(self._clicks.listen(self._follow))
        self._follow()
        _ROWS.add(self)
        self.destroyed.connect(lambda: _ROWS.discard(self))

    def choose(self, tool: str) -> None:
        """Let clicks do something else, or nothing if it is empty."""
        selection, meant = self._viewer.layers.selection, self._meant()
        if tool and problem_of(selection.active) and meant is not None and not problem_of(meant):
            selection.active = meant
        if tool and selection.active is not None:
            selection.active.visible = True  # a preview may stand in its place
        self._clicks.choose(tool)

    def let_go(self) -> None:
        """Put the tool away: nobody would see what it says."""
        if self._clicks.tool:
            self._clicks.put_away()

    def hideEvent(self, event: QHideEvent) -> None:
        """Put the tool away with the last row that showed it, but not where all of the window is out of sight."""
        super().hideEvent(event)
        others = (row for row in _ROWS if row is not self and row._clicks is self._clicks)
        if not event.spontaneous() and not any(row.isVisible() for row in others):
            self.let_go()

    def _follow(self) -> None:
        """Show which tool clicks are for, and what there is to say."""
        for name, button in self.buttons.items():
            button.setChecked(name == self._clicks.tool)
        sentence, problem = self._clicks.said
        self.line.setStyleSheet(ALERT if problem else "")
        show_sentence(self.line, sentence)


class ClicksExtra(ClicksRow):
    """The same as a piece of a form, below the result of a run.

    Parameters
    ----------
    frame : MethodFrame
        The form.
    """

    changed = Signal(object)
    changing = Signal(object)
    after_result: ClassVar[bool] = True

    def __init__(self, frame: Any) -> None:
        super().__init__(frame.viewer, lambda: frame.source)

    def refresh(self, form: Any, facts: Mapping[str, Any]) -> None:
        """Do nothing: what is clicked is a layer of its own."""
