"""A window of text to read and to copy, beside which the rest goes on."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase, QGuiApplication, QKeySequence
from qtpy.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

__all__ = ["TextWindow"]


class _Text(QPlainTextEdit):  # type: ignore[misc]
    """Text in columns; the keys of *Copy* take all of it unless a part is selected."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setReadOnly(True)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setTabChangesFocus(True)
        family = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family()
        self.setStyleSheet(f'font-family: "{family}", monospace')  # napari's style sheet would override a font

    def keyPressEvent(self, event: Any) -> None:
        """Copy all of the text where nothing of it is selected."""
        if event.matches(QKeySequence.StandardKey.Copy) and not self.textCursor().hasSelection():
            QGuiApplication.clipboard().setText(self.toPlainText())
        else:
            super().keyPressEvent(event)


class TextWindow(QDialog):  # type: ignore[misc]
    """A window of text with *Copy* and *Close*; Escape closes it, and closing deletes it.

    Parameters
    ----------
    title : str
        What its frame says.
    text : str
        What it shows. While it is empty there is nothing to copy.
    parent : QWidget
        The window above which it stays, and whose theme it follows.

    Attributes
    ----------
    field
        Where the text stands.
    copy_button, close_button
        Its buttons.
    """

    def __init__(self, title: str, text: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.field = _Text("")
        self.copy_button = QPushButton("&Copy")
        self.copy_button.setToolTip("Put all of the text on the clipboard")
        self.copy_button.clicked.connect(self.copy)
        self.copy_button.setDefault(True)
        self.close_button = QPushButton("C&lose")
        self.close_button.clicked.connect(self.close)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.copy_button)
        buttons.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.field)
        layout.addLayout(buttons)
        self.resize(760, 480)
        self.set_text(text)

    @property
    def text(self) -> str:
        """What it shows."""
        return str(self.field.toPlainText())

    def set_text(self, text: str) -> None:
        """Show another text."""
        self.field.setPlainText(text)
        self.copy_button.setText("&Copy")
        self.copy_button.setEnabled(bool(text))

    def copy(self) -> None:
        """Put all of the text on the clipboard, and say so on the button."""
        QGuiApplication.clipboard().setText(self.text)
        self.copy_button.setText("&Copied")
