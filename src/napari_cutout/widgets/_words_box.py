"""The field for several words of a few: a tick box for each, with what the documentation says of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QVBoxLayout, QWidget

from .._method import Param
from ._access import explain
from ._fold import Fold

__all__ = ["WordsBox", "explained"]

COLUMNS = 2
"""Tick boxes beside each other, so that eight of them fit into a dock of 320 pixels."""


class WordsBox(QWidget):  # type: ignore[misc]
    """A tick box for every word that a setting may hold, folded away under a line that says which are ticked.

    Parameters
    ----------
    param : Param
        The setting; its entries are words.
    name : str
        What the setting is called on the screen.
    texts : mapping of str to str
        What each word means, for its tooltip.
    parent : QWidget, optional
        Its parent.

    Attributes
    ----------
    valueChanged
        Emitted when a word was ticked or unticked, whether or not the setting allows what is left.
    boxes
        The tick boxes by their words, in the order of the choices.
    fold
        What they are folded into.
    """

    valueChanged = Signal()

    def __init__(self, param: Param, name: str, texts: Mapping[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.boxes: dict[str, QCheckBox] = {word: QCheckBox(str(word)) for word in param.item_choices}
        inner = QWidget()
        layout = QGridLayout(inner)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(2)
        for at, (word, box) in enumerate(self.boxes.items()):
            explain(box, f"{name} {word}", texts.get(word, ""))
            box.toggled.connect(lambda _: self.valueChanged.emit())
            layout.addWidget(box, at // COLUMNS, at % COLUMNS)
        self.fold = Fold("", inner, f"What to {name}: tick one word or several.")
        self.setFocusProxy(self.fold.button)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.fold)
        self.valueChanged.connect(self._say)
        self._say()

    def value(self) -> tuple[Any, ...]:
        """Return the words that are ticked, in the order of the choices."""
        return tuple(word for word, box in self.boxes.items() if box.isChecked())

    def _say(self) -> None:
        """Say in the line of the fold what is ticked."""
        self.fold.set_text(", ".join(map(str, self.value())) or "nothing")

    def setValue(self, words: Sequence[Any]) -> None:
        """Tick these words and no others, and tell it once."""
        before = self.value()
        for word, box in self.boxes.items():
            box.blockSignals(True)
            box.setChecked(word in words)
            box.blockSignals(False)
        if self.value() != before:
            self.valueChanged.emit()


def explained(documented: Callable[..., Any]) -> dict[str, str]:
    """Return what the docstring of a function says of each word in its list of words.

    Parameters
    ----------
    documented : callable
        Its docstring has lines such as ``- ``"gaussian"``: the mean of the neighbourhood.``

    Returns
    -------
    dict of str to str
        Sentences by the word.
    """
    lines = re.findall(
        r'^\s*- ``"(\w+)"``: (.+?)(?=^\s*- ``"|^\s*$|^\w)', inspect.getdoc(documented) or "", re.M | re.S
    )
    return {word: _sentence(text) for word, text in lines}


def _sentence(text: str) -> str:
    plain = " ".join(text.split())
    return plain[:1].upper() + plain[1:]
