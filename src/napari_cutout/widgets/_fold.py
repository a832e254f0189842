"""A part of a form that is folded away until somebody asks for it."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ._access import explain

__all__ = ["Fold"]


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
        self.button = QPushButton()
        self.button.setStyleSheet("text-align: left;")
        explain(self.button, text, why)
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
        self.button.setText(f"{'▾' if self.is_open else '▸'} {text}")

    def show_content(self, on: bool) -> None:
        """Show the content or hide it."""
        self._content.setVisible(on)
        self.set_text(self._text)
