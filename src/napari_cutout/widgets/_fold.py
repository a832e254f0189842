"""A part of a form that is folded away until somebody asks for it."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ._access import explain

__all__ = ["Fold", "open_folds_around"]

_STYLE = """
QPushButton { text-align: left; background: transparent; border: none; padding: 2px 0px; }
QPushButton:hover, QPushButton:focus { text-decoration: underline; }
"""
"""A fold is a line to read, and not a button among those that do something."""


class _Line(QPushButton):  # type: ignore[misc]
    """A button that is never too wide for its place: what of its words has no room is cut off, and in the tooltip."""

    def __init__(self) -> None:
        super().__init__()
        self._words = ""
        self.setStyleSheet(_STYLE)

    def say(self, words: str) -> None:
        """Show these words, or as many of them as there is room for."""
        self._words = words
        self._fit()

    def minimumSizeHint(self) -> QSize:
        """Return a size that makes no dock wider."""
        return QSize(40, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show more words where there is more room."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        room = self.fontMetrics().elidedText(self._words, Qt.TextElideMode.ElideRight, max(self.width() - 4, 40))
        if room != self.text():
            self.setText(room)


class Fold(QWidget):  # type: ignore[misc]
    """A button that shows or hides what is below it; Tab passes over what is hidden.

    Parameters
    ----------
    text : str
        What the button says.
    content : QWidget
        What to fold.
    why : str
        The tooltip of the button.
    """

    def __init__(self, text: str, content: QWidget, why: str) -> None:
        super().__init__()
        self._text, self._content = text, content
        self._why = why
        self.button = _Line()
        self.button.clicked.connect(lambda _=False: self.show_content(self._content.isHidden()))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        layout.addWidget(content)
        self.show_content(False)

    @property
    def is_open(self) -> bool:
        """Whether the content is shown."""
        return not self._content.isHidden()

    def text(self) -> str:
        """Return what the button says, without its arrow."""
        return self._text

    def set_text(self, text: str) -> None:
        """Let the button say something else."""
        self._text = text
        explain(self.button, text, f"{text}\n{self._why}" if text != "More" else self._why)
        self.button.say(f"{'▾' if self.is_open else '▸'} {text}")

    def show_content(self, on: bool) -> None:
        """Show the content or hide it."""
        self._content.setVisible(on)
        self.set_text(self._text)


def open_folds_around(field: QWidget) -> None:
    """Open the folds that a field lies in, so that it is seen."""
    parent = field.parentWidget()
    while parent is not None:
        if isinstance(parent, Fold) and parent.button is not field:
            parent.show_content(True)
        parent = parent.parentWidget()
